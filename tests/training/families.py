"""A reduced network of every architecture in the task table, and a short recipe for it."""

from dataclasses import replace
from typing import Any

import torch

from vs_vrt.models.network import Network
from vs_vrt.restorer import build
from vs_vrt.task import SpyNetConfig
from vs_vrt.tasks import TASKS
from vs_vrt.training.initial import initialise
from vs_vrt.training.recipe import Phase, Recipe
from vs_vrt.training.recipes import RECIPES

VRT = {"embed_dims": (12,) * 9, "depths": (2,) * 9, "num_heads": (2,) * 9, "window_size": (2, 2, 2)}
SMALL_VRT = VRT | {"indep_reconsts": (8,), "deformable_groups": 2, "pa_frames": 2}
FLOW = {"flow": SpyNetConfig(widths=(4, 4, 4, 4), kernel=3)}
TAIL = {"half_channels": 8, "tail_channels": 8}
CONFIGS: dict[str, dict[str, Any]] = {
    "basicvsr": {"mid_channels": 8, "num_blocks": 2} | FLOW | TAIL,
    "iconvsr": {"mid_channels": 8, "num_blocks": 1, "keyframe_stride": 2, "padding": 1},
    "basicvsrpp": {"mid_channels": 8, "num_blocks": 2, "outer_blocks": 1, "deform_groups": 2} | FLOW | TAIL,
    "realbasicvsr": {"mid_channels": 8, "num_propagation_blocks": 1, "num_cleaning_blocks": 1},
    "denoise-compact": {"mid_channels": 24, "deep_channels": 32, "num_blocks": 2, "tail_channels": 8} | FLOW,
    "deblur-compact": {"mid_channels": 8, "num_blocks": 4, "tail_channels": 8} | FLOW,
    "mana": {"in_channels": 32, "encoder_nblocks": 1, "decoder_nblocks": 2},
    "mana-compact": {"in_channels": 32, "encoder_nblocks": 1, "decoder_nblocks": 2},
    "vrt-reds-6": SMALL_VRT,
    "vrt-davis": SMALL_VRT | {"upscale": 1, "nonblind_denoising": True},
    "vrt-vfi": SMALL_VRT | {"upscale": 1, "pa_frames": 0, "num_frames": 4, "indep_reconsts": ()},
}
FRAMES = {"mana": 7, "mana-compact": 7, "iconvsr": 4}
CROPS = {"denoise-compact": (64, 64), "deblur-compact": (64, 64)}  # else weights or patches take most of the memory


def reduced(model: str) -> Network:
    """The model's network, made small."""
    row = next(row for row in TASKS if row.model == model)
    torch.manual_seed(0)  # some parameters begin as their constructor draws them
    network = build(replace(row, config=CONFIGS[model]))
    initialise(network, 0)
    return network


def short(model: str) -> Recipe:
    """The model's recipe with one iteration a phase, on what can be made of small frames."""
    recipe = RECIPES[model]
    phases = tuple(Phase(iterations=1, learns=phase.learns) for phase in recipe.phases)
    degradation = {"noise": "noise", "known-noise": "noise", "blur": "blind-noise"}.get(recipe.degradation, "bicubic")
    return replace(
        recipe,
        degradation=degradation,
        phases=phases,
        batch=1,
        num_frames=FRAMES.get(model, 3),
        crop=CROPS.get(model, (16, 16)),
        mirror=False,
    )
