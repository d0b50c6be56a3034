import pytest
import torch
from torch import Tensor

from tests.support import moving_texture
from vs_vrt.scenes import DEFAULT_THRESHOLD, distance

SHOT, OTHER = (torch.from_numpy(moving_texture(seed, 3, 64, 48)) for seed in (1, 2))


def test_equal_frames_have_no_distance() -> None:
    assert distance(SHOT[0], SHOT[0]) == pytest.approx(0, abs=1e-3)


def test_a_cut_is_above_the_threshold_and_motion_below_it() -> None:
    assert distance(SHOT[0], SHOT[1]) < DEFAULT_THRESHOLD / 2
    assert distance(SHOT[0], OTHER[0]) > 1.2 * DEFAULT_THRESHOLD


def test_the_distance_has_no_direction_and_lies_between_0_and_1() -> None:
    assert distance(SHOT[0], OTHER[0]) == pytest.approx(distance(OTHER[0], SHOT[0]))
    assert 0 <= distance(torch.zeros(3, 8, 8), 1 - SHOT[0]) <= 1


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.flip(0),  # other colours in the same place
        lambda frame: (frame * 0.5 + 0.4).clamp(0, 1),  # a flash
        lambda frame: frame.flip(2),  # another layout in the same colours
    ],
    ids=["colours", "flash", "layout"],
)
def test_neither_colours_nor_layout_alone_make_a_cut(change: object) -> None:
    assert callable(change)
    picture = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(1)).mean(0, keepdim=True)
    frame = torch.cat([picture, picture * 0.9, picture * 0.8]).repeat_interleave(8, 1).repeat_interleave(8, 2)
    changed: Tensor = change(frame)
    assert distance(frame, changed) < distance(SHOT[0], OTHER[0])


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 300), (3, 700, 3)])
def test_any_size_has_a_distance(shape: tuple[int, int, int]) -> None:
    a, b = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    assert 0 <= distance(a, b) <= 1


@pytest.mark.parametrize("level", [-3.0, 0.0, 1.0, 5.0])
def test_flat_frames_and_values_outside_0_to_1_are_no_problem(level: float) -> None:
    flat = torch.full((3, 16, 16), level)
    assert distance(flat, flat) == pytest.approx(0, abs=1e-3)
    assert 0 <= distance(flat, SHOT[0, :, :16, :16]) <= 1
