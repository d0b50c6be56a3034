"""Shrinkage of the DCT against its definition, patch by patch and wave by wave in float64."""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from tests.golden_vectors import error
from vs_vrt.ops import shrinkage
from vs_vrt.ops.shrinkage import threshold, wiener

TOLERANCE = 1e-5


def wave(k: int, n: int) -> float:
    """Sample n of the orthonormal DCT-II's wave k, of 8."""
    return math.sqrt((1 if k == 0 else 2) / 8) * math.cos(math.pi * k * (2 * n + 1) / 16)


WAVES = torch.tensor([[wave(k, n) for n in range(8)] for k in range(8)], dtype=torch.float64)


def colours(x: Tensor) -> Tensor:
    """`(3 h w) -> (3 h w)`: brightness, red against blue, green against both, each of length 1."""
    r, g, b = x
    return torch.stack([(r + g + b) / math.sqrt(3), (r - b) / math.sqrt(2), (r - 2 * g + b) / math.sqrt(6)])


def rgb(x: Tensor) -> Tensor:
    """`(3 h w) -> (3 h w)`: back from `colours`."""
    y, u, v = x[0] / math.sqrt(3), x[1] / math.sqrt(2), x[2] / math.sqrt(6)
    return torch.stack([y + u + v, y - 2 * v, y - u + v])


def mirrored(x: Tensor) -> Tensor:
    """`(c h w) -> (c (h 12) (w 12))`: six pixels more on each side, without the edge twice."""
    rows, columns = ([abs(i) if i < n else 2 * n - 2 - i for i in range(-6, n + 6)] for n in x.shape[1:])
    return x[:, rows][:, :, columns]


def by_patch(
    x: Tensor, variance: Tensor, share: Callable[[Tensor, float, int, int, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """`(3 h w), (1 h w)`: what the patches say, weighed, and what noise they keep; `share` of each coefficient."""
    planes, levels = mirrored(colours(x.double())), mirrored(variance.double())
    total, weights = torch.zeros_like(planes), torch.zeros_like(planes)
    left, count = torch.zeros_like(levels), torch.zeros_like(levels)
    for top, start in product(range(0, planes.shape[1] - 7, 2), range(0, planes.shape[2] - 7, 2)):
        place = slice(top, top + 8), slice(start, start + 8)
        noise = float(levels[0][place].mean())
        for c in range(3):
            coefficients = WAVES @ planes[c][place] @ WAVES.T
            kept = share(coefficients, noise, c, top, start)
            kept[0, 0] = 1
            weight = 1 / (noise * float((kept**2).mean()))
            total[c][place] += weight * (WAVES.T @ (coefficients * kept) @ WAVES)
            weights[c][place] += weight
            left[0][place] += noise * float(kept.mean()) / 3
        count[0][place] += 1
    inside = slice(6, -6)
    return rgb((total / weights)[:, inside, inside]), (left / count)[:, inside, inside]


def hard(coefficients: Tensor, noise: float, *_: int) -> Tensor:
    return (coefficients.abs() > 2.7 * math.sqrt(noise)).double()


def noisy(height: int = 16, width: int = 20) -> tuple[Tensor, Tensor]:
    """`(1 3 h w), (1 1 h w)`: a picture, and noise of a strength that differs from place to place."""
    generator = torch.Generator().manual_seed(1)
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    picture = torch.stack([x, (x > 0.4).float(), torch.sin(9 * y)])
    variance = (0.02 + 0.1 * x) ** 2
    return (picture + variance.sqrt() * torch.randn(picture.shape, generator=generator))[None], variance[None, None]


def threshold_errors() -> list[float]:
    x, variance = noisy()
    expected = by_patch(x[0], variance[0], hard)
    return [error(found[0].double(), right) for found, right in zip(threshold(x, variance), expected, strict=True)]


def test_threshold_is_its_definition() -> None:
    assert max(threshold_errors()) < TOLERANCE


def test_wiener_is_its_definition() -> None:
    x, variance = noisy()
    pilot = mirrored(colours(by_patch(x[0], variance[0], hard)[0]))

    def share(_: Tensor, noise: float, c: int, top: int, start: int) -> Tensor:
        signal: Tensor = (WAVES @ pilot[c, top : top + 8, start : start + 8] @ WAVES.T) ** 2
        return signal / (signal + noise)

    assert error(wiener(x, variance)[0].double(), by_patch(x[0], variance[0], share)[0]) < TOLERANCE


@pytest.mark.parametrize(("name", "value"), [("THRESHOLD", 2.0), ("COLOURS", ((1, 0, 0), (0, 1, 0), (0, 0, 1)))])
def test_the_definition_has_teeth(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrinkage, name, value)
    assert max(threshold_errors()) > 100 * TOLERANCE


def test_pictures_of_a_batch_are_apart() -> None:
    x, variance = noisy()
    both = wiener(torch.cat([x, x.flip(-1)]), torch.cat([variance, variance.flip(-1)]))
    assert torch.equal(both[:1], wiener(x, variance))
    assert error(both[1:], both[:1].flip(-1)) < TOLERANCE


def test_noise_goes_and_the_picture_stays() -> None:
    """A wave of the DCT, which one coefficient holds, loses nearly all of its noise."""
    generator = torch.Generator().manual_seed(0)
    wave = 0.5 + 0.3 * torch.cos(math.pi * 2 * (torch.arange(64) + 0.5) / 8).expand(1, 3, 64, 64)
    noise = 0.1 * torch.randn(wave.shape, generator=generator)
    variance = torch.full((1, 1, 64, 64), 0.01)
    found, left = threshold(wave + noise, variance)
    for estimate in (found, wiener(wave + noise, variance)):
        assert (estimate - wave).square().mean() < 0.05 * noise.square().mean()
    # What it says of the noise that is left is about right.
    assert 0.5 < (found - wave).square().mean() / left.mean() < 2


def test_a_picture_without_noise_stays_as_it_is() -> None:
    x, variance = noisy()
    assert error(wiener(x, torch.full_like(variance, 1e-9)), x) < 1e-4
