"""RealBasicVSR: BasicVSR behind a network that cleans the frames first (arXiv 2111.12704)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vs_vrt.models.basicvsr import BasicVSR, BasicVSRConfig
from vs_vrt.models.blocks import ResidualBlocksWithInputConv, conv3x3

MAX_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class RealBasicVSRConfig:
    """Sizes of the network; the defaults are the published ones (6,294,834 parameters)."""

    mid_channels: int = 64
    num_propagation_blocks: int = 20
    num_cleaning_blocks: int = 20
    dynamic_refine_thres: float = 255.0  # 8-bit units: cleaning ends with a pass that changes less


class RealBasicVSR(nn.Module):
    """`(b t 3 h w) -> (b t 3 (h 4) (w 4))`: every frame cleaned, then x4. RGB 0..1, any size, t >= 1.

    How often frames are cleaned is decided by the whole video given.
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

    def frames(self, video: Tensor, keep: range) -> Iterator[Tensor]:
        """`(b t 3 h w) -> t' x (b 3 (h 4) (w 4))`: the frames of `keep` one by one, so that none must wait."""
        yield from self.basicvsr.frames(self.clean(video), keep)

    def clean(self, video: Tensor) -> Tensor:
        """`(b t 3 h w) -> (b t 3 h w)`: passes until one changes little, which the paper calls dynamic refinement."""
        for _ in range(MAX_PASSES):
            residue = torch.stack([self.image_cleaning(frame) for frame in video.unbind(1)], dim=1)
            video = video + residue
            if residue.float().abs().mean() < self.config.dynamic_refine_thres / 255:
                break
        return video
