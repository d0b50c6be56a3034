"""Plots of PSNR by frame, and crops to judge by eye."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import pyplot
from vs_vrt.metrics import luma
from vs_vrt.video.footage import write_png

from .cases import CASES
from .clips import Frame
from .report import Measured
from .store import Result, Store

CROP = 96, 128  # height and width
ENLARGED = 3
LABEL = 22  # height of the line of text, in pixels


def plots(results: Sequence[Result], folder: Path) -> None:
    """A plot for each case and clip: PSNR of all methods by frame; dots where not all frames were restored."""
    folder.mkdir(parents=True, exist_ok=True)
    for measured in (Measured(case, results) for case in CASES):
        for clip in measured.clips:
            figure, axes = pyplot().subplots(figsize=(9, 4), layout="constrained")
            for method in [*measured.classic, *measured.networks]:
                draw(axes, measured, clip, method)
            axes.set(title=f"{measured.case.name}, {clip}", xlabel="frame", ylabel="PSNR of Y, dB")
            axes.legend(fontsize=7)
            figure.savefig(folder / f"{measured.case.name}-{clip}.svg", metadata={"Date": None})
            pyplot().close(figure)


def draw(axes: object, measured: Measured, clip: str, method: str) -> None:
    """One method's line."""
    if (clip, method) not in measured.found:
        return
    scores = measured.found[clip, method].scores
    whole = len(scores.frames) == scores.frames[-1] - scores.frames[0] + 1
    style = {"linewidth": 1.8 if method in measured.networks else 0.9} if whole else {"linestyle": "", "marker": "."}
    axes.plot(scores.frames, scores.psnr, label=method, **style)  # type: ignore[attr-defined]


def crops(results: Sequence[Result], store: Store, folder: Path) -> None:
    """Truth, input, best classic method and network side by side: where they differ most, and where it is worst."""
    folder.mkdir(parents=True, exist_ok=True)
    for measured in (Measured(case, results) for case in CASES):
        for clip in measured.clips:
            rival = measured.best_classic(clip)
            for network in measured.networks if rival else ():
                names = ["truth", "degraded", str(rival), network]
                for what, picture in compared(store, measured.case.name, clip, names):
                    write_png(folder / f"{measured.case.name}-{clip}-{network}-{what}.png", picture)


def compared(store: Store, case: str, clip: str, names: Sequence[str]) -> Iterator[tuple[str, Frame]]:
    """`-> ("differs" or "worst", picture)`: of all kept frames, the place where that is most so."""
    best: dict[str, tuple[float, int, int, int]] = {}
    kept: dict[int, list[Frame]] = {}
    for n in sorted(int(file.stem) for file in store.place(case, clip, names[-1]).glob("*.png")):
        frames = [store.frame(case, clip, name, n) for name in names]
        present = [frame for frame in frames if frame is not None]
        if len(present) < len(names):
            continue
        kept[n] = present
        truth, rival, ours = (luma(present[i]) for i in (0, 2, 3))
        for what, map_ in (("differs", np.abs(ours - rival)), ("worst", np.abs(ours - truth) - np.abs(rival - truth))):
            best[what] = max(best.get(what, (-np.inf, 0, 0, 0)), (*peak(map_), n))
    for what, (_, top, left, n) in best.items():
        labels = (f"truth, frame {n}", "input", *names[2:])
        yield (
            what,
            np.hstack(
                [panel(each, kept[n][0].shape, top, left, label) for each, label in zip(kept[n], labels, strict=True)]
            ),
        )


def peak(levels: NDArray[np.float64]) -> tuple[float, int, int]:
    """`(h w) -> mean, top, left` of the crop with the largest mean."""
    h, w = (min(side, limit) for side, limit in zip(CROP, levels.shape, strict=True))
    means = cv2.boxFilter(levels, -1, (w, h), anchor=(0, 0))[: levels.shape[0] - h + 1, : levels.shape[1] - w + 1]
    top, left = np.unravel_index(int(means.argmax()), means.shape)
    return float(means[top, left]), int(top), int(left)


def panel(frame: Frame, whole: tuple[int, ...], top: int, left: int, label: str) -> Frame:
    """A crop, enlarged pixel by pixel, below what it is; a smaller frame shows the same place."""
    scale = whole[0] // frame.shape[0]
    h, w = (side // scale for side in CROP)
    cut = frame[top // scale : top // scale + h, left // scale : left // scale + w]
    large = cut.repeat(ENLARGED * scale, axis=0).repeat(ENLARGED * scale, axis=1)
    found = np.full((LABEL + large.shape[0], large.shape[1] + 2, 3), 255, np.uint8)
    found[LABEL:, :-2] = large
    cv2.putText(found, label, (4, LABEL - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return found
