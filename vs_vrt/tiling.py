"""Tiles: how a frame is cut up, and how what becomes of its parts is put together without a seam."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from vs_vrt.task import TaskRow

if TYPE_CHECKING:
    from torch import Tensor

GUARD = 4  # pixels at a tile's inner border that count nothing: what is padded there spoils them most


@dataclass(frozen=True)
class Tiles:
    """The largest tile, and how far neighbours overlap, in pixels of the input.

    `official`: patches as in the test program of VRT's authors, plainly averaged, seams and all.
    """

    height: int
    width: int
    overlap_h: int
    overlap_w: int
    official: bool = False


@dataclass(frozen=True, eq=False)
class Tile:
    """Rows and columns of the input, and what the output counts for in those that they become."""

    rows: range
    columns: range
    row_weights: "Tensor"
    column_weights: "Tensor"


def layout(size: int, tile: int, overlap: int, align: int = 1, multiple: int = 1) -> list[range]:
    """The tiles along one axis: all about as long, begun on multiples of `align`, the last one ending with the axis.

    Neighbours share `overlap` pixels, rounded up to `multiple`, but no more than half a tile. A tile that leaves no
    room for a step of `align` grows until it does; one that less than half of that would follow grows to the end.
    """
    if size <= tile:
        return [range(size)]
    overlap = _up(min(overlap, tile // 2), multiple)
    stride = max((tile - overlap) // align, 1) * align
    steps = size - overlap
    count = max(1, math.ceil(steps / stride))
    # As even as `align` allows, but no step may be longer than `stride`, and the last one is what is left.
    even = ((2 * i * steps + count * align) // (2 * count * align) * align for i in range(count))
    starts = [max(start, _up(steps - (count - i) * stride, align)) for i, start in enumerate(even)]
    if count > 1 and 2 * (size - starts[-1]) < align + overlap:
        del starts[-1]
    stops = [*(start + overlap for start in starts[1:]), size]
    return [range(start, stop) for start, stop in zip(starts, stops, strict=True)]


def official_layout(size: int, tile: int, overlap: int) -> list[range]:
    """The patches along one axis in the test program of VRT's authors; one, where the axis is no longer than it."""
    starts = [*range(0, size - tile, max(tile - overlap, 1)), max(0, size - tile)]
    return [range(start, min(start + tile, size)) for start in starts]


def overhead(tiles: Tiles, height: int, width: int, row: TaskRow) -> float:
    """How many times the frame's area all tiles have together, all filled up to sizes that the network takes."""

    def computed(axis: list[range]) -> int:
        return sum(_up(max(len(part), row.min_size), row.multiple) for part in axis)

    rows, columns = layouts(tiles, height, width, row)
    return computed(rows) * computed(columns) / (computed([range(height)]) * computed([range(width)]))


def layouts(tiles: Tiles | None, height: int, width: int, row: TaskRow) -> tuple[list[range], list[range]]:
    """The tiles of a frame along its height and along its width: each of the one crosses each of the other."""
    if tiles is None:
        return [range(height)], [range(width)]
    if tiles.official:
        return (
            official_layout(height, tiles.height, tiles.overlap_h),
            official_layout(width, tiles.width, tiles.overlap_w),
        )
    facts = row.align, row.multiple
    return (
        layout(height, max(tiles.height, row.min_size), tiles.overlap_h, *facts),
        layout(width, max(tiles.width, row.min_size), tiles.overlap_w, *facts),
    )


def cut(tiles: Tiles | None, height: int, width: int, row: TaskRow) -> list[Tile]:
    """The tiles of a frame; None: the whole frame is the only one."""
    rows, columns = layouts(tiles, height, width, row)
    if tiles and tiles.official:
        down = official_weights(rows, tiles.overlap_h, row.scale)
        across = official_weights(columns, tiles.overlap_w, row.scale)
    else:
        down, across = feather(rows, row.scale), feather(columns, row.scale)
    crossed = ((y, x) for y in zip(rows, down, strict=True) for x in zip(columns, across, strict=True))
    return [Tile(y[0], x[0], y[1], x[1]) for y, x in crossed]


def feather(tiles: Sequence[range], scale: int) -> "list[Tensor]":
    """`n -> n x (l s)`: what each tile counts for along one axis of the output, where all together count for one.

    Half a period of a cosine leads from one tile to the next across what they share, but for `GUARD` pixels on either
    side, which count nothing.
    """
    import torch

    weights = [torch.ones(len(tile) * scale, dtype=torch.float64) for tile in tiles]
    for i in range(len(tiles) - 1):
        shared = tiles[i].stop - tiles[i + 1].start
        ramp = rise(shared, scale)
        weights[i + 1][: shared * scale] *= ramp
        weights[i][len(weights[i]) - shared * scale :] *= ramp.flip(0)
    return _normalised(tiles, weights, scale)


def rise(shared: int, scale: int) -> "Tensor":
    """`-> ((shared s))`: from 0 to 1 across what two tiles share; at half, with its mirror image one."""
    import torch

    length, guard = shared * scale, min(GUARD, shared // 4) * scale
    position = (torch.arange(length, dtype=torch.float64) + 0.5 - guard) / max(length - 2 * guard, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * position.clamp(0, 1))


def official_weights(tiles: Sequence[range], overlap: int, scale: int) -> "list[Tensor]":
    """`n -> n x (l s)`: plain averages of patches, after half of `overlap` was cut where patches meet.

    So many pixels of the output, whatever the scale: most of what patches share is averaged. Source: main_test_vrt.py.
    """
    import torch

    overlap = min(overlap, len(tiles[0]) - 1)
    weights = [torch.ones(len(tile) * scale, dtype=torch.float64) for tile in tiles]
    for earlier, later in pairwise(weights):
        earlier[len(earlier) - (overlap + 1) // 2 :] = 0
        later[: overlap // 2] = 0
    return _normalised(tiles, weights, scale)


def merge(grid: Sequence[Tile], restored: "Callable[[Tile], Iterable[Tensor]]") -> "Iterator[Tensor]":
    """`-> t x (c (h s) (w s))`: the frames that tiles make up, one tile after the other; `restored` gives a tile's.

    The frames of a single tile are passed on one by one, all others lie in memory until the last tile is done.
    """
    if len(grid) == 1:
        yield from restored(grid[0])
        return
    scale = len(grid[0].row_weights) // len(grid[0].rows)
    height, width = (scale * stop for stop in (grid[-1].rows.stop, grid[-1].columns.stop))
    frames: list[Tensor] = []
    for tile in grid:
        weight = (tile.row_weights[:, None] * tile.column_weights).float()
        y, x = tile.rows.start * scale, tile.columns.start * scale
        for i, part in enumerate(restored(tile)):
            if i == len(frames):
                frames.append(part.new_zeros(part.shape[0], height, width))
            frames[i][:, y : y + part.shape[1], x : x + part.shape[2]] += weight * part
    yield from frames


def _normalised(tiles: Sequence[range], weights: "Sequence[Tensor]", scale: int) -> "list[Tensor]":
    total = weights[0].new_zeros(tiles[-1].stop * scale)
    places = [slice(tile.start * scale, tile.stop * scale) for tile in tiles]
    for place, weight in zip(places, weights, strict=True):
        total[place] += weight
    return [weight / total[place] for place, weight in zip(places, weights, strict=True)]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
