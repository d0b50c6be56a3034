"""What spoils footage: each maker of inputs for training takes clean frames and a random generator.

Frames are RGB, 0..1. What comes out is rounded to 8 bits, as a file would have it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from torch import Tensor

from vs_vrt.task import Gives, TaskRow
from vs_vrt.training.compression import compression, real
from vs_vrt.training.motion_blur import REACH, blur, flow, motion, shake, spaced
from vs_vrt.training.noise import blind_noise, known_noise, noise, poisson
from vs_vrt.training.reduction import SCALE, bicubic, gaussian


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """`(t' 3 (h s) (w s)), rng -> (t c h w), (t 3 (h s) (w s))`: what a network gets, and what it is to make of it.

    It uses up `reach` frames at each end: t' = t + 2 reach. `noise_level`: the input has it as a fourth channel.
    """

    make: Callable[[Tensor, np.random.Generator], tuple[Tensor, Tensor]]
    scale: int = 1
    reach: int = 0
    noise_level: bool = False
    gives: Gives = "every"

    def suits(self, row: TaskRow) -> bool:
        """Whether the row's network takes what this makes, and makes what this takes."""
        return (self.scale, self.noise_level, self.gives) == (row.scale, row.sigma is not None, row.gives)


def between(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """`(7 3 h w) -> (4 3 h w), (1 3 h w)`: every other frame; the truth is the one in the middle, which is left out."""
    return video[::2], video[len(video) // 2 : len(video) // 2 + 1]


DEGRADATIONS: Mapping[str, Degradation] = MappingProxyType(
    {
        "bicubic": Degradation(make=bicubic, scale=SCALE),
        "gaussian": Degradation(make=gaussian, scale=SCALE),
        "noise": Degradation(make=noise, noise_level=True),
        "known-noise": Degradation(make=known_noise, noise_level=True),
        "blind-noise": Degradation(make=blind_noise),
        "poisson": Degradation(make=poisson, noise_level=True),
        "compression": Degradation(make=compression),
        "real": Degradation(make=real, scale=SCALE),
        "motion": Degradation(make=motion, reach=REACH),
        "spaced": Degradation(make=spaced, reach=REACH),
        "flow": Degradation(make=flow, reach=REACH),
        "shake": Degradation(make=shake, reach=REACH),
        "blur": Degradation(make=blur, reach=REACH),
        "between": Degradation(make=between, gives="between"),
    }
)
