"""Whether memory stays flat over a long linear run through the plugin.

    python -m benchmarks.soak run [--only NAME] [--minutes 9]
    python -m benchmarks.soak draw

Each run plays a clip from its first frame to its last in a fresh process, and notes after every frame the resident set
of the process and, of that, what malloc has given out, Python, torch and VapourSynth included. "Stand-in" is a network
that only repeats each pixel 16 times: what is left is everything else, from the conversion of the clip's format to that
of the restored frames back.

VapourSynth asks for aligned memory, and glibc before 2.38 reuses what was freed of that badly (its bug 14581): the
process keeps memory that nobody holds, with its own filters alone as well. So some runs have jemalloc, where it
is installed (`apt install libjemalloc2`). Memory is flat where its largest after frame 100 is at most `MARGIN` of the
largest by then: with glibc what malloc has given out, with jemalloc the resident set.
"""

import ctypes
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from benchmarks.figures import pyplot
from benchmarks.processes import in_fresh_process

if TYPE_CHECKING:
    import vapoursynth as vs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
PLOT = ROOT / "docs" / "soak.svg"
SETTLED = 100  # frames: by then, every buffer has been made that there is
MARGIN = 1.05
POINTS = 200  # that are kept of a run
STAND_IN, ALONE = "stand-in", "VapourSynth alone"
JEMALLOC = "libjemalloc.so.2"

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is played."""

    name: str
    model: str
    width: int
    height: int
    length: int = 4
    overlap: int = 1
    jemalloc: bool
    frames: int = 10_000


RUNS = (
    Run(name="resize alone, 128x72", model=ALONE, width=32, height=18, jemalloc=False),
    Run(name="stand-in, 128x72", model=STAND_IN, width=32, height=18, jemalloc=False),
    Run(name="stand-in, 128x72, jemalloc", model=STAND_IN, width=32, height=18, jemalloc=True),
    Run(name="stand-in, 1920x1080, jemalloc", model=STAND_IN, width=480, height=270, jemalloc=True),
    Run(name="compact, 128x72, jemalloc", model="basicvsr-compact", width=32, height=18, length=10, jemalloc=True),
)

type Sizes = tuple[int, float, float]  # frames so far; MiB resident, MiB given out


class MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES)


@contextmanager
def stand_in() -> Iterator[None]:
    """Puts a network that costs nothing in the place of all others."""
    from vs_vrt.filters import restore

    from tests.filters import stand_ins
    from vs_vrt import checkpoint, restorer

    with tempfile.TemporaryDirectory() as folder:
        stand_ins.save_checkpoints(Path(folder))
        checkpoint.BUNDLED = Path(folder)
        restore.TASKS = stand_ins.TASKS
        restorer.build = stand_ins.build
        yield


def sizes_now() -> tuple[float, float]:
    """MiB resident, and those of them that glibc's malloc has given out."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = MallInfo
    info = mallinfo()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident / 2**20, (info.uordblks + info.hblkhd) / 2**20


def play(run: Run, minutes: float) -> list[Sizes]:
    """After each frame, as far as time allows; for a fresh process."""
    import torch
    import vapoursynth as vs

    torch.set_num_threads(1)
    clip = vs.core.std.BlankClip(
        format=vs.YUV420P8, width=run.width, height=run.height, length=run.frames, color=[90, 120, 130]
    ).std.SetFrameProps(_Matrix=1)
    end = time.monotonic() + 60 * minutes
    sizes: list[Sizes] = []
    with stand_in() if run.model == STAND_IN else nullcontext():
        for n, frame in enumerate(larger(clip, run).frames(close=True), 1):
            del frame
            sizes.append((n, *sizes_now()))
            if time.monotonic() > end:
                break
    return sizes


