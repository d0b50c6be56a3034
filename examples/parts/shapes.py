"""Things that turn: each function returns what `painting.stamp` draws."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parts.painting import Array, Shade, mix


def star(turn: float, spokes: int, colour: ArrayLike) -> Shade:
    """A disc of spokes, alternately white and `colour`."""

    def shade(u: Array, v: Array) -> tuple[Array, NDArray[np.bool_]]:
        odd = np.floor((np.arctan2(v, u) + turn) * spokes / np.pi) % 2
        return mix((1, 0.97, 0.9), colour, odd), np.hypot(u, v) < 1

    return shade


def ball(skin: Array, turn: float) -> Shade:
    """A shining ball with the picture `skin` wrapped round it."""

    def shade(u: Array, v: Array) -> tuple[Array, NDArray[np.bool_]]:
        z = np.sqrt(np.maximum(1 - u * u - v * v, 0))
        x = (np.arctan2(u, z) + turn) / (2 * np.pi) * skin.shape[1]
        y = (np.arcsin(v.clip(-1, 1)) / np.pi + 0.5) * (len(skin) - 1)
        light = np.clip(0.5 * z - 0.45 * u - 0.6 * v, 0, 1)
        colour = skin[y.astype(int), x.astype(int) % skin.shape[1]] * (0.35 + 0.8 * light[..., None])
        return mix(colour, (1, 1, 1), 0.5 * light**30), z > 0

    return shade


def sheet(picture: Array, tilt: float) -> Shade:
    """The picture, turned by `tilt`, nine tenths as wide as the stamp."""
    height, width = picture.shape[:2]
    scale = width / 1.8

    def shade(u: Array, v: Array) -> tuple[Array, NDArray[np.bool_]]:
        x = (u * np.cos(tilt) + v * np.sin(tilt)) * scale + width / 2
        y = (v * np.cos(tilt) - u * np.sin(tilt)) * scale + height / 2
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return picture[y.astype(int) * inside, x.astype(int) * inside], inside

    return shade
