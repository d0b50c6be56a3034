import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, override

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.golden_vectors import error, load
from tests.restorers import ROW, restore, restorer_of
from vs_vrt import tiling
from vs_vrt.mirror import extend, mirror
from vs_vrt.models.network import Network, Statistics
from vs_vrt.tasks import TASKS
from vs_vrt.tiling import Tile, Tiles, cut, feather, layout, merge, official_layout, official_weights, overhead

VRT = next(row for row in TASKS if row.model == "vrt-reds-6")

sizes, tile_sizes, overlaps = st.integers(1, 500), st.integers(1, 300), st.integers(0, 120)
aligned = st.sampled_from([(1, 1), (4, 4), (4, 1), (64, 8)])
scales = st.sampled_from([1, 2, 4])


@given(sizes, tile_sizes, overlaps, aligned)
def test_tiles_cover_an_axis_evenly(size: int, tile: int, overlap: int, facts: tuple[int, int]) -> None:
    align, multiple = facts
    tiles = layout(size, tile, overlap, align, multiple)
    if size <= tile:
        assert tiles == [range(size)]
        return
    shared = -(-min(overlap, tile // 2) // multiple) * multiple
    assert (tiles[0].start, tiles[-1].stop) == (0, size)
    assert all(each.start % align == 0 for each in tiles)
    assert all(a.stop - b.start == shared and a.start < b.start and a.stop < b.stop for a, b in pairwise(tiles))
    assert all(len(each) % multiple == 0 for each in tiles[:-1])
    # None is tiny. Only a tile with no room for two steps may be longer than was asked for, by the rest of a step.
    assert 2 * len(tiles[-1]) >= shared + align or len(tiles) == 1
    assert max(map(len, tiles)) <= max(tile, shared + align + max(align - shared, 0) // 2)
    # As many as it takes, and no more.
    step = max((tile - shared) // align, 1) * align
    count = max(1, math.ceil((size - shared) / step))
    rest = size - (count - 1) * step
    assert len(tiles) == count - (step == align and count > 1 and 2 * rest < shared + align)
    if align == 1:
        steps = [b.start - a.start for a, b in pairwise(tiles)] + [size - shared - tiles[-1].start]
        assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((100, 100, 8), [(0, 100)]),
        ((101, 100, 8), [(0, 55), (47, 101)]),  # steps of 47 and 46
        ((700, 280, 24, 64, 8), [(0, 280), (256, 472), (448, 700)]),
        ((10, 1, 5), [(n, n + 1) for n in range(10)]),
        ((200, 1, 5, 64, 8), [(0, 64), (64, 128), (128, 200)]),
        ((235, 88, 24, 64, 8), [(0, 88), (64, 152), (128, 235)]),  # the last one would have 43
        ((236, 88, 24, 64, 8), [(0, 88), (64, 152), (128, 216), (192, 236)]),
    ],
)
def test_layouts_that_were_worked_out_by_hand(arguments: tuple[int, ...], expected: list[tuple[int, int]]) -> None:
    assert [(each.start, each.stop) for each in layout(*arguments)] == expected


@settings(deadline=None)
@given(sizes, tile_sizes, overlaps, aligned, scales, st.booleans())
def test_weights_sum_to_one(
    size: int, tile: int, overlap: int, facts: tuple[int, int], scale: int, official: bool
) -> None:
    tiles = official_layout(size, tile, overlap) if official else layout(size, tile, overlap, *facts)
    weights = official_weights(tiles, overlap, scale) if official else feather(tiles, scale)
    total = torch.zeros(size * scale, dtype=torch.float64)
    count = torch.zeros(size * scale, dtype=torch.long)
    for each, weight in zip(tiles, weights, strict=True):
        assert len(weight) == len(each) * scale
        assert weight.min() >= 0
        total[each.start * scale : each.stop * scale] += weight
        count[each.start * scale : each.stop * scale] += 1
    assert float((total - 1).abs().max()) < 1e-12
    # What only one tile has is that tile's, bit for bit.
    for each, weight in zip(tiles, weights, strict=True):
        assert bool((weight[count[each.start * scale : each.stop * scale] == 1] == 1).all())


def cosine(shared: int, guard: int, scale: int) -> list[float]:
    """The weights of the later of two tiles, one by one: half a period of a cosine, counted in pixels of the output."""
    steps = (shared - 2 * guard) * scale
    inside = [(1 - math.cos(math.pi * (i + 0.5) / steps)) / 2 for i in range(steps)]
    return [0.0] * guard * scale + inside + [1.0] * guard * scale


def feather_error(scale: int) -> float:
    """For two tiles that share 40 pixels, of which a fifth counts nothing at either side."""
    earlier, later = feather([range(60), range(20, 90)], scale)
    ramp = torch.tensor(cosine(40, 8, scale), dtype=torch.float64)
    ones = torch.ones(20 * scale, dtype=torch.float64)
    more = torch.ones(30 * scale, dtype=torch.float64)
    return max(error(earlier, torch.cat([ones, 1 - ramp])), error(later, torch.cat([ramp, more])))


@pytest.mark.parametrize("scale", [1, 4])
def test_a_ramp_leads_from_one_tile_to_the_next(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "GUARD", 8)
    assert feather_error(scale) < 1e-12


def test_a_ramp_of_another_scale_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "GUARD", 8)
    right = tiling.rise
    monkeypatch.setattr(
        tiling, "rise", lambda shared, scale: F.pad(right(shared, 1), (0, shared * (scale - 1)), value=1)
    )
    assert feather_error(1) < 1e-12
    assert feather_error(4) > 0.4


@pytest.mark.parametrize("scale", [1, 4])
def test_tiles_of_a_network_that_looks_nowhere_make_up_the_frame(scale: int) -> None:
    torch.manual_seed(0)
    frames = torch.rand(2, 3, 50 * scale, 70 * scale)

    def restored(tile: Tile) -> Iterator[Tensor]:
        rows = slice(tile.rows.start * scale, tile.rows.stop * scale)
        columns = slice(tile.columns.start * scale, tile.columns.stop * scale)
        yield from frames[:, :, rows, columns]

    for tiles in (Tiles(20, 30, 6, 10), Tiles(16, 16, 5, 5, official=True), Tiles(60, 20, 0, 0), None):
        merged = torch.stack(list(merge(cut(tiles, 50, 70, replace(ROW, scale=scale)), restored)))
        assert error(merged, frames) < 1e-6


def test_frames_of_a_single_tile_are_passed_on_one_by_one() -> None:
    given: list[int] = []

    def restored(tile: Tile) -> Iterator[Tensor]:
        for n in range(3):
            given.append(n)
            yield torch.full((3, len(tile.rows), len(tile.columns)), float(n))

    frames = merge(cut(None, 4, 5, replace(ROW, scale=1)), restored)
    assert float(next(frames)[0, 0, 0]) == 0
    assert given == [0]


@pytest.mark.parametrize("row", [ROW, VRT], ids=lambda row: row.model)
@pytest.mark.parametrize("step", [256, 384, 512])
@pytest.mark.parametrize(("height", "width"), [(180, 320), (480, 854), (540, 960), (720, 1280), (1080, 1920)])
def test_little_is_computed_twice(row: Any, step: int, height: int, width: int) -> None:
    tiles = Tiles(step + 24, step + 24, 24, 24)
    ratio = overhead(tiles, height, width, row)
    video = torch.empty(1, 1, height, width)
    parts = (
        video[:, :, tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]
        for tile in cut(tiles, height, width, row)
    )
    areas = [extend(part, row.multiple, row.min_size).numel() for part in (video, *parts)]
    assert ratio == sum(areas[1:]) / areas[0]
    assert 1 <= ratio <= 1.25


def test_what_is_filled_up_counts_as_computed() -> None:
    """40 rows and 20 columns, in tiles that a network of at least 64 takes as 64."""
    row = replace(ROW, multiple=8, min_size=64, align=8)
    assert overhead(Tiles(8, 8, 0, 0), 40, 20, row) == 1
    assert overhead(Tiles(64, 64, 0, 0), 64, 100, row) == (56 + 8 + 64) / 104


class FakeModel(Network):
    """Each pixel, larger; and a number that says which frame, row and column of what is given it was."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for t in keep:
            frame = F.interpolate(video[:, t, :3] + video[:, t, 3:].sum(1, keepdim=True), scale_factor=self.scale)
            row = torch.arange(frame.shape[2]).view(-1, 1)
            yield frame + 0.01 * t + 1e-3 * row + 2e-3 * torch.arange(frame.shape[3])


def official_error(case: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Against what the authors' test program made of a model like that."""
    tensors, metadata = load("tiling")
    facts = json.loads(metadata["cases"])[case]
    (length, size, _), (shared, overlap, _), window = facts["tile"], facts["ov"], facts["ws"][0]
    model = restorer_of(FakeModel(facts["sf"]), monkeypatch, scale=facts["sf"], multiple=8, align=64)
    tiles = Tiles(size, size, overlap, overlap, official=True) if size else None
    video, expected = tensors[f"{case}.input"][0], tensors[f"{case}.output"][0]
    count = len(video)
    if not length:
        extended = video[mirror(range(-(-count // window) * window), count)]
        return error(restore(model, extended, tiles=tiles)[:count], expected)
    total, times = torch.zeros_like(expected), torch.zeros(count, 1, 1, 1)
    for start in [*range(0, count - length, length - shared), max(0, count - length)]:
        total[start : start + length] += restore(model, video[start : start + length], tiles=tiles)
        times[start : start + length] += 1
    return error(total / times, expected)


@pytest.mark.parametrize("case", range(5))
def test_golden_official_procedure(case: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert official_error(case, monkeypatch) < 1e-5


def cut_at_full_scale(tiles: list[range], overlap: int, scale: int) -> list[Tensor]:
    return official_weights(tiles, overlap * scale, scale)


def cut_nothing(tiles: list[range], _: int, scale: int) -> list[Tensor]:
    return official_weights(tiles, 0, scale)


def shifted_back_never(size: int, tile: int, overlap: int) -> list[range]:
    return [range(start, min(start + tile, size)) for start in range(0, size, tile - overlap)]


@pytest.mark.parametrize(
    ("case", "name", "wrong"),
    [
        (0, "official_weights", cut_at_full_scale),
        (0, "official_weights", cut_nothing),
        (1, "official_weights", cut_nothing),
        (4, "official_weights", cut_nothing),
        (0, "official_layout", shifted_back_never),
        (1, "official_layout", shifted_back_never),
    ],
)
def test_golden_has_teeth(case: int, name: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, name, wrong)
    assert not official_error(case, monkeypatch) < 1e-3  # where nothing counts it is not a number


def test_patches_of_the_official_procedure() -> None:
    """An odd overlap is cut by one pixel more at the end of a patch than at the beginning of the next."""
    tiles = official_layout(21, 9, 3)
    assert [(each.start, each.stop) for each in tiles] == [(0, 9), (6, 15), (12, 21)]
    weights = official_weights(tiles, 3, 1)
    assert weights[1].tolist() == [0, *[1] * 6, 0, 0]
    assert official_layout(9, 9, 3) == official_layout(9, 20, 3) == [range(9)]
