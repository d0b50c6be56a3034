"""Puts bicubic, restored and (where it is known) true frames side by side in a picture, and measures them.

python examples/compare.py demo/input.mkv demo/out.mkv demo/sample.mkv --png demo/compare.png
"""

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
import vapoursynth as vs
from parts.clips import load, pixels, rgb
from vapoursynth import core

from vs_vrt.metrics import psnr_y
from vs_vrt.video.footage import write_png


def row(clips: dict[str, vs.VideoNode], n: int, width: int, height: int) -> vs.VideoNode:
    """Frame `n` of all clips, cut to the part that restoring changed most."""
    before, after = (pixels(clips[name].get_frame(n)).astype(np.float32) for name in ("bicubic", "restored"))
    width, height = min(width, after.shape[1]), min(height, after.shape[0])
    total = np.pad(np.square(after - before).sum(2, np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    within = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = divmod(int(within.argmax()), within.shape[1])
    cuts = [clip[n].std.CropAbs(width, height, left, top).text.Text(name) for name, clip in clips.items()]
    return core.std.StackHorizontal(cuts)


def compare(source: Path, restored: Path, truth: Path | None, png: Path) -> None:
    """Writes `png`, two moments of the clips; prints the mean PSNR where the truth is known."""
    result = load(restored)
    size, count = (result.width, result.height), result.num_frames
    clips = {"bicubic": rgb(load(source), *size), "restored": rgb(result, *size)}
    if truth:
        whole = load(truth)
        clips["truth"] = rgb(whole, whole.width, whole.height).std.CropAbs(*size)
    rows = [row(clips, n, 1200 // len(clips), 300) for n in sorted({count // 4, count * 3 // 4})]
    write_png(png, pixels(core.std.StackVertical(rows).get_frame(0)))
    print(f"vrt: {' | '.join(clips)}: {png}")
    if truth:
        frames = zip(*(clip.frames(close=True) for clip in clips.values()), strict=False)
        scores = [[psnr_y(shown, true) for shown in rest] for *rest, true in (map(pixels, each) for each in frames)]
        before, after = map(fmean, zip(*scores, strict=True))
        gain = f"bicubic {before:.2f} dB, restored {after:.2f} dB: {after - before:+.2f}"
        print(f"vrt: PSNR of Y over {count} frames: {gain}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("restored", type=Path)
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--png", type=Path, default=Path("compare.png"))
    compare(**vars(parser.parse_args()))
