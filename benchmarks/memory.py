"""How much memory each network takes beside its weights, and the facts of the task table that follow.

    python -m benchmarks.memory [--only NAME] [--json benchmarks/results/memory-cpu.json]
    python -m benchmarks.memory --fit benchmarks/results/memory-cpu.json

Two ways to find out, both in float32 and with random weights. "measured": the resident set at its largest during a
call, minus what it was before, in a fresh process after a tiny call; sizes are small, as it really computes. "traced":
nothing is computed, but every tensor that PyTorch would make is counted from its making to its end, at the sizes that
are really planned. Blocks that repeat are traced twice or once only, as each gives back what it took. No workspace of a
convolution is traced. Frames are asked for as the plugin does, and dropped as they come.

The terms of a `Footprint` are fitted to the traced sizes that are marked so, least squares of the relative error, none
below zero; the others, and all that is measured, check the fit. The second form fits and prints what an earlier run found.
"""

import ctypes
import json
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.networks import in_fresh_process
from vs_vrt.memory import TERMS, Windows, activation_bytes, default_overlap, frames_seen, terms
from vs_vrt.task import Footprint, TaskRow
from vs_vrt.tasks import TASKS

if TYPE_CHECKING:
    from torch import nn

type How = Literal["measured", "traced"]
type Size = tuple[int, int, int]  # frames that a window restores, height, width

# One row for each network; 004, 006 and 007 of VRT, for instance, are networks of others.
NETWORKS = tuple({row.keys: row for row in reversed(TASKS)}.values())[::-1]
# The heap gives back at once what is freed, and keeps in one arena what it does not.
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
BF16 = "bf16"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a network is given."""

    model: str
    frames: int
    overlap: int  # those of them, on each side, that are not kept
    height: int
    width: int
    how: How
    fit: bool  # else it checks
    precision: str = "fp32"


def sizes(row: TaskRow) -> tuple[Sequence[Size], Sequence[Size], Sequence[Size]]:
    """Those traced for the fit, traced to check it, and measured: windows and tiles that plans have, and small ones."""
    if row.gives == "between":
        return ((1, 64, 64), (1, 152, 152), (1, 280, 280)), ((1, 88, 88), (1, 216, 216)), ((1, 64, 64),)
    if row.architecture == "vrt:VRT":
        fit = ((4, 64, 64), (12, 64, 64), (12, 152, 152), (6, 280, 280))
        return fit, ((6, 88, 88), (16, 88, 88), (8, 152, 152)), ((6, 64, 64), (12, 64, 64))
    if row.architecture == "mana:MANA":
        return ((2, 64, 64), (8, 152, 152), (10, 280, 280)), ((10, 88, 88), (6, 536, 536)), ((2, 64, 64), (4, 96, 96))
    fit = ((30, 64, 64), (20, 152, 152), (30, 152, 152), (10, 280, 280), (20, 1048, 1048), (10, 1080, 1920))
    return fit, ((30, 88, 88), (20, 280, 280), (30, 536, 536)), ((10, 64, 64), (20, 64, 64), (10, 128, 128))


def cases(row: TaskRow) -> Iterator[Case]:
    """All of one network."""
    fit, check, small = sizes(row)
    groups: tuple[tuple[Sequence[Size], How, bool], ...] = (
        (small, "measured", False),
        (fit, "traced", True),
        (check, "traced", False),
    )
    for group, how, is_fit in groups:
        for length, height, width in group:
            windows = Windows(length, default_overlap(row, length))
            frames = frames_seen(row, windows)
            warm_up = windows.overlap if row.sharing == "segments" and row.gives == "every" else 0
            yield Case(model=row.model, frames=frames, overlap=warm_up, height=height, width=width, how=how, fit=is_fit)


def call(network: "nn.Module", row: TaskRow, case: Case, most: int | None = None) -> None:
    """Restores the frames of a window, or the first `most` of them."""
    import torch

    video = torch.rand(1, case.frames, 3 if row.sigma is None else 4, case.height, case.width)
    keep = range(case.overlap, case.frames - case.overlap)
    for frame in islice(network.frames(video, keep), most):  # type: ignore[operator]
        del frame


def measure(case: Case) -> int:
    """Bytes; for a fresh process."""
    import torch

    from vs_vrt.restorer import build, channels_last

    torch.set_num_threads(1)
    row = row_of(case)
    network = channels_last(build(row).eval().requires_grad_(False))
    with torch.inference_mode():
        side = max(row.min_size, 16)
        call(network, row, replace(case, frames=max(row.num_frames, 4), overlap=0, height=side, width=side))
        ctypes.CDLL(None).malloc_trim(0)
        before = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        call(network, row, case)
    return status("VmHWM") - before


def status(key: str) -> int:
    """Bytes, as Linux tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def trace(case: Case) -> int:
    """Bytes; for a fresh process."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from vs_vrt.restorer import build, channels_last

    row = shallow(row_of(case))
    with FakeTensorMode(), decided():
        network = channels_last(build(row).eval().requires_grad_(False))
        with (
            counted(network) as live,
            torch.no_grad(),
            torch.autocast("cpu", torch.bfloat16, enabled=case.precision == BF16),
        ):
            # The first frames see the most: what they alone need is dropped after them.
            call(network, row, case, most=2)
    return live.peak


def shallow(row: TaskRow) -> TaskRow:
    """The row's network with fewer blocks where they repeat."""
    fewer: dict[str, Mapping[str, Any]] = {
        "basicvsr": {"num_blocks": 2},
        "iconvsr": {"num_blocks": 2},
        "basicvsr_plusplus": {"num_blocks": 2},
        "realbasicvsr": {"num_propagation_blocks": 2, "num_cleaning_blocks": 2},
        "mana": {"encoder_nblocks": 2, "decoder_nblocks": 2},
        "vrt": {"depths": (2,) * 7 + (1,) * (len(row.config.get("depths", range(13))) - 7)},
    }
    return replace(row, config={**row.config, **fewer[row.architecture.split(":")[0]]})


