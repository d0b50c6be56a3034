"""Every architecture: what stands on one side of a scene cut changes no byte on the other, wherever the cut is."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from vapoursynth import core
from vs_vrt.filters import restore

from tests.filters import reduced
from tests.filters.doubles import Memory, save_smallest, smallest
from tests.support import Video, clip_bytes, clip_of, frame_bytes, moving_texture, pixels

FRAMES = 5
SHOT, OTHER = moving_texture(1, FRAMES, 8, 8), moving_texture(2, FRAMES, 8, 8)
# Windows of segments begin at 0 and 3, blended ones at 0 and 2: a cut is at every offset in one, and at a border.
WINDOWS = {"length": 3, "overlap": 1}
CUTS = range(1, 4)

quick = settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def mark(clip: vs.VideoNode, *cuts: int) -> vs.VideoNode:
    """The clip, saying that scenes begin with the frames `cuts` and nowhere else."""

    def set_properties(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        marked = f.copy()
        marked.props.update(_SceneChangePrev=int(n in cuts), _SceneChangeNext=int(n + 1 in cuts))
        return marked

    return clip.std.ModifyFrame(clip, set_properties)


@pytest.fixture(scope="module", params=reduced.MODELS)
def architecture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Architecture"]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(restore, "TASKS", (smallest(request.param),))
        Memory(monkeypatch)
        yield Architecture(request.param, tmp_path_factory.mktemp("checkpoint"))


class Architecture:
    """One of the reduced networks."""

    def __init__(self, name: str, folder: Path) -> None:
        self.row, self.weights = smallest(name), str(save_smallest(name, folder))
        self.factor = 2 if self.row.gives == "between" else 1
        self.kept = self.nodes(clip_of(SHOT), {})  # so that the loaded checkpoint stays
        self.restore = functools.cache(self._restore)

    def nodes(self, clip: vs.VideoNode, arguments: dict[str, Any]) -> vs.VideoNode:
        if self.factor > 1:
            return core.vrt.Interpolate(clip, weights=self.weights, **arguments)
        return core.vrt.Restore(clip, task=self.row.task, weights=self.weights, **arguments)

    def _restore(self, sides: str, cut: int, start: int = 0, stop: int = FRAMES, length: int = 3) -> list[bytes]:
        """Frames `start` to `stop` of a clip whose sides of the cut are "a" or "b": `SHOT` or `OTHER`."""
        footage = {"a": SHOT, "b": OTHER}
        video = np.concatenate([footage[sides[0]][:cut], footage[sides[1]][cut:]])
        clip = mark(clip_of(video), cut)[start:stop]
        return clip_bytes(self.nodes(clip, WINDOWS | {"length": length}))


@pytest.mark.parametrize("cut", CUTS)
def test_replacing_one_side_changes_no_byte_on_the_other(architecture: Architecture, cut: int) -> None:
    joined, border = architecture.restore("ab", cut), cut * architecture.factor
    assert architecture.restore("aa", cut)[:border] == joined[:border]
    assert architecture.restore("bb", cut)[border:] == joined[border:]
    # And the other footage does make a difference on its own side.
    assert not set(architecture.restore("aa", cut)[border:]) & set(joined[border:])


@pytest.mark.parametrize("cut", [1, 3])
def test_in_one_window_each_side_equals_itself_alone(architecture: Architecture, cut: int) -> None:
    joined, border = architecture.restore("ab", cut, length=FRAMES), cut * architecture.factor
    assert architecture.restore("ab", cut, 0, cut, length=FRAMES) == joined[:border]
    assert architecture.restore("ab", cut, cut, FRAMES, length=FRAMES) == joined[border:]


def test_with_a_cut_on_the_grid_each_side_equals_itself_alone(architecture: Architecture) -> None:
    cut = 2 if architecture.row.sharing == "blended" else 3
    joined, border = architecture.restore("ab", cut), cut * architecture.factor
    assert architecture.restore("ab", cut, 0, cut) == joined[:border]
    assert architecture.restore("ab", cut, cut) == joined[border:]


def test_without_a_cut_the_sides_touch(architecture: Architecture) -> None:
    """Or all of the above would show nothing."""
    whole = clip_bytes(architecture.nodes(clip_of(SHOT), WINDOWS | {"sc_threshold": 0}))
    parted = architecture.restore("aa", 2)
    assert whole[2 * architecture.factor - 1] != parted[2 * architecture.factor - 1]


# How blended windows share the frames of a scene, with a network that tells what it read.

WEIGHT = 1 / 4096  # frame numbers as samples


def numbered(count: int) -> Video:
    video = np.empty((count, 3, 2, 2), np.float32)
    video[:] = (np.arange(count) * WEIGHT)[:, None, None, None]
    return video


def expected(n: int, count: int, length: int, overlap: int, cuts: set[int]) -> tuple[float, float, float]:
    """Of frame n: its number, and the first and last frame that its windows read of its scene, blended.

    By trying all windows. `cuts` are the frames with which scenes begin.
    """
    starts = [0]
    while starts[-1] + length < count:
        starts.append(starts[-1] + length - overlap)
    answers = []
    for start in (start for start in starts if start <= n < start + length):
        stop = min(start + length, count)
        first = max([start, *(cut for cut in cuts if cut <= n)])
        last = min([stop, *(cut for cut in cuts if cut > n)])
        is_stub = (first == start > 0 or last == stop < count) and last - first <= overlap
        answers.append((start, first, last - 1, is_stub))
    ramp = [1.0]
    if len(answers) == 2:
        later = (n - answers[1][0] + 1) / (overlap + 1)
        ramp = [1 - later, later]
    kept = [i for i, answer in enumerate(answers) if not answer[3]] or [len(answers) - 1]
    total = sum(ramp[i] for i in kept)
    first, last = (sum(ramp[i] * answers[i][part] for i in kept) / total for part in (1, 2))
    return n, first, last


@pytest.mark.usefixtures("arithmetic")
@quick
@given(
    count=st.integers(1, 16),
    windows=st.sampled_from([(4, 1), (5, 2), (6, 3), (8, 2), (8, 4)]),
    cuts=st.sets(st.integers(1, 15), max_size=4),
)
def test_runs_that_the_grid_cuts_short_are_left_to_the_other_window(
    count: int, windows: tuple[int, int], cuts: set[int]
) -> None:
    video, cuts = numbered(count), {cut for cut in cuts if cut < count}
    length, overlap = windows
    restored = core.vrt.Restore(
        mark(clip_of(video), *cuts), task="sr4", model="blended", length=length, overlap=overlap
    )
    for n, frame in enumerate(restored.frames()):
        told = pixels(frame)[:, 0, 0] / WEIGHT
        np.testing.assert_allclose(told, expected(n, count, length, overlap, cuts), rtol=0, atol=1e-3)
        assert not [key for key in frame.props if key.startswith("_vrt")]


@pytest.mark.usefixtures("arithmetic")
def test_stubs_at_both_ends_of_a_window_are_dropped() -> None:
    """The rule above, by hand: windows 0..7, 6..13, 12..15 with scenes that begin at 8 and 12."""
    restored = core.vrt.Restore(mark(clip_of(numbered(16)), 8, 12), task="sr4", model="blended", length=8, overlap=2)
    spans = [tuple((pixels(restored.get_frame(n))[1:, 0, 0] / WEIGHT).tolist()) for n in (5, 6, 7, 8, 11, 12, 13, 14)]
    assert spans == [(0, 7), (0, 7), (0, 7), (8, 11), (8, 11), (12, 15), (12, 15), (12, 15)]


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("cut", [1, 3, 4, 5, 6, 11])
def test_any_order_of_requests_around_a_cut(cut: int) -> None:
    clips = [
        core.vrt.Restore(mark(clip_of(numbered(12)), cut), task="sr4", model="blended", length=5, overlap=2)
        for _ in range(2)
    ]
    whole = clip_bytes(clips[0])
    order = np.random.default_rng(cut).permutation(12).tolist()
    assert [frame_bytes(clips[1].get_frame(n)) for n in order] == [whole[n] for n in order]
    assert all(a != b for a, b in itertools.pairwise(whole))
