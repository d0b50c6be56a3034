"""Deblurring: frames that are means are undone; then BasicVSR's propagation (arXiv 2012.02181) at half the size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import Tensor

from vs_vrt.models.blocks import (
    PixelShufflePack,
    RecurrentNetwork,
    ResidualBlocksWithInputConv,
    conv3x3,
    in_bands,
    lrelu,
    propagate,
)
from vs_vrt.models.network import Statistics
from vs_vrt.models.spynet import SpyNet, SpyNetConfig, resize_flow
from vs_vrt.ops.blending import EXPOSURES, blended, unblended

FLOW_SCALE = 4  # the mean of 4x4 pixels has a quarter of the noise, and of the blur: flow is found there
HALF = 2


@dataclass(frozen=True, kw_only=True)
class BasicVSRHalfConfig:
    """Sizes of the network."""

    mid_channels: int = 40
    num_blocks: int = 3
    tail_channels: int = 16
    flow_widths: tuple[int, int, int, int] = (16, 16, 16, 8)
    flow_kernel: int = 5


class BasicVSRHalf(RecurrentNetwork):
    """`(b t 3 h w) -> (b t 3 h w)`: RGB 0..1; multiples of 4.

    Frames that are means of their neighbours are undone along time first: that takes no learning, and leaves errors
    that do. Others stay as they are.

    Each frame's 2x2 pixels are the channels of one: no detail is lost on the way in, as it is where features are found
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
        self.spynet = SpyNet(SpyNetConfig(widths=config.flow_widths, kernel=config.flow_kernel))
        self.backward_resblocks = ResidualBlocksWithInputConv(given + 2 * mid, mid, config.num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(given + 3 * mid, mid, config.num_blocks)
        self.upsample1 = PixelShufflePack(mid, config.tail_channels)
        self.conv_hr = conv3x3(config.tail_channels, config.tail_channels)
        self.conv_last = conv3x3(config.tail_channels, 3)
        self.flow_scale = FLOW_SCALE

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
                yield sharp[:, i] + in_bands(self._upsample_band, features, self.conv_hr.out_channels, HALF)

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t c h w)`: `flow (2 t-1 2 h' w')`, and `blended (e)`, how surely frames are means of e."""
        sure = blended(video[None])
        with torch.autocast(self.spynet.mean.device.type, enabled=False):
            small = unblended(self.small(video[None]), sure)
            return {"flow": self.spynet.coarse_flows(small[0]), "blended": sure[0]}

    @override
    def _upsample_band(self, x: Tensor) -> Tensor:
        return self.conv_last(lrelu(self.conv_hr(lrelu(self.upsample1(x)))))  # type: ignore[no-any-return]


def enlarge(flow: Tensor) -> Tensor:
    """`(b 2 h w) -> (b 2 (h 2) (w 2))`: from a quarter of the frames' size to half of it."""
    h, w = (side * FLOW_SCALE // HALF for side in flow.shape[-2:])
    return resize_flow(flow, (h, w))
