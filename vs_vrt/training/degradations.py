"""How the inputs of training are made from clean footage."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def bicubic_down(video: Tensor, scale: int) -> Tensor:
    """`(b t c (h s) (w s)) -> (b t c h w)`: antialiased bicubic (a = -0.5), rounded to 8 bits as a file would be."""
    b = video.shape[0]
    frames = rearrange(video, "b t c h w -> (b t) c h w")
    small = F.interpolate(frames, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    small = (small.clamp(0, 1) * 255).round() / 255
    return rearrange(small, "(b t) c h w -> b t c h w", b=b)
