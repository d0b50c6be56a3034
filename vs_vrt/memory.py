"""The memory plan: how long windows are, into which tiles frames are cut, and how much memory that takes.

Everything follows from the task, the clip, the arguments and how much memory there is in total, never from how much
of it is free: the same script means the same bytes tomorrow. Sizes are in bytes, limits in GiB, as users write them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vs_vrt.cost import Request, Windows, frames_read, frames_seen, host_bytes, network_bytes, temporal
from vs_vrt.task import TaskRow
from vs_vrt.tiling import Tiles, layouts, overhead

GIB = 1 << 30
CLASSES = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 192, 256)  # GiB, as machines and cards are sold
REPORTED = 1.08  # they report a little less than their name: firmware, drivers and error correction take some
# Shares of the class. Windows leave room for VapourSynth's own caches, the encoder and the system; and for the network,
# which on a CPU takes its share of the same memory. On a GPU the rest is for the driver, the screen, the workspaces of
# convolutions, gaps, and parts of windows that are made at once and twice as large there.
HOST_SHARE, CPU_SHARE, GPU_SHARE = 0.4, 0.3, 0.75

LENGTHS = (30, 24, 20, 16, 12, 10, 8, 6, 4, 2)  # frames
SHORTEST = 6  # with warm-up, which stays as long as it is: a shorter window would hardly read fewer frames
TEMPORAL = 1.35  # the most that a row's own windows cost in time, against one pass over the sequence, for warm-up
STEPS = (2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64)  # pixels from tile to tile: multiples of every `align`
MIN_TILE = 16  # pixels, that a script may ask for
TILE_OVERLAP = 24  # pixels; tiles of 256 and more then cost 1.25 times the frame at most: (256 / (256 - 24))^2 = 1.22


@dataclass(frozen=True)
class Plan:
    """What is decided, and for what."""

    row: TaskRow
    request: Request
    windows: Windows
    tiles: Tiles | None  # None: the whole frame
    precision: str
    host_budget: float
    device_budget: float

    @property
    def host_bytes(self) -> int:
        """What the windows of all nodes take of the RAM, the network not counted."""
        return host_bytes(self.row, self.request, self.windows, is_tiled=self.tiles is not None)

    @property
    def device_bytes(self) -> int:
        """What the network takes on each device, with all its streams."""
        return device_bytes(self.row, self.request, self.windows, self.tiles, self.precision)

    @property
    def requests(self) -> int:
        """Frames to ask for at once, so that windows of all nodes compute and what the next one reads is fetched."""
        nodes = self.request.devices * self.request.streams
        return (nodes * self.windows.length + self.windows.overlap) * self.request.made

    @property
    def temporal(self) -> float:
        """Multiply-adds against one pass over the whole sequence."""
        return temporal(self.row, self.windows, self.request.made)

    @property
    def spatial(self) -> float:
        """Multiply-adds against whole frames."""
        size = self.request.height, self.request.width
        return overhead(self.tiles, *size, self.row) if self.tiles else 1.0

    @property
    def tile(self) -> tuple[int, int]:
        """`width, height` of the largest tile that is computed; without tiles, of the frame."""
        height, width = largest(self.tiles, self.request, self.row)
        return width, height

    @property
    def tile_overlap(self) -> tuple[int, int]:
        """How many pixels neighbours share across and down; where there are none, what was planned."""
        rows, columns = layouts(self.tiles, self.request.height, self.request.width, self.row)
        across, down = (self.tiles.overlap_w, self.tiles.overlap_h) if self.tiles else (0, 0)
        return _shared(columns, across), _shared(rows, down)

    def arguments(self) -> str:
        """The plan as arguments of the call."""
        length = 0 if self.request.whole else self.windows.length
        text = "preview=True, " if self.request.preview else f"length={length}, overlap={self.windows.overlap}, "
        if self.request.official:
            text = f'blend="official", {text}'
        tiles = self._in_use()
        if tiles is None:
            return text + "tile=0"
        return text + f"tile={[tiles.width, tiles.height]}, tile_overlap={[tiles.overlap_w, tiles.overlap_h]}"

    def _in_use(self) -> Tiles | None:
        """The tiles as they come out, where who asks for those gets the same again; else what was asked for."""
        if self.tiles is None or self.tiles.official:
            return self.tiles
        size = self.request.height, self.request.width
        grid = layouts(self.tiles, *size, self.row)
        across, down = self.tile_overlap
        found = Tiles(_side(grid[0], down, self.row), _side(grid[1], across, self.row), down, across)
        return found if layouts(found, *size, self.row) == grid else self.tiles

    def summary(self) -> str:
        """One line for the log."""
        rows, columns = layouts(self.tiles, self.request.height, self.request.width, self.row)
        parts = len(rows) * len(columns)
        tiles = f"{parts} tiles a frame ({self.spatial:.2f}x)" if parts > 1 else "whole frames"
        text = (
            f"{self.arguments()}: {frames_read(self.row, self.windows)} frames a window ({self.temporal:.2f}x), "
            f"{tiles}, "
            f"about {self.device_bytes / GIB:.1f} GiB for the network and {self.host_bytes / GIB:.1f} GiB for windows, "
            f"`vspipe -r {self.requests}`"
        )
        for user, needed, budget in (
            ("the network", self.device_bytes, self.device_budget),
            ("windows", self.host_bytes, self.host_budget),
        ):
            if needed > budget:
                text += f"; {user} should have {budget / GIB:.1f} GiB at most, and memory may run out"
        return text


def plan_windows(row: TaskRow, request: Request, ram_total: int) -> Windows:
    """The longest windows of the ladder that fit the RAM for one node, so that more nodes change no byte.

    What was asked for is kept.
    """
    if request.length is not None:
        return Windows(request.length, _overlap(row, request.length, request))
    ladder = [Windows(length, _overlap(row, length, request)) for length in _lengths(row, request)]
    budget, alone = host_budget(ram_total, request), replace(request, devices=1, streams=1)
    return next((each for each in ladder if host_bytes(row, alone, each) <= budget), ladder[-1])


def plan(
    row: TaskRow, request: Request, windows: Windows, *, device: str, device_total: int, ram_total: int, precision: str
) -> Plan:
    """The largest tiles of the ladder that fit a device of that kind, "cpu" or another, for one stream.

    A limit that makes windows shorter makes no tile larger. What was asked for is kept.
    """
    budgets = host_budget(ram_total, request), device_budget(device, device_total, request)
    if request.tile is not None:
        tiles = _given_tiles(row, request, request.tile)
    else:
        unlimited = plan_windows(row, replace(request, ram_limit=None), ram_total)
        longest = max(windows, unlimited, key=lambda each: frames_seen(row, each))
        ladder, alone = _tile_ladder(row, request), replace(request, streams=1)
        fitting = (each for each in ladder if device_bytes(row, alone, longest, each, precision) <= budgets[1])
        tiles = next(fitting, ladder[-1])
    return Plan(row, request, windows, tiles, precision, *budgets)


def smaller(plan: Plan) -> Plan | None:
    """The plan with the next smaller tiles of the ladder, for when memory ran out; None: there are none."""

    def pixels(tiles: Tiles | None) -> int:
        return math.prod(largest(tiles, plan.request, plan.row))

    fewer = [each for each in _tile_ladder(plan.row, plan.request) if pixels(each) < pixels(plan.tiles)]
    return replace(plan, tiles=fewer[0]) if fewer else None


def memory_class(total: int) -> int:
    """Bytes to GiB: what a machine or a card of that much memory is sold as."""
    return max((each for each in CLASSES if each * GIB <= total * REPORTED), default=CLASSES[0])


def host_budget(ram_total: int, request: Request) -> float:
    """What windows may take. Of a limit half is theirs, as a network on the CPU may need the other half."""
    return _limited(HOST_SHARE * memory_class(ram_total) * GIB, request.ram_limit, 0.5) / request.networks


def device_budget(device: str, total: int, request: Request) -> float:
    """What networks may take on one device."""
    if device == "cpu":
        return _limited(CPU_SHARE * memory_class(total) * GIB, request.ram_limit, 0.5) / request.networks
    return _limited(GPU_SHARE * memory_class(total) * GIB, request.vram_limit, 1.0) / request.networks


def device_bytes(row: TaskRow, request: Request, windows: Windows, tiles: Tiles | None, precision: str) -> int:
    """What one device needs for the largest tile."""
    return network_bytes(row, frames_seen(row, windows), *largest(tiles, request, row), precision, request.streams)


def _limited(budget: float, limit: float | None, share: float) -> float:
    return budget if limit is None else min(budget, limit * GIB * share)


def _lengths(row: TaskRow, request: Request) -> list[int]:
    """From the row's own on down. Attention spans half a blended window: other lengths would be filled up."""
    if row.sharing == "blended":
        least = 2 * request.overlap if request.overlap is not None else 0
        return [each for each in (row.length, row.length // 2) if each >= least] or [least]
    lowest = LENGTHS[-1] if _is_exact(row) else SHORTEST
    return [each for each in LENGTHS if lowest <= each <= row.length and each % row.stride == 0]


def _overlap(row: TaskRow, length: int, request: Request) -> int:
    """What was asked for, else the row's, at whatever cost: warm-up is quality."""
    if request.overlap is not None:
        return request.overlap
    if row.sharing == "blended":
        # A frame lies in two windows at most, and each of them has enough frames that are its own.
        return max(min(row.overlap, (length - 1) // 2, length - row.num_frames), 0)
    return row.overlap


def _is_exact(row: TaskRow) -> bool:
    """Whether no frame looks further than the overlap: it is then no warm-up."""
    return temporal(row, Windows(row.length, row.overlap)) > TEMPORAL or row.gives == "between"


def _tile_ladder(row: TaskRow, request: Request) -> list[Tiles | None]:
    """From the whole frame on down; a rung that would be the whole frame is left out."""
    across, down = request.tile_overlap or (TILE_OVERLAP, TILE_OVERLAP)
    rungs = [Tiles(step + down, step + across, down, across) for step in STEPS]
    size = request.height, request.width
    return [None, *(each for each in rungs if largest(each, request, row) != size)]


def _given_tiles(row: TaskRow, request: Request, tile: tuple[int, int]) -> Tiles | None:
    """What was asked for."""
    if tile == (0, 0):
        return None
    shared = request.tile_overlap or tuple(_tile_overlap(side, row.align) for side in tile)
    tiles = Tiles(tile[1], tile[0], shared[1], shared[0], request.official)
    return None if largest(tiles, request, row) == (request.height, request.width) else tiles


def _tile_overlap(tile: int, align: int) -> int:
    """The least from ours on that leaves steps of whole `align`, where half the tile is enough for that."""
    least = min(TILE_OVERLAP, tile // 2)
    step = max(tile - TILE_OVERLAP, (tile + 1) // 2) // align * align
    return max(tile - max(step, align), least)


def largest(tiles: Tiles | None, request: Request, row: TaskRow) -> tuple[int, int]:
    """`height, width` of the largest tile."""
    rows, columns = layouts(tiles, request.height, request.width, row)
    return max(map(len, rows)), max(map(len, columns))


def _side(tiles: Sequence[range], shared: int, row: TaskRow) -> int:
    """The side of a tile that leaves room for the longest step: as many pixels as are computed, where `align` is 1."""
    steps = max(map(len, tiles)) - shared
    return max(shared + (-(-steps // row.align) * row.align if len(tiles) > 1 else steps), MIN_TILE)


def _shared(tiles: Sequence[range], otherwise: int) -> int:
    """How many pixels neighbours share."""
    return tiles[0].stop - tiles[1].start if len(tiles) > 1 else otherwise
