"""`core.vrt.Restore`: what a call means."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from vs_vrt.checkpoint import locate
from vs_vrt.errors import ArgumentError, CheckpointError
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

from .arguments import MATRICES, MAX_LENGTH, PRECISIONS, Arguments
from .clip import RGB, RGBS, ClipFacts, check_clip, check_size
from .restoration import Restoration

NOT_YET = ("tile", "tile_overlap")
# Two windows are kept for seeking while a third is computed.
WINDOW_BYTES = 2 << 30
LENGTHS = (30, 24, 20, 16, 12, 10, 8, 6, 5, 4)


def plan_restore(values: dict[str, list[Any]]) -> Restoration:
    """Checks a call and decides its plan, from arguments and clip facts alone. Raises `VrtError`."""
    arguments = Arguments(values)
    clip = ClipFacts(*arguments.one("clip"))
    check_clip(clip)
    row = choose_row(arguments)
    path = locate(row, arguments.one("weights"))
    check_size(clip, row.scale)
    refuse_unusable(arguments, row)
    row = replace(
        row,
        length=arguments.integer("length", 1, MAX_LENGTH, default_length(row, clip)),
        overlap=arguments.integer("overlap", 0, MAX_LENGTH, row.overlap),
    )
    device = arguments.device()
    precision = arguments.choice("precision", PRECISIONS)
    if precision == "fp16" and device == "cpu":
        raise ArgumentError('a CPU does not compute in fp16; `precision="bf16"` or `precision="fp32"`')
    if precision is None and clip.format_id == RGBS:
        precision = "fp32"
    matrix = arguments.choice("matrix", MATRICES)
    if matrix and clip.color_family == RGB:
        raise ArgumentError(f'matrix="{matrix}" says how YUV was made, and the clip is RGB; `leave matrix out`')
    return Restoration(
        row=row,
        checkpoint=path,
        clip=clip,
        device=device,
        precision=precision,
        threshold=arguments.threshold(),
        matrix=-1 if matrix is None else MATRICES[matrix],
    )


def default_length(row: TaskRow, clip: ClipFacts) -> int:
    """The row's length, or what a window of restored frames leaves room for; by the frame's size alone."""
    frame = 3 * 4 * clip.width * clip.height * row.scale**2  # bytes, in float32
    return next((length for length in LENGTHS if length <= row.length and length * frame <= WINDOW_BYTES), LENGTHS[-1])


def choose_row(arguments: Arguments) -> TaskRow:
    """The row that was asked for; without a model, the one its weights belong to, else the best that is here."""
    task = arguments.choice("task", (row.task for row in TASKS)) or "sr4"
    rows = [row for row in TASKS if row.task == task]
    model = arguments.choice("model", (row.model for row in rows))
    weights = arguments.one("weights")
    if model is not None:
        return next(row for row in rows if row.model == model)
    if weights is not None:
        rows.sort(key=lambda row: (row.checkpoint != Path(weights).name, not row.bundled))
        return rows[0]
    return next((row for row in rows if is_here(row)), rows[0])


def is_here(row: TaskRow) -> bool:
    """Whether the row's checkpoint is on this machine."""
    try:
        locate(row, None)
    except CheckpointError:
        return False
    return True


def refuse_unusable(arguments: Arguments, row: TaskRow) -> None:
    """Raises `ArgumentError` for arguments that the model has no use for: none is ever silently ignored."""
    for name in NOT_YET:
        if arguments.given(name):
            raise ArgumentError(f"{name} is not supported yet; `leave {name} out`")
    if arguments.given("sigma") and arguments.given("sigma_clip"):
        raise ArgumentError("sigma and sigma_clip exclude each other; `sigma=` for one level, `sigma_clip=` for a map")
    for name in ("sigma", "sigma_clip"):
        if arguments.given(name) and row.sigma is None:
            raise ArgumentError(f"model {row.model} takes no noise level; `leave {name} out`")
