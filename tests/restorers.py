"""Restorers around networks that a test made: they have no checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vs_vrt import restorer
from vs_vrt.models.network import Network
from vs_vrt.restorer import Restorer
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS
from vs_vrt.tiling import Tiles

ROW = next(row for row in TASKS if row.bundled)
CPU = torch.device("cpu")


def restorer_of(model: Network, monkeypatch: pytest.MonkeyPatch, row: TaskRow = ROW, **facts: Any) -> Restorer:
    """The network on the CPU, with a row of which `facts` are changed."""
    monkeypatch.setattr(restorer, "build", lambda _: model)
    monkeypatch.setattr(restorer.checkpoint, "load", lambda *_: None)
    return Restorer(replace(row, **facts), Path(), CPU, "fp32")


def restore(
    restorer: Restorer,
    video: Tensor,
    cuts: list[bool] | None = None,
    keep: range | None = None,
    tiles: Tiles | None = None,
) -> Tensor:
    """`(t c h w) -> (t' 3 (h s) (w s))`: without cuts, and all frames, where nothing else is said."""
    count = len(video)
    made = restorer.restore(video, [False] * (count - 1) if cuts is None else cuts, keep or range(count), tiles)
    return torch.stack(list(made))
