"""What a run has to tell: its losses iteration by iteration, and now and then how good it is."""

import math
from collections.abc import Iterator
from itertools import islice
from statistics import mean, median
from typing import NamedTuple

HOPELESS = 100  # losses in a row that are no numbers


class Iteration(NamedTuple):
    """One step: the loss, and the gain in dB over what was given."""

    loss: float
    gain: float


class Check(NamedTuple):
    """A validation after so many iterations: PSNR of Y in dB, of what was given and of what was made of it."""

    iteration: int
    given: float
    restored: float


class Journal:
    """All iterations from the first one on, and the validations among them."""

    def __init__(self) -> None:
        self.iterations: list[Iteration] = []
        self.checks: list[Check] = []

    def recent(self, count: int = 25) -> str:
        """Of the last iterations: the mean loss, and the median gain: one clip that lacks nothing has no bounds."""
        losses, gains = zip(*self.iterations[-count:], strict=True)
        return f"loss {mean(losses):.5f}, {median(gains):+.2f} dB"

    def lost(self) -> bool:
        """Whether nothing has been learned for so long that nothing will be."""
        last = self.iterations[-HOPELESS:]
        return len(last) == HOPELESS and not any(math.isfinite(each.loss) for each in last)

    def log(self) -> str:
        """Comma-separated, with a header: a line for each iteration."""
        rows = (f"{i},{each.loss!r},{each.gain:.4f}" for i, each in enumerate(self.iterations, 1))
        return "\n".join(("iteration,loss,gain", *rows)) + "\n"

    def validation(self) -> str:
        """Comma-separated, with a header: a line for each validation."""
        rows = (f"{each.iteration},{each.given:.4f},{each.restored:.4f}" for each in self.checks)
        return "\n".join(("iteration,given,restored", *rows)) + "\n"

    def restore(self, log: str, validation: str) -> None:
        """What `log` and `validation` gave."""
        self.iterations = [Iteration(float(loss), float(gain)) for _, loss, gain in _rows(log)]
        self.checks = [Check(int(i), float(given), float(restored)) for i, given, restored in _rows(validation)]


def _rows(text: str) -> Iterator[list[str]]:
    return (line.split(",") for line in islice(text.splitlines(), 1, None))
