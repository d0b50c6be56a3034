"""The operations of networks, at the sizes that networks have: FLOP and bytes are counted, time and memory measured.

FLOP are those of products, two for a multiply-add, and of bilinear reads. Bytes are the fewest there can be: each input
is read once, weights included, and each output is written once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from benchmarks.processes import forget_peak, peak
from benchmarks.timing import Way, in_turn, kernels, seconds
from vs_vrt.engine import resolve
from vs_vrt.models.vrt import MLP_RATIO, TMSA
from vs_vrt.ops.deform_conv import deform_conv
from vs_vrt.ops.deform_warp import deform_warp
from vs_vrt.ops.flow_warp import flow_warp, flow_warp_nearest4
from vs_vrt.ops.geglu import geglu
from vs_vrt.ops.linear import linear
from vs_vrt.ops.window_attention import GPU_TOKENS, TOKENS, Size, attention
from vs_vrt.precision import DTYPES, computing

try:
    from torchvision.ops import deform_conv2d
except ImportError:
    deform_conv2d = None

READ = 8  # FLOP of a bilinear read: four multiply-adds
ROTATED = {"cpu": 1 << 27, "cuda": 1 << 29}  # bytes of inputs that calls take in turn: more than caches hold
SETS = 8  # of inputs at most
SAMPLE = 0.005  # seconds at least that one sample takes: calls are repeated

type Inputs = tuple[Tensor | nn.Module, ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is called, and with what."""

    name: str
    input: str  # in words
    make: Callable[[torch.device, torch.dtype], Inputs]
    call: Callable[..., Tensor]
    flop: int
    plain: Callable[..., Tensor] | None = None  # the reference, where it is not what the call does without kernels
    rival: Callable[..., Tensor] | None = None  # of torchvision
    quick: bool = False  # one of those that `--quick` measures


def operations(kind: str) -> tuple[Operation, ...]:
    """Those for a device of that type."""
    frames, tokens = (5, GPU_TOKENS) if kind == "cuda" else (1, TOKENS)
    return (
        warping("flow_warp", "features", flow_warp, 1, 64, 180, 320, flop=READ, quick=True),
        warping("flow_warp", "frame, border", partial(flow_warp, padding="border"), 1, 3, 540, 960, flop=READ),
        warping("flow_warp_nearest4", "frames", flow_warp_nearest4, 5, 3, 180, 320, flop=0),
        deforming(frames, 120, 120, 12, 180, 320, quick=True),
        deforming(frames, 96, 96, 16, 256, 256),
        deforming(1, 128, 64, 16, 180, 320),
        aligning(frames, 120, 12, 180, 320),
        attending(tokens, 128, 6, 20, quick=True),
        attending(tokens, 384, 6, 20),
        attending(tokens, 384, 6, 30),
        attending(tokens, 384, 6, 16),
        block(6, 64, 64, 120, (6, 8, 8)),
        multiplying(1 << 15, 120, 240),
        gating(1 << 15, 240),
    )


def warping(
    name: str, what: str, call: Callable[..., Tensor], b: int, c: int, h: int, w: int, flop: int, quick: bool = False
) -> Operation:
    """Of `(b c h w)`, with so many FLOP a value: none where values are only moved."""

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        return pixels(b, c, h, w, device=device, dtype=dtype), motion(b, 2, h, w, device=device)

    words = f"{what}, {b}x{c}x{h}x{w}"
    return Operation(name=name, input=words, make=make, call=call, flop=flop * b * c * h * w, quick=quick)


