"""Restores real footage as whole frames and as tiles, and tells how far the two are apart where tiles meet.

    python -m benchmarks.seams FOLDER [--only davis] [--model basicvsr-compact] [--tile 160] [--overlap 24]
        [--frames 8] [--height 240] [--json FILE]

FOLDER holds video files and folders of images, which are reduced to `height` rows (antialiased bicubic) and rounded to
8 bits. PSNR is that of RGB between tiled and whole, unrounded, in dB: in the zones where tiles are feathered into each
other, in the worst frame there, and everywhere. Energy is that of gradients across the seams, where tiles meet, in the
tiled frames against the whole ones, divided by the same for their neighbours, the pixels up to 16 beyond the zones: 1
where a seam is no sharper and no softer than what surrounds it.
"""

import json
import math
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from einops import rearrange
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vs_vrt.checkpoint import locate
from vs_vrt.restorer import load_restorer
from vs_vrt.tasks import TASKS
from vs_vrt.tiling import Tiles, layouts, overhead
from vs_vrt.video.footage import footage, read_frames

BESIDE = 16  # pixels of the input beyond a zone that count as its neighbours


@dataclass(frozen=True)
class Result:
    """PSNR in dB, ratios of energy, and tiles' area over the frame's."""

    clip: str
    feathered: float
    worst: float
    everywhere: float
    energy: float
    overhead: float


def load(path: Path, count: int, height: int) -> Tensor:
    """`-> (t 3 h w)`: the first frames, reduced."""
    video = torch.stack([torch.from_numpy(frame) for frame in islice(read_frames(path), count)]) / 255
    video = rearrange(video, "t h w c -> t c h w")
    size = height, round(height * video.shape[3] / video.shape[2])
    small = F.interpolate(video, size=size, mode="bicubic", antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255


def psnr(squares: Tensor) -> float:
    """Of squared errors; samples are 0..1."""
    return -10 * math.log10(max(float(squares.mean()), 1e-12))


def spans(tiles: list[range], scale: int, beyond: int = 0) -> list[slice]:
    """What neighbours share along one axis of the output, and some pixels of the input more."""
    return [slice((b.start - beyond) * scale, (a.stop + beyond) * scale) for a, b in pairwise(tiles)]


def across(frames: Tensor, zones: list[slice], axis: int) -> float:
    """`(t c h w)`: mean squared difference of neighbouring pixels along an axis, inside the zones."""
    inside = torch.zeros(frames.shape[axis], dtype=torch.bool)
    for zone in zones:
        inside[zone] = True
    steps = frames.diff(dim=axis).square().mean([each for each in range(4) if each != axis])
    return float(steps[inside[1:] & inside[:-1]].mean())


def energy(tiled: Tensor, whole: Tensor, tiles: list[range], scale: int, axis: int) -> float:
    """How much sharper seams are than their neighbours, against the same in whole frames; 1 without seams."""
    seams, around = spans(tiles, scale), spans(tiles, scale, BESIDE)
    return (across(tiled, seams, axis) / across(tiled, around, axis)) / (
        across(whole, seams, axis) / across(whole, around, axis)
    )


def measure(video: Tensor, name: str, model: str, tiles: Tiles) -> Result:
    """Restores a clip twice and compares."""
    row = next(row for row in TASKS if row.model == model)
    restorer = load_restorer(row, locate(row, None), torch.device("cpu"), "fp32")
    count, _, height, width = video.shape
    keep, cuts = range(count), [False] * (count - 1)
    whole, tiled = (torch.stack(list(restorer.restore(video, cuts, keep, each))) for each in (None, tiles))
    rows, columns = layouts(tiles, height, width, row)
    zone = torch.zeros(whole.shape[2:], dtype=torch.bool)
    for span in spans(rows, row.scale):
        zone[span] = True
    for span in spans(columns, row.scale):
        zone[:, span] = True
    squares = (tiled - whole).square()
    axes = ((2, rows), (3, columns))
    ratios = [energy(tiled, whole, each, row.scale, axis) for axis, each in axes if len(each) > 1]
    return Result(
        name,
        feathered=psnr(squares[..., zone]),
        worst=min(psnr(frame[..., zone]) for frame in squares),
        everywhere=psnr(squares),
        energy=max(ratios, key=lambda ratio: abs(math.log(ratio))),
        overhead=overhead(tiles, height, width, row),
    )


def main(
    folder: Path,
    only: Annotated[str, typer.Option(help="Clips whose names start so.")] = "",
    model: Annotated[str, typer.Option()] = "basicvsr-compact",
    tile: Annotated[int, typer.Option()] = 160,
    overlap: Annotated[int, typer.Option()] = 24,
    frames: Annotated[int, typer.Option()] = 8,
    height: Annotated[int, typer.Option()] = 240,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Prints the table."""
    tiles = Tiles(tile, tile, overlap, overlap)
    table = Table("clip", "feathered", "worst frame", "everywhere", "energy", "overhead")
    results = []
    for path in footage(folder):
        if path.stem.startswith(only):
            result = measure(load(path, frames, height), path.stem, model, tiles)
            results.append(result)
            figures = (f"{each:.2f}" for each in (result.feathered, result.worst, result.everywhere))
            table.add_row(result.clip, *figures, f"{result.energy:.4f}", f"{result.overhead:.3f}")
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    typer.run(main)
