"""When the CPU's kernels compute, and when plain torch does. What they compute is tested with their operations."""

import logging
import math
from collections.abc import Iterator
from typing import Literal

import pytest
import torch

from vs_vrt import cpu
from vs_vrt.ops import flow_warp as module
from vs_vrt.ops.deform_conv import deform_conv
from vs_vrt.ops.flow_warp import flow_warp

SEED = torch.Generator().manual_seed(0)
X, FLOW = torch.rand(2, 5, 9, 11, generator=SEED), 3 * torch.randn(2, 2, 9, 11, generator=SEED)


@pytest.fixture
def _no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cpu, "FOLDER", "vs_vrt_nowhere")
    cpu.library.cache_clear()
    yield
    cpu.library.cache_clear()


@pytest.mark.usefixtures("_no_library")
def test_without_the_library_torch_computes_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = [flow_warp(X, FLOW) for _ in range(2)]
    assert torch.equal(found[0], module.flow_warp_reference(X, FLOW))
    said = [record.message.split(" (")[0] for record in caplog.records]
    assert said == ["vrt: the CPU kernels cannot be loaded"]


def test_they_compute_floats_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cpu.applies(X, FLOW, None)
    assert not cpu.applies(X.double(), FLOW)
    assert cpu.applies(X.bfloat16(), FLOW)
    assert not cpu.computes(X.bfloat16())
    learning = X.clone().requires_grad_()
    assert not cpu.applies(learning, FLOW)
    with torch.no_grad():
        assert cpu.applies(learning, FLOW)
    monkeypatch.setenv("VS_VRT_KERNELS", "off")
    assert not cpu.applies(X, FLOW)


def test_gradients_pass() -> None:
    learning = X.clone().requires_grad_()
    flow_warp(learning, FLOW).sum().backward()
    assert learning.grad is not None
    assert float(learning.grad.abs().sum()) > 0


@pytest.mark.parametrize("threads", [2, 3, 40])
def test_the_number_of_threads_changes_no_byte(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    offset, mask, weight = 2 * torch.randn(2, 18 * 5, 9, 11), torch.rand(2, 9 * 5, 9, 11), torch.randn(4, 5, 3, 3)
    alone = flow_warp(X, FLOW), deform_conv(X, offset, mask, weight)
    assert cpu.threads(X) == 1
    monkeypatch.setattr(cpu, "threads", lambda _: threads)
    together = flow_warp(X, FLOW), deform_conv(X, offset, mask, weight)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_odd_strides_are_read_as_they_are_meant() -> None:
    wide = torch.rand(2, 9, 11, 5).permute(0, 3, 1, 2)[..., ::2]
    flow = 3 * torch.randn(2, 6, 9, 4).permute(0, 3, 2, 1)[:, ::2]
    expected = module.flow_warp_reference(wide, flow)
    torch.testing.assert_close(flow_warp(wide, flow), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_half_precision_is_float32_rounded_once(padding: Literal["zeros", "border"]) -> None:
    for half in (torch.bfloat16, torch.float16):
        x = X.to(half)
        x[0, 0, 4, 4] = math.nan
        rounded = flow_warp(x.float(), FLOW, padding).to(half)
        assert torch.equal(flow_warp(x, FLOW, padding).nan_to_num(), rounded.nan_to_num())
        assert torch.equal(flow_warp(x, FLOW, padding).isnan(), rounded.isnan())
        assert rounded.isnan().any()


def test_sampling_for_half_precision_is_that_of_float32() -> None:
    x, weight = X.bfloat16(), torch.randn(4, 5, 3, 3).bfloat16()
    offset, mask = 2 * torch.randn(2, 18, 9, 11), torch.rand(2, 9, 9, 11).bfloat16()
    expected = deform_conv(x.float(), offset, mask.float(), weight.float())
    found = deform_conv(x, offset, mask, weight)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=2**-8)
