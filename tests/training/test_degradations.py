import numpy as np
import pytest
import torch

from vs_vrt.training.degradations import bicubic_down


def kernel(x: float, a: float = -0.5) -> float:
    """Keys' cubic convolution kernel."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def loop_down(signal: np.ndarray, scale: int) -> np.ndarray:
    """Antialiased cubic reduction of one row by its definition: the kernel stretched by the scale, renormalised."""
    out = []
    for i in range(len(signal) // scale):
        centre = (i + 0.5) * scale - 0.5
        taps = range(max(0, int(centre - 2 * scale)), min(len(signal), int(centre + 2 * scale) + 2))
        weights = np.array([kernel((tap - centre) / scale) for tap in taps])
        out.append(float((weights * signal[list(taps)]).sum() / weights.sum()))
    return np.array(out)


def test_equals_the_definition_within_the_rounding() -> None:
    signal = np.random.default_rng(0).random(48)
    video = torch.from_numpy(signal).float().expand(1, 1, 3, 16, 48)
    down = bicubic_down(video, 4)[0, 0, 0, 1]
    assert np.abs(down.numpy() - loop_down(signal, 4).clip(0, 1)).max() <= 0.5 / 255 + 1e-6


def test_result_has_eight_bits() -> None:
    down = 255 * bicubic_down(torch.rand(1, 2, 3, 16, 16), 4)
    assert down.shape == (1, 2, 3, 4, 4)
    assert float((down - down.round()).abs().max()) == pytest.approx(0, abs=1e-4)
