from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.golden_vectors import component, component_tolerance, error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models import edvr
from vs_vrt.models.edvr import EDVRConfig, EDVRFeatureExtractor, PCDAlignment, TSAFusion

type Golden = Callable[[], tuple[float, float]]


def extractor_error() -> tuple[float, float]:
    tensors, metadata = load("edvr_feature_extractor_mm_5f")
    model = fill(EDVRFeatureExtractor(), metadata)
    with torch.no_grad():
        return error(model(tensors["input"]), tensors["output"]), tolerance(metadata)


def alignment_error() -> tuple[float, float]:
    inputs, weights, outputs, _ = component("comp_edvr_pcd")
    model = PCDAlignment(16, 4)
    model.load_state_dict(weights)
    neighbour, reference = ([inputs[f"{name}.{i}"] for i in range(3)] for name in ("nbr", "ref"))
    with torch.no_grad():
        return error(model(neighbour, reference), outputs["0"]), component_tolerance(outputs["0"])


def fusion_error() -> tuple[float, float]:
    inputs, weights, outputs, _ = component("comp_edvr_tsa")
    model = TSAFusion(8, 5)
    model.load_state_dict(weights)
    with torch.no_grad():
        return error(model(inputs["x"].unbind(1)), outputs["0"]), component_tolerance(outputs["0"])


ERRORS = (extractor_error, alignment_error, fusion_error)


@pytest.mark.parametrize("golden_error", ERRORS)
def test_golden(golden_error: Golden) -> None:
    found, allowed = golden_error()
    assert found <= allowed


@pytest.mark.parametrize("golden_error", ERRORS)
def test_golden_has_teeth(golden_error: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edvr, "lrelu", lambda x: F.leaky_relu(x, 0.01))
    found, allowed = golden_error()
    assert found > 100 * allowed


@pytest.mark.parametrize("golden_error", [extractor_error, alignment_error])
@pytest.mark.parametrize("wrong", ["no mask", "smaller offsets", "offsets as (dx, dy)"])
def test_golden_needs_the_alignment(wrong: str, golden_error: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    deform_conv = edvr.deform_conv

    def mutated(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if wrong == "no mask":
            mask = torch.ones_like(mask)
        if wrong == "smaller offsets":
            offset = 0.9 * offset
        if wrong == "offsets as (dx, dy)":
            offset = offset.unflatten(1, (-1, 2)).flip(2).flatten(1, 2)
        return deform_conv(x, offset, mask, weight, bias)

    monkeypatch.setattr(edvr, "deform_conv", mutated)
    found, allowed = golden_error()
    assert found > 100 * allowed


def test_golden_needs_the_poolings_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = edvr.pool
    monkeypatch.setattr(edvr, "pool", lambda x: pool(x).unflatten(1, (2, -1)).flip(1).flatten(1, 2))
    found, allowed = fusion_error()
    assert found > 100 * allowed


@pytest.mark.parametrize(
    ("frames", "parameters", "digest"),
    [
        (5, 2_227_488, "aa526a1b1f331ae0450482fdea57c7ee76f052c57bf8e65e10bd7318dbc2575b"),
        (7, 2_243_872, "ed85c4e6980fa026fec834c08a2f6471263b3c16ad72b51d0fd26bc31aa47cbe"),
    ],
)
def test_published_keys(frames: int, parameters: int, digest: str) -> None:
    with torch.device("meta"):
        model = EDVRFeatureExtractor(EDVRConfig(num_frames=frames))
    assert key_hash(shapes(model)) == digest
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_offsets_are_float32_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    deform_conv, types = edvr.deform_conv, set()

    def spy(x: Tensor, offset: Tensor, *rest: Tensor) -> Tensor:
        types.add(offset.dtype)
        return deform_conv(x, offset, *rest)

    monkeypatch.setattr(edvr, "deform_conv", spy)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        EDVRFeatureExtractor(EDVRConfig(mid_channels=8, num_frames=3))(torch.rand(1, 3, 3, 8, 8))
    assert types == {torch.float32}


def test_every_weight_learns() -> None:
    """No operation in place spoils the gradients."""
    model: nn.Module = EDVRFeatureExtractor(EDVRConfig(mid_channels=8, num_frames=3))
    model(torch.rand(1, 3, 3, 8, 8)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
