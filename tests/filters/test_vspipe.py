"""vspipe pipes the stream, the whole stream and nothing but the stream."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import vapoursynth as vs
from vapoursynth import core

from tests.conftest import Vspipe
from tests.support import ROOT, clip_bytes, texture_clip

FRAMES = 7
ARGUMENTS = "length=3, overlap=1"


def script(format: str, arguments: str = ARGUMENTS) -> str:
    return f"""
import vapoursynth as vs
from support import texture_clip
vs.core.vrt.Restore(texture_clip(1, {FRAMES}, vs.{format}), {arguments}).set_output()
"""


def here(format: int) -> list[bytes]:
    """The same frames, restored in this process."""
    return clip_bytes(core.vrt.Restore(texture_clip(1, FRAMES, format), length=3, overlap=1))


def test_y4m_is_a_header_and_the_frames_and_nothing_else(vspipe: Vspipe) -> None:
    result = vspipe(script("YUV420P8"), "-c", "y4m")
    assert result.returncode == 0, result.stderr
    header, _, stream = result.stdout.partition(b"\n")
    magic, *fields = header.decode().split(" ")
    assert magic == "YUV4MPEG2"
    assert {"W128", "H96", "F24:1", "Ip", f"XLENGTH={FRAMES}"} <= set(fields)
    assert [field for field in fields if field.startswith("C420")]
    assert len(stream) == FRAMES * (len("FRAME\n") + 128 * 96 * 3 // 2)
    assert stream == b"".join(b"FRAME\n" + frame for frame in here(vs.YUV420P8))


def test_a_part_of_the_clip_equals_that_part_of_the_whole(vspipe: Vspipe) -> None:
    result = vspipe(script("RGBS"), "--start", "2", "--end", "4")
    assert result.returncode == 0, result.stderr
    red, green, blue = (slice(plane * 128 * 96 * 4, (plane + 1) * 128 * 96 * 4) for plane in range(3))
    # vspipe writes the planes of RGB as green, blue, red.
    assert result.stdout == b"".join(frame[green] + frame[blue] + frame[red] for frame in here(vs.RGBS)[2:5])


def test_info_imports_no_torch_and_asks_for_no_frame(vspipe: Vspipe, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    text = f"""
import pathlib, sys
import vapoursynth as vs
from vapoursynth import core
def ask(n, f):
    pathlib.Path({str(asked)!r}).touch()
    raise RuntimeError("asked")
blank = core.std.BlankClip(format=vs.YUV420P8, width=32, height=24, length={FRAMES})
core.vrt.Restore(blank.std.ModifyFrame(blank, ask)).set_output()
assert "vs_vrt.filters.restore" in sys.modules and "torch" not in sys.modules
"""
    result = vspipe(text, "--info")
    assert result.returncode == 0, result.stderr
    assert {"Width: 128", "Height: 96", f"Frames: {FRAMES}", "Format Name: YUV420P8"} <= set(
        result.stdout.decode().splitlines()
    )
    assert not asked.exists()
    assert vspipe(text).returncode == 1
    assert asked.exists()  # whoever asks is noticed


def test_an_error_at_evaluation_goes_to_stderr_with_its_place(vspipe: Vspipe) -> None:
    result = vspipe(script("YUV420P8", 'task="sr5"'), "-c", "y4m")
    assert (result.returncode, result.stdout) == (1, b"")
    lines = result.stderr.decode().splitlines()
    assert "Python exception: vrt: unknown task 'sr5'; did you mean `task=\"sr4\"`?" in lines
    assert [line for line in lines if line.startswith("Warning: vrt: raised at filters/arguments.py:")]


def test_an_error_at_a_frame_goes_to_stderr_with_its_place(vspipe: Vspipe, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "x.pth")
    result = vspipe(script("RGBS", f"weights={str(tmp_path / 'x.pth')!r}"))
    assert (result.returncode, result.stdout) == (1, b"")
    errors = result.stderr.decode()
    assert "with error: vrt: x.pth is no checkpoint of model basicvsr-compact (" in errors
    assert "Warning: vrt: raised at vs_vrt/checkpoint.py:" in errors
    assert "Traceback" not in errors


def test_an_error_of_the_native_part_goes_to_stderr(vspipe: Vspipe) -> None:
    result = vspipe("""
from vapoursynth import core
core.vrt.Restore(core.std.BlankClip(width=32, height=24, length=1).std.SetFieldBased(2)).set_output()
""")
    assert (result.returncode, result.stdout) == (1, b"")
    assert "vrt: frame 0 is interlaced (_FieldBased=2); deinterlace it first" in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


def test_no_node_and_no_frame_stays_behind(vspipe: Vspipe, tmp_path: Path) -> None:
    result = vspipe(f"""
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
import vapoursynth as vs
from vapoursynth import core
from vs_vrt.filters import restore
from tests.filters import stand_ins
from vs_vrt import checkpoint, restorer
checkpoint.BUNDLED = Path({str(tmp_path)!r})
stand_ins.save_checkpoints(checkpoint.BUNDLED)
restore.TASKS, restorer.build = stand_ins.TASKS, stand_ins.build

def blank(format, length=5):
    return core.std.BlankClip(format=format, width=16, height=12, length=length)

yuv, alpha = blank(vs.YUV420P8), blank(vs.RGBS).std.ClipToProp(blank(vs.GRAY8), prop="_Alpha")
clips = [core.vrt.Restore(clip, task=task) for clip in (yuv, alpha) for task in ("sr4", "st4")]
clips += [core.vrt.Interpolate(clip, 4) for clip in (yuv, alpha)]
clips += [core.vrt.Restore(yuv, task="denoise", sigma_clip=blank(vs.GRAY8))]
try:
    core.vrt.Restore(yuv, task="denoise", sigma_clip=blank(vs.GRAY8, 4))
except vs.Error:
    pass
else:
    raise AssertionError
core.std.StackVertical([clip.resize.Bicubic(16, 12, format=vs.RGB24)[:5] for clip in clips]).set_output()
""")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout) == 5 * 7 * 12 * 16 * 3
    assert "Core freed" not in result.stderr.decode()  # as it warns where a filter or a frame outlives it


@pytest.mark.parametrize("received", [0, 1])
def test_python_exits_cleanly_with_frames_in_flight(received: int) -> None:
    text = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support import texture_clip
from vapoursynth import core
clip = core.vrt.Restore(texture_clip(1, 40), length=2, overlap=1)
futures = [clip.get_frame_async(n) for n in range(40)]
for future in futures[:{received}]:
    future.result()
"""
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (0, b""), result.stderr
