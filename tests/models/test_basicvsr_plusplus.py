from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.golden_vectors import component, component_tolerance, error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models import basicvsr_plusplus, blocks
from vs_vrt.models.basicvsr_plusplus import BasicVSRPlusPlus, BasicVSRPlusPlusConfig, SecondOrderDeformableAlignment
from vs_vrt.ops import deform_warp

CONFIGS = {
    "basicvsrpp_mm_c16b2_sr4": BasicVSRPlusPlusConfig(mid_channels=16, num_blocks=2),
    "basicvsrpp_mm_c16b2_same": BasicVSRPlusPlusConfig(mid_channels=16, num_blocks=2, is_low_res_input=False),
}
X4, SAME = CONFIGS
type Golden = Callable[[], tuple[float, float]]


def golden_error(name: str, keep: range | None = None) -> tuple[float, float]:
    tensors, metadata = load(name)
    model = fill(BasicVSRPlusPlus(CONFIGS[name]), metadata)
    kept = keep or range(tensors["output"].shape[1])
    with torch.no_grad():
        restored = model(tensors["input"], kept)
    return error(restored, tensors["output"][:, kept.start : kept.stop]), tolerance(metadata)


def mutated_error(name: str) -> tuple[float, float]:
    """One frame is enough to tell."""
    return golden_error(name, range(1))


def alignment_error() -> tuple[float, float]:
    inputs, weights, outputs, _ = component("comp_basicvsrpp_second_order_align")
    model = SecondOrderDeformableAlignment(16, 8, 4)
    model.load_state_dict(weights)
    with torch.no_grad():
        found = model(*(inputs[name] for name in ("x", "extra_feat", "flow_1", "flow_2")))
    return error(found, outputs["0"]), component_tolerance(outputs["0"])


@pytest.mark.parametrize("name", CONFIGS)
def test_golden(name: str) -> None:
    found, allowed = golden_error(name)
    assert found <= allowed


def test_golden_of_the_alignment() -> None:
    found, allowed = alignment_error()
    assert found <= allowed


@pytest.mark.parametrize("name", CONFIGS)
def test_golden_has_teeth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "lrelu", lambda x: F.leaky_relu(x, 0.01))
    found, allowed = mutated_error(name)
    assert found > 100 * allowed


def flows_as_they_are(self: SecondOrderDeformableAlignment, *inputs: Tensor) -> Tensor:
    x, condition, flow, far = inputs
    return FORWARD(self, x, condition, flow.flip(1), far.flip(1))


