"""What Restore and Interpolate decide alike: the part of one network in a call."""

from dataclasses import replace

from vs_vrt.checkpoint import locate
from vs_vrt.errors import ArgumentError
from vs_vrt.task import TaskRow

from .arguments import MATRICES, MAX_LENGTH, PRECISIONS, Arguments
from .clip import RGB, RGBS, ClipFacts, check_size
from .noise import plan_noise
from .restoration import Restoration

INTERPOLATION = "vfi"  # the task of networks that make frames in between
NOT_YET = ("tile", "tile_overlap")
# Two windows are kept for seeking while a third is computed.
WINDOW_BYTES = 2 << 30
LENGTHS = (30, 24, 20, 16, 12, 10, 8, 6, 5, 4)


def plan_network(arguments: Arguments, clip: ClipFacts, row: TaskRow, factor: int = 1) -> Restoration:
    """Checks a call and decides what the network of `row` is to do. Raises `VrtError`."""
    path = locate(row, arguments.one("weights"))
    check_size(clip, row.scale)
    refuse_unusable(arguments, row)
    row = replace(
        row,
        length=arguments.integer("length", 1, MAX_LENGTH, default_length(row, clip, factor)),
        # The last frame of a window needs the next one, or nothing comes between the two.
        overlap=arguments.integer("overlap", int(factor > 1), MAX_LENGTH, row.overlap),
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
        factor=factor,
        device=device,
        precision=precision,
        threshold=arguments.threshold(),
        matrix=-1 if matrix is None else MATRICES[matrix],
        noise=plan_noise(arguments, row, clip),
    )


def default_length(row: TaskRow, clip: ClipFacts, factor: int) -> int:
    """The row's length, or what a window of finished frames leaves room for; by the frame's size alone."""
    frames = 3 * 4 * clip.width * clip.height * row.scale**2 * factor  # bytes in float32, of what a frame becomes
    return next((length for length in LENGTHS if length <= row.length and length * frames <= WINDOW_BYTES), LENGTHS[-1])


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
