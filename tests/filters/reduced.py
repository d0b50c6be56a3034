"""The authors' small networks as rows of the task table, for scripts that vspipe runs: golden vectors, end to end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from safetensors.torch import save_file
from vapoursynth import core

from tests.golden_vectors import config, fill, load
from vs_vrt.restorer import build
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

# The model of the task table, by golden file.
MODELS = {
    "basicvsr_mm_c16b2_mirror": "basicvsr",
    "iconvsr_mm_c64b2_pad3": "iconvsr-vimeo",
    "basicvsrpp_mm_c16b2_same": "basicvsrpp-gopro",
    "realbasicvsr_mm_c16b2": "realbasicvsr",
    "mana_c64_16x12": "mana",
    "vrt_small_up2_pa2": "vrt-reds-6",
    "vrt_small_denoise_pa2": "vrt-davis",
    "vrt_small_vfi_pa0": "vrt-vfi",
}


def row_of(name: str) -> TaskRow:
    """The row of the published network, with the configuration of the golden file."""
    _, metadata = load(name)
    row = next(row for row in TASKS if row.model == MODELS[name])
    small = config(metadata)
    # The small networks of VRT have attention windows half as wide.
    min_size = min(row.min_size, 32)
    return replace(row, config=small, scale=small.get("upscale", row.scale), min_size=min_size)


def save(name: str, folder: Path) -> None:
    """The checkpoint of the golden file's network."""
    _, metadata = load(name)
    save_file(dict(fill(build(row_of(name)), metadata).state_dict()), folder / f"{name}.safetensors")


def clip_of(name: str) -> vs.VideoNode:
    """The first video of the golden file's input, as RGBS."""
    return clip_of_video(load(name)[0]["input"][0, :, :3], vs.RGBS)


def levels_of(name: str) -> vs.VideoNode:
    """The fourth channel of the golden file's input, as GRAYS."""
    return clip_of_video(load(name)[0]["input"][0, :, 3:], vs.GRAYS)


def clip_of_video(video: torch.Tensor, format: int) -> vs.VideoNode:
    """`(t c h w)`: as float samples."""
    t, _, height, width = video.shape

    def frame(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        filled = f.copy()
        for plane, samples in enumerate(video[n].numpy()):
            np.copyto(np.asarray(filled[plane]), samples)
        return filled

    blank = core.std.BlankClip(format=format, width=width, height=height, length=t)
    return blank.std.ModifyFrame(blank, frame)


def install(name: str) -> None:
    """Puts the golden file's network in the place of all others."""
    from vs_vrt.filters import restore

    restore.TASKS = (row_of(name),)
