from pathlib import Path

import numpy as np
import pytest
import torch

from vs_vrt.errors import ArgumentError
from vs_vrt.training.data import Footage
from vs_vrt.video import write_png


@pytest.fixture
def footage(tmp_path: Path) -> Footage:
    """One clip of five frames in which every pixel tells its frame, row and column."""
    (tmp_path / "clip").mkdir()
    row, column = np.mgrid[0:24, 0:40]
    for t in range(5):
        write_png(tmp_path / "clip" / f"{t}.png", np.stack([0 * row + t, row, column], -1).astype(np.uint8))
    return Footage(tmp_path)


def test_a_batch_is_a_function_of_seed_and_iteration(footage: Footage) -> None:
    first = footage.batch(1, 7, 3, 4, (8, 16))
    assert torch.equal(first, footage.batch(1, 7, 3, 4, (8, 16)))
    assert not torch.equal(first, footage.batch(1, 8, 3, 4, (8, 16)))
    assert not torch.equal(first, footage.batch(2, 7, 3, 4, (8, 16)))


def test_a_sample_is_one_place_over_neighbouring_frames(footage: Footage) -> None:
    batch = (255 * footage.batch(0, 0, 8, 4, (8, 16))).round()
    assert batch.shape == (8, 4, 3, 8, 16)
    assert bool((batch[:, :1, 1:] == batch[:, :, 1:]).all())  # the place does not move
    steps = batch[:, 1:, 0] - batch[:, :-1, 0]
    assert bool((steps.abs() == 1).all())  # forwards or backwards in time


def test_short_clips_are_played_back_and_forth(footage: Footage) -> None:
    batch = (255 * footage.batch(0, 0, 1, 12, (8, 8))).round()
    assert batch[0, :, 0, 0, 0].tolist() in ([0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1], [1, 0, 0, 1, 2, 3, 4, 4, 3, 2, 1, 0])


def test_a_folder_without_footage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="holds no video files"):
        Footage(tmp_path)
