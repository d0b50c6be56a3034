"""Random pieces of footage: crops of neighbouring frames, some of them filmed by a camera that moves."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from vs_vrt.engine import total_ram
from vs_vrt.errors import ArgumentError, ClipError
from vs_vrt.video.footage import Index, footage, index, read_clip, read_piece

log = logging.getLogger(__name__)

TRIES = 16  # at a piece, of files that break off
MEMORY_SHARE = 0.25  # of the machine's RAM, which clips may take
PAN_SHARE = 0.5  # of pieces, in which the crop moves along an axis
PAN_SHAKE = 1.0  # pixels: standard deviation of the change of speed from frame to frame


class Clip(Protocol):
    """Frames `(t h w 3)`, 8 bits: an array of them, or what reads like one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, frames: int | slice, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class StoredClip:
    """A clip on disk; each piece of it is read when it is asked for. Raises `ClipError` where it cannot be read."""

    path: Path
    index: Index

    @property
    def shape(self) -> tuple[int, ...]:
        return self.index.count, *self.index.size, 3

    def __len__(self) -> int:
        return self.index.count

    def __getitem__(self, frames: int | slice, /) -> NDArray[np.uint8]:
        if isinstance(frames, slice):
            start, stop, _ = frames.indices(len(self))
            return read_piece(self.path, self.index, start, stop)
        frame: NDArray[np.uint8] = self[frames : frames + 1][0]
        return frame


class Footage:
    """The clips of a folder: in memory while all fit into a share of the machine's RAM, else read piece by piece.

    Pieces are the same either way. Raises `ArgumentError` where there are none, `ClipError` where one cannot be read.
    """

    def __init__(self, folder: Path, share: float = MEMORY_SHARE) -> None:
        self.folder = folder
        self.told: set[str] = set()  # what was wrong with clips
        found = [StoredClip(path, index(path)) for path in (footage(folder) if folder.is_dir() else [])]
        if not found:
            raise ArgumentError(f"{folder} holds no video files or image folders; `another folder`")
        need, room = sum(math.prod(clip.shape) for clip in found), share * total_ram()
        fits = need <= room
        if not fits:
            log.info(
                "%s would take %.1f GB of memory, of %.1f: it is read piece by piece", folder, need / 1e9, room / 1e9
            )
        self.use([read_clip(clip.path, clip.index) for clip in found] if fits else found)

    def use(self, clips: Sequence[Clip]) -> None:
        """Chooses pieces from these from now on."""
        self.clips = clips
        frames = np.array([len(clip) for clip in clips], dtype=np.float64)
        self.shares = frames / frames.sum()

    def check(self, side: int) -> None:
        """Leaves out clips without room for pieces of that side in pixels. Raises `ArgumentError` where none has it."""
        large = [clip for clip in self.clips if min(clip.shape[1:3]) >= side]
        if not large:
            raise ArgumentError(
                f"all clips of {self.folder} are smaller than the crops; `footage of {side}x{side} at least`"
            )
        if left := len(self.clips) - len(large):
            log.info(
                "left out %d of %d clips, which are smaller than crops of %dx%d", left, len(self.clips), side, side
            )
            self.use(large)

    def piece(self, rng: np.random.Generator, num_frames: int, size: tuple[int, int], pan: float) -> NDArray[np.uint8]:
        """`-> (t h w 3)`: (h, w) pixels of `num_frames` neighbouring frames, from a place and time that `rng` chooses.

        A moving camera is moved by up to `pan` pixels a frame in each direction. Each frame of the footage is as likely
        as any other. Half of the pieces lie on their side. Where a file breaks off, the piece is another one. Raises
        `ClipError` where that does not help.
        """
        for tries_left in reversed(range(TRIES)):
            clip = self.clips[int(rng.choice(len(self.clips), p=self.shares))]
            turned = rng.random() < 0.5
            try:
                piece = crop(clip, num_frames, size[::-1] if turned else size, pan, rng)
            except ClipError as error:
                if not tries_left:
                    raise
                self.tell(str(error))
            else:
                return augment(rearrange(piece, "t h w c -> t w h c") if turned else piece, rng)
        raise AssertionError

    def tell(self, wrong: str) -> None:
        """Says once that a run goes on without a clip: it may be the only one that is damaged, hours from now."""
        if wrong not in self.told:
            self.told.add(wrong)
            log.warning("vrt: %s; the run goes on without it", wrong)


def crop(clip: Clip, num_frames: int, size: tuple[int, int], pan: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """`(T H W 3) -> (t h w 3)`: a random place and time, and a path of the crop by whole pixels.

    Whole pixels, as resampling would blur what is to be learned; where frames are reduced by 4 then, they are quarters.
    Clips that are too short are played back and forth.
    """
    t = len(clip)
    order = np.arange(num_frames)
    if t < num_frames:
        order = np.resize(np.concatenate([np.arange(t), np.arange(t)[::-1]]), num_frames)
    order += int(rng.integers(0, max(t - num_frames, 0) + 1))
    rows, columns = (path(num_frames, room - side, pan, rng) for room, side in zip(clip.shape[1:3], size, strict=True))
    first = int(order.min())
    frames = clip[first : int(order.max()) + 1]
    places = zip(order - first, rows, columns, strict=True)
    return np.stack([frames[i, y : y + size[0], x : x + size[1]] for i, y, x in places])


def path(num_frames: int, room: int, pan: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """`-> (t)`: positions from 0 to `room`, at rest or drifting by up to `pan` a frame.

    One that would leave is turned back at the border.
    """
    moves = rng.random() < PAN_SHARE
    speed = rng.uniform(-pan, pan) + np.cumsum(rng.normal(0, PAN_SHAKE, num_frames))
    start = rng.integers(0, room + 1)
    if not moves:
        return np.full(num_frames, start)
    way = start + np.round(np.cumsum(speed)).astype(np.int64)
    return room - np.abs(room - way % (2 * room)) if room else np.zeros_like(way)


def augment(clip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """`(t h w 3) -> (t h w 3)`: time reversal and mirror images, each with probability one half."""
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            clip = np.flip(clip, axis)
    return np.ascontiguousarray(clip)
