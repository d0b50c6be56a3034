"""BasicVSR's propagation (arXiv 2012.02181) at half the size, for restoration that keeps the size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import override

import torch.nn.functional as F
from einops import rearrange
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
    """Sizes of the network, and what it gets beside a frame."""

    mid_channels: int = 40
    num_blocks: int = 3
    tail_channels: int = 16
    flow_widths: tuple[int, int, int, int] = (16, 16, 16, 8)
    flow_kernel: int = 5
    noise_level: bool = False  # a fourth channel: sigma / 255
    neighbours: int = 0  # frames on either side, as they lie


class BasicVSRHalf(RecurrentNetwork):
    """`(b t 3 h w) -> (b t 3 h w)`, or `(b t 4 h w)` with noise levels: RGB 0..1, sigma / 255; multiples of 4.

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
        given = 3 * HALF**2 * (2 * config.neighbours + 1) + config.noise_level
        given += len(EXPOSURES) if config.neighbours else 0
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
        rgb = video[:, :, :3]
        means = self.means(video) if statistics is None else statistics["means"][None].to(video)
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
                yield self.weighed(rgb, i, kernel) + made[:, :3]

    def weighed(self, rgb: Tensor, i: int, kernel: Tensor) -> Tensor:
        """`(b t 3 h w), i, (b 2n h w) -> (b 3 h w)`: frame i, and weighed differences from `n` on either side."""
        frame = rgb[:, i]
        others = self.near(i, rgb.shape[1])
        del others[self.config.neighbours]
        for n, weight in zip(others, kernel.unbind(1), strict=True):
            frame = frame + KERNEL_GAIN * weight[:, None] * (rgb[:, n] - rgb[:, i])
        return frame

    def near(self, i: int, count: int) -> list[int]:
        """Frame i of `count` amid its neighbours: the first and the last one stand for what lies beyond them."""
        reach = self.config.neighbours
        return [min(max(n, 0), count - 1) for n in range(i - reach, i + reach + 1)]

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t c h w)`: `flow (2 t-1 2 h' w')`, and `means (e)`, whether frames are means of their neighbours."""
        return {**super().statistics(video), "means": self.means(video[None])[0]}

    def means(self, video: Tensor) -> Tensor:
        """`(b t c h w) -> (b e)`: see `blended`; of a network that has no use for it, e is 0."""
        return blended(video) if self.config.neighbours else video.new_zeros(len(video), 0)

    def given(self, video: Tensor, means: Tensor) -> Callable[[int], list[Tensor]]:
        """`(b t c h w), (b e) -> (i -> [(b c' (h / 2) (w / 2))])`: what is known of frame i before any is restored."""
        pixels = F.pixel_unshuffle(video[:, :, :3], HALF).unbind(1)
        levels = [[each] for each in level(video).unbind(1)] if self.config.noise_level else [[]] * len(pixels)
        flat = means[:, :, None, None].expand(-1, -1, *pixels[0].shape[-2:])

        def of(i: int) -> list[Tensor]:
            return [*(pixels[n] for n in self.near(i, len(pixels))), *levels[i], flat]

        return of

    @override
    def small(self, video: Tensor) -> Tensor:
        """`(b t c h w) -> (b t 3 (h / 4) (w / 4))`: the means of 4x4 pixels."""
        small = F.avg_pool2d(rearrange(video[:, :, :3], "b t c h w -> (b t) c h w"), FLOW_SCALE)
        return rearrange(small, "(b t) c h w -> b t c h w", b=video.shape[0])

    @override
    def _upsample_band(self, x: Tensor) -> Tensor:
        return self.conv_last(lrelu(self.conv_hr(lrelu(self.upsample1(x)))))  # type: ignore[no-any-return]


def level(video: Tensor) -> Tensor:
    """`(b t 4 h w) -> (b t 1 (h / 2) (w / 2))`: the noise level of 2x2 pixels together."""
    variances = F.avg_pool2d(video[:, :, 3].square(), HALF)
    return variances.sqrt()[:, :, None]


def enlarge(flow: Tensor) -> Tensor:
    """`(b 2 h w) -> (b 2 (h 2) (w 2))`: from a quarter of the frames' size to half of it."""
    h, w = (side * FLOW_SCALE // HALF for side in flow.shape[-2:])
    return resize_flow(flow, (h, w))
