"""A training run of a model of the task table, from its name to its checkpoint."""

import hashlib
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import torch

from vs_vrt import checkpoint
from vs_vrt.engine import memory_errors
from vs_vrt.errors import ArgumentError, CheckpointError
from vs_vrt.models.network import Network
from vs_vrt.restorer import build
from vs_vrt.state_dict import read, read_header, sha256_of
from vs_vrt.task import TaskRow
from vs_vrt.tasks import COMPACT, TASKS
from vs_vrt.training.batches import Batches
from vs_vrt.training.degradations import DEGRADATIONS
from vs_vrt.training.files import claimed
from vs_vrt.training.flow import lend_flow
from vs_vrt.training.footage import MEMORY_SHARE, Footage
from vs_vrt.training.initial import initialise
from vs_vrt.training.loop import WEIGHTS, Place, Trainer
from vs_vrt.training.plot import REMEDY, can_plot
from vs_vrt.training.processes import Process, joined
from vs_vrt.training.recipe import Recipe
from vs_vrt.training.recipes import recipe_of
from vs_vrt.training.validation import SEED, Validation

log = logging.getLogger(__name__)
PUBLISHED = "published"
MAKERS = 8  # threads at most, each of which holds some batches that a GPU is to learn from


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is asked for; None: what the recipe or the machine suggests."""

    model: str
    data: Path
    out: Path
    start: str | None = None  # a checkpoint to fine-tune, or `published`: the model's own; None: from scratch
    validate: Path | None = None  # footage that training does not see
    degradation: str | None = None
    rate: float | None = None
    factor: float = 1.0  # of the recipe's iterations
    iterations: int | None = None  # in all
    batch: int | None = None
    seed: int = 0
    precision: str = "fp32"
    device: str | None = None
    checkpointing: bool = False


def train(run: Run, asked: Event) -> bool:
    """Trains until the end; false where `asked` to stop before.

    Raises `ArgumentError`, `CheckpointError`, `DeviceError`.
    """
    row = row_of(run.model)
    recipe = choose_recipe(run, row)
    if run.precision not in ("fp32", "bf16"):
        raise ArgumentError(f"there is no precision {run.precision!r}; `--precision fp32` or `--precision bf16`")
    for option, folder in (("--data", run.data), ("--validate", run.validate)):
        if folder is not None and not folder.is_dir():
            raise ArgumentError(f"{folder} is no folder; `{option} FOLDER`")
    with joined(run.device) as process:
        first = claimed(run.out) if process.rank == 0 else nullcontext()
        with first, memory_errors(process.device, "--checkpointing", "--precision bf16", "--batch 1"):
            finished = trainer(run, row, recipe, process).run(asked)
        if process.rank == 0:
            tell(run, row, finished)
        return finished


def trainer(run: Run, row: TaskRow, recipe: Recipe, process: Process) -> Trainer:
    """The run, ready to begin or to go on."""
    network, start = begin(run, row)
    share = MEMORY_SHARE / process.ranks / (2 if run.validate else 1)
    footage = load_footage(run.data, recipe, share)
    unseen = load_footage(run.validate, recipe, share) if run.validate else footage
    data = fingerprint(footage)
    facts = {
        "model": row.model,
        "start": start,
        "data": data,
        "validation": data if unseen is footage else fingerprint(unseen),
        "precision": run.precision,
    }
    place = Place(folder=run.out, device=process.device, bf16=run.precision == "bf16", checkpointing=run.checkpointing)
    if process.rank == 0:
        say_what(row, recipe, network, place, unseen is not footage)
    makers = 1 if process.device.type == "cpu" else max(1, min(MAKERS, (os.cpu_count() or 1) // process.ranks))
    batches = Batches(footage=footage, recipe=recipe, rank=process.rank, ranks=process.ranks, makers=makers)
    return Trainer(network, batches, place, Validation(unseen, recipe), facts)


def model_of(start: str | None) -> str:
    """The model that a checkpoint belongs to; without one, the default. Raises `CheckpointError`."""
    if start is None or start == PUBLISHED:
        return COMPACT.model
    with in_words_of_the_command():
        path = checkpoint.given(start)
    said = read_header(path).get("__metadata__", {}).get("model") if path.suffix == ".safetensors" else None
    owners = checkpoint.owners_of(read(path))
    named = [row for row in owners if said == row.model or path.name == row.checkpoint] or owners
    if len(named) != 1:
        known = " or ".join(f"`--model {row.model}`" for row in named) or "`--model NAME`"
        raise CheckpointError(f"{path.name} does not say which model it is of; {known}")
    return named[0].model


def row_of(model: str) -> TaskRow:
    """The row of the task table. Raises `ArgumentError`."""
    rows = {row.model: row for row in TASKS}
    if model not in rows:
        raise ArgumentError(f"unknown model {model!r}; " + ", ".join(f"`--model {known}`" for known in rows))
    return rows[model]


def choose_recipe(run: Run, row: TaskRow) -> Recipe:
    """The row's recipe, changed as asked. Raises `ArgumentError`."""
    for name, least in (("rate", 0.0), ("factor", 0.0), ("iterations", 0), ("batch", 0)):
        value = getattr(run, name)
        if value is not None and not least < value < math.inf:
            raise ArgumentError(f"{name} {value} cannot be; `--{name}` above {least}")
    if not 0 <= run.seed < SEED:
        raise ArgumentError(f"seed {run.seed} cannot be; `--seed` from 0 to {SEED - 1}")
    recipe = recipe_of(row)
    if run.degradation is not None:
        recipe = replace(recipe, degradation=suitable(run.degradation, row))
    if run.start is not None:
        recipe = recipe.fine_tuning()
    if run.rate is not None:
        recipe = recipe.faster(run.rate / recipe.learning_rate)
    recipe = replace(recipe.scaled(run.factor), batch=run.batch or recipe.batch)
    return replace(recipe if run.iterations is None else recipe.lasting(run.iterations), seed=run.seed)


