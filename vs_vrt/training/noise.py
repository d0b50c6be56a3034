"""Noise of known strength.

Frames are RGB, 0..1. What comes out is rounded to 8 bits, as a file would have it, and followed by a fourth channel:
the standard deviation of the noise, in the same unit.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vs_vrt.training.reduction import rounded

MAX_SIGMA = 50.0  # of noise, in 8-bit units; of photons', where it is white
WHITE_SHARE = 0.7  # of known noise
MIN_SHOT = 0.5  # less is lost in the rounding
MAX_READ = 10.0
SMOOTHING = 5  # pixels a side, whose mean says how bright a place is


def noise(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Gaussian noise of one strength, 0 to `MAX_SIGMA`; the strength is the input's fourth channel, over 255."""
    sigma = rng.uniform(0, MAX_SIGMA) / 255
    noisy = rounded(video + sigma * torch.from_numpy(rng.standard_normal(video.shape, dtype=np.float32)))
    level = torch.full_like(video[:, :1], sigma)
    return torch.cat([noisy, level], dim=1), video


def known_noise(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t 3 h w) -> (t 4 h w), (t 3 h w)`: `noise`, or `poisson`, of which each pixel has its own level."""
    return (noise if rng.random() < WHITE_SHARE else poisson)(video, rng)


def blind_noise(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t 3 h w) -> (t 3 h w), (t 3 h w)`: as `noise`, whose strength nobody tells."""
    noisy, clean = noise(video, rng)
    return noisy[:, :3], clean


def poisson(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t 3 h w) -> (t 4 h w), (t 3 h w)`: photons are counted, and reading the count adds Gaussian noise.

    The variance is `shot^2 x + read^2` at brightness x.
    """
    shot, read = rng.uniform(MIN_SHOT, MAX_SIGMA) / 255, rng.uniform(0, MAX_READ) / 255
    counted = torch.from_numpy(rng.poisson(video.double().numpy() / shot**2) * shot**2).float()
    noisy = rounded(counted + read * torch.from_numpy(rng.standard_normal(video.shape, dtype=np.float32)))
    return torch.cat([noisy, poisson_level(noisy, shot, read)], dim=1), video


def poisson_level(noisy: Tensor, shot: float, read: float) -> Tensor:
    """`(t 3 h w) -> (t 1 h w)`: the standard deviation at each pixel, of its three colours together.

    It follows from the noisy frames, smoothed: clean ones, which nobody has, would show through it.
    """
    grey = F.pad(noisy.mean(1, keepdim=True), [SMOOTHING // 2] * 4, mode="replicate")
    return (shot**2 * F.avg_pool2d(grey, SMOOTHING, stride=1) + read**2).sqrt()
