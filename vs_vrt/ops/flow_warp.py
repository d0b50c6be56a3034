"""Backward warping of an image or feature map by a dense flow."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def flow_warp(x: Tensor, flow: Tensor, padding: Literal["zeros", "border"] = "zeros") -> Tensor:
    """`(b c h w), (b 2 h w) -> (b c h w)`: out[y, x] = in[y + dy, x + dx], bilinear.

    `flow` is in pixels, channel 0 = dx, channel 1 = dy. Samples outside the image read 0 (`zeros`) or the nearest
    edge pixel (`border`). Raises `ValueError` where the two sizes differ: a silent broadcast would be a wrong picture.
    Source: SPyNet (arXiv 1611.00850), section 3.1.
    """
    b, _, h, w = x.shape
    if flow.shape != (b, 2, h, w):
        raise ValueError(f"flow {tuple(flow.shape)} does not fit an image {tuple(x.shape)}; `give (b 2 h w)`")
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    column = torch.arange(w, device=flow.device, dtype=flow.dtype)
    row = torch.arange(h, device=flow.device, dtype=flow.dtype)[:, None]
    # grid_sample wants -1..1 from the centre of the first pixel to the centre of the last (align_corners).
    grid = torch.stack(
        [
            2 * (column + flow[:, 0]) / max(w - 1, 1) - 1,
            2 * (row + flow[:, 1]) / max(h - 1, 1) - 1,
        ],
        dim=-1,
    )
    # Half precision would round the grid by whole pixels of a wide frame.
    wide = torch.promote_types(x.dtype, torch.float32)
    warped = F.grid_sample(x.to(wide), grid.to(wide), mode="bilinear", padding_mode=padding, align_corners=True)
    return warped.to(x.dtype)
