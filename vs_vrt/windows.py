"""Which frames belong together: the runs of frames between scene cuts inside a window.

The grid of windows itself is arithmetic over absolute frame numbers, in native/plugin/grid.h.
"""

from collections.abc import Sequence


def runs(cuts: Sequence[bool]) -> list[range]:
    """`(t - 1) -> ranges over t`: frames between cuts; `cuts[i]` says that a scene ends between frames i and i + 1."""
    starts = [0, *(i + 1 for i, cut in enumerate(cuts) if cut)]
    ends = [*starts[1:], len(cuts) + 1]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def overlap(a: range, b: range) -> range:
    """The frames that two contiguous ranges share; empty where they share none."""
    start = max(a.start, b.start)
    return range(start, max(start, min(a.stop, b.stop)))


def stubs(cuts: Sequence[bool], frames: int, at_start: bool, at_end: bool) -> list[bool]:
    """`(t - 1) -> (t)`: frames of a run that the window's border cuts to `frames` or fewer.

    `at_start` and `at_end` say that the clip goes on there. The neighbouring window has such a run with more around it.
    """
    stub = [False] * (len(cuts) + 1)
    for run in runs(cuts):
        is_cut = (at_start and run.start == 0) or (at_end and run.stop == len(stub))
        if is_cut and len(run) <= frames:
            stub[run.start : run.stop] = [True] * len(run)
    return stub
