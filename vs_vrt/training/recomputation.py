"""Gradient checkpointing (arXiv 1604.06174): what is large is computed again for the gradients."""

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from vs_vrt.models.basicvsr_plusplus import SecondOrderDeformableAlignment
from vs_vrt.models.blocks import RecurrentNetwork, ResidualBlocksWithInputConv
from vs_vrt.models.edvr import PCDAlignment
from vs_vrt.models.kalman import KalmanUNet
from vs_vrt.models.mana import MANA, NonLocalAttention
from vs_vrt.models.vrt import TMSA, FlowGuidedDeformConv

# Trunks, alignments, attention and tails: what lies between them is small.
RECOMPUTED: tuple[tuple[type[nn.Module], str], ...] = (
    (ResidualBlocksWithInputConv, "forward"),
    (SecondOrderDeformableAlignment, "forward"),
    (PCDAlignment, "forward"),
    (TMSA, "forward"),
    (FlowGuidedDeformConv, "forward"),
    (NonLocalAttention, "search"),
    (RecurrentNetwork, "_upsample_band"),
    (MANA, "_upsample_band"),
    (KalmanUNet, "features"),
)


def recompute(network: nn.Module) -> None:
    """From now on its gradients take less memory and about a third more time; they stay the same."""
    for module in network.modules():
        for kind, method in RECOMPUTED:
            if isinstance(module, kind):
                once = getattr(module, method)
                # Nothing inside is random.
                again = partial(checkpoint, once, use_reentrant=False, preserve_rng_state=False)
                setattr(module, method, again)
