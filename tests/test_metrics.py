import math

import numpy as np
import pytest

from vs_vrt.metrics import luma, psnr_y


def test_luma_spans_the_studio_range() -> None:
    extremes = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    assert luma(extremes).ravel().tolist() == pytest.approx([16, 235])


def test_psnr_of_a_known_difference() -> None:
    a = np.full((4, 6, 3), 100, dtype=np.uint8)
    b = a + np.uint8(10)  # every channel by 10: Y by 10 * 219 / 255
    assert psnr_y(a, b) == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)))
    assert psnr_y(a, a) == math.inf


def test_frames_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr_y(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))
