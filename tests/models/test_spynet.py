import pytest
import torch
from torch import nn

from tests.golden_vectors import error, fill, load, tolerance
from vs_vrt.models.spynet import SpyNet


def golden_error(model: nn.Module) -> tuple[float, float]:
    tensors, metadata = load("spynet_mmediting_40x56")
    fill(model, metadata)
    with torch.no_grad():
        flow = model(tensors["input"][:, 0], tensors["input"][:, 1])
    return error(flow, tensors["output"]), tolerance(metadata)


def test_golden() -> None:
    found, allowed = golden_error(SpyNet())
    assert found <= allowed


def test_golden_has_teeth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros instead of border pixels in the pyramid's warps must show."""
    import vs_vrt.models.spynet as module

    warp = module.flow_warp
    monkeypatch.setattr(module, "flow_warp", lambda x, flow, _: warp(x, flow, "zeros"))
    found, allowed = golden_error(SpyNet())
    assert found > 100 * allowed


def test_published_parameter_count() -> None:
    assert sum(p.numel() for p in SpyNet().parameters()) == 1_440_300


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (31, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert SpyNet()(image, image).shape == (2, 2, *size)
