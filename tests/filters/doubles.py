"""Real networks as small as they can be, and more stand-ins: networks that run out of memory, overflow or wait."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, override

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from vs_vrt.filters import restore

from tests.filters import reduced
from tests.filters.stand_ins import StandIn, row
from tests.golden_vectors import is_constant, seeded
from vs_vrt import checkpoint, engine, restorer
from vs_vrt.models.network import Network, Statistics
from vs_vrt.restorer import Restorer
from vs_vrt.task import TaskRow
from vs_vrt.tiling import Tiles

PATIENCE = 20  # seconds until nobody waits any longer for somebody who does not come

# What may be smaller still in the networks of the golden files, where nobody compares with published outputs.
VRT = {"depths": (2,) * 10, "embed_dims": (12,) * 10, "num_heads": (1,) * 10, "deformable_groups": 2}
SMALLEST: dict[str, dict[str, Any]] = {
    "basicvsr_mm_c16b2_mirror": {"mid_channels": 8, "num_blocks": 1},
    "iconvsr_mm_c64b2_pad3": {"mid_channels": 8, "num_blocks": 1},
    "basicvsrpp_mm_c16b2_same": {"num_blocks": 1},
    "realbasicvsr_mm_c16b2": {"mid_channels": 8, "num_propagation_blocks": 1, "num_cleaning_blocks": 1},
    "mana_c64_16x12": {"encoder_nblocks": 1, "decoder_nblocks": 1},
    "vrt_small_up2_pa2": VRT,
    "vrt_small_denoise_pa2": VRT | {"window_size": (2, 4, 4)},
    "vrt_small_vfi_pa0": VRT,
}


def smallest(name: str) -> TaskRow:
    """The row of the golden file's architecture."""
    found = reduced.row_of(name)
    return replace(found, config=dict(found.config) | SMALLEST[name])


def save_smallest(name: str, folder: Path) -> Path:
    """A checkpoint for it, with weights that belong to their keys."""
    wanted = restorer.build(smallest(name)).state_dict()
    weights = {key: value if is_constant(key) else seeded(key, tuple(value.shape), 1) for key, value in wanted.items()}
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    return path


def install(network: Network, monkeypatch: pytest.MonkeyPatch, folder: Path, task: str = "sr4", **facts: Any) -> None:
    """Puts the network in the place of all others, on devices where memory never ran out."""
    mine = row(task, "double", **facts)
    torch.save(network.state_dict(), folder / mine.checkpoint)
    monkeypatch.setattr(restore, "TASKS", (mine,))
    monkeypatch.setattr(checkpoint, "BUNDLED", folder)
    monkeypatch.setattr(restorer, "build", lambda _: network)
    monkeypatch.setattr(engine, "_gates", {})


class Memory:
    """Lets networks answer from memory where they are given the same frames once more.

    A network is a pure function of them: what it is given shows as much as what it makes of that, and costs nothing.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known: dict[tuple[Any, ...], list[Tensor]] = {}
        compute = Restorer._frames
        self.is_on = True

        def frames(
            restorer: Restorer, video: Tensor, keep: range, tiles: Tiles | None, precision: str | None
        ) -> Iterator[Tensor]:
            if not self.is_on:
                return compute(restorer, video, keep, tiles, precision)
            key = (restorer.row.model, video.shape, video.numpy().tobytes(), keep, tiles, precision)
            if key not in known:
                known[key] = list(compute(restorer, video, keep, tiles, precision))
            return iter(known[key])

        monkeypatch.setattr(Restorer, "_frames", frames)


def count_windows(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many windows each model computes from now on."""
    calls: Counter[str] = Counter()
    lock = threading.Lock()

    def counting(step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(restorer: Restorer, *rest: Any) -> Any:
            with lock:
                calls[restorer.row.model] += 1
            return step(restorer, *rest)

        return counted

    for name in ("restore", "interpolate"):
        monkeypatch.setattr(Restorer, name, counting(getattr(Restorer, name)))
    return calls


class Mix(StandIn):
    """`(b t c h w) -> (b t 3 h w)`: all frames given, each counting by how far away it is, and on which side."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for n in keep:
            weights = torch.tensor([1 / (1 + 2 * abs(i - n) + (i > n)) for i in range(video.shape[1])])
            yield self.weight * torch.einsum("t, b t c h w -> b c h w", weights / weights.sum(), video[:, :, :3])


class Larger(Mix):
    """`(b t c h w) -> (b t 3 (h 4) (w 4))`: the same, every pixel sixteen times."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for frame in super().frames(video, keep):
            yield frame.repeat_interleave(4, -1).repeat_interleave(4, -2)


class Contrast(StandIn):
    """`(b t c h w) -> (b t 3 h w)`: how far each sample is from the mean of its tile, which therefore shows.

    Larger tiles than `most` pixels make it run out of memory, in the way of `exhaust`.
    """

    def __init__(self, most: float, exhaust: Callable[[], object]) -> None:
        super().__init__()
        self.most, self.exhaust = most, exhaust
        self.tried: list[int] = []  # pixels of the tiles it was given

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        pixels = video.shape[-2] * video.shape[-1]
        self.tried.append(pixels)
        if pixels > self.most:
            self.exhaust()
        for n in keep:
            frame = video[:, n, :3]
            yield self.weight * (frame - frame.mean((-2, -1), keepdim=True))


class Overflowing(StandIn):
    """`(b t c h w) -> (b t 3 h w)`: what comes in, by a convolution, which rounds in half precision.

    The maximum of each frame decides: above 0.5 half precision makes infinities of it, above 0.9 float32 nothing but
    NaN.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3)[:, :, None, None] * 1.001)
        self.is_half: list[bool] = []  # of each frame made

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for n in keep:
            frame = video[:, n, :3]
            self.is_half.append(torch.is_autocast_enabled("cpu"))
            made = F.conv2d(frame, self.weight).float()
            if frame.max() > 0.9:
                made = made * torch.nan
            elif self.is_half[-1] and frame.max() > 0.5:
                made[..., 0, 0] = torch.inf
            yield made


class Meeting(Mix):
    """Goes on when as many windows as it has parties are inside, each on a thread of its own."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(parties)

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        self.barrier.wait(PATIENCE)
        yield from super().frames(video, keep)
