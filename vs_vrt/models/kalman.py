"""Denoising of noise of known strength: a Kalman filter along motion, both ways in time, then what is left removed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, override

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vs_vrt.models.blocks import HALF, HalfSizeNetwork, PixelShufflePack, ResidualBlock, conv3x3, lrelu
from vs_vrt.models.network import Statistics
from vs_vrt.models.spynet import SpyNet, resize_flow
from vs_vrt.ops.flow_warp import flow_warp
from vs_vrt.ops.shrinkage import threshold, wiener
from vs_vrt.ops.unlearned import unlearned
from vs_vrt.task import SPYNET, SpyNetConfig

GIVEN = 17  # channels of what the U-Net sees of a frame
SMALLEST = (0.25 / 255) ** 2  # variance; that of rounding to 8 bits is a twelfth of a level's square
# Errors of a place that has moved are alike over many pixels, where noise is not: they weigh more than their size.
CHANGE_GAIN = 16.0
CHANGE_SIDE, CHOICE_SIDE = 3, 5  # pixels that both are averaged over
CHOICE_GAIN = 100.0  # of differences that are a hundredth of the noise's variance, motion or rest is chosen
LOCAL_SIDE = 9  # pixels, whose mean details stand out from
LEFT = 0.7  # of the noise that averages have by the sums: warping has blurred it, and took some


@dataclass(frozen=True, kw_only=True)
class KalmanUNetConfig:
    """Sizes of the network: channels at half the size, at a quarter, and at full size."""

    mid_channels: int = 32
    deep_channels: int = 64
    num_blocks: int = 4  # at a quarter of the size
    tail_channels: int = 16
    flow: SpyNetConfig = SPYNET


class Estimate(NamedTuple):
    """A frame as estimated: `(b 3 h w)`, and the variance of its errors, `(b 1 h w)`."""

    picture: Tensor
    variance: Tensor


class Seen(NamedTuple):
    """A noisy frame, and what it looks like when denoised by itself."""

    noisy: Estimate
    alone: Estimate


class KalmanUNet(HalfSizeNetwork):
    """`(b t 4 h w) -> (b t 3 h w)`: RGB 0..1 and noise levels, sigma / 255; multiples of 4, and 8 or more.

    Frames are averaged along motion as a Kalman filter does (Arias and Morel, CVPRW 2019, here of pixels), one from the
    past and one from the future (the two-filter smoother of Fraser and Potter, IEEE TAC 1969). How far a place may have
    changed is measured on frames that are denoised alone, where much smaller changes show than under the noise. The
    average is shrunk (see `wiener`) by what noise must be left in it. Nothing of that is learned, but flow; a U-Net
    adds what is missing, in units of that noise: so one network does for all strengths. To fuse frames, denoise what
    comes out and refine that are the stages of EMVD (arXiv 2103.05407), which learns all three.
    """

    config_type = KalmanUNetConfig

    def __init__(self, config: KalmanUNetConfig | None = None) -> None:
        super().__init__()
        config = config or KalmanUNetConfig()
        mid, deep, tail = config.mid_channels, config.deep_channels, config.tail_channels
        self.spynet = SpyNet(config.flow)
        self.conv_first = conv3x3(GIVEN * HALF**2, mid)
        self.encoder = ResidualBlock(mid)
        self.downsample = nn.Conv2d(mid, deep, 2, stride=2)
        self.body = nn.Sequential(*(ResidualBlock(deep) for _ in range(config.num_blocks)))
        self.deep_upsample = PixelShufflePack(deep, mid)
        self.decoder = ResidualBlock(mid)
        self._add_half_tail(mid, tail)

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        seen = [look(frame) for frame in video.unbind(1)]
        to_previous, to_next = self.neighbour_flows(self.small(video), keep, statistics)
        after = list(predictions(seen[keep.start :][::-1], to_previous[::-1]))[::-1]
        for i, before in enumerate(predictions(seen[: keep.stop], to_next)):
            if i in keep:
                yield self.finish(seen[i], [*before, *after[i - keep.start]])

    def finish(self, seen: Seen, predicted: Sequence[Estimate]) -> Tensor:
        """`-> (b 3 h w)`: a frame, from what it shows itself and what others say of it."""
        shrunk, deviation, given = prepare(seen, predicted)
        return shrunk + deviation * self.enlarged(self.features(given))

    def features(self, given: Tensor) -> Tensor:
        """`(b 17 h w) -> (b c (h / 2) (w / 2))`: the U-Net, but for its tail."""
        features = self.encoder(lrelu(self.conv_first(F.pixel_unshuffle(given, HALF))))
        return self.decoder(features + self.deep_upsample(self.body(self.downsample(features))))  # type: ignore[no-any-return]


@unlearned
def look(frame: Tensor) -> Seen:
    """`(b 4 h w) -> (b 3 h w), (b 1 h w), (b 3 h w), (b 1 h w)`: of RGB and noise levels, see `Seen`."""
    rgb, variance = frame[:, :3].float(), frame[:, 3:].float().square().clamp(min=SMALLEST)
    return Seen(Estimate(rgb, variance), Estimate(*threshold(rgb, variance)))


def predictions(seen: Sequence[Seen], flows: Sequence[Tensor]) -> Iterator[list[Estimate]]:
    """`t x Seen, t-1 x (b 2 h' w') -> t x Estimate`: what those before a frame say of it, of the first one nothing.

    `flows[i]` warps frame i to frame i + 1.
    """
    state = seen[0].noisy
    yield []
    for before, now, flow in zip(seen, seen[1:], flows, strict=False):
        predicted = predict(before, now, state, flow)
        state = update([now.noisy, predicted])
        yield [predicted]


@unlearned
def predict(before: Seen, now: Seen, state: Estimate, flow: Tensor) -> Estimate:
    """`Seen, Seen, Estimate, (b 2 h' w') -> Estimate`: from what is known of the frame before, what the next one is.

    Each place follows the motion, or stays at rest: warping resamples, and what is at rest would lose a little detail
    with every frame. The process noise is how much more the frames differ there than noise explains.
    """
    rest = torch.cat([*state, *before.alone], dim=1)
    moved = flow_warp(rest, resize_flow(flow, (rest.shape[-2], rest.shape[-1])), "border")
    change, change_moved = ((now.alone.picture - each[:, 4:7]).square().mean(1, keepdim=True) for each in (rest, moved))
    worse = blurred(change - change_moved, CHOICE_SIDE) / now.noisy.variance
    share = torch.sigmoid(CHOICE_GAIN * worse)
    parts = torch.lerp(torch.cat([rest, change], dim=1), torch.cat([moved, change_moved], dim=1), share)
    picture, variance, _, noise, change = parts.split_with_sizes([3, 1, 3, 1, 1], dim=1)
    process = blurred(change - noise - now.alone.variance, CHANGE_SIDE).clamp(min=0)
    return Estimate(picture, variance + CHANGE_GAIN * process)


@unlearned
def update(estimates: Sequence[Estimate]) -> Estimate:
    """`n x Estimate -> Estimate`: each counts by one over its variance, as if errors were independent."""
    shares = [1 / each.variance for each in estimates]
    variance = 1 / sum(shares[1:], shares[0])
    pictures = [share * variance * each.picture for share, each in zip(shares, estimates, strict=True)]
    return Estimate(sum(pictures[1:], pictures[0]), variance)


@unlearned
def prepare(seen: Seen, predicted: Sequence[Estimate]) -> tuple[Tensor, Tensor, Tensor]:
    """`Seen, n x Estimate -> (b 3 h w), (b 1 h w), (b 17 h w)`: the frame shrunk, its noise, and what the U-Net sees.

    That is told in units of the noise (a standard deviation), so that it looks much the same at any strength.
    """
    (noisy, variance), (alone, _) = seen
    fused, left = update([seen.noisy, *predicted])
    shrunk = wiener(fused, LEFT * left)
    deviation = left.sqrt()
    differences = [
        (shrunk - blurred(shrunk, LOCAL_SIDE)) / deviation,
        (noisy - shrunk) / variance.sqrt(),
        (alone - shrunk) / deviation,
        (fused - shrunk) / deviation,
    ]
    levels = [each.log() / 4 + 2 for each in (left, variance)]  # within -2.5 and 1
    return shrunk, deviation, torch.cat([shrunk, *map(torch.asinh, differences), *levels], dim=1)


def blurred(x: Tensor, side: int) -> Tensor:
    """`(b c h w) -> (b c h w)`: the means of squares around each pixel."""
    return F.avg_pool2d(F.pad(x, [side // 2] * 4, mode="replicate"), side, stride=1)
