"""Attention inside windows: what the kernel is compared with, and the shapes."""

from math import prod

import torch
from einops import rearrange
from torch import Tensor

from vs_vrt.ops.window_attention import (
    Size,
    fit_window,
    fused_attention,
    relative_position_index,
    shifted_windows,
)

# Heads, their channels, frames, height, width, window: VRT's two, shifted, with other sizes of heads, padded, in
# windows that the video does not fill, and of one frame.
SHAPES = [
    (2, 20, 6, 8, 16, (6, 8, 8), (0, 0, 0)),
    (2, 20, 6, 16, 24, (6, 8, 8), (3, 4, 4)),
    (1, 30, 4, 16, 16, (2, 8, 8), (1, 4, 4)),
    (3, 16, 4, 13, 9, (2, 4, 4), (1, 2, 2)),
    (2, 6, 3, 9, 8, (6, 4, 4), (3, 2, 2)),
    (1, 2, 1, 4, 9, (1, 3, 5), (0, 1, 2)),
]


type Case = tuple[tuple[Tensor, Tensor], tuple[int, Size, Size, bool]]


def case(mutual: bool, heads: int, head: int, t: int, h: int, w: int, window: Size, shift: Size) -> Case:
    """Two videos `(2 t h w (3 g d))` and a table; and the rest of what the functions below take."""
    if mutual:
        t, window, shift = max(t, 2), (2, *window[1:]), (1, *shift[1:])
    table = torch.randn(prod(2 * side - 1 for side in window), heads)
    return (torch.randn(2, t, h, w, 3 * heads * head), table), (heads, window, shift, mutual)


def in_one_pass(qkv: Tensor, table: Tensor, heads: int, window: Size, shift: Size, mutual: bool) -> Tensor:
    """`(b t h w (3 g d)), (rows g) -> (b t h w (g d))`."""

    def attend(band: Tensor, moved: Size, joined: Size) -> Tensor:
        out = band.new_full((*band.shape[:4], 2, band.shape[4] // 3), torch.nan).flatten(4)
        part = out[..., out.shape[4] // 2 :]
        joins = (0, *joined[1:]) if mutual else joined
        given = None if mutual else table
        fused_attention(band, given, part, heads=heads, window=fitted, table_window=window, moved=moved, joined=joins)
        assert out[..., : out.shape[4] // 2].isnan().all()  # beside it, nothing is written
        return torch.cat([part, part, part], dim=4)  # what comes back is as wide as what was given

    fitted, shift = fit_window((qkv.shape[1], qkv.shape[2], qkv.shape[3]), window, shift)
    made = shifted_windows(qkv, fitted, shift, refuse, attend)
    return made[..., : made.shape[4] // 3]


def in_float64(qkv: Tensor, table: Tensor, heads: int, window: Size, shift: Size, mutual: bool) -> Tensor:
    """The same in words, window by window."""

    def attend(windows: Tensor, mask: Tensor | None) -> Tensor:
        n = windows.shape[1]
        q, k, v = rearrange(windows, "m n (three g d) -> three m g n d", three=3, g=heads)
        bias = torch.zeros(n, n, device=windows.device) if mask is None else mask
        if mutual:
            half = n // 2
            (one, other), bias = zip(*(each.split(half, 2) for each in (q, k, v)), strict=True), bias[:half, :half]
            # What the second frame's tokens find in the first one is the first one's.
            made = torch.cat([words(other[0], *one[1:], bias), words(one[0], *other[1:], bias)], dim=2)
        else:
            rows = relative_position_index(window)[:n, :n]
            made = words(q, k, v, bias + rearrange(table.double()[rows], "n k g -> g n k"))
        return torch.cat([rearrange(made, "m g n d -> m n (g d)")] * 3, dim=2)

    fitted, shift = fit_window((qkv.shape[1], qkv.shape[2], qkv.shape[3]), window, shift)
    made = shifted_windows(qkv.double(), fitted, shift, attend)
    return made[..., : made.shape[4] // 3]


def words(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return (q @ k.transpose(2, 3) / q.shape[3] ** 0.5 + bias).softmax(3) @ v


def refuse(*_: object) -> Tensor:
    raise AssertionError("windows were attended to one by one")
