from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.golden_vectors import error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models import basicvsr, blocks, realbasicvsr
from vs_vrt.models import network as module_network
from vs_vrt.models.network import Place
from vs_vrt.models.realbasicvsr import RealBasicVSR, RealBasicVSRConfig

GOLDEN = {"realbasicvsr_mm_c16b2": 255.0, "realbasicvsr_mm_c16b2_thres5": 5.0}
ONCE, OFTEN = GOLDEN


def network(threshold: float) -> RealBasicVSR:
    config = RealBasicVSRConfig(
        mid_channels=16, num_propagation_blocks=2, num_cleaning_blocks=2, dynamic_refine_thres=threshold
    )
    return RealBasicVSR(config).eval()


def golden_error(name: str, threshold: float) -> tuple[float, float]:
    tensors, metadata = load(name)
    model = fill(network(threshold), metadata)
    with torch.no_grad():
        return error(model(tensors["input"]), tensors["output"]), tolerance(metadata)


@pytest.mark.parametrize(("name", "threshold"), GOLDEN.items())
def test_golden(name: str, threshold: float) -> None:
    found, allowed = golden_error(name, threshold)
    assert found <= allowed


@pytest.mark.parametrize("module", [blocks, basicvsr])
@pytest.mark.parametrize(("name", "threshold"), GOLDEN.items())
def test_golden_has_teeth(name: str, threshold: float, module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "lrelu", lambda x: F.leaky_relu(x, 0.01))
    found, allowed = golden_error(name, threshold)
    assert found > 100 * allowed


@pytest.mark.parametrize(("name", "threshold"), [(OFTEN, 255.0), (ONCE, 5.0)])
def test_golden_needs_the_threshold(name: str, threshold: float) -> None:
    found, allowed = golden_error(name, threshold)
    assert found > 100 * allowed


@pytest.mark.parametrize("passes", [2, 4])
def test_golden_needs_three_passes(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realbasicvsr, "MAX_PASSES", passes)
    found, allowed = golden_error(OFTEN, GOLDEN[OFTEN])
    assert found > 100 * allowed


def test_published_keys() -> None:
    with torch.device("meta"):
        model = RealBasicVSR()
    assert key_hash(shapes(model)) == "273d06d3a16f770e4459b285404c666c1fb66879929815abf4e3196d90c3fdb0"
    assert sum(p.numel() for p in model.parameters()) == 6_294_834


def test_the_whole_video_decides_how_often_it_is_cleaned() -> None:
    torch.manual_seed(0)
    model = network(255.0)
    video = torch.rand(1, 4, 3, 8, 8) * torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1, 1)
    with torch.no_grad():
        changes = model.image_cleaning(video[0]).abs().mean(dim=(1, 2, 3))
        calm = video[:, [int(changes.argmin())]]
        model.config = replace(model.config, dynamic_refine_thres=255 * float(changes.min() + changes.mean()) / 2)
        once = calm + model.image_cleaning(calm[0])
        assert error(model.clean(calm), once) < 1e-6
        assert error(model.clean(video)[:, [int(changes.argmin())]], once) > 1e-3


def test_channels_last_and_batches_change_nothing() -> None:
    torch.manual_seed(0)
    model, video = network(255.0), torch.rand(1, 4, 3, 12, 20)
    with torch.no_grad():
        alone = model(video)
        both = model.to(memory_format=torch.channels_last)(torch.cat([video, video.flip(1)]))
    assert error(both[:1], alone) < 1e-5


def test_kept_frames_are_those_of_the_whole() -> None:
    torch.manual_seed(0)
    model, video = network(0.0), torch.rand(1, 6, 3, 12, 20)
    with torch.no_grad():
        whole = model(video)
        for keep in (range(2, 5), range(1), range(5, 6)):
            assert torch.equal(model(video, keep), whole[:, keep.start : keep.stop])
            assert torch.equal(torch.stack(list(model.frames(video, keep)), 1), whole[:, keep.start : keep.stop])


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 5, 40)])
def test_any_size_and_a_single_frame(shape: tuple[int, ...]) -> None:
    t, _, h, w = shape
    with torch.no_grad():
        assert network(255.0)(torch.rand(1, *shape)).shape == (1, t, 3, 4 * h, 4 * w)


def test_each_frame_is_cleaned_as_often_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever frames it comes with, and tiles get their part of it."""
    torch.manual_seed(0)
    model = network(255.0)
    video = torch.rand(1, 4, 3, 40, 18) * torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1, 1)
    monkeypatch.setattr(module_network, "BLOCK", 7)
    monkeypatch.setattr(module_network, "HALOS", 1)
    with torch.no_grad():
        changes = model.image_cleaning(video[0]).abs().mean(dim=(1, 2, 3))
        threshold = float(changes.min() + changes.mean()) / 2
        model.config = replace(model.config, dynamic_refine_thres=255 * threshold)
        statistics = model.statistics(video[0])
        alone = torch.cat([model.clean(video[:, i : i + 1]) for i in range(4)], dim=1)
        once = video[0] + model.image_cleaning(video[0])
        assert [error(*pair) < 1e-6 for pair in zip(alone[0], once, strict=True)] == (changes < threshold).tolist()
        assert error(statistics["cleaned"], alone[0]) < 1e-5
        place = Place(range(5, 33), range(3, 17), 40, 18)
        told = model.localise(statistics, place)
        assert torch.equal(told["cleaned"], statistics["cleaned"][..., 5:33, 3:17])
        of_clean = list(model.basicvsr.frames(told["cleaned"][None], range(4), told))
        monkeypatch.setattr(model, "clean", None)
        of_tile = list(model.frames(video[..., 5:33, 3:17], range(4), told))
        assert error(torch.stack(of_tile), torch.stack(of_clean)) < 1e-6
        monkeypatch.undo()
        expected = list(model.basicvsr.frames(alone, range(4)))
        assert error(torch.stack(list(model.frames(video, range(4)))), torch.stack(expected)) < 1e-6
        assert error(model(video), torch.stack(expected, dim=1)) > 1e-4  # the published network asks them together
