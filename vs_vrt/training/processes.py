"""Several processes that share a run, one for each GPU; torchrun starts them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from vs_vrt.errors import ArgumentError, DeviceError


@dataclass(frozen=True, kw_only=True)
class Process:
    """One of them, and its device."""

    device: torch.device
    rank: int = 0
    ranks: int = 1


@contextmanager
def joined(device: str | None) -> Iterator[Process]:
    """The process that asks, among those that torchrun started, or alone. Raises `DeviceError`, `ArgumentError`."""
    rank, ranks = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    chosen = choose_device(device)
    if ranks == 1:
        yield Process(device=chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(device=chosen, rank=rank, ranks=ranks)
    finally:
        dist.destroy_process_group()


def choose_device(name: str | None) -> torch.device:
    """What `cpu` or `cuda` means for this process; None: a GPU where there is one. Raises as `joined`."""
    if name not in (None, "cpu", "cuda"):
        raise ArgumentError(f"there is no device {name!r}; `--device cpu` or `--device cuda`")
    if name == "cpu" or (name is None and not torch.cuda.is_available()):
        return torch.device("cpu")
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        if count == 0:
            raise DeviceError("there is no GPU that torch can use; `--device cpu`")
        raise DeviceError(f"process {index + 1} has no GPU: there are {count}; `--device cpu`, or fewer processes")
    return torch.device("cuda", index)


def means(numbers: Sequence[float], device: torch.device) -> list[float]:
    """`(n) -> (n)`: over all processes; each waits for the others."""
    if not dist.is_initialized():
        return list(numbers)
    shared = torch.tensor(numbers, dtype=torch.float64, device=device)
    dist.all_reduce(shared)
    return [float(each) for each in shared / dist.get_world_size()]
