"""The second shot: a test card on a wooden desk, with a spinning top and a rolling globe."""

import numpy as np

from parts.painting import Array, Sprite, mix, noise, stamp, write
from parts.shapes import ball, sheet, star

HEIGHT, WIDTH = 1560, 2800
INK = (0.08, 0.08, 0.1)
SMALL_PRINT = """\
Seen once, a small letter is a smudge.
Seen in many frames, each a little
shifted, its strokes come apart again.

clip = core.vrt.Restore(clip, task="sr4")"""


def card() -> Array:
    """`(h w 3)`, paper with small print, a zone plate, checks and bars."""
    paper = 0.93 + 0.012 * noise(1300, 1840, 0.5)[..., None].repeat(3, 2)
    write(paper, "test card", 9, 90, 60, INK)
    write(paper, SMALL_PRINT, 4.6, 90, 240, INK)
    write(paper, "0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4, 90, 1160, INK)
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    rings = (0.5 + 0.5 * np.cos(37 * (x * x + y * y))) * (np.hypot(x, y) < 1)
    checks = np.kron(np.indices((10, 10)).sum(0) % 2, np.ones((40, 40)))
    periods = np.arange(24, 4, -4).repeat(80)[:, None]
    bars = (np.arange(560) // periods % 2) * (np.arange(400)[:, None] % 80 < 62)
    for left, amount in (90, rings), (600, checks), (1110, bars):
        part = paper[700:1100, left : left + amount.shape[1]]
        part[:] = mix(part, INK, amount)
    return paper


def background() -> Array:
    """`(h w 3)`, twice as large as it is shown."""
    rings = np.sin(9 * noise(HEIGHT, WIDTH, 2, 0.12))
    wood = mix((0.42, 0.24, 0.12), (0.64, 0.41, 0.22), 0.5 + 0.5 * rings)
    wood *= 1 + 0.1 * noise(HEIGHT, WIDTH, 0.6, 0.05)[..., None]
    stamp(wood, sheet(card(), 0.07), 1110, 780, 1022, samples=1)
    return wood


def earth() -> Array:
    """`(h w 3)`, sea and land."""
    return mix((0.05, 0.2, 0.42), (0.72, 0.76, 0.45), 1.5 * noise(700, 1440, 1.5))


def sprites(n: int, skin: Array) -> list[Sprite]:
    """What moves by itself in frame `n`."""
    top, globe = star(-0.015 * n, 24, INK), ball(skin, 0.02 * n)
    return [(top, 1120 + 0.95 * n, 200 - 0.65 * n, 100), (globe, 1130 - 2.3 * n, 540 - 0.4 * n, 120)]
