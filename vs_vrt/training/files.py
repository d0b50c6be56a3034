"""Files of a run: each is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from vs_vrt.errors import ArgumentError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Where `path` is written. Raises `ArgumentError` where it cannot be."""
    try:
        yield
    except OSError as error:
        raise ArgumentError(
            f"{path} cannot be written ({error.strerror}); `--out` a folder with room for it, or make some"
        ) from error


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """For one run at a time; made where it is missing. Raises `ArgumentError` where another has it, or none can."""
    lock = FileLock(folder / ".lock")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            remedy = f"`--out` another folder; where no run is left, `rm {lock.lock_file}`"
            raise ArgumentError(f"another run writes to {folder}; {remedy}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A name to write to: the file takes that of `path`, and the place of an older one, only when it is complete.

    Raises as `writing`.
    """
    other = path.with_name(f"{path.name}.tmp")
    with writing(path):
        try:
            yield other
            other.replace(path)
        finally:
            with suppress(OSError):
                other.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """The same, as an open file, which is on the disk before it takes its name."""
    with unfinished(path) as other, other.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
