"""The recipes by model: those of the papers for published networks, our own for the checkpoints that ship."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from vs_vrt.errors import ArgumentError
from vs_vrt.task import TaskRow
from vs_vrt.training.recipe import Phase, Recipe

# The papers begin with a flow network that is trained already. Here it learns alone first, at the rate of its own paper
# (SPyNet, arXiv 1611.00850, section 4); nothing else would teach it while the others know nothing either.
FLOW = Phase(iterations=5_000, learns="flow")
SPYNET_RATE = 1e-4

# BasicVSR and IconVSR (arXiv 2012.02181), section 4: REDS 15 frames, Vimeo-90K 7 that are mirrored to 14; Adam, cosine.
BASICVSR = Recipe(
    degradation="bicubic",
    phases=(FLOW, Phase(iterations=5_000, learns="all but flow"), Phase(iterations=295_000)),
    batch=8,
    num_frames=15,
    crop=(64, 64),
    learning_rate=2e-4,
    flow_rate=0.125,
    alone_rate=SPYNET_RATE,
)
BASICVSR_VIMEO = replace(BASICVSR, num_frames=7, mirror=True)
BASICVSR_VIMEO_BD = replace(BASICVSR_VIMEO, degradation="gaussian")

# BasicVSR++ (arXiv 2104.13371), section 4: 600,000 iterations on REDS, 300,000 on Vimeo-90K.
PLUSPLUS = replace(
    BASICVSR,
    phases=(FLOW, Phase(iterations=5_000, learns="all but flow"), Phase(iterations=595_000)),
    num_frames=30,
    learning_rate=1e-4,
    flow_rate=0.25,
)
PLUSPLUS_VIMEO = replace(PLUSPLUS, phases=BASICVSR.phases, num_frames=7, mirror=True)
PLUSPLUS_VIMEO_BD = replace(PLUSPLUS_VIMEO, degradation="gaussian")
# Of one size (arXiv 2204.05308 and 2104.13371, supplement): features have a quarter of it.
PLUSPLUS_DEBLUR = replace(PLUSPLUS_VIMEO, degradation="blur", num_frames=15, mirror=False, crop=(256, 256))
PLUSPLUS_DENOISE = replace(PLUSPLUS_DEBLUR, degradation="blind-noise")
PLUSPLUS_DECOMPRESS = replace(PLUSPLUS_DEBLUR, degradation="compression")

# RealBasicVSR (arXiv 2111.12704), section 4, first stage: L1 of frames and of cleaned frames. The second one, which
# invents detail against a discriminator, is not built.
REALBASICVSR = replace(
    BASICVSR,
    degradation="real",
    phases=(FLOW, Phase(iterations=300_000)),
    batch=16,
    mirror=True,
    learning_rate=1e-4,
    schedule="constant",
    flow_rate=1.0,
    epsilon=0.0,
)

# VRT (arXiv 2201.12288), section 4.1, and the options of its released training: 300,000 iterations, flow (there,
# deformable convolutions too) at rest for the first 20,000, then at an eighth of the rate. The Charbonnier loss adds
# 1e-9 to the squared error, and no average of the weights is taken.
VRT = Recipe(
    degradation="bicubic",
    phases=(FLOW, Phase(iterations=20_000, learns="all but flow"), Phase(iterations=280_000)),
    batch=8,
    num_frames=6,
    crop=(64, 64),
    learning_rate=4e-4,
    flow_rate=0.125,
    alone_rate=SPYNET_RATE,
    epsilon=1e-9**0.5,
    ema=0.0,
)
VRT_VIMEO = replace(VRT, num_frames=7, mirror=True)
VRT_DEBLUR = replace(VRT, degradation="blur", crop=(192, 192))
# Four frames, two apart; the truth is the one between them.
VRT_BETWEEN = replace(VRT_DEBLUR, degradation="between", phases=(Phase(iterations=300_000),), num_frames=7)

# MANA (arXiv 2108.11048), section 4, and the options of its released training: all but the memory, then the memory
# alone, then everything. How long the last stage goes on, and of how many crops a batch is, are not known.
MANA = Recipe(
    degradation="bicubic",
    phases=(
        Phase(iterations=90_000, learns="all but memory"),
        Phase(iterations=30_000, learns="memory"),
        Phase(iterations=30_000),
    ),
    batch=8,
    num_frames=7,
    crop=(64, 64),
    learning_rate=1e-4,
    betas=(0.5, 0.999),
    schedule="constant",
    epsilon=0.0,
)

# Small networks, and hours rather than weeks: Muon, larger rates, and a schedule that may be cut short. Flow learns
# well first, as what follows would learn to do without a bad one, or is lent by the network that did, and at the end by
# small steps.
COMPACT = Recipe(
    degradation="bicubic",
    phases=(
        Phase(iterations=4_000, learns="flow", crop=(64, 80), num_frames=2, pan=48),
        Phase(iterations=4_500, learns="all but flow"),
        Phase(iterations=2_500),
    ),
    batch=2,
    num_frames=7,
    crop=(32, 64),
    learning_rate=1e-3,
    muon_rate=0.01,
    schedule="trapezoid",
    warm_up=100,
    flow_rate=0.025,
    gradient_norm=1.0,
)
DENOISE_COMPACT = replace(
    COMPACT,
    degradation="known-noise",
    batch=1,  # of large crops
    crop=(128, 128),
    patterns=0.15,
    picture=0.01,
    muon_rate=0.005,
    phases=(
        Phase(iterations=4_000, learns="flow", crop=(256, 256), num_frames=3, pan=32),  # it is found in a quarter of it
        Phase(iterations=5_000, learns="all but flow"),  # the filter passes flow no gradients
    ),
)
DEBLUR_COMPACT = replace(
    DENOISE_COMPACT,
    degradation="blur",
    num_frames=17,  # enough to tell what they are means of
    crop=(64, 96),
    epsilon=0.01,  # most frames are all but right: where every pixel counts alike, a network learns to stay at rest
    learning_rate=5e-4,
    muon_rate=0.002,
    phases=(Phase(iterations=3_000, learns="all but flow"), Phase(iterations=3_000)),
    lent_flow=True,
)
VRT_COMPACT = replace(
    COMPACT,
    batch=1,
    num_frames=6,
    learning_rate=5e-4,
    muon_rate=0.002,
    picture=0.01,
    steady=0.5,  # it learns detail from neighbours long before it learns to draw the same from all of them
    phases=(Phase(iterations=4_000, learns="all but flow"), Phase(iterations=2_500)),
    lent_flow=True,
)
MANA_COMPACT = replace(
    COMPACT,
    batch=1,
    num_frames=9,  # three have three on either side
    crop=(32, 32),  # attention between all pixels: the cost of a step grows with the square of their number
    learning_rate=5e-4,
    muon_rate=0.002,
    picture=0.01,
    phases=(
        Phase(iterations=1_000, learns="attention", num_frames=7, pan=24),
        Phase(iterations=2_500, learns="all but memory", pan=24),
        Phase(iterations=500, learns="memory", pan=24),
        Phase(iterations=1_000, pan=24),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "basicvsr-compact": COMPACT,
        "denoise-compact": DENOISE_COMPACT,
        "deblur-compact": DEBLUR_COMPACT,
        "vrt-compact": VRT_COMPACT,
        "mana-compact": MANA_COMPACT,
        "basicvsr": BASICVSR,
        "basicvsr-vimeo": BASICVSR_VIMEO,
        "basicvsr-vimeo-bd": BASICVSR_VIMEO_BD,
        "iconvsr": BASICVSR,
        "iconvsr-vimeo": BASICVSR_VIMEO,
        "iconvsr-vimeo-bd": BASICVSR_VIMEO_BD,
        "basicvsrpp": PLUSPLUS,
        "basicvsrpp-vimeo": PLUSPLUS_VIMEO,
        "basicvsrpp-vimeo-bd": PLUSPLUS_VIMEO_BD,
        "basicvsrpp-ntire": PLUSPLUS,
        "basicvsrpp-gopro": PLUSPLUS_DEBLUR,
        "basicvsrpp-dvd": PLUSPLUS_DEBLUR,
        "basicvsrpp-denoise": PLUSPLUS_DENOISE,
        "basicvsrpp-track1": PLUSPLUS_DECOMPRESS,
        "basicvsrpp-track2": PLUSPLUS_DECOMPRESS,
        "basicvsrpp-track3": PLUSPLUS_DECOMPRESS,
        "realbasicvsr": REALBASICVSR,
        "realbasicvsr-wogan": REALBASICVSR,
        "mana": MANA,
        "vrt-reds-6": VRT,
        "vrt-reds-16": replace(VRT, num_frames=16),
        "vrt-vimeo": VRT_VIMEO,
        "vrt-vimeo-bd": replace(VRT_VIMEO, degradation="gaussian"),
        "vrt-gopro": VRT_DEBLUR,
        "vrt-dvd": VRT_DEBLUR,
        "vrt-reds": VRT_DEBLUR,
        "vrt-davis": replace(VRT_DEBLUR, degradation="noise"),
        "vrt-vfi": VRT_BETWEEN,
    }
)


def recipe_of(row: TaskRow) -> Recipe:
    """How a row's network is trained. Raises `ArgumentError` where nobody has said that."""
    if row.model not in RECIPES:
        raise ArgumentError(f"there is no recipe for model {row.model} yet; `vs_vrt/training/recipes.py`")
    return RECIPES[row.model]
