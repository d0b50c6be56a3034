"""Where memory runs out: windows wait for one another, then tiles shrink, and no frame is lost."""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, override

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor
from vapoursynth import core

from tests.filters.doubles import PATIENCE, Contrast, Mix, install
from tests.support import Video, check_grammar, clip_bytes, clip_of, frame_bytes
from vs_vrt import engine
from vs_vrt.models.network import Statistics

WIDTH, HEIGHT, FRAMES, LENGTH = 200, 100, 6, 2
# Tiles of 128 + 24 and 64 + 24 pixels at most, and the largest that a frame is cut into as evenly as it goes.
MIDDLE, SMALLEST = 152 * HEIGHT, 88 * 88
MIDDLE_TILE, SMALLEST_TILE = [112, HEIGHT], [83, 62]
VIDEO: Video = np.random.default_rng(0).random((FRAMES, 3, HEIGHT, WIDTH), dtype=np.float32)
EVERYTHING = float("inf")
WAITS = "vrt: out of memory on cpu; its windows wait for one another from now on"
SHRINKS = re.compile(r"vrt: out of memory on cpu; smaller tiles from now on: `([^`]+)`")


def by_torch() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def by_the_allocator() -> Tensor:
    return torch.empty(2**60, dtype=torch.uint8)


def by_numpy() -> object:
    return np.empty(2**60, dtype=np.uint8)


def by_python() -> bytes:
    return bytes(2**62)


