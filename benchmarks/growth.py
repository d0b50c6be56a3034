"""How cost grows with frames and with pixels, and what the default plans add to one pass over the whole sequence.

    python -m benchmarks.growth [--model basicvsr-compact]

Every measurement is a process of its own, through the plugin. Times are ratios within one run; memory is the most that
the process held at once, less what it held before its first frame.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from vs_vrt.cost import Request
from vs_vrt.memory import GIB, plan, plan_windows
from vs_vrt.tasks import TASKS

RESULTS = Path(__file__).parent / "results" / "growth.json"
FRAMES = (40, 80, 160, 320)  # of 96x54
SIZES = ((96, 54), (192, 108), (384, 216))  # 20 frames each
REPEATS = 3
CLIPS = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
MACHINES = (("cpu", 16), ("cpu", 64), ("cuda", 8), ("cuda", 24))  # GiB of the device

app = typer.Typer(add_completion=False)


@app.command()
def measure(model: str, width: int, height: int, frames: int) -> None:
    """Prints seconds and bytes of one linear run."""
    import vapoursynth as vs

    core = vs.core
    clip = core.std.BlankClip(format=vs.YUV420P8, width=width, height=height, length=frames, color=[90, 120, 130])
    clip = clip.std.SetFrameProps(_Matrix=1, _SceneChangePrev=0, _SceneChangeNext=0)
    core.vrt.Restore(clip[:1], model=model).get_frame(0)  # loads torch and the network
    before = peak()
    start = time.perf_counter()
    for frame in core.vrt.Restore(clip, model=model, length=10, overlap=1).frames(close=True):
        del frame
    typer.echo(json.dumps({"seconds": time.perf_counter() - start, "bytes": peak() - before}))


def peak() -> int:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(model: str, width: int, height: int, frames: int) -> dict[str, float]:
    """The median of some processes, taken apart for time and memory."""
    command = [sys.executable, "-m", "benchmarks.growth", "measure", model, str(width), str(height), str(frames)]
    found = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(REPEATS)]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def overheads() -> list[dict[str, object]]:
    """What default plans cost in multiply-adds: networks of different sizes, machines and clips."""
    rows = []
    for row in {each.architecture + str(each.config): each for each in reversed(TASKS)}.values():
        for kind, gibibytes in MACHINES:
            ram = (gibibytes if kind == "cpu" else 2 * gibibytes) * GIB
            for width, height in CLIPS:
                request = Request(width=width, height=height)
                windows = plan_windows(row, request, ram)
                made = plan(
                    row, request, windows, device=kind, device_total=gibibytes * GIB, ram_total=ram, precision="fp32"
                )
                facts = {"model": row.model, "device": f"{kind}, {gibibytes} GiB", "clip": f"{width}x{height}"}
                figures = {"temporal": round(made.temporal, 3), "spatial": round(made.spatial, 3)}
                rows.append(facts | {"plan": made.arguments()} | figures)
    return rows


@app.command()
def all(model: Annotated[str, typer.Option()] = "basicvsr-compact") -> None:
    """Measures everything, prints it, and writes it down."""
    by_frames = [{"frames": n} | run(model, *SIZES[0], n) for n in FRAMES]
    by_pixels = [{"width": w, "height": h} | run(model, w, h, 20) for w, h in SIZES]
    result = {"model": model, "cores": os.cpu_count(), "frames": by_frames, "pixels": by_pixels, "plans": overheads()}
    for each in by_frames:
        unit = each["seconds"] / each["frames"] / (by_frames[0]["seconds"] / by_frames[0]["frames"])
        typer.echo(f"{each['frames']:>5} frames: {unit:.2f} times the time a frame, {each['bytes'] / 2**20:.0f} MiB")
    first = by_pixels[0]
    for each in by_pixels:
        area = each["width"] * each["height"]
        unit = each["seconds"] / area / (first["seconds"] / (first["width"] * first["height"]))
        size, memory = f"{each['width']}x{each['height']}", each["bytes"] / area
        typer.echo(f"{size:>9}: {unit:.2f} times the time a pixel, {memory:.0f} bytes a pixel")
    worst = {key: max(result["plans"], key=lambda plan: plan[key]) for key in ("temporal", "spatial")}
    for key, plan_ in worst.items():
        typer.echo(f"most in {key}: {plan_}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    app()
