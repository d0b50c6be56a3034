"""Deformable warping: a deformable convolution whose taps read where a flow points, and a little beside it."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from einops import rearrange
from torch import Tensor

from vs_vrt import cuda
from vs_vrt.ops.deform_conv import Geometry, deform_conv


def deform_warp(
    x: Tensor, found: Tensor, flows: Sequence[Tensor], weight: Tensor, bias: Tensor | None, max_residue: float
) -> Tensor:
    """`(b c h w), (b (3 g k) h w), f x (b 2 h w), (o c/n i j), (o) -> (b o h w)`: stride 1, same size.

    The first two thirds of `found` are `(g k 2)`: for each tap of each of g deformable groups what (dy, dx) differ from
    the flow by, bounded by tanh to `max_residue` pixels; the rest are masks `(g k)` before their sigmoid. The i-th part
    of the groups follows the i-th flow, (dx, dy) in pixels. Positions are float32 whatever the precision.
    Source: BasicVSR++ (arXiv 2104.13371), section 3.2; VRT (arXiv 2201.12288), equation 6.
    """
    if cuda.applies(x, found, *flows, weight, bias):
        geometry = Geometry(weight.shape[2], weight.shape[3], 1, weight.shape[2] // 2, 1)
        with suppress(cuda.KernelError):
            return cuda.deform_conv(x, found, None, weight, bias, geometry, flows, max_residue)
    return deform_warp_reference(x, found, flows, weight, bias, max_residue)


def deform_warp_reference(
    x: Tensor, found: Tensor, flows: Sequence[Tensor], weight: Tensor, bias: Tensor | None, max_residue: float
) -> Tensor:
    """The same, offset by offset, then as a deformable convolution."""
    residues = found.shape[1] // 3 * 2
    residue = rearrange(found[:, :residues].float().tanh(), "b (f n two) h w -> b f n two h w", f=len(flows), two=2)
    ways = torch.stack([flow.float().flip(1) for flow in flows], dim=1)[:, :, None]  # as (dy, dx)
    offset = torch.add(ways, residue, alpha=max_residue).flatten(1, 3)
    mask = found[:, residues:].sigmoid()
    return deform_conv(x, offset, mask, weight, bias, padding=weight.shape[2] // 2)
