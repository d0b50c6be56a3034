"""Random training clips from a folder of footage."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from vs_vrt.errors import ArgumentError
from vs_vrt.video import footage, read_frames


class Footage:
    """Clips held in memory as 8-bit frames, `(t h w 3)` each; a sample is a pure function of (seed, iteration)."""

    def __init__(self, folder: Path) -> None:
        paths = footage(folder) if folder.is_dir() else []
        self.clips = [np.stack(list(read_frames(path))) for path in paths]
        if not self.clips:
            raise ArgumentError(f"{folder} holds no video files or image folders; `--data FOLDER`")

    def check(self, crop: tuple[int, int]) -> None:
        """Raises `ArgumentError` where a clip has no room for crops of (h, w) pixels."""
        for clip in self.clips:
            h, w = clip.shape[1:3]
            if h < crop[0] or w < crop[1]:
                raise ArgumentError(
                    f"a clip of {w}x{h} is smaller than the crops; `--data` of {crop[1]}x{crop[0]} at least"
                )

    def batch(self, seed: int, iteration: int, size: int, num_frames: int, crop: tuple[int, int]) -> Tensor:
        """`-> (b t 3 h w)`, RGB 0..1: `size` random crops of (h, w) pixels over `num_frames` neighbouring frames."""
        rng = np.random.default_rng([seed, iteration])
        weights = np.array([len(clip) for clip in self.clips], dtype=np.float64)
        chosen = rng.choice(len(self.clips), size, p=weights / weights.sum())
        crops = [augment(random_crop(self.clips[i], num_frames, crop, rng), rng) for i in chosen]
        return torch.from_numpy(np.stack(crops)).permute(0, 1, 4, 2, 3).float() / 255


def random_crop(
    clip: NDArray[np.uint8], num_frames: int, crop: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """`(T H W 3) -> (t h w 3)`: a random place and time; clips that are too short are played back and forth."""
    t, h, w = clip.shape[:3]
    if t < num_frames:
        order = np.concatenate([np.arange(t), np.arange(t)[::-1]])
        clip = clip[np.resize(order, num_frames)]
        t = num_frames
    first, top, left = (int(rng.integers(0, limit + 1)) for limit in (t - num_frames, h - crop[0], w - crop[1]))
    return clip[first : first + num_frames, top : top + crop[0], left : left + crop[1]]


def augment(clip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """`(t h w 3) -> (t h w 3)`: time reversal and mirror images, each with probability one half.

    Square crops are transposed too.
    """
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            clip = np.flip(clip, axis)
    if clip.shape[1] == clip.shape[2] and rng.random() < 0.5:
        clip = rearrange(clip, "t h w c -> t w h c")
    return np.ascontiguousarray(clip)
