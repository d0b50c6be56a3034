"""What training minimises."""

import torch
from torch import Tensor

from vs_vrt.ops.flow_warp import flow_warp


def charbonnier(a: Tensor, b: Tensor, epsilon: float = 1e-6) -> Tensor:
    """`(...), (...) -> ()`: mean of sqrt((a - b)^2 + epsilon^2), a smooth L1 (BasicVSR, section 4.1); 0 makes it L1."""
    if epsilon == 0:  # the root has no slope at 0
        return (a - b).abs().mean()
    return torch.sqrt((a - b) ** 2 + epsilon**2).mean()


def flicker(a: Tensor, b: Tensor, epsilon: float = 1e-6) -> Tensor:
    """`(b t c h w), (b t c h w) -> ()`: how far changes from frame to frame differ; errors that stay cost nothing."""
    return charbonnier(a[:, 1:] - a[:, :-1], b[:, 1:] - b[:, :-1], epsilon)


def photometric(reference: Tensor, neighbour: Tensor, flow: Tensor, smoothness: float = 0.001) -> Tensor:
    """`(b 3 h w), (b 3 h w), (b 2 h w) -> ()`: how badly the warped neighbour matches, plus a price on bent flow.

    It teaches a flow network without true flows. The price keeps flat regions, where any flow matches, at rest.
    """
    across = (flow[..., :, 1:] - flow[..., :, :-1]).abs().mean()
    down = (flow[..., 1:, :] - flow[..., :-1, :]).abs().mean()
    return charbonnier(flow_warp(neighbour, flow, "border"), reference, 1e-3) + smoothness * (across + down)
