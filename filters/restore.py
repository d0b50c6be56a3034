"""`core.vrt.Restore`: what a call means."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from vs_vrt.checkpoint import locate
from vs_vrt.downloads import is_file
from vs_vrt.errors import ArgumentError, CheckpointError
from vs_vrt.models.basicsr_keys import FILES
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

from .arguments import Arguments
from .clip import ClipFacts, check_clip
from .plan import INTERPOLATION, plan_network
from .restoration import Restoration

SPACE_TIME = "st4"  # no network of its own


def plan_restore(values: dict[str, list[Any]]) -> list[Restoration]:
    """Checks a call and decides its plan, from arguments and clip facts alone. Raises `VrtError`.

    The networks run one after the other; the last may be one that interpolates.
    """
    arguments = Arguments(values)
    clip = ClipFacts(*arguments.one("clip"))
    check_clip(clip)
    task = choose_task(arguments)
    if task == SPACE_TIME:
        return plan_space_time(arguments, clip)
    arguments = arguments.replaced(task=[task])
    arguments.check_weights(1)
    return [plan_network(arguments, clip, choose_row(arguments))]


def choose_task(arguments: Arguments) -> str:
    """The task that was asked for, else that of the file that `weights` is called. Raises `ArgumentError`."""
    if arguments.one("task") == INTERPOLATION:
        raise ArgumentError(f"task {INTERPOLATION} is a function of its own; `core.vrt.Interpolate(clip)`")
    known = {row.task for row in TASKS} - {INTERPOLATION} | {SPACE_TIME}
    task = arguments.choice("task", known)
    if task or arguments.one("weights") is None:
        return task or "sr4"
    file = Path(arguments.one("weights")).name
    return next((row.task for row in TASKS if row.checkpoint == file and row.task in known), "sr4")


def plan_space_time(arguments: Arguments, clip: ClipFacts) -> list[Restoration]:
    """Super-resolution, then twice as many frames: VRT's report finds this order better than the other one.

    `model`, `overlap`, `blend` and the tiles are the super-resolution's, `weights` has a file for each, and the rest is
    for both. Raises `VrtError`.
    """
    arguments.check_weights(2)
    weights = arguments.all("weights")
    interpolations = {row.checkpoint for row in TASKS if row.task == INTERPOLATION}
    mine = 0 if weights and Path(weights[0]).name in interpolations else 1  # it alone: the first has its own already
    first = arguments.replaced(task=["sr4"], weights=weights[:mine])
    larger = plan_network(first, clip, choose_row(first), networks=2)
    own: dict[str, list[Any]] = {name: [] for name in ("model", "overlap", "blend", "tile", "tile_overlap")}
    if arguments.one("length") == 0:  # the whole clip: a matter of blend
        own["length"] = []
    second = arguments.replaced(**own | {"task": [INTERPOLATION], "weights": weights[mine:]})
    # In the clip's own format, although it is the working format by then: what follows from the format is said once.
    clip = replace(clip, width=larger.width, height=larger.height)
    return [larger, plan_network(second, clip, choose_row(second), factor=2, networks=2)]


def choose_row(arguments: Arguments) -> TaskRow:
    """The row that `model` names; of several, that of the file that `weights` is called, else the bundled or first one.

    What happens to lie on this machine does not count: a script means the same everywhere. Raises `ArgumentError`.
    """
    model, weights = arguments.one("model"), arguments.one("weights")
    file = None if weights is None else Path(weights).name
    task = arguments.choice("task", (row.task for row in TASKS)) or "sr4"
    rows = [row for row in TASKS if row.task == task and (model is None or model in names(row))]
    if not rows:
        refuse_model(arguments, task)
    owner = FILES.get(file or "")
    return min(
        rows, key=lambda row: (file != row.checkpoint and owner != row.model, row.model != model, not row.bundled)
    )


def names(row: TaskRow) -> tuple[str, str, str]:
    """What a row goes by: its own name, its family's and that of its official checkpoint."""
    return row.model, row.model.split("-")[0], Path(row.checkpoint).stem


def refuse_model(arguments: Arguments, task: str) -> None:
    """Raises `ArgumentError` for a model that the task does not have."""
    model = arguments.one("model")
    elsewhere = [row for row in TASKS if model in names(row)]
    if elsewhere:
        row = min(elsewhere, key=lambda each: each.model != model)
        raise ArgumentError(f"model {model} is for task {row.task}, not {task}; `{row.call}`")
    arguments.choice("model", (name for row in TASKS if row.task == task for name in names(row)[:2]))


def is_here(row: TaskRow) -> bool:
    """Whether the row's checkpoint is on this machine."""
    try:
        return is_file(locate(row, None))
    except CheckpointError:
        return False
