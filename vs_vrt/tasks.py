"""TASKS: every network that can be asked for. Data, no logic; of a task, what is bundled comes first.

UNTRAINED: networks that join it, in front, once their checkpoints lie in vs_vrt/weights.
"""

from dataclasses import replace
from types import MappingProxyType

from vs_vrt.published import BICUBIC, MANA, PUBLISHED, VRT_REDS_6
from vs_vrt.task import Footprint, TaskRow

SMALL = "small enough for a laptop"
SMALL_FLOW = MappingProxyType({"flow_widths": (16, 16, 16, 8), "flow_kernel": 5})


COMPACT = TaskRow(
    task="sr4",
    model="basicvsr-compact",
    architecture="basicvsr:BasicVSR",
    config=MappingProxyType(
        {"mid_channels": 48, "num_blocks": 4, "half_channels": 16, "tail_channels": 12} | SMALL_FLOW
    ),
    scale=4,
    length=30,
    overlap=3,
    half_safe=True,
    suits=f"{BICUBIC}; {SMALL}",
    license="MIT",
    checkpoint="basicvsr-compact.safetensors",
    bundled=True,
    memory=Footprint(weights=2_142_484, pixel=201, frame_pixel=242, band_pixel=673),
    keys="5e6c7a87bae801f759f046c39c69fff611dff5b80df0cf814696ee8af98884c5",
)

VRT_COMPACT = replace(
    VRT_REDS_6,
    model="vrt-compact",
    config=MappingProxyType(
        {"window_size": (6, 4, 4), "depths": (2,) * 7 + (1, 2), "indep_reconsts": (8,)}
        | {"embed_dims": (24,) * 9, "num_heads": (3,) * 9, "deformable_groups": 2, "tail_channels": 16}
        | SMALL_FLOW
    ),
    min_size=32,
    align=32,
    published=None,
    suits=f"{BICUBIC}; attention across frames, {SMALL}",
    license="MIT",
    checkpoint="vrt-compact.safetensors",
    bundled=True,
    url="",
    size=0,
    memory=Footprint(weights=3_289_312, fixed=51_200_000, frame_pixel=1_130),
    keys="9df74b6c4d77b9286509dd041d5f0aa2be122d45f8f6c0c9e96e12a38afa544f",
)
MANA_COMPACT = replace(
    MANA,
    model="mana-compact",
    config=MappingProxyType(
        {"in_channels": 64, "encoder_nblocks": 3, "decoder_nblocks": 8, "half_channels": 32, "tail_channels": 16}
    ),
    suits=f"{BICUBIC}; large motion, {SMALL}",
    checkpoint="mana-compact.safetensors",
    bundled=True,
    size=0,
    memory=Footprint(weights=3_761_552, fixed=44_600_000, pixel=3_740),
    keys="0789f5ef7e5b242eff1c707d49320ba699ee2e25768180eb2b4c9b1f62c347b6",
)
DENOISE_COMPACT = replace(
    COMPACT,
    task="denoise",
    model="denoise-compact",
    architecture="kalman:KalmanUNet",
    config=MappingProxyType({}),
    scale=1,
    multiple=4,
    align=4,
    min_size=64,  # flow, found at a quarter, sees 16
    overlap=5,
    half_safe=False,  # not measured
    sigma=10.0,
    suits=f"Gaussian noise of known strength, sigma up to 50; {SMALL}",
    checkpoint="denoise-compact.safetensors",
    memory=Footprint(weights=2_293_396, pixel=92, frame_pixel=78),
    keys="709aca2c5736c32ad2fb619d067dea62520bd0d799f8c7056521dc5da7ef73ba",
)
DEBLUR_COMPACT = replace(
    DENOISE_COMPACT,
    task="deblur",
    model="deblur-compact",
    architecture="basicvsr_half:BasicVSRHalf",
    overlap=8,
    preview=8,  # fewer do not show whether frames are means of 5
    sigma=None,
    suits=f"motion blur and blended frames, the mean of 3 to 5; {SMALL}",
    checkpoint="deblur-compact.safetensors",
    memory=Footprint(weights=1_631_572, pixel=403, frame_pixel=69),
    keys="86bac6982610676224def74ed699acc17988fdd14f66afa5f5528ef0a8978316",
)
UNTRAINED = (VRT_COMPACT, MANA_COMPACT, DEBLUR_COMPACT, DENOISE_COMPACT)

TASKS = (COMPACT, *PUBLISHED)
