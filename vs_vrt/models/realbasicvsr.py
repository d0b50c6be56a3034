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
        """`(t 3 h w)`: `cleaned (t 3 h w)`, and the flow of those as in BasicVSR."""
        cleaned = torch.empty_like(video)
        for frame, clean in zip(video, cleaned, strict=True):
            clean.copy_(self._clean_whole(frame))
        return {**self.basicvsr.statistics(cleaned), "cleaned": cleaned}

    @override
    def localise(self, statistics: Statistics, place: Place) -> Statistics:
        rows, columns = (slice(axis.start, axis.stop) for axis in (place.rows, place.columns))
        return {**self.basicvsr.localise(statistics, place), "cleaned": statistics["cleaned"][..., rows, columns]}

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        """`(b t 3 h w) -> t' x (b 3 (h 4) (w 4))`: the frames of `keep` one by one, so that none must wait.

        Each frame is cleaned as often as it needs itself: what surrounds it in time and space has no say in it.
        """
        if statistics is None:
            video = torch.cat([self.clean(frame[:, None]) for frame in video.unbind(1)], dim=1)
        else:
            video = statistics["cleaned"][None].to(video)
        yield from self.basicvsr.frames(video, keep, statistics)

    def clean(self, video: Tensor) -> Tensor:
        """`(b t 3 h w) -> (b t 3 h w)`: in passes, until one changes little: dynamic refinement."""
        for _ in range(MAX_PASSES):
            residue = torch.stack([self.image_cleaning(frame) for frame in video.unbind(1)], dim=1)
            video = video + residue
            if self._is_clean(residue):
                break
        return video

    def _clean_whole(self, frame: Tensor) -> Tensor:
        """`(3 h w) -> (3 h w)`: what `clean` makes of a frame on the CPU."""
        halo = 2 + 2 * self.config.num_cleaning_blocks
        for _ in range(MAX_PASSES):
            residue = torch.empty_like(frame)
            for rows, columns, block in self.in_blocks_of(frame, halo, self.image_cleaning):
                residue[:, rows, columns] = block[0]
            frame = frame + residue
            if self._is_clean(residue):
                break
        return frame

    def _is_clean(self, residue: Tensor) -> bool:
        return bool(residue.float().abs().mean() < self.config.dynamic_refine_thres / 255)
