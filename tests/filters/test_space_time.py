"""Task st4: x4 in space, then x2 in time, by networks that repeat pixels and take means."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from torch import Tensor
from vapoursynth import core
from vs_vrt.filters import restore
from vs_vrt.filters.restoration import Restoration
from vs_vrt.filters.restore import plan_restore

from tests.filters import stand_ins
from tests.support import (
    carried,
    check_grammar,
    clip_bytes,
    clip_of,
    counted,
    frame_bytes,
    moving_texture,
    pixels,
    texture_clip,
    untouchable,
)
from vs_vrt.restorer import Restorer

pytestmark = pytest.mark.usefixtures("arithmetic", "_restores_threads")


def blank(length: int = 1, format: int = vs.RGBS) -> vs.VideoNode:
    return core.std.BlankClip(format=format, width=16, height=12, length=length)


def space_time(clip: vs.VideoNode, **arguments: Any) -> vs.VideoNode:
    return core.vrt.Restore(clip, task="st4", **arguments)


def test_frames_are_larger_and_twice_as_many() -> None:
    video = np.round(moving_texture(1, 4) * 64) / np.float32(64)
    clip = space_time(clip_of(video))
    assert (clip.width, clip.height, clip.num_frames, clip.fps) == (128, 96, 8, 48)
    large = video.repeat(4, -1).repeat(4, -2)
    for n, frame in enumerate(clip.frames()):
        expected = (large[n // 2] + large[min((n + 1) // 2, 3)]) / 2
        np.testing.assert_array_equal(pixels(frame), expected)


@pytest.mark.parametrize("format", [vs.RGBS, vs.RGBH])
def test_it_equals_the_two_functions_one_after_the_other(format: int) -> None:
    source = texture_clip(1, 7, format)
    chained = core.vrt.Interpolate(core.vrt.Restore(source, task="sr4", length=3), length=3)
    assert clip_bytes(space_time(source, length=3)) == clip_bytes(chained)


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.RGB24, vs.GRAY16])
def test_the_format_returns_once_at_the_end(format: int) -> None:
    source = texture_clip(1, 3, format)
    matrix = None if core.get_video_format(format).color_family == vs.RGB else vs.MATRIX_BT709
    larger = carried(core.vrt.Restore(source.resize.Bicubic(format=vs.RGBS), task="sr4"), source.format)
    by_hand = core.vrt.Interpolate(larger).resize.Bicubic(format=format, matrix=matrix)
    # The mean of two integers may lie between two others, where each conversion rounds in its own way.
    for ours, other in zip(space_time(source).frames(), by_hand.frames(), strict=True):
        for plane, expected in zip(ours, other, strict=True):
            tolerance = 1e-3 if core.get_video_format(format).sample_type == vs.FLOAT else 1
            difference = np.asarray(plane).astype(np.float64) - np.asarray(expected)
            assert np.abs(difference).max() <= tolerance


def test_frames_have_the_properties_of_the_step_that_made_them() -> None:
    source = texture_clip(1, 3, vs.YUV420P8).std.SetFrameProps(Own=5, _SceneChangePrev=1, _SceneChangeNext=0)
    for n, frame in enumerate(space_time(source, length=2, sc_threshold=0).frames()):
        props = dict(frame.props)
        window = [[0, 1], [0, 3], [0, 1], [0, 3], [2, 2], [2, 2]][n]
        made = ("vfi", "between") if n in (1, 3) else ("sr4", "nearest")  # the last one is repeated
        assert (props["VrtTask"], props["VrtModel"], props["VrtWindow"]) == (*made, window)
        assert (props["Own"], props["_Matrix"], props["_DurationNum"], props["_DurationDen"]) == (5, 1, 1, 48)
        assert (props["_SceneChangePrev"], props["_SceneChangeNext"]) == (1 - n % 2, 0)
        assert not [key for key in props if key.startswith("_vrt")]


def test_alpha_grows_and_is_held() -> None:
    alpha = core.std.BlankClip(format=vs.GRAY8, width=16, height=12, length=2, color=77)
    for frame in space_time(blank(2).std.ClipToProp(alpha, prop="_Alpha")).frames():
        plane = np.asarray(frame.props["_Alpha"][0])
        assert (plane.shape, set(plane.flat)) == ((48, 64), {77})


def test_nothing_is_blended_across_a_cut() -> None:
    video = np.concatenate([moving_texture(1, 3), moving_texture(2, 3)])
    whole = clip_bytes(space_time(clip_of(video), length=4))
    parts = [clip_bytes(space_time(clip_of(part), length=4)) for part in (video[:3], video[3:])]
    assert whole == parts[0] + parts[1]


@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
def test_any_order_of_requests_gives_the_same_bytes(threads: int, format: int) -> None:
    core.num_threads = threads
    source = texture_clip(1, 6, format)
    linear = clip_bytes(space_time(source, length=2))
    order = np.random.default_rng(0).permutation(12).tolist()
    clip = space_time(source, length=2)
    assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear[n] for n in order]


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_a_linear_run_computes_each_window_once(length: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    steps = {name: getattr(Restorer, name) for name in ("restore", "interpolate")}

    def counting(name: str) -> Any:
        def step(self: Restorer, video: Tensor, *rest: Any) -> Any:
            calls.append(name)
            return steps[name](self, video, *rest)

        return step

    for name in steps:
        monkeypatch.setattr(Restorer, name, counting(name))
    core.num_threads = threads
    source, requests = counted(texture_clip(1, 20))
    assert len(clip_bytes(space_time(source, length=length))) == 40
    # Where two threads want a frame in the same instant, its window may be computed twice.
    assert 20 / length <= calls.count("restore") <= 20 / length + 2
    assert calls.count("interpolate") == 20 / length
    assert max(requests.values()) <= 2


def test_evaluation_says_what_each_network_will_do(log: list[str]) -> None:
    space_time(untouchable(core.std.BlankClip(format=vs.RGBS, width=32, height=24, length=9)), length=6, overlap=5)
    assert log == [
        "vrt: sr4 by nearest (nearest.pth, MIT), 32x24 to 128x96, length=6, overlap=5",
        "vrt: vfi by between (between.pth, MIT), 128x96 to 128x96, factor=2, length=6, overlap=3",
    ]


def test_weights_are_the_enlarging_networks_then_the_interpolating_ones(arithmetic: Path, log: list[str]) -> None:
    for name in ("a", "b"):
        (arithmetic / f"{name}.pth").write_bytes((arithmetic / "nearest.pth").read_bytes())
    first, second = (str(arithmetic / f"{name}.pth") for name in ("a", "b"))
    clip = space_time(blank(2), weights=[first, second])
    assert [line.split()[4] for line in log] == ["(a.pth,", "(b.pth,"]
    assert len(clip_bytes(clip)) == 4
    log.clear()
    space_time(blank(), weights=first)
    assert [line.split()[4] for line in log] == ["(a.pth,", "(between.pth,"]


THREE = 'weights takes 2 at most here, not 3 files; `weights=["a.pth", "b.pth"]`'
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"task": "st4", "weights": ["a.pth", "b.pth", "c.pth"]}, THREE),
    ({"task": "sr4", "weights": ["a.pth", "b.pth"]}, 'weights takes 1 at most here, not 2 files; `weights="a.pth"`'),
    ({"task": "st5"}, "unknown task 'st5'; did you mean `task=\"st4\"`?"),
    ({"task": "colour"}, "unknown task 'colour'; `task=` one of denoise, sr4, st4"),
    ({"task": "vfi"}, "task vfi is a function of its own; `core.vrt.Interpolate(clip)`"),
    ({"task": "st4", "tile": 3}, "tile 3 is out of range; `tile=16` to `tile=131072`"),
    ({"task": "st4", "length": 0}, "length 0 is out of range; `length=1` to `length=1000`"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSALS, ids=[str(index) for index in range(len(REFUSALS))])
def test_a_wrong_argument_is_refused_at_evaluation(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(vs.Error) as error:
        core.vrt.Restore(untouchable(blank()), **arguments)
    assert str(error.value) == f"vrt: {text}"
    check_grammar(str(error.value))


def test_a_size_that_no_frame_has_is_refused() -> None:
    with pytest.raises(vs.Error, match="pixels a side") as error:
        space_time(core.std.BlankClip(format=vs.RGBS, width=40000, height=4, length=1))
    check_grammar(str(error.value))


def test_the_number_of_frames_saturates() -> None:
    assert space_time(untouchable(blank(2**30 + 5))).num_frames == 2**31 - 1


# Objects


def living() -> int:
    gc.collect()
    return sum(type(each) in (Restoration, Restorer) for each in gc.get_objects())


@pytest.mark.parametrize("task", ["st4", "vfi", "denoise"])
def test_nothing_stays_behind_when_the_clip_goes(task: str) -> None:
    before = living()
    level = core.std.BlankClip(format=vs.GRAY8, width=16, height=12, length=3)
    clip = {
        "st4": lambda: space_time(blank(3, vs.YUV420P8)),
        "vfi": lambda: core.vrt.Interpolate(blank(3, vs.YUV420P8), 4),
        "denoise": lambda: core.vrt.Restore(blank(3, vs.YUV420P8), task="denoise", sigma_clip=level),
    }[task]()
    frames = [clip.get_frame(n) for n in range(clip.num_frames)]
    assert living() > before
    del clip
    assert living() == before
    assert {frame.format.id for frame in frames} == {vs.YUV420P8}  # frames outlive their nodes


def test_a_call_that_is_refused_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = living()
    monkeypatch.setattr(restore, "TASKS", stand_ins.TASKS[:1])  # the second network is not there
    with pytest.raises(vs.Error, match="unknown task 'vfi'"):
        space_time(blank())
    assert living() == before


def test_one_file_of_an_interpolation_is_the_second_step_s(arithmetic: Path) -> None:
    def checkpoints(*weights: str) -> list[str]:
        facts = [64, 48, 3, 24, 1, vs.RGB, 1, 32, 0, 0]
        steps = plan_restore({"clip": [facts], "task": ["st4"], "weights": list(weights)})
        return [step.checkpoint.name for step in steps]

    first, second = (str(arithmetic / name) for name in ("nearest.pth", "between.pth"))
    other = arithmetic / "other.pth"
    other.write_bytes((arithmetic / "nearest.pth").read_bytes())
    assert checkpoints(second) == ["nearest.pth", "between.pth"]
    assert checkpoints(str(other)) == ["other.pth", "between.pth"]
    assert checkpoints(str(other), second) == ["other.pth", "between.pth"]
    assert checkpoints(first) == ["nearest.pth", "between.pth"]
