"""`core.vrt.Plan`: what a call would take, as arguments that mean the same again."""

from typing import Any

import pytest
import vapoursynth as vs
from vapoursynth import core

from vs_vrt.tasks import TASKS

FACTS = ("model", "length", "overlap", "tile", "tile_overlap", "temporal", "spatial", "device_bytes", "host_bytes")
VRT = {"model": "vrt-reds-6"}
OFFICIAL = VRT | {"blend": "official"}
CALLS: tuple[dict[str, Any], ...] = (
    {},
    {"tile": 300},
    {"tile": [100, 700], "tile_overlap": 30},
    {"vram_limit": 0.2, "ram_limit": 0.2, "num_streams": 2},
    {"length": 7},
    {"preview": True},
    {"preview": True, "tile": 300},
    VRT,
    VRT | {"tile": 64},
    VRT | {"tile": 128, "tile_overlap": 24},
    VRT | {"length": 3},
    VRT | {"preview": True},
    OFFICIAL,
    OFFICIAL | {"length": 0},
    OFFICIAL | {"length": 0, "overlap": 5, "tile": 0},
    OFFICIAL | {"length": 9, "overlap": 7, "tile": [100, 64], "tile_overlap": [20, 7]},
    OFFICIAL | {"tile": 2000},
    {"task": "vfi"},
    {"task": "vfi", "factor": 4, "length": 3},
    {"task": "vfi", "preview": True},
    {"task": "denoise", "tile": 500},
)


@pytest.fixture
def clip() -> vs.VideoNode:
    return core.std.BlankClip(format=vs.RGBS, width=640, height=360, length=50)


def facts(plan: dict[str, Any]) -> dict[str, Any]:
    return {name: plan[name] for name in FACTS}


@pytest.fixture(autouse=True)
def _any_file_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A plan reads no checkpoint, but says where one is missing."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for row in TASKS:
        (folder / row.checkpoint).touch()
    monkeypatch.setenv("VS_VRT_HOME", str(folder))


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_the_arguments_of_a_plan_give_the_same_plan(call: dict[str, Any], clip: vs.VideoNode) -> None:
    plan = core.vrt.Plan(clip, **call)
    said = eval(f"dict({plan['arguments']})")
    context = {name: call[name] for name in ("task", "model", "factor", "num_streams") if name in call}
    again = core.vrt.Plan(clip, **context, **said)
    assert facts(again) == facts(plan)
    assert again["arguments"] == plan["arguments"]


def test_the_arguments_of_both_networks_of_a_space_time_call_mean_the_same_alone(clip: vs.VideoNode) -> None:
    both = core.vrt.Plan(clip, task="st4")
    larger = core.std.BlankClip(clip, width=4 * clip.width, height=4 * clip.height)
    for n, (source, task) in enumerate(((clip, "sr4"), (larger, "vfi"))):
        said = eval(f"dict({both['arguments'][n]})")
        alone = core.vrt.Plan(source, task=task, model=both["model"][n], **said)
        assert [alone[name] for name in ("length", "overlap", "arguments")] == [
            both[name][n] for name in ("length", "overlap", "arguments")
        ]
        assert alone["tile"] == both["tile"][2 * n : 2 * n + 2]


def test_what_is_special_about_a_call_is_said(clip: vs.VideoNode) -> None:
    assert core.vrt.Plan(clip, preview=True, tile=0)["arguments"] == "preview=True, tile=0"
    whole = core.vrt.Plan(clip, **OFFICIAL, length=0, tile=0)
    assert whole["arguments"] == 'blend="official", length=0, overlap=2, tile=0'
    assert whole["length"] == clip.num_frames
    patches = core.vrt.Plan(clip, **OFFICIAL)
    assert patches["arguments"] == 'blend="official", length=40, overlap=2, tile=[128, 128], tile_overlap=[20, 20]'
    assert patches["tile"] == [128, 128]


def test_a_device_that_is_named_twice_counts_twice(clip: vs.VideoNode) -> None:
    twice, streams = (dict(core.vrt.Plan(clip, **each)) for each in ({"device": ["cpu", "cpu"]}, {"num_streams": 2}))
    assert twice == streams
    assert twice["device_bytes"] > core.vrt.Plan(clip)["device_bytes"]


def test_two_networks_share_what_memory_there_is(clip: vs.VideoNode) -> None:
    both = core.vrt.Plan(clip, task="st4", ram_limit=6.0)
    assert sum(both["host_bytes"]) <= 3 << 30  # half of the limit is for windows


def test_a_factor_without_an_interpolation_is_refused(clip: vs.VideoNode) -> None:
    with pytest.raises(vs.Error, match=r"^vrt: factor is for interpolation; `core\.vrt\.Plan\(clip, task="):
        core.vrt.Plan(clip, factor=4)
