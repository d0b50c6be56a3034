import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.golden_vectors import component, component_tolerance, error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models import blocks, mana, network
from vs_vrt.models.mana import MANA, MANAConfig, NonLocalAttention
from vs_vrt.models.network import Place

GOLDEN = "mana_c64_16x12"
SMALL = MANAConfig(in_channels=64, encoder_nblocks=2, decoder_nblocks=2)
TINY = MANAConfig(in_channels=64, encoder_nblocks=1, decoder_nblocks=1)
PUBLISHED_KEYS = "7c94ba14571ceb716f51dc5503440bffaa07a29e85da4b0239a1344cd821f2d9"

search, nearness = NonLocalAttention.search, NonLocalAttention.nearness


def golden_error() -> tuple[float, float]:
    tensors, metadata = load(GOLDEN)
    model = fill(MANA(SMALL), metadata)
    with torch.no_grad():
        frame, loss = model.forward_with_loss(tensors["input"])
    return max(error(frame[:, 0], tensors["output.0"]), error(loss[None], tensors["output.1"])), tolerance(metadata)


def nonlocal_error() -> tuple[float, float]:
    inputs, weights, outputs, _ = component("comp_mana_nonlocal")
    block = NonLocalAttention(64, 256)
    block.load_state_dict({key: value for key, value in weights.items() if key != "D"})
    with torch.no_grad():
        z, loss = block(inputs["x"].unbind(1))
    return max(error(z, outputs["0"]), error(loss[None], outputs["1"])), component_tolerance(*outputs.values())


def whole_search(self: NonLocalAttention, query: Tensor, frame: Tensor, what: Tensor) -> Tensor:
    """What `search` computes, with the whole matrix of attention and the whole matrix of squared distances."""
    h, w = query.shape[2:]
    affinity = query.flatten(2).transpose(1, 2) @ self.theta(frame).flatten(2)
    place = torch.cartesian_prod(torch.arange(h), torch.arange(w)).float()
    distance = (place[:, None] - place).square().sum(-1)
    weight = torch.exp(-0.5 * distance / self.std**2)
    found = affinity.softmax(-1) * weight @ what.flatten(2).transpose(1, 2)
    return found.transpose(1, 2).reshape(what.shape)


