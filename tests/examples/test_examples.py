"""Every example runs as its first lines say."""

import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from vs_vrt.video.footage import read_frames, write_png

ROOT = Path(__file__).parents[2]
SIZE, FRAMES = (64, 96), 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a short clip in it."""
    path = tmp_path_factory.mktemp("demo folder")
    row, column = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    with av.open(str(path / "a clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for n in range(FRAMES):
            wave = 127 + 100 * np.sin((row + 2 * column + 6 * n) / 9)
            picture = np.stack([wave] * 3, -1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def run(home: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "examples" / arguments[0], *arguments[1:]],
        cwd=folder,
        env=home | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_demo_with_a_known_truth(vapoursynth_home: dict[str, str], folder: Path) -> None:
    done = run(vapoursynth_home, folder, "demo.py", "--input", "a clip.mp4", "--frames", "3", "--truth")
    assert done.returncode == 0, done.stderr
    assert re.search(r"PSNR of Y over 3 frames: bicubic \d+\.\d+ dB, restored \d+\.\d+ dB", done.stdout)
    restored = list(read_frames(folder / "demo" / "out.mkv"))
    assert [frame.shape for frame in restored] == [(*SIZE, 3)] * 3
    (picture,) = read_frames(folder / "demo" / "compare.png")
    assert picture.shape[1] == 3 * SIZE[1]


def test_demo_of_a_users_file(vapoursynth_home: dict[str, str], folder: Path) -> None:
    done = run(vapoursynth_home, folder, "demo.py", "--input", "a clip.mp4")
    assert done.returncode == 0, done.stderr
    assert f"as many of {FRAMES} frames as fit in 60 s" in done.stdout
    restored = list(read_frames(folder / "demo" / "out.mkv"))
    assert [frame.shape for frame in restored] == [(4 * SIZE[0], 4 * SIZE[1], 3)] * FRAMES


def test_time_that_is_up_ends_the_pipe_after_the_least_number_of_frames(
    vapoursynth_home: dict[str, str], folder: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from parts.clips import load; from parts import pipe\n"
        "pipe.SCRIPT = sys.argv[1]; p = Path('a clip.mp4')\n"
        "pipe.restore(p, load(p), Path('early.mkv'), None, 0.001)"
    )
    script = folder / "slow.vpy"
    script.write_text(
        "import time, vapoursynth as vs\n"
        "c = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=500)\n"
        "c.std.FrameEval(lambda n: (time.sleep(0.02), c)[1]).set_output()"
    )
    environment = vapoursynth_home | {"PYTHONPATH": str(ROOT / "examples"), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 8 <= len(list(read_frames(folder / "early.mkv"))) < 250


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--input", "none.mp4"), "vrt: there is no file none.mp4; give one, `make demo INPUT=clip.mp4`"),
        (("--frames", "many"), "vrt: --frames is many; give `all`, or a number from 1 up"),
        (("--input", "no.mp4"), "vrt: no.mp4 cannot be read as video"),
    ],
)
def test_demo_explains(
    arguments: tuple[str, ...], complaint: str, vapoursynth_home: dict[str, str], folder: Path
) -> None:
    (folder / "no.mp4").write_text("no video")
    done = run(vapoursynth_home, folder, "demo.py", *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(complaint)
    assert "Traceback" not in done.stderr


def test_shrink_and_compare(vapoursynth_home: dict[str, str], folder: Path) -> None:
    assert run(vapoursynth_home, folder, "shrink.py", "a clip.mp4", "small.mkv").returncode == 0
    assert [frame.shape[:2] for frame in read_frames(folder / "small.mkv")] == [(SIZE[0] // 4, SIZE[1] // 4)] * FRAMES
    done = run(vapoursynth_home, folder, "compare.py", "small.mkv", "a clip.mp4", "a clip.mp4", "--png", "same.png")
    assert "restored inf dB" in done.stdout, done.stderr


def test_preview(vapoursynth_home: dict[str, str], folder: Path) -> None:
    def piped(*variables: str) -> bytes:
        given = [word for each in (f"input={folder / 'a clip.mp4'}", *variables) for word in ("-a", each)]
        command = [Path(sys.executable).with_name("vspipe"), *given, ROOT / "examples" / "preview.vpy", "-"]
        done = subprocess.run(command, env=vapoursynth_home, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    preview, exact = piped(), piped("exact=1")
    assert len(preview) == len(exact) == FRAMES * 3 * 16 * SIZE[0] * SIZE[1]
    assert preview != exact
    pictures = [np.frombuffer(each, np.uint8).astype(float) for each in (preview, exact)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 4


def test_the_sample_renders(vapoursynth_home: dict[str, str]) -> None:
    code = "from make_sample import sample; c = sample(); print(c.width, c.height, c.num_frames)"
    environment = vapoursynth_home | {"PYTHONPATH": str(ROOT / "examples")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1280", "720", "48"]


def test_png_round_trip(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    write_png(tmp_path / "a.png", picture)
    (read,) = read_frames(tmp_path / "a.png")
    assert np.array_equal(read, picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
