"""One forward of each network, with random weights and as the plugin computes, beside the published implementation.

The published figures are those of the authors' code on two cores of a CPU with torch 2.13, its deformable convolution
written in Python, and vary by half. FLOP are those of convolutions, matrix products and attention, counted while the
references run. Bytes are the fewest there can be: weights and frames are read once, and what is made is written once.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from benchmarks.operations import fewest_bytes
from benchmarks.processes import forget_peak, peak
from benchmarks.timing import Way, in_turn, kernels, products
from vs_vrt.engine import resolve
from vs_vrt.precision import computing
from vs_vrt.restorer import build, channels_last
from vs_vrt.tasks import TASKS


@dataclass(frozen=True)
class Case:
    """A network, what it is given, and what the published implementation takes for that."""

    model: str
    shape: tuple[int, int, int, int]  # t c h w
    published_seconds: float | None = None
    published_gb: float | None = None
    sibling: bool = False  # of one that is measured in full; this one on a CPU in fp32 alone
    gpu: bool = False  # takes minutes on a CPU
    quick: bool = False  # one of those that `--quick` measures

    @property
    def input(self) -> str:
        """In words."""
        return "x".join(map(str, (1, *self.shape)))


CASES = (
    Case("vrt-reds-6", (6, 3, 64, 64), 21.5, 1.9),
    Case("vrt-reds-16", (8, 3, 64, 64), 33.1, sibling=True),
    Case("vrt-vimeo", (8, 3, 64, 64), 35.0, sibling=True),
    Case("vrt-dvd", (6, 3, 64, 64), 13.6, sibling=True),
    Case("vrt-davis", (6, 4, 64, 64), 12.7, sibling=True),
    Case("vrt-vfi", (4, 3, 64, 64), 7.35),
    Case("basicvsr", (10, 3, 64, 64), 3.4, 0.85, quick=True),
    Case("iconvsr", (10, 3, 64, 64), 5.6, sibling=True),
    Case("basicvsrpp", (10, 3, 64, 64), 5.9, 0.95),
    Case("basicvsrpp-gopro", (10, 3, 256, 256), 6.72),
    Case("realbasicvsr", (10, 3, 64, 64), 3.6, sibling=True),
    Case("mana", (7, 3, 64, 64), 1.9, 1.5, quick=True),
    Case("basicvsr-compact", (10, 3, 64, 64)),
    Case("denoise-compact", (10, 4, 64, 64)),
    Case("deblur-compact", (10, 3, 64, 64)),
    Case("vrt-compact", (6, 3, 64, 64), sibling=True),
    Case("mana-compact", (7, 3, 64, 64), sibling=True),
    Case("vrt-reds-6", (6, 3, 184, 320), gpu=True),
    Case("mana", (7, 3, 180, 320), gpu=True),
)


def measure(case: Case, name: str, precision: str, budget: float) -> dict[str, Any]:
    """Of a network on the device of that name; for the engine's thread of a fresh process."""
    device = resolve(name)
    row = next(row for row in TASKS if row.model == case.model)
    torch.manual_seed(0)
    network = channels_last(build(row).eval().requires_grad_(False)).to(device)
    video = torch.rand(1, *case.shape, device=device)
    before = forget_peak(device)
    with computing(device, precision):
        with kernels(plain=False):
            made = network(video)
        memory, bytes_ = peak(device), fewest_bytes(network, video, made)
        del made
        flop = products(lambda: network(video))
        ways = {"ours": Way(lambda: network(video)), "reference": Way(lambda: network(video), plain=True)}
        found = in_turn(device, ways, budget, most=15)
    measured = {f"{way}_seconds": median(samples) for way, samples in found.items()}
    counted = {
        "frames": 1 if row.gives == "between" else case.shape[0],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "flop": flop,
        "bytes": bytes_,
        "memory_bytes": memory,
        "before_bytes": before,
        "repeats": len(found["ours"]),
    }
    published = {"published_seconds": case.published_seconds, "published_gb": case.published_gb}
    said = {"model": case.model, "input": case.input, "precision": precision}
    return said | measured | counted | (published if device.type == "cpu" else {})
