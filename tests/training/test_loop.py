from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vs_vrt.models.basicvsr import BasicVSR, BasicVSRConfig
from vs_vrt.training.data import Footage
from vs_vrt.training.loop import Trainer, initialise
from vs_vrt.training.recipe import Recipe
from vs_vrt.video import write_png

TINY = BasicVSRConfig(
    mid_channels=8, num_blocks=1, half_channels=8, tail_channels=8, flow_widths=(4, 4, 4, 4), flow_kernel=3
)
RECIPE = Recipe(
    iterations=24,
    batch=1,
    num_frames=3,
    crop=(8, 16),
    flow_iterations=4,
    flow_frozen_until=8,
    save_every=12,
    ema=0.9,
)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    folder = tmp_path_factory.mktemp("footage")
    (folder / "clip").mkdir()
    row, column = np.mgrid[0:96, 0:160]
    stripes = 127 + 120 * np.sin(0.9 * row + 0.35 * column)  # fine enough that plain upsampling blurs them
    texture = np.stack([stripes] * 3, -1)
    for t in range(4):
        write_png(folder / "clip" / f"{t}.png", np.roll(texture, 2 * t, 1).astype(np.uint8))
    return Footage(folder)


def trainer(footage: Footage, recipe: Recipe, folder: Path) -> Trainer:
    model = BasicVSR(TINY)
    initialise(model, recipe.seed)
    return Trainer(model, recipe, footage, folder)


def test_the_loss_falls(footage: Footage, tmp_path: Path) -> None:
    run = trainer(footage, replace(RECIPE, iterations=120, learning_rate=5e-3), tmp_path)
    run.iteration = RECIPE.flow_iterations
    losses = []
    while run.iteration < 120:
        losses.append(run.step()[0])
        run.iteration += 1
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_resuming_is_exact(footage: Footage, tmp_path: Path) -> None:
    whole = trainer(footage, RECIPE, tmp_path / "whole")
    whole.run()
    half = trainer(footage, RECIPE, tmp_path / "halves")
    while half.iteration < 12:
        half.step()
        half.iteration += 1
    half.save()
    resumed = trainer(footage, RECIPE, tmp_path / "halves")
    resumed.run()
    assert resumed.iteration == whole.iteration == RECIPE.iterations
    for a, b in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_flow_network_learns_alone_then_rests(footage: Footage, tmp_path: Path) -> None:
    run = trainer(footage, RECIPE, tmp_path)

    def moved(name: str) -> bool:
        before = dict(run.model.named_parameters())[name].detach().clone()
        run.step()
        return not torch.equal(before, dict(run.model.named_parameters())[name])

    flow, trunk = "spynet.basic_module.5.basic_module.4.conv.weight", "conv_last.weight"
    assert (moved(flow), moved(trunk)) == (True, False)
    run.iteration = RECIPE.flow_iterations
    assert (moved(flow), moved(trunk)) == (False, True)
    run.iteration = RECIPE.flow_frozen_until
    assert (moved(flow), moved(trunk)) == (True, True)