def deforming(b: int, c: int, o: int, groups: int, h: int, w: int, quick: bool = False) -> Operation:
    """A 3x3 kernel: each tap of each channel is a bilinear read, weighted by a mask, that o products take."""
    taps = 9

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        offset, mask = (motion(b, n * groups * taps, h, w, device=device) for n in (2, 1))
        weight = torch.randn(o, c, 3, 3, device=device) / math.sqrt(taps * c)
        return pixels(b, c, h, w, device=device, dtype=dtype), offset, mask.sigmoid(), weight

    def rival(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = deform_conv2d(x, offset.to(x), weight.to(x), padding=1, mask=mask.to(x))
        return found

    return Operation(
        name="deform_conv",
        input=f"{b}x{c}x{h}x{w} to {o}, {groups} groups",
        make=make,
        call=deform_conv,
        rival=rival if deform_conv2d else None,
        flop=b * h * w * taps * c * (READ + 1 + 2 * o),
        quick=quick,
    )


def aligning(b: int, c: int, groups: int, h: int, w: int) -> Operation:
    """A neighbour of each frame, as VRT aligns it: where its taps read follows from flow and what a network found."""
    taps = 9

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        found, flow = motion(b, 3 * groups * taps, h, w, device=device), motion(b, 2, h, w, device=device)
        weight = torch.randn(c, c, 3, 3, device=device) / math.sqrt(taps * c)
        return pixels(b, c, h, w, device=device, dtype=dtype), found.to(dtype), flow, weight

    return Operation(
        name="deform_warp",
        input=f"{b}x{c}x{h}x{w}, {groups} groups",
        make=make,
        call=lambda x, found, flow, weight: deform_warp(x, found, [flow], weight, None, 10.0),
        flop=b * h * w * taps * c * (READ + 1 + 2 * c),
    )


def attending(tokens: int, n: int, heads: int, d: int, quick: bool = False) -> Operation:
    """Of n tokens each, in as many windows as networks attend to at once: two products for each pair of tokens."""
    m = tokens // n

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        q, k, v = (torch.randn(m, heads, n, d, device=device, dtype=dtype) for _ in range(3))
        return q, k, v, torch.randn(heads, n, n, device=device)

    return Operation(
        name="attention",
        input=f"{m} windows of {n} tokens, {heads} heads of {d}",
        make=make,
        call=attention,
        plain=attention_in_words,
        flop=4 * m * heads * n * n * d,
        quick=quick,
    )


def attention_in_words(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """`(m g n d), (m g n d), (m g n d), (g n n) -> (m n (g d))`: step by step, with all scores in memory."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + bias.to(q.dtype)
    return rearrange(scores.softmax(-1).to(v.dtype) @ v, "m g n d -> m n (g d)")


def block(t: int, h: int, w: int, c: int, window: Size) -> Operation:
    """A block of VRT: of each token queries, keys and values, attention in its window, a projection, and the MLP."""
    shift = (window[0] // 2, window[1] // 2, window[2] // 2)

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        module = TMSA(c, 6, window, shift, mutual=False).requires_grad_(False).to(device)
        return module, torch.randn(1, t, h, w, c, device=device, dtype=dtype)

    products = 3 + 1 + 3 * MLP_RATIO  # matrices of c x c
    return Operation(
        name="TMSA",
        input=f"{t}x{h}x{w}x{c}, windows of {math.prod(window)} tokens",
        make=make,
        call=lambda module, x: module(x),
        flop=t * h * w * (2 * products * c * c + 4 * math.prod(window) * c),
    )


def multiplying(tokens: int, c: int, o: int) -> Operation:
    """With a matrix of weights."""

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        weight = torch.randn(o, c, device=device) / math.sqrt(c)
        return torch.randn(tokens, c, device=device, dtype=dtype), weight, torch.randn(o, device=device)

    words, flop = f"{tokens}x{c} to {o}", 2 * tokens * c * o
    return Operation(name="linear", input=words, make=make, call=linear, flop=flop)


def gating(tokens: int, c: int) -> Operation:
    """The gate of an MLP, whose FLOP nobody counts."""

    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        gate, value = torch.randn(2, tokens, c, device=device, dtype=dtype)
        return gate, value

    return Operation(name="geglu", input=f"{tokens}x{c}", make=make, call=geglu, flop=0)


def pixels(b: int, c: int, h: int, w: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """`-> (b c h w)`: channels last, as convolutions leave them."""
    return torch.rand(b, c, h, w, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)


def motion(b: int, c: int, h: int, w: int, device: torch.device) -> Tensor:
    """`-> (b c h w)`: some pixels far, and neighbours move alike, or no read would find its pixel in a cache."""
    coarse = 4 * torch.randn(b, c, -(-h // 16), -(-w // 16), device=device)
    return F.interpolate(coarse, size=(h, w), mode="bilinear")


def fewest_bytes(*values: Tensor | nn.Module) -> int:
    """Of tensors, and of what modules have learned."""
    tensors = (t for each in values for t in (each.parameters() if isinstance(each, nn.Module) else (each,)))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def measure(index: int, name: str, precision: str, budget: float) -> dict[str, Any]:
    """Of an operation on the device of that name; for the engine's thread of a fresh process."""
    device = resolve(name)
    operation = operations(device.type)[index]
    with computing(device, precision):
        torch.manual_seed(0)
        first = operation.make(device, DTYPES[precision])
        with kernels(plain=False):
            bytes_ = fewest_bytes(*first, operation.call(*first))
            before = forget_peak(device)
            operation.call(*first)
            memory = peak(device) - before
        sets = max(1, min(SETS, ROTATED[device.type] // bytes_))
        rotated = [first, *(operation.make(device, DTYPES[precision]) for _ in range(sets - 1))]
        ways = dict(compared(operation, rotated, precision))
        once = max(min(seconds(device, way) for _ in range(2)) for way in ways.values())
        calls = max(1, math.ceil(SAMPLE / once))
        found = in_turn(device, ways, budget, most=25, calls=calls)
    times = {f"{way}_seconds": median(samples) for way, samples in found.items()}
    repeats = len(found["ours"])
    counted = {"flop": operation.flop, "bytes": bytes_, "memory_bytes": memory, "repeats": repeats}
    return {"operation": operation.name, "input": operation.input, "precision": precision} | times | counted


def compared(operation: Operation, sets: list[Inputs], precision: str) -> Iterator[tuple[str, Way]]:
    """Ours, the reference, and torchvision's where it is installed: it has none in bf16."""

    def way(function: Callable[..., Tensor], plain: bool) -> Way:
        inputs = cycle(sets)
        return Way(lambda: function(*next(inputs)), plain)

    yield "ours", way(operation.call, plain=False)
    yield "reference", way(operation.plain or operation.call, plain=True)
    if operation.rival and precision != "bf16":
        yield "torchvision", way(operation.rival, plain=True)
