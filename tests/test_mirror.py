import torch

from vs_vrt.mirror import extend, mirror


def test_positions_are_reflected_at_both_edges_as_often_as_it_takes() -> None:
    assert mirror(range(-4, 8), 3) == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]
    assert mirror(range(-2, 3), 1) == [0] * 5


def test_a_video_is_extended_below_and_to_the_right() -> None:
    video = torch.arange(6.0).view(1, 1, 2, 3)
    found = extend(video, multiple=4, min_size=5)
    assert found.shape == (1, 1, 8, 8)
    assert found[0, 0, 0].tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert found[0, 0, :, 0].tolist() == [0, 3, 3, 0, 0, 3, 3, 0]


def test_a_video_that_fits_is_left_alone() -> None:
    video = torch.rand(2, 3, 8, 12)
    assert extend(video, multiple=4, min_size=8) is video