type Start = Callable[..., tuple[Contrast, vs.VideoNode]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """`start(most, exhaust, **arguments)`: the network and a clip that it restores."""

    def begin(most: float, exhaust: Callable[[], object] = by_torch, **arguments: Any) -> tuple[Contrast, vs.VideoNode]:
        network = Contrast(most, exhaust)
        install(network, monkeypatch, tmp_path, overlap=0)
        return network, core.vrt.Restore(clip_of(VIDEO), **({"length": LENGTH, "sc_threshold": 0} | arguments))

    return begin


def lines(log: list[str]) -> list[str]:
    return [message for message in log if "out of memory" in message]


def tiles(clip: vs.VideoNode) -> list[list[int] | None]:
    return [frame.props.get("VrtTile") for frame in clip.frames()]


def given(arguments: str) -> dict[str, Any]:
    """`name=value, ...` of a log line, as a script would have them."""
    return eval(f"dict({arguments})")


def test_the_first_time_windows_wait_and_no_byte_changes(start: Start, log: list[str]) -> None:
    expected = clip_bytes(start(EVERYTHING)[1])
    network, clip = start(EVERYTHING)

    def once() -> None:
        network.most = EVERYTHING
        by_torch()

    network.most, network.exhaust = 0, once
    assert clip_bytes(clip) == expected
    assert network.tried == [WIDTH * HEIGHT] * (FRAMES // LENGTH + 1)
    assert lines(log) == [WAITS]
    assert tiles(clip) == [None] * FRAMES


@pytest.mark.parametrize("exhaust", [by_torch, by_the_allocator, by_numpy, by_python])
def test_the_second_time_tiles_shrink_to_what_fits(exhaust: Callable[[], object], start: Start, log: list[str]) -> None:
    network, clip = start(MIDDLE, exhaust)
    found = clip_bytes(clip)
    assert network.tried == [WIDTH * HEIGHT] * 2 + [112 * HEIGHT] * 2 * (FRAMES // LENGTH)
    first, second = lines(log)
    assert first == WAITS
    (arguments,) = SHRINKS.findall(second)
    assert given(arguments) == {"length": 2, "overlap": 0, "tile": MIDDLE_TILE, "tile_overlap": [24, 24]}
    assert tiles(clip) == [MIDDLE_TILE] * FRAMES
    assert clip_bytes(start(EVERYTHING, **given(arguments))[1]) == found
    assert clip_bytes(start(EVERYTHING)[1]) != found


def test_what_threads_keep_is_given_back_by_themselves(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of captured graphs, a thread knows its own."""
    where = []
    monkeypatch.setattr(engine, "release_caches", lambda _: where.append(threading.current_thread().name))
    clip_bytes(start(MIDDLE, num_streams=2)[1])
    assert {name.rpartition("_")[0] for name in where} == {"vrt-cpu/0", "vrt-cpu/1"}


def test_tiles_shrink_as_far_as_it_takes(start: Start, log: list[str]) -> None:
    _, clip = start(SMALLEST)
    found = clip_bytes(clip)
    arguments = [SHRINKS.findall(line)[0] for line in lines(log)[1:]]
    assert [given(each)["tile"] for each in arguments] == [MIDDLE_TILE, SMALLEST_TILE]
    assert clip_bytes(start(EVERYTHING, **given(arguments[-1]))[1]) == found


@pytest.mark.parametrize("failed", range(0, FRAMES, LENGTH))
def test_frames_before_the_failed_window_are_unchanged(failed: int, start: Start, log: list[str]) -> None:
    whole = clip_bytes(start(EVERYTHING)[1])
    tiled = clip_bytes(start(EVERYTHING, tile=[152, 152], tile_overlap=[24, 24])[1])
    assert not set(whole) & set(tiled)
    network, clip = start(EVERYTHING)
    frames = []
    for n in range(FRAMES):
        network.most = EVERYTHING if n < failed else MIDDLE
        frames.append(clip.get_frame(n))
    assert [frame_bytes(frame) for frame in frames] == whole[:failed] + tiled[failed:]
    assert [frame.props.get("VrtTile") for frame in frames] == [None] * failed + [MIDDLE_TILE] * (FRAMES - failed)
    assert len(lines(log)) == 2


def test_a_later_window_starts_with_the_smaller_tiles(start: Start) -> None:
    network, clip = start(MIDDLE)
    clip.get_frame(0)
    network.tried.clear()
    clip.get_frame(LENGTH)
    assert network.tried == [112 * HEIGHT] * 2


def test_where_nothing_is_left_to_lower_it_is_one_error_and_the_clip_goes_on(start: Start, log: list[str]) -> None:
    network, clip = start(1)
    for n in (0, LENGTH):
        with pytest.raises(vs.Error) as error:
            clip.get_frame(n)
        assert str(error.value) == "vrt: out of memory on cpu; `length=1`"
        check_grammar(str(error.value))
    network.most = EVERYTHING
    expected = clip_bytes(start(EVERYTHING, tile=[88, 88], tile_overlap=[24, 24])[1])
    assert clip_bytes(clip) == expected
    assert [line for line in lines(log) if line == WAITS] == [WAITS]
    assert [given(each)["tile"] for line in lines(log) for each in SHRINKS.findall(line)] == [
        MIDDLE_TILE,
        SMALLEST_TILE,
    ]


def test_an_interpolation_shrinks_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: list[str]) -> None:
    class Halfway(Contrast):
        @override
        def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
            return super().frames(video[:, 1:3], range(1))

    network = Halfway(MIDDLE, by_torch)
    install(network, monkeypatch, tmp_path, task="vfi", gives="between", num_frames=4)

    def clip(**arguments: Any) -> vs.VideoNode:
        return core.vrt.Interpolate(clip_of(VIDEO), overlap=2, **({"length": 2, "sc_threshold": 0} | arguments))

    found = clip_bytes(clip())
    assert found[::2] == clip_bytes(clip_of(VIDEO))
    arguments = given(SHRINKS.findall(lines(log)[1])[0])
    del arguments["overlap"]
    network.most = EVERYTHING
    assert clip_bytes(clip(**arguments)) == found != clip_bytes(clip())


# Streams that fail at the same time


class Crowded(Mix):
    """Runs out of memory where two windows are inside at once; the first two meet there."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier, self.lock = threading.Barrier(2), threading.Lock()
        self.entered = itertools.count()
        self.inside = self.most = 0

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            if next(self.entered) < 2:
                self.barrier.wait(PATIENCE)
                by_torch()
            yield from super().frames(video, keep)
        finally:
            with self.lock:
                self.inside -= 1


@pytest.mark.usefixtures("_restores_threads")
@pytest.mark.parametrize("arguments", [{"num_streams": 2}, {"device": ["cpu", "cpu"]}])
def test_two_windows_that_fail_together_wait_for_one_another_before_tiles_shrink(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: list[str]
) -> None:
    core.num_threads = 4
    install(Mix(), monkeypatch, tmp_path)
    expected = clip_bytes(core.vrt.Restore(clip_of(VIDEO), length=2, overlap=1, sc_threshold=0))
    network = Crowded()
    install(network, monkeypatch, tmp_path)
    clip = core.vrt.Restore(clip_of(VIDEO), length=2, overlap=1, sc_threshold=0, **arguments)
    assert clip_bytes(clip) == expected
    assert network.most == 2
    assert tiles(clip) == [None] * FRAMES
    assert lines(log) == [WAITS]


@pytest.mark.usefixtures("_restores_threads")
def test_two_windows_that_are_too_large_end_with_the_same_tiles(start: Start, log: list[str]) -> None:
    core.num_threads = 4
    expected = clip_bytes(start(EVERYTHING, tile=[88, 88], tile_overlap=[24, 24])[1])
    _, clip = start(SMALLEST, num_streams=2)
    assert clip_bytes(clip) == expected
    assert tiles(clip) == [SMALLEST_TILE] * FRAMES
    assert len(lines(log)) == 3
