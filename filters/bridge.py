"""The entry points of the native plugin. They never raise: they answer (error, where, value)."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vs_vrt.errors import VrtError

from . import tables
from .description import describe_plan
from .frames import InputFrame, Planes
from .interpolate import plan_interpolate
from .restoration import Restoration
from .restore import plan_restore

PLANS = {"restore": plan_restore, "interpolate": plan_interpolate}

type Answer = tuple[str, str, Any]


def answer[**P](function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Answer:
    """`("", "", value)`, or the text for the user and the Python file and line that raised it."""
    try:
        return "", "", function(*args, **kwargs)
    except BaseException as error:  # nothing may cross into the plugin, an interrupt neither
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).parent.name}/{Path(where.filename).name}:{where.lineno}"
        # The frames of a traceback would keep views of frame memory alive.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, VrtError):
            return f"vrt: {error}", place, None
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"vrt: internal error ({what}); `report it with the line above`", place, None


def query(function: str, plugin: str) -> Answer:
    """Rows of (key, type, values) that become the map a `core.vrt` function returns; `plugin` is its version."""
    return answer(tables.FUNCTIONS[function], plugin)


def plan(function: str, arguments: dict[str, list[Any]]) -> Answer:
    """A list of `Restoration`s, one after the other, decided from arguments and clip facts alone."""
    return answer(PLANS[function], arguments)


def describe(arguments: dict[str, list[Any]]) -> Answer:
    """Rows of (key, type, values): what a call would take."""
    return answer(describe_plan, arguments)


def restore_window(
    restoration: Restoration, node: int, begin: int, first: int, inputs: list[InputFrame], outputs: list[Planes]
) -> Answer:
    """Fills `outputs` with restored frames; rows of properties for each, and lines for the log."""
    return answer(restoration.restore_window, node, begin, first, inputs, outputs)
