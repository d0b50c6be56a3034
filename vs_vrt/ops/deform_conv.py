"""Modulated deformable convolution: each tap of the kernel reads where an offset points, weighted by a mask."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vs_vrt import cpu, cuda
from vs_vrt.ops.linear import linear

COLUMN_BYTES = 32 << 20  # of the sampled taps that are held at once


class Geometry(NamedTuple):
    """Where a kernel's taps lie, in the order in which native code takes it."""

    height: int
    width: int
    stride: int
    padding: int
    dilation: int

    @property
    def taps(self) -> int:
        """How many there are."""
        return self.height * self.width


def deform_conv(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Tensor:
    """`(b c h w), (b (g k 2) h' w'), (b (g k) h' w'), (o c/n i j), (o) -> (b o h' w')`.

    g deformable groups of contiguous input channels have offsets of their own, for each of the k = i j taps in
    row-major order: (dy, dx) in pixels. Reads are bilinear, and 0 outside the image. The n groups of the convolution
    follow from the shapes of input and weight. Raises `ValueError` where shapes do not fit.
    Source: Deformable ConvNets v2 (arXiv 1811.11168), equation 1.
    """
    b, c = x.shape[:2]
    geometry = Geometry(weight.shape[2], weight.shape[3], stride, padding, dilation)
    height, width = offset.shape[-2:]
    deform_groups = offset.shape[1] // (2 * geometry.taps)
    if (
        c % weight.shape[1]
        or c % max(deform_groups, 1)
        or offset.shape[1] != 2 * geometry.taps * deform_groups
        or (mask is not None and mask.shape != (b, geometry.taps * deform_groups, height, width))
    ):
        raise ValueError(f"offset {tuple(offset.shape)} does not fit {tuple(x.shape)} and {tuple(weight.shape)}")
    if cuda.applies(x, offset, mask, weight, bias):
        with suppress(cuda.KernelError):
            return cuda.deform_conv(x, offset, mask, weight, bias, geometry)
    fast = cpu.applies(x, offset, mask, weight, bias)
    convolve = _convolve_by_kernel if fast else deform_conv_reference
    return convolve(x, offset, mask, weight, bias, geometry)


def deform_conv_reference(
    x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None, geometry: Geometry
) -> Tensor:
    """`(b c h w), (b (g k 2) h' w'), (b (g k) h' w'), (o c/n i j), (o) -> (b o h' w')`: the same in plain torch."""
    taps, width = geometry.taps, offset.shape[-1]
    kernel = rearrange(weight, "(n o) c i j -> n o (c i j)", n=x.shape[1] // weight.shape[1])
    result = x.new_empty(x.shape[0], weight.shape[0], *offset.shape[-2:])
    for band in _bands(x, offset, taps):
        rows = slice(band.start, band.stop)
        columns = _sample(x, offset[:, :, rows], band.start, geometry)
        if mask is not None:
            columns.mul_(rearrange(mask[:, :, rows], "b (g k) h w -> b g 1 k h w", k=taps))
        columns = rearrange(columns, "b g c k h w -> b (g c) k (h w)")
        columns = rearrange(columns, "b (n c) k p -> b n (c k) p", n=len(kernel))
        part = torch.matmul(kernel.to(columns.dtype), columns)
        result[:, :, rows] = rearrange(part, "b n o (h w) -> b (n o) h w", w=width).to(x.dtype)
    return result if bias is None else result + bias[:, None, None].to(x.dtype)


def _convolve_by_kernel(
    x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None, geometry: Geometry
) -> Tensor:
    """As `deform_conv`, channels last: what is read by the kernel in native/cpu."""
    taps, width = geometry.taps, offset.shape[-1]
    kernels = rearrange(weight.float(), "(n o) c i j -> n o (i j c)", n=x.shape[1] // weight.shape[1])
    result = x.new_empty(x.shape[0], *offset.shape[-2:], weight.shape[0])
    x, offset = x.float().contiguous(memory_format=torch.channels_last), offset.float().contiguous()
    mask = None if mask is None else mask.float().contiguous()
    for band in _bands(x, offset, taps):
        columns = cpu.deform_columns(x, offset, mask, band, geometry)
        shares = rearrange(columns, "b p (k n c) -> n b p (k c)", k=taps, n=len(kernels))
        part = torch.cat([linear(share, kernel) for share, kernel in zip(shares, kernels, strict=True)], dim=2)
        result[:, band.start : band.stop] = rearrange(part, "b (h w) o -> b h w o", w=width)
    if bias is not None:
        result += bias
    return rearrange(result, "b h w o -> b o h w")


def _bands(x: Tensor, offset: Tensor, taps: int) -> Iterator[range]:
    """Rows of the output that are computed at once."""
    height, width = offset.shape[-2:]
    step = max(1, COLUMN_BYTES // (4 * x.shape[0] * x.shape[1] * taps * width))
    return (range(start, min(start + step, height)) for start in range(0, height, step))


def _sample(x: Tensor, offset: Tensor, start: int, geometry: Geometry) -> Tensor:
    """`(b (g c) h w), (b (g k 2) h' w) -> (b g c k h' w)`: what each tap reads, for the rows from `start` on."""
    h, w = x.shape[-2:]
    height, width = offset.shape[-2:]
    taps, stride, padding = geometry.taps, geometry.stride, geometry.padding
    # Positions in half precision would step by whole pixels above 1024.
    offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
    dy, dx = rearrange(offset, "b (g k two) h w -> two (b g) k h w", k=taps, two=2)
    tap = torch.arange(taps, device=x.device)[:, None, None]
    row = torch.arange(start, start + height, device=x.device)[:, None] * stride - padding
    column = torch.arange(width, device=x.device) * stride - padding
    y = dy + (row + tap // geometry.width * geometry.dilation)
    x_position = dx + (column + tap % geometry.width * geometry.dilation)
    # grid_sample's -1..1 from edge to edge: unlike from centre to centre, it holds for a single row or column too.
    grid = torch.stack([(2 * x_position + 1) / w - 1, (2 * y + 1) / h - 1], dim=-1)
    groups = grid.shape[0] // x.shape[0]
    sampled = F.grid_sample(
        rearrange(x, "b (g c) h w -> (b g) c h w", g=groups).to(grid.dtype),
        rearrange(grid, "n k h w two -> n (k h) w two"),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return rearrange(sampled, "(b g) c (k h) w -> b g c k h w", g=groups, k=taps)
