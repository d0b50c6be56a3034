"""`vs-vrt restore`: a video file or a folder of images into a restored file."""

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vs_vrt.cli.ends import INTERRUPTED, errors_in_a_line, interruptible
from vs_vrt.errors import ArgumentError


def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video file, or a folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file that is made; its suffix says what kind.")],
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="What to do, with arguments of core.vrt: sr4, or denoise:sigma=20,model=vrt. Several: one by one.",
            show_default="sr4",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1.", show_default="cuda, if any")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or bf16.", show_default="what is safe")] = None,
    codec: Annotated[
        str | None, typer.Option(help="An encoder of FFmpeg.", show_default="libx264, for more than 8 bits libx265")
    ] = None,
    crf: Annotated[float | None, typer.Option(help="Quality, lower is better.", show_default="16")] = None,
    encode: Annotated[
        list[str] | None, typer.Option("--encode", "-e", metavar="KEY=VALUE", help="An option of the encoder.")
    ] = None,
    copy: Annotated[bool, typer.Option(help="Keep sound, subtitles, chapters and attachments.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an unfinished run ended.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT, and begin anew.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell how it goes as lines of JSON on stdout.")] = False,
) -> None:
    """Restores IN into OUT, frame by frame at its own times, with all that is not picture kept as it is."""
    from vs_vrt.cli.job import Job, run

    with errors_in_a_line(), interruptible() as asked:
        options = dict(pair(each, "-e") for each in encode or [])
        if crf is not None:
            options["crf"] = f"{crf:g}"
        common = {"device": device, "precision": precision}
        calls = [call_of(each, {key: value for key, value in common.items() if value}) for each in task or ["sr4"]]
        job = Job(
            source=source,
            out=out,
            calls=calls,
            codec=codec,
            options=options,
            copies=copy,
            resume=resume,
            overwrite=overwrite,
        )
        with Lines() if as_json else Bar(quiet) as watcher:
            finished = run(job, watcher, asked)
        if not finished:
            typer.echo("vrt: stopped; what is finished is kept: `--resume` goes on", err=True)
            raise typer.Exit(INTERRUPTED)


def call_of(text: str, common: dict[str, Any]) -> Any:
    """`task` or `task:key=value,key=value`. Raises `ArgumentError`."""
    from vs_vrt.filters.chain import Call

    task, _, rest = text.partition(":")
    given = dict(pair(each, "--task") for each in rest.split(",")) if rest else {}
    return Call(task, common | {key: value_of(value) for key, value in given.items()})


def pair(text: str, option: str) -> tuple[str, str]:
    """`key=value`. Raises `ArgumentError`."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ArgumentError(f"{option} {text} is no KEY=VALUE; `{option} {key or 'key'}=value`")
    return key, value


def value_of(text: str) -> int | float | str:
    """A number where it is one."""
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


class Bar:
    """Shows how a job goes on stderr."""

    def __init__(self, quiet: bool) -> None:
        texts = TextColumn("{task.description}"), TextColumn("{task.fields[rate]}")
        columns = texts[0], BarColumn(), MofNCompleteColumn(), texts[1]
        console = Console(stderr=True)
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=quiet)
        self._quiet, self._is_started = quiet, False

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_started:  # else it would end a line that it never began
            self._progress.stop()

    def begins(self, job: Any, summaries: Sequence[str], frames: int, done: int) -> None:
        """Says the plans."""
        if not self._quiet:
            for line in summaries:
                self._progress.console.print(f"vrt: {line}", highlight=False)
        self._progress.start()
        self._is_started = True
        self._start, self._done = time.monotonic(), done
        self._bar = self._progress.add_task(job.out.name, total=frames, completed=done, rate="")

    def frame(self, n: int) -> None:
        """One more, and how fast they come."""
        rate = (n + 1 - self._done) / (time.monotonic() - self._start)
        self._progress.update(self._bar, completed=n + 1, rate=f"{rate:.2f} frames/s")

    def joins(self) -> None:
        """What comes takes a moment."""
        self._progress.update(self._bar, description="putting the file together")


class Lines:
    """Tells how a job goes as lines of JSON on stdout."""

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begins(self, job: Any, summaries: Sequence[str], frames: int, done: int) -> None:
        """Says the plans."""
        self._say(event="begins", out=str(job.out), frames=frames, done=done, plan=list(summaries))

    def frame(self, n: int) -> None:
        """One more."""
        self._say(event="frame", n=n)

    def joins(self) -> None:
        """All are made."""
        self._say(event="joins")

    def _say(self, **what: object) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()
