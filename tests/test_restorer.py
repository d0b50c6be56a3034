import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support import moving_texture
from vs_vrt import restorer
from vs_vrt.checkpoint import locate
from vs_vrt.errors import DeviceError
from vs_vrt.restorer import Restorer, choose_precision, load_restorer
from vs_vrt.tasks import TASKS

ROW = next(row for row in TASKS if row.bundled)
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
VIDEO = torch.from_numpy(moving_texture(1, 5))


@pytest.fixture(scope="module")
def bundled() -> Restorer:
    return load_restorer(ROW, locate(ROW, None), CPU, "fp32")


@pytest.mark.parametrize(
    ("asked", "half_safe", "device", "expected"),
    [
        (None, True, CPU, "fp32"),
        (None, True, CUDA, "fp16"),
        (None, False, CUDA, "fp32"),
        ("fp32", True, CUDA, "fp32"),
        ("fp16", False, CUDA, "fp16"),
        ("bf16", True, CPU, "bf16"),
    ],
)
def test_precision(asked: str | None, half_safe: bool, device: torch.device, expected: str) -> None:
    assert choose_precision(asked, replace(ROW, half_safe=half_safe), device) == expected


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"^a CPU does not compute in fp16; `precision="):
        choose_precision("fp16", ROW, CPU)


def restore(restorer: Restorer, video: Tensor, cuts: list[bool], keep: range) -> Tensor:
    return torch.stack(list(restorer.restore(video, cuts, keep)))


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
