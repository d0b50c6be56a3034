"""The plan is a fixed function of task, clip, arguments and total memory, and keeps to its bounds."""

import ast
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from tests.support import ROOT
from vs_vrt import cost, memory
from vs_vrt.cost import Request, Windows, network_bytes
from vs_vrt.memory import GIB, Plan, plan_windows, smaller
from vs_vrt.models import blocks
from vs_vrt.restorer import build
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS
from vs_vrt.tiling import Tiles, layouts

NETWORKS = {row.keys: row for row in reversed(TASKS)}.values()
each_row = pytest.mark.parametrize("row", TASKS, ids=lambda row: f"{row.task}-{row.model}")
each_network = pytest.mark.parametrize("row", NETWORKS, ids=lambda row: row.model)
SIZES = ((1, 1), (64, 64), (257, 900), (640, 480), (1920, 1080), (3840, 2160), (7680, 4320))
MACHINES = (("cuda", 16, 8), ("cuda", 64, 24), ("cuda", 256, 80), ("cpu", 4, 4))
RECORDS = json.loads((ROOT / "benchmarks" / "results" / "memory-cpu.json").read_text())
HEAP = 16 << 20  # bytes that a process may keep for small tensors, which no network of a real size is measured by
COMPACT = TASKS[0]
ROWS = {row.model: row for row in TASKS}


def planned(
    row: TaskRow, width: int, height: int, machine: tuple[str, float, float] = ("cuda", 16, 8), **asked: Any
) -> Plan:
    """For a machine of so many GiB of RAM and of memory on its device."""
    device, ram, total = machine
    request = Request(width=width, height=height, **asked)
    return memory.plan(
        row,
        request,
        plan_windows(row, request, int(ram * GIB)),
        device=device,
        device_total=int(total * GIB),
        ram_total=int(ram * GIB),
        precision="fp32",
    )


def cells(plan: Plan) -> tuple[list[range], list[range]]:
    return layouts(plan.tiles, plan.request.height, plan.request.width, plan.row)


def area(plan: Plan) -> int:
    rows, columns = cells(plan)
    return max(map(len, columns)) * max(map(len, rows))


def are_limits(plans: list[Plan]) -> bool:
    """Whether none makes anything longer or larger than the one before."""
    return all(area(a) >= area(b) and a.windows.length >= b.windows.length for a, b in pairwise(plans))


@each_row
@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_every_clip_has_a_plan_within_bounds(row: TaskRow, machine: tuple[str, float, float]) -> None:
    for size in SIZES:
        plan = planned(row, *size, machine)
        assert plan.windows.overlap == row.overlap
        if plan.windows.length == row.length:
            assert plan.temporal <= (1.6 if row.model in ("mana", "mana-compact", "deblur-compact") else 1.35)
        if plan.tiles and min(plan.tiles.width, plan.tiles.height) >= 256:
            assert plan.spatial <= 1.25
        # What does not fit is the smallest of all.
        assert plan.device_bytes <= plan.device_budget or smaller(plan) is None
        shortest = plan_windows(row, plan.request, 0)
        assert plan.host_bytes <= plan.host_budget or plan.windows == shortest
        assert ("run out" in plan.summary()) == (
            plan.device_bytes > plan.device_budget or plan.host_bytes > plan.host_budget
        )


@each_network
def test_a_machine_with_room_takes_whole_frames_and_the_row_s_windows(row: TaskRow) -> None:
    plan = planned(row, 64, 64, ("cuda", 64, 48))
    assert (plan.tiles, plan.windows, plan.spatial) == (None, Windows(row.length, row.overlap), 1.0)


@each_network
def test_lower_limits_never_raise_a_rung(row: TaskRow) -> None:
    limits = (64.0, 16.0, 8.0, 6.0, 4.0, 3.0, 2.0, 1.0, 0.1)
    machine = ("cuda", 64, 24)
    free = planned(row, 1920, 1080, machine)
    tiles = [free, *(planned(row, 1920, 1080, machine, vram_limit=limit) for limit in limits)]
    assert are_limits(tiles)
    assert {plan.windows for plan in tiles} == {free.windows}
    assert tiles[1].tiles == free.tiles  # a limit above what there is
    for machine in (("cuda", 64, 8), ("cuda", 64, 24), ("cpu", 64, 64), ("cpu", 16, 16)):
        for size in ((640, 480), (1920, 1080), (3840, 2160)):
            assert are_limits([planned(row, *size, machine, ram_limit=limit) for limit in (None, *limits)])


def test_windows_that_a_limit_makes_shorter_leave_tiles_as_they_are() -> None:
    row, machine = ROWS["basicvsrpp"], ("cuda", 64, 8)
    free, limited = planned(row, 1920, 1080, machine), planned(row, 1920, 1080, machine, ram_limit=8)
    assert limited.windows.length < free.windows.length
    assert limited.tiles == free.tiles
    given = planned(
        row, 1920, 1080, machine, length=limited.windows.length
    )  # what would fit, were it not for the limit
    assert area(given) > area(free)


