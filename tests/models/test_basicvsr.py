from types import ModuleType

import pytest
import torch
from torch import Tensor

from tests.golden_vectors import error, fill, key_hash, load, shapes, tolerance
from vs_vrt.models import basicvsr, blocks
from vs_vrt.models.basicvsr import BasicVSR, BasicVSRConfig

GOLDEN = ("basicvsr_mm_c16b2_mirror", "basicvsr_mm_c16b2")


def golden_error(name: str) -> tuple[float, float]:
    tensors, metadata = load(name)
    model = fill(BasicVSR(BasicVSRConfig(mid_channels=16, num_blocks=2)), metadata)
    with torch.no_grad():
        return error(model(tensors["input"]), tensors["output"]), tolerance(metadata)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    found, allowed = golden_error(name)
    assert found <= allowed


@pytest.mark.parametrize("module", [blocks, basicvsr])
@pytest.mark.parametrize("slope", [0.01, 0.2])
def test_golden_has_teeth(slope: float, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(x, slope)

    monkeypatch.setattr(module, "lrelu", wrong)
    found, allowed = golden_error(GOLDEN[0])
    assert found > 100 * allowed


def test_golden_needs_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = BasicVSR.flow
    monkeypatch.setattr(BasicVSR, "flow", lambda self, a, b, coarse: flow(self, b, a, coarse))
    found, allowed = golden_error(GOLDEN[0])
    assert found > 100 * allowed


def test_published_keys() -> None:
    with torch.device("meta"):
        model = BasicVSR()
    assert key_hash(shapes(model)) == "07d9504ab91f442863f4ba892a2c580a9de1a9be440f35f956e70b64ea17d6fe"
    assert sum(p.numel() for p in model.parameters()) == 6_291_311


def test_channels_last_and_batches_change_nothing() -> None:
    tensors, metadata = load(GOLDEN[0])
    model = fill(BasicVSR(BasicVSRConfig(mid_channels=16, num_blocks=2)), metadata).to(
        memory_format=torch.channels_last
    )
    with torch.no_grad():
        both = model(torch.cat([tensors["input"], tensors["input"].flip(-1)]))
    assert error(both[:1], tensors["output"]) <= 2 * tolerance(metadata)


def test_kept_frames_are_those_of_the_whole() -> None:
    tensors, metadata = load(GOLDEN[0])
    model = fill(BasicVSR(BasicVSRConfig(mid_channels=16, num_blocks=2)), metadata)
    with torch.no_grad():
        assert torch.equal(model(tensors["input"], range(1, 4)), model(tensors["input"])[:, 1:4])


def test_bands_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, metadata = load(GOLDEN[0])
    model = fill(BasicVSR(BasicVSRConfig(mid_channels=16, num_blocks=2)), metadata)
    with torch.no_grad():
        video = tensors["input"][:, :2]
        whole = model(video)
        monkeypatch.setattr(blocks, "BAND_BYTES", 1)
        monkeypatch.setattr(blocks, "BAND_ROWS", 5)
        banded = model(video)
        assert error(banded, whole) < 1e-6
        monkeypatch.setattr(blocks, "HALO", 1)
        assert error(model(video), whole) > 1e-4


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3, 17, 9), (2, 3, 5, 40)])
def test_any_size_and_a_single_frame(shape: tuple[int, ...]) -> None:
    t, _, h, w = shape
    with torch.no_grad():
        assert BasicVSR(BasicVSRConfig(mid_channels=8, num_blocks=1))(torch.rand(1, *shape)).shape == (
            1,
            t,
            3,
            4 * h,
            4 * w,
        )


def test_flow_in_several_steps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CHUNK_PIXELS", 1)
    found, allowed = golden_error(GOLDEN[0])
    assert found <= allowed
