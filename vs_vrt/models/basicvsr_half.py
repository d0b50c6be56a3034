"""Deblurring: frames that are means are undone; then BasicVSR's propagation (arXiv 2012.02181) at half the size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import Tensor

from vs_vrt.models.blocks import HALF, HalfSizeNetwork, ResidualBlocksWithInputConv, propagate
from vs_vrt.models.network import Statistics
from vs_vrt.models.spynet import SpyNet, resize_flow
from vs_vrt.ops.blending import EXPOSURES, blended, unblended
from vs_vrt.task import SPYNET, SpyNetConfig


@dataclass(frozen=True, kw_only=True)
class BasicVSRHalfConfig:
    """Sizes of the network."""

    mid_channels: int = 40
    num_blocks: int = 3
    tail_channels: int = 16
    flow: SpyNetConfig = SPYNET


class BoundedBlocks(ResidualBlocksWithInputConv):
    """`(b c' h w) -> (b c h w)`, of length 1 at most: what may grow a little with every frame explodes in long clips.

    Root mean square over channels. Limits of each channel by itself would stop it from learning once it is there.
    """

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found * torch.rsqrt(1 + found.square().mean(1, keepdim=True))


class BasicVSRHalf(HalfSizeNetwork):
    """`(b t 3 h w) -> (b t 3 h w)`: RGB 0..1; multiples of 4.

    Frames that are means of their neighbours are undone along time first: that takes no learning, and leaves errors
    that do. Others stay as they are.

    No detail is lost on the way in, with 2x2 pixels as the channels of one, as it is where features are found
    at a quarter of the size. As in IconVSR, the forward pass sees what the backward one made of the frame. What is
    known from frames before comes warped, and as it lies: each warp resamples, and what is at rest would lose a little
    detail with every frame.
    """

    config_type = BasicVSRHalfConfig

    def __init__(self, config: BasicVSRHalfConfig | None = None) -> None:
        super().__init__()
        config = config or BasicVSRHalfConfig()
        mid = config.mid_channels
        given = 2 * 3 * HALF**2 + len(EXPOSURES)
        self.spynet = SpyNet(config.flow)
        self.backward_resblocks = BoundedBlocks(given + 2 * mid, mid, config.num_blocks)
        self.forward_resblocks = BoundedBlocks(given + 3 * mid, mid, config.num_blocks)
        self._add_half_tail(mid, config.tail_channels)

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        sure = blended(video) if statistics is None else statistics["blended"][None].to(video)
        sharp = unblended(video, sure)

        def given(i: int) -> list[Tensor]:
            pixels = [F.pixel_unshuffle(each[:, i], HALF) for each in (sharp, video)]
            return [*pixels, sure[:, :, None, None].expand(-1, -1, *pixels[0].shape[-2:])]

        ways = self.neighbour_flows(self.small(sharp), range(video.shape[1]), statistics)
        to_previous, to_next = ([enlarge(flow) for flow in way] for way in ways)
        last = video.shape[1] - 1
        order = (given(i) for i in range(last, -1, -1))
        backward = list(propagate(self.backward_resblocks, order, to_previous[::-1], unmoved=True))
        pairs = ([*given(i), backward[last - i]] for i in range(keep.stop))
        for i, features in enumerate(propagate(self.forward_resblocks, pairs, to_next, unmoved=True)):
            if i in keep:
                yield sharp[:, i] + self.enlarged(features)

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t c h w)`: `flow (2 t-1 2 h' w')`, and `blended (e)`, how surely frames are means of e."""
        sure = blended(video[None])
        small = unblended(self.small(video[None]), sure)
        return {"flow": self.coarse_flow(small[0]), "blended": sure[0]}


def enlarge(flow: Tensor) -> Tensor:
    """`(b 2 h w) -> (b 2 (h 2) (w 2))`: from a quarter of the frames' size to half of it."""
    h, w = (side * HalfSizeNetwork.flow_scale // HALF for side in flow.shape[-2:])
    return resize_flow(flow, (h, w))
