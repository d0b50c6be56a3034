"""A training run of a model of the task table, from its name to its checkpoint."""

from dataclasses import replace
from pathlib import Path

from vs_vrt.errors import ArgumentError
from vs_vrt.models.basicvsr import BasicVSR
from vs_vrt.restorer import build
from vs_vrt.tasks import TASKS
from vs_vrt.training.data import Footage
from vs_vrt.training.loop import Trainer, initialise
from vs_vrt.training.recipe import Recipe


def train_model(model: str, data: Path, out: Path, *, iterations: int | None, seed: int, bf16: bool) -> None:
    """Trains `model` on the footage below `data`, into the folder `out`. Raises `ArgumentError`."""
    row = next((row for row in TASKS if row.model == model), None)
    if row is None:
        known = ", ".join(f"`--model {row.model}`" for row in TASKS)
        raise ArgumentError(f"unknown model {model!r}; {known}")
    recipe = replace(Recipe(), seed=seed, bf16=bf16)
    recipe = replace(recipe, iterations=iterations) if iterations else recipe
    network = build(row)
    assert isinstance(network, BasicVSR)
    initialise(network, seed)
    footage = Footage(data)
    side = max(recipe.crop) * row.scale
    footage.check((side, side))
    Trainer(network, recipe, footage, out).run()
