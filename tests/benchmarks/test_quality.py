"""The parts of the protocol, each against something that is known."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="needs the extra `benchmarks`")

from benchmarks.quality import cases, classic, ffmpeg, measure, networks, pictures, report, scores, store
from benchmarks.quality.clips import Frames
from vs_vrt import metrics
from vs_vrt.video.footage import write_png

RANDOM = np.random.default_rng(0)


def texture(h: int = 48, w: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """`-> (h w 3)`: soft blobs, so that there is something to follow at every place."""
    coarse = np.random.default_rng(3).uniform(0, 255, (h // 4, w // 4, 3)).astype(np.float32)
    import cv2

    return np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)).clip(0, 255).astype(np.uint8)


def moving(frames: int, step: int = 1) -> Frames:
    """A texture that moves to the left."""
    wide = texture(w=64 + 64)
    return np.stack([wide[:, n * step : n * step + 64] for n in range(frames)])


def result(method: str, psnr: dict[int, float], **identity: str) -> store.Result:
    flicker: list[float | None] = [1.0] * len(psnr)
    measured = scores.Scores(list(psnr), list(psnr.values()), [0.5] * len(psnr), flicker, flicker, flicker)
    facts = {"case": "sr4", "clip": "a", "method": method}
    return store.Result(**facts, identity=dict(identity), setting={}, scores=measured)  # type: ignore[arg-type]


def test_a_frames_noise_depends_on_its_number_and_the_strength_alone() -> None:
    clean = np.full((3, 8, 8, 3), 128, np.uint8)
    assert np.array_equal(cases.noisy(10, clean)[:2], cases.noisy(10, clean[:2]))
    assert not np.array_equal(cases.noisy(10, clean)[0], cases.noisy(10, clean)[1])


@pytest.mark.parametrize("sigma", [10, 25])
def test_noise_has_the_strength_that_it_is_called_by(sigma: int) -> None:
    clean = np.full((1, 128, 128, 3), 128, np.uint8)
    noise = cases.noisy(sigma, clean).astype(float) - 128
    assert np.allclose(noise.std(axis=(0, 1, 2)), sigma, rtol=0.03)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_blur_is_the_mean_of_five_frames_around_the_truth() -> None:
    levels = np.array([0, 10, 50, 60, 81, 9], np.uint8)
    clean = np.broadcast_to(levels[:, None, None, None], (6, 16, 16, 3))
    deblur = next(case for case in cases.CASES if case.name == "deblur")
    assert [int(frame.max()) for frame in deblur.degrade(clean)] == [40, 42]
    assert [int(frame.max()) for frame in deblur.truth(clean)] == [50, 60]


def test_a_case_has_its_clips_or_else_all(tmp_path: Path) -> None:
    deblur = next(case for case in cases.CASES if case.name == "deblur")
    parkour, other = tmp_path / "davis_parkour", tmp_path / "other.mkv"
    assert deblur.of([other, parkour]) == [parkour]
    assert deblur.of([other]) == [other]
    assert cases.CASES[0].of([other, parkour]) == [other, parkour]


def test_a_file_of_ones_own_stands_beside_the_one_in_the_wheel(tmp_path: Path) -> None:
    bundled = networks.networks("sr4", "basicvsr-compact")
    (tmp_path / "run").mkdir()
    run, other = tmp_path / "run" / "weights.safetensors", tmp_path / "mine.safetensors"
    for path in (run, other):
        shutil.copy(bundled[0].weights, path)
    names = [networks.networks("sr4", "basicvsr-compact", path)[0].name for path in (run, other)]
    assert [bundled[0].name, *names] == ["basicvsr-compact", "basicvsr-compact+run", "basicvsr-compact+mine"]


def test_compression_takes_detail_and_keeps_colours() -> None:
    clean = moving(4)
    decompress = next(case for case in cases.CASES if case.name == "decompress")
    found = decompress.degrade(clean)
    assert found.shape == clean.shape
    assert 15 < metrics.psnr(found, clean) < 36
    assert np.abs(found.mean((0, 1, 2)) - clean.mean((0, 1, 2))).max() < 3


def test_structural_similarity_is_that_of_the_package() -> None:
    a = RANDOM.uniform(0, 255, (40, 50))
    b = np.clip(a + RANDOM.normal(0, 20, a.shape), 0, 255)
    assert scores.ssim(a, b) == pytest.approx(metrics.ssim(a, b), abs=1e-12)


def test_what_moves_like_the_truth_does_not_flicker() -> None:
    truth = moving(4, step=2)
    found = scores.score(enumerate(truth), scores.Motion(truth))
    still = float(np.abs(np.diff(metrics.luma(truth), axis=0)).mean())
    assert found.flicker[0] is None
    assert all(value is not None and value < still / 8 for value in found.flicker[1:])
    assert found.error_flicker[1:] == [0, 0, 0]
    assert found.psnr == [np.inf] * 4


def test_flicker_of_the_light_is_found() -> None:
    truth = moving(4) // 2 + 60
    flickering = truth.copy()
    flickering[1::2] += 10
    found = scores.score(enumerate(flickering), scores.Motion(truth))
    luma_step = 10 * metrics.BT601_LUMA.sum()
    assert np.allclose(np.array(found.error_flicker[1:], float), luma_step)


def test_flicker_needs_the_frame_before() -> None:
    truth = moving(5)
    found = scores.score([(n, truth[n]) for n in (0, 1, 4)], scores.Motion(truth))
    assert [value is None for value in found.flicker] == [True, False, True]


def test_a_cut_has_no_flicker() -> None:
    truth = np.stack([np.full((48, 64, 3), level, np.uint8) for level in (0, 200)])
    assert scores.score(enumerate(truth), scores.Motion(truth)).flicker == [None, None]


def test_unsharp_is_tuned_by_the_truth() -> None:
    truth = moving(3)
    soft = classic.sharpened(truth, {"radius": 1.2, "amount": -0.5})
    unsharp = next(method for method in classic.SHARPENERS if method.name == "unsharp")
    setting = classic.tuned(unsharp, soft, truth)
    before, after = (np.square(frames.astype(float) - truth).mean() for frames in (soft, unsharp(soft, setting)))
    assert after < before / 4


def test_luma_and_chroma_are_tuned_apart() -> None:
    truth = np.full((1, 16, 16, 3), 100, np.uint8)
    settings = classic.grid(gain=(0.0, 10.0))

    def apply(planes: classic.Levels, setting: classic.Setting) -> classic.Levels:
        gains = np.array([setting[name]["gain"] for name in ("luma", "chroma", "chroma")], np.float32)
        return planes + gains[:, None, None]

    method = classic.Method(name="gain", apply=apply, settings=settings, by_plane=True)
    darker = classic.to_rgb(classic.to_yuv(truth) - np.array([10, 0, 0], np.float32)[:, None, None])
    assert classic.tuned(method, darker, truth) == {"luma": {"gain": 10.0}, "chroma": {"gain": 0.0}}


def test_planes_and_back_are_the_same_frames() -> None:
    frames = RANDOM.integers(0, 256, (2, 16, 24, 3)).astype(np.uint8)
    assert np.array_equal(classic.to_rgb(classic.to_yuv(frames)), frames)


@pytest.mark.parametrize("name", ["hqdn3d", "nlmeans"])
def test_denoisers_take_noise_away_and_keep_colours(name: str) -> None:
    pytest.importorskip("imageio_ffmpeg")
    truth = np.broadcast_to(np.array([60, 120, 200], np.uint8), (3, 48, 64, 3)).copy()
    noisy = cases.noisy(25, truth)
    method = next(method for method in classic.denoisers(25) if method.name == name)
    restored = method(noisy, classic.tuned(method, noisy, truth))
    errors = [np.square(frames.astype(float) - truth).mean() for frames in (noisy, restored)]
    assert errors[1] < errors[0] / 4
    assert np.abs(restored.mean(axis=(0, 1, 2)) - [60, 120, 200]).max() < 3


def test_ffmpeg_says_what_is_wrong() -> None:
    pytest.importorskip("imageio_ffmpeg")
    with pytest.raises(RuntimeError, match="nosuchfilter"):
        ffmpeg.filtered("nosuchfilter", np.zeros((1, 1, 16, 16), np.uint8))


@pytest.mark.parametrize("count", [1, 2, 10, 85, 292])
def test_kept_frames_are_among_those_of_slow_methods(count: int) -> None:
    kept = set(measure.spread(count, measure.KEPT))
    assert kept <= set(measure.restored(count, 7))
    assert set(measure.restored(count, 1)) & kept or count < 2
    assert all(0 <= n < count for n in measure.restored(count, 7))


def test_results_are_kept_until_something_changes(tmp_path: Path) -> None:
    kept = store.Store(tmp_path)
    kept.add(result("ours", {0: 30.0}, weights="abc"), {0: texture()})
    assert kept.has("sr4", "a", "ours", {"weights": "abc"})
    assert not kept.has("sr4", "a", "ours", {"weights": "def"})
    assert not kept.has("sr4", "b", "ours", {"weights": "abc"})
    assert kept.results() == [result("ours", {0: 30.0}, weights="abc")]
    assert np.array_equal(kept.frame("sr4", "a", "ours", 0), texture())  # type: ignore[arg-type]


def test_a_table_holds_results_of_the_same_weights(tmp_path: Path) -> None:
    kept = store.Store(tmp_path)
    old, new = (replace(result("ours", {0: 30.0}, weights=weights), clip=weights) for weights in ("old", "new"))
    classic = result("bicubic", {0: 20.0})
    for each in (old, classic, new):
        kept.add(each, {})
    assert kept.results() == [classic, new]


def test_results_of_another_protocol_do_not_count(tmp_path: Path) -> None:
    kept = store.Store(tmp_path)
    kept.add(result("ours", {0: 30.0}), {})
    file = kept.place("sr4", "a", "ours") / store.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"protocol": store.PROTOCOL + 1}))
    assert not kept.has("sr4", "a", "ours", {})
    assert kept.results() == []


@pytest.mark.parametrize("ours", [{1: 32.0}, {1: 32.0, 3: 90.0}])
def test_gains_are_those_of_frames_that_both_restored(ours: dict[int, float]) -> None:
    results = [result("bicubic", {0: 10.0, 1: 30.0, 2: 20.0}), result("ours", ours, weights="abc")]
    measured = report.Measured(cases.CASES[0], results)
    assert (measured.classic, measured.networks) == (["bicubic"], ["ours"])
    assert measured.gain("ours")("a", "bicubic") == pytest.approx(2)


def test_a_mean_over_missing_clips_is_left_out() -> None:
    results = [result("bicubic", {0: 10.0}), result("ours", {0: 12.0}, weights="abc")]
    other = store.Result(case="sr4", clip="b", method="bicubic", identity={}, setting={}, scores=results[0].scores)
    measured = report.Measured(cases.CASES[0], [*results, other])
    sheet = measured.sheet("PSNR", ["bicubic", "ours"], measured.mean("psnr"), ".1f")
    assert sheet.rows == [("a", "1", "10.0", "12.0"), ("b", "1", "10.0", ""), ("mean", "", "10.0", "")]


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Seven frames of lossless footage."""
    folder = tmp_path / "butterfly"
    folder.mkdir()
    for n, frame in enumerate(moving(7)):
        write_png(folder / f"{n}.png", frame)
    return folder