def larger(clip: "vs.VideoNode", run: Run) -> "vs.VideoNode":
    """The clip, four times as large."""
    import vapoursynth as vs

    if run.model == ALONE:
        rgb = clip.resize.Bicubic(4 * run.width, 4 * run.height, format=vs.RGBS)
        return rgb.resize.Bicubic(format=vs.YUV420P8, matrix=vs.MATRIX_BT709)
    return vs.core.vrt.Restore(clip, length=run.length, overlap=run.overlap, device="cpu")


def summary(run: Run, sizes: Sequence[Sizes], seconds: float) -> dict[str, Any]:
    """What is written down; sizes are in MiB."""
    step = -(-len(sizes) // POINTS)
    groups = [sizes[i : i + step] for i in range(0, len(sizes), step)]
    points = [
        (group[0][0], *(round(max(column), 1) for column in list(zip(*group, strict=True))[1:])) for group in groups
    ]
    kinds = {"resident": 1} if run.jemalloc else {"resident": 1, "given_out": 2}
    facts = {kind: change([(each[0], each[column]) for each in sizes]) for kind, column in kinds.items()}
    system = {"frames": sizes[-1][0], "seconds": round(seconds), "libc": os.confstr("CS_GNU_LIBC_VERSION")}
    return asdict(run) | system | facts | {"points": points}


def change(sizes: Sequence[tuple[int, float]]) -> dict[str, float | bool]:
    """From the first frames to the later ones."""
    before = max(size for n, size in sizes if n <= SETTLED)
    later = np.array([each for each in sizes if each[0] > SETTLED])
    after = float(later[:, 1].max())
    return {
        "by_frame_100": round(before, 1),
        "highest_after": round(after, 1),
        "growth_per_1000_frames": round(1000 * float(np.polyfit(*later.T, 1)[0]), 2),
        "is_flat": after <= MARGIN * before,
    }


def read() -> dict[str, dict[str, Any]]:
    """What has been measured, by name."""
    return {each["name"]: each for each in json.loads(RESULTS.read_text())} if RESULTS.is_file() else {}


@app.command("run")
def run_all(
    only: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    minutes: Annotated[float, typer.Option(help="for each run")] = 9,
) -> None:
    """Plays, and writes what was found beside what is known of other runs."""
    for run in RUNS:
        if only not in (None, run.name):
            continue
        # Of the child: the program that this is has its allocator already.
        os.environ["LD_PRELOAD"] = JEMALLOC if run.jemalloc else ""
        start = time.monotonic()
        sizes = in_fresh_process(play, run, minutes)
        if len(sizes) <= 2 * SETTLED:
            raise SystemExit(f"vrt: only {len(sizes)} frames of {run.name} in that time; give more `--minutes`")
        found = summary(run, sizes, time.monotonic() - start)
        typer.echo(json.dumps({key: value for key, value in found.items() if key != "points"}))
        write(read() | {run.name: found})


def write(found: dict[str, dict[str, Any]]) -> None:
    """In the order of `RUNS`."""
    RESULTS.parent.mkdir(exist_ok=True)
    rows = [json.dumps(found[run.name]) for run in RUNS if run.name in found]
    RESULTS.write_text("[\n" + ",\n".join(rows) + "\n]\n")


@app.command()
def draw() -> None:
    """Draws what has been measured."""
    figure, (glibc, jemalloc) = pyplot().subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for each in read().values():
        axes = jemalloc if each["jemalloc"] else glibc
        frames, resident, given_out = zip(*each["points"], strict=True)
        label = f"{each['name'].removesuffix(', jemalloc')}, {each['frames']} frames"
        (line,) = axes.plot(frames, resident, linewidth=1, label=label)
        if not each["jemalloc"]:
            axes.plot(frames, given_out, ":", color=line.get_color(), label=f"{label}, given out")
    glibc.set(title=f"glibc {next(iter(read().values()))['libc'].split()[-1]}")
    jemalloc.set(title="jemalloc")
    for axes in (glibc, jemalloc):
        axes.set(xlabel="frame", ylabel="MiB", ylim=(0, 1.1 * axes.dataLim.ymax))
        axes.legend(fontsize=7, loc="center right")
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    app()
