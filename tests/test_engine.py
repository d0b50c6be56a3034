import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from vs_vrt import engine
from vs_vrt.errors import DeviceError, OutOfMemory

CPU = torch.device("cpu")


def test_a_named_device_is_that_device() -> None:
    assert engine.resolve("cpu") == CPU


def test_no_name_is_the_best_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, best in ((True, "cuda:0"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert engine.resolve(None) == torch.device(best)


@pytest.mark.parametrize(
    ("count", "name", "found"), [(1, "cuda", "cuda:0"), (1, "cuda:0", "cuda:0"), (2, "cuda:1", "cuda:1")]
)
def test_a_cuda_device_gets_its_number(count: int, name: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert engine.resolve(name) == torch.device(found)


@pytest.mark.parametrize(("count", "name"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:7")])
def test_a_cuda_device_that_is_not_there_is_refused(count: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(DeviceError) as error:
        engine.resolve(name)
    assert str(error.value) == f'device {name!r} does not exist, torch sees {count} CUDA devices; `device="cpu"`'


def test_all_work_of_a_device_runs_on_one_thread_whoever_asks() -> None:
    with ThreadPoolExecutor(4) as pool:
        idents = set(pool.map(lambda _: engine.run(CPU, 0, threading.get_ident), range(16)))
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_work_of_a_device_never_overlaps() -> None:
    inside = threading.Lock()

    def work(_: int) -> bool:
        alone = inside.acquire(blocking=False)
        total = float(torch.ones(50_000).sum())  # gives another thread the time to come in
        if alone:
            inside.release()
        return alone and total == 50_000

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda n: engine.run(CPU, 0, work, n), range(32)))


def test_each_stream_has_a_thread_and_they_work_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_gates", {})  # another test may have made the device's narrow
    meeting = threading.Barrier(2, timeout=10)

    def meet() -> int:
        meeting.wait()
        return threading.get_ident()

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(lambda stream: engine.run(CPU, stream, meet), (1, 2)))) == 2


def test_once_a_gate_is_narrow_they_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_gates", {})
    assert engine.gate(CPU).narrow()
    assert not engine.gate(CPU).narrow()  # that is no news any more
    inside = threading.Lock()

    def work(_: object) -> bool:
        alone = inside.acquire(blocking=False)
        time.sleep(0.01)
        if alone:
            inside.release()
        return alone

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda stream: engine.run(CPU, stream, work, None), [1, 2, 3, 4] * 4))


def test_arguments_results_and_errors_pass_through() -> None:
    assert engine.run(CPU, 0, divmod, 17, 5) == (3, 2)
    assert engine.run(CPU, 0, int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        engine.run(CPU, 0, divmod, 1, 0)


def test_a_runtime_error_of_another_kind_stays_one() -> None:
    def fail() -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ") as error, engine.memory_errors(CPU, "length=1"):
        engine.run(CPU, 0, fail)
    assert not isinstance(error.value, OutOfMemory)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
    ],
)
def test_every_library_says_in_its_own_words_that_memory_ran_out(text: str) -> None:
    with pytest.raises(OutOfMemory), engine.memory_errors(CPU, "length=4"):
        raise RuntimeError(text)


def test_the_allocators_refusal_is_running_out_of_memory() -> None:
    with pytest.raises(OutOfMemory, match=r"^out of memory on cpu; `length=4`$"), engine.memory_errors(CPU, "length=4"):
        engine.run(CPU, 0, torch.empty, 2**60)
