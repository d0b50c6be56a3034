"""The curves of a run. The only importer of matplotlib."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from vs_vrt.training.journal import Journal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 300  # of a curve, at most
REMEDY = "there will be no curves.png without matplotlib; `pip install 'vs-vrt[train]'`"


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot(journal: Journal, borders: Sequence[int], file: BinaryIO) -> None:
    """A PNG: the loss and, below it, quality over the iterations; `borders` are the last iterations of phases."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_loss(upper, journal, borders)
    draw_quality(lower, journal)
    figure.savefig(file, format="png", dpi=100)


def draw_loss(axes: "Axes", journal: Journal, borders: Sequence[int]) -> None:
    """Each phase has a curve of its own, as it may minimise something else."""
    losses = np.array([each.loss for each in journal.iterations])
    edges = [0, *(border for border in borders if border < len(losses)), len(losses)]
    for number, (start, stop) in enumerate(pairwise(edges), 1):
        axes.plot(*points(losses[start:stop], start, np.mean), label=f"phase {number}")
    axes.set(ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()


def draw_quality(axes: "Axes", journal: Journal) -> None:
    """Gains over what was given: of training batches, and of the validation."""
    gains = np.array([each.gain for each in journal.iterations])
    axes.plot(*points(gains, 0, np.median), label="training batches", alpha=0.6)
    if journal.checks:
        at, given, restored = zip(*journal.checks, strict=True)
        axes.plot(at, np.subtract(restored, given), "o-", label=f"validation (given: {given[-1]:.2f} dB)")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="iteration", ylabel="PSNR above what was given, dB")
    axes.grid(alpha=0.3)
    axes.legend()


def points(
    values: "np.typing.NDArray[np.float64]", start: int, middle: Callable[..., Any]
) -> tuple[list[float], list[float]]:
    """`(n) -> (m), (m)`: positions, from `start` on, and the `middle` of neighbouring values."""
    parts = np.array_split(values, min(POINTS, len(values))) if len(values) else []
    lengths = np.cumsum([len(part) for part in parts])
    return [start + float(length) for length in lengths], [float(middle(part)) for part in parts]
