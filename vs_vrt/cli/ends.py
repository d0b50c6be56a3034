"""How a command ends before it is done: by an error, or because it was asked to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

import typer

from vs_vrt.errors import VrtError

INTERRUPTED = 130  # as of a command that Ctrl-C ended: what comes after it in a script is not to begin
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set; who asks a second time is not waited for. For the main thread."""
    asked = Event()
    before = {each: signal.getsignal(each) for each in SIGNALS}

    def put_back() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        asked.set()
        put_back()

    for each in SIGNALS:
        signal.signal(each, ask)
    try:
        yield asked
    finally:
        put_back()


@contextmanager
def errors_in_a_line() -> Iterator[None]:
    """Ends the command with what is wrong, and its remedy, on stderr."""
    try:
        yield
    except VrtError as error:
        typer.echo(f"vrt: {error}", err=True)
        raise typer.Exit(1) from error
