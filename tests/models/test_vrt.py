import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from tests.golden_vectors import (
    component,
    component_tolerance,
    config,
    error,
    fill,
    key_hash,
    load,
    shapes,
    tolerance,
)
from vs_vrt.models import vrt
from vs_vrt.models.vrt import (
    GEGLU,
    RTMSA,
    TMSAG,
    VRT,
    FlowGuidedDeformConv,
    Stage,
    Upsample,
    VRTConfig,
    WindowAttention,
    compose_flows,
)
from vs_vrt.ops import deform_warp

GOLDEN = (
    "vrt_small_vfi_pa0",
    "vrt_small_up2_pa2",
    "vrt_small_denoise_pa2",
    "vrt_small_up1_pa2_w688",
    "vrt_small_sr4_pa2_w6",
    "vrt_small_sr4_pa4_w8",
    "vrt_small_sr4_pa6_w4",
)


def golden_error(name: str) -> tuple[float, float]:
    tensors, metadata = load(name)
    model = fill(VRT(VRTConfig(**config(metadata))), metadata)
    with torch.no_grad():
        return error(model(tensors["input"]), tensors["output"]), tolerance(metadata)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    found, allowed = golden_error(name)
    assert found <= allowed


def swapped_order(x: Tensor, flow: Tensor) -> Tensor:
    a, b, c, d = vrt_nearest4(x, flow).chunk(4, dim=1)
    return torch.cat([a, c, b, d], dim=1)


vrt_nearest4 = vrt.flow_warp_nearest4
leaky_relu, gelu = F.leaky_relu, F.gelu


def masked_wraps(self: WindowAttention, x: Tensor, mask: Tensor | None) -> Tensor:
    """Mutual attention as it should have been: pairs that join both ends of the video masked as well."""
    half = x.shape[1] // 2
    q, k, v = self._heads(self.qkv_mut(x + self.position_bias.repeat(1, 2, 1)))
    parts = [(slice(half, None), slice(0, half)), (slice(0, half), slice(half, None))]
    masks = [None if mask is None else mask[a, b].expand(self.num_heads, half, half) for a, b in parts]
    return torch.cat(
        [vrt.attention(q[:, :, a], k[:, :, b], v[:, :, b], m) for (a, b), m in zip(parts, masks, strict=True)], dim=1
    )


MUTATIONS: dict[str, tuple[Any, str, Callable[..., Tensor]]] = {
    "tanh gelu": (F, "gelu", lambda x: gelu(x, approximate="tanh")),
    "order of the four nearest": (vrt, "flow_warp_nearest4", swapped_order),
    "masked wraps": (WindowAttention, "_between", masked_wraps),
    "slope 0.1 before upsampling": (
        F,
        "leaky_relu",
        lambda x, slope, *_, **__: leaky_relu(x, 0.1 if slope == 0.01 else slope),
    ),
    "slope 0.01 elsewhere": (vrt, "lrelu", lambda x: leaky_relu(x, 0.01)),
}


# What each carried network has: without parallel warping there is no warped image, without x2 no tail.
TEETH = [
    *(("vrt_small_up2_pa2", mutation) for mutation in MUTATIONS),
    *(("vrt_small_denoise_pa2", mutation) for mutation in ("tanh gelu", "order of the four nearest", "masked wraps")),
    *(("vrt_small_vfi_pa0", mutation) for mutation in ("tanh gelu", "masked wraps")),
]


@pytest.mark.parametrize(("name", "mutation"), TEETH)
def test_golden_has_teeth(name: str, mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTATIONS[mutation])
    found, allowed = golden_error(name)
    assert found > 3 * allowed


def frames_last(x: Tensor) -> Tensor:
    return rearrange(x, "b c t h w -> b t h w c")


def component_error(name: str, make: Callable[[dict[str, Any]], tuple[nn.Module, Callable[..., Tensor]]]) -> None:
    inputs, weights, outputs, metadata = component(name)
    module, run = make(json.loads(metadata["args"]))
    wanted = module.state_dict()
    module.load_state_dict({key: weights[key].to(value.dtype) for key, value in wanted.items()})
    assert weights.keys() == wanted.keys()
    with torch.no_grad():
        assert error(run(module.eval(), inputs), outputs["0"]) <= component_tolerance(outputs["0"])


def test_golden_geglu() -> None:
    component_error(
        "comp_vrt_mlp_geglu",
        lambda a: (
            GEGLU(a["in_features"], a["hidden_features"], a["out_features"]),
            lambda module, inputs: module(inputs["x"]),
        ),
    )


