"""What a row of the task table can say."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One network for one task: facts only; `vs_vrt.restorer` acts on them."""

    task: str
    model: str
    architecture: str  # "module:Class" below vs_vrt.models
    config: Mapping[str, Any] = MappingProxyType({})  # keyword arguments of the class's config
    scale: int
    length: int  # frames that one window restores
    overlap: int  # frames of warm-up that a window reads on each side
    half_safe: bool  # whether float16 keeps the picture
    takes_sigma: bool = False
    suits: str  # the footage it was trained for
    license: str  # of the checkpoint
    checkpoint: str  # file name
    bundled: bool = False  # the checkpoint is in the package
    url: str = ""
