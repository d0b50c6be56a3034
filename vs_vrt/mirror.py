"""Symmetric reflection: how frames and pixels go on past the end of a scene or of a picture."""

from collections.abc import Iterable

from torch import Tensor


def mirror(positions: Iterable[int], size: int) -> list[int]:
    """Where each position lies after reflection at the edges of 0..size-1, as often as it takes; edges count twice."""
    return [min(p % (2 * size), 2 * size - 1 - p % (2 * size)) for p in positions]


def extend(video: Tensor, multiple: int, min_size: int) -> Tensor:
    """`(t c h w) -> (t c h' w')`: mirrored below and to the right to multiples that are large enough."""
    for axis in (2, 3):
        size = video.shape[axis]
        wanted = -(-max(size, min_size) // multiple) * multiple
        if wanted > size:
            video = video[(slice(None),) * axis + (mirror(range(wanted), size),)]
    return video
