"""Batches of degraded and clean clips, made ahead of need."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vs_vrt.errors import ArgumentError
from vs_vrt.training.degradations import DEGRADATIONS
from vs_vrt.training.footage import Footage
from vs_vrt.training.patterns import patterned
from vs_vrt.training.recipe import Recipe

AHEAD = 2  # batches that each thread has under way, or ready, while one is used


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Every sample is a pure function of the recipe's seed, the iteration and the sample's place in the batch.

    Of `ranks` processes that share a batch, each makes its own part: how many there are changes no sample, nor do more
    `makers`, threads for GPUs that a single one cannot feed. Raises `ArgumentError` where the parts are not equal.
    """

    footage: Footage
    recipe: Recipe
    rank: int = 0
    ranks: int = 1
    makers: int = 1

    def __post_init__(self) -> None:
        if self.recipe.batch % self.ranks:  # gradients of unequal parts would count the same
            raise ArgumentError(
                f"{self.ranks} processes cannot share batches of {self.recipe.batch} evenly; "
                f"`torchrun --nproc-per-node {math.gcd(self.recipe.batch, self.ranks)}`"
            )

    def __call__(self, iteration: int) -> tuple[Tensor, Tensor]:
        """`-> (b t c h w), (b t 3 (h s) (w s))`: input and truth."""
        places = range(self.rank, self.recipe.batch, self.ranks)
        pairs = [self.sample(iteration, place) for place in places]
        inputs, truth = (torch.stack(each) for each in zip(*pairs, strict=True))
        return inputs, truth

    def sample(self, iteration: int, place: int) -> tuple[Tensor, Tensor]:
        """`-> (t c h w), (t 3 (h s) (w s))`."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, iteration, place])
        how = DEGRADATIONS[recipe.degradation]
        h, w = recipe.crop_of(iteration)
        frames, pan = recipe.frames_of(iteration) + 2 * how.reach, recipe.phase(iteration).pan
        piece = self.footage.piece(rng, frames, (h * how.scale, w * how.scale), pan)
        if recipe.patterns and rng.random() < recipe.patterns:
            piece = patterned(piece, rng)
        clean = torch.from_numpy(piece).permute(0, 3, 1, 2).float() / 255
        made = how.make(clean, rng)
        return tuple(torch.cat([each, each.flip(0)]) for each in made) if recipe.mirror else made  # type: ignore[return-value]

    def ahead(self, first: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of iterations `first` to `stop - 1`, made in threads of their own."""
        ahead = AHEAD * self.makers
        with ThreadPoolExecutor(self.makers) as maker:
            coming = deque(maker.submit(self, i) for i in range(first, min(first + ahead, stop)))
            for i in range(first, stop):
                batch = coming.popleft().result()
                if i + ahead < stop:
                    coming.append(maker.submit(self, i + ahead))
                yield batch
