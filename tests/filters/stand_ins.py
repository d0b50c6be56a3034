"""Networks whose answers a test can compute, as rows of the task table: they show what goes in and comes out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, override

import torch
from torch import Tensor, nn

from vs_vrt.models.network import Network, Statistics
from vs_vrt.task import TaskRow


class StandIn(Network):
    """What all have in common: a checkpoint has to hold something."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


class Between(StandIn):
    """`(b 4 c h w) -> (b c h w)`: the mean of the two in the middle."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        assert video.shape[1] == 4
        yield self.weight * video[:, 1:3].mean(1)


class Nearest(StandIn):
    """`(b t c h w) -> (b t c (h 4) (w 4))`: every pixel sixteen times."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for n in keep:
            yield self.weight * video[:, n].repeat_interleave(4, -1).repeat_interleave(4, -2)


class AddLevel(StandIn):
    """`(b t 4 h w) -> (b t 3 h w)`: the picture, brighter by its noise level."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for n in keep:
            yield self.weight * (video[:, n, :3] + video[:, n, 3:])


class Span(StandIn):
    """`(b t c h w) -> (b t 3 h w)`: the red of the frame itself, of the first one given, and of the last one."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for n in keep:
            yield self.weight * torch.stack([video[:, n, 0], video[:, 0, 0], video[:, -1, 0]], dim=1)


NETWORKS: dict[str, type[StandIn]] = {"between": Between, "nearest": Nearest, "add-level": AddLevel, "span": Span}
NETWORKS |= {"stride": Span, "blended": Span}


def row(task: str, model: str, **facts: Any) -> TaskRow:
    """A row of the task table; its checkpoint lies in the folder of those that ship."""
    usual: dict[str, Any] = {"architecture": "", "scale": 1, "length": 10, "overlap": 3, "half_safe": True}
    mine = {"task": task, "model": model, "checkpoint": f"{model}.pth", "suits": "tests", "license": "MIT"}
    return TaskRow(**(usual | mine | {"bundled": True} | facts))


TASKS = (
    row("sr4", "nearest", scale=4),
    row("denoise", "add-level", sigma=10.0),
    row("vfi", "between", gives="between", num_frames=4),
    row("sr4", "span"),
    row("sr4", "stride", stride=5),
    row("sr4", "blended", sharing="blended", architecture="vrt:Span", length=8, overlap=2),
)


def build(row: TaskRow) -> nn.Module:
    """The row's network."""
    return NETWORKS[row.model]()


def save_checkpoints(folder: Path) -> None:
    """A file for each row."""
    for each in TASKS:
        torch.save(build(each).state_dict(), folder / each.checkpoint)
