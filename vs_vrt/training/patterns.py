"""Patterns finer and harsher than footage has: screens, dithering, lattices.

A recurrent network that has never met them may answer them with features that grow from frame to frame.
"""

import numpy as np
from numpy.typing import NDArray

MAX_SPEED = 3  # pixels a frame
WHOLE_SHARE = 0.25  # of patterns, which fill the frame


def patterned(clip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """`(t h w 3) -> (t h w 3)`: with a pattern of two colours in a rectangle of the frame, at rest or moving."""
    t, h, w, _ = clip.shape
    shape = (stripes, checks, dots)[int(rng.integers(3))]((h, w), rng)
    dark, light = rng.integers(0, 256, (2, 3))
    speed = rng.integers(-MAX_SPEED, MAX_SPEED + 1, 2) if rng.random() < 0.5 else np.zeros(2, dtype=np.int64)
    moving = np.stack([np.roll(shape, tuple(i * speed), (0, 1)) for i in range(t)])[..., None]
    rows, columns = (slice(None), slice(None)) if rng.random() < WHOLE_SHARE else (part(h, rng), part(w, rng))
    painted = clip.copy()
    painted[:, rows, columns] = np.rint(dark + moving * (light - dark))[:, rows, columns].astype(np.uint8)
    return painted


def part(size: int, rng: np.random.Generator) -> slice:
    """Some of an axis, a quarter of it at least."""
    length = int(rng.integers(size // 4, size + 1))
    start = int(rng.integers(0, size - length + 1))
    return slice(start, start + length)


def stripes(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """`-> (h w)`, 0..1: a wave of any direction, up to the finest that pixels hold; hard-edged or smooth."""
    row, column = np.mgrid[: size[0], : size[1]]
    phase = 2 * np.pi * (rng.uniform(0, 0.5) * row + rng.uniform(0, 0.5) * column + rng.random())
    wave = np.sin(phase)
    return np.asarray((np.sign(wave) if rng.random() < 0.5 else wave) / 2 + 0.5)


def checks(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """`-> (h w)`, 0 or 1: fields of 1 to 4 pixels a side; bars where a side is as long as the frame."""
    row, column = np.mgrid[: size[0], : size[1]]
    fields = [axis // int(rng.choice((1, 2, 3, 4, max(size)))) for axis in (row, column)]
    return np.asarray((fields[0] + fields[1]) % 2, dtype=np.float64)


def dots(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """`-> (h w)`, 0 or 1: at random, alone or in blocks."""
    block = int(rng.integers(1, 4))
    few = rng.random((size[0] // block + 1, size[1] // block + 1)) < rng.uniform(0.05, 0.5)
    return np.asarray(np.kron(few, np.ones((block, block)))[: size[0], : size[1]], dtype=np.float64)
