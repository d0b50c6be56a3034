"""Motion blur: what a shutter sees that stays open while things or the camera move.

Frames are RGB, 0..1. What comes out is rounded to 8 bits, as a file would have it; the truth is the middle of what the
shutter saw.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor

from vs_vrt.models.spynet import resize_flow
from vs_vrt.ops.flow_warp import flow_warp
from vs_vrt.training.flow import bundled_flow
from vs_vrt.training.reduction import bicubic_down, rounded

EXPOSURES = (3, 5)  # frames that motion blur is the mean of
REACH = 3  # frames at each end that are used up
SPACING = 3  # of exposures that share no frame
SHARES = (0.4, 0.2, 0.4)  # of `motion`, `spaced` and `shake`
SUBFRAMES = 9
BLURRED = 2 / 3  # share of what is spaced: the rest is sharp, and is to stay so
FLOW_EXPOSURE = (1.0, 2.0)  # in frames: no sub-frame is further away than a neighbour
FLOW_SCALE = 4  # the flow network learned from frames of a quarter of the size
SHAKE_EXPOSURE = (0.5, 1.5)  # in frames
SHAKE_SPEED = (2.0, 12.0)  # pixels a frame: standard deviation along each axis
SHAKE_WAVES = 3  # along each axis
SHAKE_FREQUENCY = (0.02, 0.4)  # cycles a frame: hands sway below 1 Hz and tremble at 8 to 12 Hz


def blur(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t+6 3 h w) -> (t 3 h w), (t 3 h w)`: by things that move, or by the camera; now and then not at all.

    Without `flow`, whose network is small: what it finds is short of the true motion, and its blur is the mildest.
    """
    return (motion, spaced, shake)[int(rng.choice(len(SHARES), p=SHARES))](video, rng)


def motion(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t+6 3 h w) -> (t 3 h w), (t 3 h w)`: the mean of some neighbouring frames, as where frames were blended."""
    exposure = int(rng.choice(EXPOSURES))
    first = REACH - exposure // 2
    frames = len(video) - 2 * REACH
    blurred = torch.stack([video[first + i : first + i + frames] for i in range(exposure)]).mean(0)
    return rounded(blurred), video[REACH : REACH + frames]


def spaced(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t+6 3 h w) -> (t 3 h w), (t 3 h w)`: a third as fast; a frame is the mean of all three, or sharp.

    As in real footage, no two exposures share a moment. There are fewer such frames: they go there and back again.
    """
    frames = len(video) - 2 * REACH
    thirds = rearrange(video[: len(video) // SPACING * SPACING], "(t each) c h w -> t each c h w", each=SPACING)
    there_and_back = np.pad(np.arange(len(thirds)), (0, max(0, frames - len(thirds))), mode="reflect")[:frames]
    clean = thirds[there_and_back, SPACING // 2]
    return rounded(thirds.mean(1)[there_and_back]) if rng.random() < BLURRED else clean, clean


def flow(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t+6 3 h w) -> (t 3 h w), (t 3 h w)`: the mean of sub-frames along the optical flow.

    What a small network finds is a little off, always by the same: half the difference of the flow to the next frame
    and to the one before is not, and leaves the middle of the blur in its place.
    """
    times = instants(rng.uniform(*FLOW_EXPOSURE))
    near = video[REACH - 1 : len(video) - REACH + 1]
    here, before, after = near[1:-1], near[:-2], near[2:]
    to_before, to_after = motions(torch.cat([here, here]), torch.cat([before, after])).chunk(2)
    speed = (to_after - to_before) / 2
    # What moves by f is seen at x where it was at x - f, nearly.
    return rounded(exposed(here, [-time * speed for time in times])), here


def shake(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t+6 3 h w) -> (t 3 h w), (t 3 h w)`: the mean of sub-frames along a smooth path of a camera in the hand.

    The path is a sum of sines along each axis; only what it does while the shutter is open is seen.
    """
    clean = video[REACH : len(video) - REACH]
    t, _, h, w = clean.shape
    times = instants(rng.uniform(*SHAKE_EXPOSURE))
    path = camera_path(rng)
    middle = np.arange(t, dtype=np.float64)
    ways = [torch.from_numpy(path(middle + time) - path(middle)).float() for time in times]
    return rounded(exposed(clean, [way[:, :, None, None].expand(t, 2, h, w) for way in ways])), clean


def instants(exposure: float) -> NDArray[np.float64]:
    """`-> (n)`: when sub-frames are taken, in frames, evenly from the shutter's opening to its closing."""
    return exposure * (np.arange(SUBFRAMES) - SUBFRAMES // 2) / (SUBFRAMES - 1)


def exposed(video: Tensor, ways: Sequence[Tensor]) -> Tensor:
    """`(t 3 h w), [(t 2 h w)] -> (t 3 h w)`: the mean of what each way samples, outside the frame excepted."""
    inside = torch.cat([video, torch.ones_like(video[:, :1])], dim=1)
    total = sum((flow_warp(inside, way) for way in ways[1:]), start=flow_warp(inside, ways[0]))
    return total[:, :3] / total[:, 3:]


def motions(reference: Tensor, neighbour: Tensor) -> Tensor:
    """`(n 3 h w), (n 3 h w) -> (n 2 h w)`: optical flow in pixels, found in a quarter of the size."""
    small = [bicubic_down(images, FLOW_SCALE) for images in (reference, neighbour)]
    with torch.no_grad():
        found = bundled_flow()(*small)
    h, w = reference.shape[-2:]
    return resize_flow(found, (h, w))


def camera_path(rng: np.random.Generator) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """`-> ((t) -> (t 2))`: where a shaken camera points at each time, in pixels (x, y); times are in frames."""
    size = (SHAKE_WAVES, 2)
    speed = rng.uniform(*SHAKE_SPEED) * rng.standard_normal(size) / SHAKE_WAVES**0.5
    frequency = 2 * np.pi * rng.uniform(*SHAKE_FREQUENCY, size)
    phase = rng.uniform(0, 2 * np.pi, size)

    def path(times: NDArray[np.float64]) -> NDArray[np.float64]:
        waves = speed / frequency * np.sin(frequency * times[:, None, None] + phase)
        return reduce(waves, "t wave xy -> t xy", "sum")

    return path
