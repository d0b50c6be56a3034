"""BasicVSR++: second-order grid propagation and flow-guided deformable alignment (arXiv 2104.13371)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import (
    SCALE,
    RecurrentNetwork,
    ResidualBlocksWithInputConv,
    offset_network,
    upsample_bilinear,
)
from vs_vrt.models.network import Statistics
from vs_vrt.models.spynet import SpyNet
from vs_vrt.ops.deform_warp import deform_warp
from vs_vrt.ops.flow_warp import flow_warp
from vs_vrt.task import SPYNET, SpyNetConfig

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
MAX_RESIDUE = 10  # pixels that an offset may leave the flow by


@dataclass(frozen=True, kw_only=True)
class BasicVSRPlusPlusConfig:
    """Sizes of the network; the defaults are the published ones for x4 (7,322,927 parameters)."""

    mid_channels: int = 64
    num_blocks: int = 7
    is_low_res_input: bool = True  # the output is x4; else it has the input's size
    outer_blocks: int = 5  # of feature extraction and of reconstruction
    deform_groups: int = 16
    half_channels: int | None = None  # at half the output's size; None: mid_channels
    tail_channels: int = 64  # at the output's size
    flow: SpyNetConfig = SPYNET


class BasicVSRPlusPlus(RecurrentNetwork):
    """`(b t 3 h w) -> (b t 3 h' w')`: every frame, x4 or of the same size. RGB 0..1, t >= 1.

    Any size for x4; multiples of 4 otherwise, as features then have a quarter of the input's size.
    """

    config_type = BasicVSRPlusPlusConfig

    def __init__(self, config: BasicVSRPlusPlusConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BasicVSRPlusPlusConfig()
        mid = config.mid_channels
        self.spynet = SpyNet(config.flow)
        self.feat_extract = feature_extraction(mid, config.outer_blocks, config.is_low_res_input)
        self.deform_align = nn.ModuleDict(
            {branch: SecondOrderDeformableAlignment(2 * mid, mid, config.deform_groups) for branch in BRANCHES}
        )
        self.backbone = nn.ModuleDict(
            {
                branch: ResidualBlocksWithInputConv((2 + i) * mid, mid, config.num_blocks)
                for i, branch in enumerate(BRANCHES)
            }
        )
        self.reconstruction = ResidualBlocksWithInputConv((1 + len(BRANCHES)) * mid, mid, config.outer_blocks)
        self._add_tail(mid, config.half_channels or mid, config.tail_channels)
        self.flow_scale = 1 if config.is_low_res_input else SCALE

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        to_previous, to_next = self.neighbour_flows(self.small(video), range(video.shape[1]), statistics)
        features = [[self.feat_extract(frame)] for frame in video.unbind(1)]
        *branches, last = BRANCHES
        for branch in branches:
            backward = branch.startswith("backward")
            order, flows = (features[::-1], to_previous[::-1]) if backward else (features, to_next)
            for known, state in zip(order, self._propagate(branch, order, flows), strict=True):
                known.append(state)
        # Only the last branch may end at `keep`: the others lend their features to one that runs the other way.
        needed = features[: keep.stop]
        for i, (known, state) in enumerate(zip(needed, self._propagate(last, needed, to_next), strict=True)):
            if i in keep:
                yield self._reconstruct(video[:, i], [*known, state])
            known.clear()

    @override
    def small(self, video: Tensor) -> Tensor:
        return video if self.config.is_low_res_input else shrink(video)

    def _propagate(self, branch: str, features: Sequence[list[Tensor]], flows: Sequence[Tensor]) -> Iterator[Tensor]:
        """`t x n x (b c h w), t-1 x (b 2 h w) -> t x (b c h w)`: one branch; `flows[i]` warps step i to step i + 1.

        A frame's features are those of extraction, then those of the branches before. Source: section 3.1.
        """
        state = older = torch.zeros_like(features[0][0])
        for i, known in enumerate(features):
            aligned = state
            if i > 0:
                flow = flows[i - 1]
                far = flow + flow_warp(flows[i - 2], flow) if i > 1 else torch.zeros_like(flow)
                aligned = self._align(branch, known[0], state, older, flow, far)
            older, state = state, aligned + self.backbone[branch](torch.cat([*known, aligned], dim=1))
            yield state

    def _align(self, branch: str, present: Tensor, state: Tensor, older: Tensor, flow: Tensor, far: Tensor) -> Tensor:
        """`3 x (b c h w), 2 x (b 2 h w) -> (b c h w)`: the last two states, moved onto the present."""
        condition = torch.cat([flow_warp(state, flow), present, flow_warp(older, far)], dim=1)
        return self.deform_align[branch](torch.cat([state, older], dim=1), condition, flow, far)  # type: ignore[no-any-return]

    def _reconstruct(self, frame: Tensor, features: Sequence[Tensor]) -> Tensor:
        """`(b 3 h w), 5 x (b c h w) -> (b 3 h' w')`: fuse, upsample, add what was there."""
        base = upsample_bilinear(frame) if self.config.is_low_res_input else frame
        return self.upsample(self.reconstruction(torch.cat(list(features), dim=1))) + base


class SecondOrderDeformableAlignment(nn.Conv2d):
    """`(b (2 c) h w), (b (3 c) h w), (b 2 h w), (b 2 h w) -> (b c h w)`: two past states moved onto the present.

    The states, one behind the other; what is known of all three; the flows to either. The first half of the deformable
    groups follows the first flow, the second half the second, each by up to 10 pixels more. Source: section 3.2.
    """

    def __init__(self, in_channels: int, out_channels: int, deform_groups: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.conv_offset = offset_network(3 * out_channels + 4, out_channels, deform_groups)

    def forward(self, x: Tensor, condition: Tensor, flow: Tensor, far: Tensor) -> Tensor:  # type: ignore[override]
        found = self.conv_offset(torch.cat([condition, flow.to(condition), far.to(condition)], dim=1))
        return deform_warp(x, found, (flow, far), self.weight, self.bias, MAX_RESIDUE)


def feature_extraction(channels: int, num_blocks: int, is_low_res_input: bool) -> nn.Module:
    """`(b 3 h w) -> (b c h' w')`: features of the size of the flow, the input's or a quarter of it."""
    if is_low_res_input:
        return ResidualBlocksWithInputConv(3, channels, num_blocks)
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        ResidualBlocksWithInputConv(channels, channels, num_blocks),
    )


def shrink(video: Tensor) -> Tensor:
    """`(b t 3 (h 4) (w 4)) -> (b t 3 h w)`, bicubic and without a filter, as in training."""
    flat = rearrange(video, "b t c h w -> (b t) c h w")
    small = F.interpolate(flat, scale_factor=1 / SCALE, mode="bicubic", align_corners=False)
    return rearrange(small, "(b t) c h w -> b t c h w", b=video.shape[0])
