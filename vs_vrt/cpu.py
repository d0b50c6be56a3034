"""The kernels of native/cpu: a library that setup.py builds, loaded with ctypes. Without it all is plain torch."""

import ctypes
import logging
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from vs_vrt.dispatch import is_inference, is_on

log = logging.getLogger(__name__)

FOLDER = "vs_vrt_cpu"  # beside the package, as an editable install builds nothing into the source tree
SHARE = 1 << 21  # values at least that a thread makes: torch's own threads spin for a while where it would run
FORMATS = torch.float32, torch.bfloat16, torch.float16
NAME = {"win32": "kernels.dll", "darwin": "kernels.dylib"}.get(sys.platform, "kernels.so")


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where there is none that can be loaded; that is said once."""
    try:
        places = find_spec(FOLDER)
        folders = [Path(place) for place in (places.submodule_search_locations or ())] if places else []
        found = next((folder / NAME for folder in folders if (folder / NAME).is_file()), None)
        if found is None:
            raise OSError(f"{FOLDER}/{NAME} is missing")
        return ctypes.CDLL(str(found))
    except OSError as error:
        log.warning("vrt: the CPU kernels cannot be loaded (%s), plain torch is slower; `pip install vs-vrt`", error)
        return None


def computes(*tensors: Tensor | None, formats: Sequence[torch.dtype] = (torch.float32,)) -> bool:
    """Whether this is on the CPU, of these formats, with no gradients to keep, and fast ways are not switched off."""
    given = [each for each in tensors if each is not None]
    fits = all(each.device.type == "cpu" and each.dtype in formats for each in given)
    return fits and is_inference(*given) and is_on()


def applies(*tensors: Tensor | None) -> bool:
    """Whether a kernel of the library may compute this; sums are float32's in every format."""
    return computes(*tensors, formats=FORMATS) and library() is not None


def flow_warp(x: Tensor, flow: Tensor, border: bool) -> Tensor:
    """`(b c h w), (b 2 h w) -> (b c h w)`, channels last. Source: native/cpu/flow_warp.cpp."""
    warp = loaded().vrt_flow_warp_bfloat16 if x.dtype is torch.bfloat16 else loaded().vrt_flow_warp
    image = (x.float() if x.dtype is torch.float16 else x).contiguous(memory_format=torch.channels_last)
    flow, out = flow.float().contiguous(), torch.empty_like(image)
    warp(sizes(*image.shape), address(image), address(flow), border, address(out), threads(out))
    return out.to(x.dtype)


def deform_columns(x: Tensor, offset: Tensor, mask: Tensor | None, rows: range, geometry: tuple[int, ...]) -> Tensor:
    """`(b c h w), (b (g k 2) h' w'), (b (g k) h' w') -> (b (r w') (k c))`: what the rows `rows` of the output read.

    All are float32. `geometry` is height and width of the kernel, stride, padding and dilation.
    Source: native/cpu/deform_conv.cpp.
    """
    x, offset = x.contiguous(memory_format=torch.channels_last), offset.contiguous()
    mask = None if mask is None else mask.contiguous()
    b, c, h, w = x.shape
    taps = geometry[0] * geometry[1]
    groups, (height, width) = offset.shape[1] // (2 * taps), offset.shape[2:]
    out = x.new_empty(b, len(rows) * width, taps * c)
    shape = sizes(b, c, h, w, groups, height, width, *geometry, rows.start, len(rows))
    pointers = (address(each) for each in (x, offset, mask, out))
    loaded().vrt_deform_columns(shape, *pointers, threads(out))
    return out


def loaded() -> ctypes.CDLL:
    """The library, which `applies` has found."""
    found = library()
    assert found is not None
    return found


def threads(out: Tensor) -> int:
    """That make a tensor: as many as torch may use, or fewer where it is small."""
    return max(1, min(torch.get_num_threads(), out.numel() // SHARE))


def sizes(*values: int) -> ctypes.Array[ctypes.c_int64]:
    """A struct of int64."""
    return (ctypes.c_int64 * len(values))(*values)


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    """Of the first element."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
