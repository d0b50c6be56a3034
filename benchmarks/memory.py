"""How much memory each network takes beside its weights, and the facts of the task table that follow.

    python -m benchmarks.memory [--only NAME] [--json benchmarks/results/memory-cpu.json]
    python -m benchmarks.memory --fit benchmarks/results/memory-cpu.json

Two ways to find out, both in float32 and with random weights. "measured": the resident set at its largest during a
call, minus what it was before, in a fresh process after a tiny call; sizes are small, as it really computes. "traced":
nothing is computed, but every tensor that PyTorch would make is counted from its making to its end, at the sizes that
are really planned. Of blocks and parts that repeat one or two are traced, as each gives back what it took. No workspace
of a convolution is. Frames are asked for as the plugin does, and dropped as they come.

The terms of a `Footprint` are fitted to the traced sizes that are marked so, by least squares of the relative error;
the others, and all that is measured, check the fit. The second form fits what an earlier run found.
"""

import json
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from unittest import mock

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.processes import forget_peak, in_fresh_process, peak
from vs_vrt.cost import TERMS, Windows, frames_seen, network_bytes, terms
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
        return ((1, 64, 64), (1, 88, 88), (1, 280, 280)), ((1, 152, 152),), ((1, 64, 64),)
    if row.architecture == "vrt:VRT":
        half = row.length // 2
        least, other = (64, 88) if row.align == 64 else (88, 64)  # small windows take less than `fixed` in small tiles
        fit = (row.length, least, least), (half, 152, 152), (half, 280, 280)
        return fit, ((row.length, other, other),), ((6, 64, 64),)
    if row.architecture == "mana:MANA":
        return ((2, 64, 64), (10, 88, 88), (4, 128, 128), (4, 360, 640)), ((4, 96, 96), (4, 216, 216)), ((4, 96, 96),)
    many, check = [(30, 64, 64), (30, 152, 152), (10, 280, 280), (10, 360, 640)], [(30, 88, 88), (20, 280, 280)]
    if row.architecture == "basicvsr:BasicVSR":  # deformable convolutions would take minutes, in so many parts
        many.append((20, 1048, 1048))
        check.append((10, 1080, 1920))
    return many, check, ((10, 128, 128),)


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
            windows = Windows(length, row.overlap)
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
    row = row_of(case.model)
    network = channels_last(build(row).eval().requires_grad_(False))
    with torch.inference_mode():
        side = max(row.min_size, 16)
        call(network, row, replace(case, frames=max(row.num_frames, 4), overlap=0, height=side, width=side))
        device = torch.device("cpu")
        before = forget_peak(device)
        call(network, row, case)
    return peak(device) - before


