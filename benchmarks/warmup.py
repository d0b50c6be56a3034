"""What it costs to restore a clip in segments, for each number of frames of warm-up.

    python -m benchmarks.warmup measure FOLDER [--lengths 30,10] [--warmups 0,1,2,3,4,8,16] [--only CLIP]
    python -m benchmarks.warmup draw

FOLDER holds video files and folders of images; truth and input are made as in benchmarks/quality, of the first 100
frames and the middle of the picture, so that it takes minutes. A clip is restored as a whole, and in segments of
`length` frames that read `warmup` frames more on each side. Compared are the segments with the whole: how much PSNR of
Y they lose against the truth, how close they come to the whole itself, and how much more than the whole's their picture
changes where a segment begins. `measure` adds what is missing to benchmarks/results/warmup.json and prints a table;
`draw` makes docs/warmup.svg of it.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.figures import pyplot
from benchmarks.quality import SCALE, bicubic, to_array, truth
from vs_vrt.checkpoint import locate
from vs_vrt.metrics import luma, psnr
from vs_vrt.restorer import Restorer
from vs_vrt.tasks import TASKS
from vs_vrt.video.footage import footage

ROOT = Path(__file__).parents[1]
RESULTS, PLOT = ROOT / "benchmarks/results/warmup.json", ROOT / "docs/warmup.svg"
CLIPS = "davis_parkour,davis_bmx-trees,davis_breakdance,coffeerun_roof,ferris_720p,butterfly_720p"
LONGEST = 100  # frames of a clip
CROP = 96, 64  # width and height of the input's middle
MEAN_LOSS, WORST_LOSS, SPIKE = 0.02, 0.1, 1.1  # dB, dB, ratio: what a default has to keep to

type Luma = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """One clip in segments, against the same clip as a whole. PSNR in dB; losses are positive where segments lose."""

    clip: str
    frames: int
    length: int
    warmup: int
    mean_loss: float
    worst_loss: float
    mean_likeness: float  # PSNR between segments and whole, of the mean square error of all frames
    worst_likeness: float
    spikes: list[float]  # change of the picture at each boundary, as `spikes` has it
    error_spikes: list[float]  # the same of the difference from the truth
    loss_by_distance: list[float]  # mean loss of frames 0, 1, 2... away from the nearest boundary


@dataclass(frozen=True)
class Output:
    """Luma of restored frames: rounded to 8 bits for PSNR, and as the network gives it."""

    rounded: list[Luma]
    exact: list[Luma]


def load(path: Path) -> tuple[Tensor, list[Luma]]:
    """The middle of the input, `(t 3 h w)`, of at most LONGEST frames, and the truth's luma."""
    reference = truth(path)[:LONGEST]
    small = bicubic(reference, reference.width // SCALE, reference.height // SCALE)
    width, height = (min(most, size) for most, size in zip(CROP, (small.width, small.height), strict=True))
    x, y = (small.width - width) // 2, (small.height - height) // 2
    small = small.std.CropAbs(width, height, x, y)
    reference = reference.std.CropAbs(*(SCALE * each for each in (width, height, x, y)))
    frames = np.stack([to_array(frame) for frame in small.frames(close=True)])
    lumas = [luma(to_array(frame)) for frame in reference.frames(close=True)]
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, lumas


def restore(restorer: Restorer, video: Tensor, length: int, warmup: int) -> Iterator[Tensor]:
    """`(t 3 h w) -> t x (3 (h s) (w s))`: in segments."""
    for start in range(0, len(video), length):
        stop = min(start + length, len(video))
        first, last = max(start - warmup, 0), min(stop + warmup, len(video))
        uncut = [False] * (last - first - 1)
        yield from restorer.restore(video[first:last], uncut, range(start - first, stop - first))


def output(frames: Iterator[Tensor]) -> Output:
    """The luma of frames in 0..1."""
    found = Output([], [])
    for frame in frames:
        picture = 255 * frame.permute(1, 2, 0).clamp(0, 1).double().numpy()
        found.rounded.append(luma(picture.round().astype(np.uint8)))
        found.exact.append(luma(picture))
    return found


def spikes(segments: list[Luma], whole: list[Luma], length: int) -> list[float]:
    """For each boundary, how much more the picture changes there than that of the whole, over what it does elsewhere.

    The change of frame n is the mean of |frame[n] - frame[n - 1]|. That of the segments is divided by that of the
    whole at the same n, as motion differs from frame to frame, and then by the median of these ratios inside segments.
    """
    ratios = {n: change(segments, n) / change(whole, n) for n in range(1, len(whole))}
    inside = float(np.median([ratio for n, ratio in ratios.items() if n % length] or [1.0]))
    return [ratio / inside for n, ratio in ratios.items() if n % length == 0]


def change(frames: list[Luma], n: int) -> float:
    """The mean of |frame[n] - frame[n - 1]|."""
    return float(np.abs(frames[n] - frames[n - 1]).mean())


def compare(clip: str, segments: Output, whole: Output, reference: list[Luma], length: int, warmup: int) -> Result:
    """Everything about one clip."""
    pairs = zip(reference, whole.rounded, segments.rounded, strict=True)
    losses = np.array([psnr(t, w) - psnr(t, s) for t, w, s in pairs])
    squares = [float(np.mean((a - b) ** 2)) for a, b in zip(segments.exact, whole.exact, strict=True)]
    errors = [[frame - t for frame, t in zip(o.exact, reference, strict=True)] for o in (segments, whole)]
    boundaries = np.arange(length, len(reference), length)
    # Frames n - 1 and n have a boundary at n between them.
    away = np.abs(np.arange(len(reference))[:, None] + 0.5 - boundaries).min(1).astype(int)
    return Result(
        clip=clip,
        frames=len(reference),
        length=length,
        warmup=warmup,
        mean_loss=round(float(losses.mean()), 5),
        worst_loss=round(float(losses.max()), 5),
        mean_likeness=decibels(float(np.mean(squares))),
        worst_likeness=decibels(max(squares)),
        spikes=[round(each, 4) for each in spikes(segments.exact, whole.exact, length)],
        error_spikes=[round(each, 4) for each in spikes(*errors, length)],
        loss_by_distance=[round(float(losses[away == n].mean()), 5) for n in range(length // 2)],
    )


def decibels(square: float) -> float:
    """PSNR of a mean square error in 8-bit units; at most 120, which stands for equal."""
    return round(float(min(120, 10 * np.log10(255**2 / max(square, 1e-12)))), 2)


def read() -> list[Result]:
    """What has been measured."""
    return [Result(**facts) for facts in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def write(results: list[Result]) -> None:
    """Ordered by length, warm-up and clip."""
    RESULTS.parent.mkdir(exist_ok=True)
    ordered = sorted(results, key=lambda result: (-result.length, result.warmup, result.clip))
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(asdict(result)) for result in ordered) + "\n]\n")


@dataclass(frozen=True)
class Summary:
    """All clips with one length and warm-up: means of their means, and the worst of all."""

    length: int
    warmup: int
    clips: int
    boundaries: int
    mean_loss: float
    worst_clip: float  # its mean loss
    worst_loss: float
    likeness: float
    worst_likeness: float
    worst_spike: float
    worst_error_spike: float

    @property
    def keeps(self) -> bool:
        """Whether this is good enough for a default."""
        spike = max(self.worst_spike, self.worst_error_spike)
        return self.mean_loss <= MEAN_LOSS and self.worst_loss <= WORST_LOSS and spike <= SPIKE


def summarise(results: list[Result]) -> list[Summary]:
    """Longest segments first."""
    cases = sorted({(-result.length, result.warmup) for result in results})
    return [summary([r for r in results if (-r.length, r.warmup) == case]) for case in cases]


def summary(found: list[Result]) -> Summary:
    """Of all clips with one length and warm-up."""
    return Summary(
        length=found[0].length,
        warmup=found[0].warmup,
        clips=len(found),
        boundaries=sum(len(result.spikes) for result in found),
        mean_loss=float(np.mean([result.mean_loss for result in found])),
        worst_clip=max(result.mean_loss for result in found),
        worst_loss=max(result.worst_loss for result in found),
        likeness=float(np.mean([result.mean_likeness for result in found])),
        worst_likeness=min(result.worst_likeness for result in found),
        worst_spike=max(spike for result in found for spike in result.spikes),
        worst_error_spike=max(spike for result in found for spike in result.error_spikes),
    )


def table(summaries: list[Summary]) -> Table:
    """For people."""
    names = [field.name for field in fields(Summary)]
    found = Table(*(name.replace("_", " ") for name in names), "keeps")
    for each in summaries:
        values = [getattr(each, name) for name in names]
        found.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values), "yes" if each.keeps else "no")
    return found


