from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tests.golden_vectors import error, fill, key_hash, load, shapes
from vs_vrt.models import blocks, iconvsr
from vs_vrt.models.edvr import DeformConvPack
from vs_vrt.models.iconvsr import IconVSR, IconVSRConfig, window
from vs_vrt.models.network import Place

CONFIGS = {
    "iconvsr_mm_c64b2_pad2": IconVSRConfig(num_blocks=2),
    "iconvsr_mm_c64b2_pad3": IconVSRConfig(num_blocks=2, keyframe_stride=3, padding=3),
}
ALLOWED = 2e-6  # some parts of the key frames' network move the output by 4e-5 only


def golden_error(name: str, keep: range | None = None, change: Callable[[IconVSR], object] | None = None) -> float:
    tensors, metadata = load(name)
    model = fill(IconVSR(CONFIGS[name]), metadata)
    if change:
        change(model)
    kept = keep or range(tensors["output"].shape[1])
    with torch.no_grad():
        return error(model(tensors["input"], kept), tensors["output"][:, kept.start : kept.stop])


def mutated_error(change: Callable[[IconVSR], object] | None = None, name: str = "iconvsr_mm_c64b2_pad3") -> float:
    """One frame is enough to tell."""
    return golden_error(name, range(1), change)


@pytest.mark.parametrize("name", CONFIGS)
def test_golden(name: str) -> None:
    assert golden_error(name) <= ALLOWED


def test_golden_has_teeth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "lrelu", lambda x: F.leaky_relu(x, 0.01))
    assert mutated_error() > 100 * ALLOWED


def test_golden_needs_the_key_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IconVSR, "key_features", lambda *_: {})
    assert mutated_error() > 100 * ALLOWED


def test_golden_needs_the_offsets_of_the_coarsest_level() -> None:
    def zero(model: IconVSR) -> None:
        pack = model.edvr.pcd_alignment.dcn_pack["l3"]
        assert isinstance(pack, DeformConvPack)
        pack.conv_offset.requires_grad_(False).weight.zero_()

    assert mutated_error(zero) > 5 * ALLOWED


def test_golden_needs_the_frames_around_key_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeating the frames at the ends is another network."""
    repeated = [0, 0, 0, 0, 1, 2, 3]
    monkeypatch.setattr(iconvsr, "window", lambda i, t, p: repeated if i == 0 else window(i, t, p))
    assert mutated_error() > 100 * ALLOWED


def test_golden_needs_the_mirrored_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    pad = partial(F.pad, mode="replicate")
    monkeypatch.setattr(F, "pad", lambda x, amount, **_: pad(x, amount))
    assert mutated_error(name="iconvsr_mm_c64b2_pad2") > 100 * ALLOWED


@pytest.mark.parametrize(
    ("t", "padding", "centre", "frames"),
    [
        (5, 2, 0, [4, 3, 0, 1, 2]),
        (5, 2, 4, [2, 3, 4, 1, 0]),
        (9, 2, 5, [3, 4, 5, 6, 7]),
        (7, 3, 1, [5, 4, 0, 1, 2, 3, 4]),
        (7, 3, 6, [3, 4, 5, 6, 2, 1, 0]),
    ],
)
def test_a_window_at_an_end_is_filled_from_its_other_side(t: int, padding: int, centre: int, frames: list[int]) -> None:
    assert window(centre, t, padding) == frames


@pytest.mark.parametrize(
    ("padding", "parameters", "digest"),
    [
        (2, 8_694_991, "ee7b728c5fc8582c2c98c06da5cf7df17671011b7aeb4d5be9d839039b867e47"),
        (3, 8_711_375, "b96b992340149f9f0660253994bcd921250380a67d7fef6a1056e2165c6ffa33"),
    ],
)
def test_published_keys(padding: int, parameters: int, digest: str) -> None:
    with torch.device("meta"):
        model = IconVSR(IconVSRConfig(padding=padding))
    assert key_hash(shapes(model)) == digest
    assert sum(p.numel() for p in model.parameters()) == parameters


def small(padding: int = 2) -> IconVSR:
    torch.manual_seed(0)
    return IconVSR(IconVSRConfig(mid_channels=8, num_blocks=1, padding=padding)).eval()


def test_channels_last_and_batches_change_nothing() -> None:
    model, video = small(), torch.rand(1, 6, 3, 10, 13)
    with torch.no_grad():
        alone = model(video)
        both = model.to(memory_format=torch.channels_last)(torch.cat([video, video.flip(1)]))
    assert error(both[:1], alone) < 1e-5


def test_kept_frames_are_those_of_the_whole() -> None:
    model, video = small(), torch.rand(1, 8, 3, 10, 13)
    with torch.no_grad():
        whole = model(video)
        for keep in (range(2, 5), range(1), range(7, 8)):
            assert torch.equal(model(video, keep), whole[:, keep.start : keep.stop])


@pytest.mark.parametrize(
    ("padding", "shape"), [(2, (5, 3, 4, 4)), (2, (6, 3, 5, 34)), (3, (7, 3, 7, 4)), (3, (11, 3, 6, 9))]
)
def test_any_size(padding: int, shape: tuple[int, ...]) -> None:
    t, _, h, w = shape
    with torch.no_grad():
        assert small(padding)(torch.rand(1, *shape)).shape == (1, t, 3, 4 * h, 4 * w)


def test_a_tile_that_is_a_frame_of_odd_size_is_what_the_frame_is() -> None:
    """Flow is found on frames that are filled up to multiples of 4."""
    name = "iconvsr_mm_c64b2_pad2"
    model = fill(IconVSR(CONFIGS[name]), load(name)[1])
    torch.manual_seed(0)
    h, w = 61, 93
    picture = F.interpolate(torch.rand(1, 3, 16, 20), size=(h + 8, w + 8), mode="bicubic").clamp(0, 1)
    video = torch.cat([picture[..., 2 * n : 2 * n + h, n : n + w] for n in range(5)])
    with torch.no_grad():
        told = model.localise(model.statistics(video), Place(range(h), range(w), h, w))
        found, expected = (next(model.frames(video[None], range(2, 3), each)) for each in (told, None))
    assert error(found, expected) < 2e-5
