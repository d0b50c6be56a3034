"""Clips whose every sample a test can compute, and the ways to read them. Scripts under vspipe import it as well."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray
from vapoursynth import core

type Video = NDArray[np.float32]  # (t 3 h w), RGB

ROOT = Path(__file__).parents[1]
SCALE = 4


def moving_texture(seed: int, frames: int, width: int = 32, height: int = 24) -> Video:
    """`-> (t 3 h w)`: a shot of blocks and noise in colours of its own, which moves by a pixel a frame."""
    random = np.random.default_rng(seed)
    tint = random.permutation([0.2, 0.5, 0.8])[:, None, None]
    blocks = np.kron(random.uniform(-0.2, 0.2, (3, height // 6 + 1, (width + frames) // 6 + 1)), np.ones((6, 6)))
    picture = tint + blocks + random.uniform(-0.03, 0.03, blocks.shape)
    shots = [picture[:, :height, n : n + width] for n in range(frames)]
    return np.stack(shots).clip(0, 1).astype(np.float32)


def dead_leaves(frames: int, width: int, height: int, step: int) -> Video:
    """`-> (t 3 h w)`: discs that hide one another, with edges as photographs have them; `step` pixels a frame."""
    random = np.random.default_rng(1)
    rows, columns = 2 * height, 2 * (width + step * (frames - 1))
    canvas = np.full((3, rows, columns), 0.5, np.float32)
    row, column = np.ogrid[:rows, :columns]
    for _ in range(rows * columns // 50):
        radius = 4 / np.sqrt(random.uniform(0.003, 1))
        disc = np.hypot(row - random.uniform(0, rows), column - random.uniform(0, columns)) < radius
        canvas[:, disc] = random.uniform(0.1, 0.9) + random.uniform(-0.1, 0.1, (3, 1))
    picture = canvas.reshape(3, height, 2, columns // 2, 2).mean((2, 4))
    return np.stack([picture[..., step * n : step * n + width] for n in range(frames)])


def clip_of(video: Video) -> vs.VideoNode:
    """An RGBS clip of these frames, without any colour property."""

    def frame(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        filled = f.copy()
        for plane, samples in enumerate(video[n]):
            np.copyto(np.asarray(filled[plane]), samples)
        return filled

    _, _, height, width = video.shape
    blank = core.std.BlankClip(format=vs.RGBS, width=width, height=height, length=len(video))
    return blank.std.ModifyFrame(blank, frame)


def texture_clip(seed: int, frames: int, format: int = vs.RGBS) -> vs.VideoNode:
    """A moving texture in any format; YUV and GRAY are BT.709 and say so."""
    rgb = clip_of(moving_texture(seed, frames))
    family = core.get_video_format(format).color_family
    return rgb.resize.Bicubic(format=format, matrix=None if family == vs.RGB else vs.MATRIX_BT709)


def carried(restored: vs.VideoNode, format: vs.VideoFormat) -> vs.VideoNode:
    """Restored frames as they wait to be fetched."""
    if format.sample_type == vs.INTEGER:
        return restored.resize.Bicubic(format=vs.RGB48, range=1)
    return restored.resize.Bicubic(format=vs.RGBS if format.bits_per_sample == 32 else vs.RGBH)


def untouchable(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip, for looking at from outside alone: who asks for a frame fails."""

    def fail(n: int, **_: object) -> vs.VideoFrame:
        raise RuntimeError(f"somebody asked for frame {n}")

    return clip.std.ModifyFrame(clip, fail)


def counted(clip: vs.VideoNode) -> tuple[vs.VideoNode, Counter[int]]:
    """The clip, and how often each of its frames was asked for."""
    requests: Counter[int] = Counter()

    def count(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        requests[n] += 1
        return f

    return clip.std.ModifyFrame(clip, count), requests


def frame_bytes(frame: vs.VideoFrame) -> bytes:
    """The samples of all planes, without padding, as vspipe writes them."""
    return b"".join(np.asarray(plane).tobytes() for plane in frame)


def clip_bytes(clip: vs.VideoNode) -> list[bytes]:
    """Every frame of the clip, in order."""
    return [frame_bytes(frame) for frame in clip.frames()]


def pixels(frame: vs.VideoFrame) -> NDArray[Any]:
    """`-> (c h w)`: a copy of planes of one size."""
    return np.stack([np.asarray(plane) for plane in frame])


def properties(clip: vs.VideoNode, n: int = 0) -> dict[str, Any]:
    """The properties of one frame."""
    return dict(clip.get_frame(n).props)


def check_grammar(text: str) -> None:
    """Asserts that an error reads `vrt: what is wrong; the remedy, with the part to type in backticks`."""
    assert re.fullmatch(r"vrt: [^;\n]+; [^\n]*`[^`\n]+`[^\n]*", text), text
    assert "Traceback" not in text
    assert "internal error" not in text


def python_places(messages: Iterable[str]) -> list[str]:
    """The `folder/file.py:line` that log messages name as the origin of an error."""
    found = (re.search(r"vrt: raised at ([\w-]+/\w+\.py:\d+)", message) for message in messages)
    return [match[1] for match in found if match]