def measure_clip(path: Path, restorer: Restorer, cases: list[tuple[int, int]]) -> None:
    """Writes after each length and warm-up, so that a long run can be broken off."""
    video, reference = load(path)
    whole = output(restorer.restore(video, [False] * (len(video) - 1), range(len(video))))
    for length, warmup in cases:
        segments = output(restore(restorer, video, length, warmup))
        result = compare(path.stem, segments, whole, reference, length, warmup)
        write([*read(), result])
        losses = f"mean loss {result.mean_loss:.4f} dB, worst {result.worst_loss:.4f}"
        typer.echo(f"{path.stem}, length {length}, warm-up {warmup}: {losses}")


app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def measure(
    folder: Path,
    lengths: Annotated[str, typer.Option()] = "30,10",
    warmups: Annotated[str, typer.Option()] = "0,1,2,3,4,8,16",
    only: Annotated[str, typer.Option(help="Names of clips.")] = CLIPS,
    model: Annotated[str, typer.Option()] = "basicvsr-compact",
) -> None:
    """Measures what has not been measured yet."""
    row = next(row for row in TASKS if row.model == model)
    restorer = Restorer(row, locate(row, None), torch.device("cpu"), "fp32")
    cases = list(product(map(int, lengths.split(",")), map(int, warmups.split(","))))
    for path in [path for path in footage(folder) if path.stem in only.split(",")]:
        known = {(result.length, result.warmup) for result in read() if result.clip == path.stem}
        missing = [case for case in cases if case not in known]
        if missing:
            measure_clip(path, restorer, missing)
    Console(width=140).print(table(summarise(read())))


