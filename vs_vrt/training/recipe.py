"""What a training run is made of, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes and rates of one run; the learning rates follow a cosine from their start to zero.

    The flow network learns alone first, from how well it warps neighbours onto each other (`flow_iterations`); then it
    is frozen while the rest finds its feet (until `flow_frozen_until`); then it follows at `flow_rate` of the rate, as
    BasicVSR does (section 4.1).
    """

    seed: int = 0
    iterations: int = 3100
    batch: int = 2
    num_frames: int = 7
    crop: tuple[int, int] = (32, 64)  # of the degraded input; transposed at every other iteration
    learning_rate: float = 1e-3
    flow_learning_rate: float = 1e-3
    flow_iterations: int = 500
    flow_frozen_until: int = 1000
    flow_rate: float = 0.25
    ema: float = 0.999
    gradient_norm: float = 1.0
    bf16: bool = False
    save_every: int = 250
    log_every: int = 25
