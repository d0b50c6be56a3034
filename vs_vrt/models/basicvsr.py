"""BasicVSR: bidirectional recurrent propagation with flow-warped features (arXiv 2012.02181)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import PixelShufflePack, ResidualBlocksWithInputConv, conv3x3, lrelu
from vs_vrt.models.spynet import SpyNet, SpyNetConfig
from vs_vrt.ops.flow_warp import flow_warp

SCALE = 4


@dataclass(frozen=True, kw_only=True)
class BasicVSRConfig:
    """Sizes of the network; the defaults are the published ones (6,291,311 parameters)."""

    mid_channels: int = 64
    num_blocks: int = 30
    half_channels: int | None = None  # at twice the input's size; None: mid_channels
    tail_channels: int = 64  # at four times the input's size
    flow_widths: tuple[int, int, int, int] = (32, 64, 32, 16)
    flow_kernel: int = 7


class BasicVSR(nn.Module):
    """`(b t 3 h w) -> (b t 3 (h 4) (w 4))`: every frame x4, with history from both ends. RGB 0..1, any size, t >= 1."""

    config_type = BasicVSRConfig

    def __init__(self, config: BasicVSRConfig | None = None) -> None:
        super().__init__()
        config = config or BasicVSRConfig()
        mid, tail = config.mid_channels, config.tail_channels
        half = config.half_channels or mid
        self.spynet = SpyNet(SpyNetConfig(widths=config.flow_widths, kernel=config.flow_kernel))
        self.backward_resblocks = ResidualBlocksWithInputConv(3 + mid, mid, config.num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(3 + mid, mid, config.num_blocks)
        self.fusion = nn.Conv2d(2 * mid, mid, 1)
        self.upsample1 = PixelShufflePack(mid, half)
        self.upsample2 = PixelShufflePack(half, tail)
        self.conv_hr = conv3x3(tail, tail)
        self.conv_last = conv3x3(tail, 3)

    def forward(self, video: Tensor, keep: range | None = None) -> Tensor:
        """Reconstructs only the frames `keep` where given: the others lend their history alone, which is cheaper."""
        to_previous, to_next = self.flows(video)
        frames = list(video.unbind(1))
        backward = propagate(self.backward_resblocks, frames[::-1], list(to_previous.unbind(1))[::-1])[::-1]
        forward = propagate(self.forward_resblocks, frames, list(to_next.unbind(1)))
        keep = keep if keep is not None else range(len(frames))
        b, _, _, h, w = video.shape
        restored = video.new_empty(b, len(keep), 3, SCALE * h, SCALE * w)
        for place, i in enumerate(keep):
            restored[:, place] = self.reconstruct(frames[i], backward[i], forward[i])
        return restored

    def flows(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """`(b t 3 h w) -> (b t-1 2 h w) twice`: flows that warp frame t+1 to frame t, and frame t to frame t+1.

        Flows stay in float32 under autocast: half precision steps by whole pixels above 1024.
        """
        b = video.shape[0]
        current = rearrange(video[:, :-1], "b t c h w -> (b t) c h w").float()
        following = rearrange(video[:, 1:], "b t c h w -> (b t) c h w").float()
        with torch.autocast(video.device.type, enabled=False):
            pair = self.spynet(current, following), self.spynet(following, current)
        backward, forward = (rearrange(flow, "(b t) c h w -> b t c h w", b=b) for flow in pair)
        return backward, forward

    def reconstruct(self, frame: Tensor, backward: Tensor, forward: Tensor) -> Tensor:
        """`(b 3 h w), (b c h w), (b c h w) -> (b 3 (h 4) (w 4))`: fuse, upsample twice, add the bilinear base."""
        x = lrelu(self.fusion(torch.cat([backward, forward], dim=1)))
        x = lrelu(self.upsample1(x))
        x = lrelu(self.upsample2(x))
        x = self.conv_last(lrelu(self.conv_hr(x)))
        base = F.interpolate(frame, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return x + base  # type: ignore[no-any-return]


def propagate(trunk: ResidualBlocksWithInputConv, frames: list[Tensor], flows: list[Tensor]) -> list[Tensor]:
    """`t x (b 3 h w), t-1 x (b 2 h w) -> t x (b c h w)`: one recurrent pass; `flows[i]` warps step i to step i + 1."""
    features: list[Tensor] = []
    for i, frame in enumerate(frames):
        if i == 0:
            conv = trunk.main[0]
            assert isinstance(conv, nn.Conv2d)
            state = frame.new_zeros(frame.shape[0], conv.out_channels, *frame.shape[-2:])
        else:
            state = flow_warp(features[-1], flows[i - 1])
        features.append(trunk(torch.cat([frame, state], dim=1)))
    return features