@app.command()
def draw() -> None:
    """Draws what has been measured: losses and spikes over the warm-up, and losses over the way from a boundary."""
    figure, (loss, spike, way) = pyplot().subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    summaries = [each for each in summarise(read()) if each.length > 1]
    draw_lines(loss, summaries, {"mean": "mean_loss", "worst frame": "worst_loss"})
    draw_lines(spike, summaries, {"picture": "worst_spike", "error": "worst_error_spike"})
    draw_way(way)
    for axes, bound, what in ((loss, MEAN_LOSS, "mean"), (loss, WORST_LOSS, "worst frame"), (spike, SPIKE, "spike")):
        axes.axhline(bound, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(f"bound of the {what} ", (1, bound), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    loss.set_yscale("symlog", linthresh=0.01)
    loss.set(title="loss against the whole clip", xlabel="frames of warm-up", ylabel="dB")
    spike.set(title="worst spike at a boundary", xlabel="frames of warm-up", ylabel="change over that of the whole")
    for axes in (loss, spike, way):
        axes.legend(fontsize=7)
    figure.savefig(PLOT, metadata={"Date": None})


def draw_lines(axes: Any, summaries: list[Summary], lines: dict[str, str]) -> None:
    """Two fields of the summaries over the warm-up, a colour for each length."""
    for length, colour in zip(sorted({s.length for s in summaries}, reverse=True), ("C0", "C1"), strict=False):
        mine = [each for each in summaries if each.length == length]
        for (what, field), style in zip(lines.items(), ("-", "--"), strict=True):
            points = [each.warmup for each in mine], [getattr(each, field) for each in mine]
            axes.plot(*points, style, color=colour, marker="o", markersize=3, label=f"{length} frames, {what}")
    axes.set_xticks(sorted({each.warmup for each in summaries}))


def draw_way(axes: Any) -> None:
    """Mean loss of all clips over the way from a boundary, in the longest segments."""
    results = read()
    longest = max(result.length for result in results)
    for warmup in sorted({result.warmup for result in results if result.length == longest}):
        found = [r.loss_by_distance for r in results if (r.length, r.warmup) == (longest, warmup)]
        axes.plot(np.mean(found, axis=0), label=f"warm-up {warmup}", marker="o", markersize=3)
    axes.set(title=f"segments of {longest} frames", xlabel="frames from a boundary", ylabel="mean loss, dB")
    axes.set_xticks(range(0, longest // 2, 2))


if __name__ == "__main__":
    app()
