"""One call of `core.vrt.Restore`, and the restoration of its windows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_vrt.task import TaskRow

from .clip import ClipFacts, working_format
from .frames import FrameMemory, InputFrame, Planes, frame_memory, read_video, scale_alpha, write_frame
from .scene_properties import find_cuts

if TYPE_CHECKING:
    from torch import Tensor

    from vs_vrt.restorer import Restorer

type Rows = list[tuple[str, str, list[Any]]]  # key, "i" or "s", values


@dataclass(kw_only=True)
class Restoration:
    """One call of Restore. The native plugin reads the plain attributes, then asks for windows."""

    row: TaskRow
    checkpoint: Path
    clip: ClipFacts
    device: str | None
    precision: str | None
    threshold: float | None
    matrix: int  # of the argument, -1 where it was not given
    restorer: "Restorer | None" = None  # loaded at the first frame

    def __post_init__(self) -> None:
        self.width = self.clip.width * self.row.scale
        self.height = self.clip.height * self.row.scale
        self.length, self.overlap = self.row.length, self.row.overlap
        self.format = working_format(self.clip)
        self.message = (
            f"vrt: {self.row.task} by {self.row.model} ({self.checkpoint.name}, {self.row.license}), "
            f"{self.clip.width}x{self.clip.height} to {self.width}x{self.height}, "
            f"length={self.length}, overlap={self.overlap}"
        )

    def restore_window(self, window: int, first: int, inputs: list[InputFrame], outputs: list[Planes]) -> Rows:
        """Restores the frames of one window; `inputs` starts at frame `first` of the clip. Raises `VrtError`."""
        from vs_vrt import engine

        start = window * self.length
        keep = range(start - first, start - first + len(outputs))
        restorer = self.restorer = self.restorer or self.load()
        with engine.memory_errors(restorer.device, self.smaller()), frame_memory() as memory:
            video = read_video(memory, inputs)
            engine.run(restorer.device, self.fill, restorer, memory, video, inputs, keep, outputs)
        return [
            ("VrtTask", "s", [self.row.task]),
            ("VrtModel", "s", [self.row.model]),
            ("VrtPrecision", "s", [restorer.precision]),
            ("VrtWindow", "i", [start, start + len(outputs) - 1]),
        ]

    def load(self) -> "Restorer":
        """The network on its device. Raises `VrtError`."""
        from vs_vrt import engine
        from vs_vrt.restorer import choose_precision, load_restorer

        device = engine.resolve(self.device)
        precision = choose_precision(self.precision, self.row, device)
        with engine.memory_errors(device, self.smaller()):
            return engine.run(device, load_restorer, self.row, self.checkpoint, device, precision)

    def fill(
        self,
        restorer: "Restorer",
        memory: FrameMemory,
        video: "Tensor",
        inputs: list[InputFrame],
        keep: range,
        outputs: list[Planes],
    ) -> None:
        """`(t 3 h w)`: restores the frames `keep` into `outputs`; runs on the device's thread."""
        cuts = find_cuts(video, inputs, self.threshold)
        for n, planes, frame in zip(keep, outputs, restorer.restore(video, cuts, keep), strict=True):
            write_frame(memory, frame, planes)
            for source, target in zip(inputs[n][0][3:], planes[3:], strict=True):
                scale_alpha(memory, source, target)

    def smaller(self) -> str:
        """What to lower when memory runs out."""
        if self.length > 1:
            return f"length={self.length // 2}"
        return f"overlap={self.overlap // 2}" if self.overlap else "clip.std.CropAbs(width=640, height=360)"
