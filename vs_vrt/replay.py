"""Chains of kernels that a GPU repeats, captured once for each shape and launched as one (CUDA graphs)."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from vs_vrt.dispatch import is_on, product_format

log = logging.getLogger(__name__)

type Key = tuple[object, ...]
type Replay = Callable[[Tensor], Tensor]

WARM = 3  # calls before a shape is captured: in the first, libraries load their kernels
SHAPES = 2  # that a module keeps: each holds what it makes for good
IDLE = 1 << 10  # calls of the module after which a shape is no longer needed: of tiles, many take turns


class Captured:
    """What one thread has captured of one module."""

    def __init__(self) -> None:
        self.calls: Counter[Key] = Counter()
        self.replays: dict[Key, Replay] = {}
        self.used: dict[Key, int] = {}  # at which call of the module last

    def has_room(self) -> bool:
        """For another shape, perhaps in place of one that is idle."""
        now = self.calls.total()
        for key in [key for key, last in self.used.items() if now - last > IDLE]:
            del self.replays[key], self.used[key], self.calls[key]
        return len(self.replays) < SHAPES


class State(threading.local):
    """A thread's own, as is its stream: two that replay the same graph would write over each other's features."""

    def __init__(self) -> None:
        self.modules: WeakKeyDictionary[nn.Module, Captured] = WeakKeyDictionary()
        self.asides: dict[torch.device, torch.cuda.Stream] = {}
        self.pools: dict[torch.device, Any] = {}  # of memory, for what graphs make on the way: one replays at a time
        self.broken = False


_state = State()


def replayed(module: nn.Module, x: Tensor) -> Tensor:
    """`module(x)`, in inference on a GPU by replaying what it launched for this shape before.

    The module must do nothing but launch kernels: no shape, branch or copy may depend on what values are.
    """
    if not applies(x):
        return module(x)  # type: ignore[no-any-return]
    captured = _state.modules.setdefault(module, Captured())
    key = key_of(module, x)
    captured.calls[key] += 1
    if captured.calls[key] <= WARM:
        return module(x)  # type: ignore[no-any-return]
    if key not in captured.replays:
        if not captured.has_room():
            return module(x)  # type: ignore[no-any-return]
        try:
            captured.replays[key] = capture(module, x)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _state.broken = True
            reason = str(error).strip().partition("\n")[0]
            log.warning("vrt: a CUDA graph cannot be captured (%s), kernels are launched one by one", reason)
            return module(x)  # type: ignore[no-any-return]
    captured.used[key] = captured.calls.total()
    return captured.replays[key](x)


def applies(x: Tensor) -> bool:
    """Whether calls may be captured at all."""
    return x.device.type == "cuda" and torch.is_inference_mode_enabled() and not _state.broken and is_on()


def key_of(module: nn.Module, x: Tensor) -> Key:
    """What a graph holds for: its kernels and its addresses."""
    return (
        x.shape,
        x.stride(),
        x.dtype,
        product_format(x),
        x.device,
        *(weight.data_ptr() for weight in module.parameters()),
    )


def release() -> None:
    """Gives back what this thread has captured, for good: memory ran out, and graphs are not planned for."""
    _state.broken = True
    _state.modules.clear()
    _state.pools.clear()


def pool_of(device: torch.device) -> Any:
    """That of this thread's graphs; a new one where there are none, as a pool ends with its last graph."""
    if device not in _state.pools or not any(captured.replays for captured in _state.modules.values()):
        torch.cuda.empty_cache()  # what is kept for later cannot become a graph's
        _state.pools[device] = torch.cuda.graph_pool_handle()
    return _state.pools[device]


def aside(device: torch.device) -> torch.cuda.Stream:
    """The other stream of a thread, for copies and captures: torch has 32, and hands them out again."""
    if device not in _state.asides:
        _state.asides[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return _state.asides[device]


def capture(module: nn.Module, x: Tensor) -> Replay:
    """Runs the module once without computing, and keeps what it would have launched.

    Raises `RuntimeError`, of which `torch.OutOfMemoryError` is one: a graph's memory is its own.
    """
    given, graph = x.clone(), torch.cuda.CUDAGraph()
    here, there = torch.cuda.current_stream(x.device), aside(x.device)
    there.wait_stream(here)
    with torch.cuda.stream(there):
        graph.capture_begin(pool=pool_of(x.device), capture_error_mode="thread_local")  # other threads may allocate
        try:
            made = module(given)
        except BaseException:
            with suppress(RuntimeError):  # it says no more than that capturing went wrong
                graph.capture_end()
            raise
        graph.capture_end()
    here.wait_stream(there)

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return made.clone()  # type: ignore[no-any-return]

    return replay
