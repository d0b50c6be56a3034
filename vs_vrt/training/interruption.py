"""A run may be asked to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

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
