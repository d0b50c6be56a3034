"""`vspipe -c y4m examples/upscale.vpy - | ffmpeg -i - out.mkv`, started and watched over."""

import os
import re
import shlex
import signal
import sysconfig
import time
from pathlib import Path
from subprocess import PIPE, Popen

import vapoursynth as vs

from parts.ffmpeg import encode

SCRIPT = os.path.relpath(Path(__file__).parents[1] / "upscale.vpy")
MINIMUM = 8  # frames, however long they take


def restore(source: Path, clip: vs.VideoNode, output: Path, frames: int | None, seconds: float) -> None:
    """Restores `frames` of `source`, or all of them, until `seconds` are over; one line and exit where that fails."""
    end = [] if frames is None else ["-e", str(min(frames, clip.num_frames) - 1)]
    left, right = ["vspipe", "-c", "y4m", *end, "-a", f"input={source.resolve()}", SCRIPT, "-"], encode(clip, output)
    print(f"vrt: {shlex.join(left)} | ffmpeg -i - {output}", flush=True)
    path = os.environ | {"PATH": sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]}
    # vspipe is a script that starts the real one: a process group of their own lets us stop both.
    vspipe = Popen([*left, "-p"], env=path, stdout=PIPE, stderr=PIPE, text=True, process_group=0)
    try:
        ffmpeg = Popen(right, stdin=vspipe.stdout, stderr=PIPE, text=True)
        if vspipe.stdout:
            vspipe.stdout.close()  # ours only: if ffmpeg dies, vspipe is to notice
        complaint, stopped = watch(vspipe, seconds)
    finally:
        if vspipe.poll() is None:
            os.killpg(vspipe.pid, signal.SIGTERM)
    errors = ffmpeg.communicate()[1].splitlines()
    if (vspipe.wait() and not stopped) or ffmpeg.returncode:
        reason = complaint or (errors or [f"vspipe ended with status {vspipe.returncode}"])[0]
        remedy = f"look closer with `{shlex.join(['vspipe', '-i', *left[-4:]])}`"
        raise SystemExit(reason if reason.startswith("vrt: ") else f"vrt: the pipe broke: {reason}; {remedy}")


def watch(vspipe: Popen[str], seconds: float) -> tuple[str, bool]:
    """Passes on what the plugin notes, until `seconds` are over. The last complaint, and whether time was up."""
    end, complaint = time.monotonic() + seconds, ""
    for line in vspipe.stderr or ():
        frame = re.match(r"Frame: (\d+)/", line)
        if frame and int(frame[1]) >= MINIMUM and time.monotonic() > end:
            return complaint, True
        if note := re.match(r"(?:Information|Warning): (vrt: .*)", line):
            print(note[1], flush=True)
        elif error := re.search(r"(?:exception|[Ee]rror): (?:.*?(?=vrt: ))?(.+)", line):
            complaint = error[1]
    return complaint, False
