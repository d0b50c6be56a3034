"""One call of `core.vrt.Restore`, and the restoration of its windows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_vrt.task import TaskRow

from .clip import ClipFacts, working_format
from .frames import FrameMemory, InputFrame, Planes, frame_memory, read_video, scale_alpha, write_video
from .scene_properties import find_cuts

if TYPE_CHECKING:
    import torch
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
        device = engine.resolve(self.device)
        with engine.memory_errors(device), frame_memory() as memory:
            restored = engine.run(device, self.compute, device, read_video(memory, inputs), inputs, keep)
            write_video(memory, restored, outputs)
            write_alpha(memory, inputs[keep.start : keep.stop], outputs)
        assert self.restorer
        return [
            ("VrtTask", "s", [self.row.task]),
            ("VrtModel", "s", [self.row.model]),
            ("VrtPrecision", "s", [self.restorer.precision]),
            ("VrtWindow", "i", [start, start + len(outputs) - 1]),
        ]

    def compute(self, device: "torch.device", video: "Tensor", inputs: list[InputFrame], keep: range) -> "Tensor":
        """`(t 3 h w) -> (t' 3 (h s) (w s))`: the frames `keep`; runs on the device's thread."""
        from vs_vrt.restorer import choose_precision, load_restorer

        if self.restorer is None:
            precision = choose_precision(self.precision, self.row, device)
            self.restorer = load_restorer(self.row, self.checkpoint, device, precision)
        return self.restorer.restore(video, find_cuts(video, inputs, self.threshold), keep)


def write_alpha(memory: FrameMemory, inputs: list[InputFrame], outputs: list[Planes]) -> None:
    """Scales the alpha planes of frames that have one."""
    for (source, _, _), target in zip(inputs, outputs, strict=True):
        if len(source) > 3:
            scale_alpha(memory, source[3], target[3])
