"""The part of one network in a call of `core.vrt.*`, and the restoration of its windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_vrt.task import TaskRow

from .clip import ClipFacts, working_format
from .frames import FrameMemory, InputFrame, Planes, frame_memory, read_video, scale_alpha, write_frame
from .noise import Noise
from .scene_properties import find_cuts

if TYPE_CHECKING:
    from torch import Tensor

    from vs_vrt.restorer import Restorer

type Rows = list[tuple[str, str, list[Any]]]  # key, "i" or "s", values


@dataclass(kw_only=True)
class Restoration:
    """What one network is to do. The native plugin reads the plain attributes, then asks for windows."""

    row: TaskRow
    checkpoint: Path
    clip: ClipFacts
    factor: int = 1  # frames that each frame becomes: above 1 it stays as it is, and factor - 1 are made to follow it
    device: str | None
    precision: str | None
    threshold: float | None
    matrix: int  # of the argument, -1 where it was not given
    noise: Noise | None = None
    restorer: "Restorer | None" = None  # loaded at the first frame

    def __post_init__(self) -> None:
        self.width = self.clip.width * self.row.scale
        self.height = self.clip.height * self.row.scale
        self.made = max(self.factor - 1, 1)
        self.length, self.overlap = self.row.length, self.row.overlap
        self.format = working_format(self.clip)
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
        self, window: int, first: int, inputs: list[InputFrame], outputs: list[Planes]
    ) -> tuple[Rows, list[int]]:
        """Makes the frames of one window; `inputs` starts at frame `first` of the clip. Raises `VrtError`.

        Answers their properties, and for each made by interpolation whether it repeats the last frame of a scene.
        """
        from vs_vrt import engine

        start = window * self.length
        count = len(outputs) // self.made
        keep = range(start - first, start - first + count)
        restorer = self.restorer = self.restorer or self.load()
        with engine.memory_errors(restorer.device, self.smaller()), frame_memory() as memory:
            video = read_video(memory, inputs, self.noise)
            cuts = engine.run(restorer.device, self.fill, restorer, memory, video, inputs, keep, outputs)
        # A video ends where its clip does: a window reads at least the next frame.
        ends = [int(n == len(cuts) or cuts[n]) for n in keep for _ in range(self.factor - 1)]
        properties: Rows = [
            ("VrtTask", "s", [self.row.task]),
            ("VrtModel", "s", [self.row.model]),
            ("VrtPrecision", "s", [restorer.precision]),
            ("VrtWindow", "i", [start * self.factor, (start + count) * self.factor - 1]),
        ]
        return properties, ends

    def load(self) -> "Restorer":
        """The network on its device. Raises `VrtError`."""
        from vs_vrt import checkpoint, engine
        from vs_vrt.restorer import choose_precision, load_restorer

        device = engine.resolve(self.device)
        # Not on the device's thread: a download takes minutes.
        path = checkpoint.obtain(self.row, self.checkpoint)
        precision = choose_precision(self.precision, self.row, device)
        with engine.memory_errors(device, self.smaller()):
            return engine.run(device, load_restorer, self.row, path, device, precision)

    def fill(
        self,
        restorer: "Restorer",
        memory: FrameMemory,
        video: "Tensor",
        inputs: list[InputFrame],
        keep: range,
        outputs: list[Planes],
    ) -> list[bool]:
        """`(t c h w) -> (t - 1)`: makes `outputs` from the frames `keep`, tells the cuts; on the device's thread."""
        cuts = find_cuts(video[:, :3], inputs, self.threshold)
        made = self.frames(restorer, video, cuts, keep)
        for i, (planes, frame) in enumerate(zip(outputs, made, strict=True)):
            write_frame(memory, frame, planes)
            source = inputs[keep.start + i // self.made][0]
            for small, large in zip(source[3:], planes[3:], strict=True):
                scale_alpha(memory, small, large)
        return cuts

    def frames(self, restorer: "Restorer", video: "Tensor", cuts: Sequence[bool], keep: range) -> "Iterator[Tensor]":
        """`(t c h w), (t - 1), (t') -> t' x (3 H W)`, or with a factor `t' x (factor - 1) x (3 h w)`: those to make."""
        if self.factor == 1:
            return restorer.restore(video, cuts, keep)
        frames = restorer.interpolate(video, cuts, keep, self.factor)
        return (frame for n, frame in enumerate(frames) if n % self.factor)

    def smaller(self) -> str:
        """What to lower when memory runs out."""
        if self.length > 1:
            return f"length={self.length // 2}"
        # An interpolation needs its overlap.
        if self.overlap and self.factor == 1:
            return f"overlap={self.overlap // 2}"
        return "clip.std.CropAbs(width=640, height=360)"
