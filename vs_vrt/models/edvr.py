"""The feature extractor of EDVR: neighbours aligned to the centre frame and fused with it (arXiv 1905.02716)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vs_vrt.models.blocks import ResidualBlock, conv3x3, lrelu
from vs_vrt.ops.deform_conv import deform_conv

LEVELS = ("l1", "l2", "l3")  # of the pyramid, at full, half and quarter size


@dataclass(frozen=True, kw_only=True)
class EDVRConfig:
    """Sizes of the extractor; the defaults are EDVR-M's (2,227,488 parameters)."""

    mid_channels: int = 64
    num_frames: int = 5
    num_blocks: int = 5
    deform_groups: int = 8


class EDVRFeatureExtractor(nn.Module):
    """`(b t 3 h w) -> (b c h w)`: features of the frame in the middle. RGB 0..1; h and w are multiples of 4."""

    config_type = EDVRConfig

    def __init__(self, config: EDVRConfig | None = None) -> None:
        super().__init__()
        config = config or EDVRConfig()
        mid = config.mid_channels
        self.conv_first = conv3x3(3, mid)
        self.feature_extraction = nn.Sequential(*(ResidualBlock(mid) for _ in range(config.num_blocks)))
        self.feat_l2_conv1 = conv_unit(mid, mid, stride=2)
        self.feat_l2_conv2 = conv_unit(mid, mid)
        self.feat_l3_conv1 = conv_unit(mid, mid, stride=2)
        self.feat_l3_conv2 = conv_unit(mid, mid)
        self.pcd_alignment = PCDAlignment(mid, config.deform_groups)
        self.fusion = TSAFusion(mid, config.num_frames)

    def forward(self, video: Tensor) -> Tensor:
        centre = video.shape[1] // 2
        reference = self._pyramid(video[:, centre])
        pyramids = (reference if i == centre else self._pyramid(frame) for i, frame in enumerate(video.unbind(1)))
        return self.fusion([self.pcd_alignment(pyramid, reference) for pyramid in pyramids])  # type: ignore[no-any-return]

    def _pyramid(self, frame: Tensor) -> list[Tensor]:
        """`(b 3 h w) -> [(b c h w), (b c (h / 2) (w / 2)), (b c (h / 4) (w / 4))]`."""
        l1 = self.feature_extraction(lrelu(self.conv_first(frame)))
        l2 = lrelu(self.feat_l2_conv2(lrelu(self.feat_l2_conv1(l1))))
        l3 = lrelu(self.feat_l3_conv2(lrelu(self.feat_l3_conv1(l2))))
        return [l1, l2, l3]


class PCDAlignment(nn.Module):
    """`3 x (b c h w), 3 x (b c h w) -> (b c h w)`: a neighbour's features moved onto the reference's.

    Pyramid, cascading and deformable: offsets are found from the coarsest level down, then once more at full size.
    Source: EDVR, section 3.2.
    """

    def __init__(self, channels: int, deform_groups: int) -> None:
        super().__init__()
        finer = LEVELS[:-1]
        self.offset_conv1 = nn.ModuleDict({level: conv_unit(2 * channels, channels) for level in LEVELS})
        self.offset_conv2 = nn.ModuleDict({level: conv_unit(2 * channels, channels) for level in finer})
        self.offset_conv2["l3"] = conv_unit(channels, channels)
        self.offset_conv3 = nn.ModuleDict({level: conv_unit(channels, channels) for level in finer})
        self.dcn_pack = nn.ModuleDict({level: DeformConvPack(channels, deform_groups) for level in LEVELS})
        self.feat_conv = nn.ModuleDict({level: conv_unit(2 * channels, channels) for level in finer})
        self.cas_offset_conv1 = conv_unit(2 * channels, channels)
        self.cas_offset_conv2 = conv_unit(channels, channels)
        self.cas_dcnpack = DeformConvPack(channels, deform_groups)

    def forward(self, neighbour: list[Tensor], reference: list[Tensor]) -> Tensor:
        offset = self._offset("l3", neighbour[2], reference[2], None)
        feature = lrelu(self.dcn_pack["l3"](neighbour[2], offset))
        for i, level in ((1, "l2"), (0, "l1")):
            offset = self._offset(level, neighbour[i], reference[i], offset)
            moved = self.dcn_pack[level](neighbour[i], offset)
            feature = self.feat_conv[level](torch.cat([moved, twice(feature)], dim=1))
            feature = lrelu(feature) if level == "l2" else feature
        offset = lrelu(self.cas_offset_conv1(torch.cat([feature, reference[0]], dim=1)))
        return lrelu(self.cas_dcnpack(feature, lrelu(self.cas_offset_conv2(offset))))

    def _offset(self, level: str, neighbour: Tensor, reference: Tensor, coarser: Tensor | None) -> Tensor:
        """`(b c h w), (b c h w), (b c (h / 2) (w / 2)) -> (b c h w)`: features that the offsets are read from."""
        offset = lrelu(self.offset_conv1[level](torch.cat([neighbour, reference], dim=1)))
        if coarser is None:
            return lrelu(self.offset_conv2[level](offset))
        # Twice the size is twice the displacement in pixels.
        offset = lrelu(self.offset_conv2[level](torch.cat([offset, 2 * twice(coarser)], dim=1)))
        return lrelu(self.offset_conv3[level](offset))


