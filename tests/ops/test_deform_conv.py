import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.golden_vectors import component_tolerance, error, load
from vs_vrt.ops import deform_conv as module
from vs_vrt.ops.deform_conv import deform_conv


def read(x: Tensor, n: int, channel: int, y: float, column: float) -> float:
    """Bilinear, in float64, 0 outside."""
    total = 0.0
    for qy in (math.floor(y), math.floor(y) + 1):
        for qx in (math.floor(column), math.floor(column) + 1):
            if 0 <= qy < x.shape[2] and 0 <= qx < x.shape[3]:
                total += (1 - abs(y - qy)) * (1 - abs(column - qx)) * float(x[n, channel, qy, qx])
    return total


def loop(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The definition, product by product, in float64; 3x3, padding 1."""
    b, c, h, w = x.shape
    groups, deform_groups = c // weight.shape[1], offset.shape[1] // 18
    out = bias.double()[None, :, None, None].repeat(b, 1, h, w)
    for n, o, row, column in (
        (n, o, i, j) for n in range(b) for o in range(len(weight)) for i in range(h) for j in range(w)
    ):
        for inner in range(weight.shape[1]):
            channel = o // (len(weight) // groups) * weight.shape[1] + inner
            group = channel // (c // deform_groups)
            for k in range(9):
                at = (group * 9 + k) * 2
                y = row + k // 3 - 1 + float(offset[n, at, row, column])
                px = column + k % 3 - 1 + float(offset[n, at + 1, row, column])
                sample = read(x, n, channel, y, px) * float(mask[n, group * 9 + k, row, column])
                out[n, o, row, column] += sample * float(weight[o, inner, k // 3, k % 3])
    return out


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize(
    ("channels", "groups", "deform_groups", "size"),
    [(4, 1, 1, (4, 5)), (4, 2, 4, (3, 4)), (6, 3, 2, (5, 1)), (4, 1, 2, (1, 1))],
)
def test_equals_the_definition(
    channels: int, groups: int, deform_groups: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, channels, *size)
    offset, mask = 2 * torch.randn(2, 18 * deform_groups, *size), torch.rand(2, 9 * deform_groups, *size)
    weight, bias = torch.randn(6, channels // groups, 3, 3), torch.randn(6)
    expected = loop(x, offset, mask, weight, bias)
    assert error(deform_conv(x, offset, mask, weight, bias).double(), expected) < 1e-5
    monkeypatch.setattr(module, "COLUMN_BYTES", 1)  # row by row
    assert error(deform_conv(x, offset, mask, weight, bias).double(), expected) < 1e-5


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("case", range(6))
def test_golden(case: int) -> None:
    tensors, _ = load("comp_deform_conv2d_torchvision014")
    x, offset, mask, weight, bias, cfg, y, plain = (
        tensors[f"{case}.{name}"] for name in ("x", "off", "m", "w", "b", "cfg", "y", "y2")
    )
    stride, padding, dilation = (int(value) for value in cfg)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    assert error(deform_conv(x, offset, mask, weight, bias, **options), y) < component_tolerance(y)
    assert error(deform_conv(x, offset, None, weight, **options), plain) < component_tolerance(plain)


@pytest.mark.usefixtures("_each_way")
def test_without_offsets_it_is_a_convolution() -> None:
    x, weight = torch.randn(1, 4, 6, 7), torch.randn(8, 4, 3, 3)
    found = deform_conv(x, torch.zeros(1, 36, 6, 7), torch.ones(1, 18, 6, 7), weight)
    torch.testing.assert_close(found, F.conv2d(x, weight, padding=1), rtol=0, atol=1e-5)


def test_offsets_stay_exact_in_half_precision() -> None:
    """Column 2001 is no number of bfloat16."""
    x = torch.arange(2048.0).view(1, 1, 1, 2048) % 7
    offset = torch.zeros(1, 18, 1, 2048)
    offset[:, 9] = 1.0  # the tap in the middle reads one pixel to the right
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1
    found = deform_conv(x.bfloat16(), offset.bfloat16(), None, weight.bfloat16())
    assert torch.equal(found[..., :-1].float(), x[..., 1:])


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        deform_conv(torch.zeros(1, 4, 4, 4), torch.zeros(1, 18 * 3, 4, 4), None, torch.zeros(4, 4, 3, 3))
