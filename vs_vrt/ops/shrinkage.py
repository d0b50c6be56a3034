"""Noise taken out of a picture by itself: shrinkage of the DCT of its patches. Nothing here is learned."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

PATCH, STEP = 8, 2  # pixels a side, and from one patch to the next
EDGE = PATCH - STEP  # pixels that patches reach beyond the picture
THRESHOLD = 2.7  # standard deviations: below, a coefficient may be nothing but noise
# An orthonormal basis of colours: brightness, and two that are weak in most pictures, but as noisy.
COLOURS = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))


def threshold(x: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """`(b 3 h w), (b 1 h w) -> (b 3 h w), (b 1 h w)`: without coefficients that may be noise; the noise that is left.

    h and w are even, and 8 or more; variances are those of a sample, in squares of its unit, above 0. A
    patch counts the more, the fewer coefficients it keeps. Source: Yu and Sapiro, DCT image denoising (IPOL 2011), with
    the weights of BM3D (Dabov et al., IEEE TIP 2007, equation 10).
    """
    coefficients, noise = patches(x), _means(variance)
    kept = (coefficients.square() > THRESHOLD**2 * noise).to(x)
    kept[:, :, 0] = 1.0  # the mean
    left = noise * kept.mean(2, keepdim=True)
    return averaged(kept * coefficients, 1 / left), _sums(left.mean(1), _ones(x)) / (PATCH // STEP) ** 2


def wiener(x: Tensor, variance: Tensor) -> Tensor:
    """`(b 3 h w), (b 1 h w) -> (b 3 h w)`: each coefficient weighed by its signal's share, which `threshold` tells.

    h and w as there. Source: BM3D's second step (equations 8 and 11).
    """
    noise = _means(variance)
    signal = patches(threshold(x, variance)[0]).square()
    share = signal / (signal + noise)
    share[:, :, 0] = 1.0
    return averaged(share * patches(x), 1 / (noise * share.square().mean(2, keepdim=True)))


def patches(x: Tensor) -> Tensor:
    """`(b 3 h w) -> (b 3 64 h' w')`: the DCT of patches, of which the outermost reach 6 pixels outside; means first."""
    b = len(x)
    planes = torch.einsum("oc,bchw->bohw", x.new_tensor(COLOURS), x)
    cells = F.pixel_unshuffle(_reflected(planes.flatten(0, 1)[:, None]), STEP)
    return rearrange(F.conv2d(cells, _basis(x)), "(b c) k h w -> b c k h w", b=b)


def averaged(coefficients: Tensor, weights: Tensor) -> Tensor:
    """`(b 3 64 h' w'), (b 3 1 h' w') -> (b 3 h w)`: the picture of patches that count so much."""
    b = len(coefficients)
    planes = _sums((coefficients * weights).flatten(0, 1), _basis(coefficients))
    counts = _sums(weights.flatten(0, 1), _ones(weights))
    planes = rearrange(planes / counts, "(b c) 1 h w -> b c h w", b=b)
    return torch.einsum("oc,bohw->bchw", planes.new_tensor(COLOURS), planes)


def _means(variance: Tensor) -> Tensor:
    """`(b 1 h w) -> (b 1 1 h' w')`: that of each patch."""
    return F.avg_pool2d(_reflected(variance), PATCH, STEP)[:, None]


def _sums(patches: Tensor, shapes: Tensor) -> Tensor:
    """`(b k h' w'), (k 4 4 4) -> (b 1 h w)`: at each pixel, of `k` shapes that patches hold so much of."""
    folded = F.pixel_shuffle(F.conv_transpose2d(patches, shapes), STEP)
    return folded[..., EDGE:-EDGE, EDGE:-EDGE]


def _basis(x: Tensor) -> Tensor:
    """`-> (64 4 4 4)`: the orthonormal DCT-II, like `x`, of patches whose 2x2 pixels are the channels of one.

    A convolution of those takes a quarter of the time of one with a single channel and steps of two.
    """
    n = torch.arange(PATCH, device=x.device, dtype=torch.float64)
    waves = (2 / PATCH) ** 0.5 * torch.cos(math.pi * n[:, None] * (n + 0.5) / PATCH)
    waves[0] *= 0.5**0.5
    basis = torch.einsum("ky,lx->klyx", waves, waves).reshape(PATCH**2, 1, PATCH, PATCH)
    return F.pixel_unshuffle(basis, STEP).to(x)


def _ones(x: Tensor) -> Tensor:
    """`-> (1 4 4 4)`: a patch that is flat, like `x`."""
    return F.pixel_unshuffle(x.new_ones(1, 1, PATCH, PATCH), STEP)


def _reflected(x: Tensor) -> Tensor:
    return F.pad(x, [EDGE] * 4, mode="reflect")
