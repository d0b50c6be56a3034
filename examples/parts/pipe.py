"""`vspipe -c y4m examples/upscale.vpy - | ffmpeg -i - out.mkv`, started and watched over."""

import os
import re
import shlex
import signal
import sysconfig
from pathlib import Path
from subprocess import PIPE, Popen
from threading import TIMEOUT_MAX, Event, Timer

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
    frames, complaint, stopped = 0, "", Event()

    def stop() -> None:
        if frames >= MINIMUM and vspipe.poll() is None:
            stopped.set()
            os.killpg(vspipe.pid, signal.SIGTERM)

    # Frames come a window at a time; the time is up in the middle of one.
    timer = Timer(min(seconds, TIMEOUT_MAX), stop)
    timer.daemon = True
    timer.start()
    for line in vspipe.stderr or ():
        if found := re.match(r"Frame: (\d+)/", line):
            frames = int(found[1])
            if timer.finished.is_set():
                stop()
        elif note := re.match(r"(?:Information|Warning): (vrt: .*)", line):
            print(note[1], flush=True)
        elif error := re.search(r"(?:exception|[Ee]rror): (?:.*?(?=vrt: ))?(.+)", line):
            complaint = error[1]
    timer.cancel()
    return complaint, stopped.is_set()
