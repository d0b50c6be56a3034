"""SPyNet: optical flow from a pyramid of small convolutional networks (arXiv 1611.00850)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vs_vrt.ops.flow_warp import flow_warp

LEVELS = 6
MULTIPLE = 2 ** (LEVELS - 1)


@dataclass(frozen=True, kw_only=True)
class SpyNetConfig:
    """What may differ between flow networks; the defaults are the published ones (1,440,300 parameters)."""

    widths: tuple[int, int, int, int] = (32, 64, 32, 16)
    kernel: int = 7
    keys: Literal["mmediting", "basicsr"] = "mmediting"  # how checkpoints name the convolutions


class ConvUnit(nn.Module):
    """`(b in h w) -> (b out h w)`: one convolution of a level; it exists to carry the checkpoint's `conv` name."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class Level(nn.Module):
    """`(b 8 h w) -> (b 2 h w)`: the flow that is still missing, from [reference, warped neighbour, flow so far]."""

    def __init__(self, config: SpyNetConfig) -> None:
        super().__init__()
        self.basic_module = nn.Sequential()
        for i, (inner, outer) in enumerate(pairwise([8, *config.widths, 2])):
            if config.keys == "mmediting":
                self.basic_module.add_module(f"{i}", ConvUnit(inner, outer, config.kernel))
            else:  # BasicSR counts the activations between them
                self.basic_module.add_module(f"{2 * i}", nn.Conv2d(inner, outer, config.kernel, padding="same"))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.basic_module
        for unit in hidden:
            x = F.relu(unit(x), inplace=True)
        return last(x)  # type: ignore[no-any-return]


class SpyNet(nn.Module):
    """`(b 3 h w), (b 3 h w) -> (b 2 h w)`: the flow in pixels (dx, dy) with which `neighbour` is warped to `reference`.

    Images are RGB 0..1 of any size: they are resized (not padded) to multiples of 32 and the flow is scaled back.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: SpyNetConfig | None = None) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(Level(config or SpyNetConfig()) for _ in range(LEVELS))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, reference: Tensor, neighbour: Tensor) -> Tensor:
        return self.flows(reference, neighbour, scales=(1,))[0]

    def flows(self, reference: Tensor, neighbour: Tensor, scales: Sequence[int]) -> list[Tensor]:
        """`(b 3 h w), (b 3 h w) -> [(b 2 (h / s) (w / s)) for s in scales]`, in pixels of each scale, rounded down.

        Each scale, a power of two, has the flow that its own level of the pyramid found.
        """
        h, w = reference.shape[-2:]
        size = (math.ceil(h / MULTIPLE) * MULTIPLE, math.ceil(w / MULTIPLE) * MULTIPLE)
        found = self._pyramid_flows(self._prepare(reference, size), self._prepare(neighbour, size))
        return [_resize_flow(found[LEVELS - scale.bit_length()], (h // scale, w // scale)) for scale in scales]

    def _prepare(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        return (F.interpolate(image, size=size, mode="bilinear", align_corners=False) - self.mean) / self.std

    def _pyramid_flows(self, reference: Tensor, neighbour: Tensor) -> list[Tensor]:
        pyramid = [(reference, neighbour)]
        for _ in range(LEVELS - 1):
            a, b = pyramid[0]
            pyramid.insert(0, (F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)))
        coarsest = pyramid[0][0]
        flow = coarsest.new_zeros(coarsest.shape[0], 2, *coarsest.shape[-2:])
        found: list[Tensor] = []
        for level, (a, b) in enumerate(pyramid):
            if level > 0:
                # Twice the size is twice the displacement in pixels.
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + self.basic_module[level](torch.cat([a, flow_warp(b, flow, "border"), flow], dim=1))
            found.append(flow)
        return found


def _resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """`(b 2 h w) -> (b 2 h' w')`: resampled, and its displacements with it."""
    (h, w), (height, width) = flow.shape[-2:], size
    flow = F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    return flow * flow.new_tensor([width / w, height / h]).view(1, 2, 1, 1)
