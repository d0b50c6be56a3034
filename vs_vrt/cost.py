"""What windows and tiles cost: in memory, and in multiply-adds against one pass over the whole sequence.

Sizes are in bytes.
"""

import math
from dataclasses import dataclass

from vs_vrt.task import TaskRow

TERMS = ("fixed", "pixel", "frame_pixel", "band_pixel")  # of a Footprint
BAND_ROWS, HALO = 64, 2  # as in vs_vrt.models.blocks: the tail to full size works on bands of so many rows at least
KEPT = 3  # windows of finished frames of a node: two that are kept, one that is made
FLOAT = 4
# In half precision, so much of the float32 bytes: features take half, while flows, offsets, positions and sums stay as
# they are; about half is assumed to be features. Weights stay in float32: each is halved anew whenever it is used.
HALF_ACTIVATIONS = 0.75


@dataclass(frozen=True, kw_only=True)
class Request:
    """What script and clip say. Sides of tiles are width, height in pixels of the input; None: ours to choose."""

    width: int
    height: int
    made: int = 1  # frames that each frame of the clip becomes or, in an interpolation, that are made to follow it
    pixel_bytes: int = 6  # of a finished frame: 6 for RGB48 and RGBH, 12 for RGBS
    devices: int = 1
    streams: int = 1  # windows that each device computes side by side
    networks: int = 1  # of the call: they share what memory there is
    ram_limit: float | None = None  # GiB
    vram_limit: float | None = None  # GiB of each device that is no CPU
    length: int | None = None
    overlap: int | None = None
    tile: tuple[int, int] | None = None  # (0, 0): the whole frame
    tile_overlap: tuple[int, int] | None = None
    preview: bool = False
    official: bool = False  # `blend="official"`
    whole: bool = False  # the clip is one window, as `length=0` says


@dataclass(frozen=True)
class Windows:
    """How a clip is cut in time; what they mean is said at `vs_vrt.task.Sharing`."""

    length: int
    overlap: int


def host_bytes(row: TaskRow, request: Request, windows: Windows, is_tiled: bool = True) -> int:
    """What all windows together take of the RAM: those finished, and those that are made with all that they read."""
    pixels = request.width * request.height
    finished = windows.length * request.made * pixels * row.scale**2
    read = frames_read(row, windows) * pixels * FLOAT
    channels = 3 if row.sigma is None else 4
    each = KEPT * finished * request.pixel_bytes + read * (3 + channels)  # as frames, and as what the network reads
    if is_tiled:
        each += finished * 3 * FLOAT  # where tiles are put together
        each += frames_read(row, windows) * pixels * row.memory.shared
    return request.devices * request.streams * each + read * 3  # and the frames that neighbouring windows share


def network_bytes(row: TaskRow, frames: int, height: int, width: int, precision: str, streams: int = 1) -> int:
    """What a device needs for `(frames 3 height width)`: weights, and the most that each stream has beside them."""
    height, width = (max(-(-side // row.multiple) * row.multiple, row.min_size) for side in (height, width))
    facts = (getattr(row.memory, name) for name in TERMS)
    activations = sum(fact * term for fact, term in zip(facts, terms(frames, height, width), strict=True))
    kept = 1.0 if precision == "fp32" else HALF_ACTIVATIONS
    return int(row.memory.weights + streams * kept * activations)


def terms(frames: int, height: int, width: int) -> tuple[int, int, int, int]:
    """What the facts of a `Footprint` are multiplied by."""
    bands = max(height // BAND_ROWS, 1)
    rows = -(-height // bands) + 2 * min(HALO, bands - 1)
    return 1, height * width, frames * height * width, rows * width


def frames_read(row: TaskRow, windows: Windows) -> int:
    """How many frames a window reads at most."""
    if row.sharing == "blended":
        return windows.length
    early = max((k * windows.length - windows.overlap) % row.stride for k in range(row.stride))
    return windows.length + 2 * windows.overlap + early


def frames_seen(row: TaskRow, windows: Windows) -> int:
    """How many frames the network sees at once."""
    return row.num_frames if row.gives == "between" else max(frames_read(row, windows), row.num_frames)


def temporal(row: TaskRow, windows: Windows, made: int = 1) -> float:
    """Multiply-adds of all windows against one pass over the whole sequence."""
    if row.gives == "between":
        # Frames at a quarter look at those halfway, two of which are the neighbouring windows'; so on at an eighth.
        return 1 + 2 * (math.log2(made + 1) - 1) / (made * windows.length)
    if row.sharing == "blended":
        return windows.length / max(windows.length - windows.overlap, 1)
    return frames_read(row, windows) / windows.length
