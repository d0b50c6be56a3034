"""The kernels of native/kernels: CUDA source that CuPy compiles at first use. Without CuPy all is plain torch."""

import logging
import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

log = logging.getLogger(__name__)

type Launch = Callable[[tuple[int, int, int], tuple[int, int, int], tuple[Any, ...]], None]  # grid, block, arguments

DEVICE = "cuda"
FORMATS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}  # as native/kernels/device.h counts them
THREADS = 256  # of a block that makes one value each
PIXELS, TILE, TILES, DEFORM_THREADS = (
    64,
    8,
    16,
    128,
)  # of a block of deform_conv.cu: pixels; outputs a tile; tiles at most
LARGEST = 1 << 31  # what a kernel counts with

_broken: set[str] = set()
_packed: Any = WeakTensorKeyDictionary()  # weight -> {what it is packed for: packed}


class KernelError(Exception):
    """A kernel cannot compile or cannot be launched here: its reference computes, now and later."""


def applies(name: str, *tensors: Tensor | None) -> bool:
    """Whether a kernel may compute this: on a GPU, in a known format, with no gradients to keep, not switched off."""
    given = [each for each in tensors if each is not None]
    fits = all(each.device.type == DEVICE and each.dtype in FORMATS and each.numel() < LARGEST for each in given)
    learns = torch.is_grad_enabled() and any(each.requires_grad for each in given)
    return fits and not learns and name not in _broken and os.environ.get("VS_VRT_KERNELS") != "off"


def flow_warp(x: Tensor, flow: Tensor, border: bool) -> Tensor:
    """`(b c h w), (b 2 h w) -> (b c h w)`, channels last. Raises `KernelError`. Source: native/kernels/flow_warp.cu."""
    x, flow = x.contiguous(memory_format=torch.channels_last), flow.float().contiguous()
    out = torch.empty_like(x)
    b, c, h, w = x.shape
    vector = width(x, c)
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
    vector = width(gate, gate.numel())
    parts = gate.numel() // vector
    launch("geglu", gate, {"VECTOR": vector}, (-(-parts // THREADS), 1, 1), THREADS, (gate, value, out, parts))
    return out


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
    # Products are what autocast computes in half precision.
    x = x.to(torch.get_autocast_dtype(DEVICE) if torch.is_autocast_enabled(DEVICE) else x.dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    offset = offset.to(x.dtype if offset.dtype == x.dtype else torch.float32)
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
        "VECTOR": width(x, math.gcd(share, weight.shape[1])),
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
    """As `packed`, which is done once for a weight that nobody changes."""
    if weight.is_inference():  # it does not say when it is changed
        return packed(weight.to(dtype), groups, outputs, chunk)
    made = _packed.setdefault(weight, {})
    key = weight._version, dtype, groups, outputs, chunk
    if key not in made:
        made.clear()
        made[key] = packed(weight.detach().to(dtype), groups, outputs, chunk)
    found: Tensor = made[key]
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


def width(x: Tensor, channels: int) -> int:
    """Channels that one access of 16 bytes, or of fewer, may read at once: a power of two that divides them."""
    return math.gcd(channels, 16 // x.element_size())


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
    try:
        compiled(name, options, like.device.index)(grid, (threads, 1, 1), tuple(map(argument, arguments)))
    except Exception as error:  # CuPy's own kinds, and ImportError where it is missing
        _broken.add(name)
        reason = str(error).strip().splitlines()[:1]
        said = ": ".join([type(error).__name__, *reason])
        remedy = f"pip install 'vs-vrt[cuda{str(torch.version.cuda).partition('.')[0]}]'"
        log.warning("vrt: the CUDA kernel %s cannot run (%s), plain torch is slower; `%s`", name, said, remedy)
        raise KernelError(said) from error


def argument(value: Tensor | int | np.float32 | None) -> Any:
    """As CuPy passes it to a kernel: addresses of 64 bits, integers of 32."""
    if value is None or isinstance(value, Tensor):
        return np.uint64(0 if value is None else value.data_ptr())
    return np.int32(value) if isinstance(value, int) else value


@cache
def compiled(name: str, options: tuple[str, ...], device: int) -> Launch:
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
}


def source(file: str) -> str:
    """Of a file of kernels, with what it includes in its place."""
    folder = files("vs_vrt.kernels")
    device = folder.joinpath("device.h").read_text()
    return folder.joinpath(f"{file}.cu").read_text().replace('#include "device.h"', device.replace("#pragma once", ""))
