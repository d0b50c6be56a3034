import math

import torch

from vs_vrt.training.losses import charbonnier, flicker, photometric


def test_charbonnier_is_its_formula() -> None:
    a, b = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 0.2, 1.7])
    expected = sum(math.sqrt((x - y) ** 2 + 0.01) for x, y in ((0, 0), (0.5, 0.2), (1, 1.7))) / 3
    assert abs(float(charbonnier(a, b, 0.1)) - expected) < 1e-6


def test_errors_that_stay_do_not_flicker() -> None:
    truth = torch.rand(2, 4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 4, 1, 1, 1)
    assert float(flicker(truth + 0.1, truth, 0)) < 1e-6
    assert abs(float(flicker(truth + 0.1 * sign, truth, 0)) - 0.2) < 1e-6


def test_photometric_prefers_the_true_flow() -> None:
    torch.manual_seed(0)
    wide = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 24, 40), 3, 1, 1)
    reference, neighbour = wide[..., 4:36], wide[..., 2:34]  # neighbour[x + 2] == reference[x]
    flow = torch.zeros(1, 2, 24, 32)
    flow[:, 0] = 2
    right = photometric(reference, neighbour, flow)
    assert right < 0.2 * photometric(reference, neighbour, 0 * flow)
    assert right < 0.2 * photometric(reference, neighbour, -flow)


def test_photometric_charges_for_bent_flow() -> None:
    flat = torch.full((1, 3, 8, 8), 0.5)
    bent = torch.zeros(1, 2, 8, 8)
    bent[..., 4:] = 1
    assert photometric(flat, flat, bent) > photometric(flat, flat, torch.ones(1, 2, 8, 8))
