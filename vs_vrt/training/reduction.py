"""Smaller frames: what super-resolution learns from.

Frames are RGB, 0..1. What comes out is rounded to 8 bits, as a file would have it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SCALE = 4
BLUR_SIGMA, BLUR_SIZE = 1.6, 13  # of a Gaussian, in pixels


def rounded(video: Tensor) -> Tensor:
    """`(...) -> (...)`: as 8 bits hold it."""
    return (video.clamp(0, 1) * 255).round() / 255


def bicubic_down(video: Tensor, scale: int) -> Tensor:
    """`(t c (h s) (w s)) -> (t c h w)`: antialiased bicubic (a = -0.5)."""
    small = F.interpolate(video, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    return rounded(small)


def bicubic(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """A quarter of the size."""
    return bicubic_down(video, SCALE), video


def blur_down(video: Tensor) -> Tensor:
    """`(t c (h 4) (w 4)) -> (t c h w)`: a Gaussian blur, mirrored at the borders, then every 4th pixel from the first.

    What the papers call BD (DUF, Jo et al. 2018): pixels of the result lie on those of the frame, not between them.
    """
    return rounded(gaussian_blur(video, BLUR_SIGMA, BLUR_SIZE, SCALE))


def gaussian_blur(video: Tensor, sigma: float, size: int, step: int = 1) -> Tensor:
    """`(t c (h s) (w s)) -> (t c h w)`: by a kernel of `size` pixels, which is odd; of `step` pixels the first."""
    distance = torch.arange(size, dtype=torch.float64) - size // 2
    kernel = torch.exp(-0.5 * (distance / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(video)
    channels = video.shape[1]
    down, across = (kernel.view(shape).expand(channels, 1, -1, -1) for shape in ((1, 1, -1, 1), (1, 1, 1, -1)))
    wide = F.pad(video, [size // 2] * 4, mode="reflect")
    rows = F.conv2d(wide, down, stride=(step, 1), groups=channels)
    return F.conv2d(rows, across, stride=(1, step), groups=channels)


def gaussian(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """A quarter of the size, by `blur_down`."""
    return blur_down(video), video
