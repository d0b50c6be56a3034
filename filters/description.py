"""`core.vrt.Plan`: what a call would take, without making it."""

import time
from typing import Any

from vs_vrt.errors import ArgumentError

from .arguments import Arguments
from .interpolate import plan_interpolate
from .plan import INTERPOLATION
from .restoration import Restoration, Rows
from .restore import plan_restore

PROBED_FRAMES = 3  # enough for a network to meet its neighbours


def describe_plan(values: dict[str, list[Any]]) -> Rows:
    """One element for each network of the call, in order.

    Keys: `model`; `arguments`, which reproduce the plan; `length`, `overlap`; `tile` and `tile_overlap` (a width and a
    height each, 0 and 0: the whole frame); `temporal` and `spatial`, multiply-adds against one pass over whole frames;
    `device_bytes` and `host_bytes` at the most; `requests`, frames to ask for at once; `summary`. With `probe=1` also
    `fps`, of a short trial on noise. Raises `VrtError`.
    """
    arguments = Arguments(values)
    is_interpolation = arguments.one("task") == INTERPOLATION
    probe = arguments.flag("probe")
    if arguments.given("factor") and not is_interpolation:
        raise ArgumentError('factor is for interpolation; `core.vrt.Plan(clip, task="vfi", factor=2)`')
    rest = {name: given for name, given in values.items() if name not in ("probe", "task" if is_interpolation else "")}
    restorations = plan_interpolate(rest) if is_interpolation else plan_restore(rest)
    plans = [restoration.workers.plan() for restoration in restorations]
    rows: Rows = [
        ("model", "s", [each.row.model for each in restorations]),
        ("arguments", "s", [plan.arguments() for plan in plans]),
        ("length", "i", [plan.windows.length for plan in plans]),
        ("overlap", "i", [plan.windows.overlap for plan in plans]),
        ("tile", "i", [side for plan in plans for side in (plan.tile if plan.tiles else (0, 0))]),
        ("tile_overlap", "i", [side for plan in plans for side in plan.tile_overlap]),
        ("temporal", "f", [plan.temporal for plan in plans]),
        ("spatial", "f", [plan.spatial for plan in plans]),
        ("device_bytes", "i", [plan.device_bytes for plan in plans]),
        ("host_bytes", "i", [plan.host_bytes for plan in plans]),
        ("requests", "i", [plan.requests for plan in plans]),
        ("summary", "s", [plan.summary() for plan in plans]),
    ]
    if probe:
        rows.append(("fps", "f", [frames_per_second(each) for each in restorations]))
    return rows


def frames_per_second(restoration: Restoration) -> float:
    """Of the clip, by one device: a short window of noise at the clip's size, and what the plan adds to it."""
    import torch

    plan, row = restoration.workers.plan(), restoration.row
    channels = 3 if row.sigma is None else 4
    count = max(PROBED_FRAMES, row.num_frames)
    video = torch.rand(count, channels, restoration.clip.height, restoration.clip.width)
    cuts = [False] * (count - 1)

    def trial(restorer: Any, tiles: Any) -> float:
        start = time.perf_counter()
        if restoration.factor > 1:
            made = restorer.interpolate(video, cuts, range(1, 2), restoration.factor, tiles)
        else:
            made = restorer.restore(video, cuts, range(count), tiles)
        for _ in made:
            pass
        return time.perf_counter() - start

    restoration.workers.run(0, trial)  # the first call of a network pays for more than itself
    seconds = restoration.workers.run(0, trial)
    frames = 1 if restoration.factor > 1 else count / plan.temporal
    return frames / seconds