@pytest.mark.parametrize(
    ("case", "method", "frames"), [("sr4", "spline36", range(7)), ("deblur", "input", range(2, 5))]
)
def test_a_clip_is_measured_once(footage: Path, tmp_path: Path, case: str, method: str, frames: range) -> None:
    chosen = next(each for each in cases.CASES if each.name == case)
    jobs = [measure.Job(chosen, each) for each in chosen.methods if each.name == method]
    kept = store.Store(tmp_path / "work")
    assert list(measure.measure_clip(footage, jobs, kept, None)) == [f"{chosen.name}, butterfly: {method}"]
    assert list(measure.measure_clip(footage, jobs, kept, None)) == []
    (found,) = kept.results()
    assert found.scores.frames == list(frames)
    assert all(15 < value < 45 for value in found.scores.psnr)
    assert np.array_equal(kept.frame(chosen.name, "butterfly", "truth", 3), moving(7)[3])  # type: ignore[arg-type]


def test_a_clip_that_is_too_short_is_left_out(footage: Path, tmp_path: Path) -> None:
    kept = store.Store(tmp_path / "work")
    jobs = [measure.Job(cases.CASES[-1], cases.CASES[-1].methods[0])]
    assert list(measure.measure_clip(footage, jobs, kept, 4)) == ["deblur, butterfly: left out, as it takes 5 frames"]
    assert kept.results() == []


def test_crops_are_where_methods_differ_and_where_the_network_is_behind(tmp_path: Path) -> None:
    kept = store.Store(tmp_path)
    truth = np.full((256, 384, 3), 100, np.uint8)
    rival, ours = truth.copy(), truth.copy()
    rival[:20, :20] = 0  # ours is better here, and that is where they differ most
    ours[200:210, 300:310] = 200
    pictures_of = {"truth": truth, "degraded": truth[::4, ::4], "bicubic": rival, "ours": ours}
    for name, frame in pictures_of.items():
        kept.keep("sr4", "a", name, {5: frame})
    found = dict(pictures.compared(kept, "sr4", "a", list(pictures_of)))
    height, width = pictures.LABEL + pictures.CROP[0] * pictures.ENLARGED, pictures.CROP[1] * pictures.ENLARGED + 2
    assert {picture.shape for picture in found.values()} == {(height, 4 * width, 3)}
    shown = {what: [int(x) for x in picture[pictures.LABEL :].min(axis=(0, 2))] for what, picture in found.items()}
    assert 0 in shown["differs"]
    assert 0 not in shown["worst"]
    assert (found["worst"][pictures.LABEL :, 3 * width :] == 200).any()
