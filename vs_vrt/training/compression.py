"""What lossy compression leaves of frames, which are RGB, 0..1, and come out rounded to 8 bits."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from einops import pack, rearrange, unpack
from torch import Tensor

from vs_vrt.training.noise import blind_noise
from vs_vrt.training.reduction import BLUR_SIZE, SCALE, bicubic_down, gaussian_blur, rounded
from vs_vrt.video.footage import Codec, recode

JPEG_SHARE = 0.3
BLUR_SIGMAS = (0.2, 3.0)  # of a Gaussian, in pixels of the large frames
# From what hardly shows to what can only just be watched.
QUANTISERS: Mapping[Codec, tuple[int, int]] = MappingProxyType({"jpeg": (3, 24), "h264": (20, 42)})
# Black, the range of Y, and that of U and V, in 8 bits.
RANGES: Mapping[Codec, tuple[float, float, float]] = MappingProxyType({"jpeg": (0, 255, 255), "h264": (16, 219, 224)})
RED, BLUE = 0.299, 0.114  # shares of luma (BT.601)


def compression(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t 3 h w) -> (t 3 h w), (t 3 h w)`: each frame by JPEG, or all by H.264; colours have half the size in both."""
    codec: Codec = "jpeg" if rng.random() < JPEG_SHARE else "h264"
    return compressed(video, codec, int(rng.integers(*QUANTISERS[codec], endpoint=True))), video


def real(video: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(t 3 (h 4) (w 4)) -> (t 3 h w), (t 3 (h 4) (w 4))`: blurred and reduced, then noisy, then compressed.

    The first half of RealBasicVSR's degradations (arXiv 2111.12704, section 4.1), which come twice there, and in any
    order. Pixels of the result lie between those of the frame, as those of footage that was made smaller do.
    """
    soft = gaussian_blur(video, rng.uniform(*BLUR_SIGMAS), BLUR_SIZE)
    noisy, _ = blind_noise(bicubic_down(soft, SCALE), rng)
    return compression(noisy, rng)[0], video


def compressed(video: Tensor, codec: Codec, quantiser: int) -> Tensor:
    """`(t 3 h w) -> (t 3 h w)`: of any size. Colours are converted here, as FFmpeg's conversion darkens a little."""
    h, w = video.shape[-2:]
    even = F.pad(video, [0, w % 2, 0, h % 2], mode="replicate")
    planes = torch.from_numpy(recode(to_planes(even, codec).numpy(), codec, quantiser))
    return rounded(from_planes(planes, codec)[..., :h, :w])


def to_planes(video: Tensor, codec: Codec) -> Tensor:
    """`(t 3 h w) -> (t (h 3/2) w)`: RGB, 0..1, to Y, U and V in 8 bits, the latter the means of 2x2 pixels."""
    black, luma, chroma = RANGES[codec]
    red, green, blue = video.unbind(1)
    y = RED * red + (1 - RED - BLUE) * green + BLUE * blue
    differences = torch.stack([(blue - y) / (1 - BLUE), (red - y) / (1 - RED)], dim=1) / 2
    parts = [black + luma * y, 128 + chroma * F.avg_pool2d(differences, 2)]
    flat, _ = pack([part.round().clamp(0, 255).byte() for part in parts], "t *")
    return rearrange(flat, "t (h w) -> t h w", w=video.shape[-1])


def from_planes(planes: Tensor, codec: Codec) -> Tensor:
    """`(t (h 3/2) w) -> (t 3 h w)`: U and V bilinear."""
    black, luma, chroma = RANGES[codec]
    h, w = planes.shape[1] * 2 // 3, planes.shape[2]
    flat = rearrange(planes.float(), "t h w -> t (h w)")
    y, differences = unpack(flat, [torch.Size((h, w)), torch.Size((2, h // 2, w // 2))], "t *")
    y, differences = (y - black) / luma, 2 * (differences - 128) / chroma
    u, v = F.interpolate(differences, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    red, blue = y + (1 - RED) * v, y + (1 - BLUE) * u
    return torch.stack([red, (y - RED * red - BLUE * blue) / (1 - RED - BLUE), blue], dim=1)
