import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch

from vs_vrt import precision
from vs_vrt.errors import DeviceError
from vs_vrt.precision import choose_precision, computing
from vs_vrt.tasks import TASKS

ROW = TASKS[0]
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)

type Scope = Callable[[], AbstractContextManager[object]]


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


def settings() -> tuple[object, ...]:
    """Of the process and of this thread."""
    return (
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


def test_inside_nothing_is_rounded_and_outside_all_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    torch.set_float32_matmul_precision("medium")
    try:
        before = settings()
        with pytest.raises(ZeroDivisionError), computing(CPU, "bf16"):
            assert settings() == (True, False, False, False, "highest", True, True)
            assert torch.get_autocast_dtype("cpu") == torch.bfloat16
            1 / 0  # noqa: B018
        assert settings() == before
        with computing(CPU, "fp32"):
            assert settings()[-1] is False
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="this torch has only the old names")
def test_settings_made_by_their_new_names_are_put_back() -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.conv.fp32_precision, matmul.fp32_precision
    try:
        cudnn.conv.fp32_precision, matmul.fp32_precision = "ieee", "tf32"  # convolutions without, recurrences with it
        with computing(CPU, "fp32"):
            assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, matmul.fp32_precision) == ("ieee",) * 3
        assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, matmul.fp32_precision) == ("ieee", "tf32", "tf32")
    finally:
        cudnn.conv.fp32_precision, matmul.fp32_precision = before


def seen_by_the_last_of_two(scope: Scope) -> bool:
    """Whether TF32 is off for a thread inside while another one leaves.

    The order is always the same: the first comes in, the second comes in, the first leaves, the second looks.
    """
    both_inside, one_left = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)
    first_inside = threading.Event()

    def first() -> None:
        with scope():
            first_inside.set()
            both_inside.wait()
        one_left.wait()

    def second() -> bool:
        first_inside.wait(10)
        with scope():
            both_inside.wait()
            one_left.wait()
            return not torch.backends.cudnn.allow_tf32

    with ThreadPoolExecutor(2) as pool:
        leaving, looking = pool.submit(first), pool.submit(second)
        leaving.result()
        return looking.result()


def test_the_first_to_leave_does_not_change_what_others_compute() -> None:
    before = settings()
    assert seen_by_the_last_of_two(lambda: computing(CPU, "fp32"))
    assert settings() == before


def test_that_order_of_threads_finds_a_scope_of_each_on_its_own() -> None:
    """What torch offers is such a scope: whoever leaves puts back, and the last one puts back what it found inside."""
    before = torch.backends.cudnn.allow_tf32
    try:
        assert not seen_by_the_last_of_two(lambda: torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        assert torch.backends.cudnn.allow_tf32 != before
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_many_threads_leave_the_settings_as_they_were() -> None:
    before = settings()

    def work(_: int) -> bool:
        with computing(CPU, "fp32"):
            return settings()[1:5] == (False, False, False, "highest")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    assert settings() == before
    assert precision._exact._inside == 0


def test_what_somebody_else_sets_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another plugin of the process, on a thread of its own."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with computing(CPU, "fp32"):
            torch.backends.cudnn.benchmark = True
            torch.backends.cudnn.allow_tf32 = True
            torch.set_float32_matmul_precision("high")
        assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32) == (True, True)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
