"""How fast operations and networks are on this machine, beside what it can reach, the references, and others.

    python -m benchmarks [--quick] [--only NAME] [--threads N] [--device cpu|cuda] [--out FILE]

About twelve minutes on two cores; `--quick` takes less than one, with a few cases in fp32. NAME is an operation or a
model. Prints JSON, and tables on stderr. A full run is kept in benchmarks/results, one file a machine, from which
`python -m benchmarks.readme` writes README's table; a part is kept only where `--out` says so. It needs Linux, which
tells what memory a process takes.

Each row is measured in a fresh process. Its times are medians, in seconds, of what is run in turn there: "ours", the
"reference" (the same without our kernels; of an attention, step by step) and, where it is installed, "torchvision".
`to_...` is our time over another. `flop_share` and `bytes_share` are what is reached of the machine's ceilings:
the largest rate of products in that precision, and that of a copy. On a CPU, memory is the resident set of the process
at its largest in our first call, torch included, of operations what comes on top; on a GPU it is that of tensors.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from benchmarks import machine, networks, operations, plugin, report
from benchmarks.processes import in_fresh_process, on_engine
from vs_vrt.errors import DeviceError

RESULTS = Path(__file__).parent / "results"
BUDGETS = {"operations": 1.0, "networks": 8.0, "plugin": 18.0}  # seconds that a row is measured, once it is warm
OTHERS = ("reference", "torchvision", "published")

type Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A row of the result."""

    kind: str  # of BUDGETS
    name: str
    input: str
    precision: str
    function: Callable[..., Row]
    arguments: tuple[Any, ...]


def jobs(device: str, threads: int, precisions: tuple[str, ...], quick: bool) -> Iterator[Job]:
    """Everything that is measured on a device, or what `--quick` measures of it."""
    is_gpu = device != "cpu"
    chosen = precisions[:1] if quick else precisions
    for index, operation in enumerate(operations.operations(device.partition(":")[0])):
        for precision in chosen if operation.quick or not quick else ():
            given = operations.measure, device, threads, index, device, precision
            yield Job("operations", operation.name, operation.input, precision, on_engine, given)
    for network in networks.CASES:
        if (quick and not network.quick) or (network.gpu and not is_gpu):
            continue
        for precision in chosen[:1] if network.sibling and not is_gpu else chosen:
            given = networks.measure, device, threads, network, device, precision
            yield Job("networks", network.model, network.input, precision, on_engine, given)
    for clip in plugin.CASES:
        for precision in () if quick or (clip.gpu and not is_gpu) else chosen:
            yield Job("plugin", clip.model, clip.input, precision, plugin.measure, (clip, device, threads, precision))


def measured(job: Job, ceilings: dict[str, Any], quick: bool) -> Row:
    """The row; where it cannot be had, why not."""
    try:
        row = in_fresh_process(job.function, *job.arguments, BUDGETS[job.kind] / (4 if quick else 1))
    except Exception as error:  # one row that fails, as where memory or VapourSynth is missing, leaves the others
        reason = (str(error).splitlines() or [""])[0][:200]
        said = {"input": job.input, "precision": job.precision, "error": f"{type(error).__name__}: {reason}"}
        return {"operation" if job.kind == "operations" else "model": job.name} | said
    return completed(row, ceilings)


def completed(row: Row, ceilings: dict[str, Any]) -> Row:
    """With rates, what they are of the ceilings, and ratios; numbers have four digits."""
    seconds, rates = row["ours_seconds"], {}
    tops = {
        "flop": max(ceilings["flop_per_second"][row["precision"]].values()),
        "bytes": ceilings["bytes_per_second"],
    }
    if "frames" in row:
        rates["frames_per_second"] = row["frames"] / seconds
    for unit, top in tops.items():
        if unit in row:
            rates |= {f"{unit}_per_second": row[unit] / seconds, f"{unit}_share": row[unit] / seconds / top}
    if "engine_seconds" in row:
        rates["engine_share"] = row["engine_seconds"] / seconds
    for other in OTHERS:
        if row.get(f"{other}_seconds"):
            rates[f"to_{other}"] = seconds / row[f"{other}_seconds"]
    return rounded(row | rates)


def rounded(value: Any) -> Any:
    """Of numbers, four digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def written(found: dict[str, Any]) -> str:
    """JSON with one row a line."""
    parts = []
    for key, value in found.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]"
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="a few cases, in fp32")] = False,
    only: Annotated[str | None, typer.Option(metavar="NAME", help="an operation or a model")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="those that the CPU may use; else all")] = None,
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="else a GPU, where there is one")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="where the JSON is kept")] = None,
) -> None:
    """Measures this machine."""
    if not Path("/proc/self/clear_refs").exists():
        raise SystemExit("vrt: the benchmarks read memory and processor from /proc; `run them on Linux`")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 140, highlight=False)
    threads = threads or machine.cores()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of the processes that measure
    chosen = device or in_fresh_process(machine.best_device)
    try:
        facts, precisions = in_fresh_process(machine.look, chosen, threads)
    except DeviceError as error:
        raise SystemExit(f"vrt: {error}") from None
    todo = [job for job in jobs(chosen, threads, precisions, quick) if only in (None, job.name)]
    if not todo:
        names = dict.fromkeys(job.name for job in jobs(chosen, threads, precisions, quick))
        raise SystemExit(f"vrt: nothing here is called {only}; `--only {'|'.join(names)}`")
    console.print(f"{facts['name']}: {len(todo)} rows; first what the machine can reach")
    used = tuple(dict.fromkeys(job.precision for job in todo))
    ceilings = rounded(in_fresh_process(on_engine, machine.ceilings, chosen, threads, chosen, used))
    found: dict[str, Any] = {"machine": facts, "quick": quick, "ceilings": ceilings}
    found |= {kind: [] for kind in BUDGETS}
    for job in todo:
        found[job.kind].append(measured(job, ceilings, quick))
        console.print(report.line(found[job.kind][-1]))
    for table in report.tables(found):
        console.print(table)
    text = written(found)
    typer.echo(text, nl=False)
    if out or not (quick or only):
        (out or RESULTS / f"{facts['name']}.json").write_text(text)


if __name__ == "__main__":
    typer.run(main)
