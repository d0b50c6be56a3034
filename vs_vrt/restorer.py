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
from vs_vrt.mirror import extend, mirror
from vs_vrt.task import TaskRow
from vs_vrt.windows import overlap, runs

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def build(row: TaskRow) -> nn.Module:
    """The row's network with its initial weights, on the current default device."""
    module, name = row.architecture.split(":")
    network = getattr(importlib.import_module(f"vs_vrt.models.{module}"), name)
    return network(network.config_type(**row.config))  # type: ignore[no-any-return]


def channels_last[Network: nn.Module](model: Network) -> Network:
    """The network with the weights of its convolutions in the order that is fastest."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


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
    """Holds the loaded network; `restore` and `interpolate` are pure functions of their arguments.

    Both take RGB, float32, nominally 0..1, on the CPU, and give the same. Samples that are not finite count as 0.
    `cuts[i]` says that a scene ends between frames i and i + 1: no frame of another scene is looked at. Raises
    `OutOfMemory` by way of `vs_vrt.engine`.
    """

    def __init__(self, row: TaskRow, path: Path, device: torch.device, precision: str) -> None:
        self.row, self.device, self.precision = row, device, precision
        model = build(row)
        checkpoint.load(model, path, row)
        self.model = channels_last(model.eval().requires_grad_(False)).to(device)

    def restore(self, video: Tensor, cuts: Sequence[bool], keep: range) -> Iterator[Tensor]:
        """`(t c h w), (t - 1), (t') -> t' x (3 (h s) (w s))`: the frames `keep` in order.

        A fourth channel holds sigma / 255 for the networks that take a noise level.
        """
        for scene, kept in _scenes(video, cuts, keep):
            restored = self._slide(scene, kept) if self.row.gives == "centre" else self._sequence(scene, kept)
            yield from self._scoped(restored)

    def interpolate(self, video: Tensor, cuts: Sequence[bool], keep: range, factor: int) -> Iterator[Tensor]:
        """`(t 3 h w), (t - 1), (t') -> (factor t') x (3 h w)`: each frame of `keep`, then the new ones up to the next.

        `factor` is a power of two: frames halfway between two, then halfway between those. After the last frame of a
        scene come copies of it.
        """
        for scene, kept in _scenes(video, cuts, keep):
            yield from self._scoped(self._between(scene, kept, factor))

    def _sequence(self, scene: Tensor, keep: range) -> Iterator[Tensor]:
        h, w = (size * self.row.scale for size in scene.shape[-2:])
        extended = scene
        if len(scene) < self.row.num_frames:
            extended = scene[mirror(range(self.row.num_frames), len(scene))]
        frames = cast(Callable[[Tensor, range], Iterator[Tensor]], self.model.frames)
        for frame in frames(self._prepare(extended), keep):
            yield frame[0, :, :h, :w]

    def _slide(self, scene: Tensor, keep: range) -> Iterator[Tensor]:
        reach = self.row.num_frames // 2
        for i in keep:
            yield self._single(scene[mirror(range(i - reach, i + reach + 1), len(scene))])

    def _between(self, scene: Tensor, keep: range, factor: int) -> Iterator[Tensor]:
        last = (len(scene) - 1) * factor

        made: dict[int, Tensor] = {}

        def frame(position: int) -> Tensor:
            """At a multiple of 1 / factor."""
            if position % factor == 0:
                return scene[position // factor]
            if position not in made:
                step = position & -position  # the four around it lie on the next coarser grid
                before = (position - step) // (2 * step)
                around = mirror(range(before - 1, before + 3), last // (2 * step) + 1)
                made[position] = self._single(torch.stack([frame(2 * step * i) for i in around])).float().cpu()
            return made[position]

        for position in range(keep.start * factor, keep.stop * factor):
            for passed in [each for each in made if each < position - 3 * factor]:
                del made[passed]
            yield frame(min(position, last))

    def _single(self, clip: Tensor) -> Tensor:
        """`(t 3 h w) -> (3 (h s) (w s))`: by a network that gives one frame."""
        h, w = (size * self.row.scale for size in clip.shape[-2:])
        return self.model(self._prepare(clip))[0, 0, :, :h, :w]  # type: ignore[no-any-return]

    def _prepare(self, clip: Tensor) -> Tensor:
        """`(t c h w) -> (1 t c h' w')`: on the device, of a size that the network takes."""
        return extend(clip, self.row.multiple, self.row.min_size)[None].to(self.device)

    def _scoped(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """Computes frame by frame in the precision asked for; between two frames the thread belongs to the caller."""
        while True:
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "fp32"),
                torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            ):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame.float().cpu()


def _scenes(video: Tensor, cuts: Sequence[bool], keep: range) -> Iterator[tuple[Tensor, range]]:
    """The scenes that have frames of `keep`, each with their places in it."""
    for run in runs(cuts):
        kept = overlap(run, keep)
        if kept:
            scene = video[run.start : run.stop]
            if not scene.isfinite().all():
                scene = scene.nan_to_num(0.0, 0.0, 0.0)
            yield scene, range(kept.start - run.start, kept.stop - run.start)


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
