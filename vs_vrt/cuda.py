"""The kernels of native/kernels: CUDA source that CuPy compiles at first use. Without CuPy all is plain torch."""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from vs_vrt.dispatch import is_inference, is_on, product_format

log = logging.getLogger(__name__)

type Launch = Callable[[tuple[int, int, int], tuple[int, int, int], tuple[Any, ...]], None]  # grid, block, arguments

DEVICE = "cuda"
FORMATS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}  # as native/kernels/device.h counts them
HALVES = torch.float16, torch.bfloat16
THREADS = 256  # of a block that makes one value each
PIXELS = 64  # of a block of deform_conv.cu
DEFORM_THREADS = 128
QUERIES = 16  # of a warp of window_attention.cu
SHARED = 48 << 10  # bytes that a block may have without asking
TILE = 8  # outputs of a product of tensor cores
TILES = 16  # of a block at most
LARGEST = (1 << 31) - THREADS  # what a kernel counts to


class Packed(threading.local):
    """Weights as kernels read them. Threads share none: their streams do not wait for one another."""

    def __init__(self) -> None:
        self.weights: Any = WeakTensorKeyDictionary()  # weight -> {what it is packed for: packed}


_packed = Packed()
_broken: dict[tuple[str, tuple[str, ...], int | None], str] = {}  # kernels, and why
_said: set[str] = set()


class KernelError(Exception):
    """A kernel cannot compile or cannot be launched here: its reference computes, now and later."""


def applies(x: Tensor, *others: Tensor | None) -> bool:
    """Whether a kernel may compute this: on a GPU, in a known format, with no gradients to keep, not switched off.

    `x` is what kernels count in 32 bits.
    """
    given = [x, *(each for each in others if each is not None)]
    fits = all(each.device == x.device and each.dtype in FORMATS and each.numel() for each in given)
    on_gpu = x.device.type == DEVICE and x.numel() < LARGEST
    return on_gpu and fits and is_inference(*given) and is_on()


