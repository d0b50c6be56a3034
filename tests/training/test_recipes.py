import math
from dataclasses import replace
from typing import Literal

import pytest

from tests.training.tiny import RECIPE
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS
from vs_vrt.training.degradations import DEGRADATIONS
from vs_vrt.training.recipe import Phase
from vs_vrt.training.recipes import BASICVSR, MANA, VRT, recipe_of


@pytest.mark.parametrize("row", TASKS, ids=lambda row: row.model)
def test_every_model_has_a_recipe_that_fits_it(row: TaskRow) -> None:
    recipe = recipe_of(row)
    side = min(recipe.crop)
    assert recipe.num_frames * (1 + recipe.mirror) >= row.num_frames
    assert side % row.multiple == 0
    assert side >= row.min_size
    assert DEGRADATIONS[recipe.degradation].suits(row)


def test_the_phases_of_the_papers() -> None:
    assert [BASICVSR.phase(i).learns for i in (4_999, 5_000, 10_000)] == ["flow", "all but flow", "all"]
    assert [VRT.phase(i).learns for i in (5_000, 24_999, 25_000)] == ["all but flow", "all but flow", "all"]
    stages = [MANA.phase(i).learns for i in (0, 89_999, 90_000, 119_999, 120_000)]
    assert stages == ["all but memory", "all but memory", "memory", "memory", "all"]


@pytest.mark.parametrize("motion", ["flow", "attention"])
def test_the_cosine_begins_when_motion_has_been_learned_alone(motion: Literal["flow", "attention"]) -> None:
    cosine = replace(RECIPE, phases=(Phase(iterations=10, learns=motion), Phase(iterations=100)))
    assert cosine.share(5) == pytest.approx(0.5)
    assert cosine.share(10) == 1
    assert cosine.share(35) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert cosine.share(109) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))


def test_a_trapezoid_falls_at_its_end() -> None:
    trapezoid = replace(RECIPE, schedule="trapezoid", phases=(Phase(iterations=100),), warm_up=9)
    assert [trapezoid.share(i) for i in (0, 4, 9, 69)] == pytest.approx([0.1, 0.5, 1, 1])
    assert trapezoid.share(85) == pytest.approx(0.5)


def test_one_factor_scales_all_phases() -> None:
    assert [phase.iterations for phase in BASICVSR.scaled(0.01).phases] == [50, 50, 2950]
    assert [phase.iterations for phase in BASICVSR.scaled(1e-9).phases] == [1, 1, 1]
