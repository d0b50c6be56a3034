"""Blocks that several architectures share."""

import torch.nn.functional as F
from torch import Tensor, nn


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
        self.main = nn.Sequential(
            conv3x3(in_channels, out_channels),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Sequential(*(ResidualBlock(out_channels) for _ in range(num_blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)  # type: ignore[no-any-return]


class PixelShufflePack(nn.Module):
    """`(b in h w) -> (b out (h 2) (w 2))`: a convolution to four times the channels, then pixel shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample_conv = conv3x3(in_channels, 4 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), 2)
