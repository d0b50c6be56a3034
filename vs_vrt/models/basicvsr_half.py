"""Deblurring: BasicVSR's propagation (arXiv 2012.02181) at half the size, and what neighbours lack of each other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import override

import torch.nn.functional as F
from torch import Tensor

from vs_vrt.models.blending import EXPOSURES, blended
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

FLOW_SCALE = 4  # the mean of 4x4 pixels has a quarter of the noise, and of the blur: flow is found there
HALF = 2
KERNEL_GAIN = 8.0  # weights of a kernel are near 1: learned as an eighth of that, they are as large as others


@dataclass(frozen=True, kw_only=True)
class BasicVSRHalfConfig:
    """Sizes of the network."""

    mid_channels: int = 40
    num_blocks: int = 3
    tail_channels: int = 16
    flow_widths: tuple[int, int, int, int] = (16, 16, 16, 8)
    flow_kernel: int = 5
    neighbours: int = 3  # frames on either side, as they lie: what a mean of five lacks, they have


class BasicVSRHalf(RecurrentNetwork):
    """`(b t 3 h w) -> (b t 3 h w)`: RGB 0..1; multiples of 4.

    Each frame's 2x2 pixels are the channels of one: no detail is lost on the way in, as it is where features are found
    at a quarter of the size. As in IconVSR, the forward pass sees what the backward one made of the frame.

    What is known from frames before comes warped, and as it lies: each warp resamples, and what is at rest would lose
    a little detail with every frame.

    Neighbours that no flow has moved show what has left a place, and what has come: where frames are means of several,
    that is what they lack. Then, and only then, each pixel weighs their differences from its frame by a kernel of its
    own (Mildenhall et al., arXiv 1712.02327, equation 4, in time alone), beside what is added as usual.
    """

    config_type = BasicVSRHalfConfig

    def __init__(self, config: BasicVSRHalfConfig | None = None) -> None:
        super().__init__()
        config = config or BasicVSRHalfConfig()
        mid = config.mid_channels
        given = 3 * HALF**2 * (2 * config.neighbours + 1) + len(EXPOSURES)
        self.spynet = SpyNet(SpyNetConfig(widths=config.flow_widths, kernel=config.flow_kernel))
        self.backward_resblocks = ResidualBlocksWithInputConv(given + 2 * mid, mid, config.num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(given + 3 * mid, mid, config.num_blocks)
        self.upsample1 = PixelShufflePack(mid, config.tail_channels)
        self.conv_hr = conv3x3(config.tail_channels, config.tail_channels)
        self.conv_last = conv3x3(config.tail_channels, 3 + 2 * config.neighbours)
        self.flow_scale = FLOW_SCALE
        self.config = config

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        means = blended(video) if statistics is None else statistics["means"][None].to(video)
        given = self.given(video, means)
        ways = self.neighbour_flows(self.small(video), range(video.shape[1]), statistics)
        to_previous, to_next = ([enlarge(flow) for flow in way] for way in ways)
        last = video.shape[1] - 1
        order = (given(i) for i in range(last, -1, -1))
        backward = list(propagate(self.backward_resblocks, order, to_previous[::-1], unmoved=True))
        pairs = ([*given(i), backward[last - i]] for i in range(keep.stop))
        for i, features in enumerate(propagate(self.forward_resblocks, pairs, to_next, unmoved=True)):
            if i in keep:
                wide, count = self.conv_hr.out_channels, self.conv_last.out_channels
                made = in_bands(self._upsample_band, features, wide, HALF, count)
                kernel = made[:, 3:] * means.sum(1)[:, None, None, None].clamp(max=1)
                yield self.weighed(video, i, kernel) + made[:, :3]

    def weighed(self, video: Tensor, i: int, kernel: Tensor) -> Tensor:
        """`(b t 3 h w), i, (b 2n h w) -> (b 3 h w)`: frame i, and weighed differences from `n` on either side."""
        frame = video[:, i]
        others = self.near(i, video.shape[1])
        del others[self.config.neighbours]
        for n, weight in zip(others, kernel.unbind(1), strict=True):
            frame = frame + KERNEL_GAIN * weight[:, None] * (video[:, n] - video[:, i])
        return frame

    def near(self, i: int, count: int) -> list[int]:
        """Frame i of `count` amid its neighbours: the first and the last one stand for what lies beyond them."""
        reach = self.config.neighbours
        return [min(max(n, 0), count - 1) for n in range(i - reach, i + reach + 1)]

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t c h w)`: `flow (2 t-1 2 h' w')`, and `means (e)`, whether frames are means of their neighbours."""
        return {**super().statistics(video), "means": blended(video[None])[0]}

    def given(self, video: Tensor, means: Tensor) -> Callable[[int], list[Tensor]]:
        """`(b t 3 h w), (b e) -> (i -> [(b c' (h / 2) (w / 2))])`: what is known of frame i before any is restored."""
        pixels = F.pixel_unshuffle(video, HALF).unbind(1)
        flat = means[:, :, None, None].expand(-1, -1, *pixels[0].shape[-2:])

        def of(i: int) -> list[Tensor]:
            return [*(pixels[n] for n in self.near(i, len(pixels))), flat]

        return of

    @override
    def _upsample_band(self, x: Tensor) -> Tensor:
        return self.conv_last(lrelu(self.conv_hr(lrelu(self.upsample1(x)))))  # type: ignore[no-any-return]


def enlarge(flow: Tensor) -> Tensor:
    """`(b 2 h w) -> (b 2 (h 2) (w 2))`: from a quarter of the frames' size to half of it."""
    h, w = (side * FLOW_SCALE // HALF for side in flow.shape[-2:])
    return resize_flow(flow, (h, w))