@each_network
@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_how_many_windows_are_made_side_by_side_changes_no_byte(
    row: TaskRow, machine: tuple[str, float, float]
) -> None:
    for size in SIZES:
        one = planned(row, *size, machine)
        for nodes in ({"streams": 2}, {"streams": 4}, {"devices": 2}, {"devices": 3, "streams": 3}):
            more = planned(row, *size, machine, **nodes)
            assert (more.windows, more.tiles) == (one.windows, one.tiles)
            assert more.host_bytes > one.host_bytes
            assert (more.device_bytes > one.device_bytes) == ("streams" in nodes)
            assert ("run out" in more.summary()) == (
                more.device_bytes > more.device_budget or more.host_bytes > more.host_budget
            )


@each_network
@pytest.mark.parametrize("size", [(1, 1), (333, 251), (1920, 1080), (7680, 4320)], ids=str)
def test_the_arguments_reproduce_the_plan(row: TaskRow, size: tuple[int, int]) -> None:
    sides = (16, 17, 40, 64, 88, 100, 128, 200, 256, 280, 300, 511, 640, 1000)
    given = [{"tile": (side, side)} for side in sides] + [{"tile": (300, side)} for side in sides]
    given += [{"tile": (side, side), "tile_overlap": (shared, 0)} for side in sides for shared in (0, 5, 24, 64, 900)]
    for arguments in ({}, {"vram_limit": 2.0}, {"vram_limit": 0.5}, *given):
        plan = planned(row, *size, **arguments)
        again = planned(row, *size, ("cpu", 256, 256), **asked(plan))
        assert (again.windows, cells(again)) == (plan.windows, cells(plan))
        assert again.arguments() == plan.arguments()
        assert again.tile == plan.tile


def asked(plan: Plan) -> dict[str, Any]:
    """What `arguments` of the plan say."""
    values: dict[str, Any] = eval(f"dict({plan.arguments()})")
    if values["tile"] == 0:
        values["tile"] = [0, 0]
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@each_network
def test_the_tile_is_the_one_that_is_computed(row: TaskRow) -> None:
    for side in (16, 64, 88, 128, 256, 300):
        plan = planned(row, 1920, 1080, tile=(side, side), tile_overlap=(24, 24))
        rows, columns = cells(plan)
        assert plan.tile == (max(map(len, columns)), max(map(len, rows)))
        assert plan.tile_overlap == (columns[0].stop - columns[1].start, rows[0].stop - rows[1].start)
    assert planned(row, 1920, 1080, tile=(0, 0)).tile == (1920, 1080)
    official = planned(row, 1920, 1080, tile=(256, 192), tile_overlap=(20, 20), official=True)
    assert official.tiles is not None
    assert (official.tile, official.tiles.official) == ((256, 192), True)


def test_what_was_asked_for_and_is_not_used_is_not_named() -> None:
    plan = planned(ROWS["vrt-reds-6"], 1920, 1080, tile=(128, 128), tile_overlap=(24, 24))
    assert plan.tile == (88, 88)
    assert "tile=[88, 88], tile_overlap=[24, 24]" in plan.arguments()


@each_network
def test_what_was_asked_for_is_kept(row: TaskRow) -> None:
    plan = planned(row, 7680, 4320, length=25, overlap=7, tile=(640, 448), tile_overlap=(32, 64))
    assert (plan.windows, plan.tiles) == (Windows(25, 7), Tiles(448, 640, 64, 32))
    assert planned(row, 7680, 4320, tile=(0, 0)).tiles is None
    assert planned(row, 100, 80, tile=(100, 80)).tiles is None


@each_network
def test_a_tile_that_was_asked_for_has_an_overlap(row: TaskRow) -> None:
    for side in (48, 64, 88, 128, 256, 300, 512):
        tiles = planned(row, 1920, 1080, tile=(side, side)).tiles
        assert tiles is not None
        assert memory.TILE_OVERLAP <= tiles.overlap_w <= side // 2
        if side >= row.align + memory.TILE_OVERLAP:
            assert (side - tiles.overlap_w) % row.align == 0
        rows, columns = layouts(tiles, 1080, 1920, row)
        assert all(a.stop - b.start >= memory.TILE_OVERLAP for axis in (rows, columns) for a, b in pairwise(axis))


@each_network
@pytest.mark.parametrize("asked", [{}, {"tile": (700, 300)}, {"tile": (0, 0), "tile_overlap": (16, 48)}], ids=str)
def test_smaller_tiles_come_to_an_end(row: TaskRow, asked: dict[str, Any]) -> None:
    plan: Plan | None = planned(row, 1920, 1080, **asked)
    chain = []
    while plan is not None:
        chain.append(plan)
        plan = smaller(plan)
    assert all(area(a) > area(b) for a, b in pairwise(chain))
    assert all(a.windows == b.windows for a, b in pairwise(chain))
    assert area(chain[-1]) <= 128 * 128
    assert area(chain[-1]) < area(chain[0])


def test_machines_are_what_they_are_sold_as() -> None:
    sold = {3.75: 4, 4: 4, 5.9: 6, 7.6: 8, 15.5: 16, 23.4: 24, 31.2: 32, 79.2: 80, 139.8: 128, 1000: 256, 0.5: 2}
    assert {size: memory.memory_class(int(size * GIB)) for size in sold} == sold


