"""MANA: attention across frames beside a learned memory of detail (arXiv 2108.11048)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.mirror import mirror
from vs_vrt.models.blocks import ResidualBlock, conv3x3, in_bands, lrelu, upsample_bilinear
from vs_vrt.models.network import Network, Statistics

FRAMES = 7
CENTRE = FRAMES // 2
GROUPS = 32  # of channels that are normalised together
CHUNK_BYTES = 16 << 20  # of the attention matrix: the whole one grows with the fourth power of the frame's size
REACH = 8  # standard deviations: what lies further weighs less than exp(-32) = 1.3e-14


@dataclass(frozen=True, kw_only=True)
class MANAConfig:
    """Sizes of the network; the defaults are the published ones (14,317,508 parameters)."""

    in_channels: int = 128
    encoder_nblocks: int = 5
    decoder_nblocks: int = 40
    memory_slots: int = 256
    half_channels: int | None = None  # at twice the input's size; None: in_channels
    tail_channels: int = 64  # at four times the input's size


class NonLocalAttention(nn.Module):
    """`t x (b c h w) -> (b c h w), ()`: the frame in the middle, with what it finds in all frames and in the memory.

    The second result is the mean distance between the queries and what the memory gave for them: the loss that trains
    the memory, and nothing else, as it is some fifty times that of the picture.
    """

    def __init__(self, channels: int, memory_slots: int) -> None:
        super().__init__()
        inner = channels // 2
        self.std = nn.Parameter(torch.tensor([4.0]))  # pixels
        self.mb = nn.Parameter(torch.randn(inner, memory_slots))
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.W_z = nn.Conv2d(FRAMES * inner, channels, 1)
        self.W_z1 = nn.Conv2d(inner, channels, 1)

    def forward(self, frames: Sequence[Tensor], moments: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`moments` are `(t 2 g)`, those of whole frames; None: of what is given of each."""
        each = [None] * FRAMES if moments is None else moments.unbind(0)
        query = self.phi(self.normalise(frames[CENTRE], each[CENTRE]))
        recalled = self.recall(query)  # first: its scores are large, and so is what is found
        still = query.detach()
        loss = F.l1_loss(still, self.recall(still) if torch.is_grad_enabled() else recalled)
        normal = (self.normalise(*pair) for pair in zip(frames, each, strict=True))
        found = torch.cat([self.search(query, frame, self.g(frame)) for frame in normal], dim=1)
        return self.W_z(found) + frames[CENTRE] + self.W_z1(recalled), loss

    def normalise(self, frame: Tensor, moments: Tensor | None) -> Tensor:
        """`(b c h w), (2 g) -> (b c h w)`: by means and variances of groups of channels."""
        if moments is None:
            return self.norm(frame)  # type: ignore[no-any-return]
        mean, variance = moments.to(frame.device).repeat_interleave(frame.shape[1] // GROUPS, dim=1)
        return F.batch_norm(frame, mean, variance, self.norm.weight, self.norm.bias, eps=self.norm.eps)

    def search(self, query: Tensor, frame: Tensor, what: Tensor) -> Tensor:
        """`(b d h w), (b c h w), (b e h w) -> (b e h w)`: what attention to all positions of a normalised frame finds.

        The softmax is not scaled, and nearness weighs what comes out of it: the weights sum to less than one.
        """
        b, _, h, w = query.shape
        queries = rearrange(query, "b d h w -> b (h w) d").contiguous()
        keys = rearrange(self.theta(frame), "b d h w -> b d (h w)").contiguous()
        values = rearrange(what, "b e h w -> b (h w) e").contiguous()
        reach = math.ceil(REACH * float(self.std.detach().abs()))
        step = max(1, CHUNK_BYTES // (4 * b * h * w))
        found = torch.empty_like(values)  # parts of their own would lie between the chunks and keep the heap open
        for start in range(0, h * w, step):
            stop = min(start + step, h * w)
            rows = range(max(0, start // w - reach), min(h, (stop - 1) // w + reach + 1))
            seen = slice(rows.start * w, rows.stop * w)
            attention = (queries[:, start:stop] @ keys).softmax(dim=-1)
            weights = attention[..., seen] * self.nearness(range(start, stop), rows, w)
            found[:, start:stop] = weights @ values[:, seen]
        return rearrange(found, "b (h w) e -> b e h w", h=h)

    def mismatch(self, frames: Sequence[Tensor], patches: Sequence[Tensor]) -> Tensor:
        """`t x (b c h w), t x (b e h w) -> ()`: how far what is found in `patches` is from the middle frame's."""
        query = self.phi(self.norm(frames[CENTRE]))
        pairs = zip(frames, patches, strict=True)
        found = torch.stack([self.search(query, self.norm(frame), patch) for frame, patch in pairs])
        return F.l1_loss(found, patches[CENTRE].expand_as(found))

    def nearness(self, positions: range, rows: range, width: int) -> Tensor:
        """`n, r -> (n (r w))`: exp(-d^2 / 2 std^2) for the distances d of positions from all pixels of some rows."""
        device = self.std.device
        position = torch.arange(positions.start, positions.stop, device=device)[:, None]
        dy = position // width - torch.arange(rows.start, rows.stop, device=device)
        dx = position % width - torch.arange(width, device=device)
        down, across = (torch.exp(-0.5 * (d / self.std) ** 2) for d in (dy, dx))
        return rearrange(down[:, :, None] * across[:, None, :], "n r w -> n (r w)")

    def recall(self, query: Tensor) -> Tensor:
        """`(b d h w) -> (b d h w)`: attention of every position to the slots of the memory."""
        scores = torch.einsum("b d h w, d s -> b s h w", query, self.mb) / math.sqrt(query.shape[1])
        return torch.einsum("b s h w, d s -> b d h w", scores.softmax(dim=1), self.mb)


class MANA(Network):
    """`(b t 3 h w) -> (b t-6 3 (h 4) (w 4))`: frames that have three on either side, x4. RGB 0..1, any size."""

    config_type = MANAConfig

    def __init__(self, config: MANAConfig | None = None) -> None:
        super().__init__()
        config = config or MANAConfig()
        channels, tail = config.in_channels, config.tail_channels
        half = config.half_channels or channels
        self.conv_first = conv3x3(3, channels)
        self.encoder = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.encoder_nblocks)))
        self.nonloc_spatial = NonLocalAttention(channels, config.memory_slots)
        self.decoder = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.decoder_nblocks)))
        self.upconv1 = conv3x3(channels, 4 * half)
        self.upconv2 = conv3x3(half, 4 * tail)
        self.conv_hr = conv3x3(tail, tail)
        self.conv_last = conv3x3(tail, 3)

    def forward(self, video: Tensor) -> Tensor:
        return self.forward_with_loss(video)[0]

    def forward_with_loss(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """`(b t 3 h w) -> (b t-6 3 (h 4) (w 4)), ()`: the frames, and the loss of the memory for training."""
        found, loss = self._find(video)
        frames = [self._decode(x, video[:, CENTRE + i]) for i, x in enumerate(found)]
        return torch.stack(frames, dim=1), loss

    def memory_loss(self, video: Tensor) -> Tensor:
        """`(b t 3 h w) -> ()`: the loss of the memory alone, which no frame need be made for."""
        return self._find(video)[1]

    def attention_loss(self, video: Tensor) -> Tensor:
        """`(b 7 3 h w) -> ()`: how badly 3x3 pixels that attention finds match those in the middle of time.

        Centred, as weights need not sum to one: who finds nothing finds mean grey.
        """
        h, frames = video.shape[3], video.unbind(1)
        encoded = [self._encode(frame) for frame in frames]
        patches = [rearrange(F.unfold(frame - 0.5, 3, padding=1), "b e (h w) -> b e h w", h=h) for frame in frames]
        return self.nonloc_spatial.mismatch(encoded, patches)

    def _find(self, video: Tensor) -> tuple[list[Tensor], Tensor]:
        """`(b t 3 h w) -> t-6 x (b c h w), ()`: what attention and memory give, and the loss of the memory."""
        # One by one: the encoder's own buffers are then those of one frame.
        encoded = [self._encode(frame) for frame in video.unbind(1)]
        made = [self.nonloc_spatial(encoded[i : i + FRAMES]) for i in range(len(encoded) - FRAMES + 1)]
        return [x for x, _ in made], torch.stack([loss for _, loss in made]).mean()

    @override
    def statistics(self, video: Tensor) -> Statistics:
        """`(t 3 h w)`: `moments (t 2 g)`, means and variances of each frame's features in groups of channels."""
        return {"moments": torch.stack([self._moments(frame) for frame in video])}

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        """`(b t 3 h w) -> t' x (b 3 (h 4) (w 4))`: each sees three on either side, mirrored at the ends."""
        encoded: dict[int, Tensor] = {}
        for i in keep:
            seen = mirror(range(i - CENTRE, i + CENTRE + 1), video.shape[1])
            encoded = {n: encoded[n] if n in encoded else self._encode(video[:, n]) for n in sorted(set(seen))}
            moments = None if statistics is None else statistics["moments"][seen]
            x, _ = self.nonloc_spatial([encoded[n] for n in seen], moments)
            yield self._decode(x, video[:, i])

    def _encode(self, frame: Tensor) -> Tensor:
        """`(b 3 h w) -> (b c h w)`."""
        return self.encoder(lrelu(self.conv_first(frame)))  # type: ignore[no-any-return]

    def _moments(self, frame: Tensor) -> Tensor:
        """`(3 h w) -> (2 g)`: of the whole frame's features, from those of blocks."""
        halo = 1 + 2 * len(self.encoder)
        sizes, moments = [], []
        for *_, block in self.in_blocks_of(frame, halo, self._encode):
            sizes.append(block.shape[2] * block.shape[3])
            groups = rearrange(block.float(), "1 (g c) h w -> g (c h w)", g=GROUPS)
            moments.append(torch.stack(torch.var_mean(groups, dim=1, correction=0)).cpu().double())
        variances, means = torch.stack(moments, dim=1)
        share = torch.tensor(sizes, dtype=torch.float64)[:, None] / sum(sizes)
        mean = (share * means).sum(0)
        return torch.stack([mean, (share * (variances + (means - mean).square())).sum(0)]).float()

    def _decode(self, x: Tensor, frame: Tensor) -> Tensor:
        """`(b c h w), (b 3 h w) -> (b 3 (h 4) (w 4))`."""
        return in_bands(self._upsample_band, self.decoder(x), self.conv_hr.out_channels) + upsample_bilinear(frame)

    def _upsample_band(self, x: Tensor) -> Tensor:
        x = lrelu(F.pixel_shuffle(self.upconv1(x), 2))
        x = lrelu(F.pixel_shuffle(self.upconv2(x), 2))
        return self.conv_last(lrelu(self.conv_hr(x)))  # type: ignore[no-any-return]
