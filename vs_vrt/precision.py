"""How exactly a device computes: the number formats, and a scope in which nothing is rounded behind our back."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch

from vs_vrt.errors import DeviceError
from vs_vrt.task import TaskRow

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_precision(asked: str | None, row: TaskRow, device: torch.device) -> str:
    """`fp32`, `fp16` or `bf16`: what was asked for, else half precision on CUDA where the row calls that safe.

    Raises `DeviceError` where the device cannot compute in it.
    """
    if asked is None:
        return "fp16" if device.type == "cuda" and row.half_safe else "fp32"
    if asked == "fp16" and device.type == "cpu":
        raise DeviceError('a CPU does not compute in fp16; `precision="bf16"` or `precision="fp32"`')
    return asked


@contextmanager
def computing(device: torch.device, precision: str) -> Iterator[None]:
    """Inference in that precision, where float32 means float32 and the same input means the same kernels."""
    half = precision != "fp32"
    with _exact, torch.inference_mode(), torch.autocast(device.type, DTYPES[precision], enabled=half):
        yield


class _ExactArithmetic:
    """TF32, and choosing kernels by a race, are off while any thread is inside: those are settings of the process.

    The first thread in notes them, the last one out puts them back, unless somebody else has set them meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                _be_exact(self._before)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._before.close()


def _be_exact(before: ExitStack) -> None:
    """Changes the settings, and leaves in `before` what changes them back."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    _change(before, cudnn, "benchmark", False)
    # torch refuses to read a setting by its old name where somebody set it by the new one.
    try:
        _change(before, cudnn, "allow_tf32", False)
    except RuntimeError:
        for part in ("conv", "rnn"):
            _change(before, getattr(cudnn, part), "fp32_precision", "ieee")
    try:
        if matmul.allow_tf32:
            before.callback(_relax, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
    except RuntimeError:
        _change(before, matmul, "fp32_precision", "ieee")


def _change(before: ExitStack, settings: object, name: str, value: object) -> None:
    before.callback(_put_back, settings, name, value, getattr(settings, name))
    setattr(settings, name, value)


def _put_back(settings: object, name: str, ours: object, theirs: object) -> None:
    with suppress(RuntimeError):  # refused, as above: it was set by its new name, and is no longer ours
        if getattr(settings, name) == ours:
            setattr(settings, name, theirs)


def _relax(precision: str) -> None:
    with suppress(RuntimeError):
        if torch.get_float32_matmul_precision() == "highest":
            torch.set_float32_matmul_precision(precision)


_exact = _ExactArithmetic()
