"""What previews and players do: short windows, lengths that are not true, steps back, a script loaded anew."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from vapoursynth import core
from vs_vrt.filters import restore
from vs_vrt.filters.restoration import Restoration

from tests.filters import reduced
from tests.golden_vectors import error, fill, load, tolerance
from tests.support import clip_bytes, clip_of, counted, frame_bytes, moving_texture, pixels, properties, texture_clip
from vs_vrt.mirror import mirror
from vs_vrt.restorer import build

WEIGHT = 1 / 4096  # frame numbers as samples, exact in float32
FRAMES = 23
REACH = 2  # frames on each side that a preview reads
MOST = 2**31 - 1
BUFFERED = 4  # frames that mpv keeps for each request in flight, unless told otherwise
ROWS = ("span", "stride", "blended")  # of tests/filters/stand_ins.py: recurrent networks, IconVSR's keyframes, VRT


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each window that is computed, its first frame and how many frames it makes."""
    computed = []
    restore_window = Restoration.restore_window

    def noting(self: Restoration, node: int, begin: int, first: int, inputs: list, outputs: list) -> object:
        computed.append((begin, len(outputs)))
        return restore_window(self, node, begin, first, inputs, outputs)

    monkeypatch.setattr(Restoration, "restore_window", noting)
    return computed


def numbered(frames: int = FRAMES) -> vs.VideoNode:
    """Frame n holds n / 4096 in all samples."""
    video = np.empty((frames, 3, 4, 5), np.float32)
    video[:] = (np.arange(frames) * WEIGHT)[:, None, None, None]
    return clip_of(video)


def told(clip: vs.VideoNode, n: int) -> tuple[float, ...]:
    """Of a frame: its own number, and the first and last number of what its window read."""
    return tuple(float(sample) for sample in pixels(clip.get_frame(n))[:, 0, 0] / WEIGHT)


def around(n: int, frames: int = FRAMES) -> range:
    return range(max(n - REACH, 0), min(n + REACH + 1, frames))


# preview=True


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("model", ROWS)
@pytest.mark.parametrize("n", [0, 1, 9, 21, 22])
def test_a_preview_is_one_frame_made_of_its_neighbours(model: str, n: int, windows: list[tuple[int, int]]) -> None:
    source, requests = counted(numbered())
    clip = core.vrt.Restore(source, model=model, preview=True, sc_threshold=0)
    assert clip.num_frames == FRAMES
    props = clip.get_frame(n).props
    assert (props["VrtPreview"], props["VrtWindow"]) == (1, [n, n])
    assert requests == Counter(around(n))
    assert told(clip, n) == (n, around(n)[0], around(n)[-1])
    assert windows == [(n, 1)]


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("n", [0, 9, 21])
def test_a_preview_of_an_interpolation_is_what_comes_before_the_next_frame(
    factor: int, n: int, windows: list[tuple[int, int]]
) -> None:
    source, requests = counted(numbered())
    clip = core.vrt.Interpolate(source, factor, preview=True, sc_threshold=0)
    assert clip.num_frames == factor * FRAMES
    assert "VrtPreview" not in properties(clip, factor * n)  # the source's own
    assert windows == []
    requests.clear()
    props = clip.get_frame(factor * n + 1).props
    assert (props["VrtPreview"], props["VrtWindow"]) == (1, [factor * n, factor * n + factor - 1])
    assert set(requests) <= set(around(n))
    assert windows == [(n, factor - 1)]
    assert told(clip, factor * n + 1) == pytest.approx([n + 1 / factor] * 3)


@pytest.mark.usefixtures("arithmetic")
def test_a_preview_of_one_new_frame_is_exact() -> None:
    """It looks at two frames before and two after: all that the network is given anyway."""
    source = texture_clip(1, 7)
    assert clip_bytes(core.vrt.Interpolate(source, preview=True)) == clip_bytes(core.vrt.Interpolate(source))


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("model", ROWS)
def test_no_preview_looks_across_a_cut(model: str) -> None:
    clip = numbered()
    marked = core.std.Splice([clip[:8], clip[8].std.SetFrameProps(_SceneChangePrev=1), clip[9:]])
    restored = core.vrt.Restore(marked, model=model, preview=True)
    assert told(restored, 7) == (7, 5, 7)
    assert told(restored, 8) == (8, 8, 10)


@pytest.mark.usefixtures("_restores_threads")
@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
def test_previews_are_the_same_bytes_in_any_order(format: int, threads: int) -> None:
    core.num_threads = threads
    source = texture_clip(1, 7, format)
    linear = clip_bytes(core.vrt.Restore(source, preview=True))
    assert len(set(linear)) == 7
    order = np.random.default_rng(0).permutation(7).tolist()
    clip = core.vrt.Restore(source, preview=True)
    assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear[n] for n in order]
    futures = [core.vrt.Restore(source, preview=True).get_frame_async(n) for n in order]
    assert [frame_bytes(future.result()) for future in futures] == [linear[n] for n in order]


