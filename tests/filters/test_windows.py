"""The plugin against the network itself, on the frames that the documentation says a window reads."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from safetensors.torch import load_file
from torch import nn
from vapoursynth import core
from vs_vrt.filters import plan

import vs_vrt
from tests.support import SCALE, Video, clip_bytes, clip_of, moving_texture, pixels, properties
from vs_vrt.restorer import build
from vs_vrt.tasks import TASKS

ROW = next(row for row in TASKS if row.bundled)
WEIGHTS = Path(vs_vrt.__file__).parent / "weights" / ROW.checkpoint
# The engine keeps its weights in another memory order, which may round the last bit differently.
TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Read and filled without the engine's own checkpoint code."""
    network = build(ROW)
    network.load_state_dict(load_file(WEIGHTS), strict=False)
    return network.eval()


def run(network: nn.Module, video: Video) -> Video:
    with torch.inference_mode():
        return network(torch.from_numpy(video)[None])[0].numpy()


@pytest.mark.parametrize(("frames", "length", "overlap"), [(11, 4, 2), (7, 3, 5), (5, 30, 5), (4, 2, 0), (1, 4, 2)])
def test_each_frame_is_the_networks_answer_on_its_window(
    network: nn.Module, frames: int, length: int, overlap: int
) -> None:
    video = moving_texture(1, frames)
    restored = core.vrt.Restore(clip_of(video), length=length, overlap=overlap)
    for n, frame in enumerate(restored.frames()):
        start = n // length * length
        stop = min(start + length, frames)
        first, last = max(start - overlap, 0), min(stop + overlap, frames)
        expected = run(network, video[first:last])[n - first]
        np.testing.assert_allclose(pixels(frame), expected, rtol=0, atol=TOLERANCE)
        assert frame.props["VrtWindow"] == [start, stop - 1]


def test_a_window_that_is_off_by_one_would_be_noticed(network: nn.Module) -> None:
    video = moving_texture(1, 11)
    middle = run(network, video[2:10])[2]
    for first, last in ((1, 10), (3, 10), (2, 9), (2, 11)):
        assert np.abs(run(network, video[first:last])[4 - first] - middle).max() > 10 * TOLERANCE


def test_unset_arguments_are_those_of_the_task_row() -> None:
    clip = clip_of(moving_texture(1, 31, 16, 12))
    assert (ROW.length, ROW.overlap) == (30, 3)
    plain, explicit = core.vrt.Restore(clip), core.vrt.Restore(clip, task="sr4", length=30, overlap=3)
    assert properties(plain, 0)["VrtWindow"] == [0, 29]
    assert properties(plain, 30)["VrtWindow"] == [30, 30]
    for n in (0, 29, 30):
        np.testing.assert_array_equal(pixels(plain.get_frame(n)), pixels(explicit.get_frame(n)))


def planned_length(gibibytes: int, width: int, height: int, monkeypatch: pytest.MonkeyPatch, log: list[str]) -> int:
    """What a machine with so much memory says for a frame of that size."""
    monkeypatch.setattr(plan, "total_ram", lambda: gibibytes << 30)
    log.clear()
    core.vrt.Restore(core.std.BlankClip(format=vs.RGBS, width=width, height=height, length=1))
    return int(re.search(r"length=(\d+), ", log[0])[1])  # type: ignore[index]


def test_the_default_window_is_shorter_for_large_frames_and_small_machines(
    monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    assert planned_length(16, 320, 180, monkeypatch, log) == ROW.length
    lengths = [planned_length(each, 1920, 1080, monkeypatch, log) for each in (64, 16, 8)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < ROW.length
    assert planned_length(16, 1920, 1080, monkeypatch, log) < planned_length(16, 1280, 720, monkeypatch, log)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 3), (33, 17), (64, 5)])
def test_any_size_is_restored(network: nn.Module, width: int, height: int) -> None:
    video = moving_texture(2, 2, width, height)
    restored = core.vrt.Restore(clip_of(video))
    assert (restored.width, restored.height) == (SCALE * width, SCALE * height)
    np.testing.assert_allclose(pixels(restored.get_frame(1)), run(network, video)[1], rtol=0, atol=TOLERANCE)


def test_frames_name_task_model_precision_and_window() -> None:
    props = properties(core.vrt.Restore(clip_of(moving_texture(1, 5)), length=2, precision="bf16"), 3)
    ours = {key: value for key, value in props.items() if key.startswith("Vrt")}
    expected = {"VrtTask": "sr4", "VrtModel": ROW.model, "VrtPrecision": "bf16", "VrtWindow": [2, 3]}
    assert ours == expected


@pytest.mark.parametrize(("format", "precision"), [(vs.RGBS, "fp32"), (vs.RGBH, "fp32"), (vs.YUV420P8, "fp32")])
def test_a_cpu_computes_in_fp32_unless_told_otherwise(format: int, precision: str) -> None:
    clip = core.std.BlankClip(format=format, width=16, height=12, length=1)
    assert properties(core.vrt.Restore(clip, device="cpu"))["VrtPrecision"] == precision


def test_bf16_computes_something_else_that_looks_the_same() -> None:
    clip = clip_of(moving_texture(1, 3))
    exact, rough = (pixels(core.vrt.Restore(clip, precision=name).get_frame(1)) for name in ("fp32", "bf16"))
    assert 0 < np.abs(exact - rough).max() < 0.1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_sample_that_is_no_number_counts_as_zero(value: float, plane: int) -> None:
    # Beside a cut, because whoever looks for cuts has to survive it as well.
    video = np.concatenate([moving_texture(1, 2), moving_texture(2, 2)])
    video[1, plane, 5, 7] = 0
    expected = clip_bytes(core.vrt.Restore(clip_of(video)))
    broken = video.copy()
    broken[1, plane, 5, 7] = value
    assert clip_bytes(core.vrt.Restore(clip_of(broken))) == expected


def test_source_frames_are_left_alone() -> None:
    clip = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=2, color=[0.25, 0.5, 0.75], keep=True)
    shared = clip.get_frame(0)
    core.vrt.Restore(clip).get_frame(1)
    assert [set(np.asarray(plane).flat) for plane in shared] == [{0.25}, {0.5}, {0.75}]
    assert not [key for key in shared.props if key.startswith("Vrt")]
