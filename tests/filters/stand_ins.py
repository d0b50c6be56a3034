"""Networks whose answers a test can compute, as rows of the task table: they show what goes in and comes out."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from vs_vrt.task import Gives, TaskRow


class StandIn(nn.Module):
    """What all have in common: a checkpoint has to hold something."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


class Between(StandIn):
    """`(b 4 c h w) -> (b 1 c h w)`: the mean of the two in the middle."""

    def forward(self, video: Tensor) -> Tensor:
        assert video.shape[1] == 4
        return self.weight * video[:, 1:3].mean(1, keepdim=True)


class Nearest(StandIn):
    """`(b t c h w) -> (b t c (h 4) (w 4))`: every pixel sixteen times."""

    def frames(self, video: Tensor, keep: range) -> Iterator[Tensor]:
        for n in keep:
            yield self.weight * video[:, n].repeat_interleave(4, -1).repeat_interleave(4, -2)


class AddLevel(StandIn):
    """`(b t 4 h w) -> (b t 3 h w)`: the picture, brighter by its noise level."""

    def frames(self, video: Tensor, keep: range) -> Iterator[Tensor]:
        for n in keep:
            yield self.weight * (video[:, n, :3] + video[:, n, 3:])


NETWORKS: dict[str, type[StandIn]] = {"between": Between, "nearest": Nearest, "add-level": AddLevel}


def row(task: str, model: str, scale: int = 1, gives: Gives = "every", num_frames: int = 1, **rest: float) -> TaskRow:
    """A row of the task table; its checkpoint lies in the folder of those that ship."""
    return TaskRow(
        task=task,
        model=model,
        architecture="",
        scale=scale,
        gives=gives,
        num_frames=num_frames,
        length=10,
        overlap=3,
        half_safe=True,
        sigma=rest.get("sigma"),
        suits="tests",
        license="MIT",
        checkpoint=f"{model}.pth",
        bundled=True,
    )


TASKS = (
    row("sr4", "nearest", scale=4),
    row("denoise", "add-level", sigma=10.0),
    row("vfi", "between", gives="between", num_frames=4),
)


def build(row: TaskRow) -> nn.Module:
    """The row's network."""
    return NETWORKS[row.model]()


def save_checkpoints(folder: Path) -> None:
    """A file for each row."""
    for each in TASKS:
        torch.save(build(each).state_dict(), folder / each.checkpoint)
