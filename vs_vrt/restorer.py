"""Restorer: one network on one device, from frames to restored frames."""

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from vs_vrt import checkpoint
from vs_vrt.errors import CheckpointError
from vs_vrt.mirror import extend, mirror
from vs_vrt.models.network import Network, Place, Statistics
from vs_vrt.precision import computing
from vs_vrt.replay import aside
from vs_vrt.task import TaskRow
from vs_vrt.tiling import Tile, Tiles, cut, merge
from vs_vrt.windows import overlap, runs


def build(row: TaskRow) -> Network:
    """The row's network with its initial weights, on the current default device."""
    module, name = row.architecture.split(":")
    network = getattr(importlib.import_module(f"vs_vrt.models.{module}"), name)
    return network(network.config_type(**row.config))  # type: ignore[no-any-return]


def channels_last[Model: nn.Module](model: Model) -> Model:
    """The network with the weights of its convolutions in the order that is fastest."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


class Restorer:
    """Holds the loaded network; `restore` and `interpolate` are pure functions of their arguments.

    Both take RGB, float32, nominally 0..1, on the CPU, and give the same. Samples that are not finite count as 0.
    `cuts[i]` says that a scene ends between frames i and i + 1: no frame of another scene is looked at. Only pixels of
    one of the `tiles` at a time go to the device; None: the whole frame is one. `precision` may be another than the
    Restorer's own for once. Raises `OutOfMemory` by way of `vs_vrt.engine`.
    """

    def __init__(self, row: TaskRow, path: Path, device: torch.device, precision: str) -> None:
        self.row, self.device, self.precision = row, device, precision
        model = build(row)
        checkpoint.load(model, path, row)
        self.model = channels_last(model.eval().requires_grad_(False)).to(device)

    def restore(
        self,
        video: Tensor,
        cuts: Sequence[bool],
        keep: range,
        tiles: Tiles | None = None,
        precision: str | None = None,
    ) -> Iterator[Tensor]:
        """`(t c h w), (t - 1), (t') -> t' x (3 (h s) (w s))`: the frames `keep` in order.

        A fourth channel holds sigma / 255 for the networks that take a noise level.
        """
        for scene, kept in _scenes(video, cuts, keep):
            if len(scene) < self.row.num_frames:
                scene = scene[mirror(range(self.row.num_frames), len(scene))]
            yield from self._frames(scene, kept, tiles, precision)

    def interpolate(
        self,
        video: Tensor,
        cuts: Sequence[bool],
        keep: range,
        factor: int,
        tiles: Tiles | None = None,
        precision: str | None = None,
    ) -> Iterator[Tensor]:
        """`(t 3 h w), (t - 1), (t') -> (factor t') x (3 h w)`: each frame of `keep`, then the new ones up to the next.

        `factor` is a power of two: frames halfway between two, then halfway between those. After the last frame of a
        scene come copies of it.
        """

        def halfway(clip: Tensor) -> Tensor:
            return next(self._frames(clip, range(1), tiles, precision))

        for scene, kept in _scenes(video, cuts, keep):
            yield from _between(scene, kept, factor, halfway)

    def _frames(self, video: Tensor, keep: range, tiles: Tiles | None, precision: str | None) -> Iterator[Tensor]:
        """`(t c h w) -> t' x (3 (h s) (w s))`: what the network makes of a scene, or the one frame of four."""
        scope = partial(computing, self.device, precision or self.precision)
        grid = cut(tiles, video.shape[2], video.shape[3], self.row)
        whole: Statistics | None = None
        if len(grid) > 1 and not (tiles and tiles.official):  # as published, each patch knows itself alone
            with scope():
                whole = self.model.statistics(self._extend(video))

        def restored(tile: Tile) -> Iterator[Tensor]:
            h, w = len(tile.rows) * self.row.scale, len(tile.columns) * self.row.scale
            part = video[:, :, tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]
            part = self._extend(part)
            statistics = None if whole is None else self.model.localise(whole, self._place(tile, part, video))
            made = self.model.frames(uploaded(part[None], self.device), keep, statistics)
            return downloaded(frame[0, :, :h, :w].float() for frame in _scoped(made, scope))

        return merge(grid, restored)

    def _place(self, tile: Tile, part: Tensor, video: Tensor) -> Place:
        """Where what is made of `part` lies in what is made of the video, both as the network gets them."""
        whole = self._extend(video[:1])
        rows = range(tile.rows.start, tile.rows.start + part.shape[2])
        columns = range(tile.columns.start, tile.columns.start + part.shape[3])
        return Place(rows, columns, whole.shape[2], whole.shape[3])

    def _extend(self, video: Tensor) -> Tensor:
        """`(t c h w) -> (t c h' w')`: to a size that the network takes."""
        return extend(video, self.row.multiple, self.row.min_size)


def uploaded(video: Tensor, device: torch.device) -> Tensor:
    """`(1 t c h w) -> (1 t c h w)`: the same on the device; to a GPU frame by frame, through pinned memory."""
    if device.type != "cuda":
        return video.to(device)
    made = torch.empty(video.shape, dtype=video.dtype, device=device)
    for place, frame in zip(made[0], video[0], strict=True):
        # A copy of its own: `pin_memory` of a tile would pin all the frames that it is cut from.
        pinned = torch.empty(frame.shape, dtype=frame.dtype, pin_memory=True)
        place.copy_(pinned.copy_(frame), non_blocking=True)
    return made


def downloaded(frames: Iterator[Tensor]) -> Iterator[Tensor]:
    """`t x (3 h w)`: each on the CPU. From a GPU it comes while the next one is computed."""
    waiting: tuple[Tensor, torch.cuda.Event] | None = None
    for frame in frames:
        if not frame.is_cuda:
            yield frame
            continue
        coming = _download(frame)
        if waiting:
            waiting[1].synchronize()
            yield waiting[0]
        waiting = coming
    if waiting:
        waiting[1].synchronize()
        yield waiting[0]


def _download(frame: Tensor) -> tuple[Tensor, torch.cuda.Event]:
    """Where it will be, by way of the thread's other stream, and what says that it is there."""
    frame, there = frame.contiguous(), aside(frame.device)
    there.wait_stream(torch.cuda.current_stream(frame.device))
    host = torch.empty(frame.shape, dtype=frame.dtype, pin_memory=True)
    with torch.cuda.stream(there):
        host.copy_(frame, non_blocking=True)
    frame.record_stream(there)  # its memory is not used again before
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(there)
    return host, event


