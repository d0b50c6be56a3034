"""Measures of restored frames: PSNR, SSIM and flicker, frame by frame, all of luma on frames rounded to 8 bits."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from vs_vrt import metrics
from vs_vrt.metrics import SSIM_SIGMA, SSIM_WINDOW, luma, psnr

from .clips import Frame, Frames

MATCH = 8.0  # levels: where the truth differs by more from its warped neighbour, the flow is wrong or there is none

type Luma = NDArray[np.float64]  # (h w)


@dataclass
class Scores:
    """By frame. Flicker is None where the frame before is missing, or where no pixel has a match in it."""

    frames: list[int] = field(default_factory=list)  # numbers in the clip
    psnr: list[float] = field(default_factory=list)  # dB
    ssim: list[float] = field(default_factory=list)
    flicker: list[float | None] = field(default_factory=list)  # levels
    truth_flicker: list[float | None] = field(default_factory=list)  # of the truth itself
    error_flicker: list[float | None] = field(default_factory=list)  # of what is left to the truth


class Motion:
    """How the truth moves. All methods are warped by the same flow."""

    def __init__(self, truth: Frames) -> None:
        self.truth = truth
        self.steps: dict[int, tuple[NDArray[np.float16], NDArray[np.bool_]]] = {}

    def change(self, n: int, image: Luma, before: Luma) -> float | None:
        """Mean absolute difference of an image of frame `n` and the warped one before it, where the truth matches."""
        if n not in self.steps:
            self.steps[n] = self.step(n)
        flow, matched = self.steps[n]
        if not matched.any():
            return None
        return float(np.abs(image - warped(before, flow))[matched].mean())

    def step(self, n: int) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """`-> (h w 2), (h w)`: where the pixels of frame `n` are in the frame before, and which are there at all."""
        here, before = (luma(self.truth[i]) for i in (n, n - 1))
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = search.calc(np.rint(here).astype(np.uint8), np.rint(before).astype(np.uint8), None).astype(np.float16)
        h, w = here.shape
        x, y = positions(flow)
        inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
        return flow, inside & (np.abs(here - warped(before, flow)) <= MATCH)


def positions(flow: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`(h w 2) -> (h w), (h w)`: columns and rows that a backward warp reads."""
    h, w, _ = flow.shape
    wide = flow.astype(np.float32)
    return wide[..., 0] + np.arange(w, dtype=np.float32), wide[..., 1] + np.arange(h, dtype=np.float32)[:, None]


def warped(image: Luma, flow: NDArray[np.float16]) -> Luma:
    """`(h w), (h w 2) -> (h w)`: out[y, x] = in[y + dy, x + dx], bilinear, the border repeated."""
    x, y = positions(flow)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def score(made: Iterable[tuple[int, Frame]], motion: Motion) -> Scores:
    """Of frames with their numbers in the clip, in order."""
    scores = Scores()
    last: tuple[int, Luma, Luma] | None = None
    for n, frame in made:
        image, wanted = luma(frame), luma(motion.truth[n])
        scores.frames.append(n)
        scores.psnr.append(psnr(image, wanted))
        scores.ssim.append(ssim(image, wanted))
        changes: list[float | None] = [None] * 3
        if last is not None and last[0] == n - 1:
            _, image_before, wanted_before = last
            pairs = (image, image_before), (wanted, wanted_before), (image - wanted, image_before - wanted_before)
            changes = [motion.change(n, *pair) for pair in pairs]
        for series, value in zip((scores.flicker, scores.truth_flicker, scores.error_flicker), changes, strict=True):
            series.append(value)
        last = n, image, wanted
    return scores


def ssim(a: Luma, b: Luma) -> float:
    """As `vs_vrt.metrics.ssim`, ten times as fast."""
    return metrics.ssim(a, b, blur)


def blur(image: Luma) -> Luma:
    """`(h w) -> (h-10 w-10)`."""
    kernel, edge = cv2.getGaussianKernel(SSIM_WINDOW, SSIM_SIGMA), SSIM_WINDOW // 2
    return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel))[edge:-edge, edge:-edge]
