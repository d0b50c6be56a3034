"""The networks of TASKS whose checkpoints are on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import vapoursynth as vs

from vs_vrt.checkpoint import locate
from vs_vrt.errors import CheckpointError
from vs_vrt.state_dict import sha256_of
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS
from vs_vrt.training.loop import WEIGHTS

from .cases import Case
from .clips import Frame, Frames, frames_of, source


@dataclass(frozen=True)
class Network:
    """A row and the file that fills it."""

    row: TaskRow
    weights: Path
    name: str  # what columns of tables are called

    @property
    def identity(self) -> dict[str, Any]:
        """What the figures belong to."""
        windows = {"length": self.row.length, "overlap": self.row.overlap}
        device = {"device": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
        return windows | device | {"weights": sha256_of(self.weights)}

    def restore(self, frames: Frames, case: Case) -> Iterator[Frame]:
        """The frames as a script gets them, with the defaults of `core.vrt.Restore`."""
        arguments = {
            key: value for key, value in case.arguments.items() if key != "sigma" or self.row.sigma is not None
        }
        named = {"task": case.task, "model": self.row.model, "weights": str(self.weights)}
        return frames_of(vs.core.vrt.Restore(source(frames), **named, **arguments))


def networks(task: str, model: str | None = None, weights: Path | None = None) -> list[Network]:
    """Those of a task, or the one that is called `model`; with the file `weights` instead of its own."""
    rows = [row for row in TASKS if row.task == task and model in (None, row.model)]
    found = []
    for row in rows:
        try:
            path = locate(row, None if weights is None else str(weights))
        except CheckpointError:
            if weights is not None:
                raise
            continue
        if path.is_file():
            found.append(Network(row, path, row.model if weights is None else f"{row.model}+{label(path)}"))
    return found


def label(weights: Path) -> str:
    """What a file of one's own is called: `run` for `run/weights.safetensors`, as training calls all of them that."""
    return weights.resolve().parent.name if weights.name == WEIGHTS else weights.stem
