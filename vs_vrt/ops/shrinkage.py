"""Noise taken out of a picture by itself: shrinkage of the DCT of its patches. Nothing here is learned."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH, STEP = 8, 2  # pixels a side, and from one patch to the next
EDGE = PATCH - STEP  # pixels that patches reach beyond the picture
CELLS = PATCH // STEP
THRESHOLD = 2.7  # standard deviations, as in BM3D: below, a coefficient may be nothing but noise
# An orthonormal basis of colours, Yu and Sapiro's: brightness, and two that are weak in most pictures, but as noisy.
COLOURS = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))


def threshold(x: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """`(b 3 h w), (b 1 h w) -> (b 3 h w), (b 1 h w)`: without coefficients that may be noise; the noise that is left.

    h and w are even, and 8 or more; variances are those of a sample, in squares of its unit, above 0. A patch counts
    the more, the fewer coefficients it keeps. Source: Yu and Sapiro, DCT image denoising (IPOL 2011), with the
    threshold and the weights of BM3D (Dabov et al., IEEE TIP 2007, equation 10).
    """
    noise, basis = _means(variance), _basis(x)
    # One colour at a time: coefficients are 16 times as many as pixels.
    made = [_threshold(patches(plane, basis), noise, basis) for plane in _planes(x)]
    left = torch.stack([each for _, each in made]).mean(0)
    return _rgb([plane for plane, _ in made]), _summed(left, _flat(x)) / CELLS**2


def wiener(x: Tensor, variance: Tensor) -> Tensor:
    """`(b 3 h w), (b 1 h w) -> (b 3 h w)`: each coefficient weighed by its signal's share, which `threshold` tells.

    h and w as there. Source: BM3D's second step (equations 8 and 11).
    """
    noise, basis = _means(variance), _basis(x)
    return _rgb([_wiener(patches(plane, basis), noise, basis) for plane in _planes(x)])


def patches(plane: Tensor, basis: Tensor) -> Tensor:
    """`(b 1 h w), (64 4 4 4) -> (b 64 h' w')`: the DCT of patches, the outermost 6 pixels outside; means first."""
    return F.conv2d(F.pixel_unshuffle(_reflected(plane), STEP), basis)


def _threshold(coefficients: Tensor, noise: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    kept = (coefficients.square() > THRESHOLD**2 * noise).to(coefficients)
    kept[:, 0] = 1.0  # the mean
    left = noise * kept.mean(1, keepdim=True)
    return _averaged(kept.mul_(coefficients), 1 / left, basis), left


def _wiener(coefficients: Tensor, noise: Tensor, basis: Tensor) -> Tensor:
    signal = patches(_threshold(coefficients, noise, basis)[0], basis).square()
    share = signal / (signal + noise)
    share[:, 0] = 1.0
    weights = 1 / (noise * share.square().mean(1, keepdim=True))
    return _averaged(share.mul_(coefficients), weights, basis)


def _averaged(coefficients: Tensor, weights: Tensor, basis: Tensor) -> Tensor:
    """`(b 64 h' w'), (b 1 h' w') -> (b 1 h w)`: the plane of patches that count so much."""
    return _summed(coefficients * weights, basis) / _summed(weights, _flat(weights))


def _summed(patches: Tensor, shapes: Tensor) -> Tensor:
    """`(b k h' w'), (k 4 4 4) -> (b 1 h w)`: at each pixel, of `k` shapes that patches hold so much of.

    Each place adds up what patches before it hold there: a convolution, whose order of sums is the same every time.
    """
    return F.pixel_shuffle(F.conv2d(patches, shapes.flip(-2, -1).transpose(0, 1)), STEP)


def _planes(x: Tensor) -> list[Tensor]:
    """`(b 3 h w) -> 3 x (b 1 h w)`: of `COLOURS`."""
    return [plane[:, None] for plane in torch.einsum("oc,bchw->bohw", x.new_tensor(COLOURS), x).unbind(1)]


def _rgb(planes: list[Tensor]) -> Tensor:
    """`3 x (b 1 h w) -> (b 3 h w)`: back from there."""
    x = torch.cat(planes, dim=1)
    return torch.einsum("oc,bohw->bchw", x.new_tensor(COLOURS), x)


def _means(variance: Tensor) -> Tensor:
    """`(b 1 h w) -> (b 1 h' w')`: that of each patch."""
    return F.avg_pool2d(_reflected(variance), PATCH, STEP)


def _basis(x: Tensor) -> Tensor:
    """`-> (64 4 4 4)`: the orthonormal DCT-II, like `x`, of patches whose 2x2 pixels are the channels of one.

    A convolution of those takes a quarter of the time of one with a single channel and steps of two.
    """
    n = torch.arange(PATCH, dtype=torch.float64)
    waves = (2 / PATCH) ** 0.5 * torch.cos(math.pi * n[:, None] * (n + 0.5) / PATCH)
    waves[0] *= 0.5**0.5
    basis = torch.einsum("ky,lx->klyx", waves, waves).reshape(PATCH**2, 1, PATCH, PATCH)
    return F.pixel_unshuffle(basis, STEP).to(x)


def _flat(x: Tensor) -> Tensor:
    """`-> (1 4 4 4)`: a patch of ones, like `x`."""
    return x.new_ones(1, STEP**2, CELLS, CELLS)


def _reflected(x: Tensor) -> Tensor:
    return F.pad(x, [EDGE] * 4, mode="reflect")
