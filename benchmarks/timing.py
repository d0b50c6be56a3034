"""Ways to compute the same thing, timed in turn: what disturbs the machine disturbs them alike."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import torch


@dataclass(frozen=True)
class Way:
    """One of them. `plain`: by references alone, without our kernels."""

    call: Callable[[], object]
    plain: bool = False


@contextmanager
def kernels(plain: bool) -> Iterator[None]:
    """Has operations run as references, or not, whatever the environment says."""
    with mock.patch.dict(os.environ, VS_VRT_KERNELS="off" if plain else "on"):
        yield


def seconds(device: torch.device, way: Way, calls: int = 1) -> float:
    """Of one call, as the mean of several in a row: by events on a GPU, which works on while Python goes ahead."""
    with kernels(way.plain):
        if device.type != "cuda":
            start = time.perf_counter()
            for _ in range(calls):
                way.call()
            return (time.perf_counter() - start) / calls
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        stream = torch.cuda.current_stream(device)
        torch.cuda.synchronize(device)
        begin.record(stream)
        for _ in range(calls):
            way.call()
        end.record(stream)
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / calls


def products(call: Callable[[], object]) -> int:
    """FLOP of its convolutions, matrix products and attention, counted while it runs without our kernels."""
    from torch.utils.flop_counter import FlopCounterMode  # only now, as it takes 75 MB

    # In inference mode, what is made of several products would come here in one piece, with formats not yet adapted.
    with kernels(plain=True), torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def in_turn[Name](
    device: torch.device, ways: Mapping[Name, Way], budget: float, most: int, calls: int = 1
) -> dict[Name, list[float]]:
    """Seconds of each way, in rounds of one sample each, while the budget of seconds lasts.

    There are two rounds at least, but for one that alone takes more than the budget.
    """
    found: dict[Name, list[float]] = {name: [] for name in ways}
    start = time.perf_counter()
    for count in range(1, most + 1):
        begin = time.perf_counter()
        for name, way in ways.items():
            found[name].append(seconds(device, way, calls))
        now = time.perf_counter()
        last = now - begin
        if now - start + last > budget and (count > 1 or last > budget):
            break
    return found
