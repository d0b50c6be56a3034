"""What the networks in the wheel have learned, and what they make of pictures that no footage holds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.support import dead_leaves
from vs_vrt import checkpoint
from vs_vrt.restorer import Restorer, build
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


def loaded(row: TaskRow) -> Restorer:
    return Restorer(row, checkpoint.locate(row, None), torch.device("cpu"), "fp32")


def restored(row: TaskRow, video: Tensor) -> Tensor:
    """`(t c h w) -> (t 3 (h s) (w s))`: all frames, as of one scene."""
    return torch.stack(list(loaded(row).restore(video, [False] * (len(video) - 1), range(len(video)))))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("row", BUNDLED, ids=lambda row: row.model)
def test_no_pattern_makes_a_picture_explode(row: TaskRow, pattern: str) -> None:
    """What propagates from frame to frame may grow by a little each time; it was seen to, by a factor of 30,000."""
    frames = [PATTERNS[pattern](torch.tensor(t)).float().expand(3, SIDE, SIDE) for t in range(FRAMES)]
    video = torch.stack(frames)
    if row.sigma is not None:
        video = torch.cat([video, torch.full_like(video[:, :1], row.sigma / 255)], dim=1)
    made = restored(row, video)
    assert -4 < float(made.min()) <= float(made.max()) < 5  # sharpened edges overshoot


@pytest.mark.parametrize("pixels", [0, 1, 4, 16])
@pytest.mark.parametrize("row", [row for row in BUNDLED if hasattr(build(row), "spynet")], ids=lambda row: row.model)
def test_flow_sees_how_far_things_go(row: TaskRow, pixels: int) -> None:
    """Where it does not, a network learns to do without its other frames; most of its levels may be dead."""
    spynet = loaded(row).model.get_submodule("spynet")
    pictures = torch.from_numpy(dead_leaves(2, 160, 96, pixels))
    with torch.no_grad():
        flow = spynet(pictures[:1], pictures[1:])[..., 8:-8, 24:-24]
    wrong = (flow - torch.tensor([-pixels, 0]).view(1, 2, 1, 1)).norm(dim=1).median()
    assert float(wrong) < 0.4


def noisy(clean: Tensor) -> Tensor:
    sigma = 25 / 255
    noise = sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([clean + noise, torch.full_like(clean[:, :1], sigma)], dim=1)


# How frames are spoiled, and how many pixels a frame they move.
SPOILED: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "sr4": (lambda clean: bicubic_down(clean, 4), 2),
    "denoise": (noisy, 0),
    "deblur": (lambda clean: clean.unfold(0, 5, 1).mean(-1), 2),
}
# What a frame gains at least from its neighbours, in dB.
GAINS = {
    "basicvsr-compact": 0.5,
    "vrt-compact": 0.5,
    "mana-compact": 0.3,
    "denoise-compact": 3.0,
    "deblur-compact": 5.0,
}


@pytest.mark.parametrize("row", BUNDLED, ids=lambda row: row.model)
def test_a_frame_gains_from_its_neighbours(row: TaskRow) -> None:
    spoil, speed = SPOILED[row.task]
    clean = torch.from_numpy(dead_leaves(21, 128, 96, speed))
    spoiled = spoil(clean)
    truth = clean[len(clean) // 2, :, 8:-8, 8:-8]
    alone, amid = (
        restored(row, frames)[len(frames) // 2, :, 8:-8, 8:-8] for frames in (spoiled[len(spoiled) // 2 :][:1], spoiled)
    )
    before, after = ((made - truth).square().mean().log10() * -10 for made in (alone, amid))
    assert after > before + GAINS[row.model]
