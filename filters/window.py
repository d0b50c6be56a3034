"""One window of frames: from the memory of those that come in to the memory of those that are made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .frames import FrameMemory, InputFrame, Planes, scale_alpha, write_frame
from .scene_properties import find_cuts

if TYPE_CHECKING:
    from torch import Tensor

    from vs_vrt.restorer import Restorer
    from vs_vrt.tiling import Tiles


@dataclass(frozen=True)
class Filled:
    """How a window was made."""

    cuts: list[bool]  # whether a scene ends between frames i and i + 1 of those that came in
    precision: str
    tiles: "Tiles | None"
    fallback: str  # "fp32": half precision had made samples that are no numbers; "zero": float32 too, they became 0


@dataclass
class Window:
    """What there is to make."""

    memory: FrameMemory
    video: "Tensor"  # (t c h w)
    inputs: list[InputFrame]
    keep: range  # of the frames that came in
    outputs: list[Planes]
    factor: int
    threshold: float | None

    def fill(self, restorer: "Restorer", tiles: "Tiles | None") -> Filled:
        """Makes the frames; on the thread of the device."""
        cuts = find_cuts(self.video[:, :3], self.inputs, self.threshold)
        precision, fallback = restorer.precision, ""
        if precision != "fp32" and not self.write(self.frames(restorer, cuts, tiles, precision), is_last_try=False):
            precision = fallback = "fp32"
        if precision == "fp32" and not self.write(self.frames(restorer, cuts, tiles, precision), is_last_try=True):
            fallback = "zero"
        return Filled(cuts, precision, tiles, fallback)

    def frames(
        self, restorer: "Restorer", cuts: Sequence[bool], tiles: "Tiles | None", precision: str
    ) -> "Iterator[Tensor]":
        """`-> t' x (3 H W)`, or with a factor `t' x (factor - 1) x (3 h w)`: those to make."""
        if self.factor == 1:
            return restorer.restore(self.video, cuts, self.keep, tiles, precision)
        frames = restorer.interpolate(self.video, cuts, self.keep, self.factor, tiles, precision)
        return (frame for n, frame in enumerate(frames) if n % self.factor)

    def write(self, made: "Iterator[Tensor]", is_last_try: bool) -> bool:
        """Whether the network made nothing but numbers; what is none becomes 0, or ends what is not the last try."""
        is_finite = True
        each = len(self.outputs) // len(self.keep)
        for i, (planes, frame) in enumerate(zip(self.outputs, made, strict=True)):
            if not is_finite_everywhere(frame):
                if not is_last_try:
                    return False
                is_finite, frame = False, frame.nan_to_num(0.0, 0.0, 0.0)
            write_frame(self.memory, frame, planes)
            source = self.inputs[self.keep.start + i // each][0]
            for small, large in zip(source[3:], planes[3:], strict=True):
                scale_alpha(self.memory, small, large)
        return is_finite


def is_finite_everywhere(frame: "Tensor") -> bool:
    """Whether all samples are numbers. The extremes tell, as they are none where any sample is: it is read once."""
    return all(extreme.isfinite() for extreme in frame.aminmax())
