"""Every network gives the same bytes however its frames are reached: through cuts, backwards, in parts, with tiles."""

import functools
import hashlib
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from vapoursynth import core
from vs_vrt.filters import restore

from tests.conftest import Vspipe
from tests.filters.doubles import Memory, save_smallest, smallest
from tests.support import ROOT, Video, clip_bytes, clip_of, frame_bytes, moving_texture
from vs_vrt.scenes import DEFAULT_THRESHOLD, distance
from vs_vrt.tasks import TASKS
from vs_vrt.video.footage import read_frames

CLIPS = ROOT.parent / "shared" / "clips"
THREADS = [1, 2, 16]
BUNDLED = next(row for row in TASKS if row.bundled)

# The golden file, function and arguments of each network. Lengths are no divisors of the clip's, and cuts lie anywhere.
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "recurrent": ("", "Restore", {"length": 4, "overlap": 2}),
    "recurrent, tiles": ("", "Restore", {"length": 5, "overlap": 1, "tile": [24, 16], "tile_overlap": [8, 6]}),
    "mana": ("mana_c64_16x12", "Restore", {"length": 4, "overlap": 2}),
    "blended": ("vrt_small_up2_pa2", "Restore", {"length": 4, "overlap": 1}),
    "interpolation": ("vrt_small_vfi_pa0", "Interpolate", {"length": 3, "overlap": 2}),
}
GOLDEN = sorted({golden for golden, _, _ in NETWORKS.values() if golden})

# A failing order is short as it is; looking for a shorter one would take minutes.
few = settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])

pytestmark = pytest.mark.usefixtures("_restores_threads")


@pytest.fixture(scope="module", autouse=True)
def _networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Rows and checkpoints of the reduced networks, which answer from memory where they can."""
    folder = tmp_path_factory.mktemp("checkpoints")
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(folder, monkeypatch.setattr)
        for golden in GOLDEN:
            save_smallest(golden, folder)
        MEMORY.append(Memory(monkeypatch))
        yield
        for kept in (MEMORY, KEPT):
            kept.clear()
        for cached in (linear, shared_shots):
            cached.cache_clear()


MEMORY: list[Memory] = []
KEPT: list[vs.VideoNode] = []  # so that loaded checkpoints stay
FOLDER: list[Path] = []


def install(folder: Path, setattr: Callable[[Any, str, Any], None] = setattr) -> None:
    FOLDER[:] = [folder]
    setattr(restore, "TASKS", (BUNDLED, *(smallest(golden) for golden in GOLDEN)))


def shots() -> vs.VideoNode:
    """Three shots of 11 frames together; cuts inside windows and at their borders."""
    return clip_of(np.concatenate([moving_texture(1, 4), moving_texture(2, 5), moving_texture(3, 2)]))


def make(name: str, source: vs.VideoNode, threads: int = 0) -> vs.VideoNode:
    """New nodes, with nothing cached."""
    if threads:
        core.num_threads = threads
    golden, function, arguments = NETWORKS[name]
    if golden:
        weights = str(FOLDER[0] / f"{golden}.safetensors")
        arguments = arguments | {"model": smallest(golden).model, "weights": weights}
    return getattr(core.vrt, function)(source, **arguments)


@functools.cache
def linear(name: str) -> list[bytes]:
    clip = make(name, shots(), threads=1)
    KEPT.append(clip)
    return [frame_bytes(clip.get_frame(n)) for n in range(clip.num_frames)]


def places(count: int) -> st.SearchStrategy[list[int]]:
    """Requests: each frame once in any order, or any frames any number of times."""
    return st.one_of(st.permutations(range(count)), st.lists(st.integers(0, count - 1), min_size=1, max_size=count))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_frames_are_the_same(name: str) -> None:
    # After the last frame of each shot comes a copy of it.
    assert len(set(linear(name))) == (22 - 3 if name == "interpolation" else 11)


@pytest.mark.parametrize("name", NETWORKS)
def test_backwards_on_many_threads_without_any_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEMORY[0], "is_on", False)
    clip = make(name, shots(), threads=16)
    assert [frame_bytes(clip.get_frame(n)) for n in reversed(range(clip.num_frames))] == linear(name)[::-1]


@pytest.mark.parametrize("name", NETWORKS)
@few
@given(data=st.data(), threads=st.sampled_from(THREADS))
def test_any_requests_one_by_one(name: str, data: st.DataObject, threads: int) -> None:
    order = data.draw(places(len(linear(name))))
    clip = make(name, shots(), threads)
    assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear(name)[n] for n in order]


@pytest.mark.parametrize("name", NETWORKS)
@few
@given(data=st.data(), threads=st.sampled_from(THREADS))
def test_any_requests_in_flight_together(name: str, data: st.DataObject, threads: int) -> None:
    order = data.draw(places(len(linear(name))))
    clip = make(name, shots(), threads)
    futures = [clip.get_frame_async(n) for n in order]
    assert [frame_bytes(future.result()) for future in futures] == [linear(name)[n] for n in order]


@few
@given(
    requests=st.lists(st.tuples(st.sampled_from(sorted(NETWORKS)), st.integers(0, 10)), min_size=2, max_size=20),
    threads=st.sampled_from(THREADS),
)
def test_several_networks_at_once(requests: list[tuple[str, int]], threads: int) -> None:
    clips = {name: make(name, shots(), threads) for name in NETWORKS}
    futures = [clips[name].get_frame_async(n) for name, n in requests]
    assert [frame_bytes(future.result()) for future in futures] == [linear(name)[n] for name, n in requests]


# Footage


@functools.cache
def shared_shots() -> Video:
    """`-> (t 3 h w)`: a few frames of three clips, joined."""
    paths = [CLIPS / name for name in ("butterfly_720p.mp4", "davis_breakdance", "sintel_10f")]
    if not all(path.exists() for path in paths):
        pytest.skip(f"the footage is not in {CLIPS}")
    parts = []
    for path, count in zip(paths, (4, 5, 2), strict=True):
        frames = [frame[100:132, 200:248] for frame in itertools.islice(read_frames(path), count)]
        parts += frames
    return np.stack(parts).transpose(0, 3, 1, 2).astype(np.float32) / 255


def test_cuts_of_the_footage_are_found() -> None:
    video = torch.from_numpy(shared_shots())
    found = [n for n, (a, b) in enumerate(itertools.pairwise(video)) if distance(a, b) > DEFAULT_THRESHOLD]
    assert found == [3, 8]


@pytest.mark.parametrize("name", ["recurrent", "blended"])
@pytest.mark.parametrize("threads", THREADS)
def test_footage(name: str, threads: int) -> None:
    def clip() -> vs.VideoNode:
        source = clip_of(shared_shots()).resize.Bicubic(format=vs.YUV420P8, matrix=vs.MATRIX_BT709)
        return make(name, source, threads)

    whole = clip_bytes(clip())
    assert len(set(whole)) == 11
    order = np.random.default_rng(threads).permutation(11).tolist()
    jumping, together = clip(), clip()
    assert [frame_bytes(jumping.get_frame(n)) for n in order] == [whole[n] for n in order]
    futures = [together.get_frame_async(n) for n in order]
    assert [frame_bytes(future.result()) for future in futures] == [whole[n] for n in order]


# Other processes

PRELUDE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.filters import test_seek
"""


