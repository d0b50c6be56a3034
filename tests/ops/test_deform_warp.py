import pytest
import torch
from torch import Tensor

from tests.golden_vectors import error
from tests.ops.test_deform_conv import loop
from vs_vrt.ops.deform_warp import deform_warp

RESIDUE = 3.0


def definition(
    x: Tensor, found: Tensor, flows: list[Tensor], weight: Tensor, bias: Tensor, deform_groups: int
) -> Tensor:
    """Offset by offset, in float64."""
    found, residues = found.double(), 18 * deform_groups
    offset = torch.empty_like(found[:, :residues])
    for channel in range(residues):
        flow = flows[channel * len(flows) // residues].double()
        offset[:, channel] = RESIDUE * found[:, channel].tanh() + flow[:, 1 - channel % 2]
    return loop(x, offset, 1 / (1 + (-found[:, residues:]).exp()), weight, bias)


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize(("groups", "deform_groups", "flows"), [(1, 1, 1), (1, 2, 2), (2, 4, 2), (1, 4, 1)])
def test_equals_the_definition(groups: int, deform_groups: int, flows: int) -> None:
    torch.manual_seed(0)
    x, found = torch.randn(2, 4, 3, 5), 2 * torch.randn(2, 27 * deform_groups, 3, 5)
    ways = [2 * torch.randn(2, 2, 3, 5) for _ in range(flows)]
    weight, bias = torch.randn(6, 4 // groups, 3, 3), torch.randn(6)
    expected = definition(x, found, ways, weight, bias, deform_groups)
    assert error(deform_warp(x, found, ways, weight, bias, RESIDUE).double(), expected) < 1e-5


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_positions_stay_exact_in_half_precision(half: torch.dtype) -> None:
    """A flow of 1001 pixels and a half leads from column 1000 to where half precision would have no such place."""
    x = torch.arange(2100.0).view(1, 1, 1, 2100) % 7
    found = torch.zeros(1, 27, 1, 2100)
    found[:, 18:] = 30.0  # all masks are 1
    flow = torch.zeros(1, 2, 1, 2100)
    flow[:, 0, :, 1000] = 1001.5
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1
    made = deform_warp(x.to(half), found.to(half), [flow], weight.to(half), None, RESIDUE)
    assert float(made[0, 0, 0, 1000]) == (2001 % 7 + 2002 % 7) / 2