@pytest.mark.parametrize("name", ["mut", "mut_mask", "self_mask", "self_small_window"])
def test_golden_window_attention(name: str) -> None:
    def run(module: WindowAttention, inputs: dict[str, Tensor]) -> Tensor:
        if "mask" not in inputs:
            return module.in_windows(inputs["x"], None)
        masks = inputs["mask"].repeat(len(inputs["x"]) // len(inputs["mask"]), 1, 1)
        return torch.cat([module.in_windows(x[None], mask) for x, mask in zip(inputs["x"], masks, strict=True)])

    component_error(
        f"comp_vrt_windowattn_{name}",
        lambda a: (WindowAttention(a["dim"], tuple(a["window_size"]), a["num_heads"], a["mut_attn"]), run),
    )


@pytest.mark.parametrize("name", ["mut_pad", "self_pad", "self_timeshrink", "mut_h_eq_window", "indep"])
def test_golden_group(name: str) -> None:
    component_error(
        f"comp_vrt_tmsag_{name}",
        lambda a: (
            TMSAG(a["dim"], a["depth"], a["num_heads"], tuple(a["window_size"]), a["mut_attn"]),
            lambda module, inputs: rearrange(module(frames_last(inputs["x"])), "b t h w c -> b c t h w"),
        ),
    )


def test_golden_residual_group() -> None:
    component_error(
        "comp_vrt_rtmsa",
        lambda a: (
            RTMSA(a["dim"], a["depth"], a["num_heads"], tuple(a["window_size"])),
            lambda module, inputs: rearrange(module(frames_last(inputs["x"])), "b t h w c -> b c t h w"),
        ),
    )


@pytest.mark.parametrize("kind", ["none", "down", "up"])
def test_golden_stage(kind: str) -> None:
    index = {"none": 0, "down": 1, "up": 5}[kind]

    def make(a: dict[str, Any]) -> tuple[nn.Module, Callable[..., Tensor]]:
        dims = [a["in_dim"]] * 13
        dims[index] = a["dim"]
        stage = Stage(
            VRTConfig(
                window_size=tuple(a["window_size"]),
                depths=(a["depth"],) * 13,
                embed_dims=tuple(dims),
                num_heads=(a["num_heads"],) * 13,
                deformable_groups=a["deformable_groups"],
            ),
            index,
        )
        stage.pa_deform.max_residue = a["max_residue_magnitude"]
        return stage, run

    def run(stage: Stage, inputs: dict[str, Tensor]) -> Tensor:
        flows = [inputs["flow_backward"]], [inputs["flow_forward"].flip(1)]
        return rearrange(stage(frames_last(inputs["x"]), flows), "b t h w c -> b c t h w")

    component_error(f"comp_vrt_stage_{kind}", make)


@pytest.mark.parametrize("frames", [2, 4, 6])
def test_golden_flow_guided_deformable_convolution(frames: int) -> None:
    def run(module: FlowGuidedDeformConv, inputs: dict[str, Tensor]) -> Tensor:
        warped, flows = ([inputs[f"{name}.{i}"] for i in range(frames // 2)] for name in ("x_flow_warpeds", "flows"))
        return module(inputs["x"], warped, inputs["x_current"], flows)  # type: ignore[no-any-return]

    component_error(
        f"comp_vrt_dcnv2_flowguided_pa{frames}",
        lambda a: (
            FlowGuidedDeformConv(a["in_channels"], frames // 2, a["deformable_groups"], a["max_residue_magnitude"]),
            run,
        ),
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_golden_upsample(scale: int) -> None:
    def run(module: Upsample, inputs: dict[str, Tensor]) -> Tensor:
        return torch.stack([module(frame) for frame in inputs["x"].unbind(2)], dim=2)

    component_error(f"comp_vrt_upsample_x{scale}", lambda a: (Upsample(a["scale"], a["num_feat"]), run))


def test_golden_flows_to_further_frames_and_aligned_images() -> None:
    tensors, _ = load("comp_vrt_flow_compose")
    backward, forward = tensors["flows_backward"], tensors["flows_forward"]
    there, back = compose_flows(backward, 3), compose_flows(forward.flip(1), 3)
    images = tensors["image"]
    pairs = [
        (there[1], tensors["backward_4"]),
        (there[2], tensors["backward_6"]),
        (back[1].flip(1), tensors["forward_4"]),
        (back[2].flip(1), tensors["forward_6"]),
        (vrt._warp_next(images, backward), tensors["img_aligned_backward"]),
        (vrt._warp_next(images.flip(1), forward.flip(1)).flip(1), tensors["img_aligned_forward"]),
    ]
    assert all(error(found, expected) <= component_tolerance(expected) for found, expected in pairs)


DEBLUR = {
    "upscale": 1,
    "depths": (8,) * 7 + (4,) * 4,
    "indep_reconsts": (9, 10),
    "embed_dims": (96,) * 7 + (120,) * 4,
    "num_heads": (6,) * 11,
    "deformable_groups": 16,
}
# Configuration, parameters, and the recorded sha256 of the official checkpoint's keys and shapes.
OFFICIAL: list[tuple[VRTConfig, int, str]] = [
    (VRTConfig(), 30_676_435, "9377e3f1149a286ad3fa7105f0a039cb23abe8fc9981494031d2387edf5fb03a"),
    (
        VRTConfig(window_size=(8, 8, 8), pa_frames=6, deformable_groups=24, num_frames=16),
        35_134_783,
        "a551fd071196aa4d8dbfc5d979460c4c3fd637dbc9c6af016713b91bb39e713e",
    ),
    (
        VRTConfig(window_size=(8, 8, 8), pa_frames=4, deformable_groups=16, num_frames=8),
        32_577_991,
        "e2586e78962a5568e7f01e78f3edd108d844193b6517d57311891ff894f40078",
    ),
    (VRTConfig(**DEBLUR), 18_320_007, "4eab3bf9fdcf6d1708185e5474139599d0446178bcfa9863e160dadd3d0002bb"),
    (
        VRTConfig(**DEBLUR, nonblind_denoising=True),
        18_320_871,
        "10a61f1f8fccf1cfbdf720959f7a8886deb1408ec6232fbd09cd75b1704f46f4",
    ),
    (
        VRTConfig(**DEBLUR | {"indep_reconsts": ()}, window_size=(4, 8, 8), pa_frames=0, num_frames=4),
        9_943_387,
        "a96278b61031ac8903a42cb28926a3e9cac202b340ac5790b11074550fbe80c6",
    ),
]


@pytest.mark.parametrize(("config", "parameters", "keys"), OFFICIAL)
def test_official_keys_and_shapes(config: VRTConfig, parameters: int, keys: str) -> None:
    with torch.device("meta"):
        model = VRT(config)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert key_hash(shapes(model)) == keys


def test_kept_frames_are_those_of_the_whole() -> None:
    tensors, metadata = load("vrt_small_up2_pa2")
    model = fill(VRT(VRTConfig(**config(metadata))), metadata)
    with torch.no_grad():
        whole = model(tensors["input"])
        kept = list(model.frames(tensors["input"], range(1, 3)))
    assert torch.equal(torch.stack(kept, 1), whole[:, 1:3])


@pytest.mark.parametrize("chunk", [1, 1000])
def test_small_chunks_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame by frame, and tokens in several parts."""
    monkeypatch.setattr(vrt, "CHUNK", chunk)
    if chunk == 1:  # token by token would take all day
        monkeypatch.setattr(vrt, "chunked", lambda function, x: function(x))
    found, allowed = golden_error("vrt_small_up2_pa2")
    assert found <= allowed


def test_flows_and_offsets_stay_float32_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    deform, warp = deform_warp.deform_conv, vrt.flow_warp

    def watch_offset(x: Tensor, offset: Tensor, *rest: Tensor, padding: int) -> Tensor:
        seen.append(offset.dtype)
        return deform(x, offset, *rest, padding=padding)

    def watch_flow(x: Tensor, flow: Tensor) -> Tensor:
        seen.append(flow.dtype)
        return warp(x, flow)

    monkeypatch.setattr(deform_warp, "deform_conv", watch_offset)
    monkeypatch.setattr(vrt, "flow_warp", watch_flow)
    tensors, metadata = load("vrt_small_up2_pa2")
    model = fill(VRT(VRTConfig(**config(metadata))), metadata)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(tensors["input"])
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("mutual", [False, True])
def test_biases_lie_as_fused_attention_reads_them(mutual: bool, half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in one piece, or a GPU computes all scores in memory."""
    seen: list[Tensor] = []
    attend = F.scaled_dot_product_attention

    def watch(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, **rest: float) -> Tensor:
        seen.extend([] if attn_mask is None else [attn_mask])
        return attend(q, k, v, attn_mask=attn_mask, **rest)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watch)
    module = WindowAttention(12, (2, 4, 4), 2, mutual)
    for mask in (None, torch.zeros(32, 32)):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            module.in_windows(torch.randn(3, 32, 12), mask)
    assert len(seen) == (4 if mutual else 2)
    assert all(mask.stride(-1) == 1 and mask.stride(-2) == mask.shape[-1] for mask in seen)
