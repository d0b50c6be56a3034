"""Watches a run on pieces of footage that stay the same."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from vs_vrt.metrics import psnr_y
from vs_vrt.models.network import Network
from vs_vrt.training.batches import Batches
from vs_vrt.training.footage import Footage
from vs_vrt.training.objective import in_place_of
from vs_vrt.training.recipe import Recipe

PIECES = 4
SEED = 1 << 31  # of the pieces: one that no run is likely to have
GAP = 4  # pixels between pictures

type Video = NDArray[np.uint8]  # (t h w 3)


class Validation:
    """Some pieces of footage, spoiled as the recipe's last phase does."""

    def __init__(self, footage: Footage, recipe: Recipe) -> None:
        last = replace(recipe, phases=recipe.phases[-1:], seed=SEED, batch=PIECES, mirror=False, patterns=0.0)
        self.inputs, self.truth = Batches(footage=footage, recipe=last)(0)

    def __call__(self, network: Network) -> tuple[float, float, NDArray[np.uint8]]:
        """PSNR of Y in dB, of what is given and of what is made of it, and a picture `(h w 3)`.

        It has a row for each piece, with the frame in the middle: given, restored, truth.
        """
        device = next(network.parameters()).device
        columns: list[list[Video]] = [[], [], []]
        for piece in zip(self.inputs, self.truth, strict=True):
            inputs, truth = (each[None] for each in piece)
            with torch.inference_mode():
                restored = network(inputs.to(device)).float().cpu()
            given, true = in_place_of(restored, inputs, truth)
            for column, video in zip(columns, (given, restored, true), strict=True):
                column.append(rounded(video[0]))
        whole = [np.concatenate(column) for column in columns]
        return psnr_y(whole[0], whole[2]), psnr_y(whole[1], whole[2]), picture(columns)


def rounded(video: Tensor) -> Video:
    """`(t 3 h w) -> (t h w 3)`: 0..1 as 8 bits."""
    frames: Video = (255 * video.clamp(0, 1)).round().byte().numpy()
    return rearrange(frames, "t c h w -> t h w c")


def picture(columns: Sequence[Sequence[Video]]) -> NDArray[np.uint8]:
    """`3 x n x (t h w 3) -> (h w 3)`: the frames in the middle, side by side, white between them."""
    rows = []
    for pieces in zip(*columns, strict=True):
        frames = [piece[len(piece) // 2] for piece in pieces]
        rows.append(
            np.concatenate([np.pad(each, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for each in frames], 1)
        )
    return np.concatenate(rows)[:-GAP, :-GAP]
