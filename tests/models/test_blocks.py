import pytest
import torch
from torch import Tensor, nn

from tests.golden_vectors import component, component_tolerance, error
from vs_vrt.models import blocks
from vs_vrt.models.blocks import PixelShufflePack, ResidualBlocksWithInputConv, in_bands, propagate


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("comp_resblocks_with_input_conv", ResidualBlocksWithInputConv(7, 8, 2)),
        ("comp_pixelshufflepack", PixelShufflePack(6, 5)),
    ],
)
def test_golden(name: str, block: nn.Module) -> None:
    inputs, weights, outputs, _ = component(name)
    block.load_state_dict(weights)
    with torch.no_grad():
        assert error(block(inputs["x"]), outputs["0"]) < component_tolerance(outputs["0"])


def tail() -> nn.Module:
    """x4, and as far-sighted as the tails of the networks."""
    torch.manual_seed(0)
    return nn.Sequential(
        PixelShufflePack(3, 4), PixelShufflePack(4, 4), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 3, 3, 1, 1)
    )


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_bands_are_the_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, x = tail(), torch.randn(2, 3, 23, 6)
    monkeypatch.setattr(blocks, "BAND_BYTES", 1)
    monkeypatch.setattr(blocks, "BAND_ROWS", rows)
    with torch.no_grad():
        whole = layers(x)
        assert error(in_bands(layers, x, 4), whole) < 1e-6
        monkeypatch.setattr(blocks, "HALO", 1)
        assert error(in_bands(layers, x, 4), whole) > 1e-3


def test_large_pictures_are_cut_into_bands() -> None:
    heights: list[int] = []

    def count(x: Tensor) -> Tensor:
        heights.append(x.shape[2])
        return x.new_zeros(1, 3, 4 * x.shape[2], 4 * x.shape[3])

    in_bands(count, torch.zeros(1, 1, 270, 480), 64)  # 132 MB at full size
    assert heights == [69, 72, 71, 70]


def test_propagation_warps_refills_and_joins() -> None:
    trunk = ResidualBlocksWithInputConv(2, 1, 0)
    nn.init.zeros_(trunk.main[0].weight)  # type: ignore[union-attr, arg-type]
    nn.init.zeros_(trunk.main[0].bias)  # type: ignore[union-attr, arg-type]
    trunk.main[0].weight.data[0, :, 1, 1] = 1  # type: ignore[union-attr, operator, index]
    frames = [torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[10.0, 20.0, 30.0]]]])]
    flow = torch.zeros(1, 2, 1, 3)
    flow[:, 0] = 1
    with torch.no_grad():
        first, second = propagate(trunk, zip(frames), [flow], lambda step, state: state + 100 * step)
    assert first.flatten().tolist() == [1, 2, 3]
    assert second.flatten().tolist() == [112, 123, 130]
