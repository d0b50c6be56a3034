"""Whether frames are means of their neighbours, against sums written out and footage whose making is known."""

import cmath
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vs_vrt.ops import blending
from vs_vrt.ops.blending import blended, unblended


def footage(frames: int, speed: float, seed: int = 0) -> NDArray[np.float64]:
    """`-> (t h w 3)`: a texture of all sizes that moves by `speed` pixels a frame, more or less."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.standard_normal((64, 256)))
    y, x = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(256), indexing="ij")
    spectrum *= np.hypot(x, y).clip(0.01) ** -1
    pictures = []
    for shift in np.cumsum(speed * (1 + 0.5 * rng.standard_normal(frames))):
        pictures.append(np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (x * shift + y * 0.3 * shift))).real)
    video = np.stack(pictures)[:, :48, :64]
    video = 0.5 + 0.15 * video / video.std()
    return np.repeat(video[..., None], 3, axis=-1)


def means(video: NDArray[np.float64], exposure: int) -> NDArray[np.float64]:
    count = len(video) - exposure + 1
    return np.stack([video[i : i + exposure].mean(0) for i in range(count)])


def tensor(video: NDArray[np.float64]) -> Tensor:
    """Rounded to 8 bits, as files are."""
    levels = np.rint(255 * video).clip(0, 255) / 255
    return torch.from_numpy(levels).float().permute(0, 3, 1, 2)[None]


@pytest.mark.parametrize("speed", [1.0, 3.0, 9.0])
@pytest.mark.parametrize("frames", [16, 36])
def test_means_of_3_and_of_5_are_told_from_other_footage(speed: float, frames: int) -> None:
    for seed in range(3):
        clean = footage(frames + 4, speed, seed)
        assert blended(tensor(means(clean, 5)))[0].tolist() == [0, 1]
        assert blended(tensor(means(clean, 3)))[0].tolist() == [1, 0]
        assert blended(tensor(clean))[0].tolist() == [0, 0]
        sub = np.stack([footage(3 * frames, speed / 3, seed)[i : i + 3].mean(0) for i in range(0, 3 * frames, 3)][:36])
        assert blended(tensor(sub))[0].tolist() == [0, 0]  # exposures that share no moment


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_what_stands_still_is_not_blended(sigma: float) -> None:
    still = np.repeat(footage(1, 0.0), 30, axis=0)
    noisy = still + sigma / 255 * np.random.default_rng(0).standard_normal(still.shape)
    assert blended(tensor(noisy))[0].tolist() == [0, 0]


@pytest.mark.parametrize(("period", "frames"), [(2, 9), (2, 16), (3, 20), (4, 17), (7, 40), (10, 36), (12, 30)])
def test_what_blinks_is_not_blended(period: int, frames: int) -> None:
    """It lacks frequencies, too: undone, it would be several times as bright as white, or dark."""
    shape = np.random.default_rng(0).random((1, 16, 24, 1))
    on = np.arange(frames) * 2 // period % 2
    video = np.repeat(shape * on[:, None, None, None], 3, axis=-1)
    assert blended(tensor(video))[0].tolist() == [0, 0]


def test_too_few_frames_say_nothing() -> None:
    video = tensor(means(footage(40, 5.0), 5))
    assert blended(video[:, : blending.LEAST - 1]).tolist() == [[0, 0]]


def test_the_measure_is_that_of_a_sum_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, at every pixel, with a map from power to certainty that nothing escapes."""
    monkeypatch.setattr(blending, "UNKNOWN", 8.0)
    monkeypatch.setattr(blending, "CERTAIN", -8.0)
    monkeypatch.setattr(blending, "BEYOND", math.inf)
    video = tensor(footage(11, 2.0))[..., :8, :12]
    two = torch.cat([video, video.flip(-1) * 0.7])
    for each, found in zip(two.double().numpy(), blended(two), strict=True):
        luma = each.mean(1).reshape(11, 4, 2, 6, 2).mean((2, 4))
        for exposure, sure in zip((3, 5), found.tolist(), strict=True):
            below, zero, above = (power(luma, 1 / exposure + aside) for aside in (-0.1, 0, 0.1))
            assert sure == pytest.approx((8 - zero / math.sqrt(below * above)) / 16, rel=1e-3)


def power(luma: NDArray[np.float64], frequency: float) -> float:
    steps = len(luma) - 1
    total, weight = 0.0, 0.0
    for i in range(luma.shape[1]):
        for j in range(luma.shape[2]):
            found = 0j
            for n in range(steps):
                wave = math.sin(math.pi * (n + 0.5) / steps) * cmath.exp(2j * math.pi * frequency * n)
                found += wave * (luma[n + 1, i, j] - luma[n, i, j])
            total += abs(found) ** 2 / luma[0].size
    for n in range(steps):
        weight += math.sin(math.pi * (n + 0.5) / steps) ** 2
    # What rounding to 8 bits leaves in a mean of four pixels, in power at that frequency; twice that, to be sure.
    return total + 2 * weight / 12 / 4 / 255**2 * abs(1 - cmath.exp(2j * math.pi * frequency)) ** 2


def psnr(found: Tensor, clean: NDArray[np.float64], exposure: int) -> float:
    truth = tensor(clean)[:, exposure // 2 :][:, : found.shape[1]]
    return float(-10 * torch.log10((found - truth).square().mean()))


@pytest.mark.parametrize("speed", [1.0, 3.0, 9.0])
@pytest.mark.parametrize("exposure", [3, 5])
def test_means_are_undone(speed: float, exposure: int) -> None:
    """What repeats every 3 or 5 frames cannot be known."""
    clean = footage(34, speed)
    given = tensor(means(clean, exposure))
    found = unblended(given, blended(given))
    assert psnr(found, clean, exposure) > psnr(given, clean, exposure) + 5


def test_undoing_is_by_least_squares() -> None:
    """Of the means' errors and of neighbours' differences, which a step in any direction makes larger."""
    given = torch.rand(1, 11, 1, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    wide = torch.zeros(15, dtype=torch.float64, requires_grad=True)

    def error(x: Tensor) -> Tensor:
        fit: Tensor = (x.unfold(0, 5, 1).mean(-1) - given.flatten()).square().sum() + 1e-3 * x.diff().square().sum()
        return fit

    hessian = torch.autograd.functional.hessian(error, wide)
    (gradient,) = torch.autograd.grad(error(wide), wide)
    best = -torch.linalg.solve(hessian, gradient)
    found = unblended(given, torch.tensor([[0.0, 1.0]])).flatten()
    assert torch.allclose(found.double(), best[2:-2], atol=1e-4)


def test_what_is_not_blended_stays_as_it_is() -> None:
    video = tensor(footage(20, 3.0))
    assert torch.equal(unblended(video, torch.zeros(1, 2)), video)


def test_what_stands_still_stays_when_it_is_undone() -> None:
    still = tensor(np.repeat(footage(1, 0.0), 20, axis=0))
    assert (unblended(still, torch.tensor([[0.0, 1.0]])) - still).abs().max() < 1e-4


def test_half_certain_is_half_way_and_videos_are_apart() -> None:
    video = torch.rand(2, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    sure = torch.tensor([[0.0, 1.0], [0.0, 0.5]])
    both, whole = unblended(video, sure), unblended(video, torch.tensor([[0.0, 1.0]] * 2))
    assert torch.allclose(both[0], whole[0])
    assert torch.allclose(both[1], (whole[1] + video[1]) / 2, atol=1e-6)
