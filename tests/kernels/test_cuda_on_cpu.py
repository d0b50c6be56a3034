"""What the CUDA kernels compute, in every format, compiled as C++; in float32 tests/ops runs them as well."""

import math
import threading

import pytest
import torch
from torch import Tensor

from tests.golden_vectors import error
from tests.kernels import cuda_on_cpu, windows
from vs_vrt import cuda
from vs_vrt.models.vrt import TMSAG, WindowAttention
from vs_vrt.ops import window_attention
from vs_vrt.ops.deform_conv import deform_conv
from vs_vrt.ops.deform_warp import deform_warp, deform_warp_reference
from vs_vrt.ops.flow_warp import flow_warp, flow_warp_nearest4, flow_warp_nearest4_reference, flow_warp_reference
from vs_vrt.ops.window_attention import Size

# Of the largest value: rounded once at the end, or what is read before the products too.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
FORMATS = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
# Channels, outputs, groups, deformable groups: VRT's twice, two neighbours, BasicVSR++'s, and odd ones.
SHAPES = [
    (120, 120, 1, 12),
    (96, 96, 1, 16),
    (48, 24, 2, 8),
    (128, 64, 1, 16),
    (14, 4, 2, 7),
    (150, 130, 1, 3),
    (2, 1, 1, 2),
]


@pytest.fixture(autouse=True)
def _on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    cuda_on_cpu.replace(monkeypatch)


