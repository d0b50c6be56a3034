import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Clips of tests are so small that threads of one operation would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
BIN = Path(sys.executable).parent

type Vspipe = Callable[..., subprocess.CompletedProcess[bytes]]


def pytest_configure(config: pytest.Config) -> None:
    """Keeps a GPU out of all tests but its own: the others compare with what the CPU computes."""
    if config.getoption("markexpr") != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Gives a test the same random numbers whichever tests ran before it."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def vapoursynth_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which VSScript finds this Python, whatever the user has configured."""
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config"))}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment.get('PATH', '')}"
    subprocess.run([BIN / "vapoursynth", "config"], env=environment, check=True, capture_output=True)
    return environment


@pytest.fixture
def vspipe(vapoursynth_home: dict[str, str], tmp_path: Path) -> Vspipe:
    """`vspipe(script, *arguments)`: runs the script's text through vspipe, to its stdout."""

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        path = tmp_path / "script.vpy"
        path.write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{script}")
        return subprocess.run(
            [BIN / "vspipe", *arguments, path, "-"], env=vapoursynth_home, capture_output=True, check=False
        )

    return run


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The messages that the core logs during the test."""
    from vapoursynth import core

    messages: list[str] = []
    handler = core.add_log_handler(lambda _, message: messages.append(message))
    messages.clear()  # a first handler is told what was logged before
    yield messages
    core.remove_log_handler(handler)


@pytest.fixture
def _restores_threads() -> Iterator[None]:
    """Lets a test set the number of the core's threads."""
    from vapoursynth import core

    before = core.num_threads
    yield
    core.num_threads = before
