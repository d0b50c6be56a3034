"""RealBasicVSR: BasicVSR behind a network that cleans the frames first (arXiv 2111.12704)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import override

import torch
from torch import Tensor, nn

from vs_vrt.models.basicvsr import BasicVSR, BasicVSRConfig
from vs_vrt.models.blocks import ResidualBlocksWithInputConv, conv3x3
from vs_vrt.models.network import Network, Place, Statistics

MAX_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class RealBasicVSRConfig:
    """Sizes of the network; the defaults are the published ones (6,294,834 parameters)."""

    mid_channels: int = 64
    num_propagation_blocks: int = 20
    num_cleaning_blocks: int = 20
    dynamic_refine_thres: float = 255.0  # 8-bit units: cleaning ends with a pass that changes less


class RealBasicVSR(Network):
    """`(b t 3 h w) -> (b t 3 (h 4) (w 4))`: every frame cleaned, then x4. RGB 0..1, any size, t >= 1.

    How often frames are cleaned is decided by the whole video given, or by `frames` for each on its own.
    """

    config_type = RealBasicVSRConfig

    def __init__(self, config: RealBasicVSRConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RealBasicVSRConfig()
        mid = config.mid_channels
        self.image_cleaning = nn.Sequential(
            ResidualBlocksWithInputConv(3, mid, config.num_cleaning_blocks), conv3x3(mid, 3)
        )
        self.basicvsr = BasicVSR(BasicVSRConfig(mid_channels=mid, num_blocks=config.num_propagation_blocks))

    def forward(self, video: Tensor, keep: range | None = None) -> Tensor:
        """All frames, or those of `keep`: the others lend their history alone, which is cheaper."""
        return self.basicvsr(self.clean(video), keep)  # type: ignore[no-any-return]

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t 3 h w)`: `passes (t)`, how often each frame is cleaned, and the flow of clean frames as in BasicVSR."""
        counts, cleaned = zip(*(self._clean_whole(frame) for frame in video), strict=True)
        return {**self.basicvsr.statistics(torch.stack(cleaned)), "passes": torch.tensor(counts)}

    @override
    def localise(self, statistics: Statistics, place: Place) -> Statistics:
        return self.basicvsr.localise(statistics, place)

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        """`(b t 3 h w) -> t' x (b 3 (h 4) (w 4))`: the frames of `keep` one by one, so that none must wait.

        Each frame is cleaned as often as it needs itself: what surrounds it in time and space has no say in it.
        """
        passes = [None] * video.shape[1] if statistics is None else statistics["passes"].tolist()
        cleaned = [self.clean(video[:, i : i + 1], count) for i, count in enumerate(passes)]
        yield from self.basicvsr.frames(torch.cat(cleaned, dim=1), keep, statistics)

    def clean(self, video: Tensor, passes: int | None = None) -> Tensor:
        """`(b t 3 h w) -> (b t 3 h w)`: in so many passes, or until one changes little: dynamic refinement."""
        for _ in range(passes or MAX_PASSES):
            residue = torch.stack([self.image_cleaning(frame) for frame in video.unbind(1)], dim=1)
            video = video + residue
            if passes is None and self._is_clean(residue):
                break
        return video

    def _clean_whole(self, frame: Tensor) -> tuple[int, Tensor]:
        """`(3 h w) -> n, (3 h w)`: how many passes `clean` makes of a frame on the CPU, and what of it."""
        halo = 2 + 2 * self.config.num_cleaning_blocks
        passes, clean = 0, False
        while not clean and passes < MAX_PASSES:
            bands = self.in_bands_of(frame, halo, self.image_cleaning)
            residue = torch.cat([band.float().cpu() for band in bands], dim=2)[0]
            frame, clean, passes = frame + residue, self._is_clean(residue), passes + 1
        return passes, frame

    def _is_clean(self, residue: Tensor) -> bool:
        return bool(residue.float().abs().mean() < self.config.dynamic_refine_thres / 255)
