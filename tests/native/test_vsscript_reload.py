import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import vapoursynth

HERE = Path(__file__).parent
FRAMES = 40
RELOADS = 40
# The allocator keeps more or less for later; a script that stayed behind would keep a network, its windows and a core.
MARGIN = 16 << 10  # KiB
# Nothing of it runs Python for a frame: that would fail by itself once the script is freed.
GOOD = f"""
import vapoursynth as vs
from vapoursynth import core
shades = [
    core.std.BlankClip(format=vs.YUV420P8, width=32, height=24, length=1, color=[50 + 4 * n, 110, 150 - n])
    for n in range({FRAMES})
]
core.vrt.Restore(core.std.Splice(shades), length=2, overlap=1).set_output()
"""
BAD = """
from vapoursynth import core
core.vrt.Restore(core.std.BlankClip(), task="sr5").set_output()
"""


@pytest.fixture
def harness(tmp_path: Path) -> Path:
    """Built against VapourSynth's own headers, as an editor would be."""
    program = tmp_path / "vsscript_reload"
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    flags = ["-std=c++17", "-Wall", "-Wextra", f"-I{vapoursynth.get_include()}"]
    subprocess.run(
        [*compiler, *flags, HERE / "vsscript_reload.cpp", "-o", program, "-ldl", "-pthread"], check=True, timeout=120
    )
    return program


def test_a_script_is_reloaded_in_one_process(harness: Path, vapoursynth_home: dict[str, str], tmp_path: Path) -> None:
    scripts = [tmp_path / "good.vpy", tmp_path / "bad.vpy"]
    for path, text in zip(scripts, (GOOD, BAD), strict=True):
        path.write_text(text)
    result = subprocess.run(
        [harness, vapoursynth.get_vsscript(), *scripts],
        env=vapoursynth_home,
        capture_output=True,
        timeout=600,
        check=False,
    )
    errors = result.stderr.decode()
    assert (result.returncode, result.stdout) == (0, b""), errors
    (found,) = re.findall(rf"^{FRAMES} frames, (\d+) shown in {RELOADS} reloads$", errors, re.MULTILINE)
    assert int(found) > 10 * (RELOADS - RELOADS // 5)  # all but those of scripts that were freed too early
    assert errors.count("Python exception: vrt: unknown task 'sr5'; did you mean `task=\"sr4\"`?") == RELOADS // 7
    resident = [int(size) for size in re.findall(r"^reload \d+: (\d+) KiB$", errors, re.MULTILINE)]
    assert len(resident) == RELOADS
    assert resident[-1] < resident[9] + MARGIN, resident