FORWARD = SecondOrderDeformableAlignment.forward
WRONG_ALIGNMENTS: dict[str, Callable[..., Tensor]] = {
    "offsets as (dx, dy)": flows_as_they_are,
    "flows swapped": lambda self, x, condition, flow, far: FORWARD(self, x, condition, far, flow),
    "states swapped": lambda self, x, *rest: FORWARD(self, x.roll(x.shape[1] // 2, 1), *rest),
    "first order": lambda self, x, *rest: FORWARD(self, x.tensor_split(2, 1)[0].repeat(1, 2, 1, 1), *rest),
}
ALIGNING = (alignment_error, partial(mutated_error, X4))


@pytest.mark.parametrize("aligning", ALIGNING)
@pytest.mark.parametrize("wrong", WRONG_ALIGNMENTS)
def test_golden_needs_the_alignment(wrong: str, aligning: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecondOrderDeformableAlignment, "forward", WRONG_ALIGNMENTS[wrong])
    found, allowed = aligning()
    assert found > 100 * allowed


@pytest.mark.parametrize("aligning", ALIGNING)
def test_golden_needs_the_reach_of_offsets(aligning: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basicvsr_plusplus, "MAX_RESIDUE", 9)
    found, allowed = aligning()
    assert found > 100 * allowed


def test_golden_needs_the_bicubic_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basicvsr_plusplus, "shrink", lambda video: video[..., 1::4, 1::4])
    found, allowed = mutated_error(SAME)
    assert found > 100 * allowed


@pytest.mark.parametrize(
    ("channels", "blocks", "is_low_res_input", "parameters", "digest"),
    [
        (64, 7, True, 7_322_927, "ba4acc83532210180ad52093756fb4c87338b9cd1b73eaead7d2842ae8796d98"),
        (128, 25, True, 43_780_463, "a9edd6da228908a5259076bea9942dba85f08ba4c45e6d42ac3c73fba1ef5385"),
        (128, 25, False, 44_075_631, "975c3f20d71885f5cad6d5c6db96e7ad67408a973f8a7a6a511af5cc8c6947a8"),
        (64, 15, False, 9_760_175, "ac3d71ae0bfa2f97bfa3f9444873f330fd9666ea932bfb43899650054a9d2eb4"),
    ],
)
def test_published_keys(channels: int, blocks: int, is_low_res_input: bool, parameters: int, digest: str) -> None:
    config = BasicVSRPlusPlusConfig(mid_channels=channels, num_blocks=blocks, is_low_res_input=is_low_res_input)
    with torch.device("meta"):
        model = BasicVSRPlusPlus(config)
    assert key_hash(shapes(model)) == digest
    assert sum(p.numel() for p in model.parameters()) == parameters


def small(is_low_res_input: bool) -> BasicVSRPlusPlus:
    torch.manual_seed(0)
    config = BasicVSRPlusPlusConfig(mid_channels=8, num_blocks=1, is_low_res_input=is_low_res_input)
    return BasicVSRPlusPlus(config).eval()


@pytest.mark.parametrize("is_low_res_input", [True, False])
def test_channels_last_and_batches_change_nothing(is_low_res_input: bool) -> None:
    model, video = small(is_low_res_input), torch.rand(1, 4, 3, 12, 20)
    with torch.no_grad():
        alone = model(video)
        both = model.to(memory_format=torch.channels_last)(torch.cat([video, video.flip(1)]))
    assert error(both[:1], alone) < 1e-5


@pytest.mark.parametrize("is_low_res_input", [True, False])
def test_kept_frames_are_those_of_the_whole(is_low_res_input: bool) -> None:
    model, video = small(is_low_res_input), torch.rand(1, 6, 3, 12, 20)
    with torch.no_grad():
        whole = model(video)
        for keep in (range(2, 5), range(1), range(5, 6)):
            assert torch.equal(model(video, keep), whole[:, keep.start : keep.stop])


def test_a_video_leaves_no_trace_in_the_next() -> None:
    """One that is its own mirror image must not make the network reuse flows."""
    model, video = small(True), torch.rand(1, 3, 3, 12, 20)
    with torch.no_grad():
        before = model(video)
        model(torch.cat([video, video.flip(1)], dim=1))
        assert torch.equal(model(video), before)


@pytest.mark.parametrize(
    ("is_low_res_input", "shape"),
    [(True, (1, 3, 1, 1)), (True, (2, 3, 5, 40)), (True, (4, 3, 17, 3)), (False, (1, 3, 4, 4)), (False, (3, 3, 8, 36))],
)
def test_any_size_and_a_single_frame(is_low_res_input: bool, shape: tuple[int, ...]) -> None:
    t, _, h, w = shape
    scale = 4 if is_low_res_input else 1
    with torch.no_grad():
        assert small(is_low_res_input)(torch.rand(1, *shape)).shape == (1, t, 3, scale * h, scale * w)


def test_flows_and_offsets_are_float32_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    deform_conv, flow_warp, types = deform_warp.deform_conv, basicvsr_plusplus.flow_warp, set()

    def align(x: Tensor, offset: Tensor, *rest: Tensor, padding: int) -> Tensor:
        types.add(offset.dtype)
        return deform_conv(x, offset, *rest, padding=padding)

    def warp(x: Tensor, flow: Tensor) -> Tensor:
        types.add(flow.dtype)
        return flow_warp(x, flow)

    monkeypatch.setattr(deform_warp, "deform_conv", align)
    monkeypatch.setattr(basicvsr_plusplus, "flow_warp", warp)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        restored = small(False)(torch.rand(1, 3, 3, 8, 12))
    assert types == {torch.float32}
    assert restored.dtype == torch.float32


def test_every_weight_learns() -> None:
    """No operation in place spoils the gradients."""
    model = small(True)
    model(torch.rand(1, 3, 3, 8, 12)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
