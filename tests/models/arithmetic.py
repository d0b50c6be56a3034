"""What references in float64 are written with."""

import torch
from torch import Tensor


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def bilinear(x: Tensor, flow: Tensor, padding: str) -> Tensor:
    """`(1 c h w), (1 2 h w) -> (1 c h w)`: four pixels each, by hand; outside is 0, or the nearest edge (`border`)."""
    h, w = x.shape[2:]
    column, row = torch.arange(w) + flow[0, 0], torch.arange(h)[:, None] + flow[0, 1]
    if padding == "border":
        column, row = column.clamp(0, w - 1), row.clamp(0, h - 1)
    found = torch.zeros_like(x)
    for down in (0, 1):
        for across in (0, 1):
            y, z = row.floor() + down, column.floor() + across
            weight = (1 - (row - y).abs()) * (1 - (column - z).abs())
            weight = weight * ((y >= 0) & (y < h) & (z >= 0) & (z < w))
            found += weight * x[:, :, y.long().clamp(0, h - 1), z.long().clamp(0, w - 1)]
    return found
