"""Restores footage whose truth is known, and compares with bicubic upsampling.

    python -m benchmarks.quality FOLDER [--model basicvsr-compact] [--weights FILE] [--json FILE]

FOLDER holds video files and folders of images. Compressed sources are first reduced, so that their compression is not
taken for detail: video files by 2, folders of JPEG images to 3/4; folders of PNG images stay as they are. That is the
truth. It is reduced by 4 (antialiased bicubic, a = -0.5), rounded to 8 bits, and restored through `core.vrt.Restore`.
The baseline is the better of bicubic upsampling with a = -0.5 and a = -0.75. PSNR is that of Y on frames rounded to 8
bits, the mean of a clip's frames, in dB; SSIM likewise.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import vapoursynth as vs
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vs_vrt.metrics import luma, psnr, ssim
from vs_vrt.video import footage, read_frames

core = vs.core
SCALE = 4
# No reference: an old film whose truth nobody has.
EXCLUDED = ("friday_oldfilm_480p",)
# The shipped checkpoint was trained on other shots of the same film.
APART = ("bbb_",)


@dataclass(frozen=True)
class Result:
    """Means over one clip's frames: PSNR in dB, and SSIM."""

    clip: str
    frames: int
    bicubic: float
    restored: float
    bicubic_ssim: float
    restored_ssim: float

    @property
    def gain(self) -> float:
        """What restoring is worth."""
        return self.restored - self.bicubic


def reduction(path: Path) -> float:
    """By how much a source is reduced before it counts as truth."""
    if path.is_file():
        return 2
    return 4 / 3 if any(path.glob("*.jpg")) else 1


def source(frames: list[NDArray[np.uint8]]) -> vs.VideoNode:
    """`n x (h w 3)` as an RGB24 clip."""
    h, w = frames[0].shape[:2]
    blank = core.std.BlankClip(format=vs.RGB24, width=w, height=h, length=len(frames), keep=True)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(out[plane]), frames[n][..., plane])
        return out

    return blank.std.ModifyFrame(blank, fill)


def bicubic(clip: vs.VideoNode, width: int, height: int, a: float = -0.5) -> vs.VideoNode:
    """Keys' cubic with parameter `a`, antialiased where it reduces."""
    return clip.resize.Bicubic(width, height, filter_param_a=0, filter_param_b=-a)


def truth(path: Path) -> vs.VideoNode:
    """The clip to be restored, cut to a multiple of the scale."""
    clip = source(list(read_frames(path)))
    by = reduction(path)
    if by != 1:
        clip = bicubic(clip, int(clip.width / by), int(clip.height / by))
    return clip.std.CropAbs(clip.width // SCALE * SCALE, clip.height // SCALE * SCALE)


def compare(clip: vs.VideoNode, reference: vs.VideoNode) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM of the frames' luma."""
    pairs = zip(clip.frames(close=True), reference.frames(close=True), strict=True)
    lumas = ((luma(to_array(a)), luma(to_array(b))) for a, b in pairs)
    scores = np.mean([(psnr(a, b), ssim(a, b)) for a, b in lumas], axis=0)
    return float(scores[0]), float(scores[1])


def to_array(frame: vs.VideoFrame) -> NDArray[np.uint8]:
    """`-> (h w 3)`."""
    return np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)


def measure(path: Path, arguments: dict[str, str]) -> Result:
    """Restores one clip and compares."""
    reference = truth(path)
    small = bicubic(reference, reference.width // SCALE, reference.height // SCALE)
    size = reference.width, reference.height
    baseline = max(compare(bicubic(small, *size, a), reference) for a in (-0.5, -0.75))
    restored = compare(core.vrt.Restore(small, task="sr4", **arguments), reference)
    return Result(path.stem, reference.num_frames, baseline[0], restored[0], baseline[1], restored[1])


def main(
    folder: Path,
    model: Annotated[str | None, typer.Option()] = None,
    weights: Annotated[str | None, typer.Option()] = None,
    only: Annotated[str, typer.Option(help="Clips whose names start so.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Prints the table of gains over bicubic."""
    arguments = {key: value for key, value in {"model": model, "weights": weights}.items() if value}
    paths = [path for path in footage(folder) if path.stem not in EXCLUDED and path.stem.startswith(only)]
    table = Table("clip", "frames", "bicubic", "restored", "gain", "SSIM")
    results = []
    for path in paths:
        result = measure(path, arguments)
        results.append(result)
        psnrs = f"{result.bicubic:.2f}", f"{result.restored:.2f}", f"{result.gain:+.2f}"
        ssims = f"{result.bicubic_ssim:.4f} to {result.restored_ssim:.4f}"
        table.add_row(result.clip, str(result.frames), *psnrs, ssims)
    counted = [result for result in results if not result.clip.startswith(APART)]
    mean = [float(np.mean([getattr(result, key) for result in counted])) for key in ("bicubic", "restored", "gain")]
    table.add_row("mean, film of the training footage apart", "", f"{mean[0]:.2f}", f"{mean[1]:.2f}", f"{mean[2]:+.2f}")
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    typer.run(main)
