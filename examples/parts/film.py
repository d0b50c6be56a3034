"""From pictures to a moving shot."""

from collections.abc import Callable

import numpy as np
import vapoursynth as vs
from vapoursynth import core

from parts.painting import Array, Sprite, stamp


def animate(clip: vs.VideoNode, paint: Callable[[int, Array], Array]) -> vs.VideoNode:
    """The RGBS clip with the picture of each frame `n` replaced by `paint(n, picture)`."""

    def modify(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        picture, frame = paint(n, np.dstack([np.asarray(f[plane]) for plane in range(3)])), f.copy()
        for plane in range(3):
            np.copyto(np.asarray(frame[plane]), picture[..., plane])
        return frame

    return core.std.ModifyFrame(clip, clip, modify)


def shot(background: Array, dx: float, dy: float, sprites: Callable[[int], list[Sprite]]) -> vs.VideoNode:
    """24 frames: the middle of `background` at half its size, moving by (dx, dy), with `sprites(n)` in front."""
    height, width = background.shape[:2]
    still = animate(core.std.BlankClip(None, width, height, vs.RGBS, length=1), lambda _n, _picture: background)
    blank = core.std.BlankClip(None, 1280, 720, vs.RGBS, length=24, fpsnum=24, fpsden=1)

    def look(n: int) -> vs.VideoNode:
        x, y = width / 2 - 1280 - 2 * dx * (n - 12), height / 2 - 720 - 2 * dy * (n - 12)
        return still.resize.Bicubic(1280, 720, src_left=x, src_top=y, src_width=2560, src_height=1440)

    def draw(n: int, picture: Array) -> Array:
        for sprite in sprites(n):
            stamp(picture, *sprite)
        return picture

    return animate(core.std.FrameEval(blank, look), draw)