def near(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    assert found.dtype is dtype
    return error(found.double(), expected.double()) <= TOLERANCE[dtype] * float(expected.abs().max())


@FORMATS
@pytest.mark.parametrize("channels", [1, 6, 64])
def test_flow_warp(dtype: torch.dtype, channels: int) -> None:
    x, flow = torch.randn(2, channels, 7, 9).to(dtype), 4 * torch.randn(2, 2, 7, 9)
    for padding in ("zeros", "border"):
        assert near(flow_warp(x, flow, padding), flow_warp_reference(x.double(), flow.double(), padding), dtype)  # type: ignore[arg-type]


@FORMATS
def test_flow_warp_nearest4(dtype: torch.dtype) -> None:
    x, flow = torch.randn(2, 3, 7, 9).to(dtype), 4 * torch.randn(2, 2, 7, 9)
    assert torch.equal(flow_warp_nearest4(x, flow), flow_warp_nearest4_reference(x, flow))


@FORMATS
@pytest.mark.parametrize(("channels", "outputs", "groups", "deform_groups"), SHAPES)
def test_deform_conv(dtype: torch.dtype, channels: int, outputs: int, groups: int, deform_groups: int) -> None:
    x = torch.randn(2, channels, 9, 8).to(dtype)
    weight = (torch.randn(outputs, channels // groups, 3, 3) / (9 * channels // groups) ** 0.5).to(dtype)
    offset, mask, bias = 2 * torch.randn(2, 18 * deform_groups, 9, 8), torch.rand(2, 9 * deform_groups, 9, 8), None
    expected = deform_conv(x.double(), offset.double(), mask.double(), weight.double(), bias)
    assert near(deform_conv(x, offset, mask, weight, bias), expected, dtype)
    plain = deform_conv(x.double(), offset.double(), None, weight.double())
    assert near(deform_conv(x, offset, None, weight), plain, dtype)


@FORMATS
@pytest.mark.parametrize(("channels", "outputs", "groups", "deform_groups"), SHAPES[:4])
def test_deform_warp(dtype: torch.dtype, channels: int, outputs: int, groups: int, deform_groups: int) -> None:
    x, bias = torch.randn(2, channels, 9, 8).to(dtype), torch.randn(outputs)
    weight = (torch.randn(outputs, channels // groups, 3, 3) / (9 * channels // groups) ** 0.5).to(dtype)
    found, flows = torch.randn(2, 27 * deform_groups, 9, 8).to(dtype), [3 * torch.randn(2, 2, 9, 8) for _ in range(2)]
    wide = x.double(), found.double(), [flow.double() for flow in flows], weight.double(), bias.double()
    assert near(deform_warp(x, found, flows, weight, bias, 10.0), deform_warp_reference(*wide, 10.0), dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize(("heads", "head", "t", "h", "w", "window", "shift"), windows.SHAPES)
def test_window_attention(
    dtype: torch.dtype,
    mutual: bool,
    heads: int,
    head: int,
    t: int,
    h: int,
    w: int,
    window: Size,
    shift: Size,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window_attention, "GPU_TOKENS", 2 * t * w * window[1])  # of a row of windows, in both videos
    (qkv, table), how = windows.case(mutual, heads, head, t, h, w, window, shift)
    qkv = qkv.to(dtype)
    assert near(windows.in_one_pass(qkv, table, *how), windows.in_float64(qkv, table, *how), dtype)


@pytest.mark.parametrize("mutual", [False, True])
def test_a_group_of_vrt_attends_in_one_pass(mutual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projections, positions and halves of the result lie where the kernel finds and leaves them."""
    group = TMSAG(12, 2, 2, (2, 4, 4), mutual)
    for weight in group.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    x = torch.randn(1, 5, 9, 13, 12)
    monkeypatch.setattr(window_attention, "GPU_TOKENS", 1)
    with torch.inference_mode():
        expected = group.double()(x.double())
        group.float()
        with torch.autocast("cpu", torch.bfloat16):
            monkeypatch.setattr(cuda, "DEVICE", "cuda")
            usual = error(group(x).double(), expected)
            monkeypatch.setattr(cuda, "DEVICE", "cpu")
            monkeypatch.setattr(WindowAttention, "in_windows", windows.refuse)
            found = error(group(x).double(), expected)
    assert 0 < found < 1.5 * usual < 0.1 * float(expected.abs().max())


def test_strides_padding_and_dilation() -> None:
    x, weight = torch.randn(1, 8, 11, 10), torch.randn(4, 8, 5, 3)
    offset, mask = torch.randn(1, 30 * 2, 4, 6), torch.rand(1, 15 * 2, 4, 6)
    geometry = {"stride": 2, "padding": 2, "dilation": 2}
    expected = deform_conv(x.double(), offset.double(), mask.double(), weight.double(), **geometry)
    assert error(deform_conv(x, offset, mask, weight, **geometry).double(), expected) < 1e-4


def test_odd_strides_are_read_as_they_are_meant() -> None:
    x, flow = torch.rand(2, 9, 11, 5).permute(0, 3, 1, 2)[..., ::2], torch.randn(2, 6, 9, 4).permute(0, 3, 2, 1)[:, ::2]
    assert error(flow_warp(x, flow), flow_warp_reference(x, flow)) < 1e-5
    assert torch.equal(flow_warp_nearest4(x, flow), flow_warp_nearest4_reference(x, flow))
    x, offset = torch.randn(2, 9, 4, 4).permute(0, 2, 1, 3), torch.randn(2, 4, 9, 36).permute(0, 3, 2, 1)[:, ::2]
    weight = torch.randn(6, 4, 3, 3).transpose(2, 3)
    expected = deform_conv(x.double(), offset.double(), None, weight.double())
    assert error(deform_conv(x, offset, None, weight).double(), expected) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_what_is_no_number_spoils_its_surroundings_alone(dtype: torch.dtype) -> None:
    x, offset = torch.rand(1, 4, 6, 40).to(dtype), torch.full((1, 18, 6, 40), 0.25)
    weight, mask = torch.randn(4, 4, 3, 3).to(dtype), torch.ones(1, 9, 6, 40)
    clean = deform_conv(x, offset, mask, weight)
    x[..., 0, 0], offset[..., 3, 20], mask[..., 5, 39] = math.nan, math.inf, math.nan
    spoilt = deform_conv(x, offset, mask, weight)
    far = torch.ones(6, 40, dtype=torch.bool)
    far[:2, :2], far[3, 20], far[5, 39] = False, False, False
    assert torch.equal(spoilt[..., far], clean[..., far])
    assert spoilt[..., 0, 0].isnan().all()
    assert (spoilt[..., 3, 20] == 0).all()  # out of reach
    assert spoilt[..., 5, 39].isnan().all()


def test_a_token_that_is_no_number_spoils_its_window_alone() -> None:
    qkv, table = torch.randn(1, 2, 8, 12, 3 * 6).half(), torch.randn(147, 1)
    qkv[0, 1, 2, 5, 6] = math.nan  # of a key
    made = windows.in_one_pass(qkv, table, 1, (2, 4, 4), (0, 0, 0), False)
    spoilt = torch.zeros(2, 8, 12, dtype=torch.bool)
    spoilt[:, :4, 4:8] = True
    assert torch.equal(made[0].isnan().all(3), spoilt)
    assert torch.equal(made[0].isnan().any(3), spoilt)


def test_a_kernel_without_races_gives_the_same_bytes_whoever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(1, 32, 9, 8).half(), torch.randn(16, 32, 3, 3).half()
    offset, mask = 2 * torch.randn(1, 18 * 4, 9, 8), torch.rand(1, 9 * 4, 9, 8)
    given = torch.randn(1, 6, 8, 8, 3 * 20).half(), torch.randn(2475, 1), 1, (6, 8, 8), (0, 0, 0), False
    forwards = deform_conv(x, offset, mask, weight), windows.in_one_pass(*given)
    monkeypatch.setenv("VRT_BACKWARDS", "1")
    assert torch.equal(deform_conv(x, offset, mask, weight), forwards[0])
    assert torch.equal(windows.in_one_pass(*given), forwards[1])


def test_no_chunk_reaches_into_more_deformable_groups_than_a_block_has_room_for() -> None:
    for groups in range(1, 5):
        for inner in range(1, 200):
            channels = groups * inner
            for share in (each for each in range(1, channels + 1) if channels % each == 0):
                for dtype in (torch.float32, torch.float16):
                    chunk = cuda.chunk_of(share, inner, dtype)
                    assert chunk % 16 == 0
                    for start in (group * inner + at for group in range(groups) for at in range(0, inner, chunk)):
                        last = min(start + chunk, (start // inner + 1) * inner) - 1
                        assert last // share - start // share < 16


def test_weights_are_packed_once_and_anew_when_they_change() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 4, 3, 3), requires_grad=False)
    x, offset = torch.randn(1, 4, 5, 5), torch.zeros(1, 18, 5, 5)
    deform_conv(x, offset, None, weight)
    (packed,) = cuda._packed.weights[weight].values()
    deform_conv(x, offset, None, weight)
    assert next(iter(cuda._packed.weights[weight].values())) is packed
    for _ in range(2):
        expected = torch.nn.functional.conv2d(x, weight, padding=1)
        assert error(deform_conv(x, offset, None, weight), expected) < 1e-4
        weight.mul_(2)
    weight.data = -weight.data
    assert error(deform_conv(x, offset, None, weight), -expected) > 1  # it was doubled
    assert error(deform_conv(x, offset, None, weight), -2 * expected) < 1e-4


def test_threads_pack_for_themselves() -> None:
    """A stream does not wait until another has packed."""
    weight = torch.nn.Parameter(torch.randn(4, 4, 3, 3), requires_grad=False)
    found = []

    def pack() -> None:
        found.append(cuda.prepacked(weight, torch.float16, 1, 16, 16))

    for _ in range(2):
        thread = threading.Thread(target=pack)
        thread.start()
        thread.join()
    assert found[0] is not found[1]
    assert torch.equal(found[0], found[1])
