"""Fresh processes, and what memory a process takes."""

import ctypes
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def in_fresh_process[**P, R](function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Raises `BrokenProcessPool` where the system ends it, as it does when memory runs out."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def on_engine[**P, R](function: Callable[P, R], device: str, threads: int, *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs on the thread that computes for the plugin, too; for a fresh process."""
    import torch

    from vs_vrt.engine import resolve, run

    torch.set_num_threads(threads)
    return run(resolve(device), 0, function, *args, **kwargs)


def status(key: str) -> int:
    """Bytes, as Linux tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def forget_peak(device: "torch.device") -> int:
    """Bytes that are taken now, from where `peak` begins to count again."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    return before


def peak(device: "torch.device") -> int:
    """Bytes at most so far: of a CPU's process all that is resident, of a GPU what tensors take."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    return status("VmHWM")
