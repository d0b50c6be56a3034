"""What BasicSR calls the layers and the checkpoints of the BasicVSR family, which mmediting names differently."""

import re

# Each row rewrites a part of a key; several may apply to one. mmediting wraps a convolution that has an activation.
RENAMES = (
    # BasicSR counts SpyNet's activations between the convolutions.
    *((rf"(basic_module\.\d\.basic_module)\.{2 * i}\.(weight|bias)$", rf"\1.{i}.conv.\2") for i in range(5)),
    (r"^(backward|forward)_trunk\.", r"\1_resblocks."),
    (r"^upconv([12])\.", r"upsample\1.upsample_conv."),
    (r"^(edvr\.)?conv_l([23])_([12])\.", r"\1feat_l\2_conv\3.conv."),
    (r"^(edvr\.)?pcd_align\.", r"\1pcd_alignment."),
    (r"\.(offset_conv\d\.l\d|feat_conv\.l\d|cas_offset_conv\d)\.(weight|bias)$", r".\1.conv.\2"),
    (r"(fusion\.(?:feat_fusion|spatial_attn(?:[1-4]|_l[1-3]|_add1)))\.(weight|bias)$", r"\1.conv.\2"),
)

# Its files, which it trained anew: the model of the task table that each is of.
FILES = {
    "BasicVSR_REDS4-543c8261.pth": "basicvsr",
    "BasicVSR_Vimeo90K_BIx4-2a29695a.pth": "basicvsr-vimeo",
    "BasicVSR_Vimeo90K_BDx4-e9bf46eb.pth": "basicvsr-vimeo-bd",
    "IconVSR_REDS-aaa5367f.pth": "iconvsr",
    "IconVSR_Vimeo90K_BIx4-35fec07c.pth": "iconvsr-vimeo",
    "IconVSR_Vimeo90K_BDx4-cfcb7e00.pth": "iconvsr-vimeo-bd",
}


def mmediting_key(key: str) -> str:
    """The name that a tensor of BasicVSR, IconVSR, BasicVSR++, EDVR or SpyNet has here; mmediting's own stay."""
    for pattern, replacement in RENAMES:
        key = re.sub(pattern, replacement, key)
    return key