class DeformConvPack(nn.Conv2d):
    """`(b c h w), (b c h w) -> (b c h w)`: a 3x3 deformable convolution of the first; the second gives the offsets."""

    def __init__(self, channels: int, deform_groups: int) -> None:
        super().__init__(channels, channels, 3, padding=1)
        self.taps = 9 * deform_groups
        self.conv_offset = conv3x3(channels, 3 * self.taps)

    def forward(self, x: Tensor, offset_features: Tensor) -> Tensor:  # type: ignore[override]
        found = self.conv_offset(offset_features)
        offset, mask = found[:, : 2 * self.taps].float(), torch.sigmoid(found[:, 2 * self.taps :])
        return deform_conv(x, offset, mask, self.weight, self.bias)


class TSAFusion(nn.Module):
    """`t x (b c h w) -> (b c h w)`: aligned frames weighted by likeness to the one in the middle, then by place.

    Temporal and spatial attention; h and w are multiples of 4. Source: EDVR, section 3.3.
    """

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__()
        self.temporal_attn1 = conv3x3(channels, channels)
        self.temporal_attn2 = conv3x3(channels, channels)
        self.feat_fusion = conv_unit(num_frames * channels, channels, kernel=1)
        self.spatial_attn1 = conv_unit(num_frames * channels, channels, kernel=1)
        self.spatial_attn2 = conv_unit(2 * channels, channels, kernel=1)
        self.spatial_attn3 = conv_unit(channels, channels)
        self.spatial_attn4 = conv_unit(channels, channels, kernel=1)
        self.spatial_attn5 = conv3x3(channels, channels)
        self.spatial_attn_l1 = conv_unit(channels, channels, kernel=1)
        self.spatial_attn_l2 = conv_unit(2 * channels, channels)
        self.spatial_attn_l3 = conv_unit(channels, channels)
        self.spatial_attn_add1 = conv_unit(channels, channels, kernel=1)
        self.spatial_attn_add2 = nn.Conv2d(channels, channels, 1)

    def forward(self, frames: Sequence[Tensor]) -> Tensor:
        x = self._weigh_frames(frames)
        feature = lrelu(self.feat_fusion(x))
        attention = self._spatial_attention(lrelu(self.spatial_attn1(x)))
        shift = self.spatial_attn_add2(lrelu(self.spatial_attn_add1(attention)))
        # Twice the sigmoid: attention of 0 leaves a feature as it is.
        return 2 * feature * torch.sigmoid(attention) + shift  # type: ignore[no-any-return]

    def _weigh_frames(self, frames: Sequence[Tensor]) -> Tensor:
        """`t x (b c h w) -> (b (t c) h w)`: each times its likeness to the centre, pixel by pixel."""
        centre = self.temporal_attn1(frames[len(frames) // 2])
        likeness = ((self.temporal_attn2(frame) * centre).sum(dim=1, keepdim=True) for frame in frames)
        return torch.cat([x * torch.sigmoid(each) for x, each in zip(frames, likeness, strict=True)], dim=1)

    def _spatial_attention(self, x: Tensor) -> Tensor:
        """`(b c h w) -> (b c h w)`: a pyramid of two levels below the input's size."""
        attention = lrelu(self.spatial_attn2(pool(x)))
        coarse = lrelu(self.spatial_attn_l2(pool(lrelu(self.spatial_attn_l1(attention)))))
        coarse = twice(lrelu(self.spatial_attn_l3(coarse)))
        attention = lrelu(self.spatial_attn3(attention)) + coarse
        return self.spatial_attn5(twice(lrelu(self.spatial_attn4(attention))))  # type: ignore[no-any-return]


def conv_unit(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """`(b in h w) -> (b out (h / stride) (w / stride))`: a convolution that checkpoints know as `conv`."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv))


def pool(x: Tensor) -> Tensor:
    """`(b c h w) -> (b (2 c) (h / 2) (w / 2))`: the largest and the mean of each neighbourhood."""
    return torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)], dim=1)


def twice(x: Tensor) -> Tensor:
    """`(b c h w) -> (b c (h 2) (w 2))`, bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
