"""The training loop: seeded, resumable, one optimiser step an iteration."""

import copy
import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor, nn

from vs_vrt.models.basicvsr import BasicVSR
from vs_vrt.restorer import channels_last
from vs_vrt.training.data import Footage
from vs_vrt.training.degradations import bicubic_down
from vs_vrt.training.losses import charbonnier, photometric
from vs_vrt.training.recipe import Recipe

log = logging.getLogger(__name__)
SCALE = 4


class Trainer:
    """One run: the network, its moving average, the optimiser, and the iteration reached."""

    def __init__(self, model: BasicVSR, recipe: Recipe, footage: Footage, folder: Path) -> None:
        self.model = channels_last(model)
        self.recipe, self.footage, self.folder = recipe, footage, folder
        self.average = copy.deepcopy(model).requires_grad_(False)
        flow = list(model.spynet.parameters())
        ids = {id(parameter) for parameter in flow}
        rest = [parameter for parameter in model.parameters() if id(parameter) not in ids]
        self.optimiser = torch.optim.Adam([{"params": rest}, {"params": flow}], betas=(0.9, 0.99))
        self.iteration = 0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """Trains to the recipe's end, continuing from the run folder's last state if there is one."""
        if (self.folder / "state.pt").exists():
            self.load()
        self.model.train()
        gains: list[float] = []
        losses: list[float] = []
        while self.iteration < self.recipe.iterations:
            loss, gain = self.step()
            losses.append(loss)
            gains.append(gain)
            self.iteration += 1
            if self.iteration % self.recipe.log_every == 0:
                mean = sum(losses) / len(losses), sum(gains) / len(gains)
                log.info("iteration %d: loss %.5f, %+.2f dB over bicubic", self.iteration, *mean)
                losses, gains = [], []
            if self.iteration % self.recipe.save_every == 0 or self.iteration == self.recipe.iterations:
                self.save()

    def step(self) -> tuple[float, float]:
        """One optimiser step; returns the loss, and the gain over bicubic upsampling on the same batch in dB."""
        recipe = self.recipe
        h, w = recipe.crop if self.iteration % 2 == 0 else recipe.crop[::-1]
        clean = self.footage.batch(recipe.seed, self.iteration, recipe.batch, recipe.num_frames, (h * SCALE, w * SCALE))
        degraded = bicubic_down(clean, SCALE)
        self.set_rates()
        gain = 0.0
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            if self.iteration < recipe.flow_iterations:
                loss = self.flow_loss(degraded)
            else:
                restored = self.model(degraded)
                loss = charbonnier(restored.float(), clean)
                gain = psnr(restored.detach(), clean) - psnr(bicubic_up(degraded), clean)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.gradient_norm)
        self.optimiser.step()
        self.update_average()
        return loss.item(), gain

    def flow_loss(self, video: Tensor) -> Tensor:
        """`(b t 3 h w) -> ()`: the photometric loss of neighbours in both directions."""
        pairs = (video[:, :-1], video[:, 1:]), (video[:, 1:], video[:, :-1])
        return torch.stack([self.flow_loss_of(*pair) for pair in pairs]).sum()

    def flow_loss_of(self, references: Tensor, neighbours: Tensor) -> Tensor:
        """`(b t 3 h w), (b t 3 h w) -> ()`: the photometric loss of warping neighbours to references."""
        flow = torch.stack(self.model.flow(references, neighbours), dim=1)
        flat = [rearrange(each, "b t c h w -> (b t) c h w") for each in (references, neighbours, flow)]
        return photometric(flat[0], flat[1], flat[2])

    def set_rates(self) -> None:
        """Learning rates of this iteration; the flow network's gradients are off while it is frozen."""
        recipe = self.recipe
        alone = self.iteration < recipe.flow_iterations
        done = (self.iteration - recipe.flow_iterations) / max(recipe.iterations - recipe.flow_iterations, 1)
        cosine = 1.0 if alone else 0.5 * (1 + math.cos(math.pi * done))
        warm = min(1.0, (self.iteration - recipe.flow_iterations + 1) / 100)
        rest, flow = self.optimiser.param_groups
        rest["lr"] = 0.0 if alone else recipe.learning_rate * cosine * warm
        flow["lr"] = recipe.flow_learning_rate if alone else recipe.learning_rate * recipe.flow_rate * cosine
        self.model.spynet.requires_grad_(alone or self.iteration >= recipe.flow_frozen_until)

    def update_average(self) -> None:
        """The exponential moving average that is shipped; it forgets faster while the run is young."""
        decay = min(self.recipe.ema, (1 + self.iteration) / (10 + self.iteration))
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now.detach(), 1 - decay)

    def save(self) -> None:
        """Writes the averaged weights (half precision) and the exact state, each under its name only when complete."""
        weights = {key: value.half().contiguous() for key, value in self.average.state_dict().items()}
        metadata = {key: str(value) for key, value in asdict(self.recipe).items()} | {"iteration": str(self.iteration)}
        save_file(weights, self.folder / "weights.tmp", metadata=metadata)
        (self.folder / "weights.tmp").replace(self.folder / "weights.safetensors")
        torch.save(self.state(), self.folder / "state.tmp")
        (self.folder / "state.tmp").replace(self.folder / "state.pt")

    def state(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration,
        }

    def load(self) -> None:
        """Continues exactly where `save` left off."""
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.iteration = state["iteration"]


def initialise(model: BasicVSR, seed: int) -> None:
    """Starts every residual block and the flow near zero, so that the network begins as plain upsampling."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.1)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name.endswith(("conv2.weight", "conv_last.weight", "basic_module.4.conv.weight")):
            parameter.data *= 0.1


def bicubic_up(video: Tensor) -> Tensor:
    """`(b t c h w) -> (b t c (h 4) (w 4))`: the baseline that a network has to beat."""
    b = video.shape[0]
    large = F.interpolate(
        rearrange(video, "b t c h w -> (b t) c h w"), scale_factor=SCALE, mode="bicubic", align_corners=False
    )
    return rearrange(large.clamp(0, 1), "(b t) c h w -> b t c h w", b=b)


def psnr(a: Tensor, b: Tensor) -> float:
    """`(...), (...) -> dB`, of values 0..1."""
    return -10 * math.log10(F.mse_loss(a.float().clamp(0, 1), b).item() + 1e-12)