@pytest.mark.parametrize("name", [name for name in reduced.MODELS if name != "vrt_small_vfi_pa0"])
@pytest.mark.parametrize("n", [1])
def test_previews_of_all_architectures(name: str, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, (_, metadata) = reduced.row_of(name), load(name)
    monkeypatch.setattr(restore, "TASKS", (row,))
    reduced.save(name, tmp_path)
    side = max(row.min_size, row.multiple, 32)
    video = moving_texture(1, 6, side, side)
    levels = {} if row.sigma is None else {"sigma": 25.5}
    clip = core.vrt.Restore(
        clip_of(video), task=row.task, weights=str(tmp_path / f"{name}.safetensors"), preview=True, **levels
    )
    network = fill(build(row), metadata).eval()
    seen = torch.from_numpy(video[around(n, 6).start : around(n, 6).stop])
    place = n - around(n, 6).start
    if levels:
        seen = torch.cat([seen, torch.full_like(seen[:, :1], 0.1)], dim=1)
    seen = seen[mirror(range(max(len(seen), row.num_frames)), len(seen))]
    with torch.inference_mode():
        expected = next(network.frames(seen[None], range(place, place + 1)))
    assert error(torch.from_numpy(pixels(clip.get_frame(n))), expected[0]) <= tolerance(metadata)


# Lengths that are not true, as mpv gives them


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("model", ROWS)
@pytest.mark.parametrize("start", [0, 10**9, MOST - 40])
def test_each_seek_computes_one_window_of_a_clip_of_any_length(
    model: str, start: int, windows: list[tuple[int, int]]
) -> None:
    """A player loads the script anew for every seek, here with small steps back in between."""
    blank = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=MOST, color=[0.2, 0.5, 0.7])
    for n in (start + 8, start + 7, start + 6, start + 30, start + 29):
        windows.clear()
        source, requests = counted(blank)
        clip = core.vrt.Restore(source, model=model)
        assert clip.num_frames == MOST
        begin, end = clip.get_frame(n).props["VrtWindow"]
        assert begin <= n <= end
        shares = 2 if model == "blended" and len(windows) == 2 else 1  # two windows blend where they overlap
        assert len(windows) == shares
        length, overlap, stride = (8, 2, 1) if model == "blended" else (10, 3, 5)
        assert len(requests) <= (2 * length - overlap if model == "blended" else length + 2 * overlap + stride - 1)
        assert max(abs(asked - n) for asked in requests) < length + overlap + stride


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("model", ROWS)
def test_playing_on_after_a_seek_computes_each_window_once(model: str, windows: list[tuple[int, int]]) -> None:
    start = 10**9 + 5
    blank = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=MOST)
    clip = core.vrt.Restore(blank, model=model, length=8, overlap=2)
    for n in range(start, start + 48):
        clip.get_frame(n)
    assert len(windows) == len(set(windows)) <= 48 // (6 if model == "blended" else 8) + 2


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("model", ROWS)
def test_stepping_back_computes_each_window_once(model: str, windows: list[tuple[int, int]]) -> None:
    clip = core.vrt.Restore(numbered(), model=model, length=8, overlap=2)
    for n in reversed(range(FRAMES)):
        clip.get_frame(n)
    assert len(windows) == len(set(windows)) == (4 if model == "blended" else 3)


@pytest.mark.usefixtures("arithmetic")
def test_scrubbing_in_two_windows_computes_two(windows: list[tuple[int, int]]) -> None:
    clip = core.vrt.Restore(numbered(), model="span", length=8, overlap=2)
    for n in (3, 9, 4, 12, 0, 15, 7, 8):
        clip.get_frame(n)
    assert sorted(windows) == [(0, 8), (8, 8)]


def forgetful(clip: vs.VideoNode, kept: int) -> vs.VideoNode:
    """The clip as mpv has it: it goes forward, and what lies `kept` frames behind the last one is lost."""
    ahead = 0

    def give(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        nonlocal ahead
        ahead = max(ahead, n + 1)
        if n < ahead - kept:
            raise RuntimeError(f"frame {n} is lost, the first one is {ahead - kept}")
        return f

    return clip.std.ModifyFrame(clip, give)


@pytest.mark.usefixtures("arithmetic", "_restores_threads")
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("format", [vs.RGBS, vs.YUV420P8])
@pytest.mark.parametrize(
    "arguments", [{"model": model} for model in ROWS] + [{"preview": True}, {"length": 2}], ids=str
)
def test_a_player_that_keeps_few_frames_plays(threads: int, format: int, arguments: dict[str, object]) -> None:
    core.num_threads = threads
    source = texture_clip(1, 60, format)
    expected = clip_bytes(core.vrt.Restore(source, **arguments))
    # One of several threads may be held up while the others go on.
    buffered = BUFFERED * threads * min(threads, 2)
    clip = core.vrt.Restore(forgetful(source, buffered), **arguments)
    flight, found = [], []
    for n in range(60):
        flight.append(clip.get_frame_async(n))
        if len(flight) == threads:
            found.append(frame_bytes(flight.pop(0).result()))
    assert found + [frame_bytes(frame.result()) for frame in flight] == expected


@pytest.mark.usefixtures("arithmetic")
def test_a_clip_that_ends_too_early_fails_in_the_windows_that_reach_past_its_end() -> None:
    """No frame says beforehand that it is the last: the source's own error comes through."""
    end = 25

    def give(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if n >= end:
            raise RuntimeError(f"there is no frame {n}")
        return f

    blank = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=MOST)
    clip = core.vrt.Restore(blank.std.ModifyFrame(blank, give), model="span", length=8, overlap=2)
    assert clip.get_frame(15).props["VrtWindow"] == [8, 15]
    with pytest.raises(vs.Error, match="there is no frame 25"):
        clip.get_frame(16)
    preview = core.vrt.Restore(blank.std.ModifyFrame(blank, give), model="span", preview=True)
    assert preview.get_frame(end - 1 - REACH).props["VrtPreview"] == 1
    with pytest.raises(vs.Error, match="there is no frame 25"):
        preview.get_frame(end - REACH)
