"""What the networks in the wheel make of pictures that no footage holds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vs_vrt import checkpoint
from vs_vrt.restorer import build
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

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


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("row", [row for row in TASKS if row.bundled], ids=lambda row: row.model)
def test_no_pattern_makes_a_picture_explode(row: TaskRow, pattern: str) -> None:
    """What propagates from frame to frame may grow by a little each time; it was seen to, by a factor of 30,000."""
    network = build(row).eval()
    checkpoint.load(network, checkpoint.locate(row, None), row)
    frames = [PATTERNS[pattern](torch.tensor(t)).float().expand(1, 1, 3, SIDE, SIDE) for t in range(FRAMES)]
    video = torch.cat(frames, dim=1)
    if row.sigma is not None:
        video = torch.cat([video, torch.full_like(video[:, :, :1], row.sigma / 255)], dim=2)
    with torch.no_grad():
        made = network(video)
    assert -4 < float(made.min()) <= float(made.max()) < 5  # sharpened edges overshoot
