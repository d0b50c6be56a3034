"""The first shot: a balloon before mountains, with thin cables, a turning sun and a headline."""

import numpy as np

from parts.painting import Array, Sprite, mix, noise, write
from parts.shapes import ball, star

HEIGHT, WIDTH = 1560, 2800
STRIPES = np.array([(0.85, 0.16, 0.14), (0.98, 0.93, 0.82), (0.95, 0.62, 0.12), (0.12, 0.32, 0.55)], np.float32)
RIDGES = (0.54, (0.5, 0.56, 0.68)), (0.66, (0.3, 0.38, 0.42)), (0.78, (0.18, 0.29, 0.2)), (0.9, (0.2, 0.26, 0.1))


def background() -> Array:
    """`(h w 3)`, twice as large as it is shown."""
    down, across = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None], np.linspace(0, 1, WIDTH, dtype=np.float32)
    image = mix((0.16, 0.4, 0.76), (1, 0.84, 0.66), np.repeat(1.6 * down, WIDTH, 1))
    image = mix(image, (1, 0.98, 0.95), (0.4 * noise(HEIGHT, WIDTH, 1.7) - 0.1) * (1.1 - down))
    for foot, colour in RIDGES:
        rock = noise(HEIGHT, WIDTH, 2.3 - foot / 2)
        light = rock - np.roll(rock, (3, 4), (0, 1))  # as if it came from the upper left
        ridge = foot + (0.19 - 0.17 * foot) * noise(4, WIDTH, 1.5)[0]
        lit = np.array(colour, np.float32) * (1 + 0.4 * foot * light[..., None] / light.std())
        image = mix(image, lit, (down - ridge) * HEIGHT + 0.5)
    for sag in 0.2, 0.24, 0.3:
        cable = 0.62 - 0.32 * across - sag * across * (1 - across)
        image = mix(image, (0.1, 0.1, 0.12), 1.8 - np.abs(down - cable) * HEIGHT)
    write(image, "four times larger", 7, 220, 150, (1, 1, 1))
    write(image, "and every pixel of it known", 4, 225, 270, (1, 1, 1))
    return image


def cloth() -> Array:
    """`(h w 3)`, the stripes of the balloon."""
    return np.tile(STRIPES, (500, 6, 1)).repeat(60, 1) * (1 + 0.08 * noise(500, 1440, 0.8)[..., None])


def sprites(n: int, skin: Array) -> list[Sprite]:
    """What moves by itself in frame `n`."""
    sun, balloon = star(0.01 * n, 18, (0.93, 0.33, 0.2)), ball(skin, 0.3 + 0.006 * n)
    return [(sun, 1060 - 0.9 * n, 150, 90), (balloon, 800 + 1.1 * n, 330 - 0.6 * n, 130)]
