import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tests.support import dead_leaves
from vs_vrt.training import motion_blur
from vs_vrt.training.compression import compressed, compression
from vs_vrt.training.degradations import DEGRADATIONS
from vs_vrt.training.flow import bundled_flow
from vs_vrt.training.motion_blur import (
    REACH,
    SUBFRAMES,
    camera_path,
    exposed,
    flow,
    instants,
    motion,
    motions,
    shake,
    spaced,
)
from vs_vrt.training.noise import noise, poisson
from vs_vrt.training.reduction import bicubic_down, blur_down

HALF_LEVEL = 0.5 / 255 + 1e-6


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scene(t: int, h: int, w: int, seed: int = 0) -> Tensor:
    """`-> (t 3 h w)`: smooth patches that move to the right by one pixel a frame, and 8 bits."""
    random = torch.Generator().manual_seed(seed)
    light, colours = (torch.rand(1, c, h // 8 + 2, (w + t) // 8 + 2, generator=random) for c in (1, 3))
    coarse = 0.8 * light + 0.2 * colours
    wide = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)
    video = torch.cat([wide[..., :h, t - i : t - i + w] for i in range(t)])
    return (video * 255).round() / 255


def waves(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.25 * np.sin(0.21 * x + 0.13 * y) + 0.2 * np.sin(0.17 * y - 0.08 * x + 1)


def grid(h: int, w: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of each pixel."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    return x, y


def grey(frames: list[NDArray[np.float64]]) -> Tensor:
    return torch.from_numpy(np.stack(frames)).float()[:, None].repeat(1, 3, 1, 1)


@pytest.mark.parametrize("name", sorted(DEGRADATIONS.keys() - {"between"}))
def test_each_keeps_its_promise(name: str) -> None:
    how = DEGRADATIONS[name]
    video = scene(3 + 2 * how.reach, 32, 64)
    before = video.clone()
    inputs, truth = how.make(video, generator(3))
    assert torch.equal(video, before)
    assert inputs.shape == (
        3,
        4 if name in ("noise", "poisson", "known-noise") else 3,
        32 // how.scale,
        64 // how.scale,
    )
    assert torch.equal(truth, video[1::3] if name == "spaced" else video[how.reach : how.reach + 3])
    levels = 255 * inputs[:, :3]
    assert float((levels - levels.round()).abs().max()) < 1e-3
    assert 0 <= float(levels.min()) < float(levels.max()) <= 255
    again, _ = how.make(video, generator(3))
    assert torch.equal(again, inputs)


@pytest.mark.parametrize("name", sorted(DEGRADATIONS.keys() - {"between", "bicubic", "gaussian"}))
def test_what_is_random_differs_by_seed(name: str) -> None:
    how = DEGRADATIONS[name]
    video = scene(2 + 2 * how.reach, 32, 64)
    made = [how.make(video, generator(seed))[0].numpy().tobytes() for seed in range(8)]
    assert len(set(made)) >= 2


def cubic(x: float, a: float = -0.5) -> float:
    """Keys' cubic convolution kernel."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def loop_down(signal: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """Antialiased cubic reduction of one row by its definition: the kernel stretched by the scale, renormalised."""
    out = []
    for i in range(len(signal) // scale):
        centre = (i + 0.5) * scale - 0.5
        taps = range(max(0, int(centre - 2 * scale)), min(len(signal), int(centre + 2 * scale) + 2))
        weights = np.array([cubic((tap - centre) / scale) for tap in taps])
        out.append(float((weights * signal[list(taps)]).sum() / weights.sum()))
    return np.array(out)


def test_bicubic_equals_its_definition_within_the_rounding() -> None:
    signal = generator().random(48)
    down = bicubic_down(torch.from_numpy(signal).float().expand(1, 3, 16, 48), 4)[0, 0, 1]
    assert np.abs(down.numpy() - loop_down(signal, 4).clip(0, 1)).max() <= HALF_LEVEL


def mirrored(i: int, size: int) -> int:
    """The border pixel itself is not repeated."""
    i = abs(i)
    return 2 * (size - 1) - i if i >= size else i


def test_gaussian_equals_its_definition_within_the_rounding() -> None:
    h, w = 16, 20
    image = generator().random((h, w))
    weights = [math.exp(-((i - 6) ** 2) / (2 * 1.6**2)) for i in range(13)]
    total = sum(weights) ** 2
    down = blur_down(torch.from_numpy(image).float().expand(2, 3, h, w))
    assert down.shape == (2, 3, h // 4, w // 4)
    for y in range(h // 4):
        for x in range(w // 4):
            wanted = sum(
                weights[i] * weights[j] * image[mirrored(4 * y + i - 6, h), mirrored(4 * x + j - 6, w)]
                for i in range(13)
                for j in range(13)
            )
            assert abs(float(down[1, 2, y, x]) - wanted / total) <= HALF_LEVEL


def test_noise_has_the_strength_that_its_level_says() -> None:
    video = torch.full((4, 3, 64, 64), 0.5)
    strengths = []
    for seed in range(6):
        noisy, _ = noise(video, generator(seed))
        assert bool((noisy[:, 3] == noisy[0, 3, 0, 0]).all())
        strengths.append(sigma := float(noisy[0, 3, 0, 0]))
        error = (noisy[:, :3] - video).double()
        rounding = 1 / 12 / 255**2
        assert abs(float(error.mean())) < 5 * sigma / error.numel() ** 0.5 + 0.002  # 0.5 lies between two levels
        assert float(error.var()) == pytest.approx(sigma**2 + rounding, rel=0.03)
    assert 0 <= min(strengths) < max(strengths) <= 50 / 255


class Fixed:
    """A generator that draws these uniform numbers, and all else as another one does."""

    def __init__(self, *drawn: float) -> None:
        self.drawn, self.rest = list(drawn), generator()

    def uniform(self, low: float, high: float) -> float:
        assert low <= self.drawn[0] <= high
        return self.drawn.pop(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self.rest, name)


@pytest.mark.parametrize("brightness", [0.1, 0.4, 0.7])
@pytest.mark.parametrize(("shot", "read"), [(12.0, 0.0), (2.0, 8.0), (25.0, 5.0)])
def test_poisson_has_the_moments_of_its_model(brightness: float, shot: float, read: float) -> None:
    video = torch.full((4, 3, 96, 96), brightness)
    noisy, _ = poisson(video, Fixed(shot, read))  # type: ignore[arg-type]
    error = 255 * (noisy[:, :3] - video).double()
    gain = shot**2 / 255
    variance = gain * (255 * brightness) + read**2 + 1 / 12
    if 255 * brightness > 4 * variance**0.5 and 255 * (1 - brightness) > 4 * variance**0.5:  # nothing is clipped
        assert abs(float(error.mean())) < 0.6
        assert float(error.var()) == pytest.approx(variance, rel=0.03)
        skew = gain**2 * 255 * brightness / variance**1.5  # photons have it, Gaussian noise does not
        assert float((error**3).mean()) / variance**1.5 == pytest.approx(skew, abs=0.05)
    assert float(255 * noisy[:, 3].mean()) == pytest.approx((variance - 1 / 12) ** 0.5, rel=0.05)


def test_poisson_is_stronger_where_it_is_brighter_and_says_so() -> None:
    video = torch.full((2, 3, 32, 64), 0.1)
    video[..., 32:] = 0.8
    noisy, _ = poisson(video, Fixed(15.0, 2.0))  # type: ignore[arg-type]
    sides = [
        (noisy[..., part] - torch.cat([video, 0 * video[:, :1]], 1)[..., part]) for part in (slice(28), slice(36, 64))
    ]
    spread = [float(side[:, :3].std()) for side in sides]
    told = [float(side[:, 3].mean()) for side in sides]
    assert spread[1] > 2 * spread[0]
    assert told == pytest.approx(spread, rel=0.1)


def test_the_level_of_poisson_does_not_show_the_clean_frames() -> None:
    """Two noises of one frame have two levels: nothing but the noisy frames decides them."""
    video = scene(1, 32, 32)
    first, second = (poisson(video, generator(seed))[0] for seed in (1, 1))
    assert torch.equal(first, second)
    rng = Fixed(20.0, 0.0)
    once, _ = poisson(video, rng)  # type: ignore[arg-type]
    rng.drawn = [20.0, 0.0]
    twice, _ = poisson(video, rng)  # type: ignore[arg-type]
    assert not torch.equal(once[:, 3], twice[:, 3])


@pytest.mark.parametrize("seed", range(6))
def test_motion_is_the_mean_of_neighbouring_frames(seed: int) -> None:
    video = (generator(9).integers(0, 256, (9, 3, 4, 4)) / 255).astype(np.float32)
    blurred, truth = motion(torch.from_numpy(video), generator(seed))
    half = int(generator(seed).choice((3, 5))) // 2
    for i in range(3):
        middle = i + 3
        wanted = video[middle - half : middle + half + 1].astype(np.float64).mean(0)
        assert np.abs(blurred[i].numpy() - wanted).max() <= HALF_LEVEL
        assert np.array_equal(truth[i].numpy(), video[middle])


def test_blur_is_a_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for name in ("motion", "spaced", "shake"):
        monkeypatch.setattr(motion_blur, name, lambda video, _, name=name: kinds.append(name) or (video, video))
    for seed in range(400):
        motion_blur.blur(torch.zeros(1), generator(seed))
    for name, count in (("motion", 160), ("spaced", 80)):
        assert abs(kinds.count(name) - count) < 40
    assert kinds.count("shake") == 400 - kinds.count("motion") - kinds.count("spaced")


@pytest.mark.parametrize("frames", [1, 2, 7, 11])
def test_spaced_exposures_share_no_frame(frames: int) -> None:
    video = torch.from_numpy(generator(9).integers(0, 256, (frames + 6, 3, 4, 4)) / 255)
    count = (frames + 6) // 3
    there, back = range(count), range(count - 2, 0, -1)
    order = ([*there, *back] * frames)[:frames]
    sharp = 0
    for seed in range(30):
        blurred, truth = spaced(video, generator(seed))
        assert torch.equal(truth, torch.stack([video[3 * i + 1] for i in order]))
        means = torch.stack([sum(video[3 * i + k] for k in range(3)) / 3 for i in order])
        kept = torch.equal(blurred, truth)
        assert kept or float((blurred - means).abs().max()) <= HALF_LEVEL
        sharp += kept
    assert 3 <= sharp <= 17


def test_blind_noise_is_that_of_known_strength_without_the_strength() -> None:
    video = scene(2, 16, 16)
    assert torch.equal(
        DEGRADATIONS["blind-noise"].make(video, generator(1))[0],
        DEGRADATIONS["noise"].make(video, generator(1))[0][:, :3],
    )


def test_between_leaves_out_the_middle() -> None:
    inputs, truth = DEGRADATIONS["between"].make(torch.arange(7.0).view(7, 1, 1, 1), generator(0))
    assert inputs.flatten().tolist() == [0, 2, 4, 6]
    assert truth.flatten().tolist() == [3]


def test_real_is_worse_than_blur_and_reduction_alone() -> None:
    video = scene(3, 64, 64)
    clean, _ = DEGRADATIONS["gaussian"].make(video, generator(0))
    errors = [F.mse_loss(DEGRADATIONS["real"].make(video, generator(seed))[0], clean).item() for seed in range(6)]
    assert min(errors) > 1e-5
    assert max(errors) > 3 * min(errors)


def test_real_leaves_things_where_they_are() -> None:
    """A slope of brightness, made four times smaller, is the means of 4x4 pixels; blur and noise move it nowhere."""
    ramp = torch.linspace(0, 1, 128).expand(4, 3, 128, 128)
    for video in (ramp, ramp.transpose(-1, -2)):
        made = torch.stack([DEGRADATIONS["real"].make(video, generator(seed))[0] for seed in range(12)])
        wrong = (made - F.avg_pool2d(video, 4))[..., 8:-8, 8:-8].mean()
        assert abs(float(wrong)) < 0.75 / 127  # pixels of the large frame


def test_the_shutter_is_open_evenly_around_the_frame() -> None:
    times = instants(1.6)
    assert (times[0], times[SUBFRAMES // 2], times[-1]) == (-0.8, 0, 0.8)
    assert np.diff(times) == pytest.approx(1.6 / (SUBFRAMES - 1))


def test_a_translation_is_averaged_along_its_way() -> None:
    x, y = grid(40, 48)
    video = grey([waves(x, y)])
    steps = [(dx, 0.5 * dx) for dx in np.linspace(-4, 4, 9)]
    ways = [torch.tensor(step).float().view(1, 2, 1, 1).expand(1, 2, 40, 48) for step in steps]
    wanted = np.mean([waves(x + dx, y + dy) for dx, dy in steps], 0)
    made = exposed(video, ways)[0, 0].double().numpy()
    inside = (slice(4, -4), slice(5, -5))
    assert np.abs(made - wanted)[inside].max() < 0.01
    assert np.abs(video[0, 0].numpy() - wanted)[inside].max() > 0.05


def test_what_lies_outside_the_frame_has_no_say() -> None:
    white = torch.ones(1, 3, 12, 16)
    ways = [torch.full((1, 2, 12, 16), each) for each in (-3.3, 0.0, 5.6)]
    assert float((exposed(white, ways) - 1).abs().max()) < 1e-5


def test_shake_is_the_mean_along_the_path_of_the_camera() -> None:
    h, w, t = 48, 56, 3
    x, y = grid(h, w)
    video = grey([waves(x + 2 * i, y - i) for i in range(t + 2 * REACH)])
    blurred, _ = shake(video, generator(4))
    rng = generator(4)
    times = instants(rng.uniform(*motion_blur.SHAKE_EXPOSURE))
    place = camera_path(rng)
    reach = 0.0
    for i in range(t):
        shifts = [place(np.array([i + time]))[0] - place(np.array([float(i)]))[0] for time in times]
        reach = max(reach, float(np.abs(shifts).max()))
        frames = [waves(x + dx + 2 * (i + REACH), y + dy - (i + REACH)) for dx, dy in shifts]
        inside = (slice(14, -14), slice(14, -14))
        assert np.abs(blurred[i, 1].numpy() - np.mean(frames, 0))[inside].max() < 0.012
    assert 1.5 < reach < 14


def test_a_camera_path_is_smooth_and_of_the_speed_it_is_meant_to_have() -> None:
    times = np.arange(0, 40, 0.05)
    speeds = []
    for seed in range(60):
        speed = np.diff(camera_path(generator(seed))(times), axis=0) / 0.05
        speeds.append(speed.std(0).mean())
        bound = 2 * np.pi * motion_blur.SHAKE_FREQUENCY[1] * 0.05 * 60
        assert np.abs(np.diff(speed, axis=0)).max() < bound
    low, high = motion_blur.SHAKE_SPEED
    assert np.mean(speeds) == pytest.approx((low + high) / 2 / 2**0.5, rel=0.3)  # a sine's deviation


def test_flow_is_in_pixels_of_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    found = torch.tensor([1.0, -0.5]).view(1, 2, 1, 1)
    network = lambda *pair: seen.extend(pair) or found.expand(3, 2, *pair[0].shape[-2:])  # noqa: E731
    monkeypatch.setattr(motion_blur, "bundled_flow", lambda: network)
    reference, neighbour = torch.rand(3, 3, 32, 64), torch.rand(3, 3, 32, 64)
    made = motions(reference, neighbour)
    assert torch.equal(made, (4 * found).expand(3, 2, 32, 64))
    assert [torch.equal(a, bicubic_down(b, 4)) for a, b in zip(seen, (reference, neighbour), strict=True)] == [True] * 2


@pytest.mark.parametrize("speed", [4, 40])
def test_the_bundled_flow_network_sees_where_things_go(speed: int) -> None:
    video = torch.from_numpy(dead_leaves(2, 320, 192, speed))  # they go to the left
    for way, frames in (((-speed, 0), video), ((speed, 0), video.flip(0)), ((0, -speed), video.mT)):
        found = motions(frames[:1], frames[1:])[..., 64:-64, 64:-64]
        assert found.flatten(2).median(2).values[0].tolist() == pytest.approx(way, abs=1)


def test_flow_blurs_along_the_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the true flow, a moving pattern is averaged over the time the shutter is open."""
    h, w = 48, 64
    x, y = grid(h, w)
    vx, vy = 2.5, -1.0
    video = grey([waves(x - vx * i, y - vy * i) for i in range(8)])

    def true_flow(reference: Tensor, neighbour: Tensor) -> Tensor:
        ways = []
        for here, there in zip(reference, neighbour, strict=True):
            places = [int((video - frame).abs().sum((1, 2, 3)).argmin()) for frame in (here, there)]
            ways.append(torch.tensor([vx, vy]).view(2, 1, 1).expand(2, h, w) * (places[1] - places[0]))
        return torch.stack(ways)

    monkeypatch.setattr(motion_blur, "motions", true_flow)
    blurred, _ = flow(video, generator(2))
    times = instants(generator(2).uniform(*motion_blur.FLOW_EXPOSURE))
    for i in range(2):
        frames = [waves(x - vx * (i + REACH + time), y - vy * (i + REACH + time)) for time in times]
        assert np.abs(blurred[i, 0].numpy() - np.mean(frames, 0))[6:-6, 6:-6].max() < 0.012


def test_a_flow_network_that_is_always_off_by_the_same_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    off = torch.tensor([0.9, -0.7]).view(1, 2, 1, 1)
    monkeypatch.setattr(motion_blur, "motions", lambda reference, _: off.expand(len(reference), 2, 32, 64))
    video = scene(1, 32, 64).expand(8, 3, 32, 64)
    blurred, truth = flow(video, generator())
    assert float((blurred - truth).abs().max()) < 0.5 / 255


def test_the_flow_network_leaves_the_random_numbers_of_torch_alone() -> None:
    bundled_flow.cache_clear()
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    bundled_flow()
    assert torch.equal(torch.rand(1), wanted)


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * ((a - b) ** 2).mean().log10())


@pytest.mark.parametrize("size", [(48, 64), (33, 47)])
@pytest.mark.parametrize(("codec", "quantisers"), [("jpeg", (2, 8, 24)), ("h264", (10, 24, 40))])
def test_more_compression_is_worse(codec: str, quantisers: tuple[int, ...], size: tuple[int, int]) -> None:
    video = scene(5, *size)
    made = [compressed(video, codec, quantiser) for quantiser in quantisers]  # type: ignore[arg-type]
    assert all(each.shape == video.shape for each in made)
    quality = [psnr(each, video) for each in made]
    assert quality[0] > 35
    assert quality[0] > quality[1] + 2
    assert quality[1] > quality[2] + 2


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_mild_compression_keeps_colours_and_their_places(codec: str) -> None:
    video = scene(4, 48, 64)
    error = compressed(video, codec, 2) - video  # type: ignore[arg-type]
    assert float(255 * error.mean((0, 2, 3)).abs().max()) < 0.35
    mild = compressed(video, codec, 2)  # type: ignore[arg-type]
    for axis in (-2, -1):
        for step in (-1, 1):
            assert psnr(mild, video) > psnr(mild, video.roll(step, axis)) + 5


@pytest.mark.parametrize("colour", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0), (0.2, 0.5, 0.7)])
@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_flat_colours_survive(codec: str, colour: tuple[float, ...]) -> None:
    video = torch.tensor(colour).float().view(1, 3, 1, 1).expand(3, 3, 32, 32)
    made = compressed(video, codec, 3)  # type: ignore[arg-type]
    assert float((made - video).abs().max()) < 5 / 255


def test_h264_uses_neighbours_and_jpeg_does_not() -> None:
    video = scene(3, 48, 64)
    other = torch.cat([video[:1].flip(-1), video[1:]])
    for codec, same in (("jpeg", True), ("h264", False)):
        pair = [compressed(each, codec, 30 if codec == "h264" else 20)[1:] for each in (video, other)]
        assert torch.equal(*pair) == same


def test_compression_draws_both_codecs_and_many_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr("vs_vrt.training.compression.compressed", lambda video, *how: drawn.append(how) or video)
    for seed in range(300):
        compression(torch.zeros(1, 3, 4, 4), generator(seed))
    jpeg, h264 = ({q for codec, q in drawn if codec == name} for name in ("jpeg", "h264"))
    assert 60 < sum(codec == "jpeg" for codec, _ in drawn) < 120
    assert (min(jpeg), max(jpeg), min(h264), max(h264)) == (3, 24, 20, 42)
