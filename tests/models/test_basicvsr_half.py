"""BasicVSR at half the size against its recurrence in float64, written out frame by frame."""

import copy
import math
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from tests.golden_vectors import error, is_constant, seeded
from tests.models.arithmetic import bilinear, leaky
from vs_vrt.models import basicvsr_half, blocks
from vs_vrt.models.basicvsr_half import BasicVSRHalf, BasicVSRHalfConfig
from vs_vrt.models.network import Place
from vs_vrt.task import SpyNetConfig

SIZES = {"mid_channels": 8, "num_blocks": 1, "tail_channels": 4, "flow": SpyNetConfig(widths=(8, 8, 8, 4), kernel=3)}
SMALL = BasicVSRHalfConfig(**SIZES)  # type: ignore[arg-type]
TOLERANCE = 2e-5
SURE = (0.25, 0.5)  # how surely frames are means of 3, and of 5, here


@pytest.fixture(autouse=True)
def blended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basicvsr_half, "blended", lambda video: torch.tensor(SURE).expand(len(video), -1))


def small() -> BasicVSRHalf:
    """With weights that make motion and corrections that one can see."""
    model = BasicVSRHalf(SMALL)
    state = model.state_dict()
    model.load_state_dict(
        state | {key: seeded(key, tuple(v.shape), 0) for key, v in state.items() if not is_constant(key)}
    )
    return model.eval()


