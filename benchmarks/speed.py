"""How fast a task runs through the plugin, and how much of that is the engine's own time.

    python -m benchmarks.speed [--model basicvsr-compact] [--size 320x180] [--windows 2] [--precision fp32]

Both are measured in one process on the same frames, in turn, and the medians are shown. The network and torch are
loaded before the clock starts.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
import vapoursynth as vs

from vs_vrt.checkpoint import locate
from vs_vrt.engine import resolve, run
from vs_vrt.precision import choose_precision
from vs_vrt.restorer import load_restorer
from vs_vrt.tasks import TASKS

core = vs.core


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock time of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(
    model: Annotated[str, typer.Option()] = "basicvsr-compact",
    size: Annotated[str, typer.Option()] = "320x180",
    windows: Annotated[int, typer.Option()] = 2,
    repeats: Annotated[int, typer.Option()] = 3,
    precision: Annotated[str, typer.Option()] = "fp32",
) -> None:
    """Prints one JSON object."""
    row = next(row for row in TASKS if row.model == model)
    width, height = map(int, size.split("x"))
    frames = windows * row.length
    clip = core.std.BlankClip(format=vs.YUV420P8, width=width, height=height, length=frames, color=[90, 120, 130])
    clip = clip.std.SetFrameProps(_Matrix=1, _SceneChangePrev=0, _SceneChangeNext=0)
    device = resolve(None)
    restorer = load_restorer(row, locate(row, None), device, choose_precision(precision, row, device))
    channels = 3 if row.sigma is None else 4
    video = torch.rand(row.length + 2 * row.overlap, channels, height, width)
    keep = range(row.overlap, row.overlap + row.length)
    uncut = [False] * (len(video) - 1)

    def plugin() -> None:
        for frame in core.vrt.Restore(clip, task=row.task, model=model, precision=precision).frames(close=True):
            del frame

    def engine() -> None:
        for _ in range(windows):
            for frame in restorer.restore(video, uncut, keep):
                del frame

    # On the device's own thread, as the plugin does: a second pool of OpenMP threads would slow both down.
    run(device, 0, engine)
    pairs = [(seconds(plugin), seconds(lambda: run(device, 0, engine))) for _ in range(repeats)]
    through, alone = (statistics.median(each) for each in zip(*pairs, strict=True))
    result = {
        "model": model,
        "precision": restorer.precision,
        "size": size,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "cpu",
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "frames_per_second": round(frames / through, 2),
        "engine_share": round(alone / through, 3),
    }
    typer.echo(json.dumps(result))


if __name__ == "__main__":
    typer.run(main)
