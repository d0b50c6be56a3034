"""Whole clips through the plugin: how many frames a second, and how much of that time is the engine's own.

What is timed are a few windows somewhere in a long clip, with all the frames that they read, and as many requests in
flight as `core.vrt.Plan` says; networks and torch are loaded before. Of windows that overlap, one is timed, and the
frames count that it adds to those before.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.processes import forget_peak, peak
from benchmarks.timing import Way, in_turn, kernels
from vs_vrt.checkpoint import locate
from vs_vrt.cost import Windows, frames_read
from vs_vrt.engine import resolve, run
from vs_vrt.restorer import build, load_restorer
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

CPU = torch.device("cpu")
WINDOWS = 3  # what the first one waits for and the last one leaves behind counts a third


@dataclass(frozen=True)
class Case:
    """A network, and the size of the clip that it restores."""

    model: str
    width: int = 320
    height: int = 180
    gpu: bool = False  # takes minutes on a CPU

    @property
    def input(self) -> str:
        """In words."""
        return f"{self.width}x{self.height}"


CASES = (
    Case("basicvsr-compact"),
    Case("denoise-compact"),
    Case("deblur-compact"),
    Case("vrt-compact", gpu=True),
    Case("mana-compact", gpu=True),
    Case("basicvsr", 960, 540, gpu=True),
)


def measure(case: Case, name: str, threads: int, precision: str, budget: float) -> dict[str, Any]:
    """Of a case on the device of that name; for a fresh process."""
    torch.set_num_threads(threads)
    row = next(row for row in TASKS if row.model == case.model)
    with TemporaryDirectory() as folder:
        return _measure(case, row, weights_of(row, Path(folder)), resolve(name), precision, budget)


def weights_of(row: TaskRow, folder: Path) -> Path:
    """Those in the wheel, else random ones, as nothing is downloaded to be timed."""
    if row.bundled:
        return locate(row, None)
    path = folder / "random.safetensors"
    torch.manual_seed(0)
    save_file({key: value.contiguous() for key, value in build(row).state_dict().items()}, path)
    return path


def _measure(
    case: Case, row: TaskRow, weights: Path, device: torch.device, precision: str, budget: float
) -> dict[str, Any]:
    windows = 1 if row.sharing == "blended" else WINDOWS
    frames = row.length - row.overlap if windows == 1 else windows * row.length
    before = forget_peak(device)
    read = frames_read(row, Windows(row.length, row.overlap))
    video = torch.rand(read, 3 if row.sigma is None else 4, case.height, case.width)
    keep = range(row.length) if row.sharing == "blended" else range(row.overlap, row.overlap + row.length)
    restorer = load_restorer(row, weights, device, precision)

    def plugin() -> None:
        node, requests = clip(case, row, weights, device, precision, windows)  # a new one, as nodes keep frames
        for frame in node.frames(prefetch=requests, close=True):
            del frame

    def restore() -> None:
        for _ in range(windows):
            for frame in restorer.restore(video, [False] * (read - 1), keep):
                del frame

    def engine() -> None:
        # On the device's own thread, as the plugin does: a second pool of OpenMP threads would slow both down.
        run(device, 0, restore)

    with kernels(plain=False):
        plugin()
    memory = peak(device)
    found = in_turn(
        CPU, {"ours": Way(plugin), "engine": Way(engine)}, budget, most=3
    )  # by the host's clock, as frames end up there
    times = {f"{way}_seconds": median(samples) for way, samples in found.items()}
    counted = {"frames": frames, "memory_bytes": memory, "before_bytes": before}
    said = {"model": case.model, "input": case.input, "precision": precision}
    return said | times | counted | {"repeats": len(found["ours"])}


def clip(
    case: Case, row: TaskRow, weights: Path, device: torch.device, precision: str, windows: int
) -> tuple[Any, int]:
    """The frames of some windows, restored in their whole, and how many requests for them are to be in flight."""
    import vapoursynth as vs

    core, around = vs.core, 0 if row.sharing == "blended" else 1
    size = {"width": case.width, "height": case.height, "length": (windows + 2 * around) * row.length}
    source = core.std.BlankClip(format=vs.YUV420P8, color=[90, 120, 130], **size)
    source = source.std.SetFrameProps(_Matrix=1, _SceneChangePrev=0, _SceneChangeNext=0)
    chosen = {"task": row.task, "model": row.model, "weights": str(weights), "device": str(device)}
    planned = {"precision": precision, "length": row.length, "overlap": row.overlap, "tile": 0}
    restored = core.vrt.Restore(source, **chosen, **planned)
    requests = core.vrt.Plan(source, **chosen, **planned)["requests"]
    return restored[around * row.length : (around + windows) * row.length], requests