def flow_warp(x: Tensor, flow: Tensor, border: bool) -> Tensor:
    """`(b c h w), (b 2 h w) -> (b c h w)`, channels last. Raises `KernelError`. Source: native/kernels/flow_warp.cu."""
    x, flow = x.contiguous(memory_format=torch.channels_last), flow.float().contiguous()
    out = torch.empty_like(x)
    b, c, h, w = x.shape
    vector = width(c, x)
    grid = -(-h * w * c // vector // THREADS), b, 1
    launch("flow_warp", x, {"VECTOR": vector}, grid, THREADS, (x, flow, out, c, h, w, int(border)))
    return out


def flow_warp_nearest4(x: Tensor, flow: Tensor) -> Tensor:
    """`(b c h w), (b 2 h w) -> (b (4 c) h w)`. Raises `KernelError`. Source: native/kernels/flow_warp.cu."""
    x, flow = x.contiguous(), flow.float().contiguous()
    b, c, h, w = x.shape
    out = x.new_empty(b, 4 * c, h, w)
    grid = -(-h * w // THREADS), b, 1
    launch("flow_warp_nearest4", x, {"VECTOR": 1}, grid, THREADS, (x, flow, out, c, h, w))
    return out


def geglu(gate: Tensor, value: Tensor) -> Tensor:
    """`(...), (...) -> (...)`, of one format and shape. Raises `KernelError`. Source: native/kernels/geglu.cu."""
    gate, value = gate.contiguous(), value.to(gate.dtype).contiguous()
    out = torch.empty_like(gate)
    vector = width(gate.numel(), gate, value)
    parts = gate.numel() // vector
    launch("geglu", gate, {"VECTOR": vector}, (-(-parts // THREADS), 1, 1), THREADS, (gate, value, out, parts))
    return out


def attends(x: Tensor, heads: int, tokens: int, rows: int) -> bool:
    """Whether `window_attention` may compute for `(... (g d))`, windows of so many tokens, a table of so many rows."""
    head = x.shape[-1] // heads
    shared = 2 * 72 * (-(-head // 16) * 16 + 8) * 2 + 8 * (tokens + 64) + 4 * (rows + 1)
    if any(key[0] == "window_attention" and key[2] == x.device.index for key in _broken):
        return False  # before anything is made for it in vain
    return product_format(x) in HALVES and head % 2 == 0 and shared <= SHARED


def window_attention(
    qkv: Tensor,
    table: Tensor | None,
    heads: int,
    window: Sequence[int],
    moved: Sequence[int],
    joined: Sequence[int],
    table_window: Sequence[int],
    out: Tensor,
) -> None:
    """`(b t h w (3 g d)), (rows g) -> (b t h w (g d))`: attention inside windows, written to `out`, perhaps a part.

    Sizes are along t, h, w: of a window, of the window whose table of biases it is, where the first window begins, and
    how much of the last one comes from the other end. Without a table each half of a window
    attends to the other, and takes what the other's tokens find in it.
    Raises `KernelError`. Source: native/kernels/window_attention.cu.
    """
    qkv, mutual = qkv.contiguous(), table is None
    head, tokens = qkv.shape[4] // 3 // heads, math.prod(window)
    count = tokens // (1 + mutual)
    warps = min(8, -(-count // QUERIES))
    parts = -(-count // (warps * QUERIES)) * (1 + mutual)
    windows = qkv[..., 0].numel() // tokens
    table = None if table is None else table.float().T.contiguous()
    macros = {"HEAD": head, "VECTOR": width(head, qkv), "ROWS": 0 if table is None else table.shape[1]}
    macros |= {f"SIDE_{axis}": side for axis, side in zip("THW", window, strict=True)}
    macros |= {f"TABLE_{axis}": side for axis, side in zip("THW", table_window, strict=True)}
    sizes = heads, *qkv.shape[1:4], *moved, *joined
    arguments = qkv, table, out, out.stride(3), *sizes, np.float32(head**-0.5)
    launch("window_attention", qkv, macros, (windows * heads * parts, 1, 1), 32 * warps, arguments)


def deform_conv(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    geometry: tuple[int, ...],
    flows: Sequence[Tensor] = (),
    residue: float = 0.0,
) -> Tensor:
    """`(b c h w), (b (g k 2) h' w'), (b (g k) h' w'), (o c/n i j), (o) -> (b o h' w')`, channels last.

    `geometry` is height and width of the kernel, stride, padding and dilation. With `flows`, f of `(b 2 h' w')`,
    `offset` is `(b ((g k 2) (g k)) h' w')`: residues that tanh bounds to `residue` pixels, and masks without sigmoid.
    Raises `KernelError`. Source: native/kernels/deform_conv.cu.
    """
    x = x.to(product_format(x)).contiguous(memory_format=torch.channels_last)
    offset = offset if offset.dtype == x.dtype else offset.float()
    offset = offset.contiguous(memory_format=torch.channels_last)
    taps, (b, c), (height, wide) = geometry[0] * geometry[1], x.shape[:2], offset.shape[2:]
    deform_groups, groups = offset.shape[1] // ((3 if flows else 2) * taps), c // weight.shape[1]
    if flows:
        mask = offset[:, 2 * deform_groups * taps :]  # within it
    elif mask is not None:
        mask = mask.to(offset.dtype).contiguous(memory_format=torch.channels_last)
    share, own = c // deform_groups, weight.shape[0] // groups
    tiles = min(TILES, 2 * -(-own // (2 * TILE)))
    chunk = chunk_of(share, weight.shape[1], x.dtype)
    factors = prepacked(weight, x.dtype, groups, tiles * TILE, chunk)
    flow = torch.stack([each.float() for each in flows]).contiguous() if flows else None
    bias = None if bias is None else bias.float().contiguous()
    out = x.new_empty(b, height, wide, weight.shape[0])
    macros = {
        "VECTOR": width(math.gcd(share, weight.shape[1]), x),
        "NT": tiles,
        "FUSED": int(bool(flows)),
        "OFFSET": int(offset.dtype == x.dtype != torch.float32),
    }
    sizes = chunk, c, *x.shape[2:], height, wide, weight.shape[0], groups, deform_groups, *geometry, len(flows)
    grid = -(-height * wide // PIXELS), groups * -(-own // (tiles * TILE)), b
    tensors = (x, offset, mask, flow, factors, bias, out)
    launch("deform_conv", x, macros, grid, DEFORM_THREADS, (*tensors, *sizes, np.float32(residue)))
    return rearrange(out, "b h w o -> b o h w")


def chunk_of(share: int, inner: int, dtype: torch.dtype) -> int:
    """Channels that a block reads at once: as many as fit, a multiple of 16, from at most 16 deformable groups.

    `share` is a group's; the convolution has groups of `inner`, which may begin inside one.
    """
    largest = 64 if dtype is torch.float32 else 128
    fits = 16 * share if inner % share == 0 else max(16, 8 * share // 16 * 16)
    return min(largest, fits)


def prepacked(weight: Tensor, dtype: torch.dtype, groups: int, outputs: int, chunk: int) -> Tensor:
    """As `packed`, which a thread does once for a weight, unless that is changed by other ways than through `data`."""
    if weight.is_inference():  # it does not say when it is changed
        return packed(weight.to(dtype), groups, outputs, chunk)
    made = _packed.weights.setdefault(weight, {})
    key = weight._version, weight.data_ptr(), weight.device, dtype, groups, outputs, chunk
    found: Tensor | None = made.get(key)
    if found is None:
        found = packed(weight.detach().to(dtype), groups, outputs, chunk)
        made.clear()
        made[key] = found
    return found


def packed(weight: Tensor, groups: int, outputs: int, chunk: int) -> Tensor:
    """`((n o) c i j) -> (n parts taps chunks ...)`: as deform_conv.cu reads it, with zeros where shapes do not divide.

    In float32 a chunk is `(chunk outputs)`; else it is cut into products of tensor cores, 16 channels by 8 outputs, in
    which each of 32 lanes finds its four factors together (PTX manual, fragment B of mma.m16n8k16).
    """
    own, inner = weight.shape[0] // groups, weight.shape[1]
    taps = rearrange(weight, "(n o) c i j -> n (i j) c o", n=groups)
    taps = torch.nn.functional.pad(taps, (0, -own % outputs, 0, -inner % chunk))
    if weight.dtype is torch.float32:
        return rearrange(taps, "n k (m c) (p o) -> n p k m c o", c=chunk, o=outputs).contiguous()
    order = "n k (m s two four pair) (p j o) -> n p k m s j o four two pair"
    sizes = {"s": chunk // 16, "two": 2, "four": 4, "pair": 2, "j": outputs // TILE, "o": TILE}
    return rearrange(taps, order, **sizes).contiguous()


def width(count: int, *tensors: Tensor) -> int:
    """Values that one access of 16 bytes, or of fewer, may read at once: a power of two that divides their number.

    A view may begin where such an access may not.
    """
    return math.gcd(count, *(math.gcd(16, each.data_ptr()) // each.element_size() for each in tensors))


def launch(
    name: str,
    like: Tensor,
    macros: dict[str, int],
    grid: tuple[int, int, int],
    threads: int,
    arguments: Sequence[Tensor | int | np.float32 | None],
) -> None:
    """Runs a kernel on torch's current stream, for values of the format of `like`.

    Integers are 32 bits wide. The tensors must not be freed on another stream before it has run. Raises `KernelError`.
    """
    options = tuple(f"-D{key}={value}" for key, value in {"TYPE": FORMATS[like.dtype], **macros}.items())
    variant = name, options, like.device.index
    if variant in _broken:
        raise KernelError(_broken[variant])
    try:
        compiled(*variant)(grid, (threads, 1, 1), tuple(map(argument, arguments)))
    except Exception as error:  # CuPy's own kinds, and ImportError where it is missing
        reason = str(error).strip().splitlines()[:1]
        _broken[variant] = ": ".join([type(error).__name__, *reason])
        if name not in _said:
            _said.add(name)
            package = f"pip install 'vs-vrt[cuda{str(torch.version.cuda).partition('.')[0]}]'"
            remedy = package if isinstance(error, ImportError) else "VS_VRT_KERNELS=off"
            text = "vrt: the CUDA kernel %s cannot run (%s), plain torch is slower; `%s`"
            log.warning(text, name, _broken[variant], remedy)
        raise KernelError(_broken[variant]) from error


def argument(value: Tensor | int | np.float32 | None) -> Any:
    """As CuPy passes it to a kernel: addresses of 64 bits, integers of 32."""
    if value is None or isinstance(value, Tensor):
        return np.uint64(0 if value is None else value.data_ptr())
    return np.int32(value) if isinstance(value, int) else value


@cache
def compiled(name: str, options: tuple[str, ...], device: int | None) -> Launch:
    """A kernel of a source file, for a device. Compiled code stays in CuPy's cache in the user's folder."""
    import cupy

    code = source(FILES[name])
    with cupy.cuda.Device(device):
        kernel = cupy.RawModule(code=code, options=("-std=c++17", *options), backend="nvrtc").get_function(name)

    def run(grid: tuple[int, int, int], block: tuple[int, int, int], arguments: tuple[Any, ...]) -> None:
        stream = torch.cuda.current_stream(device).cuda_stream
        with cupy.cuda.Device(device), cupy.cuda.ExternalStream(stream, device):
            kernel(grid, block, arguments)

    return run


FILES = {  # kernel: the file that has it
    "flow_warp": "flow_warp",
    "flow_warp_nearest4": "flow_warp",
    "deform_conv": "deform_conv",
    "geglu": "geglu",
    "window_attention": "window_attention",
}


def source(file: str) -> str:
    """Of a file of kernels, with what it includes in its place."""
    folder = files("vs_vrt.kernels")
    device = folder.joinpath("device.h").read_text()
    return folder.joinpath(f"{file}.cu").read_text().replace('#include "device.h"', device.replace("#pragma once", ""))
