"""Which frames belong together: the runs of frames between scene cuts inside a window.

The grid itself is arithmetic: window k restores frames k * length .. (k + 1) * length - 1 of the clip and reads
`overlap` frames more on each side. It depends on absolute frame numbers alone, so frame n never depends on how it was
reached.
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
