"""`vs-vrt weights`: which checkpoints there are, and those on this machine."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from vs_vrt import downloads
from vs_vrt.checkpoint import given, locate, owners_of
from vs_vrt.cli.ends import errors_in_a_line
from vs_vrt.errors import ArgumentError, CheckpointError
from vs_vrt.state_dict import read, sha256_of
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

NON_COMMERCIAL = "BY-NC"  # in the name of a licence

app = typer.Typer(no_args_is_help=True)

Commercial = Annotated[bool, typer.Option("--commercial", help="Leave out what must not be used commercially.")]


@app.callback()
def weights() -> None:
    """Checkpoints of the networks: list, get, import, verify, where."""


@app.command("list")
def list_(
    task: Annotated[str | None, typer.Option(help="sr4, deblur, denoise, decompress or vfi.")] = None,
    commercial: Commercial = False,
) -> None:
    """Every model: what it suits, its licence, its size, and whether its checkpoint is here."""
    with errors_in_a_line():
        rows = [row for row in allowed(commercial) if task in (None, row.task)]
        if not rows:
            raise ArgumentError(f"unknown task {task!r}; `--task {'|'.join(sorted({row.task for row in TASKS}))}`")
        table = Table("task", "model", "licence", "MB", "here", "suits", box=None, pad_edge=False)
        for row in rows:
            size = row.size or (locate(row, None).stat().st_size if row.bundled else 0)
            table.add_row(row.task, row.model, row.license, f"{size / 1e6:.0f}" if size else "?", here(row), row.suits)
        Console(width=None if os.isatty(1) else 200).print(table)


@app.command()
def get(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...", help="As `list` names them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every model that can be downloaded.")] = False,
    commercial: Commercial = False,
) -> None:
    """Downloads checkpoints into the cache folder and verifies them; what is there already stays."""
    with errors_in_a_line():
        if bool(models) == everything:
            raise ArgumentError("which models is not said; `vs-vrt weights get MODEL`, or `--all`")
        rows = [row for row in allowed(commercial) if row.url] if everything else chosen(models or [], commercial)
        for row in rows:
            path = locate(row, None)
            if not row.bundled:
                path = downloads.fetch(row) if row.url else path
                downloads.check(row)
            typer.echo(f"{row.model}: {path}")


@app.command("import")
def import_(file: Annotated[Path, typer.Argument(metavar="FILE", help="A .pth or .safetensors file.")]) -> None:
    """Recognises whose checkpoint a file is, and copies it to where that model looks for it."""
    with errors_in_a_line():
        path = given(str(file))
        row = owner_of(path)
        target = downloads.place(row)
        if downloads.is_file(target):
            downloads.check(row)
            raise ArgumentError(f"{row.model} has its checkpoint already; `vs-vrt weights verify {row.model}`")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.copyfile(path, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        downloads.check(row)
        typer.echo(f"{row.model}: {target}; {row.call}")


@app.command()
def verify(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...", show_default="all that are here")] = None,
) -> None:
    """Reads checkpoints again and compares them with what is published, or with what they were at first."""
    with errors_in_a_line():
        rows = chosen(models, False) if models else [row for row in TASKS if here(row) == "yes"]
        for row in rows:
            if not row.bundled:
                if not downloads.is_file(downloads.place(row)):
                    raise CheckpointError(f"{row.model} is not here; `vs-vrt weights get {row.model}`")
                downloads.check(row)
            typer.echo(f"{row.model}: as it should be")


@app.command()
def where() -> None:
    """The folder of downloaded checkpoints; `VS_VRT_HOME` names another."""
    with errors_in_a_line():
        typer.echo(downloads.place(TASKS[0]).parent)


def allowed(commercial: bool) -> list[TaskRow]:
    """All rows, or those whose checkpoints may be used commercially."""
    return [row for row in TASKS if not (commercial and NON_COMMERCIAL in row.license)]


def chosen(models: Sequence[str], commercial: bool) -> list[TaskRow]:
    """The rows of these names. Raises `ArgumentError`."""
    rows = []
    for model in models:
        row = next((row for row in TASKS if row.model == model), None)
        if row is None:
            raise ArgumentError(f"unknown model {model!r}; `vs-vrt weights list`")
        if row not in allowed(commercial):
            raise ArgumentError(f"{model} is {row.license}: not for commercial use; `vs-vrt weights list --commercial`")
        rows.append(row)
    return rows


def here(row: TaskRow) -> str:
    """Whether the row's checkpoint is on this machine."""
    if row.bundled:
        return "in the package"
    return "yes" if downloads.is_file(downloads.place(row)) else ""


def owner_of(path: Path) -> TaskRow:
    """The row whose checkpoint a file is: of several with the same tensors, by its sum or its name.

    Raises `CheckpointError` for a file of no model, of several, or one that is not the published one.
    """
    owners = [row for row in owners_of(read(path)) if not row.bundled]
    if not owners:
        raise CheckpointError(f"{path.name} has the tensors of no model here; `vs-vrt weights list` names them")
    digest = sha256_of(path)
    same = [row for row in owners if row.sha256 and digest.startswith(row.sha256)]
    same = same or [row for row in owners if not row.sha256 and (row.checkpoint == path.name or len(owners) == 1)]
    if len(same) == 1:
        return same[0]
    names = ", ".join(row.model for row in owners)
    raise CheckpointError(
        f"{path.name} fits {names}, and is not known to be the published checkpoint of one; "
        f'`core.vrt.Restore(clip, model="{owners[0].model}", weights="{path}")` uses it as it is'
    )
