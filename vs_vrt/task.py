"""What a row of the task table can say."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

# What one call of the network gives: every frame it was given, or a new one halfway between the two in the middle.
type Gives = Literal["every", "between"]

# How windows share frames. Segments read `overlap` frames of warm-up more on each side of the `length` that they
# restore; blended windows restore all `length` frames they read, and the last `overlap` are those that the next
# window begins with: both answers count.
type Sharing = Literal["segments", "blended"]


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The most memory that a network takes at once in float32: fitted by benchmarks/memory.py."""

    weights: int = 0  # bytes, exactly; the others come on top
    fixed: float = 0.0  # bytes
    pixel: float = 0.0  # bytes for each pixel of the tile
    frame_pixel: float = 0.0  # bytes for each pixel of each frame that the network sees at once
    band_pixel: float = 0.0  # bytes for each pixel of the rows that become full-size features at once
    shared: int = 0  # bytes on the host for each pixel of each frame, of what tiles must agree on


@dataclass(frozen=True, kw_only=True)
class SpyNetConfig:
    """What may differ between flow networks; the defaults are the published ones (1,440,300 parameters)."""

    widths: tuple[int, int, int, int] = (32, 64, 32, 16)
    kernel: int = 7
    slope: float = 0.0  # of activations below 0
    shared: bool = False  # one network finds what is missing at every level
    keys: Literal["mmediting", "basicsr"] = "mmediting"  # how checkpoints name the convolutions


SPYNET = SpyNetConfig()


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One network for one task: facts only; `vs_vrt.restorer` acts on them."""

    task: str
    model: str
    architecture: str  # "module:Class" below vs_vrt.models
    config: Mapping[str, Any] = MappingProxyType({})  # keyword arguments of the class's config
    scale: int
    gives: Gives = "every"
    num_frames: int = 1  # the fewest frames that the network takes; exactly so many where it gives one
    multiple: int = 1  # height and width that the network takes are multiples of this
    min_size: int = 1  # and at least this
    align: int = 1  # tiles begin on multiples of this
    stride: int = 1  # windows begin to read on multiples of this, counted from the clip's first frame
    sharing: Sharing = "segments"
    length: int  # frames that one window restores
    overlap: int  # frames of warm-up on each side, or frames that two windows blend
    preview: int = 2  # frames on each side that show what the network does, where there are so many in `overlap`
    # Length, overlap, tile and tile overlap of the authors' own test, where it cuts up its videos.
    published: tuple[int, int, int, int] | None = None
    memory: Footprint = Footprint()
    half_safe: bool  # whether float16 keeps the picture
    sigma: float | None = None  # noise level (standard deviation, 8-bit units) where none is given; None: takes none
    suits: str  # the footage it was trained for
    license: str  # of the checkpoint
    checkpoint: str  # file name
    bundled: bool = False  # the checkpoint is in the package
    url: str = ""  # of the file
    page: str = ""  # where a person finds the file, if it has no address of its own
    size: int = 0  # of the file in bytes, roughly; 0: unknown
    sha256: str = ""  # of the file: all 64 digits, or the first ones where only those are published
    keys: str = ""  # sha256 of the keys and shapes of what is learned: what is in a file, whatever the file is called

    @property
    def call(self) -> str:
        """What a script writes to run the network."""
        if self.gives == "between":
            return f'core.vrt.Interpolate(clip, model="{self.model}")'
        return f'core.vrt.Restore(clip, task="{self.task}", model="{self.model}")'
