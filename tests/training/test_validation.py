from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny import CONFIG, RECIPE, write_clip
from vs_vrt.metrics import psnr_y
from vs_vrt.models.basicvsr import BasicVSR
from vs_vrt.training.footage import Footage
from vs_vrt.training.initial import initialise
from vs_vrt.training.journal import Check, Iteration, Journal
from vs_vrt.training.plot import plot, points
from vs_vrt.training.validation import GAP, PIECES, Validation


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    return Validation(Footage(write_clip(tmp_path_factory.mktemp("footage"))), RECIPE)


def test_the_picture_shows_what_was_given_made_and_true(validation: Validation) -> None:
    network = BasicVSR(CONFIG)
    initialise(network, 0)
    given, restored, picture = validation(network)
    h, w = 4 * RECIPE.crop[0], 4 * RECIPE.crop[1]
    assert picture.shape == (PIECES * (h + GAP) - GAP, 3 * (w + GAP) - GAP, 3)
    truth = (255 * validation.truth[1, 1]).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(picture[h + GAP : 2 * h + GAP, 2 * (w + GAP) :], truth)
    assert (picture[h] == 255).all()
    with torch.inference_mode():
        made = (255 * network(validation.inputs).clamp(0, 1)).round().byte().permute(0, 1, 3, 4, 2).numpy()
    true = (255 * validation.truth).round().byte().permute(0, 1, 3, 4, 2).numpy()
    assert restored == pytest.approx(psnr_y(made.reshape(-1, w, 3), true.reshape(-1, w, 3)), abs=1e-3)
    assert 5 < given < 30


def test_the_pieces_stay_the_same(validation: Validation, tmp_path: Path) -> None:
    again = Validation(Footage(write_clip(tmp_path)), RECIPE)
    assert torch.equal(again.inputs, validation.inputs)
    assert torch.equal(again.truth, validation.truth)


def test_a_journal_is_what_it_wrote() -> None:
    journal, again = Journal(), Journal()
    journal.iterations = [Iteration(0.1 + i / 3, 1.25) for i in range(30)]
    journal.checks = [Check(20, 27.5, 28.25)]
    again.restore(journal.log(), journal.validation())
    assert (again.iterations, again.checks) == (journal.iterations, journal.checks)
    assert journal.recent(1) == "loss 9.76667, +1.25 dB"


def test_points_of_a_curve_are_means() -> None:
    at, values = points(np.arange(600.0), 100, np.mean)
    assert (at[0], values[0], at[-1], values[-1]) == (102, 0.5, 700, 598.5)
    assert points(np.array([]), 0, np.mean) == ([], [])


def test_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    journal = Journal()
    with (tmp_path / "empty.png").open("wb") as file:
        journal.iterations = [Iteration(0.1, 0.0)]
        plot(journal, [10], file)
    journal.iterations = [Iteration(1 / (i + 1), i / 10) for i in range(40)]
    journal.checks = [Check(20, 27.5, 28.25), Check(40, 27.5, 29)]
    with (tmp_path / "curves.png").open("wb") as file:
        plot(journal, [10, 40], file)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
