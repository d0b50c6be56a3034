"""A flow network that has learned already: that of the super-resolution network in the wheel."""

from functools import cache

import torch
from torch import nn

from vs_vrt.checkpoint import load, locate
from vs_vrt.models.spynet import SpyNet
from vs_vrt.restorer import build
from vs_vrt.state_dict import sha256_of
from vs_vrt.tasks import COMPACT


@cache
def bundled_flow() -> SpyNet:
    """It learned from frames of a quarter of the size of the footage."""
    with torch.random.fork_rng(devices=[]):  # a network in training draws its first weights from the same generator
        network = build(COMPACT)
    load(network, locate(COMPACT, None), COMPACT)
    return flow_of(network).requires_grad_(False).eval()


def lend_flow(network: nn.Module) -> str:
    """Gives a network whose flow network is of the same sizes the values of that in the wheel; its file's sha256."""
    for mine, lent in zip(flow_of(network).parameters(), bundled_flow().parameters(), strict=True):
        mine.data.copy_(lent)
    return sha256_of(locate(COMPACT, None))


def flow_of(network: nn.Module) -> SpyNet:
    """The flow network inside another."""
    return next(module for module in network.modules() if isinstance(module, SpyNet))
