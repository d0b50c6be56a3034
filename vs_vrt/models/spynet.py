"""SPyNet: optical flow from a pyramid of small convolutional networks (arXiv 1611.00850)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vs_vrt.ops.flow_warp import flow_warp
from vs_vrt.task import SPYNET, SpyNetConfig

LEVELS = 6
MULTIPLE = 2 ** (LEVELS - 1)
# The coarsest levels, at which a tile does not look for flow by itself: they see hundreds of pixels far, and what they
# take for the same thing decides about all finer levels. Whole frames are small enough there.
SHARED = 2
CELL = 2 ** (LEVELS - 1 - SHARED)  # pixels a side of what the first level after those works on
CHUNK_PIXELS = 1 << 17  # of the pairs whose flow is found at once: more is no faster, and pyramids are large


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
        self.slope = config.slope
        self.basic_module = nn.Sequential()
        for i, (inner, outer) in enumerate(pairwise([8, *config.widths, 2])):
            if config.keys == "mmediting":
                self.basic_module.add_module(f"{i}", ConvUnit(inner, outer, config.kernel))
            else:  # BasicSR counts the activations between them
                self.basic_module.add_module(f"{2 * i}", nn.Conv2d(inner, outer, config.kernel, padding="same"))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.basic_module
        for unit in hidden:
            x = F.leaky_relu(unit(x), self.slope, inplace=True) if self.slope else F.relu(unit(x), inplace=True)
        return last(x)  # type: ignore[no-any-return]


class SpyNet(nn.Module):
    """`(b 3 h w), (b 3 h w) -> (b 2 h w)`: the flow in pixels (dx, dy) with which `neighbour` is warped to `reference`.

    Images are RGB 0..1 of any size: they are resized (not padded) to multiples of 32 and the flow is scaled back.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: SpyNetConfig = SPYNET) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(Level(config) for _ in range(1 if config.shared else LEVELS))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, reference: Tensor, neighbour: Tensor, coarse: Tensor | None = None) -> Tensor:
        return self.flows(reference, neighbour, (1,), coarse)[0]

    def flows(
        self, reference: Tensor, neighbour: Tensor, scales: Sequence[int], coarse: Tensor | None = None
    ) -> list[Tensor]:
        """`(b 3 h w), (b 3 h w) -> [(b 2 (h / s) (w / s)) for s in scales]`, in pixels of each scale, rounded down.

        Each scale, a power of two, has the flow that its own level of the pyramid found. `coarse` is that of the
        `SHARED` coarsest ones, where the images are parts of larger ones.
        """
        h, w = reference.shape[-2:]
        size = _fit(reference) if coarse is None else (coarse.shape[2] * CELL, coarse.shape[3] * CELL)
        a, b = (self._prepare(image, size, self.mean, self.std) for image in (reference, neighbour))
        found = self._pyramid_flows(a, b, LEVELS if coarse is None else LEVELS - SHARED, coarse)
        return [resize_flow(found[-scale.bit_length()], (h // scale, w // scale)) for scale in scales]

    def coarse_flows(self, video: Tensor) -> Tensor:
        """`(t 3 h w) -> (2 t-1 2 h' w')`: of frames on the CPU, at an eighth of the size.

        That with which each frame is warped to the one before it, and that with which it is warped to the next one.
        """
        mean, std, size = self.mean.cpu(), self.std.cpu(), _fit(video)
        frames = [F.avg_pool2d(self._prepare(frame[None], size, mean, std), 2 * CELL) for frame in video]
        small = torch.cat(frames)
        flows = video.new_empty(2, len(video) - 1, 2, size[0] // CELL, size[1] // CELL)
        step = max(1, CHUNK_PIXELS // (small.shape[2] * small.shape[3]))
        for i in range(0, len(video) - 1, step):
            images = small[i : i + step + 1].to(self.mean.device)
            for way, pair in zip(flows, ((images[:-1], images[1:]), (images[1:], images[:-1])), strict=True):
                way[i : i + step] = _enlarge(self._pyramid_flows(*pair, SHARED)[-1])
        return flows

    @staticmethod
    def _prepare(image: Tensor, size: tuple[int, int], mean: Tensor, std: Tensor) -> Tensor:
        return (F.interpolate(image, size=size, mode="bilinear", align_corners=False) - mean) / std

    def _pyramid_flows(
        self, reference: Tensor, neighbour: Tensor, levels: int, coarse: Tensor | None = None
    ) -> list[Tensor]:
        """The flows of so many levels, the last of which has the size of the images."""
        pyramid = [(reference, neighbour)]
        for _ in range(levels - 1):
            a, b = pyramid[0]
            pyramid.insert(0, (F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)))
        coarsest = pyramid[0][0]
        flow = coarsest.new_zeros(coarsest.shape[0], 2, *coarsest.shape[-2:]) if coarse is None else coarse
        found: list[Tensor] = []
        for i, (a, b) in enumerate(pyramid):
            if i > 0:
                flow = _enlarge(flow)
            level = self.basic_module[(i if coarse is None else SHARED + i) % len(self.basic_module)]
            flow = flow + level(torch.cat([a, flow_warp(b, flow, "border"), flow], dim=1))
            found.append(flow)
        return found


def crop_coarse(flow: Tensor, rows: range, columns: range, size: tuple[int, int]) -> Tensor:
    """`(n 2 h w) -> (n 2 h' w')`: from the coarse flow of frames of that size, the one of a tile of them."""
    axes = []
    for tile, length, whole in zip((rows, columns), size, flow.shape[-2:], strict=True):
        cells = max(1, round(whole * len(tile) / length))  # of about the same size as the frame's
        pixels = (torch.arange(cells) + 0.5) * (len(tile) / cells) + tile.start
        axes.append(2 * pixels / length - 1)
    y, x = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([x, y], dim=-1).expand(len(flow), -1, -1, -1)
    sampled = F.grid_sample(flow, grid, mode="bilinear", padding_mode="border", align_corners=False)
    scale = [size[i] * sampled.shape[2 + i] / (flow.shape[2 + i] * len(tile)) for i, tile in ((1, columns), (0, rows))]
    return sampled * sampled.new_tensor(scale).view(1, 2, 1, 1)


def _fit(image: Tensor) -> tuple[int, int]:
    h, w = (math.ceil(size / MULTIPLE) * MULTIPLE for size in image.shape[-2:])
    return h, w


def _enlarge(flow: Tensor) -> Tensor:
    """`(b 2 h w) -> (b 2 (h 2) (w 2))`: twice the size is twice the displacement in pixels."""
    return 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """`(b 2 h w) -> (b 2 h' w')`: resampled, and its displacements with it."""
    (h, w), (height, width) = flow.shape[-2:], size
    flow = F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    return flow * flow.new_tensor([width / w, height / h]).view(1, 2, 1, 1)
