"""One thread for each device: all torch work of a device runs on it, one window after the other."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vs_vrt.errors import DeviceError, OutOfMemory

if TYPE_CHECKING:
    import torch

_threads: dict[str, ThreadPoolExecutor] = {}
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


def run[**P, R](device: "torch.device", function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs `function` on the device's thread and waits, with the GIL released.

    Raises what it raises, and `DeviceError` once Python shuts down.
    """
    name = str(device)
    with _lock:
        if name not in _threads:
            _threads[name] = ThreadPoolExecutor(1, thread_name_prefix=f"vrt-{name}")
        try:
            future = _threads[name].submit(function, *args, **kwargs)
        except RuntimeError as error:
            raise DeviceError("Python is shutting down; `ask for frames before the script ends`") from error
    return future.result()


@contextmanager
def memory_errors(device: "torch.device", remedy: str) -> Iterator[None]:
    """Turns every way in which memory runs out into `OutOfMemory`."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU allocator raises a plain RuntimeError.
        exhausted = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
        if not exhausted:
            raise
        raise OutOfMemory(f"out of memory on {device}; `{remedy}`") from error
