"""What is done to clean frames, and against which classic methods its undoing is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from vs_vrt.training.compression import compressed

from . import classic
from .clips import SCALE, Frames, array, bicubic, source

EXPOSURE = 5  # frames that motion blur is the mean of
RATE_FACTOR = 37
MOVING = ("butterfly", "davis_bmx-trees", "davis_breakdance", "davis_parkour")
LARGE_MOTION = ("butterfly", "davis_bmx-trees", "davis_parkour")


@dataclass(frozen=True, kw_only=True)
class Case:
    """`degrade` makes the input, `(n h w 3) -> (n-2r h' w' 3)`: it uses up `reach` = r frames at each end."""

    name: str
    task: str
    degrade: Callable[[Frames], Frames]
    methods: tuple[classic.Method, ...]  # the first one is what gains are counted from
    reach: int = 0
    arguments: Mapping[str, Any] = MappingProxyType({})  # of Restore
    clips: tuple[str, ...] = ("",)  # what names of its clips begin with, where there are such

    def of(self, clips: Sequence[Path]) -> list[Path]:
        """Those that it is measured on."""
        return [path for path in clips if path.stem.startswith(self.clips)] or list(clips)

    def truth(self, clean: Frames) -> Frames:
        """The frames that the input is to become."""
        return clean[self.reach : len(clean) - self.reach]


def reduced(clean: Frames) -> Frames:
    """`(n (h 4) (w 4) 3) -> (n h w 3)`: antialiased bicubic, a = -0.5."""
    clip = source(clean)
    return array(bicubic(clip, clip.width // SCALE, clip.height // SCALE))


def noisy(sigma: int, clean: Frames) -> Frames:
    """Gaussian noise on every sample, in 8-bit units, rounded and clipped. A frame's noise follows from its number."""
    found = np.empty_like(clean)
    for n, frame in enumerate(clean):
        noise = np.random.default_rng((sigma, n)).standard_normal(frame.shape)
        found[n] = np.clip(np.rint(frame + sigma * noise), 0, 255)
    return found


def coarse(clean: Frames) -> Frames:
    """H.264 of a constant rate factor at which blocks show."""
    video = torch.from_numpy(clean).permute(0, 3, 1, 2).float() / 255
    levels = 255 * compressed(video, "h264", RATE_FACTOR)
    return np.asarray(levels.round().byte().permute(0, 2, 3, 1).numpy())


def blurred(clean: Frames) -> Frames:
    """The mean of `EXPOSURE` neighbours; the truth is the middle one."""
    count = len(clean) - EXPOSURE + 1
    shifted = (clean[i : i + count].astype(np.uint16) for i in range(EXPOSURE))
    return np.rint(sum(shifted) / EXPOSURE).astype(np.uint8)


def denoising(sigma: int) -> Case:
    """The case of one strength of noise."""
    return Case(
        name=f"denoise-{sigma}",
        task="denoise",
        degrade=partial(noisy, sigma),
        methods=classic.denoisers(sigma),
        arguments=MappingProxyType({"sigma": sigma}),
    )


CASES = (
    Case(name="sr4", task="sr4", degrade=reduced, methods=classic.UPSAMPLERS),
    *map(denoising, (10, 25, 50)),
    Case(name="decompress", task="decompress", degrade=coarse, methods=classic.denoisers(6)[:3]),
    Case(name="deblur", task="deblur", degrade=blurred, methods=classic.SHARPENERS, reach=EXPOSURE // 2, clips=MOVING),
)
