"""Measures what has not been measured yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cases import Case
from .classic import Method, Setting, tuned
from .clips import Frame, Frames, array, truth
from .networks import Network
from .scores import Motion, score
from .store import Result, Store

KEPT = 3  # frames of each clip that are looked at

type Numbered = Iterator[tuple[int, Frame]]


@dataclass(frozen=True)
class Job:
    """One method or network on one case of one clip."""

    case: Case
    subject: Method | Network

    @property
    def name(self) -> str:
        """What columns of tables are called."""
        return self.subject.name

    @property
    def identity(self) -> dict[str, Any]:
        """What the figures belong to."""
        if isinstance(self.subject, Network):
            return self.subject.identity
        return {"settings": self.subject.settings, "trial": self.subject.trial, "pairs": self.subject.pairs}

    def run(self, degraded: Frames, clean: Frames) -> tuple[Setting, Numbered]:
        """The best setting, and restored frames with their numbers in `degraded`."""
        if isinstance(self.subject, Network):
            return {}, enumerate(self.subject.restore(degraded, self.case))
        setting = tuned(self.subject, degraded, clean)
        numbers = restored(len(degraded), self.subject.pairs)
        return setting, zip(numbers, self.subject(degraded[numbers], setting), strict=True)


def spread(count: int, places: int) -> list[int]:
    """Frame numbers evenly over a clip of `count` frames; those of 3 places are among those of 7."""
    return sorted({(i + 1) * (count - 1) // (places + 1) for i in range(places)})


def restored(count: int, pairs: int | None) -> list[int]:
    """All frame numbers, or those of `pairs` pairs of neighbours."""
    if pairs is None:
        return list(range(count))
    return sorted({n for first in spread(count, pairs) for n in (first, min(first + 1, count - 1))})


def measure_clip(path: Path, jobs: Sequence[Job], store: Store, limit: int | None) -> Iterator[str]:
    """Does what is missing, and says what it does."""
    jobs = [job for job in jobs if not store.has(job.case.name, path.stem, job.name, job.identity)]
    if not jobs:
        return
    clean = array(truth(path, limit))
    motion = Motion(clean)
    degraded: dict[str, Frames] = {}
    for job in jobs:
        if len(clean) <= 2 * job.case.reach:
            yield f"{job.case.name}, {path.stem}: left out, as it takes {2 * job.case.reach + 1} frames"
            continue
        yield f"{job.case.name}, {path.stem}: {job.name}"
        if job.case.name not in degraded:
            degraded = {job.case.name: job.case.degrade(clean)}
        measure(job, path.stem, degraded[job.case.name], motion, store)


def measure(job: Job, clip: str, degraded: Frames, motion: Motion, store: Store) -> None:
    """One job."""
    reach = job.case.reach
    setting, made = job.run(degraded, job.case.truth(motion.truth))
    kept: dict[int, Frame] = {}
    watched = {n + reach for n in spread(len(degraded), KEPT)}

    def watch() -> Numbered:
        for n, frame in made:
            if n + reach in watched:
                kept[n + reach] = frame
            yield n + reach, frame

    scores = score(watch(), motion)
    facts = {"case": job.case.name, "clip": clip, "method": job.name, "identity": job.identity}
    store.add(Result(**facts, setting=dict(setting), scores=scores), kept)
    for name, frames, first in (("truth", motion.truth, 0), ("degraded", degraded, reach)):
        store.keep(job.case.name, clip, name, {n: frames[n - first] for n in watched})
