"""VRT: attention within and between frames, and parallel warping, at seven scales (arXiv 2201.12288)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, override

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import Linear, lrelu, offset_network
from vs_vrt.models.network import Network, Place, Statistics
from vs_vrt.models.spynet import SpyNet, crop_coarse
from vs_vrt.ops.deform_warp import deform_warp
from vs_vrt.ops.flow_warp import flow_warp, flow_warp_nearest4
from vs_vrt.ops.geglu import geglu
from vs_vrt.ops.window_attention import (
    Size,
    attention,
    fit_window,
    fused_attention,
    fused_attention_applies,
    relative_position_index,
    shifted_windows,
    sine_position_encoding,
)
from vs_vrt.replay import replayed
from vs_vrt.task import SPYNET, SpyNetConfig

MUTUAL_SHARE = 0.75  # of a stage's blocks attend between the frames of a pair as well
MLP_RATIO = 2
MAX_RESIDUE = 10.0  # pixels that an offset may differ from the flow, at full size
STAGE_SCALES = (1, 2, 4, 8, 4, 2, 1)
# Tokens or pixels that one step works on: what it widens them to is large, and glibc gives more back each time.
CHUNK, GPU_CHUNK = 1 << 13, 1 << 16


@dataclass(frozen=True, kw_only=True)
class VRTConfig:
    """Sizes of the network; the defaults are those of 001, x4 with 6 frames (30,676,435 parameters)."""

    upscale: Literal[1, 2, 3, 4] = 4
    window_size: Size = (6, 8, 8)
    depths: tuple[int, ...] = (8,) * 7 + (4,) * 6  # blocks of the stages 1 to 7, then of each group of stage 8
    indep_reconsts: tuple[int, ...] = (11, 12)  # of these groups, those that attend within frames alone
    embed_dims: tuple[int, ...] = (120,) * 7 + (180,) * 6
    num_heads: tuple[int, ...] = (6,) * 13
    pa_frames: Literal[0, 2, 4, 6] = 2  # neighbours that are warped to each frame; 0: interpolation
    deformable_groups: int = 12
    nonblind_denoising: bool = False  # a fourth channel holds the noise level, 0..1
    num_frames: int = 6  # which the interpolation fuses into one
    tail_channels: int = 64  # at the output's size
    flow: SpyNetConfig = SPYNET


class FrameConv(nn.Conv3d):
    """`(b c h w) -> (b o h w)`: a 3x3 convolution of single frames, whose weight is stored as 1x3x3."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, (1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, 0], self.bias, padding=1)


