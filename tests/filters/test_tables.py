"""`core.vrt.Tasks()` and `core.vrt.Version()`, and how the functions look from outside."""

import platform
from importlib.metadata import version

import pytest
import torch
from vapoursynth import core

from vs_vrt import cpu
from vs_vrt.tasks import TASKS


def test_tasks_are_parallel_arrays_with_a_row_for_each_network() -> None:
    tasks = core.vrt.Tasks()
    assert set(tasks) == {"task", "model", "scale", "license", "suits", "present"}
    assert {len(values) for values in tasks.values()} == {len(TASKS)}
    rows = list(zip(*(tasks[key] for key in ("task", "model", "scale", "license", "suits")), strict=True))
    assert rows == [(row.task, row.model, row.scale, row.license, row.suits) for row in TASKS]


def test_a_network_is_present_where_its_checkpoint_is_bundled() -> None:
    assert core.vrt.Tasks()["present"] == [int(row.bundled) for row in TASKS]


def test_version_names_the_parts() -> None:
    answer = core.vrt.Version()
    assert set(answer) == {"name", "value"}
    parts = dict(zip(answer["name"], answer["value"], strict=True))
    assert parts == {
        "plugin": version("vs-vrt"),
        "engine": version("vs-vrt"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "device": "cuda:0" if torch.cuda.is_available() else "cpu",
        "kernels": "native",
    }


def test_version_says_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernels() -> str:
        answer = core.vrt.Version()
        return str(dict(zip(answer["name"], answer["value"], strict=True))["kernels"])

    with monkeypatch.context() as context:
        context.setattr(cpu, "library", lambda: None)
        assert kernels() == "torch"
    monkeypatch.setenv("VS_VRT_KERNELS", "off")
    assert kernels() == "torch"


def test_the_plugin_has_the_version_of_the_package() -> None:
    plugin = next(plugin for plugin in core.plugins() if plugin.namespace == "vrt")
    assert (plugin.version.major, plugin.version.minor) == tuple(map(int, version("vs-vrt").split(".")[:2]))


NETWORK = (
    "model:data:opt;weights:data[]:opt;device:data[]:opt;device_index:int[]:opt;num_streams:int:opt;precision:data:opt;"
    "length:int:opt;overlap:int:opt;tile:int[]:opt;tile_overlap:int[]:opt;blend:data:opt;vram_limit:float:opt;"
    "ram_limit:float:opt;preview:int:opt;sc_threshold:float:opt;matrix:data:opt;"
)
RESTORE = f"clip:vnode;task:data:opt;{NETWORK}sigma:float:opt;sigma_clip:vnode:opt;"


def test_the_functions_and_their_arguments() -> None:
    functions = {function.name: function.signature for function in core.vrt.functions()}
    assert functions == {
        "Restore": RESTORE,
        "Interpolate": f"clip:vnode;factor:int:opt;{NETWORK}",
        "Plan": f"{RESTORE}factor:int:opt;probe:int:opt;",
        "Tasks": "",
        "Version": "",
    }
