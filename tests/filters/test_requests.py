"""Frame n is the same bytes however it is reached."""

import functools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor
from vapoursynth import core

from tests.filters.doubles import PATIENCE
from tests.support import clip_bytes, clip_of, counted, frame_bytes, pixels, texture_clip
from vs_vrt.restorer import Restorer

LENGTH, OVERLAP, FRAMES = 2, 1, 9
# RGBS goes straight through; YUV takes the conversion nodes on both sides.
FORMATS = [vs.RGBS, vs.YUV420P8]
THREADS = [1, 2, 16]

# A failing order is short as it is; looking for a shorter one would take minutes.
few = settings(max_examples=9, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])

pytestmark = pytest.mark.usefixtures("_restores_threads")


def restored(format: int, threads: int) -> vs.VideoNode:
    """New nodes, with nothing cached."""
    core.num_threads = threads
    return core.vrt.Restore(texture_clip(1, FRAMES, format), length=LENGTH, overlap=OVERLAP)


@functools.cache
def linear(format: int) -> list[bytes]:
    clip = restored(format, threads=1)
    return [frame_bytes(clip.get_frame(n)) for n in range(FRAMES)]


@pytest.mark.parametrize("format", FORMATS)
def test_frames_differ_from_one_another(format: int) -> None:
    assert len(set(linear(format))) == FRAMES


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("threads", THREADS)
def test_get_frame_and_frames_give_the_same_bytes_at_any_number_of_threads(format: int, threads: int) -> None:
    clip = restored(format, threads)
    assert [frame_bytes(clip.get_frame(n)) for n in range(FRAMES)] == linear(format)
    assert clip_bytes(restored(format, threads)) == linear(format)


@few
@given(format=st.sampled_from(FORMATS), threads=st.sampled_from(THREADS), order=st.permutations(range(FRAMES)))
def test_any_order_of_requests_gives_the_same_bytes(format: int, threads: int, order: list[int]) -> None:
    clip = restored(format, threads)
    assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear(format)[n] for n in order]


@few
@given(
    format=st.sampled_from(FORMATS),
    threads=st.sampled_from(THREADS),
    order=st.lists(st.integers(0, FRAMES - 1), min_size=2, max_size=2 * FRAMES),
)
def test_any_number_of_requests_in_flight_gives_the_same_bytes(format: int, threads: int, order: list[int]) -> None:
    clip = restored(format, threads)
    futures = [clip.get_frame_async(n) for n in order]
    assert [frame_bytes(future.result()) for future in futures] == [linear(format)[n] for n in order]


def test_two_nodes_with_different_arguments_do_not_disturb_each_other() -> None:
    source = texture_clip(1, FRAMES)
    one = core.vrt.Restore(source, length=3, overlap=1)
    other = core.vrt.Restore(source, length=4, overlap=2, precision="bf16")
    alone = [clip_bytes(core.vrt.Restore(source, length=3, overlap=1)), clip_bytes(other)]
    assert alone[0] != alone[1]
    together = clip_bytes(core.std.Interleave([one, other]))
    assert [together[::2], together[1::2]] == alone


def test_a_chain_of_two_restores_restores_twice() -> None:
    once = core.vrt.Restore(texture_clip(1, 2), length=1, overlap=1)
    twice = core.vrt.Restore(once, length=1, overlap=1)
    assert (twice.width, twice.height, twice.num_frames) == (16 * 32, 16 * 24, 2)
    fetched = clip_of(np.stack([pixels(frame) for frame in once.frames()]))
    assert clip_bytes(twice) == clip_bytes(core.vrt.Restore(fetched, length=1, overlap=1))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("threads", THREADS)
def test_a_linear_run_asks_the_source_for_little_more_than_each_frame(format: int, threads: int) -> None:
    frames, length, overlap = 30, 5, 2
    source, requests = counted(texture_clip(1, frames, format))
    core.num_threads = threads
    assert len(clip_bytes(core.vrt.Restore(source, length=length, overlap=overlap))) == frames
    assert set(requests) == set(range(frames))
    assert requests.total() <= frames * (1 + 2 * overlap / length)
    assert max(requests.values()) <= 1 + math.ceil(2 * overlap / length)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("threads", THREADS)
def test_a_linear_run_computes_each_window_once(format: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    restore = Restorer.restore

    def counting(self: Restorer, video: Tensor, cuts: list[bool], keep: range, *rest: Any) -> Iterator[Tensor]:
        calls.append(keep)
        return restore(self, video, cuts, keep, *rest)

    monkeypatch.setattr(Restorer, "restore", counting)
    core.num_threads = threads
    assert len(clip_bytes(core.vrt.Restore(texture_clip(1, 24, format), length=4, overlap=1))) == 24
    assert len(calls) == 24 // 4


@pytest.mark.parametrize(("prefetch", "reached"), [(None, True), (1, False)])
def test_what_the_next_window_reads_is_fetched_while_one_computes(
    prefetch: int | None, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many requests as the plan says, and not with one at a time."""
    source, requests = counted(texture_clip(1, 24))
    plan = core.vrt.Plan(source, length=8, overlap=2)
    last_read, seen = 2 * 8 + 2 - 1, []
    restore = Restorer.restore

    def slow(self: Restorer, *arguments: Any) -> Iterator[Tensor]:
        deadline = time.monotonic() + (PATIENCE if reached else 0.3)
        while not seen and last_read not in requests and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(last_read in requests)
        return restore(self, *arguments)

    monkeypatch.setattr(Restorer, "restore", slow)
    clip = core.vrt.Restore(source, length=8, overlap=2)
    for frame in clip.frames(prefetch=prefetch or plan["requests"], close=True):
        del frame
    assert seen[0] == reached


def test_frames_near_the_end_of_the_longest_clip_are_reached_directly() -> None:
    last = 2**31 - 2
    clip = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=last + 1, color=[0.2, 0.5, 0.7])
    source, requests = counted(clip)
    restored = core.vrt.Restore(source, length=4, overlap=1)
    assert restored.num_frames == last + 1
    assert restored.get_frame(last).props["VrtWindow"] == [last // 4 * 4, last]
    assert sorted(requests) == list(range(last // 4 * 4 - 1, last + 1))
