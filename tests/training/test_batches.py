from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vs_vrt.errors import ArgumentError
from vs_vrt.training.batches import Batches
from vs_vrt.training.footage import Footage
from vs_vrt.training.recipe import Phase, Recipe
from vs_vrt.training.reduction import bicubic_down
from vs_vrt.video.footage import write_png

RECIPE = Recipe(
    degradation="bicubic", phases=(Phase(iterations=8),), batch=4, num_frames=3, crop=(8, 16), learning_rate=1e-3
)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    folder = tmp_path_factory.mktemp("footage")
    (folder / "clip").mkdir()
    rng = np.random.default_rng(0)
    for t in range(9):
        write_png(folder / "clip" / f"{t}.png", rng.integers(0, 256, (72, 72, 3), dtype=np.uint8))
    return Footage(folder)


def test_a_batch_is_a_function_of_seed_and_iteration(footage: Footage) -> None:
    inputs, truth = Batches(footage=footage, recipe=RECIPE)(5)
    assert torch.equal(inputs, Batches(footage=footage, recipe=RECIPE)(5)[0])
    assert not torch.equal(inputs, Batches(footage=footage, recipe=RECIPE)(7)[0])
    assert not torch.equal(inputs, Batches(footage=footage, recipe=replace(RECIPE, seed=1))(5)[0])
    assert torch.equal(inputs.flatten(0, 1), bicubic_down(truth.flatten(0, 1), 4))
    assert len({sample.numpy().tobytes() for sample in inputs}) == 4


def test_crops_are_transposed_at_every_other_iteration(footage: Footage) -> None:
    batches = Batches(footage=footage, recipe=RECIPE)
    assert [tuple(batches(i)[0].shape) for i in (0, 1)] == [(4, 3, 3, 8, 16), (4, 3, 3, 16, 8)]
    assert [tuple(batches(i)[1].shape) for i in (0, 1)] == [(4, 3, 3, 32, 64), (4, 3, 3, 64, 32)]


def test_processes_share_the_same_batch(footage: Footage) -> None:
    whole = Batches(footage=footage, recipe=RECIPE)(2)
    parts = [Batches(footage=footage, recipe=RECIPE, rank=rank, ranks=2)(2) for rank in range(2)]
    for each, (first, second) in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(each[0::2], first)
        assert torch.equal(each[1::2], second)


def test_parts_must_be_equal(footage: Footage) -> None:
    with pytest.raises(
        ArgumentError, match=r"^6 processes cannot share batches of 4 evenly; `torchrun --nproc-per-node 2`"
    ):
        Batches(footage=footage, recipe=RECIPE, ranks=6)


def test_a_mirrored_sample_goes_back_the_way_it_came(footage: Footage) -> None:
    plain, truth = Batches(footage=footage, recipe=RECIPE)(3)
    inputs, whole = Batches(footage=footage, recipe=replace(RECIPE, mirror=True))(3)
    assert torch.equal(inputs, torch.cat([plain, plain.flip(1)], dim=1))
    assert torch.equal(whole, torch.cat([truth, truth.flip(1)], dim=1))


def test_frames_that_a_degradation_uses_up_are_read_on_top(footage: Footage) -> None:
    inputs, truth = Batches(footage=footage, recipe=replace(RECIPE, degradation="motion"))(0)
    assert inputs.shape == truth.shape == (4, 3, 3, 8, 16)


@pytest.mark.parametrize("makers", [1, 3])
def test_batches_made_ahead_are_the_same_in_order(footage: Footage, makers: int) -> None:
    batches = Batches(footage=footage, recipe=replace(RECIPE, batch=1), makers=makers)
    made = list(batches.ahead(2, 12))
    assert len(made) == 10
    for i, pair in enumerate(made, 2):
        assert all(torch.equal(a, b) for a, b in zip(pair, batches(i), strict=True))


def test_nothing_is_made_past_the_end(footage: Footage) -> None:
    assert list(Batches(footage=footage, recipe=RECIPE).ahead(5, 5)) == []


def test_samples_do_not_depend_on_where_footage_is_kept(footage: Footage, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for t, frame in enumerate(footage.clips[0][:]):
        write_png(tmp_path / "clip" / f"{t}.png", frame)
    stored = Batches(footage=Footage(tmp_path, share=0), recipe=RECIPE)
    assert torch.equal(stored(0)[0], Batches(footage=footage, recipe=RECIPE)(0)[0])
