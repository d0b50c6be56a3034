"""What moves the parameters: Adam, and Muon for what it suits where a recipe says so."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vs_vrt.training.initial import FLOW
from vs_vrt.training.recipe import MOTION, Learns, Recipe

MOMENTUM = 0.95
WEIGHT_DECAY = 0.1  # of Muon: its steps are as long at the end as at the beginning, and weights would grow for ever
# How MANA's attention compares features.
ATTENTION = tuple(f"nonloc_spatial.{name}" for name in ("norm.", "phi.", "theta.", "std"))
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the quintic iteration
NEWTON_SCHULZ_STEPS = 5


class Optimiser:
    """Sets the rates of an iteration, holds still what is not to learn, and moves the rest."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        parts: dict[tuple[Learns, bool], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            part = part_of(name)
            by_muon = bool(recipe.muon_rate) and part != "memory" and suits_muon(name, parameter)
            parts.setdefault((part, by_muon), []).append(parameter)
        groups = [{"params": members, "part": part, "muon": muon} for (part, muon), members in parts.items()]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Adam([group for group in groups if not group["muon"]], lr=0.0, betas=recipe.betas)
        ]
        if recipe.muon_rate:
            self.optimisers.append(Muon([group for group in groups if group["muon"]]))

    def prepare(self, iteration: int) -> None:
        """Rates of this iteration; no gradients for what is held still."""
        recipe, learns = self.recipe, self.recipe.phase(iteration).learns
        share = recipe.share(iteration)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                rate = recipe.alone_rate if learns in MOTION else recipe.learning_rate
                slower = recipe.flow_rate if group["part"] in MOTION and learns not in MOTION else 1.0
                group["lr"] = share * slower * (recipe.muon_rate if group["muon"] else rate)
                for parameter in group["params"]:
                    parameter.requires_grad_(learning(group["part"], learns))
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Moves what has gradients; nothing after a batch that a network answered with what is no number."""
        groups = [group for optimiser in self.optimisers for group in optimiser.param_groups]
        moved = [each for group in groups for each in group["params"] if each.grad is not None]
        # One batch that goes astray would point Muon's momentum its way for a hundred iterations.
        length = nn.utils.clip_grad_norm_(moved, self.recipe.gradient_norm or math.inf)
        if not length.isfinite():
            return
        for optimiser in self.optimisers:
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """Of each optimiser."""
        return [optimiser.state_dict() for optimiser in self.optimisers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """What `state_dict` gave."""
        for optimiser, state in zip(self.optimisers, states, strict=True):
            optimiser.load_state_dict(state)


def part_of(name: str) -> Learns:
    """What a parameter belongs to."""
    if name.startswith(ATTENTION):
        return "attention"
    return "flow" if "spynet." in name else "memory" if name.endswith(".mb") else "all"


def learning(part: Learns, learns: Learns) -> bool:
    """Whether a part's parameters move in a phase, those without gradients excepted."""
    if learns == "attention":
        return part in ("attention", "all")  # the features that are compared learn with it
    return learns in ("all", part) or (learns.startswith("all but") and learns != f"all but {part}")


def suits_muon(name: str, parameter: Tensor) -> bool:
    """Whether a parameter maps features to features: neither a vector, nor a table, nor what makes picture or flow."""
    return parameter.ndim > 1 and not name.endswith(("conv_last.weight", "bias_table", *FLOW))


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, so that all directions of what a layer makes move alike.

    Convolutions `(o i j k)` count as matrices `(o (i j k))`; torch.optim.Muon takes matrices alone. Source: Jordan et
    al., "Muon: an optimizer for hidden layers in neural networks" (2024).
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Moves every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                parameter.mul_(1 - group["lr"] * WEIGHT_DECAY)
                parameter.sub_(orthogonal(parameter.grad.lerp(momentum, MOMENTUM)), alpha=group["lr"])


def orthogonal(x: Tensor) -> Tensor:
    """`(o ...) -> (o ...)`: the matrix `(o (...))` with about 1 for its singular values, grown where it is tall."""
    a, b, c = NEWTON_SCHULZ
    matrix = x.flatten(1)
    tall = matrix.shape[0] > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    matrix = matrix / (matrix.norm() + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = matrix @ matrix.T
        matrix = a * matrix + (b * square + c * square @ square) @ matrix
    matrix = matrix.T if tall else matrix
    growth: float = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
    grown: Tensor = growth * matrix
    return grown.reshape(x.shape)
