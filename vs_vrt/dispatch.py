"""When ways that are faster than the references may be taken at all, and in what format they compute."""

import os

import torch
from torch import Tensor


def is_on() -> bool:
    """Whether they are not switched off."""
    return os.environ.get("VS_VRT_KERNELS") != "off"


def product_format(x: Tensor) -> torch.dtype:
    """What products with `x` are computed in here: autocast's format, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def is_inference(*tensors: Tensor) -> bool:
    """Whether no gradients are to be kept."""
    return not (torch.is_grad_enabled() and any(each.requires_grad for each in tensors))
