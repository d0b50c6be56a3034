"""When the CUDA kernels compute, how CuPy is asked to, and what happens where it cannot."""

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from vs_vrt import cuda
from vs_vrt.models.vrt import TMSAG
from vs_vrt.ops.flow_warp import flow_warp, flow_warp_reference

SEED = torch.Generator().manual_seed(0)
X, FLOW = torch.rand(2, 5, 9, 11, generator=SEED), 3 * torch.randn(2, 2, 9, 11, generator=SEED)


@pytest.fixture
def _as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The CPU's tensors count as a GPU's."""
    monkeypatch.setattr(cuda, "DEVICE", "cpu")
    monkeypatch.setattr(cuda, "_broken", {})
    monkeypatch.setattr(cuda, "_said", set())
    compiled = cuda.compiled
    compiled.cache_clear()
    yield
    compiled.cache_clear()


def test_other_devices_formats_and_what_learns_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not cuda.applies(X, FLOW)  # of a CPU
    monkeypatch.setattr(cuda, "DEVICE", "cpu")
    assert cuda.applies(X, FLOW, None)
    assert cuda.applies(X.half(), FLOW)
    assert not cuda.applies(X.double(), FLOW)
    assert not cuda.applies(X[:0], FLOW[:0])
    assert not cuda.applies(X, FLOW.to("meta"))
    learning = X.clone().requires_grad_()
    assert not cuda.applies(learning, FLOW)
    with torch.no_grad():
        assert cuda.applies(learning, FLOW)
    monkeypatch.setenv("VS_VRT_KERNELS", "off")
    assert not cuda.applies(X, FLOW)


@pytest.mark.usefixtures("_as_on_gpu")
def test_without_cupy_torch_computes_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setenv("VS_VRT_KERNELS", "on")
    with caplog.at_level(logging.WARNING):
        found = [flow_warp(X.bfloat16(), FLOW) for _ in range(3)]
    assert torch.equal(found[2], flow_warp_reference(X.bfloat16(), FLOW))
    assert [record.message.split(" (")[0] for record in caplog.records] == ["vrt: the CUDA kernel flow_warp cannot run"]


class FakeCupy(ModuleType):
    """Notes what is compiled and launched."""

    def __init__(self, fails: str = "") -> None:
        super().__init__("cupy")
        self.events: list[Any] = []
        self.fails = fails
        self.cuda = SimpleNamespace(Device=self.device, ExternalStream=self.stream)

    def device(self, number: int) -> AbstractContextManager[None]:
        return self.scope(f"device {number}")

    def stream(self, pointer: int, number: int) -> AbstractContextManager[None]:
        return self.scope(f"stream {pointer} of {number}")

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        self.events.append(name)
        yield
        self.events.append("end")

    def RawModule(self, code: str, options: tuple[str, ...], backend: str) -> SimpleNamespace:  # noqa: N802
        self.events.append(("compile", options, backend))
        assert 'extern "C" __global__ void flow_warp(' in code
        assert "#include" not in code
        if self.fails == "compile":
            raise RuntimeError("error: expected a ;\nat line 3")
        return SimpleNamespace(get_function=lambda _: self.launch)

    def launch(self, grid: object, block: object, arguments: tuple[Any, ...]) -> None:
        if self.fails == "launch":
            raise RuntimeError("invalid device function")
        self.events.append((grid, block, [type(each) for each in arguments], arguments))


@pytest.fixture
def _stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=700 + device))


@pytest.mark.usefixtures("_stream")
def test_it_is_compiled_once_and_runs_on_the_current_stream_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    cuda.compiled.cache_clear()
    for _ in range(2):
        cuda.compiled("flow_warp", ("-DTYPE=0",), 3)((1, 2, 3), (4, 1, 1), ())
    launched = ((1, 2, 3), (4, 1, 1), [], ())
    compiling = ["device 3", ("compile", ("-std=c++17", "-DTYPE=0"), "nvrtc"), "end"]
    assert cupy.events == compiling + 2 * ["device 3", "stream 703 of 3", launched, "end", "end"]
    cuda.compiled.cache_clear()


@pytest.mark.parametrize("fails", ["compile", "launch"])
@pytest.mark.usefixtures("_as_on_gpu", "_stream")
def test_what_fails_is_not_tried_again(
    fails: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cupy = FakeCupy(fails)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    compiled = cuda.compiled
    monkeypatch.setattr(cuda, "compiled", lambda name, options, _: compiled(name, options, 0))
    for _ in range(2):
        assert flow_warp(X.half(), FLOW).shape == X.shape
    assert sum(event[0] == "compile" for event in cupy.events) == 1
    assert len(caplog.records) == 1
    reason = {"compile": "RuntimeError: error: expected a ;", "launch": "RuntimeError: invalid device function"}[fails]
    assert f"({reason})" in caplog.text


def test_arguments_have_the_sizes_that_kernels_take() -> None:
    given = [cuda.argument(value) for value in (X, None, 7, np.float32(0.5))]
    assert [each.nbytes for each in given] == [8, 8, 4, 4]
    assert given[0] == X.data_ptr()
    assert given[1] == 0


def test_a_view_that_begins_between_two_accesses_is_read_in_smaller_ones() -> None:
    values = torch.zeros(64, dtype=torch.float16)
    begins = {offset: cuda.width(8, values[offset:]) for offset in (0, 1, 2, 4, 8)}
    assert begins == {0: 8, 1: 1, 2: 2, 4: 4, 8: 8}
    assert cuda.width(6, values) == 2
    assert cuda.width(8, values, values[4:]) == 4


@pytest.mark.usefixtures("_as_on_gpu", "_stream")
def test_what_fails_in_one_format_goes_on_in_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = FakeCupy("compile")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    compiled = cuda.compiled
    monkeypatch.setattr(cuda, "compiled", lambda name, options, _: compiled(name, options, 0))
    flow_warp(X.half(), FLOW)
    cupy.fails = ""
    launched = len(cupy.events)
    flow_warp(X.half(), FLOW)
    assert len(cupy.events) == launched
    flow_warp(X, FLOW)
    assert len(cupy.events) > launched


@pytest.mark.usefixtures("_as_on_gpu")
def test_attention_is_left_to_torch_where_its_kernel_has_no_room() -> None:
    x = torch.zeros(1, 6, 8, 8, 120).half()
    assert cuda.attends(x, 6, 384, 2475)
    assert not cuda.attends(x.float(), 6, 384, 2475)
    with torch.autocast("cpu", torch.bfloat16):
        assert cuda.attends(x.float(), 6, 384, 2475)
    assert not cuda.attends(x, 24, 384, 2475)  # heads of five channels
    assert not cuda.attends(x, 6, 1 << 12, 2475)
    assert not cuda.attends(x, 6, 384, 12000)


@pytest.mark.usefixtures("_as_on_gpu")
def test_attention_that_cannot_run_is_attention_on_single_windows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> cuda.Launch:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(cuda, "compiled", refuse)
    group, x = TMSAG(12, 2, 2, (2, 4, 4), mutual=True), torch.randn(1, 5, 9, 13, 12)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert cuda.attends(x, 2, 32, 147)
        found = group(x)
        assert not cuda.attends(x, 2, 32, 147)  # it is not begun in vain again
        monkeypatch.setattr(cuda, "DEVICE", "cuda")
        assert torch.equal(found, group(x))
    said = [record.message.split(" (")[0] for record in caplog.records]
    assert "vrt: the CUDA kernel window_attention cannot run" in said
