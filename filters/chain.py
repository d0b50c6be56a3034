"""A file's clip through several calls of `core.vrt`, for those who write no script."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import vapoursynth as vs

from vs_vrt.errors import ClipError
from vs_vrt.video.pixels import Layout
from vs_vrt.video.reader import Reader

from .plan import INTERPOLATION
from .restore import SPACE_TIME
from .source import format_of, source


@dataclass(frozen=True)
class Call:
    """Of a function of `core.vrt`."""

    task: str
    arguments: Mapping[str, Any]

    @property
    def factor(self) -> int:
        """Frames that each frame becomes."""
        if self.task == SPACE_TIME:
            return 2
        return int(self.arguments.get("factor", 2)) if self.task == INTERPOLATION else 1

    def __str__(self) -> str:
        """As on the command line."""
        given = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.task}:{given}" if given else self.task


def chain(reader: Reader, calls: Sequence[Call]) -> tuple[vs.VideoNode, list[dict[str, list[Any]]]]:
    """The restored clip, and the plan of each call, an element a network. Raises `vapoursynth.Error`."""
    core, plans = vs.core, list[dict[str, list[Any]]]()
    node = source(core, reader)
    for call in calls:
        plan = core.vrt.Plan(node, task=call.task, **call.arguments)
        plans.append({key: value if isinstance(value, list) else [value] for key, value in plan.items()})
        if call.task == INTERPOLATION:
            node = core.vrt.Interpolate(node, **call.arguments)
        else:
            node = core.vrt.Restore(node, task=call.task, **call.arguments)
    reader.keep(sum(max(plan["length"]) + 2 * max(plan["overlap"]) for plan in plans))
    return node, plans


def converted(node: vs.VideoNode, layout: Layout, matrix: int) -> vs.VideoNode:
    """In another format; RGB becomes YUV of that matrix."""
    format = format_of(vs.core, layout)
    if node.format.id == format:
        return node
    matrices = {"matrix": matrix} if node.format.color_family == vs.RGB else {}
    return node.resize.Bicubic(format=format, dither_type="error_diffusion", **matrices)


@contextmanager
def told() -> Iterator[None]:
    """Turns what VapourSynth raises into `ClipError`, with our own words where they are ours."""
    try:
        yield
    except vs.Error as error:
        text = str(error)
        ours = text.rpartition("vrt: ")[2]
        raise ClipError(ours if "vrt: " in text else f"{text}; `vs-vrt restore --help`") from error
