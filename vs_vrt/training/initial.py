"""Weights to start from."""

import torch
from torch import nn

from vs_vrt.models.network import Network

# The last layers of residual branches begin with a tenth of the usual weights, so that the network begins as doing
# nothing, or as plain enlargement (the practice of EDSR and BasicVSR); offsets and masks begin where flow points.
FLOW = ("basic_module.4.conv.weight", "basic_module.8.weight")  # of a level, by either name
LAST = ("conv2.weight", *FLOW)
PICTURE = "conv_last.weight"
OFFSETS = "conv_offset.6.weight"


def initialise(network: Network, seed: int, picture: float = 0.1) -> None:
    """Seeded. Convolutions: He et al. (arXiv 1502.01852), for leaky slopes; linear layers: as in Swin (2103.14030).

    `picture` is the share of the usual weights that the layer begins with which makes the picture.
    """
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, a=0.1)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for name, parameter in network.named_parameters():
        if name.endswith(LAST):
            parameter.data *= 0.1
        elif name.endswith(PICTURE):
            parameter.data *= picture
        elif name.endswith(OFFSETS):
            nn.init.zeros_(parameter)
        elif name.endswith("relative_position_bias_table"):
            nn.init.trunc_normal_(parameter, std=0.02)
