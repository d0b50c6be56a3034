"""What every network is to the engine."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from torch import Tensor, nn

# The side of what goes to the device at once, for statistics: so many pixels, and so many halos that those cost little.
BLOCK, HALOS = 256, 8

# What all tiles of a frame must agree on, by name.
type Statistics = Mapping[str, Tensor]


@dataclass(frozen=True)
class Place:
    """Where a tile lies in its frame."""

    rows: range
    columns: range
    height: int  # of the frame
    width: int


class Network(nn.Module):
    """`(b t c h w) -> t' x (b 3 h' w')`: frames one by one, from whole frames or from tiles of them."""

    def statistics(self, video: Tensor) -> Statistics:  # noqa: ARG002
        """`(t c h w)` on the CPU: what an answer for part of a frame depends on, though it lies outside that part.

        Computed so that no whole frame goes to the network's device.
        """
        return {}

    def localise(self, statistics: Statistics, place: Place) -> Statistics:  # noqa: ARG002
        """What a tile is to know of the statistics of its frame."""
        return statistics

    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        """`(b t c h w) -> t' x (b 3 h' w')`: the frames of `keep`, each as soon as it is made.

        Without statistics, `video` has whole frames; with those of a single video, b is 1.
        """
        raise NotImplementedError

    def in_blocks_of(
        self, frame: Tensor, halo: int, function: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[slice, slice, Tensor]]:
        """`(c h w) -> n x rows, columns, (1 o r w')`: what `function` makes of a frame on the CPU, block by block.

        A pixel of its output looks at `halo` pixels on every side.
        """
        device = next(self.parameters()).device
        h, w = frame.shape[-2:]
        side = max(BLOCK, HALOS * halo)
        for rows, columns in product(_even(h, side), _even(w, side)):
            above, left = min(halo, rows.start), min(halo, columns.start)
            seen = frame[None, :, rows.start - above : rows.stop + halo, columns.start - left : columns.stop + halo]
            made = function(seen.to(device))[:, :, above : above + len(rows), left : left + len(columns)]
            yield slice(rows.start, rows.stop), slice(columns.start, columns.stop), made


def _even(size: int, most: int) -> list[range]:
    """The fewest parts of an axis that are no longer than `most`, and nearly equal."""
    count = math.ceil(size / most)
    return [range(i * size // count, (i + 1) * size // count) for i in range(count)]