def _scoped(frames: Iterator[Tensor], scope: Callable[[], AbstractContextManager[None]]) -> Iterator[Tensor]:
    """Computes each frame inside the scope; between two of them the thread belongs to the caller."""
    while True:
        with scope():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _between(scene: Tensor, keep: range, factor: int, halfway: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """`(t 3 h w) -> (factor t') x (3 h w)`: `halfway` makes the frame in the middle of four."""
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
            made[position] = halfway(torch.stack([frame(2 * step * i) for i in around]))
        return made[position]

    for position in range(keep.start * factor, keep.stop * factor):
        for passed in [each for each in made if each < position - 3 * factor]:
            del made[passed]
        yield frame(min(position, last))


def _scenes(video: Tensor, cuts: Sequence[bool], keep: range) -> Iterator[tuple[Tensor, range]]:
    """The scenes that have frames of `keep`, each with their places in it."""
    for run in runs(cuts):
        kept = overlap(run, keep)
        if kept:
            scene = video[run.start : run.stop]
            if not scene.isfinite().all():
                scene = scene.nan_to_num(0.0, 0.0, 0.0)
            yield scene, range(kept.start - run.start, kept.stop - run.start)


_loaded: WeakValueDictionary[tuple[str, int, str, int, int, str, str], Restorer] = WeakValueDictionary()
_lock = threading.Lock()


def load_restorer(row: TaskRow, path: Path, device: torch.device, precision: str) -> Restorer:
    """A Restorer that every caller with the same arguments shares while one of them holds it.

    Raises `CheckpointError`.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read any more ({error.strerror}); `check the path`") from error
    # What a call changes of a row counts too, where a Restorer looks at it.
    key = (row.model, row.num_frames, str(path), stat.st_mtime_ns, stat.st_size, str(device), precision)
    with _lock:
        found = _loaded.get(key)
        if found is None:
            found = _loaded[key] = Restorer(row, path, device, precision)
        return found
