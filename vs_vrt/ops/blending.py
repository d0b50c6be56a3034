"""Footage whose frames are means of their neighbours, blended or exposed for longer than they are shown: told, undone.

Such a mean of e frames holds nothing that repeats every e frames. Whatever moves, its spectrum along time has a zero at
1 / e cycles a frame, where that of other footage goes on smoothly.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vs_vrt.ops.unlearned import unlearned

EXPOSURES = (3, 5)  # frames
LEAST = 9  # frames; fewer cannot tell one frequency from the next, nor do so few where exposures are of 5
ASIDE = 0.1  # cycles a frame, to either side of the zero: what is there is compared
CERTAIN, UNKNOWN = 0.3, 0.5  # of what is beside it: at 34 frames, zeros have 0.02 to 0.08, other footage 0.76 and more
ROUNDING = (1 / 255) ** 2 / 12  # variance
LUMA = 0.25  # share of the rounding that is left in a mean of 2x2 pixels, colours rounded alike
BEYOND = 0.05  # share of what undoing changes that leaves 0..1: at most 0.02 of means, 0.14 and more of what blinks
SMOOTHNESS = 1e-3  # less suits frames that were only rounded; more, those that were compressed


def blended(video: Tensor) -> Tensor:
    """`(b t 3 h w) -> (b 2)`: how surely frames are means of 3, and of 5: 0 to 1; of RGB, 0..1."""
    b, t = video.shape[:2]
    if t < LEAST:
        return video.new_zeros(b, len(EXPOSURES))
    frequencies = torch.tensor([1 / e + aside for e in EXPOSURES for aside in (-ASIDE, 0, ASIDE)], device=video.device)
    time = torch.arange(t - 1, device=video.device) + 0.5
    taper = torch.sin(math.pi * time / (t - 1))
    waves = torch.polar(taper.expand(len(frequencies), -1), 2 * math.pi * frequencies[:, None] * time)
    luma = torch.stack([half(frame) for frame in video.unbind(1)], dim=1)
    found = torch.zeros(1, device=video.device)
    # Differences of neighbours have about as much power at all frequencies; frames themselves have most near 0.
    for wave, now, before in zip(waves.unbind(1), luma[:, 1:].unbind(1), luma.unbind(1), strict=False):
        found = found + wave[:, None, None] * (now - before)
    rounding = 2 * LUMA * ROUNDING * taper.square().sum() * (2 * torch.sin(math.pi * frequencies)).square()
    power = found.abs().square().mean((-2, -1)) + rounding
    below, zero, above = power.reshape(b, len(EXPOSURES), 3).unbind(-1)
    sure: Tensor = ((UNKNOWN - zero / (below * above).sqrt()) / (UNKNOWN - CERTAIN)).clamp(0, 1)
    for i, exposure in enumerate(EXPOSURES):
        if sure[:, i].any():
            sure[:, i] *= possible(luma, exposure)
    return sure


def possible(video: Tensor, exposure: int) -> Tensor:
    """`(b t c h w) -> (b)`: whether what frames would be means of is a picture, hardly below 0 or above 1.

    What blinks may lack a frequency, too, but would have to be the mean of something several times as bright.
    """
    undone = torch.einsum("ij,bjchw->bichw", inverse(video.shape[1], exposure).to(video), video)
    beyond, changed = ((undone - each).abs().mean((1, 2, 3, 4)) for each in (undone.clamp(0, 1), video))
    return beyond <= BEYOND * changed


def half(frame: Tensor) -> Tensor:
    """`(b 3 h w) -> (b 1 (h / 2) (w / 2))`: means of 2x2 pixels and of the colours."""
    return F.avg_pool2d(frame.float().mean(1, keepdim=True), 2)


@unlearned
def unblended(video: Tensor, sure: Tensor) -> Tensor:
    """`(b t c h w), (b e) -> (b t c h w)`: the frames that those of `video` are means of, as far as that is sure.

    Pixel by pixel, along time. What repeats every e frames is guessed, and noise grows: for means of 5 about fivefold.
    """
    once = torch.eye(video.shape[1])
    undo = torch.stack([inverse(video.shape[1], e) - once for e in EXPOSURES])
    shares = sure.float() / sure.float().sum(1, keepdim=True).clamp(min=1)
    how = once.to(shares) + torch.einsum("be,eij->bij", shares, undo.to(shares))
    return torch.einsum("bij,bjchw->bichw", how, video.float())


def inverse(count: int, exposure: int) -> Tensor:
    """`-> (t t)`: from t means y = A x of neighbouring frames x to the middle one of each.

    x is what makes |y - A x|^2 + s |D x|^2 least, with the differences D x of neighbours and s, `SMOOTHNESS`: there are
    more frames than means, and many x would fit. Source: Phillips (Journal of the ACM 9, 1962), with first differences.
    """
    wide = count + exposure - 1
    means = torch.stack([torch.eye(wide)[i : i + exposure].mean(0) for i in range(count)]).double()
    differences = torch.eye(wide).diff(dim=0).double()
    found: Tensor = torch.linalg.solve(means.T @ means + SMOOTHNESS * differences.T @ differences, means.T)
    return found[exposure // 2 :][:count].float()