@dataclass
class Live:
    """Bytes of the tensors that live."""

    now: int = 0
    peak: int = 0

    def add(self, size: int) -> None:
        """One more."""
        self.now += size
        self.peak = max(self.peak, self.now)

    def drop(self, size: int) -> None:
        """One less."""
        self.now -= size


@contextmanager
def counted(network: "nn.Module") -> Iterator[Live]:
    """Counts what its block makes; the network's own tensors are not counted."""
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    live = Live()
    own = [each.untyped_storage() for each in (*network.parameters(), *network.buffers())]
    known = {id(storage) for storage in own}

    def forget(key: int, size: int) -> None:
        known.discard(key)
        live.drop(size)

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for storage in (each.untyped_storage() for each in tree_leaves(made) if isinstance(each, Tensor)):
                if id(storage) not in known:
                    known.add(id(storage))
                    live.add(storage.nbytes())
                    weakref.finalize(storage, forget, id(storage), storage.nbytes())
            return made

    with Counter():
        yield live


@contextmanager
def decided() -> Iterator[None]:
    """Inside, what networks ask of numbers has an answer although nothing is computed: none changes what they take."""
    import torch

    from vs_vrt.models.realbasicvsr import RealBasicVSR

    before = torch.Tensor.__float__, RealBasicVSR._is_clean
    torch.Tensor.__float__ = lambda _: 4.0  # type: ignore[method-assign,assignment]
    RealBasicVSR._is_clean = lambda *_: True  # type: ignore[method-assign]
    yield
    torch.Tensor.__float__, RealBasicVSR._is_clean = before  # type: ignore[method-assign]


def row_of(case: Case) -> TaskRow:
    """The row of the case's model."""
    return next(row for row in TASKS if row.model == case.model)


def weight_bytes(row: TaskRow) -> int:
    """Of parameters and buffers; for a fresh process."""
    import torch

    from vs_vrt.restorer import build

    with torch.device("meta"):
        network = build(row)
    return sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))


def fit(found: Sequence[Mapping[str, Any]], weights: int) -> Footprint:
    """Least squares of the relative error; a term that would be below zero is left out."""
    used = [each for each in found if each["fit"]]
    made = np.array([terms(each["frames"], each["height"], each["width"]) for each in used])
    relative = made / np.array([[each["bytes"]] for each in used])
    left = list(range(len(TERMS)))
    while True:
        solution = np.linalg.lstsq(relative[:, left], np.ones(len(used)), rcond=None)[0]
        if solution.min() >= 0:
            break
        left.remove(left[int(np.argmin(solution * made[:, left].mean(0)))])
    facts = {TERMS[i]: float(f"{value:.3g}") for i, value in zip(left, solution, strict=True)}
    return Footprint(weights=weights, **{name: int(value) for name, value in facts.items() if value >= 1})


def predicted(found: Mapping[str, Any], row: TaskRow) -> int:
    """What the row's facts say."""
    return activation_bytes(row, found["frames"], found["height"], found["width"], found["precision"])


def table(found: Sequence[Mapping[str, Any]], rows: Mapping[str, TaskRow]) -> Table:
    """For people, in MiB."""
    shown = Table("model", "frames", "size", "how", "fit", "MiB", "predicted", "ratio")
    for each in found:
        said = predicted(each, rows[each["model"]])
        shown.add_row(
            each["model"],
            str(each["frames"]),
            f"{each['width']}x{each['height']}",
            f"{each['how']} {each['precision']}",
            "yes" if each["fit"] else "",
            f"{each['bytes'] / 2**20:.0f}",
            f"{said / 2**20:.0f}",
            f"{said / each['bytes']:.2f}",
        )
    return shown


def main(
    only: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
    fit_file: Annotated[Path | None, typer.Option("--fit")] = None,
) -> None:
    """Prints the table, then the facts as they are written in vs_vrt/tasks.py."""
    os.environ.update(MALLOC)
    known = json.loads(fit_file.read_text()) if fit_file else []
    found: list[dict[str, Any]] = []
    rows: dict[str, TaskRow] = {}
    for row in NETWORKS:
        if only not in (None, row.model):
            continue
        mine = [each for each in known if each["model"] == row.model]
        for case in () if fit_file else cases(row):
            taken = in_fresh_process(measure if case.how == "measured" else trace, case)
            mine.append(asdict(case) | {"bytes": taken})
            typer.echo(json.dumps(mine[-1]))
        rows[row.model] = replace(row, memory=fit(mine, in_fresh_process(weight_bytes, row)))
        found += mine
    if json_file:
        json_file.write_text("[\n" + ",\n".join(f" {json.dumps(each)}" for each in found) + "\n]\n")
    Console(width=110).print(table(found, rows))
    for model, row in rows.items():
        typer.echo(f"{model}: {row.memory}")


if __name__ == "__main__":
    typer.run(main)
