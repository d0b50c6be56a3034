"""Quality measures, as the papers take them: on frames rounded to 8 bits; luma itself is not rounded."""

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

BT601_LUMA = np.array([65.481, 128.553, 24.966]) / 255  # of R, G, B in 0..255: the weights of MATLAB's rgb2ycbcr
PEAK = 255
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5

type Blur = Callable[[NDArray[np.float64]], NDArray[np.float64]]
type Image = NDArray[np.uint8] | NDArray[np.float64]


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`(h w 3)` RGB in 0..255 -> `(h w)` Y in 16..235, not rounded."""
    return np.asarray(image @ BT601_LUMA + 16)


def psnr(a: Image, b: Image) -> float:
    """`(h w ...)`, `(h w ...)` in 0..255 -> dB, infinite where they are equal.

    ValueError where the two differ in size: a frame is never stretched or cropped to be compared.
    """
    check(a, b)
    error = float(np.mean(np.square(a.astype(np.float64) - b)))
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def psnr_y(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """`(h w 3)`, `(h w 3)` RGB in 0..255 -> PSNR of their luma in dB. ValueError as `psnr`."""
    return psnr(luma(a), luma(b))


def ssim(a: Image, b: Image, blurred: Blur | None = None) -> float:
    """`(h w c)`, `(h w c)` in 0..255 -> structural similarity up to 1, the mean over channels; or `(h w)`.

    ValueError where the two differ in size. Source: Wang et al., IEEE TIP 13(4), 2004: a Gaussian window of 11x11 with
    sigma 1.5, where it lies inside the picture. `blurred` may be another way to do what `blur` does.
    """
    check(a, b)
    blurred = blurred or blur
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = blurred(x), blurred(y)
    variance_x, variance_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))))


def blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(h w ...) -> (h-10 w-10 ...)`."""
    distance = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-0.5 * (distance / SSIM_SIGMA) ** 2)
    window /= window.sum()
    for axis in (0, 1):
        image = sliding_window_view(image, SSIM_WINDOW, axis=axis) @ window
    return image


def check(a: Image, b: Image) -> None:
    """ValueError unless the two have one size."""
    if a.shape != b.shape:
        raise ValueError(f"vrt: frames of {a.shape} and {b.shape} cannot be compared; crop one, `a[:h, :w]`")
