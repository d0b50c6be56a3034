"""Backward warping of an image or feature map by a dense flow."""

from contextlib import suppress
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vs_vrt import cpu, cuda


def flow_warp(x: Tensor, flow: Tensor, padding: Literal["zeros", "border"] = "zeros") -> Tensor:
    """`(b c h w), (b 2 h w) -> (b c h w)`: out[y, x] = in[y + dy, x + dx], bilinear.

    `flow` is in pixels, channel 0 = dx, channel 1 = dy. Samples outside the image read 0 (`zeros`) or the nearest
    edge pixel (`border`). Raises `ValueError` where the two sizes differ: a silent broadcast would be a wrong picture.
    Source: SPyNet (arXiv 1611.00850), section 3.1.
    """
    check(x, flow)
    if cuda.applies(x, flow):
        with suppress(cuda.KernelError):
            return cuda.flow_warp(x, flow, padding == "border")
    if cpu.applies(x, flow):
        return cpu.flow_warp(x, flow, padding == "border")
    return flow_warp_reference(x, flow, padding)


def flow_warp_reference(x: Tensor, flow: Tensor, padding: Literal["zeros", "border"] = "zeros") -> Tensor:
    """`(b c h w), (b 2 h w) -> (b c h w)`: the same in plain torch."""
    column, row = _positions(flow)
    return _sample(x, column, row, "bilinear", padding)


def flow_warp_nearest4(x: Tensor, flow: Tensor) -> Tensor:
    """`(b c h w), (b 2 h w) -> (b (4 c) h w)`: the four pixels around in[y + dy, x + dx], unblended; 0 outside.

    In the order (floor x, floor y), (floor x, ceil y), (ceil x, floor y), (ceil x, ceil y), where an integral position
    has one pixel twice. Raises `ValueError` where the sizes differ. Source: VRT (arXiv 2201.12288), parallel warping
    of images.
    """
    check(x, flow)
    if cuda.applies(x, flow):
        with suppress(cuda.KernelError):
            return cuda.flow_warp_nearest4(x, flow)
    return flow_warp_nearest4_reference(x, flow)


def flow_warp_nearest4_reference(x: Tensor, flow: Tensor) -> Tensor:
    """`(b c h w), (b 2 h w) -> (b (4 c) h w)`: the same in plain torch."""
    column, row = _positions(flow)
    corners = [(px, py) for px in (column.floor(), column.ceil()) for py in (row.floor(), row.ceil())]
    return torch.cat([_sample(x, px, py, "nearest", "zeros") for px, py in corners], dim=1)


def check(x: Tensor, flow: Tensor) -> None:
    """Raises `ValueError` where the sizes differ."""
    b, _, h, w = x.shape
    if flow.shape != (b, 2, h, w):
        raise ValueError(f"flow {tuple(flow.shape)} does not fit an image {tuple(x.shape)}; `give (b 2 h w)`")


def _positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """`(b 2 h w) -> (b h w), (b h w)`: the column and row that each pixel reads, in float32 or wider."""
    h, w = flow.shape[-2:]
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    column = torch.arange(w, device=flow.device, dtype=flow.dtype)
    row = torch.arange(h, device=flow.device, dtype=flow.dtype)[:, None]
    return column + flow[:, 0], row + flow[:, 1]


def _sample(x: Tensor, column: Tensor, row: Tensor, mode: str, padding: str) -> Tensor:
    h, w = x.shape[-2:]
    # grid_sample wants -1..1 from the centre of the first pixel to the centre of the last (align_corners).
    grid = torch.stack([2 * column / max(w - 1, 1) - 1, 2 * row / max(h - 1, 1) - 1], dim=-1)
    # Half precision would round the grid by whole pixels of a wide frame.
    wide = torch.promote_types(x.dtype, torch.float32)
    sampled = F.grid_sample(x.to(wide), grid.to(wide), mode=mode, padding_mode=padding, align_corners=True)
    return sampled.to(x.dtype)
