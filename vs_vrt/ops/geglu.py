"""The gate of a GEGLU."""

from contextlib import suppress

import torch.nn.functional as F
from torch import Tensor

from vs_vrt import cuda


def geglu(gate: Tensor, value: Tensor) -> Tensor:
    """`(...), (...) -> (...)`: gelu(gate) * value, with the exact GELU. Source: GLU variants (arXiv 2002.05202)."""
    if cuda.applies(gate, value):
        with suppress(cuda.KernelError):
            return cuda.geglu(gate, value)
    return geglu_reference(gate, value)


def geglu_reference(gate: Tensor, value: Tensor) -> Tensor:
    """The same in plain torch, which reads and writes half as much again."""
    return F.gelu(gate) * value