def suitable(degradation: str, row: TaskRow) -> str:
    """The degradation, where the row's network can undo it. Raises `ArgumentError`."""
    others = [name for name, how in DEGRADATIONS.items() if how.suits(row)]
    if degradation not in others:
        known = ", ".join(f"`--degradation {name}`" for name in others)
        raise ArgumentError(f"model {row.model} cannot undo {degradation!r}; {known}")
    return degradation


def begin(run: Run, row: TaskRow) -> tuple[Network, str]:
    """The network with its first weights, and what those are. Raises `CheckpointError`."""
    torch.manual_seed(run.seed)  # some parameters begin as their constructor draws them
    network = build(row)
    recipe = recipe_of(row)
    initialise(network, run.seed, recipe.picture)
    if run.start is None:
        return network, f"scratch, flow of {lend_flow(network)}" if recipe.lent_flow else "scratch"
    with in_words_of_the_command():
        path = checkpoint.obtain(row, checkpoint.locate(row, None if run.start == PUBLISHED else run.start))
    checkpoint.load(network, path, row, remedy=lambda owners, *_: f"--model {owners[0].model if owners else 'NAME'}")
    if not all(parameter.isfinite().all() for parameter in network.parameters()):
        raise CheckpointError(f"{path.name} has values that are no numbers; `another --from`")
    return network, sha256_of(path)


@contextmanager
def in_words_of_the_command() -> Iterator[None]:
    """What is wrong with a checkpoint is told in those of scripts."""
    try:
        yield
    except CheckpointError as error:
        words = re.sub("`?pass `?weights=`", "`--from FILE`", str(error))
        raise CheckpointError(re.sub("^weights '", "--from '", words)) from error


def load_footage(folder: Path, recipe: Recipe, share: float) -> Footage:
    """The clips of a folder. Raises `ArgumentError` where there are none, or all are too small."""
    footage = Footage(folder, share)
    side = recipe.largest * DEGRADATIONS[recipe.degradation].scale
    footage.check(side)
    return footage


def fingerprint(footage: Footage) -> str:
    """The same for the same clips."""
    digest = hashlib.sha256()
    for clip in footage.clips:
        digest.update(f"{clip.shape}".encode() + clip[len(clip) // 2].tobytes())
    return digest.hexdigest()


def say_what(row: TaskRow, recipe: Recipe, network: Network, place: Place, unseen: bool) -> None:
    """What is about to happen."""
    count = sum(parameter.numel() for parameter in network.parameters())
    log.info(
        "%s, %s parameters, %d iterations in %s on %s into %s",
        *(row.model, f"{count:,}", recipe.iterations, "bf16" if place.bf16 else "fp32", place.device, place.folder),
    )
    if not unseen:
        log.info("validation is on footage that is trained on; `--validate FOLDER` names other footage")
    if not can_plot():
        log.info(REMEDY)


def tell(run: Run, row: TaskRow, finished: bool) -> None:
    """What there is now, and what to do with it."""
    if not finished:
        log.info("stopped; the same command goes on from here")
    path = (run.out / WEIGHTS).resolve()
    log.info("the weights are in %s: %s", path, row.call.removesuffix(")") + f', weights="{path}")')
