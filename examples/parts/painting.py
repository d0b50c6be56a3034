"""Drawing with numpy: noise, letters, anti-aliased shapes at sub-pixel positions. Pictures are `(h w 3)`, 0 to 1."""

from collections.abc import Callable

import numpy as np
import vapoursynth as vs
from numpy.typing import ArrayLike, NDArray
from vapoursynth import core

Array = NDArray[np.float32]
Shade = Callable[[Array, Array], tuple[Array, NDArray[np.bool_]]]
Sprite = tuple[Shade, float, float, float]  # x, y, radius
RANDOM = np.random.default_rng(7)


def noise(height: int, width: int, slope: float, stretch: float = 1) -> Array:
    """`(h w)`, mean 0, deviation 1; its spectrum falls as frequency ** -slope, `stretch` < 1 draws it out sideways."""
    y = np.fft.fftfreq(height, 1 / height).astype(np.float32)[:, None]
    x = np.fft.rfftfreq(width, 1 / width).astype(np.float32) / stretch
    white = RANDOM.standard_normal((height, width), np.float32)
    spectrum = np.fft.rfft2(white) / np.maximum(np.hypot(x, y), 1) ** slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(field / field.std(), np.float32)


def mix(start: ArrayLike, end: ArrayLike, amount: ArrayLike) -> Array:
    """From the colour or picture `start` to `end` by `amount (h w)`."""
    near, far, part = (np.asarray(value, np.float32) for value in (start, end, amount))
    return np.asarray(near + (far - near) * part.clip(0, 1)[..., None])


def write(image: Array, words: str, size: float, x: int, y: int, colour: ArrayLike) -> None:
    """Writes VapourSynth's 8x16 letters, `size` times as large, with the stairs of their pixels rounded off."""
    rows = words.split("\n")
    clip = core.std.BlankClip(None, 8 * max(map(len, rows)) + 32, 16 * len(rows) + 32, vs.GRAY8, length=1)
    clip = core.text.Text(clip, words).std.Binarize(128)
    # A B-spline blurs what it enlarges; a steep ramp around 0.35 makes an edge of that again, now a curve.
    clip = clip.resize.Bicubic(
        int(clip.width * size), int(clip.height * size), vs.GRAYS, filter_param_a=1, filter_param_b=0
    )
    margin = int(16 * size)
    ink = (np.asarray(clip.get_frame(0)[0])[margin:-margin, margin:-margin] - 0.35) * size + 0.5
    part = image[y : y + len(ink), x : x + ink.shape[1]]
    part[:] = mix(part, colour, ink)


def stamp(image: Array, shade: Shade, x: float, y: float, radius: float, samples: int = 3) -> None:
    """Draws `shade(u, v) -> colour, cover`, u and v from -1 to 1, around (x, y); `samples` squared for each pixel."""
    left, top = max(int(x - radius) - 1, 0), max(int(y - radius) - 1, 0)
    part = image[top : int(y + radius) + 2, left : int(x + radius) + 2]
    height, width = part.shape[:2]
    u = ((np.arange(width * samples) + 0.5) / samples + left - x) / radius
    v = ((np.arange(height * samples) + 0.5) / samples + top - y) / radius
    colour, cover = shade(*np.meshgrid(np.float32(u), np.float32(v)))
    layer = np.concatenate([colour * cover[..., None], cover[..., None]], axis=2, dtype=np.float32)
    layer = layer.reshape(height, samples, width, samples, 4).mean((1, 3))
    part[:] = part * (1 - layer[..., 3:]) + layer[..., :3]
