"""The command; `benchmarks/quality/__init__.py` says what it does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import benchmarks.quality
from vs_vrt.errors import VrtError

from .cases import CASES, Case
from .clips import clips
from .measure import Job, measure_clip
from .networks import networks
from .pictures import crops, plots
from .report import sheets
from .store import Store


def main(
    folder: Path,
    work: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("build/quality"),
    task: Annotated[str, typer.Option(help="Of a task or of a case, as sr4, denoise, denoise-25.")] = "",
    clip: Annotated[str, typer.Option(help="Clips whose names begin so, separated by commas.")] = "",
    model: Annotated[str | None, typer.Option(help="One network.")] = None,
    weights: Annotated[Path | None, typer.Option(help="A file for it, instead of its own.")] = None,
    frames: Annotated[int | None, typer.Option(help="The first frames of each clip alone, for a quick look.")] = None,
    method: Annotated[str, typer.Option(help="Classic methods, separated by commas; `none`: no one.")] = "",
    run_networks: Annotated[bool, typer.Option("--networks/--no-networks")] = True,
) -> None:
    """Measures what is missing, then writes tables, plots and crops of all that is there."""
    if weights is not None and model is None:
        raise SystemExit("vrt: weights belong to a network; `--model NAME`")
    store = Store(work / ("all" if frames is None else f"first-{frames}"))
    cases = [case for case in CASES if task in ("", case.task, case.name)]
    if not cases:
        raise SystemExit(f"vrt: there is no task {task}; `--task {CASES[0].name}`")
    classic = [job for case in cases for job in classic_jobs(case, method.split(","))]
    try:
        filled = [(case, networks(case.task, model, weights)) for case in cases if run_networks]
    except VrtError as error:
        raise SystemExit(f"vrt: {error}") from error
    own = [Job(case, network) for case, found in filled for network in found]
    found = clips(folder, clip) if folder.is_dir() else []
    refuse(method not in ("", "none") and not classic, f"method {method!r}", "`--method` lanczos, nlmeans, bm3d, …")
    refuse(model is not None and not own, f"checkpoint for model {model!r}", "`--weights FILE`, or another `--model`")
    refuse(not found, f"such clip in {folder}", "another `FOLDER` or `--clip`")
    refuse(frames is not None and frames < 1, f"clip of {frames} frames", "`--frames 8`")
    everything = clips(folder)
    jobs = {path: [job for job in classic + own if path in job.case.of(everything)] for path in found}
    refuse(not any(jobs.values()), "method for these clips", "another `--clip`, or `--task`")
    for path in found:
        for line in measure_clip(path, jobs[path], store, frames):
            typer.echo(line)
    write(store)


def refuse(wrong: bool, what: str, remedy: str) -> None:
    """Ends here, in a line, where something was asked for that is not there."""
    if wrong:
        raise SystemExit(f"vrt: there is no {what}; {remedy}")


def classic_jobs(case: Case, names: Sequence[str]) -> list[Job]:
    """Those that are asked for."""
    return [Job(case, method) for method in case.methods if names == [""] or method.name in names]


def write(store: Store) -> None:
    """Tables, plots and crops."""
    results, report = store.results(), store.folder / "report"
    report.mkdir(parents=True, exist_ok=True)
    tables = sheets(results)
    for table in tables:
        Console(width=200).print(table.rich())
    (report / "quality.md").write_text("\n".join(table.markdown() for table in tables))
    plots(results, report / "plots")
    crops(results, store, report / "crops")
    typer.echo(f"written to {report}")


if __name__ == "__main__":
    main.__doc__ = benchmarks.quality.__doc__
    typer.run(main)
