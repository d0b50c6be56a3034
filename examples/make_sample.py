"""Renders the clip of the demo: two moving shots of text, edges and texture whose every pixel is known.

python examples/make_sample.py demo/sample.mkv
"""

import argparse
from pathlib import Path

import vapoursynth as vs
from parts import desk, landscape
from parts.clips import write
from parts.film import shot
from vapoursynth import core


def sample() -> vs.VideoNode:
    """48 frames, 1280x720, YUV444P8, BT.709, with a cut in the middle."""
    cloth, earth = landscape.cloth(), desk.earth()
    first = shot(landscape.background(), -1.3, -0.35, lambda n: landscape.sprites(n, cloth))
    second = shot(desk.background(), 0.95, -0.65, lambda n: desk.sprites(n, earth))
    return core.resize.Bicubic(first + second, format=vs.YUV444P8, matrix=vs.MATRIX_BT709)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    write(parser.parse_args().output, sample())
