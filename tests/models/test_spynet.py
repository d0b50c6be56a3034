from typing import Literal

import pytest
import torch
from torch import nn

from tests.golden_vectors import error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models.spynet import SpyNet, SpyNetConfig


def golden_error(model: nn.Module, name: str = "spynet_mmediting_40x56") -> tuple[float, float]:
    tensors, metadata = load(name)
    fill(model, metadata)
    with torch.no_grad():
        flow = model(tensors["input"][:, 0], tensors["input"][:, 1])
    return error(flow, tensors["output"]), tolerance(metadata)


def test_golden() -> None:
    found, allowed = golden_error(SpyNet())
    assert found <= allowed


def test_golden_with_the_other_keys() -> None:
    found, allowed = golden_error(SpyNet(SpyNetConfig(keys="basicsr")), "spynet_basicsr_40x56")
    assert found <= allowed


@pytest.mark.parametrize("name", ["spynet_vrt_40x56", "spynet_vrt_levels2345_64x96"])
def test_golden_of_four_scales(name: str) -> None:
    tensors, metadata = load(name)
    model = fill(SpyNet(SpyNetConfig(keys="basicsr")), metadata)
    with torch.no_grad():
        flows = model.flows(tensors["input"][:, 0], tensors["input"][:, 1], scales=(1, 2, 4, 8))
    for i, flow in enumerate(flows):
        assert error(flow, tensors[f"output.{i}"]) <= tolerance(metadata)


def test_the_two_key_schemes_are_one_network() -> None:
    other = SpyNet(SpyNetConfig(keys="basicsr"))
    mine = SpyNet()
    for theirs, ours in zip(other.parameters(), mine.parameters(), strict=True):
        theirs.data.copy_(ours)
    images = torch.rand(2, 1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(mine(*images), other(*images))


def test_golden_has_teeth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros instead of border pixels in the pyramid's warps must show."""
    import vs_vrt.models.spynet as module

    warp = module.flow_warp
    monkeypatch.setattr(module, "flow_warp", lambda x, flow, _: warp(x, flow, "zeros"))
    found, allowed = golden_error(SpyNet())
    assert found > 100 * allowed


@pytest.mark.parametrize(
    ("keys", "recorded"),
    [
        ("mmediting", "ab12f7295ee87355b1d0e95e0029abc0f0dcb5615cf352494a03235504cb5139"),
        ("basicsr", "3063bf69c22cd0d29b3c24b8b41a73416ee485ba293a6ec608574cd741c00dbd"),
    ],
)
def test_official_keys_and_shapes(keys: Literal["mmediting", "basicsr"], recorded: str) -> None:
    model = SpyNet(SpyNetConfig(keys=keys))
    assert sum(p.numel() for p in model.parameters()) == 1_440_300
    assert key_hash(shapes(model)) == recorded


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (31, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert SpyNet()(image, image).shape == (2, 2, *size)
