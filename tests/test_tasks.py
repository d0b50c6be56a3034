"""The task table: rows that cannot contradict each other or the files."""

import importlib
from dataclasses import FrozenInstanceError

import pytest

from vs_vrt.checkpoint import BUNDLED
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

each_row = pytest.mark.parametrize("row", TASKS, ids=lambda row: f"{row.task}-{row.model}")


def test_a_task_and_a_model_name_one_row() -> None:
    names = [(row.task, row.model) for row in TASKS]
    assert len(set(names)) == len(names)


@each_row
def test_a_row_describes_a_network_that_can_be_built(row: TaskRow) -> None:
    module, name = row.architecture.split(":")
    network = getattr(importlib.import_module(f"vs_vrt.models.{module}"), name)
    network.config_type(**row.config)


@each_row
def test_a_row_has_a_checkpoint_that_is_here_or_can_be_had(row: TaskRow) -> None:
    if row.bundled:
        assert (BUNDLED / row.checkpoint).is_file()
    else:
        assert row.url.startswith("https://")
        assert row.url.endswith(f"/{row.checkpoint}")
    assert row.license


@each_row
def test_a_row_cannot_be_changed(row: TaskRow) -> None:
    with pytest.raises(FrozenInstanceError):
        row.scale = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        row.config["mid_channels"] = 1  # type: ignore[index]
