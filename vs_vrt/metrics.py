"""Quality measures, as the super-resolution papers take them: on frames rounded to 8 bits."""

import math

import numpy as np
from numpy.typing import NDArray

BT601_LUMA = np.array([65.481, 128.553, 24.966]) / 255  # of R, G, B in 0..255: the weights of MATLAB's rgb2ycbcr


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`(h w 3)` RGB in 0..255 -> `(h w)` Y in 16..235, not rounded."""
    return np.asarray(image @ BT601_LUMA + 16)


def psnr_y(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """`(h w 3)`, `(h w 3)` RGB in 0..255 -> PSNR of their luma in dB, infinite where they are equal.

    ValueError where the two differ in size: a frame is never stretched or cropped to be compared.
    """
    if a.shape != b.shape:
        raise ValueError(f"vrt: frames of {a.shape} and {b.shape} cannot be compared; crop one, `a[:h, :w]`")
    error = float(np.mean(np.square(luma(a) - luma(b))))
    return 10 * math.log10(255**2 / error) if error else math.inf
