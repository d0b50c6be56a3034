"""What a training run is made of, as data."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from vs_vrt.errors import ArgumentError

# What learns: the flow network alone, from how well it warps neighbours onto each other; all but flow; MANA's attention
# alone, from how well what it finds in neighbours matches; its memory alone, from how near it comes to what it is asked
# for; all but that memory; or everything.
type Learns = Literal["flow", "all but flow", "attention", "memory", "all but memory", "all"]
MOTION: tuple[Learns, ...] = "flow", "attention"  # what learns how things move
# How the learning rate falls to zero: along half a cosine, or in a straight line at the end, constant before: then a
# run may be made longer or shorter without changing what comes before.
type Schedule = Literal["constant", "cosine", "trapezoid"]

DECAY_SHARE = 0.3  # of a trapezoid, in which it falls
FINE_TUNING = 0.1  # of the rate from scratch


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Some iterations, and what learns in them."""

    iterations: int
    learns: Learns = "all"
    crop: tuple[int, int] | None = None  # instead of the recipe's
    num_frames: int | None = None  # instead of the recipe's
    pan: float = 8.0  # pixels a frame: how fast a camera moves at most, of those that do


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes and rates of one run."""

    degradation: str
    phases: tuple[Phase, ...]
    batch: int
    num_frames: int
    crop: tuple[int, int]  # height and width of the degraded input
    mirror: bool = False  # the frames are followed by themselves, backwards
    patterns: float = 0.0  # share of pieces that get a synthetic pattern
    learning_rate: float  # of Adam
    muon_rate: float = 0.0  # of Muon, which then moves what maps features to features
    betas: tuple[float, float] = (0.9, 0.99)
    schedule: Schedule = "cosine"
    warm_up: int = 0  # iterations in which the rate rises
    lent_flow: bool = False  # the flow network begins as that of the wheel's super-resolution
    flow_rate: float = 1.0  # of the flow network, or of attention, beside all else: as a share of the rate
    alone_rate: float = 1e-3  # of Adam, where they learn alone; it falls to zero along half a cosine
    epsilon: float = 1e-6  # of the Charbonnier loss, in 0..1; 0 makes it L1
    steady: float = 0.0  # weight of the same loss of changes from frame to frame
    picture: float = 0.1  # share of the usual weights that the layer begins with which makes the picture
    gradient_norm: float | None = None  # longer gradients are shortened
    ema: float = 0.999
    seed: int = 0

    @property
    def iterations(self) -> int:
        """Of all phases."""
        return sum(phase.iterations for phase in self.phases)

    def phase(self, iteration: int) -> Phase:
        """The phase that an iteration, counted from 0, belongs to."""
        for phase in self.phases:
            if iteration < phase.iterations:
                return phase
            iteration -= phase.iterations
        return self.phases[-1]

    def share(self, iteration: int) -> float:
        """Of the learning rate: where flow or attention learns alone, and from the end of that on."""
        alone = sum(phase.iterations for phase in self.phases if phase.learns in MOTION)
        if iteration < alone:
            return 0.5 * (1 + math.cos(math.pi * iteration / alone))
        passed, whole = iteration - alone, self.iterations - alone
        rise = min(1.0, (passed + 1) / (self.warm_up + 1))
        if self.schedule == "cosine":
            return rise * 0.5 * (1 + math.cos(math.pi * passed / whole))
        if self.schedule == "trapezoid":
            return rise * min(1.0, (1 - passed / whole) / DECAY_SHARE)
        return rise

    def crop_of(self, iteration: int) -> tuple[int, int]:
        """Height and width of the degraded input; transposed at every other iteration."""
        h, w = self.phase(iteration).crop or self.crop
        return (h, w) if iteration % 2 == 0 else (w, h)

    def frames_of(self, iteration: int) -> int:
        """How many frames a clip has."""
        return self.phase(iteration).num_frames or self.num_frames

    @property
    def largest(self) -> int:
        """Side of the largest crop."""
        return max(side for crop in (self.crop, *(phase.crop for phase in self.phases)) if crop for side in crop)

    def scaled(self, factor: float) -> "Recipe":
        """The same run with all its iterations times `factor`: short runs for small footage or for a try."""
        phases = tuple(replace(each, iterations=max(1, round(factor * each.iterations))) for each in self.phases)
        return replace(self, phases=phases, warm_up=round(factor * self.warm_up))

    def lasting(self, iterations: int) -> "Recipe":
        """The same run with so many iterations in all: only the last phase becomes longer or shorter.

        Raises `ArgumentError` where nothing is left of it.
        """
        *before, last = self.phases
        passed = sum(phase.iterations for phase in before)
        if iterations <= passed:
            raise ArgumentError(
                f"{iterations} iterations end before the last phase, which follows {passed}; `--factor` shortens all"
            )
        return replace(self, phases=(*before, replace(last, iterations=iterations - passed)))

    def fine_tuning(self) -> "Recipe":
        """For a network that has learned already: its last phase alone, at a tenth of the rates."""
        return replace(self, phases=self.phases[-1:]).faster(FINE_TUNING)

    def faster(self, factor: float) -> "Recipe":
        """The same run with its rates times `factor`, but for those of flow and attention alone."""
        return replace(self, learning_rate=factor * self.learning_rate, muon_rate=factor * self.muon_rate)

    def agrees(self, other: "Recipe", iterations: int) -> bool:
        """Whether both are the same for the first `iterations`."""
        same = replace(self, phases=other.phases) == other and iterations <= self.iterations
        return same and all(self.at(i) == other.at(i) for i in range(iterations))

    def at(self, iteration: int) -> tuple[Learns, tuple[int, int], int, float, float]:
        """All that is particular to an iteration."""
        return (
            self.phase(iteration).learns,
            self.crop_of(iteration),
            self.frames_of(iteration),
            self.phase(iteration).pan,
            self.share(iteration),
        )
