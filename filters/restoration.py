"""The part of one network in a call of `core.vrt.*`: what is to be done, as the native plugin reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vs_vrt.cost import Request, Windows
from vs_vrt.memory import largest
from vs_vrt.task import TaskRow
from vs_vrt.windows import stubs

from .clip import ClipFacts, carrier_format, working_format
from .frames import InputFrame, Planes, frame_memory, read_video
from .noise import Noise
from .window import Filled, Window
from .workers import Workers

type Rows = list[tuple[str, str, list[Any]]]  # key, "i", "f" or "s", values

FALLBACKS = {
    "fp32": "vrt: half precision made samples that are no numbers; such windows are computed again (VrtFallback)",
    "zero": "vrt: the network made samples that are no numbers; they are 0 (VrtFallback)",
}

SHARING = {"segments": 0, "ramp": 1, "average": 2}  # Sharing in native/plugin/grid.h


@dataclass(kw_only=True)
class Restoration:
    """What one network is to do. The native plugin reads the plain attributes, then asks for windows."""

    row: TaskRow
    checkpoint: Path
    clip: ClipFacts
    windows: Windows
    request: Request
    factor: int = 1  # frames that each frame becomes: above 1 it stays as it is, and factor - 1 are made to follow it
    devices: Sequence[str | None] = (None,)
    precision: str | None
    threshold: float | None
    matrix: int  # of the argument, -1 where it was not given
    noise: Noise | None = None

    def __post_init__(self) -> None:
        self.width = self.clip.width * self.row.scale
        self.height = self.clip.height * self.row.scale
        self.made = self.request.made
        self.num_frames = self.clip.num_frames
        self.length, self.overlap = self.windows.length, self.windows.overlap
        joined = "average" if self.request.official else "ramp"
        self.sharing = SHARING[joined if self.row.sharing == "blended" else "segments"]
        self.stride = self.row.stride
        self.format, self.carrier = working_format(self.clip), carrier_format(self.clip)
        # A preview is a frame of its own: no other is worth computing beside it.
        self.nodes = 1 if self.request.preview else len(self.devices) * self.request.streams
        self.workers = Workers(
            row=self.row,
            checkpoint=self.checkpoint,
            devices=self.devices,
            precision=self.precision,
            request=self.request,
            windows=self.windows,
            remedy=self.remedy(),
        )
        self.message = (
            f"vrt: {self.row.task} by {self.row.model} ({self.checkpoint.name}, {self.row.license}), "
            f"{self.clip.width}x{self.clip.height} to {self.width}x{self.height}, {self.extras()}"
            f"length={self.length}, overlap={self.overlap}"
        )

    def extras(self) -> str:
        """For the message, what not every network has."""
        factor = f"factor={self.factor}, " if self.factor > 1 else ""
        return factor + (f"{self.noise}, " if self.noise else "")

    def restore_window(
        self, node: int, begin: int, first: int, inputs: list[InputFrame], outputs: list[Planes]
    ) -> tuple[list[Rows], list[str]]:
        """Makes the frames of the window that restores from frame `begin` of the clip and reads from frame `first`.

        Answers the properties of each, and what the log should say. Raises `VrtError`.
        """
        from vs_vrt import engine

        count = len(outputs) // self.made
        keep = range(begin - first, begin - first + count)
        with frame_memory() as memory:
            with engine.memory_errors("cpu", self.remedy()):
                video, strange = read_video(memory, inputs, self.noise)
            window = Window(memory, video, inputs, keep, outputs, self.factor, self.threshold)
            filled = self.workers.run(node, window.fill)
        if filled.fallback:
            self.workers.note(FALLBACKS[filled.fallback])
        common = self.common_properties(filled, begin, begin + count)
        marks = self.marks(filled.cuts, keep, begin)
        properties = [
            common + marks[n] + ([("VrtNonFinite", "i", [strange[n]])] if strange[n] else [])
            for n in keep
            for _ in range(self.made)
        ]
        return properties, self.workers.take_notes()

    def remedy(self) -> str:
        """What to lower when memory has run out and the tiles are small already."""
        if self.length > 1:
            return f"length={self.length // 2}"
        # An interpolation needs its overlap, and a preview chooses its own.
        if self.overlap and self.factor == 1 and not self.request.preview:
            return f"overlap={self.overlap // 2}"
        return "clip.std.CropAbs(width=640, height=360)"

    def common_properties(self, filled: Filled, begin: int, end: int) -> Rows:
        """What all frames of a window say."""
        rows: Rows = [
            ("VrtTask", "s", [self.row.task]),
            ("VrtModel", "s", [self.row.model]),
            ("VrtPrecision", "s", [filled.precision]),
            ("VrtWindow", "i", [begin * self.factor, end * self.factor - 1]),
        ]
        if filled.tiles:
            height, width = largest(filled.tiles, self.request, self.row)
            rows.append(("VrtTile", "i", [width, height]))
        if filled.fallback:
            rows.append(("VrtFallback", "s", [filled.fallback]))
        if self.request.preview:
            rows.append(("VrtPreview", "i", [1]))
        return rows

    def marks(self, cuts: list[bool], keep: range, begin: int) -> dict[int, Rows]:
        """By frame, for our own nodes: it repeats the source's frame, or another window knows its scene better."""
        if self.factor > 1:  # a window reads at least the next frame, but for the clip's last one
            return {n: [("_vrt_repeat", "i", [1])] if n == len(cuts) or cuts[n] else [] for n in keep}
        if self.sharing != SHARING["ramp"]:
            return {n: [] for n in keep}
        stub = stubs(cuts, self.overlap, begin > 0, begin + len(keep) < self.clip.num_frames)
        return {n: [("_vrt_dropped", "i", [1])] if stub[n] else [] for n in keep}
