"""IconVSR: BasicVSR with coupled propagation, and history renewed at key frames (arXiv 2012.02181, section 4)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import override

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import (
    SCALE,
    RecurrentNetwork,
    ResidualBlocksWithInputConv,
    conv3x3,
    propagate,
    upsample_bilinear,
)
from vs_vrt.models.edvr import EDVRConfig, EDVRFeatureExtractor
from vs_vrt.models.network import Place, Statistics
from vs_vrt.models.spynet import SpyNet

MULTIPLE = 4  # of the sizes that the key frames' network takes


@dataclass(frozen=True, kw_only=True)
class IconVSRConfig:
    """Sizes of the network; the defaults are those published for REDS (8,694,991 parameters)."""

    mid_channels: int = 64
    num_blocks: int = 30
    keyframe_stride: int = 5
    padding: int = 2  # frames on each side that a key frame is seen with


class IconVSR(RecurrentNetwork):
    """`(b t 3 h w) -> (b t 3 (h 4) (w 4))`: every frame x4. RGB 0..1; h, w >= 4 and t >= 2 padding + 1.

    Key frames are counted from the first frame of the video given; its last frame is always one.
    """

    config_type = IconVSRConfig

    def __init__(self, config: IconVSRConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or IconVSRConfig()
        mid = config.mid_channels
        self.edvr = EDVRFeatureExtractor(EDVRConfig(mid_channels=mid, num_frames=2 * config.padding + 1))
        self.spynet = SpyNet()
        self.backward_fusion = conv3x3(2 * mid, mid)
        self.forward_fusion = conv3x3(2 * mid, mid)
        self.backward_resblocks = ResidualBlocksWithInputConv(3 + mid, mid, config.num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(3 + 2 * mid, mid, config.num_blocks)
        self._add_tail(mid, mid, 64)

    @override
    def statistics(self, video: Tensor) -> Statistics:
        return super().statistics(pad(video[None])[0])

    @override
    def localise(self, statistics: Statistics, place: Place) -> Statistics:
        rows, columns = (range(axis.start, axis.start + _up(len(axis))) for axis in (place.rows, place.columns))
        return super().localise(statistics, Place(rows, columns, _up(place.height), _up(place.width)))

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        t, _, h, w = video.shape[1:]
        video = pad(video)
        frames = video.unbind(1)
        keys = self.key_features(video)
        # Forward history reads backward history, which therefore runs over the whole video.
        to_previous, to_next = self.neighbour_flows(video, range(keep.stop), statistics)
        renew = partial(refill, self.backward_fusion, {t - 1 - i: feature for i, feature in keys.items()})
        backward = list(propagate(self.backward_resblocks, zip(frames[::-1]), to_previous[::-1], renew))
        inputs = ((frame, backward.pop()) for frame in frames[: keep.stop])
        renew = partial(refill, self.forward_fusion, keys)
        for i, forward in enumerate(propagate(self.forward_resblocks, inputs, to_next, renew)):
            if i in keep:
                restored = self.upsample(forward) + upsample_bilinear(frames[i])
                yield restored[..., : SCALE * h, : SCALE * w]

    def key_features(self, video: Tensor) -> dict[int, Tensor]:
        """`(b t 3 h w) -> t' x (b c h w)`: the features of the key frames by frame number."""
        t = video.shape[1]
        keys = sorted({*range(0, t, self.config.keyframe_stride), t - 1})
        return {key: self.edvr(video[:, window(key, t, self.config.padding)]) for key in keys}


def refill(fusion: nn.Module, features: Mapping[int, Tensor], step: int, state: Tensor) -> Tensor:
    """`(b c h w) -> (b c h w)`: the history, joined with the features of the step if it is a key frame's."""
    return fusion(torch.cat([state, features[step]], dim=1)) if step in features else state


def window(centre: int, t: int, padding: int) -> list[int]:
    """The numbers of the frames around `centre`; beyond an end they are taken from the window's other side."""
    numbers = range(centre - padding, centre + padding + 1)
    return [padding - n if n < 0 else 2 * (t - 1) - padding - n if n >= t else n for n in numbers]


def pad(video: Tensor) -> Tensor:
    """`(b t 3 h w) -> (b t 3 h' w')`: mirrored at the bottom and the right to multiples of 4."""
    b, _, _, h, w = video.shape
    flat = F.pad(rearrange(video, "b t c h w -> (b t) c h w"), (0, -w % MULTIPLE, 0, -h % MULTIPLE), mode="reflect")
    return rearrange(flat, "(b t) c h w -> b t c h w", b=b)


def _up(size: int) -> int:
    return -(-size // MULTIPLE) * MULTIPLE
