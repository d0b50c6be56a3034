"""What every network is to the engine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

BAND_PIXELS = 1 << 17  # that go to the device at once, for statistics

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

    def in_bands_of(self, frame: Tensor, halo: int, function: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        """`(c h w) -> n x (1 o r w)`: what `function` makes of a frame on the CPU, some rows after the other.

        A row of its output looks at `halo` rows on either side.
        """
        device = next(self.parameters()).device
        h, w = frame.shape[-2:]
        rows = max(BAND_PIXELS // w, halo, 1)
        for start in range(0, h, rows):
            above, stop = min(halo, start), min(start + rows, h)
            band = frame[None, :, start - above : stop + halo].to(device)
            yield function(band)[:, :, above : above + stop - start]