class GEGLU(nn.Module):
    """`(... c) -> (... o)`: fc2(gelu(fc11(x)) * fc12(x)), with the exact GELU (arXiv 2002.05202)."""

    def __init__(self, channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.fc11 = Linear(channels, hidden)
        self.fc12 = Linear(channels, hidden)
        self.fc2 = Linear(hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(geglu(self.fc11(x), self.fc12(x)))  # type: ignore[no-any-return]


class WindowAttention(nn.Module):
    """What `shifted_windows` calls: attention among a window's tokens and, if `mutual`, between its two frames.

    Source: section 3.2, equations 3 to 5.
    """

    relative_position_index: Tensor
    position_bias: Tensor

    def __init__(self, dim: int, window: Size, num_heads: int, mutual: bool) -> None:
        super().__init__()
        self.window, self.num_heads, self.mutual = window, num_heads, mutual
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, num_heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv_self = Linear(dim, 3 * dim)
        if mutual:
            self.register_buffer("position_bias", sine_position_encoding(window[1], window[2], dim))
            self.qkv_mut = Linear(dim, 3 * dim)
        self.proj = Linear(2 * dim if mutual else dim, dim)

    def applies_to_bands(self, x: Tensor, window: Size) -> bool:
        """Whether `in_band` may compute for `(b t h w c)`."""
        return fused_attention_applies(x, self.num_heads, window, self.relative_position_bias_table)

    def in_band(self, window: Size, x: Tensor, moved: Size, joined: Size) -> Tensor:
        """`(b t h w c) -> (b t h w c)`: in one pass over all windows of a band."""
        dim, attend = x.shape[4], partial(fused_attention, heads=self.num_heads, window=window, moved=moved)
        attended = x.new_empty(*x.shape[:4], self.proj.in_features)
        if self.mutual:
            positions = rearrange(self.position_bias, "1 (i j) c -> i j c", i=window[1]).roll(moved[1:], (0, 1)).to(x)
            tiles = rearrange(x, "b t (h i) (w j) c -> b t h i w j c", i=window[1], j=window[2])
            placed = (tiles + positions[:, None]).view(x.shape)
            # Along time all are neighbours: both directions take the first frame's mask. So trained.
            between = 0, *joined[1:]
            attend(self.qkv_mut(placed), None, joined=between, table_window=self.window, out=attended[..., :dim])
        table = self.relative_position_bias_table
        attend(self.qkv_self(x), table, joined=joined, table_window=self.window, out=attended[..., -dim:])
        return self.proj(attended)  # type: ignore[no-any-return]

    def in_windows(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(m n c), (n n) -> (m n c)`: the mask is added to the scores."""
        n = x.shape[1]
        # A window smaller than the configured one takes the first rows, wherever its tokens really lie: so trained.
        bias = rearrange(self.relative_position_bias_table[self.relative_position_index[:n, :n]], "n k g -> g n k")
        q, k, v = self._heads(self.qkv_self(x))
        attended = attention(q, k, v, bias if mask is None else bias + mask)
        if self.mutual:
            attended = torch.cat([self._between(x, mask), attended], dim=2)
        return self.proj(attended)  # type: ignore[no-any-return]

    def _between(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(m (2 n) c) -> (m (2 n) c)`: each frame becomes what the other's tokens find in it."""
        half = x.shape[1] // 2
        q, k, v = self._heads(self.qkv_mut(x + self.position_bias.repeat(1, 2, 1)))
        # Both directions take the first frame's mask: pairs that join the video's ends are not masked. So trained.
        if mask is not None:
            mask = mask[:half, :half].expand(self.num_heads, half, half)
        first, second = slice(None, half), slice(half, None)
        return torch.cat(
            [
                attention(q[:, :, second], k[:, :, first], v[:, :, first], mask),
                attention(q[:, :, first], k[:, :, second], v[:, :, second], mask),
            ],
            dim=1,
        )

    def _heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = rearrange(qkv, "m n (three g d) -> three m g n d", three=3, g=self.num_heads)
        return q, k, v


class TMSA(nn.Module):
    """`(b t h w c) -> (b t h w c)`: temporal mutual self attention, then an MLP, both residual. Figure 2."""

    def __init__(self, dim: int, num_heads: int, window: Size, shift: Size, mutual: bool) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window, num_heads, mutual)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = GEGLU(dim, MLP_RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        window, shift = fit_window((x.shape[1], x.shape[2], x.shape[3]), self.window, self.shift)
        bands = partial(self.attn.in_band, window) if self.attn.applies_to_bands(x, window) else None
        x = x + shifted_windows(self.norm1(x), window, shift, self.attn.in_windows, bands)
        return chunked(lambda tokens: tokens + self.mlp(self.norm2(tokens)), x)


class TMSAG(nn.Module):
    """`(b t h w c) -> (b t h w c)`: a group of TMSA blocks; every second one has its windows shifted by half."""

    def __init__(self, dim: int, depth: int, num_heads: int, window: Size, mutual: bool) -> None:
        super().__init__()
        shift = (window[0] // 2, window[1] // 2, window[2] // 2)
        self.blocks = nn.Sequential(
            *(TMSA(dim, num_heads, window, shift if i % 2 else (0, 0, 0), mutual) for i in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        # Small scales wait for launches, large ones would only hold their features twice.
        return replayed(self.blocks, x) if x[..., 0].numel() <= GPU_CHUNK else self.blocks(x)


class RTMSA(nn.Module):
    """`(b t h w c) -> (b t h w c)`: a residual group of TMSA blocks without mutual attention."""

    def __init__(self, dim: int, depth: int, num_heads: int, window: Size) -> None:
        super().__init__()
        self.residual_group = TMSAG(dim, depth, num_heads, window, mutual=False)
        self.linear = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear(self.residual_group(x))  # type: ignore[no-any-return]


class FlowGuidedDeformConv(nn.Module):
    """`(b (k c) h w) -> (b c h w)`: k neighbours aligned to a frame, where flow plus a learned residue points.

    Takes the neighbours, each warped by its flow, the frame itself, and the flows `(b 2 h w)`. The weight has c input
    channels: with more neighbours the convolution is grouped, and each gives its share of the output.
    Source: section 3.3, equation 6.
    """

    def __init__(self, dim: int, neighbours: int, deform_groups: int, max_residue: float) -> None:
        super().__init__()
        self.max_residue = max_residue
        self.weight = nn.Parameter(torch.empty(dim, dim, 3, 3))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.conv_offset = offset_network((1 + neighbours) * dim + 2 * neighbours, dim, deform_groups)

    def forward(self, x: Tensor, warped: Sequence[Tensor], current: Tensor, flows: Sequence[Tensor]) -> Tensor:
        found = self.conv_offset(torch.cat([*warped, current, *flows], dim=1))
        return deform_warp(x, found, flows, self.weight, self.bias, self.max_residue)


class Resample(nn.ModuleDict):
    """`(b t h w c) -> (b t h' w' o)`: to half or twice the size through the channels; keys as in a Sequential."""

    def __init__(self, kind: Literal["none", "down", "up", "channels"], in_channels: int, channels: int) -> None:
        inner = {"none": channels, "down": 4 * in_channels, "up": in_channels // 4, "channels": in_channels}[kind]
        super().__init__({"1": nn.LayerNorm(inner)})
        if kind != "none":
            self["2"] = Linear(inner, channels)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "down":
            x = rearrange(x, "b t (h y) (w x) c -> b t h w (x y c)", y=2, x=2)
        elif self.kind == "up":
            x = rearrange(x, "b t h w (x y c) -> b t (h y) (w x) c", y=2, x=2)
        for layer in self.values():
            x = layer(x)
        return x


class Stage(nn.Module):
    """`(b t h w c), flows -> (b t h' w' o)`: one scale: resample, attend, align the neighbours, fuse. Figure 2.

    `flows` has `(b t-k 2 h' w')` to the k-th next frame for each k, and the same for the video played backwards.
    """

    def __init__(self, config: VRTConfig, index: int) -> None:
        super().__init__()
        scale, dim, depth = STAGE_SCALES[index], config.embed_dims[index], config.depths[index]
        heads, window = config.num_heads[index], config.window_size
        before = STAGE_SCALES[index - 1] if index else 1
        kind: Literal["none", "down", "up"] = "none" if not index else "down" if scale > before else "up"
        self.reshape = Resample(kind, config.embed_dims[max(index - 1, 0)], dim)
        mutual = int(depth * MUTUAL_SHARE)
        self.residual_group1 = TMSAG(dim, mutual, heads, (2, *window[1:]), mutual=True)
        self.linear1 = Linear(dim, dim)
        self.residual_group2 = TMSAG(dim, depth - mutual, heads, window, mutual=False)
        self.linear2 = Linear(dim, dim)
        if config.pa_frames:
            neighbours = config.pa_frames // 2
            self.pa_deform = FlowGuidedDeformConv(dim, neighbours, config.deformable_groups, MAX_RESIDUE / scale)
            self.pa_fuse = GEGLU(3 * dim, 3 * dim, dim)

    def forward(self, x: Tensor, flows: tuple[Sequence[Tensor], Sequence[Tensor]] | None) -> Tensor:
        x = self.reshape(x)
        x = self.linear1(self.residual_group1(x)) + x
        x = self.linear2(self.residual_group2(x)) + x
        if flows is None:
            return x
        later = self._align_next(x, flows[0])
        earlier = self._align_next(x.flip(1), flows[1]).flip(1)
        return chunked(self.pa_fuse, torch.cat([x, later, earlier], dim=4))

    def _align_next(self, x: Tensor, flows: Sequence[Tensor]) -> Tensor:
        """`(b t h w c), k x (b t-k 2 h w) -> (b t h w c)`: the next k frames aligned to each; what is missing is 0."""
        b, t, h, w, _ = x.shape
        features = rearrange(x, "b t h w c -> b t c h w")
        neighbours = [_shift_in_time(features[:, k:], t) for k in range(1, len(flows) + 1)]
        padded = [_shift_in_time(flow, t) for flow in flows]
        aligned = torch.zeros_like(x)
        step = max(1, chunk_of(x) // (b * h * w))
        for start in range(0, t - 1, step):
            frames = slice(start, min(start + step, t - 1))
            part = self._align(
                [each[:, frames] for each in neighbours], features[:, frames], [f[:, frames] for f in padded]
            )
            aligned[:, frames] = rearrange(part, "(b t) c h w -> b t h w c", b=b)
        return aligned

    def _align(self, neighbours: Sequence[Tensor], current: Tensor, flows: Sequence[Tensor]) -> Tensor:
        """`k x (b t c h w), (b t c h w), k x (b t 2 h w) -> ((b t) c h w)`."""
        near, flat = [each.flatten(0, 1) for each in neighbours], [flow.flatten(0, 1) for flow in flows]
        warped = [flow_warp(x, flow) for x, flow in zip(near, flat, strict=True)]
        return self.pa_deform(torch.cat(near, dim=1), warped, current.flatten(0, 1), flat)  # type: ignore[no-any-return]


class VRT(Network):
    """`(b t c h w) -> (b t 3 (h s) (w s))`: every frame restored. RGB 0..1; a fourth channel may hold sigma / 255.

    Height and width are multiples of 8 and at least 8 attention windows' sides, t at least 1 + pa_frames / 2. Without
    parallel warping: `(b 4 3 h w) -> (b 1 3 h w)`, the frame halfway between the second and the third.
    """

    config_type = VRTConfig

    def __init__(self, config: VRTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VRTConfig()
        dims, tail, warps = config.embed_dims, config.tail_channels, config.pa_frames > 0
        in_channels = 3 + 2 * 12 + config.nonblind_denoising if warps else 3
        self.conv_first = FrameConv(in_channels, dims[0])
        if warps:
            self.spynet = SpyNet(replace(config.flow, keys="basicsr"))
        for i in range(7):
            self.add_module(f"stage{i + 1}", Stage(config, i))
        self.stage8 = nn.ModuleList([Resample("channels", dims[6], dims[7])])
        for i in range(7, len(config.depths)):
            window = (1, *config.window_size[1:]) if i in config.indep_reconsts else config.window_size
            self.stage8.append(RTMSA(dims[i], config.depths[i], config.num_heads[i], window))
        self.norm = nn.LayerNorm(dims[-1])
        self.conv_after_body = Linear(dims[-1], dims[0])
        if not warps:
            self.linear_fuse = nn.Conv2d(dims[0] * config.num_frames, tail, 1)
            self.conv_last: nn.Module = nn.Conv2d(tail, 3, 7)
        elif config.upscale == 1:
            self.conv_last = FrameConv(dims[0], 3)
        else:
            self.conv_before_upsample = nn.ModuleDict({"0": FrameConv(dims[0], tail)})
            self.upsample = Upsample(config.upscale, tail)
            self.conv_last = FrameConv(tail, 3)

    def forward(self, video: Tensor) -> Tensor:
        return torch.stack(list(self.frames(video, range(video.shape[1]))), dim=1)

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t c h w)`: `flow (2 t-1 2 h' w')`, found at the coarsest levels; for interpolation `mean (1 1 3 1 1)`."""
        if not self.config.pa_frames:
            return {"mean": video[None].mean((1, 3, 4), keepdim=True)}
        with torch.autocast(self.spynet.mean.device.type, enabled=False):
            return {"flow": self.spynet.coarse_flows(video[:, :3])}

    @override
    def localise(self, statistics: Statistics, place: Place) -> Statistics:
        if "flow" not in statistics:
            return statistics
        size = place.height, place.width
        return {"flow": torch.stack([crop_coarse(way, place.rows, place.columns, size) for way in statistics["flow"]])}

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        """`(b t c h w) -> t' x (b 3 (h s) (w s))`: the frames of `keep` one by one; the one new frame of four."""
        if not self.config.pa_frames:
            mean = video.mean((1, 3, 4), keepdim=True) if statistics is None else statistics["mean"].to(video)
            yield self._interpolate(video, mean)
            return
        rgb = video[:, :, :3]
        flows, (later, earlier) = self._flows(rgb, None if statistics is None else statistics["flow"].to(rgb.device))
        x = torch.cat([rgb, later, earlier, video[:, :, 3:]], dim=2)
        features = self._features(_per_frame(self.conv_first, x), flows)
        for i in keep:
            yield self._reconstruct(rgb[:, i], rearrange(features[:, i], "b h w c -> b c h w"))

    def _flows(
        self, rgb: Tensor, coarse: Tensor | None
    ) -> tuple[dict[int, tuple[list[Tensor], list[Tensor]]], tuple[Tensor, Tensor]]:
        """Flows by scale to the next frames, forwards and backwards in time, and the warped neighbours of each frame.

        In float32 under autocast: half precision steps by whole pixels above 1024.
        """
        with torch.autocast(rgb.device.type, enabled=False):
            rgb = rgb.float()
            starts = (None, None) if coarse is None else (coarse[0], coarse[1].flip(0))
            videos = rgb, rgb.flip(1)
            ways = [self._flows_to_next(each, start) for each, start in zip(videos, starts, strict=True)]
            images = [_warp_next(each, way[1][0]) for each, way in zip(videos, ways, strict=True)]
        return {scale: (ways[0][scale], ways[1][scale]) for scale in ways[0]}, (images[0], images[1].flip(1))

    def _flows_to_next(self, rgb: Tensor, coarse: Tensor | None) -> dict[int, list[Tensor]]:
        """`(b t 3 h w) -> {s: [(b t-k 2 (h / s) (w / s)) for k]}`: the flow from each frame to the k-th next one."""
        b, scales = rgb.shape[0], sorted(set(STAGE_SCALES))
        here, there = rgb[:, :-1], rgb[:, 1:]
        step = max(1, chunk_of(rgb) // (b * rgb.shape[-1] * rgb.shape[-2]))
        parts = [
            self.spynet.flows(
                here[:, i : i + step].flatten(0, 1),
                there[:, i : i + step].flatten(0, 1),
                scales,
                None if coarse is None else coarse[i : i + step],
            )
            for i in range(0, here.shape[1], step)
        ]
        joined = [
            torch.cat([rearrange(p, "(b t) c h w -> b t c h w", b=b) for p in s], 1) for s in zip(*parts, strict=True)
        ]
        return {s: compose_flows(flow, self.config.pa_frames // 2) for s, flow in zip(scales, joined, strict=True)}

    def _features(self, x: Tensor, flows: dict[int, tuple[list[Tensor], list[Tensor]]]) -> Tensor:
        """`(b t h w c) -> (b t h w c)`: the U of seven stages, refined at full size. Figure 2."""
        first = x
        skips: list[Tensor] = []
        for i, scale in enumerate(STAGE_SCALES):
            if i > 4:
                x = x + skips[7 - i]
            x = self.get_submodule(f"stage{i + 1}")(x, flows.get(scale))
            skips.append(x)
        x = x + skips[0]
        for group in self.stage8:
            x = group(x)
        return first + self.conv_after_body(self.norm(x))  # type: ignore[no-any-return]

    def _reconstruct(self, frame: Tensor, x: Tensor) -> Tensor:
        """`(b 3 h w), (b c h w) -> (b 3 (h s) (w s))`: the frame, or its bilinear upscaling, and what to add to it."""
        if self.config.upscale == 1:
            return frame + self.conv_last(x)  # type: ignore[no-any-return]
        x = F.leaky_relu(self.conv_before_upsample["0"](x), 0.01, inplace=True)
        base = F.interpolate(frame, scale_factor=self.config.upscale, mode="bilinear", align_corners=False)
        return base + self.conv_last(self.upsample(x))  # type: ignore[no-any-return]

    def _interpolate(self, video: Tensor, mean: Tensor) -> Tensor:
        """`(b 4 3 h w), (b 1 3 1 1) -> (b 3 h w)`."""
        features = self._features(_per_frame(self.conv_first, video - mean), {})
        x = self.linear_fuse(rearrange(features, "b t h w c -> b (t c) h w"))
        x = F.pad(F.leaky_relu(x, 0.2), (3, 3, 3, 3), mode="reflect")
        return self.conv_last(x) + mean[:, 0]  # type: ignore[no-any-return]


class Upsample(nn.ModuleDict):
    """`(b c h w) -> (b c (h s) (w s))`: convolutions and pixel shuffles; keys as in a Sequential."""

    def __init__(self, scale: int, channels: int) -> None:
        self.factors = (3,) if scale == 3 else (2,) * (scale // 2)
        steps = {str(5 * i): FrameConv(channels, f * f * channels) for i, f in enumerate(self.factors)}
        super().__init__(steps | {str(5 * len(self.factors)): FrameConv(channels, channels)})

    def forward(self, x: Tensor) -> Tensor:
        *steps, last = self.values()
        for conv, factor in zip(steps, self.factors, strict=True):
            x = lrelu(F.pixel_shuffle(conv(x), factor))
        return last(x)  # type: ignore[no-any-return]


def compose_flows(flow: Tensor, count: int) -> list[Tensor]:
    """`(b t 2 h w) -> [(b t-k 2 h w) for k in 0..count-1]`: flows to the next frame, the one after it, and so on."""
    flows = [flow]
    for k in range(1, count):
        further = flow[:, k:].flatten(0, 1)
        reached = flows[-1][:, :-1]
        flows.append(reached + flow_warp(further, reached.flatten(0, 1)).view(reached.shape))
    return flows


def chunk_of(x: Tensor) -> int:
    """So many tokens or pixels on the device of `x`."""
    return GPU_CHUNK if x.is_cuda else CHUNK


def chunked(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`(... c) -> (... o)`: a function of single tokens, applied to as many at once as memory should hold."""
    tokens = x.reshape(-1, x.shape[-1])
    parts = [function(part) for part in torch.split(tokens, chunk_of(x))]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).view(*x.shape[:-1], -1)


def _per_frame(function: Callable[[Tensor], Tensor], video: Tensor) -> Tensor:
    """`(b t c h w) -> (b t h w o)`."""
    return rearrange(function(video.flatten(0, 1)), "(b t) c h w -> b t h w c", b=video.shape[0]).contiguous()


def _warp_next(rgb: Tensor, flow: Tensor) -> Tensor:
    """`(b t 3 h w), (b t-1 2 h w) -> (b t 12 h w)`: the next frame warped to each one; 0 for the last."""
    warped = flow_warp_nearest4(rgb[:, 1:].flatten(0, 1), flow.flatten(0, 1))
    return _shift_in_time(rearrange(warped, "(b t) c h w -> b t c h w", b=rgb.shape[0]), rgb.shape[1])


def _shift_in_time(x: Tensor, t: int) -> Tensor:
    """`(b t' c h w) -> (b t c h w)`: zeros follow."""
    return F.pad(x, (0, 0, 0, 0, 0, 0, 0, t - x.shape[1]))
