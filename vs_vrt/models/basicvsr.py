"""BasicVSR: bidirectional recurrent propagation with flow-warped features (arXiv 2012.02181)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import override

import torch
from torch import Tensor, nn

from vs_vrt.models.blocks import (
    RecurrentNetwork,
    ResidualBlocksWithInputConv,
    lrelu,
    propagate,
    upsample_bilinear,
)
from vs_vrt.models.network import Statistics
from vs_vrt.models.spynet import SpyNet
from vs_vrt.task import SPYNET, SpyNetConfig


@dataclass(frozen=True, kw_only=True)
class BasicVSRConfig:
    """Sizes of the network; the defaults are the published ones (6,291,311 parameters)."""

    mid_channels: int = 64
    num_blocks: int = 30
    half_channels: int | None = None  # at twice the input's size; None: mid_channels
    tail_channels: int = 64  # at four times the input's size
    flow: SpyNetConfig = SPYNET


class BasicVSR(RecurrentNetwork):
    """`(b t 3 h w) -> (b t 3 (h 4) (w 4))`: every frame x4, with history from both ends. RGB 0..1, any size, t >= 1."""

    config_type = BasicVSRConfig

    def __init__(self, config: BasicVSRConfig | None = None) -> None:
        super().__init__()
        config = config or BasicVSRConfig()
        mid = config.mid_channels
        self.spynet = SpyNet(config.flow)
        self.backward_resblocks = ResidualBlocksWithInputConv(3 + mid, mid, config.num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(3 + mid, mid, config.num_blocks)
        self.fusion = nn.Conv2d(2 * mid, mid, 1)
        self._add_tail(mid, config.half_channels or mid, config.tail_channels)

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        # History runs towards a frame: backwards from the last one, forwards from the first, and never past `keep`.
        later, earlier = video[:, keep.start :], video[:, : keep.stop]
        to_previous, to_next = self.neighbour_flows(video, keep, statistics)
        backward = list(propagate(self.backward_resblocks, zip(later.unbind(1)[::-1]), to_previous[::-1]))
        for i, forward in enumerate(propagate(self.forward_resblocks, zip(earlier.unbind(1)), to_next)):
            if i in keep:
                fused = lrelu(self.fusion(torch.cat([backward.pop(), forward], dim=1)))
                yield self.upsample(fused) + upsample_bilinear(video[:, i])
