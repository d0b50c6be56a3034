"""Twelve defects that peers of this plugin have or had: one test each, so that none of them is ever ours."""

import ast
import os
import shutil
import subprocess
import sys
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
from vs_vrt.filters import restore

from tests.filters import stand_ins
from tests.filters.doubles import Larger, Mix, count_windows, install, save_smallest, smallest
from tests.support import ROOT, check_grammar, clip_bytes, clip_of, frame_bytes, moving_texture, pixels, properties
from tests.test_downloads import CONTENT, PAGE, TINY, Server, content, nothing
from vs_vrt import downloads
from vs_vrt.models.network import Statistics

FRAMES, LENGTH, OVERLAP = 22, 6, 2

pytestmark = pytest.mark.usefixtures("_restores_threads")


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSE", 0)


@pytest.fixture
def mix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the place of all networks, one whose every frame shows all those of its window."""
    install(Mix(), monkeypatch, tmp_path)


def source(frames: int = FRAMES, seed: int = 1) -> vs.VideoNode:
    return clip_of(moving_texture(seed, frames, 16, 12))


def restored(clip: vs.VideoNode, **arguments: Any) -> vs.VideoNode:
    return core.vrt.Restore(clip, **({"length": LENGTH, "overlap": OVERLAP} | arguments))


# A peer's frame 7 depends on whether frame 20 was asked for before, and frame 15 sees nothing before it.


@pytest.mark.usefixtures("mix")
def test_1_no_order_of_requests_changes_a_frame_nor_does_a_window_end_without_history() -> None:
    linear = clip_bytes(restored(source()))
    for order in ([0, 20, 7], [21, 6, 5, 12, 0, 11], np.random.default_rng(0).permutation(FRAMES).tolist()):
        clip = restored(source())
        assert [frame_bytes(clip.get_frame(n)) for n in order] == [linear[n] for n in order]
    other = np.concatenate([moving_texture(1, 6, 16, 12) * np.float32(0.97), moving_texture(1, FRAMES, 16, 12)[6:]])
    changed = clip_bytes(restored(clip_of(other)))
    assert [n for n in range(FRAMES) if changed[n] != linear[n]] == list(range(12))  # 6 and 7 warm up on 4 and 5


# A peer throws its window away whenever a request comes out of order, which is always with threads.


@pytest.mark.usefixtures("mix")
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_2_threads_do_not_make_windows_be_computed_again(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    core.num_threads = threads
    calls = count_windows(monkeypatch)
    assert len(clip_bytes(restored(source()))) == FRAMES
    assert calls == {"double": 4}
    # Nor do requests that jump to and fro between two windows.
    calls.clear()
    clip = restored(source())
    for future in [clip.get_frame_async(n) for pair in zip(range(6), range(6, 12), strict=True) for n in pair]:
        future.result()
    assert calls == {"double": 2}


# A peer carries its hidden state over cuts and seeks.


@pytest.mark.usefixtures("mix")
def test_3_what_comes_after_a_cut_equals_itself_alone() -> None:
    joined = restored(source(LENGTH) + source(FRAMES, seed=2))
    alone = clip_bytes(restored(source(FRAMES, seed=2)))
    assert clip_bytes(joined)[LENGTH:] == alone
    assert frame_bytes(joined.get_frame(LENGTH + 3)) == alone[3]


# A peer cuts the fraction off instead of rounding, takes RGB48 for 8 bits, and RGBH for single precision.

GAIN = 0.9173


@pytest.mark.parametrize("format", [vs.RGB24, vs.RGB27, vs.RGB30, vs.RGB36, vs.RGB42, vs.RGB48, vs.RGBH, vs.RGBS])
def test_4_every_format_of_rgb_is_read_rightly_and_rounded(
    format: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = Mix()
    with torch.no_grad():
        network.weight.fill_(GAIN)
    install(network, monkeypatch, tmp_path)
    facts = core.get_video_format(format)
    kind = {1: np.uint8, 2: np.uint16, 4: np.float32}[facts.bytes_per_sample]
    peak = 1.0 if facts.sample_type == vs.FLOAT else 2.0**facts.bits_per_sample - 1
    random = np.random.default_rng(0).random((3, 48, 64)) * peak
    if facts.sample_type == vs.FLOAT:
        samples = random.astype(np.float16 if facts.bits_per_sample == 16 else np.float32)
    else:
        samples = np.rint(random).astype(kind)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001 - called by name
        filled = f.copy()
        for plane, values in enumerate(samples):
            np.copyto(np.asarray(filled[plane]), values)
        return filled

    blank = core.std.BlankClip(format=format, width=64, height=48, length=1)
    frame = restored(blank.std.ModifyFrame(blank, fill)).get_frame(0)
    assert frame.format.id == format
    step = {vs.RGBH: 2.0**-11, vs.RGBS: 2.0**-23}.get(format, 1.0)
    error = (pixels(frame).astype(np.float64) - samples.astype(np.float64) * np.float32(GAIN)) / step
    assert abs(error.mean()) < 0.1
    # Integers are rounded twice: windows of them wait as RGB48.
    twice = 2.0 ** (facts.bits_per_sample - 17) if facts.sample_type == vs.INTEGER else 0
    assert np.abs(error).max() < 0.51 + twice


# A peer keeps every window that somebody has ever looked into.


def test_5_seeking_around_keeps_a_bounded_number_of_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alive: set[int] = set()

    class Watched(Larger):
        @override
        def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
            alive.add(core.used_cache_size)
            return super().frames(video, keep)

    install(Watched(), monkeypatch, tmp_path, scale=4)
    blank = core.std.BlankClip(format=vs.RGBS, width=64, height=48, length=1000, color=[0.2, 0.4, 0.6])
    clip = restored(blank, length=5, overlap=1, sc_threshold=0)
    window = 5 * (4 * 64) * (4 * 48) * 3 * 4
    before = core.used_cache_size
    for n in np.random.default_rng(0).permutation(1000)[:120].tolist():
        clip.get_frame(n).close()
        # Two in the cache, one on its way out, and the frames that were read.
        assert core.used_cache_size - before < 3 * window
    assert len(alive) > 1


# A peer fills the last window up to its full length with copies of the last frame.


@pytest.mark.parametrize("frames", [13, 14, 17, 18])
@pytest.mark.parametrize("sharing", ["segments", "blended"])
def test_6_the_tail_of_a_clip_is_no_longer_than_it_is(
    sharing: str, frames: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[int] = []

    class Watched(Mix):
        @override
        def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
            given.append(video.shape[1])
            return super().frames(video, keep)

    network = Watched()
    install(network, monkeypatch, tmp_path, sharing=sharing)
    made = np.stack([pixels(frame) for frame in restored(source(frames), sc_threshold=0).frames()])
    start = 12 - OVERLAP if sharing == "segments" else -(-(frames - LENGTH) // 4) * 4
    assert given[-1] == frames - start
    video = torch.from_numpy(moving_texture(1, frames, 16, 12)[start:])
    expected = torch.cat(list(Mix().frames(video[None], range(frames - start)))).detach().numpy()
    own = slice(2, None) if sharing == "segments" or start else slice(None)
    np.testing.assert_allclose(made[start:][own], expected[own], rtol=0, atol=1e-6)


# A peer mixes up low and high resolution where tiles overlap, and begins before the first frame of a short clip.


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_7_short_clips_fill_blended_windows_and_tiles_lie_where_they_belong(
    frames: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(Larger(), monkeypatch, tmp_path, scale=4, sharing="blended", num_frames=6)
    video = moving_texture(1, frames, 40, 34)
    whole, tiled = (
        core.vrt.Restore(clip_of(video), length=12, overlap=2, sc_threshold=0, tile=tile, tile_overlap=8)
        for tile in (0, [20, 16])
    )
    assert (tiled.width, tiled.height, tiled.num_frames) == (160, 136, frames)
    assert properties(tiled)["VrtTile"] == [19, 15]  # as even as can be: three across, four down
    for n in range(frames):
        np.testing.assert_allclose(pixels(tiled.get_frame(n)), pixels(whole.get_frame(n)), rtol=0, atol=1e-6)
    # Mirrored, with the last frame twice: 0 1 1 0 0 1.
    places = ([*range(frames), *reversed(range(frames))] * 6)[: max(6, frames)]
    (expected,) = Larger().frames(torch.from_numpy(video[places])[None], range(1))
    np.testing.assert_allclose(pixels(whole.get_frame(0)), expected[0].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_7_short_clips_through_vrt(frames: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(restore, "TASKS", (smallest("vrt_small_up2_pa2"),))
    weights = str(save_smallest("vrt_small_up2_pa2", tmp_path))
    clip = core.vrt.Restore(source(frames), weights=weights, length=12, overlap=2)
    assert (clip.width, clip.height, len(set(clip_bytes(clip)))) == (32, 24, frames)


# A peer stores one frame of each window, and refuses windows that are longer than the network's own.


def test_8_all_frames_of_a_window_are_kept_however_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(Mix(), monkeypatch, tmp_path, num_frames=6)
    calls = count_windows(monkeypatch)
    clip = restored(source(), length=13, overlap=0)
    backwards = [frame_bytes(clip.get_frame(n)) for n in reversed(range(FRAMES))]
    assert (len(set(backwards)), calls) == (FRAMES, {"double": 2})


# A peer copies the scene change of a frame onto all that follow it, and leaves durations as they were.


@pytest.mark.parametrize("factor", [2, 4])
def test_9_one_frame_in_a_scene_is_its_last_and_time_is_divided(
    factor: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(stand_ins.Between(), monkeypatch, tmp_path, task="vfi", gives="between", num_frames=4)
    clip = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=4, fpsnum=24000, fpsden=1001)
    clip = core.std.Splice(
        [clip[n].std.SetFrameProps(_SceneChangeNext=int(n == 1), _SceneChangePrev=int(n == 2)) for n in range(4)]
    )
    made = core.vrt.Interpolate(clip, factor)
    assert made.fps == clip.fps * factor
    told = [properties(made, n) for n in range(4 * factor)]
    assert [n for n, props in enumerate(told) if props["_SceneChangeNext"]] == [2 * factor - 1]
    assert [n for n, props in enumerate(told) if props["_SceneChangePrev"]] == [2 * factor]
    rate = clip.fps * factor
    assert {(props["_DurationNum"], props["_DurationDen"]) for props in told} == {(rate.denominator, rate.numerator)}


# A peer takes what is left of a broken download, or a web page, for a checkpoint ever after.


@pytest.mark.parametrize("name", ["truncated", "404", "page", "offline"])
def test_10_a_download_that_failed_is_one_error_and_the_next_one_works(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = {
        "truncated": content(CONTENT[: len(CONTENT) // 2], promised=len(CONTENT)),
        "404": content(PAGE, status=404),
        "page": content(PAGE),
        "offline": nothing,
    }
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        server.answers = [answers[name]] * 3
        monkeypatch.setattr(restore, "TASKS", (server.row(task=TINY.task),))
        clip = core.vrt.Restore(source(1))
        with pytest.raises(vs.Error) as error:
            clip.get_frame(0)
        check_grammar(str(error.value))
        assert "tiny.pth cannot be downloaded" in str(error.value)
        assert not [*(tmp_path / "cache").glob("*")]
        server.answers = []
        assert clip.get_frame(0).width == 64
        server.shutdown()
    assert (tmp_path / "cache" / "tiny.pth").read_bytes() == CONTENT


# A peer writes beside its own code, which an installation by root or by a store does not allow.

BESIDE = """
import sys
written = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & 3:
        written.append(str(arguments[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "shutil.copyfile"):
        written.append(str(arguments[0]))
sys.addaudithook(watch)
import vapoursynth as vs
from vapoursynth import core
clip = core.std.BlankClip(format=vs.YUV420P8, width=16, height=12, length=2)
core.vrt.Restore(clip, length=1).get_frame(1)
core.vrt.Tasks(), core.vrt.Version(), core.vrt.Plan(clip)
import vs_vrt, vs_vrt.filters
for package in (vs_vrt, vs_vrt.filters):
    assert package.__file__.startswith(sys.argv[1]), package.__file__
print([path for path in written if path.startswith(sys.argv[1])])
"""


def listing(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_11_nothing_is_written_beside_the_package(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "vs_vrt", site / "vs_vrt", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "filters", site / "vs_vrt" / "filters", ignore=shutil.ignore_patterns("__pycache__"))
    before = listing(site)
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", BESIDE, site],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, b"[]\n"), result.stderr.decode()
    assert listing(site) == before
    assert not (tmp_path / "cache").exists()


# A peer reverses a list that is its own default, and every second call of a script gets other shapes.


@pytest.mark.usefixtures("mix")
def test_12_a_second_call_gives_the_same(log: list[str]) -> None:
    devices, tile = ["cpu", "cpu"], [20, 16]
    calls: list[dict[str, Any]] = [{}, {"device": devices, "tile": tile}, {"num_streams": 2}]
    for arguments in calls:
        log.clear()
        first, second = (clip_bytes(restored(source(), **arguments)) for _ in range(2))
        assert first == second
        messages = [message for message in log if message.startswith("vrt: ")]
        assert messages[: len(messages) // 2] == messages[len(messages) // 2 :]
    assert (devices, tile) == (["cpu", "cpu"], [20, 16])


FACTORIES = {"list", "dict", "set", "bytearray", "Counter", "defaultdict", "deque", "OrderedDict"}


def mutable(node: ast.expr | None) -> bool:
    """Whether the expression makes something that can change."""
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", getattr(node.func, "attr", "")) in FACTORIES
    return isinstance(node, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def mutable_defaults(code: str) -> list[int]:
    """Lines of functions with a default that can change."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, functions)]
    return [node.lineno for node in nodes if any(map(mutable, [*node.args.defaults, *node.args.kw_defaults]))]


def test_12_no_function_has_a_default_that_can_change() -> None:
    assert mutable_defaults("def f(a, b=[]): ...\ndef g(*, a=dict()): ...\ndef h(a=(), b=1): ...") == [1, 2]
    files = [*(ROOT / "vs_vrt").rglob("*.py"), *(ROOT / "filters").rglob("*.py")]
    assert len(files) > 40
    assert [(str(file), line) for file in files for line in mutable_defaults(file.read_text())] == []
