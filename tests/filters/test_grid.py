"""Which frames a window reads and restores, and how windows share a frame: seen from outside."""

import numpy as np
import pytest
import vapoursynth as vs
from vapoursynth import core

from tests.support import clip_of, pixels

pytestmark = pytest.mark.usefixtures("arithmetic")

WEIGHT = 1 / 4096  # frame numbers as samples, exact in float32


@pytest.fixture
def numbered() -> vs.VideoNode:
    """Frame n holds n / 4096 in all samples."""
    frames = 23
    video = np.empty((frames, 3, 4, 5), np.float32)
    video[:] = (np.arange(frames) * WEIGHT)[:, None, None, None]
    return clip_of(video)


def told(clip: vs.VideoNode, n: int) -> tuple[float, float, float]:
    """Of a frame: its own number, and the first and last number of what its window read."""
    r, g, b = pixels(clip.get_frame(n))[:, 0, 0] / WEIGHT
    return float(r), float(g), float(b)


@pytest.mark.parametrize(("frames", "length", "overlap"), [(23, 5, 2), (23, 5, 0), (23, 8, 3), (4, 5, 2), (1, 5, 1)])
def test_segments_read_warm_up_on_both_sides(numbered: vs.VideoNode, frames: int, length: int, overlap: int) -> None:
    clip = core.vrt.Restore(numbered[:frames], task="sr4", model="span", length=length, overlap=overlap, sc_threshold=0)
    for n in range(frames):
        start = n // length * length
        stop = min(start + length, frames)
        assert told(clip, n) == (n, max(start - overlap, 0), min(stop + overlap, frames) - 1)


def test_segments_begin_to_read_on_multiples_of_the_stride(numbered: vs.VideoNode) -> None:
    clip = core.vrt.Restore(numbered, model="stride", length=7, overlap=2, sc_threshold=0)
    for n in range(23):
        start = n // 7 * 7
        assert told(clip, n)[:2] == (n, max(start - 2, 0) // 5 * 5)


def expected_shares(n: int, frames: int, length: int, overlap: int, average: bool) -> list[tuple[int, float]]:
    """The first frame of each window that restores frame n, and its weight; by trying all windows."""
    step = length - overlap
    if average:
        starts = [*range(0, frames - length, step), max(0, frames - length)]
        found = [start for start in starts if start <= n < start + length]
        return [(start, 1 / len(found)) for start in found]
    starts = [0]
    while starts[-1] + length < frames:
        starts.append(starts[-1] + step)
    found = [start for start in starts if start <= n < start + length]
    if len(found) == 1:
        return [(found[0], 1.0)]
    later = (n - found[1] + 1) / (overlap + 1)
    return [(found[0], 1 - later), (found[1], later)]


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(
    ("frames", "length", "overlap"), [(23, 8, 2), (23, 8, 4), (22, 8, 3), (23, 4, 1), (9, 8, 2), (8, 8, 2), (3, 8, 2)]
)
def test_blended_windows_share_a_frame(
    numbered: vs.VideoNode, frames: int, length: int, overlap: int, average: bool
) -> None:
    clip = core.vrt.Restore(
        numbered[:frames],
        model="blended",
        length=length,
        overlap=overlap,
        **{"blend": "official", "tile": 0} if average else {"sc_threshold": 0},
    )
    for n in range(frames):
        shares = expected_shares(n, frames, length, overlap, average)
        own, first, last = told(clip, n)
        assert own == pytest.approx(n, abs=1e-3)
        assert first == pytest.approx(sum(weight * start for start, weight in shares), abs=1e-3)
        ends = sum(weight * (min(start + length, frames) - 1) for start, weight in shares)
        assert last == pytest.approx(ends, abs=1e-3)


@pytest.mark.parametrize("overlap", [2, 5, 7])
def test_official_windows_may_overlap_by_more_than_half(numbered: vs.VideoNode, overlap: int) -> None:
    clip = core.vrt.Restore(numbered, model="blended", length=8, overlap=overlap, blend="official", tile=0)
    for n in range(23):
        shares = expected_shares(n, 23, 8, overlap, average=True)
        assert told(clip, n)[1] == pytest.approx(sum(weight * start for start, weight in shares), abs=1e-3)
