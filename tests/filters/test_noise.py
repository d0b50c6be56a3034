"""Noise levels, seen through a network that adds its fourth channel to the picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor
from vapoursynth import core
from vs_vrt.filters.noise import Noise

from tests.support import (
    check_grammar,
    clip_bytes,
    clip_of,
    counted,
    frame_bytes,
    moving_texture,
    pixels,
    python_places,
    texture_clip,
    untouchable,
)
from vs_vrt.restorer import Restorer

SIZE = {"width": 32, "height": 24}
GRAYS = [vs.GRAY8, vs.GRAY10, vs.GRAY12, vs.GRAY14, vs.GRAY16, vs.GRAYH, vs.GRAYS]

pytestmark = pytest.mark.usefixtures("arithmetic", "_restores_threads")

each_gray = pytest.mark.parametrize("format", GRAYS, ids=lambda format: core.get_video_format(format).name)


def source(frames: int = 1, **more: Any) -> vs.VideoNode:
    return core.std.BlankClip(format=vs.RGBS, length=frames, color=[0.25, 0.5, 0.75], **(SIZE | more))


def levels(color: float, format: int = vs.GRAYS, frames: int = 1, **more: Any) -> vs.VideoNode:
    return core.std.BlankClip(format=format, length=frames, color=color, **(SIZE | more))


def seen(frame: vs.VideoFrame) -> NDArray[np.float64]:
    """`-> (h w)`: the noise level that the network was told, in 8-bit units; the same for all colours."""
    added = pixels(frame).astype(np.float64) - np.array([0.25, 0.5, 0.75])[:, None, None]
    assert np.ptp(added, axis=0).max() < 1e-6
    return 255 * added[0]


def denoised(clip: vs.VideoNode, **arguments: Any) -> vs.VideoNode:
    return core.vrt.Restore(clip, task="denoise", **arguments)


# One level


@pytest.mark.parametrize("sigma", [0, 0.5, 10, 25, 50])
def test_a_level_reaches_the_network_over_255(sigma: float) -> None:
    np.testing.assert_allclose(seen(denoised(source(), sigma=sigma).get_frame(0)), sigma, atol=1e-4)


def test_the_level_of_the_task_row_is_the_default() -> None:
    np.testing.assert_allclose(seen(denoised(source()).get_frame(0)), 10, atol=1e-4)


# A clip of levels


@each_gray
def test_a_gray_sample_is_a_level_in_8_bit_units(format: int) -> None:
    kind = core.get_video_format(format)
    peak = 1 if kind.sample_type == vs.FLOAT else 2**kind.bits_per_sample - 1
    sample = 20 / 255 if peak == 1 else round(20 / 255 * peak)
    found = seen(denoised(source(), sigma_clip=levels(sample, format)).get_frame(0))
    np.testing.assert_allclose(found, 255 * sample / peak, atol=0.01 if format == vs.GRAYH else 1e-4)


@pytest.mark.parametrize("sigma", [0, 1, 10, 33, 50])
@pytest.mark.parametrize("format", [vs.GRAY8, vs.GRAY16, vs.GRAYS])
def test_a_clip_of_one_level_gives_the_bytes_of_that_level(sigma: int, format: int) -> None:
    clip = texture_clip(1, 2, vs.YUV420P8)
    sample = {vs.GRAY8: sigma, vs.GRAY16: sigma * 257, vs.GRAYS: sigma / 255}[format]
    by_clip = denoised(clip, sigma_clip=levels(sample, format, frames=2))
    assert clip_bytes(by_clip) == clip_bytes(denoised(clip, sigma=sigma))


def test_the_range_of_the_clip_of_levels_does_not_count() -> None:
    for full_range in (0, 1):
        map = levels(20, vs.GRAY8).std.SetFrameProps(_Range=full_range, _Matrix=1)
        np.testing.assert_allclose(seen(denoised(source(), sigma_clip=map).get_frame(0)), 20, atol=1e-4)


@pytest.mark.parametrize(
    ("sample", "level"),
    [(60 / 255, 50), (1.0, 50), (1e30, 50), (-0.1, 0), (np.nan, 0), (np.inf, 0), (-np.inf, 0)],
)
def test_levels_are_clamped_and_what_is_no_number_counts_as_none(sample: float, level: float) -> None:
    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001 - called by name
        filled = f.copy()
        np.asarray(filled[0])[3, 5] = sample
        return filled

    map = levels(20 / 255)
    found = seen(denoised(source(), sigma_clip=map.std.ModifyFrame(map, fill)).get_frame(0))
    assert abs(found[3, 5] - level) < 1e-4
    found[3, 5] = 20
    np.testing.assert_allclose(found, 20, atol=1e-4)


def test_every_pixel_of_every_frame_has_its_own_level() -> None:
    random = np.random.default_rng(0).uniform(0, 50 / 255, (7, 24, 31)).astype(np.float32)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        filled = f.copy()
        np.copyto(np.asarray(filled[0]), random[n])
        return filled

    map = levels(0, frames=7, width=31)
    clip = denoised(source(7, width=31), sigma_clip=map.std.ModifyFrame(map, fill), length=3, overlap=1)
    for n in (5, 0, 6, 3, 2, 1, 4):
        np.testing.assert_allclose(seen(clip.get_frame(n)), 255 * random[n], atol=1e-4)


def test_levels_are_asked_for_with_the_frames_and_once_a_window() -> None:
    (clip, frames), (map, sigmas) = counted(source(9)), counted(levels(0.1, frames=9))
    restored = denoised(clip, sigma_clip=map, length=3, overlap=1)
    assert not sigmas
    restored.get_frame(4)
    assert sorted(frames) == sorted(sigmas) == [2, 3, 4, 5, 6]
    assert sigmas.total() == 5


@pytest.mark.parametrize("threads", [1, 16])
def test_any_order_of_requests_gives_the_same_bytes(threads: int) -> None:
    core.num_threads = threads
    map = core.std.Splice([levels(n / 50, frames=1) for n in range(7)])
    linear = clip_bytes(denoised(source(7), sigma_clip=map, length=2, overlap=1))
    assert len(set(linear)) == 7
    order = np.random.default_rng(0).permutation(7).tolist()
    clip = denoised(source(7), sigma_clip=map, length=2, overlap=1)
    assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear[n] for n in order]


def test_cuts_are_found_in_the_picture_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    restore = Restorer.restore

    def noting(self: Restorer, video: Tensor, cuts: list[bool], *rest: Any) -> Any:
        found.append((tuple(video.shape), cuts))
        return restore(self, video, cuts, *rest)

    monkeypatch.setattr(Restorer, "restore", noting)
    video = np.concatenate([moving_texture(1, 2), moving_texture(2, 2)])
    map = core.std.Splice([levels(sample, frames=1) for sample in (0, 0.19, 0, 0.19)])
    denoised(clip_of(video), sigma_clip=map).get_frame(0)
    assert found == [((4, 4, 24, 32), [False, True, False])]


def test_an_alpha_plane_passes_beside_the_levels() -> None:
    alpha = core.std.BlankClip(format=vs.GRAY8, length=1, color=77, **SIZE)
    frame = denoised(source().std.ClipToProp(alpha, prop="_Alpha"), sigma=20).get_frame(0)
    assert set(np.asarray(frame.props["_Alpha"][0]).flat) == {77}
    np.testing.assert_allclose(seen(frame), 20, atol=1e-4)


def test_levels_that_fail_make_their_window_fail() -> None:
    with pytest.raises(vs.Error, match="somebody asked for frame 0"):
        denoised(source(), sigma_clip=untouchable(levels(0.1))).get_frame(0)


def test_levels_are_scaled_in_place() -> None:
    samples = np.array([0, 1023, 40, 2000], dtype=np.float32)
    Noise(peak=1023).normalise(samples)
    np.testing.assert_allclose(255 * samples, [0, 50, 255 * 40 / 1023, 50], rtol=1e-6)


# What a call says


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({}, "sigma=10"), ({"sigma": 2.5}, "sigma=2.5"), ({"sigma_clip": levels(0.1)}, "sigma_clip")],
)
def test_evaluation_says_where_the_level_comes_from(arguments: dict[str, Any], words: str, log: list[str]) -> None:
    denoised(untouchable(source()), **arguments)
    assert log == [f"vrt: denoise by add-level (add-level.pth, MIT), 32x24 to 32x24, {words}, length=10, overlap=3"]


RANGE = "`sigma=0` to `sigma=50`"
NOT_GRAY = "sigma_clip is no GRAY clip; `sigma_clip.std.ShufflePlanes(0, vs.GRAY)` takes its first plane"
VARIABLE = (
    "sigma_clip changes its size or format midway; "
    "`sigma_clip.resize.Bilinear(32, 24, format=vs.GRAY8, range_in=1, range=1)` makes it constant"
)
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"sigma": -1}, f"sigma -1 is out of range; {RANGE}"),
    ({"sigma": 50.5}, f"sigma 50.5 is out of range; {RANGE}"),
    ({"sigma": float("nan")}, f"sigma nan is out of range; {RANGE}"),
    (
        {"sigma": 5, "sigma_clip": levels(0.1, frames=3)},
        "sigma and sigma_clip exclude each other; `sigma=` for one level, `sigma_clip=` for a map",
    ),
    ({"sigma_clip": source(3)}, NOT_GRAY),
    ({"sigma_clip": source(3).resize.Bicubic(format=vs.YUV420P8, matrix=1)}, NOT_GRAY),
    (
        {"sigma_clip": levels(0, vs.GRAY32, frames=3)},
        "sigma_clip has 32-bit integer samples; make it with `format=vs.GRAYS`",
    ),
    ({"sigma_clip": core.std.Splice([levels(0), source(2)], mismatch=True)}, VARIABLE),
    ({"sigma_clip": core.std.Splice([levels(0), levels(0, width=16, frames=2)], mismatch=True)}, VARIABLE),
    (
        {"sigma_clip": levels(0, frames=3, width=16)},
        "sigma_clip is 16x24 and the clip 32x24; `sigma_clip.resize.Bilinear(32, 24)`",
    ),
    (
        {"sigma_clip": levels(0, frames=2)},
        "sigma_clip has 2 frames and the clip 3; `sigma_clip + sigma_clip[-1] * 1`",
    ),
    ({"sigma_clip": levels(0, frames=5)}, "sigma_clip has 5 frames and the clip 3; `sigma_clip[:3]`"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSALS, ids=[str(index) for index in range(len(REFUSALS))])
def test_a_level_that_cannot_be_is_refused_at_evaluation(arguments: dict[str, Any], text: str, log: list[str]) -> None:
    with pytest.raises(vs.Error) as error:
        denoised(untouchable(source(3)), **arguments)
    assert str(error.value) == f"vrt: {text}"
    check_grammar(str(error.value))
    assert len(python_places(log)) == 1


@pytest.mark.parametrize("frames", [2, 5])
def test_the_remedies_for_other_lengths_and_sizes_work(frames: int) -> None:
    sigma_clip = levels(0.1, frames=frames, width=16)
    sigma_clip = sigma_clip.resize.Bilinear(32, 24)
    sigma_clip = sigma_clip + sigma_clip[-1] * 1 if frames == 2 else sigma_clip[:3]
    assert denoised(untouchable(source(3)), sigma_clip=sigma_clip).num_frames == 3


@pytest.mark.parametrize("name", ["sigma", "sigma_clip"])
@pytest.mark.parametrize("task", ["sr4", "st4"])
def test_networks_without_a_noise_level_refuse_it(name: str, task: str) -> None:
    with pytest.raises(vs.Error) as error:
        core.vrt.Restore(source(), task=task, **{name: 10.0 if name == "sigma" else levels(0.1)})
    assert str(error.value) == f"vrt: model nearest takes no noise level; `leave {name} out`"


def test_the_row_decides_whatever_its_task_is_called(arithmetic: Path) -> None:
    weights = str(arithmetic / "add-level.pth")
    np.testing.assert_allclose(seen(denoised(source(), weights=weights, sigma=5).get_frame(0)), 5, atol=1e-4)
