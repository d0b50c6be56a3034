"""Windows are computed once and the source is asked once, however little VapourSynth may cache."""

from collections.abc import Callable, Iterator

import pytest
import vapoursynth as vs
from vapoursynth import core

from tests.filters.doubles import count_windows
from tests.support import counted, texture_clip

FRAMES, LENGTH, OVERLAP = 24, 4, 1

pytestmark = pytest.mark.usefixtures("arithmetic", "_restores_threads")

type Chain = Callable[[vs.VideoNode], vs.VideoNode]


def denoise(clip: vs.VideoNode) -> vs.VideoNode:
    return core.vrt.Restore(clip, task="denoise", length=LENGTH, overlap=OVERLAP)


def enlarge(clip: vs.VideoNode) -> vs.VideoNode:
    return core.vrt.Restore(clip, task="sr4", model="nearest", length=LENGTH, overlap=OVERLAP)


def blend(clip: vs.VideoNode) -> vs.VideoNode:
    return core.vrt.Restore(clip, task="sr4", model="blended", length=LENGTH, overlap=OVERLAP)


def interpolate(clip: vs.VideoNode) -> vs.VideoNode:
    return core.vrt.Interpolate(clip, length=LENGTH, overlap=OVERLAP)


def space_time(clip: vs.VideoNode) -> vs.VideoNode:
    return core.vrt.Restore(clip, task="st4", length=LENGTH, overlap=OVERLAP)


WINDOWS, BLENDED = FRAMES // LENGTH, 8  # 24 frames in steps of 3
# What each call of the chain computes, by model.
CHAINS: dict[str, tuple[Chain, dict[str, int]]] = {
    "sr4": (enlarge, {"nearest": WINDOWS}),
    "blended": (blend, {"blended": BLENDED}),
    "denoise, sr4": (lambda clip: enlarge(denoise(clip)), {"add-level": WINDOWS, "nearest": WINDOWS}),
    "denoise, blended": (lambda clip: blend(denoise(clip)), {"add-level": WINDOWS, "blended": BLENDED}),
    "sr4, Interpolate": (lambda clip: interpolate(enlarge(clip)), {"nearest": WINDOWS, "between": WINDOWS}),
    "denoise, sr4, Interpolate": (
        lambda clip: interpolate(enlarge(denoise(clip))),
        {"add-level": WINDOWS, "nearest": WINDOWS, "between": WINDOWS},
    ),
    "st4": (space_time, {"nearest": WINDOWS, "between": WINDOWS}),
}


@pytest.fixture
def _little_cache() -> Iterator[None]:
    before = core.max_cache_size
    core.max_cache_size = 1  # MiB: less than two windows
    yield
    core.max_cache_size = before


def run(clip: vs.VideoNode) -> int:
    """All frames in order, none of them kept; how many there were."""
    count = 0
    for frame in clip.frames(close=True):
        assert frame.width
        count += 1
    return count


def check(name: str, format: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, expected = CHAINS[name]
    core.num_threads = threads
    calls = count_windows(monkeypatch)
    source, requests = counted(texture_clip(1, FRAMES, format))
    assert run(chain(source)) == FRAMES * (2 if "Interpolate" in name or name == "st4" else 1)
    for model, windows in expected.items():
        assert windows <= calls[model] <= 1.1 * windows, calls
    assert calls.keys() == expected.keys()
    assert set(requests) == set(range(FRAMES))
    assert requests.total() <= 1.1 * FRAMES, requests


@pytest.mark.usefixtures("_little_cache")
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("name", CHAINS)
def test_a_linear_run_computes_each_window_and_asks_for_each_frame_once_with_little_cache(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(name, vs.YUV420P8, threads, monkeypatch)


@pytest.mark.parametrize("name", CHAINS)
def test_and_with_as_much_as_is_usual(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(name, vs.RGBS, 16, monkeypatch)
