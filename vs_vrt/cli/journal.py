"""What a run has finished: segments in a folder beside the output, and a journal that a crash cannot tear."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vs_vrt.errors import ArgumentError
from vs_vrt.video.footage import image_files

OWN = re.compile(r"\d{6}\.nut|journal\.(json|tmp)")
EDGE = 1 << 20  # bytes of a source's beginning and end that tell it from others


class Journal:
    """Of the run that makes `out`, for what `told` tells of source, settings and plan.

    With `resume` it goes on where an earlier one ended; else there must be none, or `overwrite` throws it away. Raises
    `ArgumentError` where that is not so.
    """

    def __init__(self, out: Path, told: Mapping[str, Any], resume: bool, overwrite: bool) -> None:
        self.folder = out.with_name(f"{out.name}.parts")
        self._file = self.folder / "journal.json"
        self._told = json.loads(json.dumps(told))
        self.segments: list[dict[str, Any]] = []
        if overwrite and not resume:
            self.remove()
        if self._file.exists():
            if not resume:
                raise ArgumentError(
                    f"{self.folder} is an unfinished run; `--resume` goes on, `--overwrite` begins anew"
                )
            self._read()
        self.folder.mkdir(parents=True, exist_ok=True)
        finished = {each["file"] for each in self.segments}
        for path in self._own():  # what was being written when it ended
            if path != self._file and path.name not in finished:
                path.unlink()

    def _read(self) -> None:
        found = json.loads(self._file.read_text())
        changed = [key for key, value in self._told.items() if found["told"].get(key) != value]
        if changed or found["told"].keys() != self._told.keys():
            key = (changed or ["settings"])[0]
            was, now = found["told"].get(key), self._told.get(key)
            raise ArgumentError(
                f"the unfinished run had another {key}: {was}, now {now}; "
                "`--resume` with what it had, or `--overwrite` to begin anew"
            )
        for each in found["segments"]:
            path = self.folder / each["file"]
            if not path.exists() or digest(path) != each["sha256"]:
                break  # from here on all is made again
            self.segments.append(each)

    @property
    def frames(self) -> int:
        """That are finished."""
        return sum(each["frames"] for each in self.segments)

    @property
    def paths(self) -> list[Path]:
        """Of the finished segments."""
        return [self.folder / each["file"] for each in self.segments]

    def next(self) -> Path:
        """Where the next segment goes."""
        return self.folder / f"{len(self.segments):06d}.nut"

    def finish(self, path: Path, frames: int) -> None:
        """Notes a segment once it is on the disk."""
        sync(path)
        self.segments.append({"file": path.name, "frames": frames, "sha256": digest(path)})
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps({"told": self._told, "segments": self.segments}, indent=1))
        sync(temporary)
        temporary.replace(self._file)
        if os.name == "posix":
            sync(self.folder)

    def _own(self) -> list[Path]:
        """Files of runs; others are somebody's."""
        return [path for path in self.folder.iterdir() if OWN.fullmatch(path.name)] if self.folder.is_dir() else []

    def remove(self) -> None:
        """Once its output is complete, or to begin anew."""
        for path in self._own():
            path.unlink()
        with suppress(OSError):  # it is not there, or holds what is not ours
            self.folder.rmdir()


def sync(path: Path) -> None:
    """Waits until a file, or on POSIX a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mark(source: Path) -> str:
    """What tells a source from others, and from itself before it was changed, without reading all of it."""
    found = hashlib.sha256()
    for path in image_files(source) if source.is_dir() else [source]:
        size = path.stat().st_size
        found.update(f"{path.name} {size}".encode() if source.is_dir() else str(size).encode())
        with path.open("rb") as file:
            found.update(file.read(EDGE))
            file.seek(max(0, size - EDGE))
            found.update(file.read(EDGE))
    return found.hexdigest()[:16]
