"""Finds hard cuts between neighbouring frames."""

import torch
import torch.nn.functional as F
from torch import Tensor

DEFAULT_THRESHOLD = 0.22  # between what was measured inside shots (to 0.187) and across cuts (docs/scenes.md)
BINS = 8
COLOUR_GRID = (90, 160)
LAYOUT_GRID = (18, 32)


def distance(a: Tensor, b: Tensor) -> float:
    """`(3 h w), (3 h w) -> 0..1`: how little two RGB frames (0..1) have in common.

    The geometric mean of two distances, because each alone is fooled: colours change in a flash, layout in fast motion.
    Looks at nothing but the two frames, so that overlapping windows cannot disagree. Samples outside 0..1 count as the
    nearest of the two, and a cell of the grid with one that is not finite as black.
    """
    small_a, small_b = _reduce(a), _reduce(b)
    colours = 0.5 * (_histogram(small_a) - _histogram(small_b)).abs().sum()
    x, y = _layout(small_a), _layout(small_b)
    layout = 0.5 * (1 - (x @ y) / (x.norm() * y.norm() + 1e-6))
    return float((colours * layout).clamp(0, 1).sqrt())


def _reduce(frame: Tensor) -> Tensor:
    """`(3 h w) -> (3 90 160)`, all of it within 0..1."""
    return F.interpolate(frame[None], COLOUR_GRID, mode="area")[0].nan_to_num(0.0, 0.0, 0.0).clamp(0, 1)


def _histogram(small: Tensor) -> Tensor:
    """`(3 h w) -> (bins^3)`: the share of pixels of each coarse colour."""
    r, g, b = (small * BINS).long().clamp(max=BINS - 1)
    counts = torch.bincount(((r * BINS + g) * BINS + b).flatten(), minlength=BINS**3)
    return counts / counts.sum()


def _layout(small: Tensor) -> Tensor:
    """`(3 h w) -> (n)`: a coarse picture of the lightness, around its mean."""
    coarse = F.interpolate(small.mean(0)[None, None], LAYOUT_GRID, mode="area").flatten()
    return coarse - coarse.mean()
