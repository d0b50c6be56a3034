import math

import pytest
import torch
from einops import rearrange
from torch import Tensor

from tests.golden_vectors import error, load
from vs_vrt.ops.flow_warp import flow_warp, flow_warp_nearest4


def loop_warp(x: Tensor, flow: Tensor, padding: str) -> Tensor:
    """The definition, sample by sample, in float64."""
    x, flow = x.double(), flow.double()
    b, _, h, w = x.shape
    out = torch.zeros_like(x)
    for n, row, column in ((n, i, j) for n in range(b) for i in range(h) for j in range(w)):
        # The family's convention: an axis of a single pixel has no outside.
        px = column + float(flow[n, 0, row, column]) if w > 1 else 0.0
        py = row + float(flow[n, 1, row, column]) if h > 1 else 0.0
        if padding == "border":
            px, py = min(max(px, 0), w - 1), min(max(py, 0), h - 1)
        for qy in (math.floor(py), math.floor(py) + 1):
            for qx in (math.floor(px), math.floor(px) + 1):
                if 0 <= qx < w and 0 <= qy < h:
                    out[n, :, row, column] += (1 - abs(px - qx)) * (1 - abs(py - qy)) * x[n, :, qy, qx]
    return out


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("size", [(7, 9), (1, 5), (4, 1), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3, 19])
def test_equals_the_definition(padding: str, size: tuple[int, int], channels: int) -> None:
    torch.manual_seed(0)
    x, flow = torch.randn(2, channels, *size), 4 * torch.randn(2, 2, *size)
    assert error(flow_warp(x, flow, padding).double(), loop_warp(x, flow, padding)) < 1e-5  # type: ignore[arg-type]


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_golden(padding: str) -> None:
    tensors, _ = load("comp_flow_warp")
    flow = rearrange(tensors["flow"], "b h w c -> b c h w")
    warped = flow_warp(tensors["x"], flow, padding)  # type: ignore[arg-type]
    assert error(warped, tensors[f"bilinear_{padding}"]) < 2e-5


@pytest.mark.usefixtures("_each_way")
def test_golden_of_a_single_row() -> None:
    tensors, _ = load("comp_flow_warp")
    flow = rearrange(tensors["flow_h1"], "b h w c -> b c h w")
    assert error(flow_warp(tensors["x_h1"], flow), tensors["bilinear_zeros_h1"]) < 2e-5


@pytest.mark.usefixtures("_each_way")
def test_what_is_no_number_spoils_its_surroundings_alone() -> None:
    x, flow = torch.rand(1, 2, 4, 5), torch.full((1, 2, 4, 5), 0.25)
    expected = flow_warp(x, flow)
    x[0, 0, 0, 0], flow[0, 0, 2, 3], flow[0, 1, 3, 1] = math.nan, math.nan, 1e30
    expected[0, 0, 0, 0], expected[0, :, 2, 3], expected[0, :, 3, 1] = 0, 0, 0
    found = flow_warp(x, flow)
    found[0, 0, 0, 0], found[0, :, 2, 3] = 0, 0  # whatever they are
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_each_way")
def test_positive_dx_reads_to_the_right() -> None:
    x = torch.arange(5.0).expand(1, 1, 3, 5)
    flow = torch.zeros(1, 2, 3, 5)
    flow[:, 0] = 1
    assert flow_warp(x, flow, "border")[0, 0, 0].tolist() == pytest.approx([1, 2, 3, 4, 4], abs=1e-5)


def test_refuses_a_flow_of_another_size() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        flow_warp(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 5))


def test_golden_of_the_four_nearest() -> None:
    tensors, _ = load("comp_flow_warp")
    flow = rearrange(tensors["flow"], "b h w c -> b c h w")
    assert error(flow_warp_nearest4(tensors["x"], flow), tensors["nearest4_zeros"]) < 2e-5


def test_the_four_nearest_stand_in_their_order() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)  # the value tells the place: 4 row + column
    flow = torch.tensor([0.5, 0.25]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    assert flow_warp_nearest4(x, flow)[0, :, 1, 1].tolist() == [5, 9, 6, 10]
    assert flow_warp_nearest4(x, flow)[0, :, 2, 3].tolist() == [11, 0, 0, 0]
