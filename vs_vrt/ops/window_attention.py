"""Attention inside shifted 3-D windows; the projections around it have weights and live with the network."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from math import prod

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vs_vrt import cuda
from vs_vrt.dispatch import product_format

type Size = tuple[int, int, int]  # along t, h, w

MASKED = -100.0  # what the published networks add to the score of two tokens that are no neighbours
# Tokens of the windows that are attended to at once: glibc gives what is larger than 32 MB back each time, and a GPU
# waits for the next launch where they are few.
TOKENS, GPU_TOKENS = 1 << 13, 1 << 16
ALIGNED = {"cuda": 8}  # what the channels of a head must be a multiple of, or scores of all pairs lie in memory


def fit_window(size: Size, window: Size, shift: Size) -> tuple[Size, Size]:
    """The window and shift for a video of `size`: an axis that one window covers is neither split nor shifted."""
    fits = [extent <= side for extent, side in zip(size, window, strict=True)]
    sides = [extent if fit else side for extent, side, fit in zip(size, window, fits, strict=True)]
    moved = [0 if fit else step for step, fit in zip(shift, fits, strict=True)]
    return (sides[0], sides[1], sides[2]), (moved[0], moved[1], moved[2])


def shifted_windows(
    x: Tensor,
    window: Size,
    shift: Size,
    attend: Callable[[Tensor, Tensor | None], Tensor],
    attend_bands: Callable[[Tensor, Size, Size], Tensor] | None = None,
) -> Tensor:
    """`(b t h w c) -> (b t h w c)`: attention on each window, after a cyclic shift that is undone.

    `attend` takes windows `(m n c)` and the mask `(n n)` that they share, or None; tokens are in row-major order.
    `attend_bands`, for `fused_attention`, takes bands `(b t r w c)` of rows of windows as they lie, where in them the
    first window begins along t, h, w, and how many tokens of the last one along an axis come from the other end.
    The video is padded with zeros to whole windows, and the padding is attended to like the rest.
    Source: Swin (arXiv 2103.14030), section 3.2, in three dimensions; VRT (arXiv 2201.12288), section 3.2.
    """
    t, h, w = x.shape[1:4]
    x = _whole_windows(x, window)
    if attend_bands is not None:
        with suppress(cuda.KernelError):
            return _in_bands(x, window, shift, attend_bands)[:, :t, :h, :w]
    if any(shift):
        x = x.roll([-step for step in shift], (1, 2, 3))
    sides = dict(zip(("p", "q", "r"), window, strict=True))
    blocks = rearrange(x, "b (d p) (i q) (j r) c -> b d i j p q r c", **sides)
    result = torch.empty_like(x)
    merged = rearrange(result, "b (d p) (i q) (j r) c -> b d i j p q r c", **sides)
    for d, i, j, mask in _groups(blocks.shape[1:4], window, shift, x.device):
        group = blocks[:, d, i, j]
        windows = rearrange(group, "b d i j p q r c -> (b d i j) (p q r) c")
        step = max(1, (GPU_TOKENS if x.is_cuda else TOKENS) // windows.shape[1])
        parts = [attend(part, mask) for part in torch.split(windows, step)]
        attended = parts[0] if len(parts) == 1 else torch.cat(parts)
        merged[:, d, i, j] = attended.view(group.shape).to(result.dtype)
    if any(shift):
        result = result.roll(shift, (1, 2, 3))
    return result[:, :t, :h, :w]


def _in_bands(x: Tensor, window: Size, shift: Size, attend: Callable[[Tensor, Size, Size], Tensor]) -> Tensor:
    """Of whole windows. Only the last band is put together from both ends."""
    b, t, rows, w, _ = x.shape
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    step = max(1, GPU_TOKENS // (b * t * w * window[1])) * window[1]
    for start in range(0, rows, step):
        first, last = start + shift[1], min(start + step, rows) + shift[1]
        around = max(0, last - rows)  # those at the other end
        band = x[:, :, first:last]
        band = torch.cat([band, x[:, :, :around]], dim=2) if around else band.contiguous()
        joined = shift[1] if last >= rows else 0
        made = attend(band, (shift[0], 0, shift[2]), (shift[0], joined, shift[2]))
        result[:, :, first:last] = made[:, :, : made.shape[2] - around]
        result[:, :, :around] = made[:, :, made.shape[2] - around :]
    return result


def _whole_windows(x: Tensor, window: Size) -> Tensor:
    """`(b t h w c) -> (b t' h' w' c)`: with zeros behind, in the format that will be attended in."""
    x = x.to(product_format(x))  # in half precision, what is moved before is half as large
    pads = [-extent % side for extent, side in zip(x.shape[1:4], window, strict=True)]
    return F.pad(x, (0, 0, 0, pads[2], 0, pads[1], 0, pads[0])) if any(pads) else x


def _groups(
    blocks: torch.Size, window: Size, shift: Size, device: torch.device
) -> Iterator[tuple[slice, slice, slice, Tensor | None]]:
    """Windows that share a mask: the last along an axis joins both ends of the video, all others are whole."""
    parts = [
        [(slice(0, count - 1), False), (slice(count - 1, count), True)] if step else [(slice(0, count), False)]
        for count, step in zip(blocks, shift, strict=True)
    ]
    for (d, joins_t), (i, joins_h), (j, joins_w) in product(*parts):
        mask = join_mask(window, shift, (joins_t, joins_h, joins_w), device)
        yield d, i, j, mask


def join_mask(window: Size, shift: Size, joins: tuple[bool, bool, bool], device: torch.device) -> Tensor | None:
    """`-> (n n)`: what to add to the scores of a window that joins two ends of the video along some axes."""
    if not any(joins):
        return None
    axes = [
        (torch.arange(side, device=device) >= side - step) & joined
        for side, step, joined in zip(window, shift, joins, strict=True)
    ]
    t, h, w = (axis.int() for axis in torch.meshgrid(*axes, indexing="ij"))
    region: Tensor = (4 * t + 2 * h + w).flatten()
    return torch.where(region[:, None] != region, MASKED, 0.0)


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """`(m g n d), (m g n d), (m g n d), (g n n) -> (m n (g d))`: softmax(q k^T / sqrt(d) + bias) v for g heads."""
    if bias is not None:
        # Of four dimensions, or the CPU's fast path does not apply; neighbours in memory, or none of a GPU's does.
        bias = bias[None].to(q.dtype).contiguous()
    channels = q.shape[-1]
    if missing := -channels % ALIGNED.get(q.device.type, 1):
        q, k, v = (F.pad(each, (0, missing)) for each in (q, k, v))
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=channels**-0.5)[..., :channels]
    return rearrange(found, "m g n d -> m n (g d)")


def fused_attention_applies(x: Tensor, heads: int, window: Size, table: Tensor) -> bool:
    """Whether `fused_attention` may compute for `(... (g d))` and biases `(rows g)`: its kernel has limits."""
    return cuda.applies(x[..., :1], table) and cuda.attends(x, heads, prod(window), len(table))


def fused_attention(
    qkv: Tensor,
    table: Tensor | None,
    out: Tensor,
    *,
    heads: int,
    window: Size,
    table_window: Size,
    moved: Size,
    joined: Size,
) -> None:
    """`(b t h w (3 g d)), (rows g) -> (b t h w (g d))`: attention inside windows, written to `out`, perhaps a part.

    The table has a bias for each row of `relative_position_index(table_window)`. Without one, each half of a window
    attends to the other, and takes what the other's tokens find in it. `moved` and `joined` are what `shifted_windows`
    says. Raises `cuda.KernelError`: then there is `attention` on the windows themselves.
    """
    cuda.window_attention(qkv, table, heads, window, moved, joined, table_window, out)


def relative_position_index(window: Size) -> Tensor:
    """`-> (n n)`: for each pair of tokens, the row of the bias table that belongs to where they lie to each other."""
    coordinates = torch.stack(torch.meshgrid(*(torch.arange(side) for side in window), indexing="ij")).flatten(1)
    t, h, w = coordinates[:, :, None] - coordinates[:, None, :] + torch.tensor(window)[:, None, None] - 1
    index: Tensor = (t * (2 * window[1] - 1) + h) * (2 * window[2] - 1) + w
    return index


def sine_position_encoding(height: int, width: int, channels: int) -> Tensor:
    """`-> (1 (h w) c)`: sines and cosines of the row in the first half of the channels, of the column in the second.

    Source: DETR (arXiv 2005.12872), section 3.2, with positions normalised to 0..2 pi.
    """
    half = channels // 2
    frequency = 10000 ** (2 * torch.div(torch.arange(half), 2, rounding_mode="floor") / half)

    def encode(side: int) -> Tensor:
        position = torch.arange(1, side + 1) / (side + 1e-6) * 2 * torch.pi
        angle = position[:, None] / frequency
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)

    rows = encode(height)[:, None].expand(height, width, half)
    columns = encode(width)[None].expand(height, width, half)
    return rearrange(torch.cat([rows, columns], dim=2), "h w c -> 1 (h w) c")
