"""MANA: attention across frames beside a learned memory of detail (arXiv 2108.11048)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import ResidualBlock, conv3x3, in_bands, lrelu, upsample_bilinear

FRAMES = 7
CENTRE = FRAMES // 2
GROUPS = 32  # of channels that are normalised together
MEMORY_SLOTS = 256
TAIL_CHANNELS = 64  # at four times the input's size
CHUNK_BYTES = 16 << 20  # of the attention matrix: the whole one grows with the fourth power of the frame's size
REACH = 8  # standard deviations: what lies further weighs less than exp(-32) = 1.3e-14


@dataclass(frozen=True, kw_only=True)
class MANAConfig:
    """Sizes of the network; the defaults are the published ones (14,317,508 parameters)."""

    in_channels: int = 128
    encoder_nblocks: int = 5
    decoder_nblocks: int = 40


class NonLocalAttention(nn.Module):
    """`t x (b c h w) -> (b c h w), ()`: the frame in the middle, with what it finds in all frames and in the memory.

    The second result is the mean distance between the queries and what the memory gave for them: the loss that trains
    the memory.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.std = nn.Parameter(torch.tensor([4.0]))  # pixels
        self.mb = nn.Parameter(torch.randn(inner, MEMORY_SLOTS))
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.W_z = nn.Conv2d(FRAMES * inner, channels, 1)
        self.W_z1 = nn.Conv2d(inner, channels, 1)

    def forward(self, frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        centre = frames[CENTRE]
        query = self.phi(self.norm(centre))
        found = torch.cat([self.search(query, frame) for frame in frames], dim=1)
        recalled = self.recall(query)
        return self.W_z(found) + centre + self.W_z1(recalled), F.l1_loss(query, recalled)

    def search(self, query: Tensor, frame: Tensor) -> Tensor:
        """`(b d h w), (b c h w) -> (b d h w)`: attention of every position to all positions of a frame.

        The softmax is not scaled, and nearness weighs what comes out of it: the weights sum to less than one.
        """
        b, _, h, w = query.shape
        frame = self.norm(frame)
        queries = rearrange(query, "b d h w -> b (h w) d").contiguous()
        keys = rearrange(self.theta(frame), "b d h w -> b d (h w)").contiguous()
        values = rearrange(self.g(frame), "b d h w -> b (h w) d").contiguous()
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
        return rearrange(found, "b (h w) d -> b d h w", h=h)

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


class MANA(nn.Module):
    """`(b 7 3 h w) -> (b 1 3 (h 4) (w 4))`: the frame in the middle x4. RGB 0..1, any size."""

    config_type = MANAConfig

    def __init__(self, config: MANAConfig | None = None) -> None:
        super().__init__()
        config = config or MANAConfig()
        channels = config.in_channels
        self.conv_first = conv3x3(3, channels)
        self.encoder = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.encoder_nblocks)))
        self.nonloc_spatial = NonLocalAttention(channels)
        self.decoder = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.decoder_nblocks)))
        self.upconv1 = conv3x3(channels, 4 * channels)
        self.upconv2 = conv3x3(channels, 4 * TAIL_CHANNELS)
        self.conv_hr = conv3x3(TAIL_CHANNELS, TAIL_CHANNELS)
        self.conv_last = conv3x3(TAIL_CHANNELS, 3)

    def forward(self, video: Tensor) -> Tensor:
        return self.forward_with_loss(video)[0]

    def forward_with_loss(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """`(b 7 3 h w) -> (b 1 3 (h 4) (w 4)), ()`: the frame, and the loss of the memory for training."""
        # One by one: the encoder's own buffers are then those of one frame.
        frames = [self.encoder(lrelu(self.conv_first(frame))) for frame in video.unbind(1)]
        x, loss = self.nonloc_spatial(frames)
        del frames
        detail = in_bands(self._upsample_band, self.decoder(x), TAIL_CHANNELS)
        return rearrange(detail + upsample_bilinear(video[:, CENTRE]), "b c h w -> b 1 c h w"), loss

    def _upsample_band(self, x: Tensor) -> Tensor:
        x = lrelu(F.pixel_shuffle(self.upconv1(x), 2))
        x = lrelu(F.pixel_shuffle(self.upconv2(x), 2))
        return self.conv_last(lrelu(self.conv_hr(x)))  # type: ignore[no-any-return]
