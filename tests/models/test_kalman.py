"""The Kalman filter and its U-Net against the same in float64, written out frame by frame."""

import copy
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from tests.golden_vectors import error, is_constant, seeded
from tests.models.arithmetic import bilinear, leaky
from vs_vrt.models import blocks, kalman
from vs_vrt.models.kalman import KalmanUNet, KalmanUNetConfig
from vs_vrt.models.network import Place
from vs_vrt.ops.shrinkage import threshold, wiener
from vs_vrt.task import SpyNetConfig

SMALL = KalmanUNetConfig(
    mid_channels=8, deep_channels=12, num_blocks=2, tail_channels=4, flow=SpyNetConfig(widths=(8, 8, 8, 4), kernel=3)
)
TOLERANCE = 5e-5


def small() -> KalmanUNet:
    """With weights that make motion and corrections that one can see."""
    model = KalmanUNet(SMALL)
    state = model.state_dict()
    model.load_state_dict(
        state | {key: seeded(key, tuple(v.shape), 0) for key, v in state.items() if not is_constant(key)}
    )
    return model.eval()


def moving(frames: int, height: int, width: int, step: int) -> Tensor:
    """`-> (1 t 3 h w)`: a texture that moves by `step`."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, height // 4 + 2, (width + step * frames) // 4 + 2, generator=generator)
    picture = picture.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return torch.stack([picture[:, :height, step * i : step * i + width] for i in range(frames)])[None]


def noisy(frames: int = 4, height: int = 24, width: int = 36) -> Tensor:
    """`-> (1 t 4 h w)`: the same with noise, of levels that differ from pixel to pixel."""
    clean = moving(frames, height, width, 3)
    generator = torch.Generator().manual_seed(1)
    levels = 0.02 + 0.08 * torch.rand(1, frames, 1, height, width, generator=generator)
    return torch.cat([clean + levels * torch.randn(clean.shape, generator=generator), levels], dim=2)


class Reference:
    """The same network in float64."""

    def __init__(self, model: KalmanUNet) -> None:
        self.weights = {key: value.double() for key, value in model.state_dict().items()}
        self.spynet = copy.deepcopy(model.spynet).double()

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        padded = F.pad(x, [2 - stride] * 4)
        return F.conv2d(padded, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], stride=stride)

    def residual(self, name: str, x: Tensor) -> Tensor:
        return x + self.conv(f"{name}.conv2", self.conv(f"{name}.conv1", x).clamp(min=0))

    def enlarged(self, name: str, x: Tensor) -> Tensor:
        return rearrange(self.conv(f"{name}.upsample_conv", x), "b (c y x) h w -> b c (h y) (w x)", y=2, x=2)

    def __call__(self, video: Tensor) -> Tensor:
        self.rgb = list(video[0, :, None, :3].double())
        self.variance = [each**2 for each in video[0, :, None, 3:].double()]
        self.alone = [threshold(x, v) for x, v in zip(self.rgb, self.variance, strict=True)]
        return torch.cat([self.restored(i) for i in range(len(self.rgb))])[None]

    def flow(self, here: int, there: int) -> Tensor:
        small = (rearrange(self.rgb[i], "b c (h y) (w x) -> b c h w (y x)", y=4, x=4).mean(-1) for i in (here, there))
        return 4 * F.interpolate(self.spynet(*small), scale_factor=4, mode="bilinear", align_corners=False)

    def predicted(self, i: int, way: int) -> tuple[Tensor, Tensor] | None:
        """What frames before frame i say of it, or with -1 for `way` those after."""
        j = i - way
        if not 0 <= j < len(self.rgb):
            return None
        picture, variance = self.known(j, way)
        flow = self.flow(i, j)
        moved, moved_variance, moved_alone, moved_left = (
            bilinear(each, flow, "border") for each in (picture, variance, *self.alone[j])
        )
        alone, left = self.alone[i]
        change_moved = ((alone - moved_alone) ** 2).mean(1, keepdim=True)
        change = ((alone - self.alone[j][0]) ** 2).mean(1, keepdim=True)
        share = 1 / (1 + torch.exp(-100 * means(change - change_moved, 5) / self.variance[i]))
        excess = share * (change_moved - moved_left) + (1 - share) * (change - self.alone[j][1]) - left
        variance = share * moved_variance + (1 - share) * variance
        return share * moved + (1 - share) * picture, variance + 16 * means(excess, 3).clamp(min=0)

    def known(self, i: int, way: int) -> tuple[Tensor, Tensor]:
        """Of frame i, from itself and what was before: the filter's update, by its gain."""
        predicted = self.predicted(i, way)
        if predicted is None:
            return self.rgb[i], self.variance[i]
        picture, variance = predicted
        gain = variance / (variance + self.variance[i])
        return picture + gain * (self.rgb[i] - picture), (1 - gain) * variance

    def restored(self, i: int) -> Tensor:
        fused, left = self.known(i, 1)
        after = self.predicted(i, -1)
        if after is not None:
            gain = left / (left + after[1])
            fused, left = fused + gain * (after[0] - fused), (1 - gain) * left
        shrunk, rgb, sigma = wiener(fused, 0.7 * left), self.rgb[i], self.variance[i].sqrt()
        units = [(shrunk - means(shrunk, 9)) / left.sqrt(), (rgb - shrunk) / sigma]
        units += [(each - shrunk) / left.sqrt() for each in (self.alone[i][0], fused)]
        logs = [each.log() / 4 + 2 for each in (left, self.variance[i])]
        given = torch.cat([shrunk, *(torch.asinh(each) for each in units), *logs], dim=1)
        pixels = rearrange(given, "b c (h y) (w x) -> b (c y x) h w", y=2, x=2)
        half = self.residual("encoder", leaky(self.conv("conv_first", pixels)))
        deep = self.conv("downsample", half, stride=2)
        for n in range(SMALL.num_blocks):
            deep = self.residual(f"body.{n}", deep)
        half = self.residual("decoder", half + self.enlarged("deep_upsample", deep))
        made = self.conv("conv_last", leaky(self.conv("conv_hr", leaky(self.enlarged("upsample1", half)))))
        return shrunk + left.sqrt() * made


