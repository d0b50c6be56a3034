"""The task table: rows that cannot contradict each other, their networks or the files."""

import importlib
from dataclasses import FrozenInstanceError
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

from vs_vrt.checkpoint import BUNDLED, DISTANCES
from vs_vrt.restorer import build
from vs_vrt.state_dict import key_hash
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

each_row = pytest.mark.parametrize("row", TASKS, ids=lambda row: f"{row.task}-{row.model}")


def test_a_task_and_a_model_name_one_row() -> None:
    names = [(row.task, row.model) for row in TASKS]
    assert len(set(names)) == len(names)


def test_no_two_rows_share_a_file() -> None:
    assert len({row.checkpoint for row in TASKS}) == len(TASKS)


def test_what_is_bundled_stands_first_in_its_task() -> None:
    first = {row.task: row for row in reversed(TASKS)}
    assert [row for row in first.values() if row.bundled] == [row for row in TASKS if row.bundled]


@each_row
def test_a_row_describes_a_network_that_can_be_built(row: TaskRow) -> None:
    module, name = row.architecture.split(":")
    network = getattr(importlib.import_module(f"vs_vrt.models.{module}"), name)
    network.config_type(**row.config)


# Rows whose files have the same keys share a network, and building it takes its time.
@pytest.mark.parametrize("row", {row.keys: row for row in TASKS}.values(), ids=lambda row: row.model)
def test_the_network_has_the_keys_and_shapes_of_the_official_checkpoint(row: TaskRow) -> None:
    with torch.device("meta"):
        tensors = build(row).state_dict()
    if row.model == "mana":  # the file has the distances for the frames of its training, 64x64
        tensors[DISTANCES] = torch.empty(64 * 64, 64 * 64, device="meta")
    assert key_hash(tensors) == row.keys


def test_rows_whose_files_have_the_same_keys_share_a_network() -> None:
    networks = {(row.keys, row.architecture, tuple(row.config.items())) for row in TASKS}
    assert len(networks) == len({row.keys for row in TASKS})


@each_row
def test_a_row_has_a_checkpoint_that_is_here_or_can_be_had(row: TaskRow) -> None:
    if row.bundled:
        assert (BUNDLED / row.checkpoint).is_file()
    elif row.url:
        url = urlsplit(row.url)
        assert (url.scheme, url.path.rsplit("/")[-1]) == ("https", row.checkpoint)
        assert not row.page
    else:
        assert row.page.startswith("https://") or row.model == "mana"  # whose file was never published
    assert row.license
    assert row.suits


@each_row
def test_a_sum_is_that_of_the_file_name(row: TaskRow) -> None:
    digits = Path(row.checkpoint).stem.rpartition("-")[2]
    published = len(digits) == 8 and not row.bundled
    assert row.sha256 == (digits if published else "")
    int(row.sha256 or "0", 16)
    assert len(row.keys) == 64


@each_row
def test_a_window_holds_what_the_network_needs(row: TaskRow) -> None:
    assert row.min_size % row.multiple == 0
    if row.sharing == "blended":
        assert row.length >= row.num_frames + row.overlap
        assert row.length % row.config.get("window_size", (6, 8, 8))[0] == 0
    else:
        assert row.length + 2 * row.overlap >= row.num_frames
        assert row.length % row.stride == row.overlap % row.stride == 0  # windows begin to read where keyframes are


@each_row
def test_tiles_keep_to_the_grid_of_the_network(row: TaskRow) -> None:
    """VRT: attention windows at an eighth of the size; IconVSR and networks at a quarter: pixels there."""
    name, config = row.architecture.split(":")[1], row.config
    quarter = name == "IconVSR" or not config.get("is_low_res_input", True)
    assert row.align == (8 * config.get("window_size", (6, 8, 8))[1] if name == "VRT" else 4 if quarter else 1)


@each_row
def test_a_row_cannot_be_changed(row: TaskRow) -> None:
    with pytest.raises(FrozenInstanceError):
        row.scale = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        row.config["mid_channels"] = 1  # type: ignore[index]


@each_row
def test_a_row_says_what_its_network_takes(row: TaskRow) -> None:
    """For VRT as many frames as it warps, and eight windows a side; for IconVSR a key frame and what surrounds it."""
    name, config = row.architecture.split(":")[1], row.config
    facts = (row.gives, row.num_frames, row.multiple, row.min_size)
    if name == "VRT":
        window = config.get("window_size", (6, 8, 8))
        warped = config.get("pa_frames", 2)
        assert facts[2:] == (8, 8 * window[1])
        assert facts[:2] == (("every", 1 + warped // 2) if warped else ("between", config["num_frames"]))
    elif name == "IconVSR":
        assert facts == ("every", 2 * config.get("padding", 2) + 1, 1, 4)
    elif name == "MANA":
        assert facts == ("every", 1, 1, 1)
    else:
        assert facts == ("every", 1, *((1, 1) if config.get("is_low_res_input", True) else (4, 64)))
    assert row.scale == {"sr4": 4}.get(row.task, 1)
    assert (row.sigma is not None) == config.get("nonblind_denoising", False)
