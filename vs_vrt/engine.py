"""One thread for each stream of a device: all its torch work runs there, one window after the other."""

import gc
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vs_vrt.errors import DeviceError, OutOfMemory

if TYPE_CHECKING:
    import torch

# Allocators other than PyTorch's for CUDA raise plain RuntimeErrors: the CPU's, those of cuBLAS and cuDNN, the driver.
EXHAUSTED = re.compile("out of memory|alloc_failed|can't allocate memory", re.IGNORECASE)

_threads: dict[str, ThreadPoolExecutor] = {}
_gates: dict[str, "Gate"] = {}
_lock = threading.Lock()


def resolve(name: str | None) -> "torch.device":
    """The device of that name, or the best one of this machine. Raises `DeviceError`."""
    import torch

    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "cuda":
        cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) < cuda:
            return torch.device("cuda", int(index or 0))
        raise DeviceError(f'device {name!r} does not exist, torch sees {cuda} CUDA devices; `device="cpu"`')
    try:
        device = torch.device(kind, int(index or 0))
        torch.zeros(1, device=device).item()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each backend that is not there fails in its own way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DeviceError(f'device {name!r} does not work ({reason}); `device="cpu"`') from error
    return device


def kernels(device: "torch.device") -> str:
    """What computes there beside torch: "native" (native/cpu), "cupy" (native/kernels), or "torch" alone."""
    from vs_vrt import cpu
    from vs_vrt.dispatch import is_on

    if is_on() and device.type == "cpu" and cpu.library():
        return "native"
    return "cupy" if is_on() and device.type == "cuda" and find_spec("cupy") else "torch"


def run[**P, R](device: "torch.device", stream: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs `function` on the thread of a device's stream, once the device's gate lets it in; waits without the GIL.

    Raises what it raises, and `DeviceError` once Python shuts down.
    """
    name = f"{device}/{stream}"

    def through_gate() -> R:
        with gate(device).inside():
            return function(*args, **kwargs)

    with _lock:
        if name not in _threads:
            _threads[name] = ThreadPoolExecutor(1, f"vrt-{name}", _enter_stream, (device, stream))
        try:
            future = _threads[name].submit(through_gate)
        except RuntimeError as error:
            raise DeviceError("Python is shutting down; `ask for frames before the script ends`") from error
    return future.result()


def _enter_stream(device: "torch.device", stream: int) -> None:
    """Streams of a GPU overlap; the first one is the default stream, and others are not among those of copies."""
    import torch

    if stream and device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=-1))  # type: ignore[no-untyped-call]


class Gate:
    """Lets the streams of a device compute side by side or, once memory has run out, one by one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._narrow = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Waits for its turn and takes it."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._narrow and self._inside))
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def narrow(self) -> bool:
        """From now on one by one; whether that is news."""
        with self._changed:
            news, self._narrow = not self._narrow, True
            return news


def gate(device: "torch.device") -> Gate:
    """The device's own, as long as the process lives."""
    with _lock:
        return _gates.setdefault(str(device), Gate())


def total_ram() -> int:
    """Bytes of this machine, or of the part of it that this process may use."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return pages
    return min(pages, int(limit)) if limit.isdecimal() else pages


def total_memory(device: "torch.device") -> int:
    """Bytes of the device; a CPU has the machine's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return total_ram()


def release_caches(device: "torch.device") -> None:
    """Gives memory back that is only kept for later. Of captured graphs, those of this thread."""
    import torch

    from vs_vrt import replay

    gc.collect()
    if device.type == "cuda":
        replay.release()
        torch.cuda.empty_cache()


@contextmanager
def memory_errors(device: "torch.device | str", *remedies: str) -> Iterator[None]:
    """Turns every way in which memory runs out into `OutOfMemory`, with what to type against it."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, (torch.OutOfMemoryError, MemoryError)) or EXHAUSTED.search(str(error))):
            raise
        remedy = ", ".join(f"`{each}`" for each in remedies)
        raise OutOfMemory(f"out of memory on {device}; {remedy}") from error
