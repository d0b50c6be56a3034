"""On a CUDA GPU: every kernel really runs, and gives what its reference gives in float64."""

import pytest
import torch
from einops import rearrange
from torch import Tensor

from tests.kernels import windows
from tests.kernels.references import take_away
from tests.kernels.test_cuda_on_cpu import FORMATS, SHAPES, near
from vs_vrt import cuda
from vs_vrt.ops import deform_conv as deform_conv_module
from vs_vrt.ops.deform_conv import Geometry, deform_conv, deform_conv_reference
from vs_vrt.ops.deform_warp import deform_warp, deform_warp_reference
from vs_vrt.ops.flow_warp import (
    flow_warp,
    flow_warp_nearest4,
    flow_warp_nearest4_reference,
    flow_warp_reference,
)
from vs_vrt.ops.geglu import geglu, geglu_reference
from vs_vrt.ops.window_attention import Size, attention, fused_attention
from vs_vrt.precision import computing

pytestmark = pytest.mark.cuda

SIZE = (61, 75)
DEVICE = "cuda:0"


@pytest.fixture(autouse=True)
def _kernels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    take_away(monkeypatch)
    monkeypatch.setattr(cuda, "_broken", {})


def on_gpu(*tensors: Tensor) -> list[Tensor]:
    return [each.to(DEVICE) for each in tensors]


@FORMATS
@pytest.mark.parametrize("channels", [1, 6, 64])
def test_flow_warp(dtype: torch.dtype, channels: int) -> None:
    x, flow = on_gpu(torch.randn(3, channels, *SIZE).to(dtype), 9 * torch.randn(3, 2, *SIZE))
    for padding in ("zeros", "border"):
        expected = flow_warp_reference(x.double(), flow.double(), padding)  # type: ignore[arg-type]
        assert near(flow_warp(x, flow, padding), expected, dtype)  # type: ignore[arg-type]


@FORMATS
def test_flow_warp_nearest4(dtype: torch.dtype) -> None:
    x, flow = on_gpu(torch.randn(3, 3, *SIZE).to(dtype), 9 * torch.randn(3, 2, *SIZE))
    assert torch.equal(flow_warp_nearest4(x, flow), flow_warp_nearest4_reference(x, flow))


@FORMATS
@pytest.mark.parametrize(("channels", "outputs", "groups", "deform_groups"), SHAPES)
def test_deform_conv(dtype: torch.dtype, channels: int, outputs: int, groups: int, deform_groups: int) -> None:
    x, weight = on_gpu(torch.randn(3, channels, *SIZE), torch.randn(outputs, channels // groups, 3, 3))
    x, weight = x.to(dtype), (weight / (9 * channels // groups) ** 0.5).to(dtype)
    offset, mask = on_gpu(3 * torch.randn(3, 18 * deform_groups, *SIZE), torch.rand(3, 9 * deform_groups, *SIZE))
    wide = x.double(), offset.double(), mask.double(), weight.double(), None
    assert near(deform_conv(x, offset, mask, weight), deform_conv_reference(*wide, Geometry(3, 3, 1, 1, 1)), dtype)


@FORMATS
@pytest.mark.parametrize(("channels", "outputs", "groups", "deform_groups"), SHAPES[:4])
def test_deform_warp(
    dtype: torch.dtype,
    channels: int,
    outputs: int,
    groups: int,
    deform_groups: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight = on_gpu(torch.randn(3, channels, *SIZE), torch.randn(outputs, channels // groups, 3, 3))
    x, weight = x.to(dtype), (weight / (9 * channels // groups) ** 0.5).to(dtype)
    found, *flows = on_gpu(
        torch.randn(3, 27 * deform_groups, *SIZE).to(dtype), *(5 * torch.randn(3, 2, *SIZE) for _ in range(2))
    )
    made = deform_warp(x, found, flows, weight, None, 10.0)
    monkeypatch.setattr(deform_conv_module, "deform_conv_reference", deform_conv_reference)
    wide = x.double(), found.double(), [flow.double() for flow in flows], weight.double(), None
    assert near(made, deform_warp_reference(*wide, 10.0), dtype)


@FORMATS
def test_geglu(dtype: torch.dtype) -> None:
    gate, value = on_gpu(torch.randn(300, 241).to(dtype), torch.randn(300, 241).to(dtype))
    assert near(geglu(gate, value), geglu_reference(gate.double(), value.double()), dtype)


def test_autocast_makes_products_in_half_precision() -> None:
    x, weight, offset = on_gpu(torch.randn(1, 16, *SIZE), torch.randn(16, 16, 3, 3), torch.randn(1, 36, *SIZE))
    with computing(torch.device(DEVICE), "fp16"):
        assert deform_conv(x, offset, None, weight).dtype is torch.float16


def test_it_runs_on_the_current_stream() -> None:
    """What is read is written just before, on the same stream, behind work that takes a while."""
    x, flow = on_gpu(torch.zeros(1, 64, 540, 960), torch.zeros(1, 2, 540, 960))
    torch.cuda.synchronize()
    busy = torch.randn(8192, 8192, device=DEVICE)
    with torch.cuda.stream(torch.cuda.Stream(DEVICE)):
        for _ in range(20):
            busy = busy @ busy * 1e-3
        x += 1
        made = flow_warp(x, flow)
        torch.cuda.current_stream().synchronize()
    assert torch.equal(made, torch.ones_like(made))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize(
    ("heads", "head", "t", "h", "w", "window", "shift"), [*windows.SHAPES, (6, 20, 6, 61, 75, (6, 8, 8), (0, 4, 4))]
)
def test_window_attention(
    dtype: torch.dtype, mutual: bool, heads: int, head: int, t: int, h: int, w: int, window: Size, shift: Size
) -> None:
    given, how = windows.case(mutual, heads, head, t, h, w, window, shift)
    qkv, table = on_gpu(given[0].to(dtype), given[1])
    assert near(windows.in_one_pass(qkv, table, *how), windows.in_float64(qkv, table, *how), dtype)


def test_windows_are_neither_copied_nor_scored_in_memory() -> None:
    heads, head = 6, 20
    (qkv, table), how = windows.case(False, heads, head, 6, 128, 128, (6, 8, 8), (3, 4, 4))
    qkv, table = on_gpu(qkv.half(), table)
    out = qkv.new_empty(*qkv.shape[:4], heads * head)
    torch.cuda.reset_peak_memory_stats(DEVICE)
    before = torch.cuda.memory_allocated(DEVICE)
    places = {"window": how[1], "table_window": how[1], "moved": how[2], "joined": how[2]}
    fused_attention(qkv, table, out, heads=heads, **places)
    assert torch.cuda.max_memory_allocated(DEVICE) - before < qkv.numel() // 100


@pytest.mark.parametrize("channels", [16, 20, 30])
def test_attention_keeps_no_scores_of_all_pairs(channels: int) -> None:
    tokens = 384
    q, k, v = torch.randn(3, 64, 6, tokens, channels, device=DEVICE, dtype=torch.float16)
    bias = torch.randn(6, tokens, tokens, device=DEVICE)
    torch.cuda.reset_peak_memory_stats(DEVICE)
    before = torch.cuda.memory_allocated(DEVICE)
    made = attention(q, k, v, bias)
    scores = 64 * 6 * tokens**2 * 2
    assert torch.cuda.max_memory_allocated(DEVICE) - before < scores
    found = torch.einsum("mgnd,mgkd->mgnk", q.double(), k.double()) / channels**0.5 + bias.double()
    expected = rearrange(found.softmax(3) @ v.double(), "m g n d -> m n (g d)")
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=4e-3)
