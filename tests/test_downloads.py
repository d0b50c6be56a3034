"""Downloads from a server of our own: a whole file that is the published one, or one line of error and nothing."""

import hashlib
import io
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pooch  # noqa: F401  before a test captures stderr, which pooch keeps for its log
import pytest
import torch

from vs_vrt import downloads
from vs_vrt.checkpoint import load, locate, obtain
from vs_vrt.errors import CheckpointError
from vs_vrt.restorer import build
from vs_vrt.state_dict import key_hash
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

BUNDLED = next(row for row in TASKS if row.bundled)
TINY = replace(BUNDLED, model="tiny", config=dict(BUNDLED.config) | {"mid_channels": 4, "num_blocks": 1}, bundled=False)


def checkpoint(number: float) -> bytes:
    buffer = io.BytesIO()
    torch.save(
        {"params": {key: torch.full_like(value, number) for key, value in build(TINY).state_dict().items()}}, buffer
    )
    return buffer.getvalue()


CONTENT, OTHER = checkpoint(0.5), checkpoint(0.25)
SUM = hashlib.sha256(CONTENT).hexdigest()
KEYS = key_hash(build(TINY).state_dict())
PAGE = b"\n<!DOCTYPE html><title>please wait</title>"


class Server(ThreadingHTTPServer):
    """Answers one request after the other as the test says; at last the file."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers: list[Callable[[Answer], None]] = []
        self.requests = 0

    def row(self, **facts: Any) -> TaskRow:
        url = f"http://127.0.0.1:{self.server_port}/files/tiny.pth"
        usual = {"checkpoint": "tiny.pth", "url": url, "sha256": SUM[:8], "keys": KEYS}
        return replace(TINY, **usual | facts)  # type: ignore[arg-type]


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        answer = self.server.answers.pop(0) if self.server.answers else content(CONTENT)
        answer(self)

    def log_message(self, *_: object) -> None:
        pass


def content(body: bytes, promised: int = 0, status: int = 200) -> Callable[[Answer], None]:
    """Sends `body` and hangs up, after having promised more than that, if `promised` says so."""

    def send(answer: Answer) -> None:
        answer.send_response(status)
        answer.send_header("Content-Length", str(promised or len(body)))
        answer.end_headers()
        answer.wfile.write(body)

    return send


def nothing(_: Answer) -> None:
    """Hangs up without a word."""


half = content(CONTENT[: len(CONTENT) // 2], promised=len(CONTENT))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSE", 0)
    return tmp_path / "cache"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refusal(function: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as error:
        function()
    text = str(error.value)
    assert re.fullmatch(r"[^;\n]+; [^\n]*`[^`\n]+`[^\n]*", text), text
    return text


def test_a_file_is_downloaded_once(server: Server, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    row = server.row()
    path = locate(row, None)
    assert server.requests == 0
    assert obtain(row, path) == path == cache / "tiny.pth"
    assert path.read_bytes() == CONTENT
    assert files(cache) == ["tiny.pth", "tiny.pth.sha256"]
    assert obtain(row, path) == path
    assert server.requests == 1
    model = build(TINY)
    load(model, path, row)
    assert float(model.state_dict()["conv_last.bias"][0]) == 0.5
    output = capfd.readouterr()
    assert output.out == ""  # which carries the frames
    assert output.err == f"vrt: tiny.pth: {len(CONTENT) / 1e6:.1f} MB came\n"


def test_the_sum_is_noted_as_sha256sum_does(server: Server, cache: Path) -> None:
    downloads.fetch(server.row())
    assert (cache / "tiny.pth.sha256").read_text() == f"{SUM}  tiny.pth\n"


@pytest.mark.parametrize("broken", [half, nothing], ids=["half", "nothing"])
def test_a_broken_connection_is_tried_again(broken: Callable[[Answer], None], server: Server, cache: Path) -> None:
    server.answers = [broken, broken]
    assert downloads.fetch(server.row()).read_bytes() == CONTENT
    assert server.requests == 3
    assert files(cache) == ["tiny.pth", "tiny.pth.sha256"]


FAILURES: dict[str, tuple[Callable[[Answer], None], str, int]] = {
    "half": (half, r"IncompleteRead\(.*\)", 3),
    "nothing": (nothing, "Remote end closed connection without response", 3),
    "missing": (content(PAGE, status=404), "404 Client Error: Not Found", 1),
    "forbidden": (content(PAGE, status=403), "403 Client Error: Forbidden", 1),
    "broken server": (content(b"", status=500), "500 Server Error: Internal Server Error", 1),
    "page": (content(PAGE), "a web page came instead", 1),
    "empty": (content(b""), f"its sha256 begins with e3b0c442, not with {SUM[:8]}", 1),
    "other": (content(OTHER), rf"its sha256 begins with [0-9a-f]{{8}}, not with {SUM[:8]}", 1),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_did_not_arrive_is_told_and_leaves_nothing(name: str, server: Server, cache: Path) -> None:
    answer, reason, requests = FAILURES[name]
    server.answers = [answer] * 3
    row = server.row()
    text = refusal(lambda: downloads.fetch(row))
    remedy = f"; get `{row.url}` by other means and pass `weights=`"
    assert re.fullmatch(rf"tiny\.pth cannot be downloaded \({reason}\){re.escape(remedy)}", text)
    assert server.requests == requests
    assert files(cache) == []
    server.answers = []
    assert downloads.fetch(row).read_bytes() == CONTENT


def test_a_server_that_is_not_there(server: Server, cache: Path) -> None:
    row = server.row()
    server.shutdown()
    server.server_close()
    assert "cannot be downloaded (Connection refused); get `" in refusal(lambda: downloads.fetch(row))
    assert files(cache) == []


def test_a_machine_without_a_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    row = server.row(url="https://models.example.org/tiny.pth")
    assert "cannot be downloaded (Name or service not known); get `" in refusal(lambda: downloads.fetch(row))


def test_a_folder_that_is_a_file(server: Server, cache: Path) -> None:
    cache.touch()
    text = refusal(lambda: downloads.fetch(server.row()))
    assert text == (
        f"tiny.pth cannot be stored in {cache} (File exists); "
        "name another folder with `VS_VRT_HOME=`, or pass `weights=`"
    )
    assert cache.read_bytes() == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_written(server: Server, cache: Path) -> None:
    cache.mkdir(mode=0o500)
    assert f"tiny.pth cannot be stored in {cache} (Permission denied); " in refusal(
        lambda: downloads.fetch(server.row())
    )
    assert server.requests == 0


def test_a_full_disk(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "receive", fail)
    assert f"tiny.pth cannot be stored in {cache} (No space left on device); " in refusal(
        lambda: downloads.fetch(server.row())
    )
    assert files(cache) == []


# Without a published sum


def test_a_file_without_a_published_sum_is_known_by_its_keys(server: Server, cache: Path) -> None:
    row = server.row(sha256="")
    server.answers = [content(b"\x80\x02nonsense"), content(CONTENT)]
    assert "(its tensors have other names or shapes)" in refusal(lambda: downloads.fetch(row))
    assert "(its tensors have other names or shapes)" in refusal(lambda: downloads.fetch(replace(row, keys="f" * 64)))
    assert files(cache) == []
    assert downloads.fetch(row).read_bytes() == CONTENT
    assert (cache / "tiny.pth.sha256").read_text() == f"{SUM}  tiny.pth\n"


def test_the_sum_of_the_first_file_holds_for_later_ones(server: Server, cache: Path) -> None:
    row = server.row(sha256="")
    path = downloads.fetch(row)
    path.unlink()
    server.answers = [content(OTHER)]
    assert "(it is another one than at first, whose sum is in tiny.pth.sha256)" in refusal(lambda: downloads.fetch(row))
    assert files(cache) == ["tiny.pth.sha256"]
    assert downloads.fetch(row).read_bytes() == CONTENT


# What lies in the folder


@pytest.mark.parametrize("sha256", [SUM[:8], SUM, ""])
def test_a_file_that_was_changed_since_is_not_loaded(sha256: str, server: Server) -> None:
    row = server.row(sha256=sha256)
    path = downloads.fetch(row)
    path.write_bytes(OTHER)
    found = hashlib.sha256(OTHER).hexdigest()[:8]
    published = f"its sha256 begins with {found}, not with {SUM[:8]}"
    noted = "it is another one than at first, whose sum is in tiny.pth.sha256"
    assert refusal(lambda: load(build(TINY), path, row)) == (
        f"{path} is not the right file ({published if sha256 else noted}); "
        "`delete it` and tiny.pth.sha256, and it is fetched anew"
    )


def test_what_the_error_says_of_a_changed_file_works(server: Server) -> None:
    row = server.row(sha256="")  # and so the first file's sum is all that is known
    path = downloads.fetch(row)
    path.unlink()
    path.with_name("tiny.pth.sha256").unlink()
    server.answers = [content(OTHER)]
    load(build(TINY), downloads.fetch(row), row)


def test_a_note_that_is_none_counts_for_nothing(server: Server) -> None:
    row = server.row(sha256=SUM[:8])
    path = downloads.fetch(row)
    path.with_name("tiny.pth.sha256").write_text("garbage\n")
    load(build(TINY), path, row)


@pytest.mark.parametrize("sha256", [SUM[:8], SUM, ""])
def test_a_file_that_was_put_there_by_hand_is_checked_too(
    sha256: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "download", None)
    row = server.row(sha256=sha256)
    cache.mkdir()
    path = cache / "tiny.pth"
    path.write_bytes(PAGE)
    assert "(a web page came instead)" in refusal(lambda: load(build(TINY), path, row))
    path.write_bytes(CONTENT)
    load(build(TINY), obtain(row, path), row)
    assert server.requests == 0
    assert (cache / "tiny.pth.sha256").read_text() == f"{SUM}  tiny.pth\n"


def test_a_file_of_the_users_own_is_not_compared_with_the_published_one(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "tiny.pth"
    path.write_bytes(OTHER)
    load(build(TINY), obtain(server.row(), path), server.row())
    assert server.requests == 0


# Several at once


def test_threads_share_a_download(server: Server) -> None:
    row = server.row()
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(downloads.fetch, [row] * 4))
    assert (len(paths), server.requests) == (1, 1)


def test_processes_that_download_at_once_both_get_a_whole_file(server: Server, cache: Path) -> None:
    both = threading.Barrier(2, timeout=60)

    def together(answer: Answer) -> None:
        both.wait()
        content(CONTENT)(answer)

    server.answers = [together, together]
    row = server.row()
    script = (
        "from dataclasses import replace; from vs_vrt import downloads; from vs_vrt.tasks import TASKS\n"
        f"row = replace(TASKS[0], checkpoint={row.checkpoint!r}, url={row.url!r}, sha256={row.sha256!r})\n"
        "print(downloads.fetch(row))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [output for output, _ in results] == [f"{cache / 'tiny.pth'}\n"] * 2, results
    assert (cache / "tiny.pth").read_bytes() == CONTENT
    assert files(cache) == ["tiny.pth", "tiny.pth.sha256"]


# Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, ticks = Terminal(), (tenth / 10 for tenth in itertools.count())
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(downloads.time, "monotonic", lambda: next(ticks))
    chunks = [bytes(100_000)] * 20
    assert list(downloads.tell(chunks, 2_000_000, "x.pth")) == chunks
    assert terminal.getvalue() == ("vrt: x.pth: 1.0 of 2.0 MB\rvrt: x.pth: 2.0 of 2.0 MB\rvrt: x.pth: 2.0 MB came\n")


def test_a_program_without_stderr_downloads_all_the_same(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert downloads.fetch(server.row()).read_bytes() == CONTENT


def test_the_usual_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VS_VRT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert downloads.place(TINY) == tmp_path / "vs-vrt" / TINY.checkpoint
    monkeypatch.setenv("VS_VRT_HOME", "~/models")
    assert downloads.place(TINY) == Path.home() / "models" / TINY.checkpoint
