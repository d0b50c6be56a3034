"""Who computes the windows of a call: loaded networks on devices, and what they do when memory runs out."""

import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vs_vrt import memory
from vs_vrt.cost import Request, Windows
from vs_vrt.errors import OutOfMemory
from vs_vrt.memory import Plan
from vs_vrt.task import TaskRow
from vs_vrt.tiling import Tiles

if TYPE_CHECKING:
    import torch

    from vs_vrt.restorer import Restorer


@dataclass(frozen=True)
class Worker:
    """Computes the windows of one node; several may share a device, each on a stream of its own."""

    device: "torch.device"
    stream: int
    restorer: "Restorer"


class Workers:
    """One worker a node, loaded at the first frame; all of them cut frames into the same tiles."""

    def __init__(
        self,
        row: TaskRow,
        checkpoint: Path,
        devices: Sequence[str | None],
        precision: str | None,
        request: Request,
        windows: Windows,
        remedy: str,
    ) -> None:
        self._row, self._checkpoint, self._precision = row, checkpoint, precision
        self._request, self._windows = request, windows
        self._remedy = remedy
        self._devices = [name for _ in range(request.streams) for name in devices]
        self._workers: list[Worker] = []
        self._plan: Plan | None = None  # made when the devices are known
        self._notes: list[str] = []
        self._said: set[str] = set()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def run[R](self, node: int, function: Callable[["Restorer", Tiles | None], R]) -> R:
        """Calls `function` on the node's thread; where memory runs out, again with less. Raises `VrtError`."""
        from vs_vrt import engine

        worker, was_alone = self.load()[node], False
        while True:
            plan = self.plan()
            try:
                with engine.memory_errors(worker.device, self._remedy):
                    return engine.run(worker.device, worker.stream, function, worker.restorer, plan.tiles)
            except OutOfMemory as error:
                if not self._shrink(worker, plan, was_alone):
                    raise
                forget(error)
                was_alone = True
            for each in self._workers:  # graphs belong to the threads that captured them
                if each.device == worker.device:
                    engine.run(each.device, each.stream, engine.release_caches, each.device)

    def load(self) -> list[Worker]:
        """The workers, which wait for the checkpoint when they are first asked for. Raises `VrtError`."""
        from vs_vrt import checkpoint

        with self._loading:
            if not self._workers:
                # Not on a device's thread: a download takes minutes.
                path = checkpoint.obtain(self._row, self._checkpoint)
                streams: Counter[str] = Counter()
                workers = [self._worker(name, path, streams) for name in self._devices]
                self.note(f"vrt: {self._row.model} on {', '.join(sorted(streams))}, {self.plan().summary()}")
                self._workers = workers
            return self._workers

    def plan(self) -> Plan:
        """What is planned for the next window. Raises `VrtError`."""
        with self._lock:
            if self._plan is None:
                self._plan = self._first_plan()
            return self._plan

    def _worker(self, name: str | None, path: Path, streams: Counter[str]) -> Worker:
        from vs_vrt import engine
        from vs_vrt.precision import choose_precision
        from vs_vrt.restorer import load_restorer

        device = engine.resolve(name)
        precision = choose_precision(self._precision, self._row, device)
        stream = streams[str(device)]
        streams[str(device)] += 1
        with engine.memory_errors(device, self._remedy):
            restorer = engine.run(device, stream, load_restorer, self._row, path, device, precision)
        return Worker(device, stream, restorer)

    def _first_plan(self) -> Plan:
        """For the smallest of the devices: all of them make the same bytes."""
        from vs_vrt import engine
        from vs_vrt.precision import choose_precision

        device = min((engine.resolve(name) for name in self._devices), key=engine.total_memory)
        return memory.plan(
            self._row,
            self._request,
            self._windows,
            device=device.type,
            device_total=engine.total_memory(device),
            ram_total=engine.total_ram(),
            precision=choose_precision(self._precision, self._row, device),
        )

    def _shrink(self, worker: Worker, plan: Plan, was_alone: bool) -> bool:
        """Whether there was something to lower: what changes no byte first, then the tiles."""
        from vs_vrt import engine

        if engine.gate(worker.device).narrow():
            self.note(f"vrt: out of memory on {worker.device}; its windows wait for one another from now on")
        # Of windows that fail side by side, each may fit once it is alone.
        if not was_alone:
            return True
        with self._lock:
            if self._plan is not plan:
                return True  # another window has lowered it already
            smaller = None if plan.request.official else memory.smaller(plan)
            if smaller is None:
                return False
            self._plan = smaller
        self.note(f"vrt: out of memory on {worker.device}; smaller tiles from now on: `{smaller.arguments()}`")
        return True

    def note(self, text: str) -> None:
        """For the log, the first time only."""
        with self._lock:
            if text not in self._said:
                self._said.add(text)
                self._notes.append(text)

    def take_notes(self) -> list[str]:
        """What is new for the log."""
        with self._lock:
            notes, self._notes = self._notes, []
            return notes


def forget(error: BaseException | None) -> None:
    """Lets go of what the frames of a traceback hold: tensors, when memory has run out."""
    while error:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
