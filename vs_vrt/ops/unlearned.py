"""Arithmetic that has nothing to learn."""

from collections.abc import Callable
from functools import wraps

import torch


def unlearned[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """The same without gradients, and in its own precision under autocast."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        device = torch.accelerator.current_accelerator() or torch.device("cpu")
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast(device.type, enabled=False):
            return function(*args, **kwargs)

    return wrapped
