"""Scene cuts of a window: from frame properties where they are set, else from the pictures."""

from typing import TYPE_CHECKING

from .frames import InputFrame

if TYPE_CHECKING:
    from torch import Tensor

ABSENT = -1


def find_cuts(video: "Tensor", frames: list[InputFrame], threshold: float | None) -> list[bool]:
    """`(t 3 h w), t -> (t - 1)`: whether a scene ends between frames i and i + 1.

    A `threshold` of None trusts `_SceneChangeNext` and `_SceneChangePrev` and detects where a pair has neither; 0 finds
    no cuts; anything above is the detector's.
    """
    if threshold == 0:
        return [False] * (len(frames) - 1)
    return [_is_cut(video[i : i + 2], frames[i][2], frames[i + 1][1], threshold) for i in range(len(frames) - 1)]


def _is_cut(pair: "Tensor", next_of_first: int, prev_of_second: int, threshold: float | None) -> bool:
    from vs_vrt.scenes import DEFAULT_THRESHOLD, distance

    if threshold is None and (next_of_first, prev_of_second) != (ABSENT, ABSENT):
        return next_of_first == 1 or prev_of_second == 1
    return distance(pair[0], pair[1]) > (threshold or DEFAULT_THRESHOLD)
