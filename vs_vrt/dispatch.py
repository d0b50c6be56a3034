"""When ways that are faster than the references may be taken at all."""

import os

import torch
from torch import Tensor


def is_on() -> bool:
    """Whether they are not switched off."""
    return os.environ.get("VS_VRT_KERNELS") != "off"


def is_inference(*tensors: Tensor) -> bool:
    """Whether no gradients are to be kept."""
    return not (torch.is_grad_enabled() and any(each.requires_grad for each in tensors))
