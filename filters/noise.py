"""How strong the noise of a pixel is: one level for the clip, or a clip of levels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vs_vrt.errors import ClipError
from vs_vrt.task import TaskRow

from .arguments import Arguments
from .clip import GRAY, INTEGER, ClipFacts

MAX_SIGMA = 50.0  # the strongest noise that the networks were trained on


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Levels are standard deviations of 8-bit samples, 0 to 50; in float clips they count from 0 to 1 as samples do."""

    sigma: float = 0.0
    peak: float | None = None  # the largest sample of sigma_clip; None where there is no such clip

    def normalise(self, levels: NDArray[Any]) -> None:
        """`(t h w)`, in place: samples of sigma_clip become what the network takes, levels over 255."""
        if self.peak is None:
            levels[:] = np.float32(self.sigma) / 255
        else:
            np.divide(levels, self.peak, out=levels)
            np.clip(levels, 0, MAX_SIGMA / 255, out=levels)

    def __str__(self) -> str:
        return f"sigma={self.sigma:g}" if self.peak is None else "sigma_clip"


def plan_noise(arguments: Arguments, row: TaskRow, clip: ClipFacts) -> Noise | None:
    """The noise level of a network that takes one. Raises `VrtError`."""
    if row.sigma is None:
        return None
    if not arguments.given("sigma_clip"):
        return Noise(sigma=arguments.number("sigma", 0, MAX_SIGMA, row.sigma))
    levels = ClipFacts(*arguments.one("sigma_clip"))
    check_levels(levels, clip)
    return Noise(peak=2.0**levels.bits - 1 if levels.sample_type == INTEGER else 1.0)


def check_levels(levels: ClipFacts, clip: ClipFacts) -> None:
    """Raises `ClipError` unless `levels` has a gray pixel for each pixel of the clip."""
    size = f"{clip.width}, {clip.height}"
    if not (levels.width and levels.color_family):
        remedy = f"sigma_clip.resize.Bilinear({size}, format=vs.GRAY8, range_in=1, range=1)"
        raise ClipError(f"sigma_clip changes its size or format midway; `{remedy}` makes it constant")
    if levels.color_family != GRAY:
        raise ClipError("sigma_clip is no GRAY clip; `sigma_clip.std.ShufflePlanes(0, vs.GRAY)` takes its first plane")
    if levels.sample_type == INTEGER and levels.bits > 16:
        raise ClipError(f"sigma_clip has {levels.bits}-bit integer samples; make it with `format=vs.GRAYS`")
    if (levels.width, levels.height) != (clip.width, clip.height):
        raise ClipError(
            f"sigma_clip is {levels.width}x{levels.height} and the clip {clip.width}x{clip.height}; "
            f"`sigma_clip.resize.Bilinear({size})`"
        )
    missing = clip.num_frames - levels.num_frames
    if missing:
        remedy = f"sigma_clip + sigma_clip[-1] * {missing}" if missing > 0 else f"sigma_clip[:{clip.num_frames}]"
        raise ClipError(f"sigma_clip has {levels.num_frames} frames and the clip {clip.num_frames}; `{remedy}`")
