"""vsview opens a script and shows its frames, without a screen. `pip install vsview`, and on Debian the packages
libpulse0, libasyncns0, libsndfile1, libegl1 and libgl1.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support import ROOT
from vs_vrt.video.footage import read_frames

SIZE, FRAMES = (64, 96), 24  # of the source
SCRIPT = ROOT / "examples" / "preview.vpy"
SESSION = Path(__file__).with_name("vsview_session.py")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(importlib.util.find_spec("vsview") is None, reason="vsview is not installed"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A short clip, brighter with every frame."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for n in range(FRAMES):
            picture = np.full((*SIZE, 3), 20 + 8 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def session(folder: Path, source: Path, frames: list[int], *variables: str) -> tuple[str, Path]:
    """What was printed when these frames had been looked at, and a picture of the window."""
    picture = folder / "window.png"
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_CACHE_HOME": str(folder), "VSVIEW_NO_DOTENV": "1"}
    done = subprocess.run(
        [sys.executable, SESSION, SCRIPT, picture, f"input={source}", *variables, "--", *map(str, frames)],
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr, picture


@pytest.mark.parametrize(
    ("variables", "windows"), [((), [0, 20, 19, 7]), (("exact=1",), [0])], ids=["preview", "exact"]
)
def test_vsview_shows_frames(variables: tuple[str, ...], windows: list[int], source: Path, tmp_path: Path) -> None:
    told, picture = session(tmp_path, source, [20, 19, 7], *variables)
    assert "Content loaded successfully" in told
    assert "ERROR" not in told, told
    assert [int(line.split()[1]) for line in told.splitlines() if line.startswith("shows ")] == [0, 20, 19, 7]
    # Each of those frames by itself, or all of them in the one window that there is.
    assert [int(line.split()[1]) for line in told.splitlines() if line.startswith("window ")] == windows
    (window,) = read_frames(picture)
    height, width = window.shape[:2]
    middle = window[height // 2 - 30 : height // 2 - 10, width // 2 - 20 : width // 2 + 20]
    np.testing.assert_allclose(middle, 20 + 8 * 7, atol=8)
