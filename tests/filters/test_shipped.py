"""What is in the wheel does what its task says, from a call that names no more than the task and the model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from vapoursynth import core

from tests.support import SCALE, Video, clip_of, dead_leaves, pixels
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

FRAMES, WIDTH, HEIGHT = 24, 160, 128  # enough to tell that frames are means
SIGMA = 25  # 8-bit levels
REACH = 2  # frames on each side that blur is the mean of


def resized(clip: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    return clip.resize.Bicubic(width, height, filter_param_a=0, filter_param_b=0.5)


def reduced(video: Video) -> vs.VideoNode:
    return resized(clip_of(video), WIDTH // SCALE, HEIGHT // SCALE)


def noisy(video: Video) -> vs.VideoNode:
    return clip_of(video + SIGMA / 255 * np.random.default_rng(2).standard_normal(video.shape, dtype=np.float32))


def blurred(video: Video) -> vs.VideoNode:
    """The frames at the ends are means of what comes from the other end."""
    shifted = [np.roll(video, shift, axis=0) for shift in range(-REACH, REACH + 1)]
    return clip_of(np.mean(shifted, axis=0, dtype=np.float32))


def psnr(clip: vs.VideoNode, truth: Video) -> float:
    """In dB, of frames that no blur reached around the ends for."""
    inside = range(REACH, FRAMES - REACH)
    frames = np.stack([pixels(clip.get_frame(n)) for n in inside])
    return float(-10 * np.log10(np.mean((frames.clip(0, 1) - truth[REACH:-REACH]) ** 2)))


# How frames are spoiled, what is said of it, and what is gained at least, in dB.
TASK: Mapping[str, tuple[Callable[[Video], vs.VideoNode], dict[str, Any], float]] = {
    "sr4": (reduced, {}, 0.5),
    "denoise": (noisy, {"sigma": SIGMA}, 5.0),
    "deblur": (blurred, {}, 1.0),
}


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("row", [row for row in TASKS if row.bundled], ids=lambda row: row.model)
def test_a_network_of_the_wheel_comes_nearer_to_the_truth(row: TaskRow, preview: bool) -> None:
    spoil, arguments, gain = TASK[row.task]
    truth = dead_leaves(FRAMES, WIDTH, HEIGHT, step=2)
    spoiled = spoil(truth)
    restored = core.vrt.Restore(spoiled, task=row.task, model=row.model, preview=preview, **arguments)
    assert psnr(restored, truth) > psnr(resized(spoiled, WIDTH, HEIGHT), truth) + gain
