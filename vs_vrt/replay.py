"""Chains of kernels that a GPU repeats, captured once for each shape and launched as one (CUDA graphs)."""

import logging
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

type Key = tuple[torch.Size, torch.dtype, torch.dtype | None, torch.device]
type Replay = Callable[[Tensor], Tensor]

WARM = 3  # calls before a shape is captured: in the first, libraries load their kernels
SHAPES = 2  # that a module keeps: each holds its features for good


class Captured:
    """What one thread has captured of one module."""

    def __init__(self) -> None:
        self.calls: Counter[Key] = Counter()
        self.replays: OrderedDict[Key, Replay] = OrderedDict()


class State(threading.local):
    """A thread's own, as is its stream: two that replay the same graph would write over each other's features."""

    def __init__(self) -> None:
        self.modules: WeakKeyDictionary[nn.Module, Captured] = WeakKeyDictionary()
        self.broken = False


_state = State()


def replayed(module: nn.Module, x: Tensor) -> Tensor:
    """`module(x)`, in inference on a GPU by replaying what it launched for this shape before.

    The module must do nothing but launch kernels: no shape, branch or copy may depend on what values are.
    """
    if not applies(x):
        return module(x)  # type: ignore[no-any-return]
    half = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else None
    key = x.shape, x.dtype, half, x.device
    captured = _state.modules.setdefault(module, Captured())
    captured.calls[key] += 1
    if captured.calls[key] <= WARM:
        return module(x)  # type: ignore[no-any-return]
    if key not in captured.replays:
        try:
            captured.replays[key] = capture(module, x)
        except RuntimeError as error:
            _state.broken = True
            reason = str(error).strip().partition("\n")[0]
            log.warning("vrt: a CUDA graph cannot be captured (%s), kernels are launched one by one", reason)
            return module(x)  # type: ignore[no-any-return]
        if len(captured.replays) > SHAPES:
            captured.replays.popitem(last=False)
    captured.replays.move_to_end(key)
    return captured.replays[key](x)


def applies(x: Tensor) -> bool:
    """Whether calls may be captured at all."""
    return (
        x.device.type == "cuda"
        and torch.is_inference_mode_enabled()
        and not _state.broken
        and os.environ.get("VS_VRT_KERNELS") != "off"
    )


def release() -> None:
    """Gives back what this thread has captured."""
    _state.modules.clear()


def capture(module: nn.Module, x: Tensor) -> Replay:
    """Runs the module once without computing, and keeps what it would have launched. Raises `RuntimeError`."""
    given, graph = x.clone(), torch.cuda.CUDAGraph()
    here, aside = torch.cuda.current_stream(x.device), torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        graph.capture_begin(capture_error_mode="thread_local")  # other threads may allocate meanwhile
        try:
            made = module(given)
        finally:
            graph.capture_end()
    here.wait_stream(aside)

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return made.clone()  # type: ignore[no-any-return]

    return replay
