import gc
from collections.abc import Iterator
from pathlib import Path
from typing import override

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.restorers import CPU, ROW, restore, restorer_of
from tests.support import moving_texture
from vs_vrt import restorer
from vs_vrt.checkpoint import locate
from vs_vrt.models.network import Network, Statistics
from vs_vrt.restorer import Restorer, load_restorer

VIDEO = torch.from_numpy(moving_texture(1, 5))


@pytest.fixture(scope="module")
def bundled() -> Restorer:
    return load_restorer(ROW, locate(ROW, None), CPU, "fp32")


def test_kept_frames_equal_those_of_the_whole(bundled: Restorer) -> None:
    whole = restore(bundled, VIDEO, [False] * 4, range(5))
    assert whole.shape == (5, 3, 96, 128)
    assert torch.equal(restore(bundled, VIDEO, [False] * 4, range(1, 4)), whole[1:4])


def test_runs_are_restored_apart(bundled: Restorer) -> None:
    cut = restore(bundled, VIDEO, [False, True, False, True], range(5))
    alone = [restore(bundled, part, [False] * (len(part) - 1), range(len(part))) for part in VIDEO.split([2, 2, 1])]
    assert torch.equal(cut, torch.cat(alone))
    assert not torch.equal(cut, restore(bundled, VIDEO, [False] * 4, range(5)))


def test_restoring_changes_no_input_and_no_state_of_torch(bundled: Restorer) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
        )

    before, video = state(), VIDEO.clone()
    restore(bundled, video, [False] * 4, range(5))
    assert state() == before
    assert torch.equal(video, VIDEO)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_samples_that_are_no_numbers_count_as_zero(value: float, bundled: Restorer) -> None:
    def with_sample(sample: float) -> Tensor:
        video = VIDEO.clone()
        video[2, 1, 3, 4] = sample
        return restore(bundled, video, [False] * 4, range(5))

    assert torch.equal(with_sample(value), with_sample(0))


class Sequence(Network):
    """Gives each frame at twice the size, and keeps what it was given."""

    seen: Tensor

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        self.seen = video
        for i in keep:
            yield F.interpolate(video[:, i, :3], scale_factor=2)


def numbered(frames: int, height: int = 1, width: int = 1) -> Tensor:
    """`-> (t 3 h w)`: every sample of frame n is n."""
    return torch.arange(float(frames))[:, None, None, None].expand(-1, 3, height, width)


def test_a_short_scene_and_a_small_frame_are_mirrored_and_cut_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequence()
    found = restorer_of(model, monkeypatch, scale=2, num_frames=5, multiple=8, min_size=16)
    video = torch.rand(3, 4, 7, 20)
    restored = restore(found, video, [False, True], range(3))
    assert torch.equal(restored, F.interpolate(video[:, :3], scale_factor=2))
    assert model.seen.shape == (1, 5, 4, 16, 24)
    assert torch.equal(model.seen[0, :, :, :7, :20], video[[2, 2, 2, 2, 2]])


class Halfway(Network):
    """Gives what lies halfway on the cubic through four frames."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        a, b, c, d = video.unbind(1)
        yield (9 * (b + c) - a - d) / 16


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_new_frames_lie_between_the_old_ones(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4, multiple=8, min_size=16)
    cuts = [False] * 8 + [True] + [False] * 2
    frames = torch.stack(list(found.interpolate(numbered(12, 3, 5), cuts, range(12), factor)))
    assert frames.shape == (12 * factor, 3, 3, 5)
    values = frames[:, 0, 0, 0]
    assert torch.equal(values[::factor], torch.arange(12.0))
    # A cubic through a line is the line, away from the ends of a scene.
    inside = values[3 * factor : 5 * factor + 1]
    torch.testing.assert_close(inside, torch.arange(3 * factor, 5 * factor + 1) / factor, rtol=0, atol=1e-6)
    assert values[8 * factor : 9 * factor].tolist() == [8.0] * factor
    assert values[11 * factor :].tolist() == [11.0] * factor


def test_ends_of_a_scene_are_mirrored_between_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4)
    frames = [float(frame[0, 0, 0]) for frame in found.interpolate(numbered(3), [False, False], range(3), 2)]
    assert frames == pytest.approx([0, (9 * 1 - 0 - 2) / 16, 1, (9 * 3 - 0 - 2) / 16, 2, 2])


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_no_new_frame_looks_further_than_three_frames(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a window that reads three frames more on each side gives what the whole clip gives."""
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4)
    torch.manual_seed(0)
    video = torch.rand(20, 3, 1, 1)
    whole = torch.stack(list(found.interpolate(video, [False] * 19, range(20), factor)))
    window = torch.stack(list(found.interpolate(video[4:16], [False] * 11, range(3, 9), factor)))
    assert torch.equal(window, whole[7 * factor : 13 * factor])


def test_a_restorer_is_shared_while_somebody_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    path.write_bytes(locate(ROW, None).read_bytes())
    one = load_restorer(ROW, path, CPU, "fp32")
    assert load_restorer(ROW, path, CPU, "fp32") is one
    assert load_restorer(ROW, path, CPU, "bf16") is not one
    path.touch()
    assert load_restorer(ROW, path, CPU, "fp32") is not one
    del one
    gc.collect()
    assert not [key for key in restorer._loaded if str(path) in key]