def moving(frames: int = 4, height: int = 24, width: int = 36) -> Tensor:
    """`-> (1 t 3 h w)`: a texture that moves."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, height // 4 + 2, (width + 3 * frames) // 4 + 2, generator=generator)
    picture = picture.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return torch.stack([picture[:, i : i + height, 3 * i : 3 * i + width] for i in range(frames)])[None]


class Reference:
    """The same network in float64: each frame's features from those of the next one or of the one before."""

    def __init__(self, model: BasicVSRHalf) -> None:
        self.weights = {key: value.double() for key, value in model.state_dict().items()}
        self.spynet = copy.deepcopy(model.spynet).double()

    def conv(self, name: str, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def trunk(self, name: str, x: Tensor) -> Tensor:
        x = leaky(self.conv(f"{name}.main.0", x))
        found = x + self.conv(f"{name}.main.2.0.conv2", self.conv(f"{name}.main.2.0.conv1", x).clamp(min=0))
        return found / (1 + (found**2).mean(1, keepdim=True)).sqrt()

    def moved(self, state: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """The features of the frame `there`, as they lie there, and as they lie in the frame `here`."""
        means = [rearrange(each, "b c (h y) (w x) -> b c h w (y x)", y=4, x=4).mean(-1) for each in (here, there)]
        flow = 2 * F.interpolate(self.spynet(*means), scale_factor=2, mode="bilinear", align_corners=False)
        return torch.cat([state, bilinear(state, flow, "zeros")], dim=1)

    def __call__(self, video: Tensor) -> Tensor:
        means = video[0, :, None].double()
        undone = [deconvolved(means, e) - means for e in (3, 5)]
        frames = means + sum(sure * each for sure, each in zip(SURE, undone, strict=True))
        both = torch.cat([frames, means], dim=2)
        given = [rearrange(each, "b (n c) (h y) (w x) -> b (n c y x) h w", n=2, y=2, x=2) for each in both]
        given = [torch.cat([g, *(g.new_full(g[:, :1].shape, sure) for sure in SURE)], dim=1) for g in given]
        mid = self.weights["upsample1.upsample_conv.weight"].shape[1]
        nothing = given[0].new_zeros(1, 2 * mid, *given[0].shape[2:])

        def later(i: int) -> Tensor:
            state = nothing if i + 1 == len(frames) else self.moved(later(i + 1), frames[i], frames[i + 1])
            return self.trunk("backward_resblocks", torch.cat([given[i], state], dim=1))

        def both(i: int) -> Tensor:
            state = self.moved(both(i - 1), frames[i], frames[i - 1]) if i else nothing
            return self.trunk("forward_resblocks", torch.cat([given[i], later(i), state], dim=1))

        return torch.stack([self.restored(frames, i, both(i)) for i in range(len(frames))], dim=1)

    def restored(self, frames: Tensor, i: int, features: Tensor) -> Tensor:
        wide = self.conv("upsample1.upsample_conv", features)
        x = leaky(rearrange(wide, "b (c y x) h w -> b c (h y) (w x)", y=2, x=2))
        made = self.conv("conv_last", leaky(self.conv("conv_hr", x)))
        return frames[i] + made


def deconvolved(means: Tensor, exposure: int) -> Tensor:
    """`(t 1 c h w) -> (t 1 c h w)`: by least squares, frames whose running means fit, and that differ little."""
    count = len(means)
    wide = count + exposure - 1
    rows = [[float(0 <= j - i < exposure) / exposure for j in range(wide)] for i in range(count)]
    rows += [[math.sqrt(1e-3) * ((j == i + 1) - (j == i)) for j in range(wide)] for i in range(wide - 1)]
    right = torch.cat([means.flatten(1), means.new_zeros(wide - 1, means[0].numel())])
    found = torch.linalg.lstsq(torch.tensor(rows, dtype=torch.float64), right).solution
    return found[exposure // 2 :][:count].view_as(means)


def reference_error() -> float:
    with torch.no_grad():
        return error(small()(moving()).double(), Reference(small())(moving()))


def test_frames_are_those_of_the_recurrence() -> None:
    assert reference_error() < TOLERANCE


neighbour_flows, enlarge, unblended = BasicVSRHalf.neighbour_flows, basicvsr_half.enlarge, basicvsr_half.unblended
MUTATIONS: dict[str, tuple[ModuleType | type, str, Callable[..., object]]] = {
    "slope of the tail": (blocks, "lrelu", lambda x: F.leaky_relu(x, 0.2)),
    "the other way in time": (BasicVSRHalf, "neighbour_flows", lambda *given: neighbour_flows(*given)[::-1]),
    "small flow": (basicvsr_half, "enlarge", lambda flow: enlarge(flow) / 2),
    "one pixel of four": (BasicVSRHalf, "small", lambda _, video: video[:, :, :, ::4, ::4]),
    "other means": (basicvsr_half, "unblended", lambda video, sure: unblended(video, sure.flip(1))),
    "unbounded": (basicvsr_half.BoundedBlocks, "forward", blocks.ResidualBlocksWithInputConv.forward),
    "means as they are": (basicvsr_half, "unblended", lambda video, _: video),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_recurrence_has_teeth(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTATIONS[mutation])
    assert reference_error() > 100 * TOLERANCE


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 12), (3, 4, 36), (2, 20, 8)])
def test_any_multiple_of_4_and_a_single_frame(shape: tuple[int, int, int]) -> None:
    t, h, w = shape
    with torch.no_grad():
        assert small()(torch.rand(2, t, 3, h, w)).shape == (2, t, 3, h, w)


def test_kept_frames_are_those_of_the_whole() -> None:
    model, video = small(), moving(6)
    with torch.no_grad():
        whole = model(video)
        for keep in (range(2, 5), range(1), range(5, 6)):
            assert torch.equal(model(video, keep), whole[:, keep.start : keep.stop])


def test_channels_last_and_batches_change_nothing() -> None:
    model, video = small(), moving()
    with torch.no_grad():
        alone = model(video)
        both = model.to(memory_format=torch.channels_last)(torch.cat([video, video.flip(-1)]))
        mirrored = model(video.flip(-1))
    assert error(both[:1], alone) < 1e-5
    assert error(both[1:], mirrored) < 1e-5


def test_bands_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, video = small(), moving(2)
    with torch.no_grad():
        whole = model(video)
        monkeypatch.setattr(blocks, "BAND_BYTES", 1)
        monkeypatch.setattr(blocks, "BAND_ROWS", 5)
        assert error(model(video), whole) < 1e-6
        monkeypatch.setattr(blocks, "HALO", 0)
        assert error(model(video), whole) > 1e-4


def tile_error(shared: bool) -> float:
    """Of the middle of a tile, against the whole frame: with the coarse flow of the whole frame, or with its own."""
    model, video = small(), moving(3, 64, 128)
    with torch.no_grad():
        whole = model(video)[..., 64:]
        told = model.localise(model.statistics(video[0]), Place(range(64), range(64, 128), 64, 128)) if shared else None
        tile = torch.stack(list(model.frames(video[..., 64:], range(3), told)), dim=1)
    return float((tile - whole)[..., 16:-16, 24:-8].square().mean())


def test_a_tile_that_knows_the_flow_of_its_frame_is_nearer_to_it() -> None:
    assert tile_error(shared=True) < 0.5 * tile_error(shared=False)


def test_tiles_are_told_whether_the_frame_is_blended_and_where_it_moves() -> None:
    model, video = small(), moving(3, 64, 128)
    with torch.no_grad():
        told = model.statistics(video[0])
        undone = basicvsr_half.unblended(video, torch.tensor([SURE]))
        assert error(told["flow"], model.spynet.coarse_flows(model.small(undone)[0])) < 1e-6
        assert error(told["flow"], model.spynet.coarse_flows(model.small(video)[0])) > 1e-4
        blended, sharp = (
            torch.stack(list(model.frames(video, range(3), dict(told) | {"blended": torch.tensor(sure)})))
            for sure in (SURE, (0.0, 0.0))
        )
    assert error(blended, sharp) > 1e-3
