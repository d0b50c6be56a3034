"""One thread for each device: all torch work of a device runs on it, one window after the other."""

import importlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from vs_vrt.errors import DeviceError, OutOfMemory

if TYPE_CHECKING:
    import torch

_threads: dict[str, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def import_torch() -> None:
    """Loads torch, with huge pages for its large tensors on a CPU: tens of megabytes are faulted in for every layer.

    torch reads the setting at its first allocation, so it has no effect in a process that uses torch already.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    importlib.import_module("torch")


def resolve(name: str | None) -> "torch.device":
    """The device of that name, or the best one of this machine. Raises `DeviceError`."""
    import_torch()
    import torch

    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(f'device {name!r} does not exist, torch sees {count} CUDA devices; `device="cpu"`')
        return torch.device("cuda", device.index or 0)
    return device


def run[**P, R](device: "torch.device", function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs `function` on the device's thread and waits, with the GIL released. Raises `OutOfMemory`."""
    import torch

    with _lock:
        name = str(device)
        if name not in _threads:
            _threads[name] = ThreadPoolExecutor(1, thread_name_prefix=f"vrt-{name}")
        future = _threads[name].submit(function, *args, **kwargs)
    try:
        return future.result()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(f"out of memory on {name}; `choose a smaller length=`") from error
    except RuntimeError as error:
        # The CPU allocator raises a plain RuntimeError.
        if "can't allocate memory" in str(error):
            raise OutOfMemory(f"out of memory on {name}; `choose a smaller length=`") from error
        raise
