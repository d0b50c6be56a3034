"""Restores a video as scripts and pipes do it, and ends with a picture and figures to judge it by.

python examples/demo.py                      the demo's own clip, shrunk by 4 first, so that the truth is known
python examples/demo.py --input clip.mp4     your video, as much of it as a minute allows
"""

import argparse
import math
import re
import time
from pathlib import Path

from compare import compare
from make_sample import sample
from parts.clips import load, write
from parts.pipe import MINIMUM, restore
from shrink import shrink

FOLDER = Path("demo")
AT_MOST = 1500  # frames to shrink where only the time that restoring takes is limited


def own_clip() -> Path:
    """The demo's own clip, rendered once."""
    if not (path := FOLDER / "sample.mkv").exists():
        print(f"vrt: rendering {path}, half a minute", flush=True)
        write(path, sample())
    return path


def demo(original: Path, frames: int | None, seconds: float, truth: bool) -> None:
    """Leaves `out.mkv` and `compare.png` in the folder of the demo."""
    source, output = FOLDER / "input.mkv" if truth else original, FOLDER / "out.mkv"
    FOLDER.mkdir(exist_ok=True)
    if original.resolve() == output.resolve():
        raise SystemExit(f"vrt: the demo writes {output} itself; copy it first, `cp {output} clip.mkv`")
    if truth:
        print(f"vrt: shrinking {original} by 4 into {source}", flush=True)
        shrink(original, source, frames or (AT_MOST if math.isfinite(seconds) else None))
    clip = load(source)
    total = min(frames or clip.num_frames, clip.num_frames)
    if math.isfinite(seconds) and total > MINIMUM:
        print(f"vrt: as many of {total} frames as fit in {seconds:g} s, at least {MINIMUM}; `FRAMES=all` for all")
    start = time.monotonic()
    restore(source, clip, output, frames, seconds)
    spent, done = time.monotonic() - start, load(output).num_frames
    print(f"vrt: {done} of {total} frames in {spent:.1f} s, {done / spent:.2f} frames/s with start-up: {output}")
    compare(source, output, original if truth else None, FOLDER / "compare.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="any video that ffmpeg reads")
    parser.add_argument("--frames", help="how many, or `all`; else what a minute allows, and at least 8")
    parser.add_argument("--truth", action="store_true", help="shrink the input by 4 first, and compare with it")
    given = parser.parse_args()
    if not re.fullmatch("all|0*[1-9][0-9]*", given.frames or "all"):
        raise SystemExit(f"vrt: --frames is {given.frames}; give `all`, or a number from 1 up")
    number = None if given.frames in (None, "all") else int(given.frames)
    limit = 60 if given.input and not given.frames else math.inf
    demo(given.input.expanduser() if given.input else own_clip(), number, limit, given.truth or not given.input)