def weight_before_softmax(self: NonLocalAttention, query: Tensor, frame: Tensor, what: Tensor) -> Tensor:
    h, w = query.shape[2:]
    affinity = query.flatten(2).transpose(1, 2) @ self.theta(frame).flatten(2)
    affinity = affinity + self.nearness(range(h * w), range(h), w).log()
    return (affinity.softmax(-1) @ what.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(what.shape)


def scaled_search(self: NonLocalAttention, query: Tensor, frame: Tensor, what: Tensor) -> Tensor:
    return search(self, query / math.sqrt(query.shape[1]), frame, what)


def swapped_nearness(self: NonLocalAttention, positions: range, rows: range, width: int) -> Tensor:
    return nearness(self, positions, range(width), len(rows))


def normalised_residual(
    self: NonLocalAttention, frames: list[Tensor], _: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    z, loss = forward(self, frames)
    return z - frames[mana.CENTRE] + self.norm(frames[mana.CENTRE]), loss


forward = NonLocalAttention.forward


@pytest.mark.parametrize("compare", [golden_error, nonlocal_error])
def test_golden(compare: Callable[[], tuple[float, float]]) -> None:
    found, allowed = compare()
    assert found <= allowed


@pytest.mark.parametrize("compare", [golden_error, nonlocal_error])
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("search", weight_before_softmax),
        ("search", scaled_search),
        ("nearness", swapped_nearness),
        ("forward", normalised_residual),
    ],
)
def test_golden_has_teeth(
    name: str,
    wrong: Callable[..., Any],
    compare: Callable[[], tuple[float, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NonLocalAttention, name, wrong)
    found, allowed = compare()
    assert found > 100 * allowed


@pytest.mark.parametrize("slope", [0.01, 0.2])
def test_golden_sees_the_slope(slope: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mana, "lrelu", lambda x: F.leaky_relu(x, slope))
    found, allowed = golden_error()
    assert found > 100 * allowed


def test_published_keys() -> None:
    with torch.device("meta"):
        model = MANA()
    # The published network stores the distances between the pixels of a 64x64 frame; ours follow from the frame.
    state = shapes(model) | {"nonloc_spatial.D": (4096, 4096)}
    assert key_hash(state) == PUBLISHED_KEYS
    assert sum(p.numel() for p in model.parameters()) + 4096**2 == 31_094_724


def attention(std: float = 4.0) -> NonLocalAttention:
    torch.manual_seed(0)
    block = NonLocalAttention(32, 256)
    with torch.no_grad():
        block.std.fill_(std)
    return block


@pytest.mark.parametrize("std", [0.25, 4.0, -1.5])
@pytest.mark.parametrize("chunk", [1, 4 * 2 * 17 * 7 * 5, 1 << 20])
def test_chunks_equal_the_whole_matrix(std: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mana, "CHUNK_BYTES", chunk)  # one position, five of them, all
    block, frame = attention(std), torch.randn(2, 32, 17, 7)
    query, what = 3 * torch.randn(2, 16, 17, 7), torch.randn(2, 9, 17, 7)
    with torch.no_grad():
        assert error(block.search(query, frame, what), whole_search(block, query, frame, what)) < 1e-5


def test_what_is_far_is_left_out_only_where_it_weighs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mana, "CHUNK_BYTES", 1)
    block, query, frame = attention(0.5), torch.randn(1, 16, 17, 7), torch.randn(1, 32, 17, 7)
    with torch.no_grad():
        whole = whole_search(block, query, frame, query)
        assert error(block.search(query, frame, query), whole) < 1e-6
        monkeypatch.setattr(mana, "REACH", 2)
        assert error(block.search(query, frame, query), whole) > 1e-5


def test_the_loss_of_the_memory_trains_nothing_else() -> None:
    model = MANA(TINY)
    model.forward_with_loss(torch.rand(1, 7, 3, 6, 5))[1].backward()
    assert [name for name, each in model.named_parameters() if each.grad is not None] == ["nonloc_spatial.mb"]


def test_attention_learns_where_things_are() -> None:
    """A texture goes one pixel to the right with every frame: so far from each place lies what is found at last."""
    torch.manual_seed(0)
    model, texture = MANA(TINY), torch.rand(1, 3, 12, 12)
    video = torch.stack([texture.roll(i, dims=3) for i in range(7)], dim=1)
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(150):
        adam.zero_grad()
        model.attention_loss(video).backward()
        adam.step()
    block = model.nonloc_spatial
    with torch.no_grad():
        before, middle = (block.norm(model._encode(video[:, i])) for i in (2, 3))
        columns = torch.arange(12.0).expand(1, 1, 12, 12)
        found = block.search(block.phi(middle), before, torch.cat([columns, torch.ones_like(columns)], dim=1))
    where = (found[:, :1] / found[:, 1:])[..., 3:-3, 3:-3]
    assert float((where - columns[..., 3:-3, 3:-3] + 1).abs().median()) < 0.2


def test_attention_alone_learns_to_find_what_is_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    model, video = MANA(TINY), torch.rand(2, 7, 3, 6, 5)
    # As if each place found itself: nothing is wrong where nothing moves.
    monkeypatch.setattr(NonLocalAttention, "search", lambda _self, _query, _frame, what: what)
    assert model.attention_loss(video[:, :1].expand_as(video)) == 0
    padded = torch.nn.functional.pad(video - 0.5, (1, 1, 1, 1))
    around = [padded[..., y : y + 6, x : x + 5] for y in range(3) for x in range(3)]
    wrong = torch.stack([(place - place[:, 3:4]).abs().mean() for place in around]).mean()
    assert float(model.attention_loss(video)) == pytest.approx(float(wrong), rel=1e-5)


def test_training_reaches_every_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks too; and the distances' own parameter has the gradient of the whole matrix."""
    monkeypatch.setattr(mana, "CHUNK_BYTES", 4 * 6 * 5 * 7)
    model, video = MANA(TINY), torch.rand(1, 7, 3, 6, 5)
    frame, loss = model.forward_with_loss(video)
    (frame.square().mean() + loss).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    std = model.nonloc_spatial.std
    assert std.grad is not None
    chunked = std.grad.clone()
    model.zero_grad()
    monkeypatch.setattr(NonLocalAttention, "search", whole_search)
    model(video).square().mean().backward()
    torch.testing.assert_close(std.grad, chunked, rtol=1e-4, atol=0)


def test_the_loss_is_the_memory_alone() -> None:
    block, frames = attention(), list(torch.randn(7, 1, 32, 4, 4))
    with torch.no_grad():
        before = block(frames)[1]
        block.g.weight.zero_()
        assert torch.equal(block(frames)[1], before)
        block.mb.zero_()
        assert error(block(frames)[1], block.phi(block.norm(frames[3])).abs().mean()) < 1e-6


def test_geometry_is_that_of_the_frame() -> None:
    """The same pixels in the same order, in a frame of another width."""
    block, frames = attention(1.0), torch.randn(7, 1, 32, 4, 9)
    with torch.no_grad():
        z = block(list(frames))[0]
        other = block(list(frames.reshape(7, 1, 32, 6, 6)))[0]
    assert error(z.flatten(), other.flatten()) > 1e-2


def test_channels_last_and_batches_change_nothing() -> None:
    tensors, metadata = load(GOLDEN)
    model = fill(MANA(SMALL), metadata).to(memory_format=torch.channels_last)
    with torch.no_grad():
        found = torch.cat([model(video[None])[:, 0] for video in tensors["input"]])
    assert error(found, tensors["output.0"]) <= tolerance(metadata)


def test_bands_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, metadata = load(GOLDEN)
    model = fill(MANA(SMALL), metadata)
    with torch.no_grad():
        whole = model(tensors["input"])
        monkeypatch.setattr(blocks, "BAND_BYTES", 1)
        monkeypatch.setattr(blocks, "BAND_ROWS", 5)
        assert error(model(tensors["input"]), whole) < 1e-6
        monkeypatch.setattr(blocks, "HALO", 1)
        assert error(model(tensors["input"]), whole) > 1e-4


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (9, 2)])
def test_any_size(size: tuple[int, int]) -> None:
    h, w = size
    with torch.no_grad():
        assert MANA(TINY)(torch.rand(1, 7, 3, h, w)).shape == (1, 1, 3, 4 * h, 4 * w)


