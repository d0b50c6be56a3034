"""Blocks that several architectures share."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import override

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.network import Network, Place, Statistics
from vs_vrt.models.spynet import CHUNK_PIXELS, SpyNet, crop_coarse
from vs_vrt.ops.flow_warp import flow_warp
from vs_vrt.ops.linear import linear
from vs_vrt.replay import replayed

SCALE = 4  # of the tail: two steps of x2
HALF = 2  # of that of networks that keep the size: one step
HALO = 2  # rows of its input that a row of its output looks beyond its own: 1 + 1/2 + 1/4 + 1/4
BAND_ROWS = 64  # at least, or the halo costs too much
BAND_BYTES = 24 << 20  # of one full-size feature map: allocators hand larger ones out page by page


class Linear(nn.Linear):
    """`(... c) -> (... o)`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """`(b in h w) -> (b out h w)`: 3x3, stride 1, zero padding."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def lrelu(x: Tensor) -> Tensor:
    """`(...) -> (...)`: LeakyReLU, in place, with the slope 0.1 that this family uses nearly everywhere."""
    return F.leaky_relu(x, 0.1, inplace=True)


class ResidualBlock(nn.Module):
    """`(b c h w) -> (b c h w)`: x + conv2(relu(conv1(x))), no normalisation (EDSR, arXiv 1707.02921, figure 2c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x), inplace=True)).add_(x)  # type: ignore[no-any-return]


