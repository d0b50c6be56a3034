"""Several devices and streams: windows side by side, the same bytes, and each checkpoint loaded once."""

import functools
import gc
import threading
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from vapoursynth import core
from vs_vrt.filters.restoration import Restoration

from tests.filters import stand_ins
from tests.filters.doubles import Meeting, Mix, count_windows, install
from tests.support import clip_bytes, clip_of, frame_bytes, moving_texture
from vs_vrt import checkpoint, restorer
from vs_vrt.restorer import Restorer

FRAMES = 20
# And how many windows compute side by side.
PARALLEL: list[tuple[dict[str, Any], int]] = [
    ({"device": ["cpu", "cpu"]}, 2),
    ({"num_streams": 2}, 2),
    ({"num_streams": 3}, 3),
    ({"device": ["cpu", "cpu"], "num_streams": 2}, 4),
]
KINDS = ["segments", "blended", "interpolation"]

pytestmark = pytest.mark.usefixtures("_restores_threads")


@functools.cache
def source() -> vs.VideoNode:
    return clip_of(np.concatenate([moving_texture(1, 9, 16, 12), moving_texture(2, FRAMES - 9, 16, 12)]))


def call(kind: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch, folder: Path) -> vs.VideoNode:
    """12 frames of one scene and the rest of another, in windows that no scene ends with."""
    core.num_threads = 4
    if kind == "interpolation":
        network: stand_ins.StandIn = stand_ins.Between()
        install(network, monkeypatch, folder, task="vfi", gives="between", num_frames=4)
        return core.vrt.Interpolate(source(), factor=4, length=3, **arguments)
    install(Mix(), monkeypatch, folder, sharing=kind, architecture="vrt:Mix" if kind == "blended" else "")
    return core.vrt.Restore(source(), length=5 if kind == "blended" else 3, overlap=2, **arguments)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("arguments", "nodes"), PARALLEL)
def test_the_same_bytes_as_one_device_in_any_order(
    kind: str, arguments: dict[str, Any], nodes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = clip_bytes(call(kind, {}, monkeypatch, tmp_path))
    assert len(set(alone)) > FRAMES - 2
    assert clip_bytes(call(kind, arguments, monkeypatch, tmp_path)) == alone
    order = np.random.default_rng(nodes).permutation(len(alone)).tolist()
    jumping, together = (call(kind, arguments, monkeypatch, tmp_path) for _ in range(2))
    assert [frame_bytes(jumping.get_frame(n)) for n in order] == [alone[n] for n in order]
    futures = [together.get_frame_async(n) for n in order]
    assert [frame_bytes(future.result()) for future in futures] == [alone[n] for n in order]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("arguments", "nodes"), PARALLEL)
def test_a_linear_run_computes_each_window_once(
    kind: str, arguments: dict[str, Any], nodes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = call(kind, arguments, monkeypatch, tmp_path)
    calls = count_windows(monkeypatch)
    for frame in clip.frames():
        frame.close()
    assert calls == {"double": 6 if kind == "blended" else 7}
    assert nodes > 1


@pytest.mark.parametrize(("arguments", "nodes"), PARALLEL)
@pytest.mark.parametrize("sharing", ["segments", "blended"])
def test_neighbouring_windows_are_in_flight_at_once(
    sharing: str, arguments: dict[str, Any], nodes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    core.num_threads = 2 * nodes
    network = Meeting(nodes)
    install(network, monkeypatch, tmp_path, sharing=sharing)
    length, overlap, windows = 4, 1, 2 * nodes
    frames = windows * length if sharing == "segments" else windows * (length - overlap) + overlap
    clip = clip_of(moving_texture(1, frames, 16, 12))
    restored = core.vrt.Restore(clip, length=length, overlap=overlap, sc_threshold=0, **arguments)
    # Whoever asks for one frame at a time has all nodes at work as well. A window too few, and nobody goes on.
    for n in range(frames):
        restored.get_frame(n)
    assert not network.barrier.broken


@pytest.mark.parametrize(("arguments", "nodes"), [({}, 1), *PARALLEL])
def test_a_node_has_one_window_in_flight(
    arguments: dict[str, Any], nodes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside: Counter[int] = Counter()
    most: Counter[int] = Counter()
    lock = threading.Lock()
    restore_window = Restoration.restore_window

    def watched(restoration: Restoration, node: int, *rest: Any) -> Any:
        with lock:
            inside[node] += 1
            most[node] = max(most[node], inside[node])
        answer = restore_window(restoration, node, *rest)
        with lock:
            inside[node] -= 1
        return answer

    clip = call("segments", arguments, monkeypatch, tmp_path)
    monkeypatch.setattr(Restoration, "restore_window", watched)
    core.num_threads = 16
    futures = [clip.get_frame_async(n) for n in np.random.default_rng(0).permutation(FRAMES).tolist()]
    for future in futures:
        future.result()
    assert most == dict.fromkeys(range(nodes), 1)


# Loaded checkpoints


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list["weakref.ref[Restorer]"]:
    """One for each network that was loaded since."""
    stand_ins.save_checkpoints(tmp_path)
    install(Mix(), monkeypatch, tmp_path)
    loaded: list[weakref.ref[Restorer]] = []
    begin = Restorer.__init__

    def counting(restorer: Restorer, *rest: Any) -> None:
        begin(restorer, *rest)
        loaded.append(weakref.ref(restorer))

    monkeypatch.setattr(Restorer, "__init__", counting)
    return loaded


def frame_of(**arguments: Any) -> vs.VideoNode:
    """A clip of which one frame was made."""
    clip = core.vrt.Restore(source(), **({"length": 2, "overlap": 0} | arguments))
    clip.get_frame(0).close()
    return clip


def test_several_calls_share_a_loaded_checkpoint(loads: list["weakref.ref[Restorer]"]) -> None:
    clips = [frame_of(), frame_of(length=3), frame_of(device=["cpu", "cpu"]), frame_of(num_streams=3)]
    assert len(loads) == 1
    clips.append(frame_of(precision="bf16"))
    assert len(loads) == 2


def test_a_reloaded_script_loads_nothing_while_the_old_one_lives(loads: list["weakref.ref[Restorer]"]) -> None:
    old = frame_of()
    for _ in range(4):
        new = frame_of()
        old = new
    assert old
    assert len(loads) == 1


def test_the_last_call_gives_a_checkpoint_up(loads: list["weakref.ref[Restorer]"]) -> None:
    one, other = frame_of(), frame_of(length=3, device=["cpu", "cpu"])
    del one
    gc.collect()
    assert loads[0]() is not None
    assert other.get_frame(5).width == 16
    del other
    gc.collect()
    assert loads[0]() is None
    assert not restorer._loaded
    frame_of()
    assert len(loads) == 2


def test_threads_that_ask_first_at_the_same_time_load_once(
    loads: list["weakref.ref[Restorer]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    files: Counter[str] = Counter()
    load = checkpoint.load

    def counting(model: Any, path: Path, row: Any) -> None:
        files[path.name] += 1
        load(model, path, row)

    monkeypatch.setattr(restorer.checkpoint, "load", counting)
    core.num_threads = 8
    clips = [core.vrt.Restore(source(), length=2 + i, device=["cpu", "cpu"]) for i in range(4)]
    for future in [clip.get_frame_async(n) for clip in clips for n in (0, FRAMES - 1)]:
        future.result()
    assert (len(loads), files) == (1, {"double.pth": 1})
