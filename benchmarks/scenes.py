"""How well the scene detector tells cuts from motion, on footage whose shots are known.

    python -m benchmarks.scenes FOLDER [FOLDER ...] [--joins 8] [--json FILE]

Each folder holds video files and folders of images, each of them a single shot. Three questions are asked of all of
them together:

- Inside a shot, at several sizes: the distance of every two neighbouring frames, and of frames two and three apart,
  which is what faster motion looks like. None of them is a cut.
- Across a join: for every ordered pair of shots at random offsets, at several sizes; for every pair, which has no order
  to the detector, where the two are equally light, and where they are least apart of many offsets. All are cuts.
- In transitions made from the shots: cross-fades, fades to black and to white, flashes. No answer is wrong there; the
  table says what the detector does.

Then the time for a pair, beside what the compact network takes for a frame of that size.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from vs_vrt.checkpoint import locate
from vs_vrt.restorer import Restorer
from vs_vrt.scenes import DEFAULT_THRESHOLD, distance
from vs_vrt.tasks import TASKS
from vs_vrt.video.footage import footage, read_frames

type Size = tuple[int, int] | None  # height and width; None: as filmed
SIZES: dict[str, Size] = {"213x120": (120, 213), "320x180": (180, 320), "640x360": (360, 640), "as filmed": None}
GRID = 8  # frames of each shot, when the least distance is looked for
FADES = (2, 3, 4, 6, 8, 12, 24)


@dataclass
class Shot:
    """What is kept of a shot: some frames as filmed, and all of them small. 8 bits, `(c h w)`."""

    name: str
    sampled: list[Tensor]
    small: list[Tensor]


@dataclass(frozen=True)
class Row:
    """Distances of one kind of pair."""

    kind: str
    size: str
    distances: list[float]

    def facts(self) -> dict[str, Any]:
        """One line of the table."""
        found = np.array(self.distances)
        least, low, median, high, most = (round(float(q), 3) for q in np.percentile(found, (0, 1, 50, 99, 100)))
        cut = int((found > DEFAULT_THRESHOLD).sum())
        facts = {"kind": self.kind, "size": self.size, "pairs": len(found)}
        return facts | {"least": least, "1 %": low, "median": median, "99 %": high, "most": most, "cuts": cut}


def resized(frame: Tensor, size: Size) -> Tensor:
    """`(3 h w) -> (3 h' w')`, 8 bits, by area."""
    if size is None or size == frame.shape[-2:]:
        return frame
    return F.interpolate(frame[None].float(), size, mode="area")[0].round().byte()


def apart(a: Tensor, b: Tensor) -> float:
    """The distance of two frames of 8 bits."""
    return distance(a.float() / 255, b.float() / 255)


def read(path: Path, samples: int, random: np.random.Generator) -> Shot:
    """A shot, and `samples` frames of it in a random order."""
    frames = [torch.from_numpy(frame).permute(2, 0, 1).contiguous() for frame in read_frames(path)]
    sampled = [frames[i] for i in random.integers(len(frames), size=samples)]
    return Shot(path.stem, sampled, [resized(frame, SIZES["320x180"]) for frame in frames])


def inside(path: Path) -> Iterator[tuple[str, str, float]]:
    """`-> (kind, size, distance)` of the frames of one shot."""
    earlier: list[Tensor] = []
    for frame in read_frames(path):
        whole = torch.from_numpy(frame).permute(2, 0, 1).contiguous()
        for name, size in SIZES.items():
            if earlier:
                yield "neighbours", name, apart(resized(earlier[-1], size), resized(whole, size))
        for steps in (2, 3):
            if len(earlier) >= steps:
                small = (resized(each, SIZES["320x180"]) for each in (earlier[-steps], whole))
                yield f"{steps} apart", "320x180", apart(*small)
        earlier = [*earlier[-2:], whole]


def inside_rows(paths: list[Path]) -> tuple[list[Row], list[str]]:
    """The rows of all shots, and in words where the largest distances of neighbours are."""
    rows: dict[tuple[str, str], list[float]] = {}
    largest: list[tuple[float, str]] = []
    for path in track(paths, "inside shots"):
        mine: dict[tuple[str, str], list[float]] = {}
        for kind, size, found in inside(path):
            mine.setdefault((kind, size), []).append(found)
        for key, found_here in mine.items():
            rows.setdefault(key, []).extend(found_here)
        neighbours = mine["neighbours", "as filmed"]
        n = int(np.argmax(neighbours))
        largest.append((neighbours[n], f"{path.stem}: {neighbours[n]:.3f} after frame {n}"))
    kinds = [Row(kind, size, found) for (kind, size), found in sorted(rows.items())]
    return kinds, [words for _, words in sorted(largest, reverse=True)]


def join_rows(shots: list[Shot]) -> Iterator[Row]:
    """Every ordered pair of shots, joined at random offsets."""
    pairs = list(itertools.permutations(shots, 2))
    for name, size in SIZES.items():
        found = []
        for a, b in track(pairs, f"joins, {name}"):
            for first, second in zip(a.sampled, b.sampled[::-1], strict=True):
                common = size or (first.shape[1], first.shape[2])
                found.append(apart(resized(first, common), resized(second, common)))
        yield Row("join", name, found)


def alike_rows(shots: list[Shot]) -> tuple[list[Row], list[str]]:
    """The hardest joins: equally light frames, and the least distance of many offsets, named where it is no cut."""
    light, least, missed = [], [], []
    for a, b in track(list(itertools.combinations(shots, 2)), "joins, alike"):
        means_a, means_b = (np.array([float(f.float().mean()) for f in shot.small]) for shot in (a, b))
        i, j = np.unravel_index(np.abs(means_a[:, None] - means_b[None]).argmin(), (len(means_a), len(means_b)))
        light.append(apart(a.small[i], b.small[j]))
        some = [[shot.small[n] for n in np.linspace(0, len(shot.small) - 1, GRID).astype(int)] for shot in (a, b)]
        least.append(min(apart(x, y) for x, y in itertools.product(*some)))
        if least[-1] <= DEFAULT_THRESHOLD:
            missed.append(f"{a.name} | {b.name}: {least[-1]:.3f}")
    rows = [Row("join, equally light", "320x180", light), Row(f"join, least of {GRID**2}", "320x180", least)]
    return rows, missed


def steps(frames: list[Tensor]) -> list[float]:
    """The distances of neighbours."""
    return [distance(a, b) for a, b in itertools.pairwise(frames)]


def mixed(shot: list[Tensor], into: list[Tensor] | float, length: int) -> list[Tensor]:
    """`length` steps of a linear fade into another shot or a level."""
    parts = [n / length for n in range(length + 1)]
    targets = [torch.full_like(shot[0], into)] * (length + 1) if isinstance(into, float) else into
    return [a * (1 - part) + b * part for a, b, part in zip(shot, targets, parts, strict=False)]


def transition_rows(shots: list[Shot]) -> Iterator[tuple[str, float, float]]:
    """`-> (transition, its largest distance as a median, how many cuts it has on average)`."""
    long = [[frame.float() / 255 for frame in s.small[: max(FADES) + 1]] for s in shots if len(s.small) > max(FADES)]

    def row(name: str, found: list[list[float]]) -> tuple[str, float, float]:
        cuts = [sum(each > DEFAULT_THRESHOLD for each in one) for one in found]
        return name, float(np.median([max(one) for one in found])), float(np.mean(cuts))

    for n in FADES:
        pairs = itertools.permutations(long, 2) if len(long) < 12 else itertools.pairwise(long)
        yield row(f"cross-fade in {n} steps", [steps(mixed(a, b, n)) for a, b in pairs])
    for name, level in (("black", 0.0), ("white", 1.0)):
        for n in FADES:
            yield row(f"fade to {name} in {n} steps", [steps(mixed(a, level, n)) for a in long])
    flashes: dict[str, Callable[[Tensor], Tensor]] = {
        "a frame lighter by 0.2": lambda frame: (frame + 0.2).clamp(0, 1),
        "a frame twice as light": lambda frame: (2 * frame).clamp(0, 1),
        "a frame half as light": lambda frame: 0.5 * frame,
        "a white frame": torch.ones_like,
        "a black frame": torch.zeros_like,
    }
    for name, flash in flashes.items():
        yield row(name, [steps([a[0], flash(a[1]), a[2]]) for a in long])


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Of `repeats` calls after one that warms up."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def timing(h: int, w: int, frames: int = 4) -> dict[str, Any]:
    """Milliseconds for a pair, and the share of what the compact network takes for a frame of that size."""
    row = next(row for row in TASKS if row.bundled)
    restorer = Restorer(row, locate(row, None), torch.device("cpu"), "fp32")
    video = torch.rand(frames, 3, h, w)

    def restore() -> None:
        for frame in restorer.restore(video, [False] * (frames - 1), range(frames)):
            del frame

    pair = median_seconds(lambda: distance(video[0], video[1]), 21)
    network = median_seconds(restore, 1 if h > 500 else 3) / frames
    return {"size": f"{w}x{h}", "pair ms": round(1e3 * pair, 2), "network frame ms": round(1e3 * network, 1)} | {
        "share": round(pair / network, 5)
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """Facts for people."""
    found = Table(*rows[0])
    for row in rows:
        found.add_row(*map(str, row.values()))
    return found


def score(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Recall and precision of each size: joins found, and how many of the cuts found are joins."""
    scores = []
    for size in SIZES:
        joins, others = (
            next(r for r in rows if r["size"] == size and r["kind"] == kind) for kind in ("join", "neighbours")
        )
        found = joins["cuts"] + others["cuts"]
        recall, precision = joins["cuts"] / joins["pairs"], joins["cuts"] / found if found else 1.0
        scores.append({"size": size, "recall": round(recall, 4), "precision": round(precision, 4)})
    return scores


def main(
    folders: list[Path],
    joins: Annotated[int, typer.Option(help="Random offsets for every ordered pair of shots.")] = 8,
    clock: Annotated[bool, typer.Option(help="Take the time, too.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Prints the tables."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    paths = [path for folder in folders for path in footage(folder)]
    within, largest = inside_rows(paths)
    shots = [read(path, joins, random) for path in track(paths, "reading")]
    alike, missed = alike_rows(shots)
    rows = [row.facts() for row in (*within, *join_rows(shots), *alike)]
    columns = "transition", "largest distance, median", "cuts, mean"
    transitions = [dict(zip(columns, (n, round(d, 3), round(c, 2)), strict=True)) for n, d, c in transition_rows(shots)]
    times = [timing(180, 320), timing(1080, 1920, 2)] if clock else []
    report = {"pairs": rows, "scores": score(rows), "transitions": transitions, "times": times}
    console = Console(width=120)
    for part in report.values():
        if part:
            console.print(table(part))
    console.print("largest inside a shot:", *largest[:8], sep="\n  ", highlight=False)
    console.print("least across a join, no cut:", *(missed or ["none"]), sep="\n  ", highlight=False)
    if json_file:
        json_file.write_text(json.dumps(report | {"largest": largest, "missed": missed}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
