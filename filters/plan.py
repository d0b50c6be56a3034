"""What Restore and Interpolate decide alike: the part of one network in a call."""

from collections import Counter
from dataclasses import replace

from vs_vrt.checkpoint import locate
from vs_vrt.cost import Request
from vs_vrt.engine import total_ram
from vs_vrt.errors import ArgumentError
from vs_vrt.memory import MIN_TILE, plan_windows
from vs_vrt.task import TaskRow

from .arguments import MATRICES, MAX_LENGTH, MAX_STREAMS, PRECISIONS, Arguments
from .clip import RGB, RGBH, RGBS, ClipFacts, carrier_format, check_size, sample_bytes
from .noise import plan_noise
from .restoration import Restoration

INTERPOLATION = "vfi"  # the task of networks that make frames in between
BLENDS = ("ramp", "official")


def plan_network(
    arguments: Arguments, clip: ClipFacts, row: TaskRow, factor: int = 1, networks: int = 1
) -> Restoration:
    """Checks a call and decides what the network of `row` is to do, one of `networks`. Raises `VrtError`."""
    path = locate(row, arguments.one("weights"))
    check_size(clip, row.scale)
    refuse_unusable(arguments, row)
    preview, official = arguments.flag("preview"), is_official(arguments)
    if preview:
        row = replace(row, sharing="segments", stride=1, length=1, overlap=min(row.overlap, row.preview))
    if clip.format_id == RGBH:
        row = replace(row, half_safe=True)  # who gives half precision asks for it
    devices, streams = choose_devices(arguments)
    request = make_request(arguments, clip, row, factor)
    request = replace(request, devices=len(devices), streams=streams, networks=networks)
    if official and request.length == 0:
        row, request = as_one_window(row, request, clip)
    windows = plan_windows(row, request, total_ram())
    precision = arguments.choice("precision", PRECISIONS)
    if precision == "fp16" and "cpu" in devices:
        raise ArgumentError('a CPU does not compute in fp16; `precision="bf16"` or `precision="fp32"`')
    matrix = arguments.choice("matrix", MATRICES)
    if matrix and clip.color_family == RGB:
        raise ArgumentError(f'matrix="{matrix}" says how YUV was made, and the clip is RGB; `leave matrix out`')
    return Restoration(
        row=row,
        checkpoint=path,
        clip=clip,
        windows=windows,
        request=request,
        factor=factor,
        devices=devices,
        precision="fp32" if precision is None and clip.format_id == RGBS else precision,
        threshold=0 if official else arguments.threshold(),
        matrix=-1 if matrix is None else MATRICES[matrix],
        noise=plan_noise(arguments, row, clip),
    )


def make_request(arguments: Arguments, clip: ClipFacts, row: TaskRow, factor: int) -> Request:
    """What script and clip say of windows, tiles and memory. Raises `ArgumentError`."""
    preview, official = arguments.flag("preview"), is_official(arguments)
    usual = row.length, row.overlap, 0, 0
    length, overlap, tile, tile_overlap = row.published or usual if official else usual
    length = arguments.integer("length", 0 if official else 1, MAX_LENGTH, length)
    # The last frame of a window needs the next one, or nothing comes between the two.
    overlap = arguments.integer("overlap", int(factor > 1), MAX_LENGTH, overlap)
    if row.sharing == "blended" and length:
        most = length - 1 if official else length // 2
        if arguments.given("overlap") and overlap > most:
            raise ArgumentError(f"overlap {overlap} is too much for windows of {length} frames; `overlap={most}`")
        overlap = min(overlap, most)
    sides = arguments.sides("tile", MIN_TILE) or ((tile, tile) if official else None)
    if sides and any(sides):
        sides = sides[0] or clip.width, sides[1] or clip.height
    return Request(
        width=clip.width,
        height=clip.height,
        made=max(factor - 1, 1),
        pixel_bytes=3 * sample_bytes(carrier_format(clip)),
        ram_limit=arguments.gibibytes("ram_limit"),
        vram_limit=arguments.gibibytes("vram_limit"),
        length=length if preview or official or arguments.given("length") else None,
        overlap=overlap if preview or official or arguments.given("overlap") else None,
        tile=sides,
        tile_overlap=arguments.sides("tile_overlap", 0) or ((tile_overlap, tile_overlap) if official else None),
        preview=preview,
        official=official,
    )


def choose_devices(arguments: Arguments) -> tuple[list[str | None], int]:
    """The devices, and how many windows each computes side by side. One that is named twice computes twice as many.

    Raises `ArgumentError`.
    """
    names, streams = arguments.devices(), arguments.integer("num_streams", 1, MAX_STREAMS, 1)
    if arguments.given("vram_limit") and set(names) == {"cpu"}:
        raise ArgumentError("vram_limit is for GPUs, and the device is the CPU; `ram_limit=8`")
    times = set(Counter(names).values())
    if len(times) > 1:
        raise ArgumentError("device names some devices more often than others; `num_streams=2` is for all of them")
    return list(dict.fromkeys(names)), streams * times.pop()


def is_official(arguments: Arguments) -> bool:
    """Whether windows and tiles are to join as in the test program of VRT's authors."""
    return bool(arguments.one("blend") == "official")


def as_one_window(row: TaskRow, request: Request, clip: ClipFacts) -> tuple[TaskRow, Request]:
    """The whole clip, mirrored at its end to a multiple of the attention window: what length 0 means officially."""
    span = row.config.get("window_size", (6,))[0]
    request = replace(request, length=clip.num_frames, whole=True)
    return replace(row, num_frames=-(-clip.num_frames // span) * span), request


def refuse_unusable(arguments: Arguments, row: TaskRow) -> None:
    """Raises `ArgumentError` for arguments that the model has no use for: none is ever silently ignored."""
    blend = arguments.choice("blend", BLENDS)
    cuts_time = blend == "ramp" or arguments.one("length") == 0  # which networks in between do not
    if blend and (not row.architecture.startswith("vrt:") or (cuts_time and row.sharing == "segments")):
        raise ArgumentError(f"windows of {row.model} share no frames that could blend; `leave blend out`")
    if arguments.flag("preview"):
        refuse(arguments, ("length", "overlap", "blend"), "a preview has one short window", "preview=False")
    if blend == "official":
        refuse(arguments, ("sc_threshold",), "the official procedure knows no cuts", "leave sc_threshold out")
    if arguments.given("sigma") and arguments.given("sigma_clip"):
        raise ArgumentError("sigma and sigma_clip exclude each other; `sigma=` for one level, `sigma_clip=` for a map")
    for name in ("sigma", "sigma_clip"):
        if arguments.given(name) and row.sigma is None:
            raise ArgumentError(f"model {row.model} takes no noise level; `leave {name} out`")


def refuse(arguments: Arguments, names: tuple[str, ...], reason: str, remedy: str) -> None:
    """Raises `ArgumentError` if one of the arguments was given."""
    for name in names:
        if arguments.given(name):
            raise ArgumentError(f"{name} has no use here: {reason}; `{remedy}`")
