"""Rows of the networks that others published: their files, where those are, and what is known of them."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from vs_vrt.task import Footprint, TaskRow

OPENMMLAB = "https://download.openmmlab.com/mmediting/restorers"
VRT_RELEASE = "https://github.com/JingyunLiang/VRT/releases/download/v0.0"
DROPBOX = "https://www.dropbox.com/sh/gopo637rbutlxde/AACGnXDlvQMjwfCey3m2g34za?dl=0"  # the authors' folder

BICUBIC = "clean footage, downscaled by bicubic x4"
BI_REDS = f"{BICUBIC}; moving camera (REDS)"
BI_VIMEO = f"{BICUBIC}; everyday life (Vimeo-90K)"
BD_VIMEO = "clean footage, blurred (Gaussian, sigma 1.6) and downsampled x4; everyday life (Vimeo-90K)"
GOPRO = "motion blur, averaged from 240 frames/s (GoPro)"
DVD = "motion blur of cameras in the hand (DVD)"
REAL = "real footage with blur, noise and compression"
HEVC = "strong HEVC compression"


def sibling(row: TaskRow, model: str, checkpoint: str, suits: str, **facts: Any) -> TaskRow:
    """The row of another file in the same folder of the server; OpenMMLab ends names with digits of the sha256."""
    url = row.url and row.url.removesuffix(row.checkpoint) + checkpoint
    digits = checkpoint[-12:-4] if row.sha256 else ""
    return replace(row, model=model, checkpoint=checkpoint, suits=suits, url=url, sha256=digits, **facts)


BASICVSR = TaskRow(
    task="sr4",
    model="basicvsr",
    architecture="basicvsr:BasicVSR",
    scale=4,
    length=30,
    overlap=5,
    half_safe=True,
    suits=BI_REDS,
    license="Apache-2.0",
    checkpoint="basicvsr_reds4_20120409-0e599677.pth",
    url=f"{OPENMMLAB}/basicvsr/basicvsr_reds4_20120409-0e599677.pth",
    size=25_165_268,
    sha256="0e599677",
    memory=Footprint(weights=25_165_268, pixel=692, frame_pixel=271, band_pixel=7_850),
    keys="c542177d5193ffb83bfdf0fd5458014cee2a9c021283556b1c577082544693d7",
)

ICONVSR = replace(
    BASICVSR,
    model="iconvsr",
    architecture="iconvsr:IconVSR",
    num_frames=5,  # a keyframe, and what its padding reaches on both sides
    min_size=4,
    align=4,
    stride=5,  # of keyframes
    checkpoint="iconvsr_reds4_20210413-9e09d621.pth",
    url=f"{OPENMMLAB}/iconvsr/iconvsr_reds4_20210413-9e09d621.pth",
    size=34_779_988,
    sha256="9e09d621",
    memory=Footprint(weights=34_779_988, pixel=1_180, frame_pixel=306, band_pixel=9_060),
    keys="b4b0e677b9227a62e43d4ecb4f72416752d314f283c380a60b54a739e4fab6b8",
)
ICONVSR_VIMEO = sibling(
    ICONVSR,
    "iconvsr-vimeo",
    "iconvsr_vimeo90k_bi_20210413-7c7418dc.pth",
    BI_VIMEO,
    config=MappingProxyType({"padding": 3}),
    num_frames=7,
    size=34_845_524,
    memory=Footprint(weights=34_845_524, pixel=1_180, frame_pixel=306, band_pixel=9_060),
    keys="f3843a59357460b80b0c557ebfc13e24124aea27194b363afb87f7c016113225",
)

PLUSPLUS = replace(
    BASICVSR,
    model="basicvsrpp",
    architecture="basicvsr_plusplus:BasicVSRPlusPlus",
    half_safe=False,  # not measured
    checkpoint="basicvsr_plusplus_c64n7_8x1_600k_reds4_20210217-db622b2f.pth",
    url=f"{OPENMMLAB}/basicvsr_plusplus/basicvsr_plusplus_c64n7_8x1_600k_reds4_20210217-db622b2f.pth",
    size=29_291_732,
    sha256="db622b2f",
    memory=Footprint(weights=29_291_732, pixel=4_600, frame_pixel=1_020, band_pixel=9_580),
    keys="ecc6e73b071d020764a1c214767542b7a3bf1b5c963cb656b835c6d8f01e0e7e",
)
PLUSPLUS_TRACK1 = sibling(
    PLUSPLUS,
    "basicvsrpp-track1",
    "basicvsr_plusplus_c128n25_ntire_decompress_track1_20210223-7b2eba02.pth",
    f"{HEVC} at a constant quantiser; true to the source (NTIRE 2021, track 1)",
    task="decompress",
    config=MappingProxyType({"mid_channels": 128, "num_blocks": 25, "is_low_res_input": False}),
    scale=1,
    multiple=4,
    align=4,
    min_size=64,  # the published code insists on 256, so that flow, found at a quarter, sees 64; ours needs no more
    size=176_302_548,
    memory=Footprint(weights=176_302_548, pixel=408, frame_pixel=161),
    keys="8a8a95b6ac74eb6ff27c17e846dd165b2bf950eadd6cb38ac900f811e598f3a2",
)
PLUSPLUS_GOPRO = replace(
    PLUSPLUS_TRACK1,
    task="deblur",
    model="basicvsrpp-gopro",
    config=MappingProxyType({"num_blocks": 15, "is_low_res_input": False}),
    suits=GOPRO,
    checkpoint="basicvsr_plusplus_deblur_gopro-3c5bb9b5.pth",
    url="",
    page=DROPBOX,
    size=39_040_724,
    sha256="3c5bb9b5",
    memory=Footprint(weights=39_040_724, pixel=446, frame_pixel=96),
    keys="eb1a5e4c4e10ec5a2ac0f659172b7a8d81f4cbc98fffe8c5a07a3982337b2eab",
)

REALBASICVSR = replace(
    BASICVSR,
    model="realbasicvsr",
    architecture="realbasicvsr:RealBasicVSR",
    half_safe=False,  # not measured
    suits=f"{REAL}; invents detail (GAN)",
    checkpoint="realbasicvsr_c64b20_1x30x8_lr5e-5_150k_reds_20211104-52f77c2c.pth",
    url=f"{OPENMMLAB}/real_basicvsr/realbasicvsr_c64b20_1x30x8_lr5e-5_150k_reds_20211104-52f77c2c.pth",
    size=148_239_017,  # with the networks that trained it
    sha256="52f77c2c",
    memory=Footprint(weights=25_179_360, pixel=671, frame_pixel=272, band_pixel=9_050, shared=12),  # cleaned frames
    keys="4a958794c3240898eb415f076c608bffd669db491e85dc53e680d1ef61a9184f",
)

MANA = TaskRow(
    task="sr4",
    model="mana",
    architecture="mana:MANA",
    scale=4,
    length=10,
    overlap=3,  # exact: no frame looks further
    half_safe=False,
    suits=f"{BICUBIC}; bring a checkpoint of your own, none was published",
    license="MIT",
    checkpoint="mana.pth",
    size=124_378_896,
    memory=Footprint(weights=57_270_032, fixed=39_300_000, pixel=6_830, band_pixel=3_010),
    keys="477acaad67cb90b341486e9d4649ef65824ab64b71d35776a73541e9b6b59c4b",
)

# No sum of VRT's files was published: they are known by their keys. In half precision it was never measured.
VRT_REDS_6 = TaskRow(
    task="sr4",
    model="vrt-reds-6",
    architecture="vrt:VRT",
    scale=4,
    num_frames=2,
    multiple=8,
    min_size=64,
    align=64,  # the attention windows of the coarsest scale, in pixels
    sharing="blended",
    length=12,
    overlap=2,
    published=(40, 2, 128, 20),
    half_safe=False,
    suits=f"{BI_REDS}; faster than vrt-reds-16",
    license="CC BY-NC 4.0",
    checkpoint="001_VRT_videosr_bi_REDS_6frames.pth",
    url=f"{VRT_RELEASE}/001_VRT_videosr_bi_REDS_6frames.pth",
    size=158 << 20,
    memory=Footprint(weights=165_152_612, fixed=189_000_000, frame_pixel=5_500),
    keys="38cd9e45afec0324eda3bc664d6294ee8194e4c13b41fd26c1a41d14296a7e3d",
)
VRT_REDS_16 = sibling(
    VRT_REDS_6,
    "vrt-reds-16",
    "002_VRT_videosr_bi_REDS_16frames.pth",
    BI_REDS,
    config=MappingProxyType({"window_size": (8, 8, 8), "pa_frames": 6, "deformable_groups": 24}),
    num_frames=4,
    length=16,  # twice the frames that attention spans
    size=201 << 20,
    memory=Footprint(weights=210_511_124, fixed=367_000_000, frame_pixel=5_690),
    keys="f0532a5e07f988337b23a76fae74b02ed149c74b0bb68b1e7eed76ca0d212799",
)
VRT_VIMEO = sibling(
    VRT_REDS_16,
    "vrt-vimeo",
    "003_VRT_videosr_bi_Vimeo_7frames.pth",
    BI_VIMEO,
    config=MappingProxyType({"window_size": (8, 8, 8), "pa_frames": 4, "deformable_groups": 16}),
    num_frames=3,
    published=(32, 2, 128, 20),
    size=191 << 20,
    memory=Footprint(weights=200_283_956, fixed=256_000_000, frame_pixel=5_500),
    keys="0eba4a50ecb9eb39ef601a43b836f7e5f05319d57a745224b2de1176a117284b",
)
SAME = MappingProxyType(
    {"upscale": 1, "indep_reconsts": (9, 10), "num_heads": (6,) * 11, "deformable_groups": 16}
    | {"depths": (8,) * 7 + (4,) * 4, "embed_dims": (96,) * 7 + (120,) * 4}
)
VRT_GOPRO = sibling(
    VRT_REDS_6,
    "vrt-gopro",
    "006_VRT_videodeblurring_GoPro.pth",
    GOPRO,
    task="deblur",
    config=SAME,
    scale=1,
    published=(18, 2, 192, 20),
    size=102 << 20,
    memory=Footprint(weights=106_031_668, fixed=273_000_000, frame_pixel=3_760),
    keys="6279d9c00189417d4b3838291767cf0b640719e97a6983c24a1b57aff91a964e",
)
TWELVE = (12, 2, 256, 20)

PUBLISHED = (
    VRT_REDS_16,
    VRT_REDS_6,
    VRT_VIMEO,
    sibling(VRT_VIMEO, "vrt-vimeo-bd", "004_VRT_videosr_bd_Vimeo_7frames.pth", BD_VIMEO),
    BASICVSR,
    sibling(BASICVSR, "basicvsr-vimeo", "basicvsr_vimeo90k_bi_20210409-d2d8f760.pth", BI_VIMEO),
    sibling(BASICVSR, "basicvsr-vimeo-bd", "basicvsr_vimeo90k_bd_20210409-0154dd64.pth", BD_VIMEO),
    ICONVSR,
    ICONVSR_VIMEO,
    sibling(ICONVSR_VIMEO, "iconvsr-vimeo-bd", "iconvsr_vimeo90k_bd_20210414-5f38cb34.pth", BD_VIMEO),
    PLUSPLUS,
    sibling(
        PLUSPLUS, "basicvsrpp-vimeo", "basicvsr_plusplus_c64n7_8x1_300k_vimeo90k_bi_20210305-4ef437e2.pth", BI_VIMEO
    ),
    sibling(
        PLUSPLUS, "basicvsrpp-vimeo-bd", "basicvsr_plusplus_c64n7_8x1_300k_vimeo90k_bd_20210305-ab315ab1.pth", BD_VIMEO
    ),
    sibling(
        PLUSPLUS,
        "basicvsrpp-ntire",
        "basicvsr_plusplus_c128n25_ntire_vsr_20210311-1ff35292.pth",
        f"{BI_REDS}; six times as large as basicvsrpp (NTIRE 2021)",
        config=MappingProxyType({"mid_channels": 128, "num_blocks": 25}),
        size=175_121_876,
        memory=Footprint(weights=175_121_876, pixel=4_440, frame_pixel=2_250, band_pixel=6_140),
        keys="6cfaa6e929959474fef0b546d2f7b0a75beb87c27d7630f223c868e05497b631",
    ),
    REALBASICVSR,
    sibling(
        REALBASICVSR,
        "realbasicvsr-wogan",
        "realbasicvsr_wogan_c64b20_2x30x8_lr1e-4_300k_reds_20211027-0e2ff207.pth",
        f"{REAL}; smooth, invents nothing",
        size=25_179_360,
    ),
    MANA,
    VRT_GOPRO,
    sibling(VRT_GOPRO, "vrt-dvd", "005_VRT_videodeblurring_DVD.pth", DVD, published=TWELVE),
    sibling(
        VRT_GOPRO,
        "vrt-reds",
        "007_VRT_videodeblurring_REDS.pth",
        "motion blur of a moving camera (REDS)",
        published=TWELVE,
    ),
    PLUSPLUS_GOPRO,
    sibling(PLUSPLUS_GOPRO, "basicvsrpp-dvd", "basicvsr_plusplus_deblur_dvd-ecd08b7f.pth", DVD),
    sibling(
        VRT_GOPRO,
        "vrt-davis",
        "008_VRT_videodenoising_DAVIS.pth",
        "Gaussian noise of known strength, sigma up to 50 (DAVIS)",
        task="denoise",
        config=MappingProxyType(SAME | {"nonblind_denoising": True}),
        sigma=10.0,
        published=TWELVE,
        memory=Footprint(weights=106_035_124, fixed=239_000_000, frame_pixel=3_750),
        keys="33ea6f0bebb9dbf30d82b5d09009b4799c9f362253be1f0cb7f807d42bf4d88f",
    ),
    sibling(
        PLUSPLUS_GOPRO,
        "basicvsrpp-denoise",
        "basicvsr_plusplus_denoise-28f6920c.pth",
        "Gaussian noise of unknown strength, sigma up to 50",
        task="denoise",
    ),
    PLUSPLUS_TRACK1,
    sibling(
        PLUSPLUS_TRACK1,
        "basicvsrpp-track2",
        "basicvsr_plusplus_c128n25_ntire_decompress_track2_20210314-eeae05e6.pth",
        f"{HEVC} at a constant quantiser; pleasing rather than true (NTIRE 2021, track 2)",
    ),
    sibling(
        PLUSPLUS_TRACK1,
        "basicvsrpp-track3",
        "basicvsr_plusplus_c128n25_ntire_decompress_track3_20210304-6daf4a40.pth",
        f"{HEVC} at a constant bit rate; true to the source (NTIRE 2021, track 3)",
    ),
    sibling(
        VRT_GOPRO,
        "vrt-vfi",
        "009_VRT_videofi_Vimeo_4frames.pth",
        "any footage; one new frame between each two (Vimeo-90K)",
        task="vfi",
        config=MappingProxyType(
            SAME | {"window_size": (4, 8, 8), "indep_reconsts": (), "pa_frames": 0, "num_frames": 4}
        ),
        gives="between",
        num_frames=4,
        published=None,
        sharing="segments",
        length=10,
        overlap=3,  # exact: no new frame looks further
        size=62_495_130,
        memory=Footprint(weights=62_039_404, fixed=34_900_000, frame_pixel=4_340),
        keys="355897fb8fbb5ab7aefda52a89af77293ee1cc5c43d5108c5fc3c22cf7c60831",
    ),
)
