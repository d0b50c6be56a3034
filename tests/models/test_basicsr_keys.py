import json
import re
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from tests.golden_vectors import error, is_constant, key_hash, load, seeded, shapes, tolerance
from vs_vrt.models.basicsr_keys import mmediting_key
from vs_vrt.models.basicvsr import BasicVSR, BasicVSRConfig
from vs_vrt.models.basicvsr_plusplus import BasicVSRPlusPlus, BasicVSRPlusPlusConfig
from vs_vrt.models.edvr import EDVRFeatureExtractor
from vs_vrt.models.iconvsr import IconVSR, IconVSRConfig
from vs_vrt.models.spynet import SpyNet, SpyNetConfig

# The other way round, part by part.
PARTS = {
    "_resblocks.": "_trunk.",
    "upsample1.upsample_conv.": "upconv1.",
    "upsample2.upsample_conv.": "upconv2.",
    "feat_l2_conv": "conv_l2_",
    "feat_l3_conv": "conv_l3_",
    "pcd_alignment.": "pcd_align.",
    ".conv.": ".",
}


def basicsr_key(key: str) -> str:
    key = re.sub(r"(\d)\.conv\.", lambda found: f"{2 * int(found[1])}.", key) if "basic_module" in key else key
    for part, other in PARTS.items():
        key = key.replace(part, other)
    return key


def build(network: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return network()


# sha256 of the keys and shapes of BasicSR's own networks.
PUBLISHED: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "spynet": ("3063bf69c22cd0d29b3c24b8b41a73416ee485ba293a6ec608574cd741c00dbd", SpyNet),
    "basicvsr f64b30": ("58dd55111094e287869e85f200ea409ca70295dc71bc0fd90610d455e39e25a1", BasicVSR),
    "iconvsr f64b30 pad2": ("af1f31677ca7c8b3a65f4bce5df0740876389c7ffaf4cce1f34003542c05c071", IconVSR),
    "iconvsr f64b30 pad3": (
        "dd8645a476fc4cb4d201aa9d1ef930206cff9c54606c7ee277ea98628c0c81b7",
        lambda: IconVSR(IconVSRConfig(padding=3)),
    ),
    "edvr-m 5f": ("1a9bb1a9a78e6a8b9e79e730a2f4164697215ee139c5288b44c123914d1c2da1", EDVRFeatureExtractor),
    "basicvsr++ c64n7 x4": ("cff5dc1511aabdc8a7c959e5629b53979ff8335a1eed8c361dcc0697e8df7343", BasicVSRPlusPlus),
    "basicvsr++ c64n15 same size": (
        "8127375de2460e478b2661287de843a57d097eaf375b95c0a3b3dc3e54ec0b20",
        lambda: BasicVSRPlusPlus(BasicVSRPlusPlusConfig(num_blocks=15, is_low_res_input=False)),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_keys(name: str) -> None:
    digest, network = PUBLISHED[name]
    wanted = shapes(build(network))
    theirs = {basicsr_key(key): shape for key, shape in wanted.items()}
    assert key_hash(theirs) == digest
    assert {mmediting_key(key): shape for key, shape in theirs.items()} == wanted


@pytest.mark.parametrize("name", PUBLISHED)
def test_our_own_keys_stay(name: str) -> None:
    wanted = shapes(build(PUBLISHED[name][1]))
    assert [mmediting_key(key) for key in wanted] == list(wanted)


def test_the_flow_network_with_basicsr_keys() -> None:
    theirs = build(lambda: SpyNet(SpyNetConfig(keys="basicsr"))).state_dict()
    assert {mmediting_key(key) for key in theirs} == shapes(build(SpyNet)).keys()


GOLDEN: dict[str, nn.Module] = {
    "basicvsr_basicsr_f16b2": BasicVSR(BasicVSRConfig(mid_channels=16, num_blocks=2)),
    "iconvsr_basicsr_f64b2_pad2": IconVSR(IconVSRConfig(num_blocks=2)),
    "spynet_basicsr_40x56": SpyNet(),
}


def checkpoint(model: nn.Module, metadata: Mapping[str, str]) -> dict[str, Tensor]:
    """The seeded weights under BasicSR's names, by which they are seeded."""
    wanted = {basicsr_key(key): value for key, value in model.state_dict().items()}
    seed = int(metadata["weight_seed"])
    weights = {key: seeded(key, tuple(value.shape), seed) for key, value in wanted.items() if not is_constant(key)}
    total = sum(float(value.double().sum()) for value in weights.values())
    assert abs(total - json.loads(metadata["weight_check"])["sum"]) < 1e-6
    return wanted | weights


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    model = GOLDEN[name].eval()
    tensors, metadata = load(name)
    model.load_state_dict({mmediting_key(key): value for key, value in checkpoint(model, metadata).items()})
    video = tensors["input"]
    with torch.no_grad():
        restored = model(video[:, 0], video[:, 1]) if isinstance(model, SpyNet) else model(video)
    assert error(restored, tensors["output"]) <= tolerance(metadata)


def test_weights_under_either_name_are_one_network() -> None:
    networks = [IconVSR(IconVSRConfig(mid_channels=8, num_blocks=1)).eval() for _ in range(2)]
    ours = networks[0].state_dict()
    theirs = {basicsr_key(key): value for key, value in ours.items()}
    assert len(ours.keys() & theirs.keys()) < len(ours) / 2
    networks[1].load_state_dict({mmediting_key(key): value for key, value in theirs.items()})
    video = torch.rand(1, 5, 3, 8, 12)
    with torch.no_grad():
        assert torch.equal(networks[0](video), networks[1](video))
