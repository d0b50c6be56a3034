"""Nothing crosses a scene cut: what stands on one side changes no byte on the other."""

import itertools

import numpy as np
import pytest
import torch
import vapoursynth as vs
from vapoursynth import core

from tests.support import Video, clip_bytes, clip_of, moving_texture
from vs_vrt.scenes import DEFAULT_THRESHOLD, distance

LENGTH, OVERLAP, FRAMES = 4, 2, 10
# Every place in a window, its first frame and the next window's first frame.
CUTS = range(LENGTH, 2 * LENGTH + 1)

SHOTS = [moving_texture(seed, FRAMES) for seed in (1, 2, 3)]
# No detector takes these for cuts: the same shot, a little darker.
DARKER = SHOTS[0] * np.float32(0.96)


def restored(clip: vs.VideoNode, threshold: float | None = None) -> list[bytes]:
    return clip_bytes(core.vrt.Restore(clip, length=LENGTH, overlap=OVERLAP, sc_threshold=threshold))


def join(before: Video, after: Video, cut: int) -> vs.VideoNode:
    return clip_of(np.concatenate([before[:cut], after[cut:]]))


def mark(clip: vs.VideoNode, n: int, **values: int) -> vs.VideoNode:
    """The clip with properties on frame `n` alone."""
    marked = clip.std.SetFrameProps(**values)
    return core.std.Splice([part for part in (clip[:n], marked[n], clip[n + 1 :]) if part.num_frames])


def distances(video: Video) -> list[float]:
    tensor = torch.from_numpy(video)
    return [distance(a, b) for a, b in itertools.pairwise(tensor)]


def test_the_shots_are_what_the_other_tests_take_them_for() -> None:
    for shot in SHOTS:
        assert max(distances(shot)) < DEFAULT_THRESHOLD / 2
        for other in SHOTS:
            assert other is shot or min(distances(np.stack([shot[4], other[5]]))) > 1.2 * DEFAULT_THRESHOLD
    assert max(distances(np.concatenate([SHOTS[0][:5], DARKER[5:]]))) < DEFAULT_THRESHOLD


@pytest.mark.parametrize("cut", CUTS)
def test_replacing_one_side_of_a_detected_cut_changes_no_byte_on_the_other(cut: int) -> None:
    one, two, three = SHOTS
    whole = restored(join(one, two, cut))
    assert restored(join(one, three, cut))[:cut] == whole[:cut]
    assert restored(join(three, two, cut))[cut:] == whole[cut:]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("property", ["_SceneChangePrev", "_SceneChangeNext"])
def test_replacing_one_side_of_a_marked_cut_changes_no_byte_on_the_other(cut: int, property: str) -> None:
    at = cut if property == "_SceneChangePrev" else cut - 1
    whole = restored(mark(clip_of(SHOTS[0]), at, **{property: 1}))
    assert restored(mark(join(SHOTS[0], DARKER, cut), at, **{property: 1}))[:cut] == whole[:cut]
    assert restored(mark(join(DARKER, SHOTS[0], cut), at, **{property: 1}))[cut:] == whole[cut:]


def test_frames_touch_where_no_cut_is_marked() -> None:
    whole, changed = restored(clip_of(SHOTS[0])), restored(join(SHOTS[0], DARKER, 6))
    assert [n for n in range(FRAMES) if whole[n] != changed[n]] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("cut", [4, 6])
def test_threshold_0_lets_shots_touch(cut: int) -> None:
    one, two, three = SHOTS
    whole = restored(join(one, two, cut), threshold=0)
    assert restored(join(one, three, cut), threshold=0)[cut - 1] != whole[cut - 1]
    assert restored(join(three, two, cut), threshold=0)[cut] != whole[cut]


def test_threshold_0_overrules_properties() -> None:
    clip = clip_of(SHOTS[0])
    marked = clip.std.SetFrameProps(_SceneChangePrev=1, _SceneChangeNext=1)
    assert restored(marked, threshold=0) == restored(clip, threshold=0)
    assert restored(marked) != restored(clip)


def test_properties_that_deny_a_cut_overrule_the_detector() -> None:
    clip = join(SHOTS[0], SHOTS[1], 6)
    denied = clip.std.SetFrameProps(_SceneChangePrev=0, _SceneChangeNext=0)
    assert restored(denied) == restored(clip, threshold=0)
    assert restored(denied) != restored(clip)


def test_one_property_of_a_pair_is_enough() -> None:
    clip = join(SHOTS[0], SHOTS[1], 6)
    assert restored(mark(clip, 6, _SceneChangePrev=0)) == restored(clip, threshold=0)
    assert restored(mark(clip, 5, _SceneChangeNext=0)) == restored(clip, threshold=0)


def test_a_threshold_of_ones_own_overrules_properties() -> None:
    clip = join(SHOTS[0], SHOTS[1], 6)
    denied = clip.std.SetFrameProps(_SceneChangePrev=0, _SceneChangeNext=0)
    assert restored(denied, threshold=DEFAULT_THRESHOLD) == restored(clip)
    assert restored(clip, threshold=1) == restored(clip, threshold=0)


def test_shots_whose_cut_lies_on_the_grid_equal_themselves_alone() -> None:
    whole = restored(join(SHOTS[0], SHOTS[1], LENGTH))
    assert whole[:LENGTH] == restored(clip_of(SHOTS[0][:LENGTH]))
    assert whole[LENGTH:] == restored(clip_of(SHOTS[1][LENGTH:]))


def test_a_shot_of_one_frame_equals_itself_alone() -> None:
    video = np.concatenate([SHOTS[0][:4], SHOTS[1][4:5], SHOTS[2][5:]])
    assert restored(clip_of(video))[4] == restored(clip_of(SHOTS[1][4:5]))[0]


def test_cuts_of_a_converted_clip_are_found_as_well() -> None:
    def converted(*shots: Video) -> list[bytes]:
        return restored(join(*shots, 6).resize.Bicubic(format=vs.YUV420P8, matrix=vs.MATRIX_BT709))

    one, two, three = SHOTS
    assert converted(one, two)[:6] == converted(one, three)[:6]
