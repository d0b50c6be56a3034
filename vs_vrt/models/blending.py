"""Tells footage whose frames are means of their neighbours: blended, or exposed for longer than they are shown.

Such a mean of e frames holds nothing that repeats every e frames. Whatever moves, its spectrum along time has a zero at
1 / e cycles a frame, where that of other footage goes on smoothly.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

EXPOSURES = (3, 5)  # frames
LEAST = 9  # frames; fewer cannot tell one frequency from the next
ASIDE = 0.1  # cycles a frame, to either side of the zero: what is there is compared
CERTAIN, UNKNOWN = 0.3, 0.5  # of what is beside it: at 34 frames, zeros have 0.02 to 0.08, other footage 0.76 and more
ROUNDING = (1 / 255) ** 2 / 12  # variance
LUMA = 0.25  # share of the rounding that is left in a mean of 2x2 pixels, colours rounded alike


def blended(video: Tensor) -> Tensor:
    """`(b t 3 h w) -> (b 2)`: how surely frames are means of 3, and of 5: 0 to 1; of RGB, 0..1."""
    b, t = video.shape[:2]
    if t < LEAST:
        return video.new_zeros(b, len(EXPOSURES))
    frequencies = torch.tensor([1 / e + aside for e in EXPOSURES for aside in (-ASIDE, 0, ASIDE)], device=video.device)
    time = torch.arange(t - 1, device=video.device) + 0.5
    taper = torch.sin(math.pi * time / (t - 1))
    waves = torch.polar(taper.expand(len(frequencies), -1), 2 * math.pi * frequencies[:, None] * time)
    found = torch.zeros(1, device=video.device)
    before = half(video[:, 0])
    # Differences of neighbours have about as much power at all frequencies; frames themselves have most near 0.
    for wave, frame in zip(waves.unbind(1), video[:, 1:].unbind(1), strict=True):
        now = half(frame)
        found = found + wave[:, None, None] * (now - before)
        before = now
    rounding = 2 * LUMA * ROUNDING * taper.square().sum() * (2 * torch.sin(math.pi * frequencies)).square()
    power = found.abs().square().mean((-2, -1)) + rounding
    below, zero, above = power.reshape(b, len(EXPOSURES), 3).unbind(-1)
    sure: Tensor = ((UNKNOWN - zero / (below * above).sqrt()) / (UNKNOWN - CERTAIN)).clamp(0, 1)
    return sure


def half(frame: Tensor) -> Tensor:
    """`(b 3 h w) -> (b 1 (h / 2) (w / 2))`: means of 2x2 pixels and of the colours."""
    return F.avg_pool2d(frame.float().mean(1, keepdim=True), 2)
