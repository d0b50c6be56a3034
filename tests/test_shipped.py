"""What the networks in the wheel have learned, and what they make of pictures that no footage holds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.support import dead_leaves
from vs_vrt import checkpoint
from vs_vrt.models.network import Network
from vs_vrt.restorer import build
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS
from vs_vrt.training.reduction import bicubic_down

SIDE, FRAMES = 48, 24
ROWS, COLUMNS = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
PATTERNS: dict[str, Callable[[Tensor], Tensor]] = {
    "black": lambda _: torch.tensor(0.0),
    "white": lambda _: torch.tensor(1.0),
    "flicker": lambda t: t % 2,
    "stripes": lambda _: COLUMNS % 2,
    "checkerboard": lambda _: (ROWS + COLUMNS) % 2,
    "checkerboard that blinks": lambda t: (ROWS + COLUMNS + t) % 2,
    "noise": lambda t: torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(int(t))),
}
BUNDLED = [row for row in TASKS if row.bundled]


def filled(row: TaskRow) -> Network:
    network = build(row).eval()
    checkpoint.load(network, checkpoint.locate(row, None), row)
    return network


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("row", BUNDLED, ids=lambda row: row.model)
def test_no_pattern_makes_a_picture_explode(row: TaskRow, pattern: str) -> None:
    """What propagates from frame to frame may grow by a little each time; it was seen to, by a factor of 30,000."""
    network = filled(row)
    frames = [PATTERNS[pattern](torch.tensor(t)).float().expand(1, 1, 3, SIDE, SIDE) for t in range(FRAMES)]
    video = torch.cat(frames, dim=1)
    if row.sigma is not None:
        video = torch.cat([video, torch.full_like(video[:, :, :1], row.sigma / 255)], dim=2)
    with torch.no_grad():
        made = network(video)
    assert -4 < float(made.min()) <= float(made.max()) < 5  # sharpened edges overshoot


@pytest.mark.parametrize("pixels", [0, 1, 4, 16])
@pytest.mark.parametrize("row", [row for row in BUNDLED if hasattr(build(row), "spynet")], ids=lambda row: row.model)
def test_flow_sees_how_far_things_go(row: TaskRow, pixels: int) -> None:
    """Where it does not, a network learns to do without its other frames; most of its levels may be dead."""
    spynet = filled(row).spynet
    pictures = torch.from_numpy(dead_leaves(2, 160, 96, pixels))
    with torch.no_grad():
        flow = spynet(pictures[:1], pictures[1:])[..., 8:-8, 24:-24]
    wrong = (flow - torch.tensor([-pixels, 0]).view(1, 2, 1, 1)).norm(dim=1).median()
    assert float(wrong) < 0.4


def noisy(clean: Tensor) -> Tensor:
    sigma = 25 / 255
    noise = sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([clean + noise, torch.full_like(clean[:, :1], sigma)], dim=1)


# How frames are spoiled, how many pixels a frame they move, and what a frame gains at least from its neighbours, in dB.
NEIGHBOURS: dict[str, tuple[Callable[[Tensor], Tensor], int, float]] = {
    "sr4": (lambda clean: bicubic_down(clean, 4), 1, 0.5),
    "denoise": (noisy, 0, 3.0),
    "deblur": (lambda clean: clean.unfold(0, 5, 1).mean(-1), 2, 5.0),
}


@pytest.mark.parametrize("row", BUNDLED, ids=lambda row: row.model)
def test_a_frame_gains_from_its_neighbours(row: TaskRow) -> None:
    spoil, speed, gain = NEIGHBOURS[row.task]
    clean = torch.from_numpy(dead_leaves(21, 128, 96, speed))
    spoiled = spoil(clean)
    truth = clean[len(clean) // 2, :, 8:-8, 8:-8]
    with torch.no_grad():
        network = filled(row)
        alone, amid = (
            network(frames[None])[0, len(frames) // 2, :, 8:-8, 8:-8]
            for frames in (spoiled[len(spoiled) // 2 :][:1], spoiled)
        )
    before, after = ((made - truth).square().mean().log10() * -10 for made in (alone, amid))
    assert after > before + gain
