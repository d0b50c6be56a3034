"""A clip, a network and a recipe that are small enough to train in a test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vs_vrt.models.basicvsr import BasicVSR, BasicVSRConfig
from vs_vrt.task import SpyNetConfig
from vs_vrt.training.batches import Batches
from vs_vrt.training.footage import Footage
from vs_vrt.training.initial import initialise
from vs_vrt.training.loop import Place, Trainer
from vs_vrt.training.recipe import Phase, Recipe
from vs_vrt.training.validation import Validation
from vs_vrt.video.footage import write_png

CONFIG = BasicVSRConfig(
    mid_channels=8, num_blocks=1, half_channels=8, tail_channels=8, flow=SpyNetConfig(widths=(4, 4, 4, 4), kernel=3)
)
RECIPE = Recipe(
    degradation="bicubic",
    phases=(
        Phase(iterations=2, learns="flow"),
        Phase(iterations=2, learns="all but flow"),
        Phase(iterations=4),
    ),
    batch=2,
    num_frames=3,
    crop=(8, 16),
    learning_rate=5e-3,
    muon_rate=0.01,
    ema=0.9,
)
FACTS = {"model": "tiny", "start": "scratch", "data": "stripes"}


def write_clip(folder: Path, size: int = 128, frames: int = 4) -> Path:
    """A folder with one clip of moving stripes, so fine that plain enlargement blurs them."""
    (folder / "clip").mkdir(parents=True)
    row, column = np.mgrid[0:size, 0:size]
    stripes = 127 + 120 * np.sin(0.9 * row + 0.35 * column)
    texture = np.stack([stripes, stripes.T, 255 - stripes], -1)
    for t in range(frames):
        write_png(folder / "clip" / f"{t}.png", np.roll(texture, 2 * t, 1).astype(np.uint8))
    return folder


def trainer(footage: Footage, folder: Path, recipe: Recipe = RECIPE, **changes: object) -> Trainer:
    """A run of the small network; `changes` are of its place, or of its facts."""
    model = BasicVSR(CONFIG)
    initialise(model, recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    facts = FACTS | {key: str(changes.pop(key)) for key in FACTS.keys() & changes.keys()}
    place = replace(Place(folder=folder, device=torch.device("cpu")), **changes)
    return Trainer(model, Batches(footage=footage, recipe=recipe), place, Validation(footage, recipe), facts)
