"""`core.vrt.Interpolate`: what a call means."""

from typing import Any

from vs_vrt.errors import ArgumentError

from .arguments import Arguments
from .clip import ClipFacts, check_clip
from .plan import INTERPOLATION, plan_network
from .restoration import Restoration
from .restore import choose_row

FACTORS = (2, 4, 8)  # networks make the frame halfway between two, and then those halfway to it


def plan_interpolate(values: dict[str, list[Any]]) -> list[Restoration]:
    """Checks a call and decides its plan, from arguments and clip facts alone. Raises `VrtError`."""
    arguments = Arguments(values).replaced(task=[INTERPOLATION])
    clip = ClipFacts(*arguments.one("clip"))
    check_clip(clip)
    factor = arguments.one("factor") if arguments.given("factor") else 2
    if factor not in FACTORS:
        raise ArgumentError(f"factor {factor} is no power of two up to 8; `factor=2`, `factor=4` or `factor=8`")
    arguments.check_weights(1)
    return [plan_network(arguments, clip, choose_row(arguments), factor)]
