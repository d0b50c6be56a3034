"""`core.vrt.Tasks` and `core.vrt.Version`: answers as parallel arrays, one element a row."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from vs_vrt.tasks import TASKS

from .restoration import Rows
from .restore import is_here


def tasks(_: str) -> Rows:
    """Keys `task`, `model`, `scale`, `license`, `suits`, `present` (1: its checkpoint is here); a row a network."""
    return [
        ("task", "s", [row.task for row in TASKS]),
        ("model", "s", [row.model for row in TASKS]),
        ("scale", "i", [row.scale for row in TASKS]),
        ("license", "s", [row.license for row in TASKS]),
        ("suits", "s", [row.suits for row in TASKS]),
        ("present", "i", [int(is_here(row)) for row in TASKS]),
    ]


def versions(plugin: str) -> Rows:
    """Keys `name` and `value`: plugin, engine, python, torch, device and kernels in use."""
    from vs_vrt.engine import kernels, resolve

    device = resolve(None)
    facts = {
        "plugin": plugin,
        "engine": installed("vs-vrt"),
        "python": sys.version.split()[0],
        "torch": installed("torch"),
        "device": str(device),
        "kernels": kernels(device),
    }
    return [("name", "s", list(facts)), ("value", "s", list(facts.values()))]


def installed(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


FUNCTIONS: dict[str, Callable[[str], Rows]] = {"tasks": tasks, "version": versions}
