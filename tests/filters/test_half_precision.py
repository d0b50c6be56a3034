"""Where half precision makes no numbers, or nobody does: what a window gives then, and what it says of that."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, override

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor
from vapoursynth import core

from tests.filters.doubles import Mix, Overflowing, install
from tests.support import Video, clip_bytes, clip_of, frame_bytes, pixels
from vs_vrt.models.network import Statistics

LENGTH, FRAMES = 2, 8
# Of each window; half precision makes infinities of the second, and nobody makes numbers of the last.
BRIGHTNESS = [0.4, 0.8, 0.4, 0.95]
FALLBACKS = [None, "fp32", None, "zero"]


def video_of(brightness: list[float], width: int = 8, height: int = 6) -> Video:
    noise = np.random.default_rng(0).random((LENGTH * len(brightness), 3, height, width), dtype=np.float32)
    video = noise * np.repeat(np.float32(brightness), LENGTH)[:, None, None, None]
    video[:, 0, 2, 3] = np.repeat(np.float32(brightness), LENGTH)  # which is the maximum
    return video


VIDEO = video_of(BRIGHTNESS)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Overflowing:
    network = Overflowing()
    install(network, monkeypatch, tmp_path)
    return network


def restored(clip: vs.VideoNode, **arguments: Any) -> vs.VideoNode:
    return core.vrt.Restore(clip, length=LENGTH, overlap=0, sc_threshold=0, **arguments)


def windows(clip: vs.VideoNode, key: str) -> list[Any]:
    """What the frames of each window say, where all of a window say the same."""
    values = [frame.props.get(key) for frame in clip.frames()]
    assert values[::LENGTH] == values[LENGTH - 1 :: LENGTH]
    return values[::LENGTH]


@pytest.mark.usefixtures("network")
def test_a_window_that_overflows_is_computed_again_in_float32() -> None:
    full, half = restored(clip_of(VIDEO), precision="fp32"), restored(clip_of(VIDEO), precision="bf16")
    assert windows(half, "VrtFallback") == FALLBACKS
    assert windows(half, "VrtPrecision") == ["bf16", "fp32", "bf16", "fp32"]
    assert windows(full, "VrtFallback") == [None, None, None, "zero"]
    assert windows(full, "VrtPrecision") == ["fp32"] * 4
    exact, found = clip_bytes(full), clip_bytes(half)
    assert [a == b for a, b in zip(exact, found, strict=True)] == [False, False, True, True] * 2


@pytest.mark.usefixtures("network")
def test_what_is_no_number_becomes_0_and_the_rest_stays() -> None:
    half = restored(clip_of(VIDEO), precision="bf16")
    for frame in half.frames():
        assert np.isfinite(pixels(frame)).all()
    assert not pixels(half.get_frame(FRAMES - 1)).any()


def test_one_infinity_of_float32_is_all_that_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = Mix()
    with torch.no_grad():
        network.weight.fill_(3e38)
    install(network, monkeypatch, tmp_path)
    video = np.full((1, 3, 6, 8), 0.5, np.float32)
    video[0, 1, 2, 3] = 2
    frame = restored(clip_of(video)).get_frame(0)
    expected = np.full((3, 6, 8), np.float32(3e38) / 2)
    expected[1, 2, 3] = 0
    np.testing.assert_array_equal(pixels(frame), expected)
    assert frame.props["VrtFallback"] == "zero"


def test_each_window_tries_half_precision_first(network: Overflowing) -> None:
    list(restored(clip_of(VIDEO), precision="bf16").frames())
    once, again, last = [True] * 2, [True, False, False], [True, False, False]
    assert network.is_half == once + again + once + last


def test_an_interpolation_falls_back_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Halfway(Overflowing):
        @override
        def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
            return super().frames(video[:, 1:2], range(1))

    install(Halfway(), monkeypatch, tmp_path, task="vfi", gives="between", num_frames=4)

    def made(precision: str) -> vs.VideoNode:
        arguments = {"length": LENGTH, "overlap": 1, "sc_threshold": 0, "precision": precision}
        return core.vrt.Interpolate(clip_of(VIDEO), **arguments)[1::2][: FRAMES - 1]

    fallbacks = [frame.props.get("VrtFallback") for frame in made("bf16").frames()]
    assert fallbacks == [each for each in FALLBACKS for _ in range(LENGTH)][: FRAMES - 1]
    same = [a == b for a, b in zip(clip_bytes(made("fp32")), clip_bytes(made("bf16")), strict=True)]
    assert same == [False, False, True, True, False, False, True]


@pytest.mark.usefixtures("network")
def test_any_order_of_requests_gives_the_same_bytes() -> None:
    linear = clip_bytes(restored(clip_of(VIDEO), precision="bf16"))
    clip = restored(clip_of(VIDEO), precision="bf16")
    assert [frame_bytes(clip.get_frame(n)) for n in reversed(range(FRAMES))] == linear[::-1]


# Samples of the source that are no numbers


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("format", [vs.RGBS, vs.RGBH])
def test_samples_that_are_not_finite_count_as_0_and_are_counted(format: int) -> None:
    clean = video_of([0.4, 0.4, 0.4]).astype(np.float16).astype(np.float32)
    dirty = clean.copy()
    dirty[1, 0, 0, 1] = np.nan
    dirty[3, :, 2, 2:5] = np.inf
    dirty[3, 2, 5, 7] = -np.inf
    clean[~np.isfinite(dirty)] = 0
    clips = [restored(clip_of(video).resize.Point(format=format)) for video in (clean, dirty)]
    assert clip_bytes(clips[1]) == clip_bytes(clips[0])
    assert [frame.props.get("VrtNonFinite") for frame in clips[1].frames()] == [None, 1, None, 10, None, None]
    assert not [frame for frame in clips[0].frames() if "VrtNonFinite" in frame.props]
    assert not [frame for frame in clips[1].frames() if "VrtFallback" in frame.props]


@pytest.mark.usefixtures("arithmetic")
def test_they_are_counted_for_the_frame_that_has_them_alone() -> None:
    dirty = video_of([0.4, 0.4])
    dirty[1, 0, 0, 0] = np.nan
    blended = core.vrt.Restore(clip_of(dirty), task="sr4", model="blended", length=3, overlap=1, sc_threshold=0)
    assert [frame.props.get("VrtNonFinite") for frame in blended.frames()] == [None, 1, None, None]
    between = core.vrt.Interpolate(clip_of(dirty), length=2, overlap=1, sc_threshold=0)
    assert [frame.props.get("VrtNonFinite") for frame in between.frames()] == [*[None] * 3, 1, *[None] * 4]


def test_half_precision_frames_are_computed_in_float32_on_a_cpu(network: Overflowing) -> None:
    clip = clip_of(VIDEO).resize.Point(format=vs.RGBH)
    frame = restored(clip).get_frame(0)
    assert (frame.props["VrtPrecision"], network.is_half) == ("fp32", [False] * 2)
    assert frame.format.id == vs.RGBH
    source = pixels(clip.get_frame(0)).astype(np.float32)
    np.testing.assert_array_equal(pixels(frame), (source * np.float32(1.001)).astype(np.float16))


# What belongs to the process


def settings() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "interop threads": torch.get_num_interop_threads(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.backends.cudnn.deterministic,
        "enabled": torch.backends.cudnn.enabled,
        "tf32": torch.backends.cudnn.allow_tf32,
        "matmul": torch.get_float32_matmul_precision(),
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast dtype": torch.get_autocast_dtype("cpu"),
        "seed": torch.initial_seed(),
        "state": torch.get_rng_state().tolist(),
    }


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_of_the_process_changes(precision: str, threads: int, network: Overflowing) -> None:
    """Whatever a host that uses torch as well has set."""
    usual = settings()
    cudnn = torch.backends.cudnn
    try:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float64)
        cudnn.benchmark, cudnn.allow_tf32 = not cudnn.benchmark, not cudnn.allow_tf32
        torch.set_float32_matmul_precision("high")
        before = settings()
        list(restored(clip_of(VIDEO), precision=precision).frames())
        assert settings() == before
        # Nor anything of a thread that looks on.
        found: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: found.append(settings()))
        thread.start()
        thread.join()
        assert found == [before]
    finally:
        torch.set_num_threads(usual["threads"])
        torch.set_default_dtype(usual["dtype"])
        cudnn.benchmark, cudnn.allow_tf32 = usual["benchmark"], usual["tf32"]
        torch.set_float32_matmul_precision(usual["matmul"])
    assert settings() == usual
    assert len(network.is_half) >= FRAMES


@pytest.mark.usefixtures("network")
def test_the_log_says_once_what_was_made_of_them(log: list[str]) -> None:
    clip_bytes(restored(clip_of(VIDEO), precision="bf16"))
    for fallback in ("computed again (VrtFallback)", "are 0 (VrtFallback)"):
        assert sum(fallback in line for line in log) == 1
