"""Products with a weight matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vs_vrt import cpu

ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`(... c), (o c), (o) -> (... o)`: x weight^T + bias, on CPUs by oneDNN.

    torch gives float32 products to MKL, which on CPUs of other makers leaves more than half of the speed unused.
    """
    if cpu.computes(x, weight, bias) and not torch.is_autocast_enabled("cpu") and ONEDNN:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return found
    return F.linear(x, weight, bias)
