"""How long one forward of each network takes on a CPU and how much memory, beside the published implementation.

    python -m benchmarks.networks [--only NAME] [--threads 2]

NAME is a model of the task table. Each network runs in a fresh process, with random weights, as the plugin runs it.
The time is the median of three calls after one that warms up. Memory is the resident set at its largest, torch and
the weights included, and the same before the first call, in GB of 10^9 bytes. The published figures are those of the
authors' code on two cores with torch 2.13, its deformable convolution written in Python, and vary by half. To compare
machines, the last line is what the convolutions of BasicVSR's recurrent trunks take here by themselves, in the plain
way: the published 3.4 s hold them, the flow and the upsampling.
"""

import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from vs_vrt.tasks import TASKS


@dataclass(frozen=True)
class Case:
    """A network, what it is given, and what the published implementation takes for that."""

    model: str
    shape: tuple[int, int, int, int]  # t c h w
    published_seconds: float | None = None
    published_gb: float | None = None
    repeats: int = 3  # 0: the first call counts, as nobody waits for four


CASES = (
    Case("vrt-reds-6", (6, 3, 64, 64), 21.5, 1.9),
    Case("vrt-reds-16", (8, 3, 64, 64), 33.1),
    Case("vrt-vimeo", (8, 3, 64, 64), 35.0),
    Case("vrt-dvd", (6, 3, 64, 64), 13.6),
    Case("vrt-davis", (6, 4, 64, 64), 12.7),
    Case("vrt-vfi", (4, 3, 64, 64), 7.35),
    Case("basicvsr", (10, 3, 64, 64), 3.4, 0.85),
    Case("iconvsr", (10, 3, 64, 64), 5.6),
    Case("basicvsrpp", (10, 3, 64, 64), 5.9, 0.95),
    Case("basicvsrpp-gopro", (10, 3, 256, 256), 6.72),
    Case("realbasicvsr", (10, 3, 64, 64), 3.6),
    Case("mana", (7, 3, 64, 64), 1.9, 1.5),
    Case("mana", (7, 3, 180, 320), repeats=0),
)


@dataclass(frozen=True)
class Result:
    """What one network takes."""

    parameters: int
    seconds: float
    peak_gb: float
    built_gb: float  # before the first call


def peak_gb() -> float:
    """The largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(case: Case, threads: int) -> Result:
    """Runs in a fresh process; the parent never imports torch, as a child's peak starts at its parent's size."""
    import torch

    from vs_vrt.restorer import build, channels_last

    torch.set_num_threads(threads)
    row = next(row for row in TASKS if row.model == case.model)
    network = channels_last(build(row).eval().requires_grad_(False))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    video = torch.rand(1, *case.shape)
    built = peak_gb()
    times = []
    with torch.inference_mode():
        for _ in range(1 + case.repeats):
            start = time.perf_counter()
            network(video)
            times.append(time.perf_counter() - start)
    return Result(parameters, statistics.median(times[1:] or times), peak_gb(), built)


def in_fresh_process[**P, R](function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Raises `BrokenProcessPool` where the system ends it, as it does when memory runs out."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def plain_trunks(threads: int) -> float:
    """Seconds, the median of three, for the 3x3 convolutions of 30 blocks, 2 directions and 10 frames of 64x64."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    weight, times = 0.03 * torch.randn(64, 64, 3, 3), []
    with torch.inference_mode():
        for _ in range(4):
            x, start = torch.rand(1, 64, 64, 64), time.perf_counter()
            for _ in range(10 * 2 * 30):
                x = x + F.conv2d(F.relu(F.conv2d(x, weight, padding=1)), weight, padding=1)
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def describe(case: Case, result: Result, threads: int) -> dict[str, Any]:
    """One JSON object."""
    ratio = result.seconds / case.published_seconds if case.published_seconds else None
    facts = asdict(result) | {"published_seconds": case.published_seconds, "ratio": ratio}
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in facts.items()}
    shape = "x".join(map(str, (1, *case.shape)))
    return {"model": case.model, "input": shape, "threads": threads, **rounded, "published_gb": case.published_gb}


def table(rows: list[dict[str, Any]]) -> Table:
    """The same for people."""
    columns = {
        "model": "model",
        "input": "input",
        "parameters": "parameters",
        "seconds": "s",
        "published_seconds": "published s",
        "ratio": "ratio",
        "peak_gb": "GB",
        "published_gb": "published GB",
        "built_gb": "GB built",
    }
    found = Table(*columns.values())
    for row in rows:
        found.add_row(*("" if row[column] is None else f"{row[column]}" for column in columns))
    return found


def main(
    only: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    threads: Annotated[int, typer.Option()] = 2,
) -> None:
    """Prints one JSON object per network, then a table."""
    cases = [case for case in CASES if only in (None, case.model)]
    if not cases:
        raise typer.BadParameter(f"no network {only}; there are {', '.join(dict.fromkeys(c.model for c in CASES))}")
    rows = []
    for case in cases:
        rows.append(describe(case, in_fresh_process(measure, case, threads), threads))
        typer.echo(json.dumps(rows[-1]))
    Console(width=140).print(table(rows))
    typer.echo(json.dumps({"plain_trunks_seconds": round(in_fresh_process(plain_trunks, threads), 3)}))


if __name__ == "__main__":
    typer.run(main)
