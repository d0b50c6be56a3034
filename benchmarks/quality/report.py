"""Tables of all that was measured, for the terminal and as Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from .cases import CASES, LARGE_MOTION, Case
from .clips import APART
from .store import Result

MISSING = ""

# Of a network over each classic method, on the frames that both restored.
GAINS = (
    ("gain in PSNR of Y over, dB", "psnr", "+.2f"),
    ("gain in SSIM over", "ssim", "+.4f"),
    ("flicker more than, levels", "flicker", "+.2f"),
)

type Cell = Callable[[str, str], float | None]  # of clip and method


@dataclass(frozen=True)
class Sheet:
    """A table: a row for each clip, a column for each method."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def rich(self) -> Table:
        """For the terminal."""
        found = Table(*self.head, title=self.title, title_justify="left")
        for row in self.rows:
            found.add_row(*row)
        return found

    def markdown(self) -> str:
        """For documents."""
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        return "\n".join([f"### {self.title}", "", *("| " + " | ".join(line) + " |" for line in lines), ""])


class Measured:
    """The results of one case."""

    def __init__(self, case: Case, results: Iterable[Result]) -> None:
        mine = [result for result in results if result.case == case.name]
        self.case = case
        self.found = {(result.clip, result.method): result for result in mine}
        self.clips = sorted({result.clip for result in mine}, key=lambda clip: (clip.startswith(APART), clip))
        methods = {result.method for result in mine}
        self.classic = [method.name for method in case.methods if method.name in methods]
        self.networks = sorted({result.method for result in mine if result.is_network})

    def mean(self, measure: str) -> Cell:
        """Of a measure, over the frames that were restored."""

        def cell(clip: str, method: str) -> float | None:
            return mean(getattr(self.found[clip, method].scores, measure)) if (clip, method) in self.found else None

        return cell

    def gain(self, network: str, measure: str = "psnr") -> Cell:
        """What a network has more of than another method, on the frames that both restored."""

        def cell(clip: str, method: str) -> float | None:
            if not {(clip, network), (clip, method)} <= self.found.keys():
                return None
            ours, theirs = (by_frame(self.found[clip, name], measure) for name in (network, method))
            return mean([ours[n] - theirs[n] for n in ours.keys() & theirs.keys()])

        return cell

    def restlessness(self, clip: str, method: str) -> float | None:
        """Flicker over that of the truth on the same frames."""
        if (clip, method) not in self.found:
            return None
        scores = self.found[clip, method].scores
        own, truth = mean(scores.flicker), mean(scores.truth_flicker)
        return own / truth if own is not None and truth else None

    def frames(self, clip: str) -> int:
        """The most that a method restored."""
        return max(len(result.scores.frames) for (each, _), result in self.found.items() if each == clip)

    def best_classic(self, clip: str) -> str | None:
        """Of the classic methods, the one that is ahead of the first one by most, on the frames that both restored."""
        first = self.case.methods[0].name
        gains = {name: self.gain(name)(clip, first) for name in self.classic}
        known = {name: gain for name, gain in gains.items() if gain is not None}
        return max(known, key=lambda name: known[name]) if known else None

    def sheet(self, title: str, methods: Sequence[str], cell: Cell, form: str) -> Sheet:
        """One table; means are over the clips that count, where none is missing."""
        rows = []
        for clip in self.clips:
            cells = [cell(clip, method) for method in methods]
            rows.append((clip, str(self.frames(clip)), *(written(each, form) for each in cells)))
        counted = [clip for clip in self.clips if not clip.startswith(APART)]
        columns = ([cell(clip, method) for clip in counted] for method in methods)
        means = (None if None in column else mean(column) for column in columns)
        without = f", {APART[0].rstrip('_')} apart" if len(counted) < len(self.clips) else ""
        rows.append((f"mean{without}", "", *(written(each, form) for each in means)))
        return Sheet(f"{self.case.name}: {title}", ("clip", "frames", *methods), rows)

    def part(self, clips: Sequence[str]) -> "Measured":
        """The same of some clips."""
        return Measured(self.case, [result for result in self.found.values() if result.clip.startswith(tuple(clips))])


def by_frame(result: Result, measure: str) -> Mapping[int, float]:
    """What is known of a measure, by frame number."""
    pairs = zip(result.scores.frames, getattr(result.scores, measure), strict=True)
    return {n: value for n, value in pairs if value is not None}


def mean(values: Iterable[float | None]) -> float | None:
    """Of what is there."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def written(value: float | None, form: str) -> str:
    """A figure, or that there is none."""
    return MISSING if value is None else format(value, form)


def sheets(results: Sequence[Result]) -> list[Sheet]:
    """All tables, case by case."""
    found = []
    for measured in (Measured(case, results) for case in CASES):
        if not measured.clips:
            continue
        everything = [*measured.classic, *measured.networks]
        found.append(measured.sheet("PSNR of Y, dB", everything, measured.mean("psnr"), ".2f"))
        for network in measured.networks:
            for title, measure, form in GAINS:
                cell = measured.gain(network, measure)
                found.append(measured.sheet(f"{network}, {title}", measured.classic, cell, form))
        found.append(measured.sheet("SSIM of Y", everything, measured.mean("ssim"), ".4f"))
        found.append(measured.sheet("flicker over that of the truth", everything, measured.restlessness, ".2f"))
        found.append(measured.sheet("flicker of the error, levels", everything, measured.mean("error_flicker"), ".2f"))
        if measured.case.name == "sr4" and len(measured.networks) > 1:
            moving = measured.part(LARGE_MOTION)
            found.append(moving.sheet("PSNR of Y, dB, large motion", measured.networks, moving.mean("psnr"), ".2f"))
    return found
