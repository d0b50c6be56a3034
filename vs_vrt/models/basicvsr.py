"""BasicVSR: bidirectional recurrent propagation with flow-warped features (arXiv 2012.02181)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import PixelShufflePack, ResidualBlocksWithInputConv, conv3x3, lrelu
from vs_vrt.models.spynet import SpyNet, SpyNetConfig
from vs_vrt.ops.flow_warp import flow_warp

SCALE = 4
HALO = 2  # rows of the input that a row of the output looks beyond its own: 1 + 1/2 + 1/4 + 1/4
BAND_ROWS = 64  # at least, or the halo costs too much
BAND_BYTES = 24 << 20  # of one full-size feature map: allocators hand larger ones out page by page
FLOW_PIXELS = 1 << 17  # of the pairs whose flow is found at once: more is no faster, and pyramids are large


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
        """All frames, or those of `keep`: the others lend their history alone, which is cheaper."""
        return torch.stack(list(self.frames(video, keep or range(video.shape[1]))), dim=1)

    def frames(self, video: Tensor, keep: range) -> Iterator[Tensor]:
        """`(b t 3 h w) -> t' x (b 3 (h 4) (w 4))`: the frames of `keep` one by one, so that none must wait."""
        # History runs towards a frame: backwards from the last one, forwards from the first, and never past `keep`.
        later, earlier = video[:, keep.start :], video[:, : keep.stop]
        to_previous, to_next = self.flow(later[:, :-1], later[:, 1:]), self.flow(earlier[:, 1:], earlier[:, :-1])
        backward = list(propagate(self.backward_resblocks, later.unbind(1)[::-1], to_previous[::-1]))[::-1]
        for i, forward in enumerate(propagate(self.forward_resblocks, earlier.unbind(1), to_next)):
            if i in keep:
                yield self.reconstruct(video[:, i], backward[i - keep.start], forward)

    def flow(self, references: Tensor, neighbours: Tensor) -> list[Tensor]:
        """`(b t 3 h w), (b t 3 h w) -> t x (b 2 h w)`: the flows that warp neighbours to references.

        In float32 under autocast: half precision steps by whole pixels above 1024.
        """
        b, t, _, h, w = references.shape
        references, neighbours = references.float(), neighbours.float()
        step = max(1, FLOW_PIXELS // (b * h * w))
        flows: list[Tensor] = []
        for start in range(0, t, step):
            pairs = (
                rearrange(each[:, start : start + step], "b t c h w -> (b t) c h w")
                for each in (references, neighbours)
            )
            with torch.autocast(references.device.type, enabled=False):
                flows += rearrange(self.spynet(*pairs), "(b t) c h w -> t b c h w", b=b).unbind(0)
        return flows

    def reconstruct(self, frame: Tensor, backward: Tensor, forward: Tensor) -> Tensor:
        """`(b 3 h w), (b c h w), (b c h w) -> (b 3 (h 4) (w 4))`, in bands of rows, as full size is large."""
        b, _, h, w = frame.shape
        size = 4 * b * SCALE**2 * h * w * self.conv_hr.out_channels
        bands = max(1, min(math.ceil(size / BAND_BYTES), h // BAND_ROWS))
        restored = frame.new_empty(b, 3, SCALE * h, SCALE * w)
        for band in range(bands):
            start, stop = band * h // bands, (band + 1) * h // bands
            above, below = min(HALO, start), min(HALO, h - stop)
            rows = slice(start - above, stop + below)
            wide = self._reconstruct_band(frame[..., rows, :], backward[..., rows, :], forward[..., rows, :])
            end = wide.shape[-2] - SCALE * below
            restored[..., SCALE * start : SCALE * stop, :] = wide[..., SCALE * above : end, :]
        return restored

    def _reconstruct_band(self, frame: Tensor, backward: Tensor, forward: Tensor) -> Tensor:
        """Fuse, upsample twice, add the bilinear base."""
        x = lrelu(self.fusion(torch.cat([backward, forward], dim=1)))
        x = lrelu(self.upsample1(x))
        x = lrelu(self.upsample2(x))
        x = self.conv_last(lrelu(self.conv_hr(x)))
        base = F.interpolate(frame, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return x + base  # type: ignore[no-any-return]


def propagate(
    trunk: ResidualBlocksWithInputConv, frames: Sequence[Tensor], flows: Sequence[Tensor]
) -> Iterator[Tensor]:
    """`t x (b 3 h w), t-1 x (b 2 h w) -> t x (b c h w)`: one recurrent pass; `flows[i]` warps step i to step i + 1."""
    conv = trunk.main[0]
    assert isinstance(conv, nn.Conv2d)
    b, _, h, w = frames[0].shape
    state = frames[0].new_zeros(b, conv.out_channels, h, w)
    for i, frame in enumerate(frames):
        if i > 0:
            state = flow_warp(state, flows[i - 1])
        state = trunk(torch.cat([frame, state], dim=1))
        yield state
