"""What every network shares with the engine, and with training."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.filters.reduced import MODELS, row_of
from tests.golden_vectors import error, fill, is_constant, load, seeded
from vs_vrt.models.network import Network, Place, Statistics
from vs_vrt.restorer import build
from vs_vrt.task import SpyNetConfig, TaskRow
from vs_vrt.tasks import TASKS

TINY_VRT = {"depths": (2,) * 7 + (1,), "embed_dims": (8,) * 8, "num_heads": (2,) * 8, "indep_reconsts": ()}
TINY_VRT |= {"window_size": (2, 4, 4), "deformable_groups": 2, "tail_channels": 4, "flow": SpyNetConfig(kernel=3)}
SAME_SIZE = {"is_low_res_input": False, "mid_channels": 8, "num_blocks": 1, "outer_blocks": 1, "deform_groups": 2}
# Each architecture, of the smallest sizes: model of the task table, configuration, and frames that it takes.
TINY: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "basicvsr": ({"mid_channels": 8, "num_blocks": 1}, (3, 3, 8, 12)),
    "iconvsr": ({"mid_channels": 8, "num_blocks": 1}, (5, 3, 8, 12)),
    "basicvsrpp": ({"mid_channels": 8, "num_blocks": 1, "outer_blocks": 1, "deform_groups": 2}, (3, 3, 8, 12)),
    "basicvsrpp-gopro": (SAME_SIZE, (3, 3, 16, 20)),
    "realbasicvsr": ({"mid_channels": 8, "num_propagation_blocks": 1, "num_cleaning_blocks": 1}, (2, 3, 8, 12)),
    "deblur-compact": ({"mid_channels": 8, "num_blocks": 1, "tail_channels": 4}, (3, 3, 16, 20)),
    "denoise-compact": ({"mid_channels": 8, "deep_channels": 8, "num_blocks": 1, "tail_channels": 4}, (3, 4, 16, 20)),
    "mana": ({"in_channels": 32, "encoder_nblocks": 1, "decoder_nblocks": 1, "tail_channels": 4}, (7, 3, 6, 5)),
    "vrt-reds-6": (TINY_VRT, (2, 3, 32, 32)),
    "vrt-vfi": (TINY_VRT | {"upscale": 1, "pa_frames": 0, "num_frames": 4}, (4, 3, 32, 32)),
}
FILTERS = ("denoise-compact",)
each_architecture = pytest.mark.parametrize("model", TINY)
ROWS = {row.model: row for row in TASKS}


def tiny(model: str) -> tuple[TaskRow, Network, Tensor]:
    """A row, its network in its smallest form with weights that do something, and a video that it takes."""
    config, shape = TINY[model]
    row = replace(ROWS[model], config=config)
    network = build(row)
    state = network.state_dict()
    mine = {key: seeded(key, tuple(value.shape), 0) for key, value in state.items() if not is_constant(key)}
    network.load_state_dict(state | mine)
    return row, network, torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))


def restored(row: TaskRow, network: Network, video: Tensor) -> Tensor:
    return torch.stack(list(network.frames(video, range(1 if row.gives == "between" else video.shape[1]))))


def test_no_architecture_is_forgotten() -> None:
    assert {ROWS[model].architecture for model in TINY} == {row.architecture for row in ROWS.values()}


@each_architecture
def test_bfloat16_gives_nearly_the_same(model: str) -> None:
    row, network, video = tiny(model)
    with torch.no_grad():
        exact = restored(row, network, video)
        with torch.autocast("cpu", torch.bfloat16):
            rough = restored(row, network, video)
    assert rough.isfinite().all()
    assert 0 < float((rough - exact).square().mean().sqrt()) < 0.2 * float(exact.std())


@each_architecture
@pytest.mark.parametrize("half", [False, True])
def test_every_weight_learns(model: str, half: bool) -> None:
    """No operation in place spoils the gradients. Flow that a filter uses learns in a phase of its own."""
    row, network, video = tiny(model)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = restored(row, network.train(), video).float().square().mean()
    loss.backward()
    gradients = {name: each.grad for name, each in network.named_parameters()}
    learned = [each for name, each in gradients.items() if model not in FILTERS or "spynet." not in name]
    assert all(each is not None and each.isfinite().all() for each in learned)


@pytest.mark.parametrize("name", MODELS)
def test_a_tile_that_is_the_whole_frame_is_what_the_frame_is(name: str) -> None:
    """So what is known of frames comes to the right one of them, the right way round in time."""
    tensors, metadata = load(name)
    model, video = fill(build(row_of(name)), metadata), tensors["input"][:1]
    count, _, h, w = video.shape[1:]
    keep = range(1, count)

    def restored(statistics: Statistics | None) -> Tensor:
        return torch.stack(list(model.frames(video, keep, statistics)))

    with torch.no_grad():
        whole = model.statistics(video[0])
        told = model.localise(whole, Place(range(h), range(w), h, w))
        expected = restored(None)
        assert error(restored(told), expected) < 2e-4
        if "flow" in whole:
            wrong = dict(told) | {"flow": told["flow"].flip(0) + 1}
            assert error(restored(wrong), expected) > 1e-3
