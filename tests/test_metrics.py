import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.golden_vectors import path
from vs_vrt.metrics import luma, psnr, psnr_y, ssim


def test_luma_spans_the_studio_range() -> None:
    extremes = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    assert luma(extremes).ravel().tolist() == pytest.approx([16, 235])


def test_psnr_of_a_known_difference() -> None:
    a = np.full((4, 6, 3), 100, dtype=np.uint8)
    b = a + np.uint8(10)  # every channel by 10: Y by 10 * 219 / 255
    assert psnr_y(a, b) == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)))
    assert psnr_y(a, a) == math.inf


@pytest.mark.parametrize("measure", [psnr, psnr_y, ssim])
def test_frames_of_different_sizes_are_not_compared(measure: Callable[[Any, Any], float]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        measure(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))


def test_golden() -> None:
    """What the papers' own scripts say of two pictures."""
    golden = np.load(path("metrics.npz"))
    a, b = (golden[key][..., ::-1] for key in ("a_bgr", "b_bgr"))
    np.testing.assert_allclose(luma(a), golden["y_a"], atol=1e-4)
    inner = np.s_[4:-4, 4:-4]
    found = {
        "psnr_rgb": psnr(a, b),
        "psnr_y": psnr_y(a, b),
        "psnr_rgb_border4": psnr(a[inner], b[inner]),
        "ssim_rgb": ssim(a, b),
        "ssim_y": ssim(luma(a), luma(b)),
        "ssim_rgb_border4": ssim(a[inner], b[inner]),
    }
    assert found == pytest.approx({key: float(golden[key]) for key in found}, abs=1e-6)


def test_ssim_of_a_picture_and_itself_is_one() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)
    assert ssim(picture, picture) == pytest.approx(1)
    assert ssim(picture, 255 - picture) < 0