def test_every_frame_with_three_on_either_side_is_restored_as_if_alone() -> None:
    model, video = MANA(TINY), torch.rand(2, 9, 3, 6, 5)
    with torch.no_grad():
        frames, loss = model.forward_with_loss(video)
        alone = [model.forward_with_loss(video[:, i : i + 7]) for i in range(3)]
    assert frames.shape == (2, 3, 3, 24, 20)
    assert float((frames - torch.cat([frame for frame, _ in alone], dim=1)).abs().max()) < 1e-6
    assert float(loss) == pytest.approx(float(sum(each for _, each in alone)) / 3, rel=1e-6)


def seeded_network() -> MANA:
    _, metadata = load(GOLDEN)
    return fill(MANA(SMALL), metadata)


def test_frames_in_a_row_are_those_of_the_network_of_seven() -> None:
    model, video = seeded_network(), torch.rand(1, 9, 3, 10, 9)
    with torch.no_grad():
        frames = list(model.frames(video, range(3, 9)))
        assert error(frames[0], model(video[:, :7])[:, 0]) < 1e-5
        assert error(frames[-1], model(video[:, [5, 6, 7, 8, 8, 7, 6]])[:, 0]) < 1e-5
        assert torch.equal(next(model.frames(video, range(5, 6))), frames[2])


def test_each_frame_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, encode = [], MANA._encode
    monkeypatch.setattr(
        MANA, "_encode", lambda self, frame: seen.append(float(frame[0, 0, 0, 0])) or encode(self, frame)
    )
    video = torch.arange(9.0).view(1, 9, 1, 1, 1).expand(-1, -1, 3, 2, 2)
    with torch.no_grad():
        list(seeded_network().frames(video, range(9)))
    assert seen == list(range(9))


def statistics_error(video: Tensor) -> float:
    """Between the whole frames' moments, and those of features of whole frames."""
    model = seeded_network()
    with torch.no_grad():
        groups = model._encode(video).unflatten(1, (mana.GROUPS, -1)).flatten(2)
        found = model.statistics(video)["moments"]
        return error(found, torch.stack([groups.mean(-1), groups.var(-1, correction=0)], 1))


def test_statistics_of_blocks_are_those_of_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    video = torch.rand(2, 3, 37, 22) * torch.linspace(0, 1, 37)[:, None]
    monkeypatch.setattr(network, "BLOCK", 10)
    monkeypatch.setattr(network, "HALOS", 0)
    assert statistics_error(video) < 1e-5
    in_blocks_of = network.Network.in_blocks_of
    monkeypatch.setattr(MANA, "in_blocks_of", lambda self, frame, _, f: in_blocks_of(self, frame, 1, f))
    assert statistics_error(video) > 1e-4


def test_a_tile_is_normalised_as_its_frame_is() -> None:
    block, frame = attention(), torch.randn(1, 32, 12, 10) * torch.linspace(0, 2, 10)
    moments = torch.stack([frame.mean((2, 3))[0], frame.var((2, 3), correction=0)[0]])
    with torch.no_grad():
        whole = block.norm(frame)[..., 6:]
        assert error(block.normalise(frame[..., 6:], moments), whole) < 1e-5
        assert error(block.normalise(frame[..., 6:], None), whole) > 0.1


def test_a_tile_is_closer_to_its_frame_with_the_statistics_of_the_frame() -> None:
    model = seeded_network()
    video = torch.rand(1, 1, 3, 24, 32) * torch.linspace(0, 1, 32).square()
    with torch.no_grad():
        whole = next(model.frames(video, range(1)))[..., 4 * 16 :]
        statistics = model.localise(model.statistics(video[0]), Place(range(24), range(16, 32), 24, 32))
        ours, own = (next(model.frames(video[..., 16:], range(1), each)) for each in (statistics, None))
    inside = slice(4 * 4, None)
    assert (ours - whole)[..., inside].square().mean() < 0.8 * (own - whole)[..., inside].square().mean()
