"""Interpolate: the source frames as they are, and new ones in between, by a network that takes the mean of two."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor
from vapoursynth import core
from vs_vrt.filters.interpolate import FACTORS
from vs_vrt.filters.workers import Worker, Workers

from tests.support import (
    Video,
    carried,
    check_grammar,
    clip_bytes,
    clip_of,
    counted,
    frame_bytes,
    moving_texture,
    pixels,
    properties,
    texture_clip,
    untouchable,
)
from vs_vrt.restorer import Restorer

MOST = 2**31 - 1
FORMATS = [vs.RGBS, vs.RGBH, vs.RGB24, vs.YUV420P8, vs.YUV444P16, vs.GRAY10, vs.GRAYS]
OURS = {"VrtTask", "VrtModel", "VrtPrecision", "VrtWindow"}

pytestmark = pytest.mark.usefixtures("arithmetic", "_restores_threads")

each_factor = pytest.mark.parametrize("factor", FACTORS)


def texture(frames: int, seed: int = 1) -> Video:
    """In steps of 1/64, whose means of means are exact."""
    return np.round(moving_texture(seed, frames) * 64) / np.float32(64)


def blank(length: int = 3, format: int = vs.RGBS, **more: Any) -> vs.VideoNode:
    return core.std.BlankClip(format=format, width=16, height=12, length=length, **more)


def blended(video: Video, factor: int, last: list[int] | None = None) -> Video:
    """What comes of the frames; after those in `last` nothing new comes."""
    last = [len(video) - 1] if last is None else [*last, len(video) - 1]
    weights = [np.float32(phase / factor) for phase in range(factor)]
    after = [n if n in last else n + 1 for n in range(len(video))]
    return np.stack([video[n] + (video[after[n]] - video[n]) * weight for n in range(len(video)) for weight in weights])


def video_of(clip: vs.VideoNode) -> NDArray[Any]:
    return np.stack([pixels(frame) for frame in clip.frames()])


# Pictures


@each_factor
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 2, 10])
def test_frames_are_the_sources_and_even_blends_of_them(factor: int, frames: int, length: int) -> None:
    video = texture(frames)
    clip = core.vrt.Interpolate(clip_of(video), factor, length=length)
    np.testing.assert_array_equal(video_of(clip), blended(video, factor))


def test_the_factor_is_two_unless_told_otherwise() -> None:
    assert clip_bytes(core.vrt.Interpolate(texture_clip(1, 3))) == clip_bytes(
        core.vrt.Interpolate(texture_clip(1, 3), 2)
    )


@each_factor
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: core.get_video_format(format).name)
def test_source_frames_pass_through_bit_for_bit(factor: int, format: int) -> None:
    source = texture_clip(1, 3, format)
    clip = core.vrt.Interpolate(source, factor, length=2)
    assert (clip.format.id, clip.width, clip.height) == (format, source.width, source.height)
    assert clip_bytes(clip[::factor]) == clip_bytes(source)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: core.get_video_format(format).name)
def test_new_frames_equal_the_conversion_by_hand(format: int) -> None:
    source = texture_clip(1, 3, format)
    matrix = None if core.get_video_format(format).color_family == vs.RGB else vs.MATRIX_BT709
    by_hand = core.vrt.Interpolate(source.resize.Bicubic(format=vs.RGBS), 4)
    if format != vs.RGBS:
        by_hand = carried(by_hand, source.format).resize.Bicubic(format=format, matrix=matrix)
    clip = core.vrt.Interpolate(source, 4)
    for n in (1, 2, 3, 5, 6, 7):
        assert frame_bytes(clip.get_frame(n)) == frame_bytes(by_hand.get_frame(n))


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: core.get_video_format(format).name)
def test_the_last_frame_of_a_scene_is_repeated_bit_for_bit(format: int) -> None:
    """A trip through RGB and back would change the chroma of subsampled formats."""
    source = texture_clip(1, 3, format) + texture_clip(2, 2, format)
    clip = clip_bytes(core.vrt.Interpolate(source, 4, length=2))
    frames = clip_bytes(source)
    assert clip[8:12] == [frames[2]] * 4
    assert clip[16:20] == [frames[4]] * 4
    assert frames[1] not in clip[5:8]


def test_source_frames_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Workers) -> list[Worker]:
        raise RuntimeError("a network is loaded")

    monkeypatch.setattr(Workers, "load", refuse)
    clip = core.vrt.Interpolate(texture_clip(1, 5, vs.YUV420P8), 4)
    assert len(clip_bytes(clip[::4])) == 5
    with pytest.raises(vs.Error, match="a network is loaded"):
        clip.get_frame(1)


def test_alpha_stays_that_of_the_frame_before() -> None:
    alphas = [core.std.BlankClip(format=vs.GRAY8, width=16, height=12, length=1, color=c) for c in (10, 200)]
    clip = core.vrt.Interpolate(blank(2).std.ClipToProp(core.std.Splice(alphas), prop="_Alpha"))
    assert [int(np.asarray(frame.props["_Alpha"][0])[0, 0]) for frame in clip.frames()] == [10, 10, 200, 200]


# Cuts


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("cut", [1, 4, 5])
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
def test_nothing_is_blended_across_a_detected_cut(factor: int, cut: int, format: int) -> None:
    video = np.concatenate([texture(cut, seed=1), texture(6, seed=2)])
    rgb = clip_of(video)
    clip = rgb if format == vs.RGBS else rgb.resize.Bicubic(format=format, matrix=vs.MATRIX_BT709)
    found = core.vrt.Interpolate(clip, factor, length=4)
    if format == vs.RGBS:
        np.testing.assert_array_equal(video_of(found), blended(video, factor, [cut - 1]))
    parts = [core.vrt.Interpolate(part, factor, length=4) for part in (clip[:cut], clip[cut:])]
    assert clip_bytes(found) == clip_bytes(parts[0] + parts[1])


@pytest.mark.parametrize("property", ["_SceneChangePrev", "_SceneChangeNext"])
def test_nothing_is_blended_across_a_marked_cut(property: str) -> None:
    video = texture(6)
    at = 3 if property == "_SceneChangePrev" else 2
    clip = clip_of(video)
    marked = core.std.Splice([clip[:at], clip[at].std.SetFrameProps(**{property: 1}), clip[at + 1 :]])
    np.testing.assert_array_equal(video_of(core.vrt.Interpolate(marked)), blended(video, 2, [2]))


def test_threshold_0_blends_across_cuts() -> None:
    video = np.concatenate([texture(2, seed=1), texture(2, seed=2)])
    clip = core.vrt.Interpolate(clip_of(video), sc_threshold=0)
    np.testing.assert_array_equal(video_of(clip), blended(video, 2))


# The same bytes however they are reached


@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
def test_any_order_of_requests_gives_the_same_bytes(threads: int, format: int) -> None:
    core.num_threads = threads
    source = texture_clip(1, 7, format)
    linear = clip_bytes(core.vrt.Interpolate(source, 4, length=2))
    order = np.random.default_rng(0).permutation(28).tolist()
    clip = core.vrt.Interpolate(source, 4, length=2)
    assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear[n] for n in order]
    clip = core.vrt.Interpolate(source, 4, length=2)
    futures = [clip.get_frame_async(n) for n in order]
    assert [frame_bytes(future.result()) for future in futures] == [linear[n] for n in order]


@each_factor
def test_windows_leave_no_trace(factor: int) -> None:
    source = texture_clip(1, 9)
    expected = clip_bytes(core.vrt.Interpolate(source, factor, length=9))
    for length in (1, 2, 5):
        assert clip_bytes(core.vrt.Interpolate(source, factor, length=length)) == expected


@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
def test_a_linear_run_computes_each_window_once(threads: int, format: int, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = []
    interpolate = Restorer.interpolate

    def counting(self: Restorer, video: Tensor, cuts: list[bool], keep: range, *rest: Any) -> Any:
        windows.append((len(video), keep))
        return interpolate(self, video, cuts, keep, *rest)

    monkeypatch.setattr(Restorer, "interpolate", counting)
    core.num_threads = threads
    source, requests = counted(texture_clip(1, 10, format))
    assert len(clip_bytes(core.vrt.Interpolate(source, 4, length=4, overlap=3))) == 40
    assert sorted(windows, key=str) == [(5, range(3, 5)), (7, range(4)), (9, range(3, 7))]
    assert set(requests) == set(range(10))
    assert max(requests.values()) <= 3  # in two windows, and as it is


# Lengths, rates and times


@each_factor
@pytest.mark.parametrize("rate", [(24, 1), (30000, 1001), (25, 2), (1, 8), (0, 0)])
def test_the_duration_stays_what_it_was(factor: int, rate: tuple[int, int]) -> None:
    clip = core.vrt.Interpolate(untouchable(blank(5, fpsnum=rate[0], fpsden=rate[1])), factor)
    assert clip.num_frames == 5 * factor
    assert clip.fps == (Fraction(*rate) * factor if rate[0] else 0)


@each_factor
@pytest.mark.parametrize("length", [MOST // 8, MOST // 8 + 1, MOST // 4 + 1, MOST // 2, MOST // 2 + 1, MOST])
def test_the_number_of_frames_saturates(factor: int, length: int) -> None:
    assert core.vrt.Interpolate(untouchable(blank(length)), factor).num_frames == min(length * factor, MOST)


@each_factor
def test_frames_near_the_end_of_the_longest_clip_are_reached_directly(factor: int) -> None:
    source, requests = counted(blank(MOST))
    clip = core.vrt.Interpolate(source, factor, length=4, overlap=1)
    props = properties(clip, MOST - 2 if (MOST - 1) % factor == 0 else MOST - 1)
    window = (MOST - 1) // factor // 4
    assert props["VrtWindow"] == [window * 4 * factor, (window + 1) * 4 * factor - 1]
    assert sorted(requests) == list(range(window * 4 - 1, window * 4 + 5))


def test_a_rate_that_no_number_holds_is_not_told() -> None:
    clip = core.std.AssumeFPS(blank(2), fpsnum=2**62, fpsden=1)
    assert core.vrt.Interpolate(clip, 2).fps == 0


@pytest.mark.parametrize(
    ("before", "factor", "after"),
    [
        ((1, 24), 2, (1, 48)),
        ((1001, 30000), 8, (1001, 240000)),
        ((4, 100), 2, (1, 50)),
        ((6, 1), 4, (3, 2)),
        ((2**62, 2**60), 8, (1, 2)),
        ((2**62, 3), 2, (2**61, 3)),
        ((3, 2**61), 2, (3, 2**62)),
        ((3, 2**62), 2, (None, None)),  # no number holds it
        ((0, 24), 2, (0, 24)),  # no durations, so nobody touches them
        ((1, 0), 2, (1, 0)),
        ((-1, 24), 2, (-1, 24)),
    ],
)
def test_durations_are_divided_and_reduced(before: tuple[int, int], factor: int, after: tuple[int | None, ...]) -> None:
    source = blank(2).std.SetFrameProps(_DurationNum=before[0], _DurationDen=before[1])
    for frame in core.vrt.Interpolate(source, factor).frames():
        assert (frame.props.get("_DurationNum"), frame.props.get("_DurationDen")) == after


def test_durations_are_each_frames_own() -> None:
    parts = [blank(1).std.SetFrameProps(_DurationNum=num, _DurationDen=50) for num in (1, 3)]
    clip = core.vrt.Interpolate(core.std.Splice(parts))
    durations = [Fraction(f.props["_DurationNum"], f.props["_DurationDen"]) for f in clip.frames()]
    assert durations == [Fraction(1, 100)] * 2 + [Fraction(3, 100)] * 2


def test_times_advance_by_parts_of_the_duration() -> None:
    parts = [
        blank(1).std.SetFrameProps(_AbsoluteTime=time, _DurationNum=num, _DurationDen=10)
        for time, num in ((0.5, 1), (0.6, 4))
    ]
    times = [frame.props["_AbsoluteTime"] for frame in core.vrt.Interpolate(core.std.Splice(parts), 4).frames()]
    np.testing.assert_allclose(times, [0.5, 0.525, 0.55, 0.575, 0.6, 0.7, 0.8, 0.9], rtol=1e-12)


@pytest.mark.parametrize(("fpsnum", "times"), [(10, [2.0, 2.05]), (0, [2.0, 2.0])])
def test_times_without_durations_advance_with_the_rate(fpsnum: int, times: list[float]) -> None:
    source = blank(1, fpsnum=fpsnum, fpsden=1).std.SetFrameProps(_AbsoluteTime=2.0)
    source = source.std.RemoveFrameProps(["_DurationNum", "_DurationDen"])
    found = [frame.props["_AbsoluteTime"] for frame in core.vrt.Interpolate(source).frames()]
    np.testing.assert_allclose(found, times, rtol=1e-12)


# Other properties


@each_factor
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
def test_scene_changes_stay_at_the_ends_of_scenes(factor: int, format: int) -> None:
    first, last = (blank(1, format).std.SetFrameProps(**{key: 1}) for key in ("_SceneChangeNext", "_SceneChangePrev"))
    first, last = first.std.SetFrameProps(_SceneChangePrev=1), last.std.SetFrameProps(_SceneChangeNext=0)
    frames = list(core.vrt.Interpolate(core.std.Splice([first, last]), factor).frames())
    rest = [0] * (factor - 1)
    assert [frame.props["_SceneChangePrev"] for frame in frames] == [1, *rest, 1, *rest]
    assert [frame.props["_SceneChangeNext"] for frame in frames] == [*rest, 1, *rest, 0]


def test_scene_changes_that_are_not_said_are_not_said_afterwards() -> None:
    for frame in core.vrt.Interpolate(blank(2)).frames():
        assert not [key for key in frame.props if key.startswith("_Scene")]


@pytest.mark.parametrize("format", [vs.RGBS, vs.RGB24, vs.YUV420P8, vs.GRAY8])
def test_properties_are_those_of_the_frame_before_and_none_is_private(format: int) -> None:
    parts = [blank(1, format).std.SetFrameProps(Own=n, OwnText=f"ü{n}", OwnMany=[n, 7]) for n in range(2)]
    frames = [dict(frame.props) for frame in core.vrt.Interpolate(core.std.Splice(parts), 4).frames()]
    assert [(props["Own"], props["OwnText"], props["OwnMany"]) for props in frames] == [
        (n, f"ü{n}", [n, 7]) for n in (0, 0, 0, 0, 1, 1, 1, 1)
    ]
    assert not [key for props in frames for key in props if key.startswith("_vrt")]
    assert all(props["_Matrix"] == frames[0]["_Matrix"] for props in frames)


def test_missing_colour_properties_are_filled_in_for_all_frames_with_one_line_in_the_log(log: list[str]) -> None:
    for frame in core.vrt.Interpolate(blank(2, vs.YUV420P8)).frames():
        assert (frame.props["_Matrix"], frame.props["_Range"], frame.props["_ChromaLocation"]) == (6, 0, 0)
    assert len([line for line in log if "matrix" in line]) == 1


def test_gray_that_was_cut_out_of_rgb_leaves_as_it_came() -> None:
    for frame in core.vrt.Interpolate(blank(2, vs.GRAY8).std.SetFrameProps(_Matrix=0)).frames():
        assert (frame.format.id, frame.props["_Matrix"]) == (vs.GRAY8, 0)


def test_new_frames_say_how_they_were_made_and_source_frames_do_not() -> None:
    clip = core.vrt.Interpolate(texture_clip(1, 5), 4, length=2)
    for n, frame in enumerate(clip.frames()):
        ours = {key: value for key, value in frame.props.items() if key in OURS}
        first, last = n // 8 * 8, min(n // 8 * 8 + 7, 19)
        made = {"VrtTask": "vfi", "VrtModel": "between", "VrtPrecision": "fp32", "VrtWindow": [first, last]}
        assert ours == (made if n % 4 and n < 16 else {})  # at the end the last source frame is repeated


def test_new_frames_have_the_colour_properties_of_the_source_frames() -> None:
    """core.resize would add that primaries and transfer are unspecified."""
    clip = core.vrt.Interpolate(blank(2, format=vs.YUV420P8), sc_threshold=0)
    old, new = (set(clip.get_frame(n).props) - OURS for n in (0, 1))
    assert new == old


def test_source_frames_are_left_alone() -> None:
    source = blank(2, keep=True)
    shared = source.get_frame(0)
    list(core.vrt.Interpolate(source).frames())
    assert shared.props["_DurationDen"] == 24


# What a call says


def test_evaluation_says_in_one_line_what_will_be_done(log: list[str]) -> None:
    core.vrt.Interpolate(untouchable(blank()), 4, length=6)
    assert log == ["vrt: vfi by between (between.pth, MIT), 16x12 to 16x12, factor=4, length=6, overlap=3"]


WEIGHTS = 'weights takes 1 at most here, not 2 files; `weights="a.pth"`'
REFUSALS: list[tuple[dict[str, Any], str]] = [
    *(
        ({"factor": factor}, f"factor {factor} is no power of two up to 8; `factor=2`, `factor=4` or `factor=8`")
        for factor in (-2, 0, 1, 3, 16, 2**40)
    ),
    ({"overlap": 0}, "overlap 0 is out of range; `overlap=1` to `overlap=1000`"),
    ({"length": 0}, "length 0 is out of range; `length=1` to `length=1000`"),
    ({"weights": ["a.pth", "b.pth"]}, WEIGHTS),
    ({"precision": "fp8"}, "unknown precision 'fp8'; `precision=` one of bf16, fp16, fp32"),
    ({"sc_threshold": 2.0}, "sc_threshold 2 is out of range; `sc_threshold=0` (off) to `sc_threshold=1`"),
    ({"matrix": "709"}, 'matrix="709" says how YUV was made, and the clip is RGB; `leave matrix out`'),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSALS, ids=[str(index) for index in range(len(REFUSALS))])
def test_a_wrong_argument_is_refused_at_evaluation(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(vs.Error) as error:
        core.vrt.Interpolate(untouchable(blank()), **arguments)
    assert str(error.value) == f"vrt: {text}"
    check_grammar(str(error.value))


def test_a_clip_that_changes_is_refused() -> None:
    with pytest.raises(vs.Error, match="the clip changes its size or format midway") as error:
        core.vrt.Interpolate(core.std.Splice([blank(), blank(format=vs.YUV420P8)], mismatch=True))
    check_grammar(str(error.value))


def test_a_frame_that_cannot_be_fails_as_it_is_and_in_between() -> None:
    clip = core.vrt.Interpolate(blank(2, vs.YUV420P8).std.SetFieldBased(2))
    for n in range(4):
        with pytest.raises(vs.Error, match=r"vrt: frame [01] is interlaced") as error:
            clip.get_frame(n)
        check_grammar(str(error.value))


@pytest.mark.parametrize(("length", "remedy"), [(9, "length=4"), (1, "clip.std.CropAbs(width=640, height=360)")])
def test_running_out_of_memory_names_what_is_left_to_lower(
    length: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> Any:
        raise MemoryError

    monkeypatch.setattr(Restorer, "interpolate", exhaust)
    with pytest.raises(vs.Error) as error:
        core.vrt.Interpolate(blank(), length=length, device="cpu").get_frame(1)
    assert str(error.value) == f"vrt: out of memory on cpu; `{remedy}`"