@pytest.mark.parametrize(("name", "start", "stop"), [("blended", 3, 5), ("interpolation", 7, 12)])
def test_vspipe_pipes_a_part_as_in_the_whole(name: str, start: int, stop: int, vspipe: Vspipe) -> None:
    script = f"""{PRELUDE}
test_seek.install(Path({str(FOLDER[0])!r}))
test_seek.make({name!r}, test_seek.shots()).set_output()
"""
    result = vspipe(script, "-s", str(start), "-e", str(stop))
    assert result.returncode == 0, result.stderr
    size = len(linear(name)[0]) // 3
    planes = ((frame[size : 2 * size], frame[2 * size :], frame[:size]) for frame in linear(name)[start : stop + 1])
    assert result.stdout == b"".join(itertools.chain(*planes))  # vspipe writes green, blue, red


TWO_SCRIPTS = f"""{PRELUDE}
import hashlib, threading
import vapoursynth as vs
from vapoursynth import core


class Policy(vs.EnvironmentPolicy):
    def __init__(self):
        self.local = threading.local()

    def on_policy_registered(self, api):
        self.api = api

    def on_policy_cleared(self):
        pass

    def get_current_environment(self):
        return getattr(self.local, "environment", None)

    def set_environment(self, environment):
        before, self.local.environment = self.get_current_environment(), environment
        return before


def run(place, name):
    environment = policy.api.create_environment()
    with policy.api.wrap_environment(environment).use():
        clip = test_seek.make(name, test_seek.shots())
        both.wait()
        sums[place] = hashlib.sha256(b"".join(test_seek.clip_bytes(clip))).hexdigest()
        del clip
    policy.api.destroy_environment(environment)


policy = Policy()
vs.register_policy(policy)
test_seek.install(Path(sys.argv[1]))
both, sums = threading.Barrier(2), {{}}
threads = [threading.Thread(target=run, args=item) for item in enumerate(sys.argv[2:])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*(sums[place] for place in range(2)))
"""


def test_two_scripts_at_once_in_one_process() -> None:
    names = ["recurrent", "recurrent, tiles"]
    result = subprocess.run(
        [sys.executable, "-c", TWO_SCRIPTS, FOLDER[0], *names], capture_output=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.decode().split() == [hashlib.sha256(b"".join(linear(name))).hexdigest() for name in names]
