from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.tiny import RECIPE
from vs_vrt.training.batches import Batches
from vs_vrt.training.footage import Footage
from vs_vrt.training.patterns import checks, dots, patterned, stripes
from vs_vrt.video.footage import write_png

SIZE = (24, 40)


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", [stripes, checks, dots])
def test_each_kind_differs_by_seed_and_stays_between_two_colours(kind) -> None:
    made = [kind(SIZE, generator(seed)) for seed in range(20)]
    assert all(each.shape == SIZE and each.min() >= 0 and each.max() <= 1 for each in made)
    assert len({each.tobytes() for each in made}) > 6


def test_the_finest_checks_are_among_them() -> None:
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    finest = (row + column) % 2
    assert any(np.array_equal(checks(SIZE, generator(seed)), finest) for seed in range(100))


def test_a_pattern_has_two_colours_and_leaves_the_rest() -> None:
    clip = np.full((4, *SIZE, 3), 77, np.uint8)
    before = clip.copy()
    changed = []
    for seed in range(60):
        made = patterned(clip, generator(seed))
        assert np.array_equal(clip, before)
        changed.append(float((made != clip).any(-1).mean()))
        assert np.array_equal(made, patterned(clip, generator(seed)))
    assert 0.01 < np.mean(changed) < 0.8
    assert max(changed) > 0.9  # the whole frame


def test_half_of_them_move_by_whole_pixels() -> None:
    clip = np.zeros((3, *SIZE, 3), np.uint8)
    moves = []
    for seed in range(60):
        made = patterned(clip, generator(seed)).astype(int)
        moves.append(bool((made[0] != made[1]).any()))
    assert 15 < sum(moves) < 45


def test_batches_have_them_as_often_as_the_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for t in range(3):
        write_png(tmp_path / "clip" / f"{t}.png", np.full((96, 160, 3), 50, np.uint8))
    footage = Footage(tmp_path)
    shares = {}
    for share in (0.0, 0.3):
        recipe = replace(RECIPE, patterns=share, batch=2)
        batches = Batches(footage=footage, recipe=recipe)
        pieces = [piece for i in range(100) for piece in batches(i)[1]]
        shares[share] = float(np.mean([bool(piece.max() > piece.min()) for piece in pieces]))
    assert shares[0.0] == 0
    assert 0.2 < shares[0.3] < 0.4