def trace(cases: Sequence[Case]) -> list[int]:
    """Bytes for each case of one network; for a fresh process."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from vs_vrt.restorer import build, channels_last

    row = shallow(row_of(cases[0].model))
    plain = mock.patch.dict(os.environ, VS_VRT_KERNELS="off")  # kernels read memory, and there is none
    with plain, FakeTensorMode(), abridged(), torch.no_grad():
        network = channels_last(build(row).eval().requires_grad_(False))
        return [trace_one(network, row, case) for case in cases]


def trace_one(network: "nn.Module", row: TaskRow, case: Case) -> int:
    """Bytes."""
    import torch

    with counted(network) as live, torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16"):
        # The first frame sees the most: what it alone needs is dropped after it.
        call(network, row, case, most=1)
    return live.peak


def shallow(row: TaskRow) -> TaskRow:
    """The row's network with fewer blocks where they repeat."""
    fewer: dict[str, Mapping[str, Any]] = {
        "basicvsr": {"num_blocks": 2},
        "iconvsr": {"num_blocks": 2},
        "basicvsr_plusplus": {"num_blocks": 2},
        "basicvsr_half": {"num_blocks": 2},
        "kalman": {"num_blocks": 2},
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
def abridged() -> Iterator[None]:
    """Inside, what networks ask of numbers has an answer, and of parts alike only the one in the middle is made."""
    import torch

    from vs_vrt.models import mana
    from vs_vrt.models.realbasicvsr import RealBasicVSR
    from vs_vrt.ops import deform_conv

    def one(*bounds: int) -> range:
        whole = range(*bounds)
        return whole[len(whole) // 2 :][:1] if len(bounds) == 3 else whole

    with ExitStack() as changes:
        changes.enter_context(mock.patch.object(torch.Tensor, "__float__", lambda _: 4.0))
        changes.enter_context(mock.patch.object(RealBasicVSR, "_is_clean", lambda *_: True))
        for module in (mana, deform_conv):  # their loops over parts are those with a step
            changes.enter_context(mock.patch.object(module, "range", one, create=True))
        yield


def find(row: TaskRow) -> list[dict[str, Any]]:
    """All cases of one network, with the bytes they take."""
    measured = [case for case in cases(row) if case.how == "measured"]
    traced = [case for case in cases(row) if case.how == "traced"]
    taken = [in_fresh_process(measure, case) for case in measured] + in_fresh_process(trace, traced)
    return [asdict(case) | {"bytes": each} for case, each in zip(measured + traced, taken, strict=True)]


def row_of(model: str) -> TaskRow:
    """The row of that model."""
    return next(row for row in TASKS if row.model == model)


def weight_bytes(model: str) -> int:
    """Of parameters and buffers; for a fresh process."""
    import torch

    from vs_vrt.restorer import build

    with torch.device("meta"):
        network = build(row_of(model))
    return sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))


def fit(found: Sequence[Mapping[str, Any]], row: TaskRow) -> Footprint:
    """Least squares of the relative error; a term that would be below zero is left out. Weights are the row's."""
    used = [each for each in found if each["fit"]]
    names = list(chosen_terms(row))
    while True:
        columns = [TERMS.index(name) for name in names]
        made = np.array([terms(each["frames"], each["height"], each["width"]) for each in used])[:, columns]
        relative = made / np.array([[each["bytes"]] for each in used])
        facts = np.linalg.lstsq(relative, np.ones(len(used)), rcond=None)[0]
        if facts.min() >= 0:
            rounded = {name: int(float(f"{fact:.3g}")) for name, fact in zip(names, facts, strict=True)}
            return Footprint(weights=row.memory.weights, **rounded)
        names.pop(int(np.argmin(facts * made.mean(0))))


def chosen_terms(row: TaskRow) -> tuple[str, ...]:
    """As few as the network has a reason for."""
    if row.architecture == "vrt:VRT":
        return "fixed", "frame_pixel"  # all frames at every scale; and parts of a fixed size, of what is largest
    if row.architecture == "mana:MANA":
        return "fixed", "pixel", "band_pixel"  # parts of the attention; a few features; the tail to full size
    if row.scale == 1:
        return "pixel", "frame_pixel"  # the tail's features are no larger than a sixteenth of the others' sizes
    return "pixel", "frame_pixel", "band_pixel"  # a few features; the history; the tail to full size


def predicted(found: Mapping[str, Any], row: TaskRow) -> int:
    """What the row's facts say."""
    size = found["frames"], found["height"], found["width"]
    return network_bytes(row, *size, found["precision"]) - row.memory.weights


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
        if not fit_file:
            mine = find(row)
            typer.echo("\n".join(json.dumps(each) for each in mine))
        weighed = replace(row, memory=Footprint(weights=in_fresh_process(weight_bytes, row.model)))
        rows[row.model] = replace(row, memory=fit(mine, weighed))
        found += mine
    if json_file:
        json_file.write_text("[\n" + ",\n".join(f" {json.dumps(each)}" for each in found) + "\n]\n")
    Console(width=110).print(table(found, rows))
    for model, row in rows.items():
        typer.echo(f"{model}: {row.memory}")


if __name__ == "__main__":
    typer.run(main)
