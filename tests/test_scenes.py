import math
from functools import cache
from itertools import islice, pairwise, permutations

import pytest
import torch
from torch import Tensor

from tests.support import ROOT, moving_texture
from vs_vrt.scenes import DEFAULT_THRESHOLD, distance
from vs_vrt.video.footage import read_frames

CLIPS = ROOT.parent / "shared" / "clips"
FILMED = ("davis_parkour", "davis_bmx-trees", "davis_breakdance")
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


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e38, -1e38])
def test_a_sample_that_is_no_colour_neither_fails_nor_cuts(value: float, channel: int) -> None:
    spoilt = SHOT[0].clone()
    spoilt[channel, 5, 7] = value
    assert distance(SHOT[0], spoilt) < DEFAULT_THRESHOLD / 2
    assert distance(spoilt, spoilt) == pytest.approx(0, abs=1e-3)


def test_highlights_count_as_white() -> None:
    bright = SHOT[0] + 0.4
    assert distance(bright, OTHER[0]) == pytest.approx(distance(bright.clamp(max=1), OTHER[0]), abs=0.02)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_between_a_picture_and_none_is_a_cut(level: float) -> None:
    assert distance(SHOT[0], torch.full_like(SHOT[0], level)) > DEFAULT_THRESHOLD


def test_a_fade_of_half_a_second_is_no_cut() -> None:
    fade = [torch.lerp(SHOT[0], OTHER[0], n / 12) for n in range(13)]
    assert max(distance(a, b) for a, b in pairwise(fade)) < DEFAULT_THRESHOLD


def test_grain_is_no_cut() -> None:
    random = torch.Generator().manual_seed(1)
    grainy = SHOT[:2] + 0.1 * torch.randn(SHOT[:2].shape, generator=random)
    assert distance(*grainy) < DEFAULT_THRESHOLD


@cache
def filmed(name: str) -> list[Tensor]:
    """The shot's first second, `(3 h w)`; skips where there is no footage."""
    if not (CLIPS / name).is_dir():
        pytest.skip(f"no {name} beside the checkout")
    frames = islice(read_frames(CLIPS / name), 24)
    return [torch.from_numpy(frame[::2, ::2]).permute(2, 0, 1).float() / 255 for frame in frames]


@pytest.mark.parametrize("name", FILMED)
def test_fast_motion_that_was_filmed_is_no_cut(name: str) -> None:
    assert max(distance(a, b) for a, b in pairwise(filmed(name))) < DEFAULT_THRESHOLD


@pytest.mark.parametrize(("before", "after"), list(permutations(FILMED, 2)))
def test_between_shots_that_were_filmed_is_a_clear_cut(before: str, after: str) -> None:
    for offset in range(0, 24, 6):
        assert distance(filmed(before)[-1 - offset], filmed(after)[offset]) > 1.2 * DEFAULT_THRESHOLD
