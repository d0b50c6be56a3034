"""TASKS: every network that can be asked for. Data, no logic; of a task, what is bundled comes first."""

from dataclasses import replace
from types import MappingProxyType

from vs_vrt.published import BICUBIC, MANA, PUBLISHED, VRT_REDS_6
from vs_vrt.task import Footprint, SpyNetConfig, TaskRow

SMALL = "small enough for a laptop"
SMALL_FLOW = SpyNetConfig(widths=(24, 24, 16, 8), kernel=5, slope=0.1, shared=True)


COMPACT = TaskRow(
    task="sr4",
    model="basicvsr-compact",
    architecture="basicvsr:BasicVSR",
    config=MappingProxyType(
        {"mid_channels": 48, "num_blocks": 4, "half_channels": 16, "tail_channels": 12, "flow": SMALL_FLOW}
    ),
    scale=4,
    length=30,
    overlap=3,
    half_safe=True,
    suits=f"{BICUBIC}; {SMALL}",
    license="MIT",
    checkpoint="basicvsr-compact.safetensors",
    bundled=True,
    memory=Footprint(weights=1_800_588, pixel=201, frame_pixel=242, band_pixel=673),
    keys="65bd5d380d8de97d77856e450bbe013e8ad1fee723370df093c6e1789b6876de",
)

VRT_COMPACT = replace(
    VRT_REDS_6,
    model="vrt-compact",
    config=MappingProxyType(
        {"window_size": (6, 4, 4), "depths": (2,) * 7 + (1, 2), "indep_reconsts": (8,)}
        | {"embed_dims": (24,) * 9, "num_heads": (3,) * 9, "deformable_groups": 2, "tail_channels": 16}
        | {"flow": SMALL_FLOW}
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
    memory=Footprint(weights=2_947_416, fixed=51_200_000, frame_pixel=1_130),
    keys="599b92c8b40dc30a566b316cedbe675e761c7166631475810392d14db3f3e751",
)
MANA_COMPACT = replace(
    MANA,
    model="mana-compact",
    config=MappingProxyType(
        {"in_channels": 64, "encoder_nblocks": 3, "decoder_nblocks": 8, "half_channels": 32, "tail_channels": 16}
    ),
    suits=f"{BICUBIC}; attention to all pixels in place of flow, small but slow",
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
    config=MappingProxyType({"flow": SMALL_FLOW}),
    scale=1,
    multiple=4,
    align=4,
    min_size=64,  # flow, found at a quarter, sees 16
    overlap=5,
    half_safe=False,  # not measured
    sigma=10.0,
    suits=f"Gaussian noise of known strength, sigma up to 50; {SMALL}",
    checkpoint="denoise-compact.safetensors",
    memory=Footprint(weights=1_951_500, pixel=92, frame_pixel=78),
    keys="addf0951b0aee7e8ae292978bc432694835c5aa64e6c6425eb8a454172386b32",
)
DEBLUR_COMPACT = replace(
    DENOISE_COMPACT,
    task="deblur",
    model="deblur-compact",
    architecture="basicvsr_half:BasicVSRHalf",
    overlap=8,
    preview=8,  # fewer do not show whether frames are means of 5
    sigma=None,
    suits=f"frames that are means of 3 or 5, as where frames were blended; {SMALL}",
    checkpoint="deblur-compact.safetensors",
    memory=Footprint(weights=1_289_676, pixel=403, frame_pixel=69),
    keys="95854e0a941c3eb15517b50d456dc6a03b46b22a1fc257bfc9c957781e628c45",
)
TASKS = (COMPACT, VRT_COMPACT, MANA_COMPACT, DENOISE_COMPACT, DEBLUR_COMPACT, *PUBLISHED)
