"""Fetches checkpoints into the user's cache folder, and vouches for what lies there."""

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from platformdirs import user_cache_dir

from vs_vrt.errors import CheckpointError
from vs_vrt.state_dict import is_web_page, key_hash, read, sha256_of
from vs_vrt.task import TaskRow

TRIES = 3
PAUSE = 1.0  # seconds before another try
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20

_lock = threading.Lock()


def place(row: TaskRow) -> Path:
    """Where the row's checkpoint lies once it was fetched; `VS_VRT_HOME` names another folder than the usual one.

    Raises `CheckpointError` where the user has no home.
    """
    try:
        home = os.environ.get("VS_VRT_HOME") or user_cache_dir("vs-vrt", appauthor=False)
        return Path(home).expanduser().absolute() / row.checkpoint
    except RuntimeError as error:
        raise CheckpointError(
            f"there is no folder for checkpoints ({error}); name one with `VS_VRT_HOME=`, or pass `weights=`"
        ) from error


def is_file(path: Path) -> bool:
    """Whether a file lies there that we may see: in a folder that is closed to us none does."""
    try:
        return path.is_file()
    except OSError:
        return False


def fetch(row: TaskRow) -> Path:
    """The row's checkpoint, downloaded if it is not there yet. Raises `CheckpointError`, and leaves no part of a file.

    Other processes may fetch the same file: each moves a whole one into place.
    """
    path = place(row)
    with _lock:
        for tries_left in reversed(range(TRIES)):
            if is_file(path) or download(row, path, tries_left):
                break
            time.sleep(PAUSE)
    return path


def download(row: TaskRow, path: Path, tries_left: int) -> bool:
    """Whether the file arrived; False if the connection broke and another try is left. Raises `CheckpointError`."""
    import pooch  # which takes a while to import
    from requests import HTTPError, RequestException

    def get(url: str, part: str, _: object) -> None:
        receive(url, Path(part), row.checkpoint)
        if reason := objection(row, Path(part)):
            raise refusal(row, reason)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files = pooch.create(path.parent, base_url="", registry={path.name: None}, urls={path.name: row.url})
        files.fetch(path.name, downloader=get)
    except HTTPError as error:
        raise refusal(row, str(error).partition(" for url")[0]) from error
    except RequestException as error:
        if not tries_left:
            raise refusal(row, cause(error)) from error
        return False
    except OSError as error:
        raise CheckpointError(
            f"{row.checkpoint} cannot be stored in {path.parent} ({cause(error)}); "
            "name another folder with `VS_VRT_HOME=`, or pass `weights=`"
        ) from error
    return True


def receive(url: str, part: Path, name: str) -> None:
    """Writes what the server sends to `part`. Raises what requests raises, for a connection that ends early too."""
    import requests

    # pooch's own downloader leaves the connection open when something goes wrong.
    with requests.get(url, stream=True, timeout=TIMEOUT) as response, part.open("wb") as file:
        response.raise_for_status()
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else 0
        for chunk in tell(response.iter_content(CHUNK), size, name):
            file.write(chunk)


def tell(chunks: Iterable[bytes], size: int, name: str) -> Iterator[bytes]:
    """The chunks, and lines on stderr, as stdout belongs to the frames: one a second on a terminal, one at the end."""
    done, told = 0, time.monotonic()
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if sys.stderr and sys.stderr.isatty() and time.monotonic() - told >= 1:
            told = time.monotonic()
            sys.stderr.write(f"vrt: {name}: {done / 1e6:.1f} of {size / 1e6:.1f} MB\r")
    if sys.stderr:
        sys.stderr.write(f"vrt: {name}: {done / 1e6:.1f} MB came\n")


def refusal(row: TaskRow, reason: str) -> CheckpointError:
    """The error of a download that will not succeed."""
    return CheckpointError(
        f"{row.checkpoint} cannot be downloaded ({reason}); get `{row.url}` by other means and pass `weights=`"
    )


def cause(error: BaseException) -> str:
    """What went wrong in the first place: libraries wrap it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check(row: TaskRow) -> None:
    """Raises `CheckpointError` where the file in the cache folder is not the published one, or has changed since."""
    path = place(row)
    try:
        reason = objection(row, path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); `check the path`") from error
    if reason:
        remedy = f"`delete it` and {path.name}.sha256, and it is fetched anew"
        remedy = remedy if row.url else f"get it again from `{row.page}`"
        raise CheckpointError(f"{path} is not the right file ({reason}); {remedy}")


def objection(row: TaskRow, file: Path) -> str:
    """Why `file` is not the row's checkpoint, or nothing; then its sha256 is noted and holds from there on."""
    note = place(row).with_name(f"{row.checkpoint}.sha256")
    noted = re.findall(r"^[0-9a-f]{64}\b", note.read_text(errors="replace")) if note.is_file() else []
    if is_web_page(file):
        return "a web page came instead"
    digest = sha256_of(file)
    if not digest.startswith(row.sha256):
        return f"its sha256 begins with {digest[:8]}, not with {row.sha256[:8]}"
    if noted and noted[0] != digest:
        return f"it is another one than at first, whose sum is in {note.name}"
    if not row.sha256 and not noted and row.keys != keys_of(file):
        return "its tensors have other names or shapes"
    if not noted:
        with contextlib.suppress(OSError):  # a folder that others filled may be closed to us
            note.write_text(f"{digest}  {row.checkpoint}\n")
    return ""


def keys_of(file: Path) -> str:
    """The hash of the file's keys, or nothing where it is no checkpoint."""
    try:
        return key_hash(read(file))
    except CheckpointError:
        return ""