def test_a_few_megabytes_more_or_less_change_nothing() -> None:
    less, sold, more = (
        planned(COMPACT, 1920, 1080, ("cuda", ram, gpu)) for ram, gpu in ((15.2, 7.7), (16, 8), (17, 8.4))
    )
    assert less == sold == more


def test_the_shares_of_a_machine_leave_room() -> None:
    assert memory.HOST_SHARE + memory.CPU_SHARE <= 0.75
    assert memory.GPU_SHARE <= 0.8


@pytest.mark.parametrize("module", ["memory", "cost"])
def test_nothing_is_asked_of_the_machine(module: str) -> None:
    tree = ast.parse((ROOT / "vs_vrt" / f"{module}.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules <= {"math", "collections.abc", "dataclasses", "vs_vrt.task", "vs_vrt.tiling", "vs_vrt.cost"}


@each_network
def test_blended_windows_have_frames_of_their_own(row: TaskRow) -> None:
    lengths: tuple[int | None, ...] = (None, 5, 6, 8, 12, 16, 40)
    for ram in (2, 16, 256):
        for length in lengths:
            windows = planned(row, 1920, 1080, ("cuda", ram, 8), length=length).windows
            if row.sharing == "blended":
                assert windows.length > 2 * windows.overlap
                assert windows.length >= row.num_frames + windows.overlap
            if row.sharing == "segments" or length is None:
                assert windows.overlap == row.overlap


def test_frames_that_a_window_reads_are_those_of_the_grid() -> None:
    row = ROWS["iconvsr"]
    for windows in (Windows(30, 5), Windows(20, 2), Windows(7, 3), Windows(10, 0)):
        read = []
        for begin in range(10 * windows.length, 30 * windows.length, windows.length):
            first = (begin - windows.overlap) // row.stride * row.stride
            read.append(begin + windows.length + windows.overlap - first)
        assert cost.frames_read(row, windows) == max(read)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_interpolation_makes_a_few_frames_of_its_neighbours(factor: int) -> None:
    length = 10
    made: set[int] = set()

    def make(position: int) -> None:
        if position % factor and position not in made:
            made.add(position)
            step = position & -position
            for around in (-3, -1, 1, 3):
                make(position + around * step)

    for position in range(length * factor):
        make(position)
    found = cost.temporal(ROWS["vrt-vfi"], Windows(length, 3), factor - 1)
    assert found == pytest.approx(len(made) / (length * (factor - 1)))


def test_windows_take_what_lies_in_them() -> None:
    request = Request(width=100, height=10, devices=2, streams=3)
    finished, read = 30 * 16 * 1000, 36 * 1000
    node = 3 * finished * 6 + read * (12 + 12)
    assert cost.host_bytes(COMPACT, request, Windows(30, 3), is_tiled=False) == 6 * node + read * 12
    assert cost.host_bytes(COMPACT, request, Windows(30, 3)) == 6 * (node + finished * 12) + read * 12


def test_streams_share_the_weights_and_half_precision_takes_less() -> None:
    row = ROWS["vrt-reds-6"]
    one, two = (network_bytes(row, 12, 128, 128, "fp32", streams) for streams in (1, 2))
    assert two == pytest.approx(2 * one - row.memory.weights, abs=2)
    half = network_bytes(row, 12, 512, 512, "fp16")
    assert 0.5 < half / network_bytes(row, 12, 512, 512, "fp32") < 0.8


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: "{model}-{frames}x{height}x{width}-{how}".format(**r))
def test_the_facts_foretell_what_was_found(record: dict[str, Any]) -> None:
    row = ROWS[record["model"]]
    size = record["frames"], record["height"], record["width"]
    foretold = network_bytes(row, *size, "fp32") - row.memory.weights
    slack = HEAP if record["how"] == "measured" else 0
    assert foretold == pytest.approx(record["bytes"], rel=0.15, abs=slack)


@each_network
def test_the_facts_were_checked_at_sizes_they_do_not_come_from(row: TaskRow) -> None:
    assert any(record["model"] == row.model and not record["fit"] for record in RECORDS)


@each_network
def test_weights_are_what_the_network_holds(row: TaskRow) -> None:
    with torch.device("meta"):
        network = build(row)
    tensors = (*network.parameters(), *network.buffers())
    assert row.memory.weights == sum(each.numel() * each.element_size() for each in tensors)


def test_bands_are_those_of_the_networks() -> None:
    assert (cost.BAND_ROWS, cost.HALO) == (blocks.BAND_ROWS, blocks.HALO)
    x = torch.zeros(1, 1, 300, 1)
    seen: list[int] = []

    def tail(rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows.shape[2])
        return rows.new_zeros(1, 3, 4 * rows.shape[2], 4)

    blocks.in_bands(tail, x, channels=1 << 20)
    assert cost.terms(1, 300, 1)[3] == max(seen)


def test_a_plan_is_a_value() -> None:
    plan = planned(COMPACT, 640, 480)
    assert plan == planned(COMPACT, 640, 480)
    assert replace(plan, precision="fp16") != plan
