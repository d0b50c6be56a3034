"""What one iteration minimises: a module, so that several GPUs can share it."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vs_vrt.models.blocks import RecurrentNetwork
from vs_vrt.models.mana import MANA
from vs_vrt.models.network import Network
from vs_vrt.models.realbasicvsr import RealBasicVSR
from vs_vrt.models.spynet import LEVELS
from vs_vrt.training.flow import flow_of
from vs_vrt.training.losses import charbonnier, flicker, photometric
from vs_vrt.training.recipe import Learns, Recipe


class Objective(nn.Module):
    """`(b t c h w), (b t 3 h' w') -> (), (b t' 3 h' w')`: the loss of a phase of training, and what was restored.

    Where flow or a part of MANA learns alone, nothing is restored. MANA restores the frames in the middle.
    """

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe

    def forward(self, inputs: Tensor, truth: Tensor, learns: Learns) -> tuple[Tensor, Tensor | None]:
        if learns == "flow":
            return self.flow_loss(inputs, truth), None
        if isinstance(self.network, MANA):
            if learns == "attention":
                return self.network.attention_loss(inputs), None
            if learns == "memory":
                return self.network.memory_loss(inputs), None
            restored, memory = self.network.forward_with_loss(inputs)
            extra = memory if learns == "all" else None
        elif isinstance(self.network, RealBasicVSR):
            restored, extra = self.restore_cleaned(self.network, inputs, truth)
        else:
            restored, extra = self.network(inputs), None
        loss = self.picture_loss(restored.float(), middle(truth, restored.shape[1]))
        return loss if extra is None else loss + extra.to(loss), restored.detach()

    def picture_loss(self, restored: Tensor, truth: Tensor) -> Tensor:
        """`(b t 3 h w), (b t 3 h w) -> ()`: of the pictures and, where the recipe weighs them, of their changes."""
        loss = charbonnier(restored, truth, self.recipe.epsilon)
        if self.recipe.steady == 0:
            return loss
        return loss + self.recipe.steady * flicker(restored, truth, self.recipe.epsilon)

    def restore_cleaned(self, network: RealBasicVSR, inputs: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """`(b t 3 h w), (b t 3 (h 4) (w 4)) -> (b t 3 (h 4) (w 4)), ()`: restored, and the loss of cleaned frames.

        Those are to be like the truth's means of 4x4 pixels. Source: RealBasicVSR (arXiv 2111.12704), section 3.1.
        """
        cleaned = network.clean(inputs)
        small = F.avg_pool2d(flat(truth), truth.shape[-1] // inputs.shape[-1])
        return network.basicvsr(cleaned), charbonnier(flat(cleaned).float(), small, self.recipe.epsilon)

    def flow_loss(self, inputs: Tensor, truth: Tensor) -> Tensor:
        """`(b t c h w), (b t 3 h' w') -> ()`: how badly neighbours match when warped, in both directions.

        Flow is found in what is given; whether it fits is seen best in clean frames of that size, where there are any.
        At every level of the pyramid by itself (in SpyNet's paper they learn one after another): through the finest
        one alone, the coarse ones learn next to nothing.
        """
        flow = flow_of(self.network)
        same = inputs.shape[-2:] == truth.shape[-2:]
        seen, clean = (self.small(video) for video in (inputs, truth if same else inputs))
        scales = [2**i for i in range(LEVELS) if 2 * 2**i <= min(seen.shape[-2:])]  # two pixels at least, to bend
        losses = []
        for here, there in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            with torch.autocast(inputs.device.type, enabled=False):
                found = flow.flows(flat(seen[:, here]), flat(seen[:, there]), scales)
            for scale, each in zip(scales, found, strict=True):
                a, b = (F.avg_pool2d(flat(clean[:, which]), scale) for which in (here, there))
                losses.append(photometric(a, b, each))
        return torch.stack(losses).sum()

    def small(self, video: Tensor) -> Tensor:
        """`(b t c h w) -> (b t 3 h' w')`: the frames as the network finds flow in them."""
        rgb = video[:, :, :3].float()
        return self.network.small(rgb) if isinstance(self.network, RecurrentNetwork) else rgb


def flat(video: Tensor) -> Tensor:
    """`(b t c h w) -> ((b t) c h w)`."""
    return rearrange(video, "b t c h w -> (b t) c h w")


def middle(video: Tensor, count: int) -> Tensor:
    """`(b t c h w) -> (b n c h w)`: so many frames in the middle of time; halfway between two, their mean."""
    first, between = divmod(video.shape[1] - count, 2)
    frames = video[:, first : first + count]
    return (frames + video[:, first + 1 : first + 1 + count]) / 2 if between else frames


def in_place_of(restored: Tensor, inputs: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """`(b t' 3 h' w'), (b t c h w), (b t" 3 h' w') -> 2 x (b t' 3 h' w')`: what there was before, and the truth.

    What there was is the input, or its bicubic enlargement.
    """
    given, truth = (middle(each, restored.shape[1]) for each in (inputs[:, :, :3], truth))
    if given.shape[-2:] != truth.shape[-2:]:
        large = F.interpolate(flat(given), size=truth.shape[-2:], mode="bicubic", align_corners=False)
        given = rearrange(large, "(b t) c h w -> b t c h w", b=len(given))
    return given, truth


def errors(inputs: Tensor, restored: Tensor, truth: Tensor) -> tuple[float, float]:
    """`(b t c h w), (b t' 3 h' w'), (b t" 3 h' w') -> mean squared errors`: of what was given, and of what was made."""
    given, truth = in_place_of(restored, inputs, truth)
    before, after = (F.mse_loss(each.float().clamp(0, 1), truth).item() + 1e-12 for each in (given, restored))
    return before, after
