"""Files of a run: each is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

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
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name, and the place of an older one, only when it is complete. Raises as `writing`."""
    unfinished = path.with_name(f"{path.name}.tmp")
    with writing(path):
        try:
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink()