def means(x: Tensor, side: int) -> Tensor:
    """Over squares around each pixel, whose edges repeat."""
    reach, (h, w) = side // 2, x.shape[2:]
    offsets = range(-reach, reach + 1)
    rows = [(torch.arange(h) + d).clamp(0, h - 1) for d in offsets]
    columns = [(torch.arange(w) + d).clamp(0, w - 1) for d in offsets]
    return torch.stack([x[:, :, r][:, :, :, c] for r in rows for c in columns]).mean(0)


def reference_error() -> float:
    with torch.no_grad():
        return error(small()(noisy()).double(), Reference(small())(noisy()))


def test_frames_are_those_of_the_filter() -> None:
    assert reference_error() < TOLERANCE


neighbour_flows, update = KalmanUNet.neighbour_flows, kalman.update
MUTATIONS: dict[str, tuple[ModuleType | type, str, Callable[..., object] | float]] = {
    "slope of the tail": (blocks, "lrelu", lambda x: F.leaky_relu(x, 0.2)),
    "the other way in time": (KalmanUNet, "neighbour_flows", lambda *given: neighbour_flows(*given)[::-1]),
    "small flow": (kalman, "resize_flow", lambda flow, size: F.interpolate(flow, size=size, mode="bilinear")),
    "the last one alone": (kalman, "update", lambda estimates: update(estimates[-1:])),
    "no gain of changes": (kalman, "CHANGE_GAIN", 1.0),
    "motion, however it fits": (kalman, "CHOICE_GAIN", 0.0),
    "all of the noise": (kalman, "LEFT", 1.0),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_filter_has_teeth(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTATIONS[mutation])
    assert reference_error() > 20 * TOLERANCE


@pytest.mark.parametrize("shape", [(1, 16, 8), (3, 8, 36), (2, 20, 16)])
def test_any_multiple_of_4_and_a_single_frame(shape: tuple[int, int, int]) -> None:
    t, h, w = shape
    with torch.no_grad():
        assert small()(torch.rand(2, t, 4, h, w)).shape == (2, t, 3, h, w)


def test_kept_frames_are_those_of_the_whole() -> None:
    model, video = small(), noisy(6)
    with torch.no_grad():
        whole = model(video)
        for keep in (range(2, 5), range(1), range(5, 6)):
            assert torch.equal(model(video, keep), whole[:, keep.start : keep.stop])


def test_channels_last_and_batches_change_nothing() -> None:
    model, video = small(), noisy()
    with torch.no_grad():
        alone = model(video)
        both = model.to(memory_format=torch.channels_last)(torch.cat([video, video.flip(-1)]))
        mirrored = model(video.flip(-1))
    assert error(both[:1], alone) < 1e-5
    assert error(both[1:], mirrored) < 1e-5


def untrained() -> KalmanUNet:
    """Which adds nothing to what the filter and the shrinkage say, and sees no motion."""
    model = small()
    for name, parameter in model.named_parameters():
        if name.startswith(("conv_last", "spynet")):
            torch.nn.init.zeros_(parameter)
    return model


def noise_left(step: int, frames: int) -> float:
    """Of the middle frame's, after denoising: the share."""
    clean = moving(frames, 64, 64, step)
    generator = torch.Generator().manual_seed(1)
    rgb = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    with torch.no_grad():
        found = untrained()(torch.cat([rgb, torch.full_like(rgb[:, :, :1], 0.1)], dim=2))
    errors = [(each - clean)[:, frames // 2].square().mean() for each in (found, rgb)]
    return float(errors[0] / errors[1])


def test_what_is_at_rest_is_averaged() -> None:
    assert noise_left(0, 9) < 0.5 * noise_left(0, 1)


def test_what_changes_does_not_leave_ghosts() -> None:
    """Where flow knows nothing of a motion, a frame counts alone."""
    assert noise_left(5, 9) < 1.1 * noise_left(5, 1)


def test_without_noise_hardly_anything_changes() -> None:
    video = noisy()
    video[:, :, 3] = 0
    with torch.no_grad():
        assert (small()(video) - video[:, :, :3]).abs().max() < 2 / 255


def test_bands_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, video = small(), noisy(2)
    with torch.no_grad():
        whole = model(video)
        monkeypatch.setattr(blocks, "BAND_BYTES", 1)
        monkeypatch.setattr(blocks, "BAND_ROWS", 5)
        assert error(model(video), whole) < 1e-6
        monkeypatch.setattr(blocks, "HALO", 0)
        assert error(model(video), whole) > 1e-4


def tile_error(shared: bool) -> float:
    """Of the middle of a tile, against the whole frame: with the coarse flow of the whole frame, or with its own."""
    model, video = small(), noisy(3, 64, 128)
    with torch.no_grad():
        whole = model(video)[..., 64:]
        told = model.localise(model.statistics(video[0]), Place(range(64), range(64, 128), 64, 128)) if shared else None
        tile = torch.stack(list(model.frames(video[..., 64:], range(3), told)), dim=1)
    return float((tile - whole)[..., 16:-16, 24:-8].square().mean())


def test_a_tile_that_knows_the_flow_of_its_frame_is_nearer_to_it() -> None:
    assert tile_error(shared=True) < 0.5 * tile_error(shared=False)


def test_what_is_not_learned_is_computed_in_float32_and_passes_no_gradients_on() -> None:
    model, video = small(), noisy()
    with torch.no_grad():
        exact = kalman.prepare(kalman.look(video[:, 0]), [])
        with torch.autocast("cpu", torch.bfloat16):
            assert all(map(torch.equal, exact, kalman.prepare(kalman.look(video[:, 0]), [])))
    model(video).square().mean().backward()
    assert all((each.grad is None) == name.startswith("spynet.") for name, each in model.named_parameters())
