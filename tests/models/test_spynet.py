from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.golden_vectors import error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models import spynet
from vs_vrt.models.spynet import Level, SpyNet, crop_coarse
from vs_vrt.task import SpyNetConfig


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


def test_one_network_for_all_levels_is_six_that_are_alike() -> None:
    torch.manual_seed(0)
    shared, apart = SpyNet(SpyNetConfig(kernel=3, shared=True)), SpyNet(SpyNetConfig(kernel=3))
    for level in apart.basic_module:
        level.load_state_dict(shared.basic_module[0].state_dict())
    images = torch.rand(2, 1, 3, 64, 96)
    coarse = torch.rand(1, 2, 8, 12)
    with torch.no_grad():
        assert torch.equal(shared(*images), apart(*images))
        assert torch.equal(shared(*images, coarse), apart(*images, coarse))
    assert 6 * sum(p.numel() for p in shared.parameters()) == sum(p.numel() for p in apart.parameters())


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_a_level_is_five_convolutions_with_activations_between(slope: float) -> None:
    torch.manual_seed(0)
    level, x = Level(SpyNetConfig(slope=slope)), torch.randn(1, 8, 9, 7)
    found = x.double()
    for i, unit in enumerate(level.basic_module):
        conv = unit.conv
        if i:
            found = torch.where(found > 0, found, slope * found)
        found = F.conv2d(found, conv.weight.double(), conv.bias.double(), padding=3)
    with torch.no_grad():
        assert error(level(x), found) < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (31, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert SpyNet()(image, image).shape == (2, 2, *size)


def whole_and_parts(size: tuple[int, int], rows: range, columns: range) -> tuple[Tensor, Tensor, Tensor]:
    """The flow of a whole frame in a tile, that of the tile with what the frame shares, and that of the tile alone."""
    _, metadata = load("spynet_mmediting_40x56")
    model = fill(SpyNet(), metadata)
    torch.manual_seed(0)
    coarse = F.interpolate(torch.rand(1, 3, 9, 12), size=(size[0] + 4, size[1] + 4), mode="bicubic").clamp(0, 1)
    video = torch.cat([coarse[..., 4:, 4:], coarse[..., :-4, 1:-3], coarse[..., 2:-2, :-4]])
    tile = (..., slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    with torch.no_grad():
        to_previous, to_next = model.coarse_flows(video)
        whole = torch.cat([model(video[:-1], video[1:]), model(video[1:], video[:-1])])[tile]
        parts, mates = torch.cat([video[:-1], video[1:]])[tile], torch.cat([video[1:], video[:-1]])[tile]
        shared = crop_coarse(torch.cat([to_previous, to_next]), rows, columns, size)
        return whole, model(parts, mates, shared), model(parts, mates)


@pytest.mark.parametrize("size", [(64, 96), (40, 56), (1, 9)])
def test_a_tile_that_is_the_frame_finds_the_flow_of_the_frame(size: tuple[int, int]) -> None:
    whole, shared, _ = whole_and_parts(size, range(size[0]), range(size[1]))
    assert error(shared, whole) < 2e-5


@pytest.mark.parametrize("size", [(128, 160), (120, 150)])
@pytest.mark.parametrize(("top", "left"), [(32, 64), (33, 61), (51, 67)])
def test_a_tile_finds_nearly_the_flow_of_the_frame(size: tuple[int, int], top: int, left: int) -> None:
    whole, shared, alone = whole_and_parts(size, range(top, top + 64), range(left, left + 80))
    inside = (..., slice(16, -16), slice(16, -16))
    near, far = ((found - whole)[inside].square().mean() for found in (shared, alone))
    assert near < 0.25 * far


def test_a_still_frame_has_no_coarse_flow() -> None:
    flow = SpyNet().coarse_flows(torch.rand(1, 3, 40, 56))
    assert flow.shape == (2, 0, 2, 8, 8)


def test_coarse_flow_in_several_steps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, metadata = load("spynet_mmediting_40x56")
    model, video = fill(SpyNet(), metadata), torch.rand(6, 3, 40, 56)
    seen: list[int] = []
    found = model._pyramid_flows
    monkeypatch.setattr(model, "_pyramid_flows", lambda a, b, n: seen.append(len(a)) or found(a, b, n))
    with torch.no_grad():
        whole = model.coarse_flows(video)
        monkeypatch.setattr(spynet, "CHUNK_PIXELS", 2 * 4 * 4)
        assert error(model.coarse_flows(video), whole) < 1e-5
    assert seen == [5, 5, 2, 2, 2, 2, 1, 1]
