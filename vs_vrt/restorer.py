"""Restorer: one network on one device, from frames to restored frames."""

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from vs_vrt import checkpoint
from vs_vrt.errors import CheckpointError, DeviceError
from vs_vrt.task import TaskRow
from vs_vrt.windows import overlap, runs

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def build(row: TaskRow) -> nn.Module:
    """The row's network with its initial weights, on the current default device."""
    module, name = row.architecture.split(":")
    network = getattr(importlib.import_module(f"vs_vrt.models.{module}"), name)
    return network(network.config_type(**row.config))  # type: ignore[no-any-return]


def choose_precision(asked: str | None, row: TaskRow, device: torch.device) -> str:
    """`fp32`, `fp16` or `bf16`: what was asked for, else half precision on CUDA where the row calls that safe.

    Raises `DeviceError` where the device cannot compute in it.
    """
    if asked is None:
        return "fp16" if device.type == "cuda" and row.half_safe else "fp32"
    if asked == "fp16" and device.type == "cpu":
        raise DeviceError('a CPU does not compute in fp16; `precision="bf16"` or `precision="fp32"`')
    return asked


class Restorer:
    """Holds the loaded network; `restore` is a pure function of its arguments."""

    def __init__(self, row: TaskRow, path: Path, device: torch.device, precision: str) -> None:
        self.row, self.device, self.precision = row, device, precision
        model = build(row)
        checkpoint.load(model, path, row)
        self.model = model.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self.frames = cast(Callable[[Tensor, range], Iterator[Tensor]], self.model.frames)

    def restore(self, video: Tensor, cuts: Sequence[bool], keep: range) -> Iterator[Tensor]:
        """`(t c h w), (t - 1), (t') -> t' x (c (h s) (w s))`: the frames `keep` in order, each from its scene run.

        `video` is RGB, float32, nominally 0..1, on the CPU, and so is the result. Samples that are not finite count as
        0. Raises `OutOfMemory` by way of `vs_vrt.engine`.
        """
        for run in runs(cuts):
            kept = overlap(run, keep)
            if kept:
                scene = video[run.start : run.stop].nan_to_num(0.0, 0.0, 0.0)
                yield from self._restore_scene(scene, range(kept.start - run.start, kept.stop - run.start))

    def _restore_scene(self, scene: Tensor, keep: range) -> Iterator[Tensor]:
        half = self.precision != "fp32"
        # Everything is switched on and off around each frame: between two frames the thread belongs to the caller.
        with torch.inference_mode():
            frames = self.frames(scene[None].to(self.device), keep)
        while True:
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, DTYPES[self.precision], enabled=half),
                torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            ):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame[0].float().cpu()


_loaded: WeakValueDictionary[tuple[str, str, int, int, str, str], Restorer] = WeakValueDictionary()
_lock = threading.Lock()


def load_restorer(row: TaskRow, path: Path, device: torch.device, precision: str) -> Restorer:
    """A Restorer that every caller with the same arguments shares while one of them holds it.

    Raises `CheckpointError`.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read any more ({error.strerror}); `check the path`") from error
    key = (row.model, str(path), stat.st_mtime_ns, stat.st_size, str(device), precision)
    with _lock:
        found = _loaded.get(key)
        if found is None:
            found = _loaded[key] = Restorer(row, path, device, precision)
        return found
