"""Clips whose truth is known, and the way between arrays and VapourSynth."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from vs_vrt.video.footage import footage, read_frames

core = vs.core
SCALE = 4
# No reference: an old film whose truth nobody has.
EXCLUDED = ("friday_oldfilm_480p",)
# The shipped checkpoints were trained on other shots of the same film.
APART = ("bbb_",)

type Frame = NDArray[np.uint8]  # (h w 3), RGB
type Frames = NDArray[np.uint8]  # (n h w 3), RGB


def clips(folder: Path, names: str = "") -> list[Path]:
    """All clips of a folder that have a truth, or those whose names begin with one of `names`, separated by commas."""
    found = [path for path in footage(folder) if path.stem not in EXCLUDED]
    return [path for path in found if path.stem.startswith(tuple(names.split(",")))]


def reduction(path: Path) -> float:
    """By how much a source is reduced before it counts as truth."""
    if path.is_file():
        return 2
    return 4 / 3 if any(each.suffix.lower() in (".jpg", ".jpeg") for each in path.iterdir()) else 1


def source(frames: Any) -> vs.VideoNode:
    """`n x (h w 3)` as an RGB24 clip."""
    h, w = frames[0].shape[:2]
    blank = core.std.BlankClip(format=vs.RGB24, width=w, height=h, length=len(frames), keep=True)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(out[plane]), frames[n][..., plane])
        return out

    return blank.std.ModifyFrame(blank, fill)


def bicubic(clip: vs.VideoNode, width: int, height: int, a: float = -0.5) -> vs.VideoNode:
    """Keys' cubic with parameter `a`, antialiased where it reduces."""
    return clip.resize.Bicubic(width, height, filter_param_a=0, filter_param_b=-a)


def truth(path: Path, limit: int | None = None) -> vs.VideoNode:
    """The clip to be restored, or its first `limit` frames, cut to a multiple of the scale."""
    clip = source(list(islice(read_frames(path), limit)))
    by = reduction(path)
    if by != 1:
        clip = bicubic(clip, int(clip.width / by), int(clip.height / by))
    return clip.std.CropAbs(clip.width // SCALE * SCALE, clip.height // SCALE * SCALE)


def to_array(frame: vs.VideoFrame) -> Frame:
    """`-> (h w 3)`."""
    return np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)


def frames_of(clip: vs.VideoNode) -> Iterator[Frame]:
    """The frames of an RGB24 clip, one after the other."""
    return (to_array(frame) for frame in clip.frames(close=True))


def array(clip: vs.VideoNode) -> Frames:
    """`-> (n h w 3)`."""
    return np.stack(list(frames_of(clip)))