class ResidualBlocksWithInputConv(nn.Module):
    """`(b in h w) -> (b out h w)`: a convolution, LeakyReLU 0.1, then a chain of residual blocks."""

    def __init__(self, in_channels: int, out_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.main = nn.Sequential(
            conv3x3(in_channels, out_channels),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Sequential(*(ResidualBlock(out_channels) for _ in range(num_blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        return replayed(self.main, x)


class PixelShufflePack(nn.Module):
    """`(b in h w) -> (b out (h 2) (w 2))`: a convolution to four times the channels, then pixel shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample_conv = conv3x3(in_channels, 4 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), 2)


def offset_network(in_channels: int, channels: int, deform_groups: int) -> nn.Sequential:
    """`(b in h w) -> (b (27 g) h w)`: offsets and masks of a deformable 3x3 convolution that flow guides."""
    return nn.Sequential(
        conv3x3(in_channels, channels),
        nn.LeakyReLU(0.1, inplace=True),
        conv3x3(channels, channels),
        nn.LeakyReLU(0.1, inplace=True),
        conv3x3(channels, channels),
        nn.LeakyReLU(0.1, inplace=True),
        conv3x3(channels, 27 * deform_groups),
    )


class RecurrentNetwork(Network):
    """`(b t 3 h w) -> (b t 3 h' w')`: flow between neighbours and the tail to full size, which a family shares."""

    spynet: SpyNet
    flow_scale = 1  # how much smaller frames are where flow is found

    def _add_tail(self, in_channels: int, half_channels: int, channels: int) -> None:
        """Makes the layers of `upsample`, with the names that checkpoints have for them."""
        self.upsample1 = PixelShufflePack(in_channels, half_channels)
        self.upsample2 = PixelShufflePack(half_channels, channels)
        self.conv_hr = conv3x3(channels, channels)
        self.conv_last = conv3x3(channels, 3)

    def forward(self, video: Tensor, keep: range | None = None) -> Tensor:
        """All frames, or those of `keep`: the others lend their history alone, which is cheaper."""
        return torch.stack(list(self.frames(video, keep or range(video.shape[1]))), dim=1)

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t 3 h w)`: `flow (2 t-1 2 h' w')`, found at the coarsest levels: backwards in time, then forwards."""
        return {"flow": self.coarse_flow(self.small(video[None])[0])}

    def coarse_flow(self, small: Tensor) -> Tensor:
        """`(t 3 h w) -> (2 t-1 2 h' w')`: of frames as flow is found on them, in float32 under autocast."""
        with torch.autocast(self.spynet.mean.device.type, enabled=False):
            return self.spynet.coarse_flows(small)

    @override
    def localise(self, statistics: Statistics, place: Place) -> Statistics:
        n = self.flow_scale
        rows, columns = (range(axis.start // n, axis.stop // n) for axis in (place.rows, place.columns))
        size = place.height // n, place.width // n
        flows = [crop_coarse(way, rows, columns, size) for way in statistics["flow"]]
        return {**statistics, "flow": torch.stack(flows)}

    def small(self, video: Tensor) -> Tensor:
        """`(b t c h w) -> (b t 3 (h / n) (w / n))`: the frames as flow is found on them, the means of n x n pixels."""
        if self.flow_scale == 1:
            return video
        small = F.avg_pool2d(rearrange(video[:, :, :3], "b t c h w -> (b t) c h w"), self.flow_scale)
        return rearrange(small, "(b t) c h w -> b t c h w", b=video.shape[0])

    def neighbour_flows(
        self, video: Tensor, keep: range, statistics: Statistics | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`(b t 3 h w) -> t-k x (b 2 h w), t-l x (b 2 h w)`: between neighbours, as far as frames of `keep` need them.

        With the first, each frame from the first of `keep` on is warped to the one before it; with the second, each up
        to the last one of `keep` to the next.
        """
        backward, forward = (None, None) if statistics is None else statistics["flow"]
        later, earlier = video[:, keep.start :], video[:, : keep.stop]
        return (
            self.flow(later[:, :-1], later[:, 1:], None if backward is None else backward[keep.start :]),
            self.flow(earlier[:, 1:], earlier[:, :-1], None if forward is None else forward[: keep.stop - 1]),
        )

    def flow(self, references: Tensor, neighbours: Tensor, coarse: Tensor | None = None) -> list[Tensor]:
        """`(b t 3 h w), (b t 3 h w) -> t x (b 2 h w)`: the flows that warp neighbours to references.

        `coarse (t 2 h' w')`: what the coarsest levels found in the whole frames, where these are parts, and b is 1.

        In float32 under autocast: half precision steps by whole pixels above 1024.
        """
        b, t, _, h, w = references.shape
        references, neighbours = references.float(), neighbours.float()
        step = max(1, CHUNK_PIXELS // (b * h * w))
        flows: list[Tensor] = []
        for start in range(0, t, step):
            part = slice(start, start + step)
            reference, neighbour = (each[:, part].flatten(0, 1) for each in (references, neighbours))
            begin = None if coarse is None else coarse[part].to(reference)
            with torch.autocast(references.device.type, enabled=False):
                found = self.spynet(reference, neighbour, begin)
            flows += rearrange(found, "(b t) c h w -> t b c h w", b=b).unbind(0)
        return flows

    def upsample(self, x: Tensor) -> Tensor:
        """`(b c h w) -> (b 3 (h 4) (w 4))`: the tail, in bands of rows."""
        return in_bands(self._upsample_band, x, self.conv_hr.out_channels)

    def _upsample_band(self, x: Tensor) -> Tensor:
        x = lrelu(self.upsample1(x))
        x = lrelu(self.upsample2(x))
        return self.conv_last(lrelu(self.conv_hr(x)))  # type: ignore[no-any-return]


class HalfSizeNetwork(RecurrentNetwork):
    """`(b t c h w) -> (b t 3 h w)`: features at half the size, of 2x2 pixels as the channels of one, and the way back.

    Flow is found at a quarter: the mean of 4x4 pixels has a quarter of the noise, and of the blur.
    """

    flow_scale = 4

    def _add_half_tail(self, in_channels: int, channels: int) -> None:
        """Makes the layers of `enlarged`."""
        self.upsample1 = PixelShufflePack(in_channels, channels)
        self.conv_hr = conv3x3(channels, channels)
        self.conv_last = conv3x3(channels, 3)

    def enlarged(self, features: Tensor) -> Tensor:
        """`(b c h w) -> (b 3 (h 2) (w 2))`: the tail, in bands of rows."""
        return in_bands(self._upsample_band, features, self.conv_hr.out_channels, HALF)

    @override
    def _upsample_band(self, x: Tensor) -> Tensor:
        return self.conv_last(lrelu(self.conv_hr(lrelu(self.upsample1(x)))))  # type: ignore[no-any-return]


def in_bands(tail: Callable[[Tensor], Tensor], x: Tensor, channels: int, scale: int = SCALE) -> Tensor:
    """`(b c h w) -> (b 3 (h s) (w s))`: `tail` in bands of rows, as `channels` feature maps of full size are large.

    A row of its output may look `HALO` rows of `x` beyond its own.
    """
    b, _, h, w = x.shape
    size = 4 * b * scale**2 * h * w * channels
    bands = max(1, min(math.ceil(size / BAND_BYTES), h // BAND_ROWS))
    whole = x.new_empty(b, 3, scale * h, scale * w)
    for band in range(bands):
        start, stop = band * h // bands, (band + 1) * h // bands
        above, below = min(HALO, start), min(HALO, h - stop)
        rows = tail(x[..., start - above : stop + below, :])
        whole[..., scale * start : scale * stop, :] = rows[..., scale * above : rows.shape[-2] - scale * below, :]
    return whole


def upsample_bilinear(x: Tensor) -> Tensor:
    """`(b c h w) -> (b c (h 4) (w 4))`: what the network adds its details to."""
    return F.interpolate(x, scale_factor=SCALE, mode="bilinear", align_corners=False)


def propagate(
    trunk: ResidualBlocksWithInputConv,
    inputs: Iterable[Sequence[Tensor]],
    flows: Sequence[Tensor],
    refill: Callable[[int, Tensor], Tensor] = lambda _, state: state,
    *,
    unmoved: bool = False,
) -> Iterator[Tensor]:
    """`t x [(b c' h w)], t-1 x (b 2 h w) -> t x (b c h w)`: one recurrent pass; `flows[i]` warps step i to step i + 1.

    `refill` may renew the warped history of a step before the trunk sees it beside the step's inputs. With `unmoved`
    the trunk also sees that history as it was before.
    """
    state: Tensor | None = None
    for i, parts in enumerate(inputs):
        b, _, h, w = parts[0].shape
        before = parts[0].new_zeros(b, trunk.out_channels, h, w) if state is None else state
        moved = before if state is None else flow_warp(state, flows[i - 1])
        seen = [*parts, *([before] if unmoved else []), refill(i, moved)]
        # In one order, or the trunk's first convolution puts all of it in another.
        state = trunk(torch.cat([each.contiguous(memory_format=torch.channels_last) for each in seen], dim=1))
        yield state
