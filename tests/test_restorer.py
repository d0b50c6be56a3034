import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import override

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.filters.reduced import row_of
from tests.golden_vectors import fill, load
from tests.restorers import CPU, ROW, restore, restorer_of
from tests.support import moving_texture
from vs_vrt import restorer
from vs_vrt.checkpoint import locate
from vs_vrt.models.network import Network, Statistics
from vs_vrt.restorer import Restorer, build, load_restorer
from vs_vrt.tiling import Tiles, layouts

VIDEO = torch.from_numpy(moving_texture(1, 5))


@pytest.fixture(scope="module")
def bundled() -> Restorer:
    return load_restorer(ROW, locate(ROW, None), CPU, "fp32")


def test_kept_frames_equal_those_of_the_whole(bundled: Restorer) -> None:
    whole = restore(bundled, VIDEO, [False] * 4, range(5))
    assert whole.shape == (5, 3, 96, 128)
    assert torch.equal(restore(bundled, VIDEO, [False] * 4, range(1, 4)), whole[1:4])


def test_runs_are_restored_apart(bundled: Restorer) -> None:
    cut = restore(bundled, VIDEO, [False, True, False, True], range(5))
    alone = [restore(bundled, part, [False] * (len(part) - 1), range(len(part))) for part in VIDEO.split([2, 2, 1])]
    assert torch.equal(cut, torch.cat(alone))
    assert not torch.equal(cut, restore(bundled, VIDEO, [False] * 4, range(5)))


def test_restoring_changes_no_input_and_no_state_of_torch(bundled: Restorer) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
        )

    before, video = state(), VIDEO.clone()
    restore(bundled, video, [False] * 4, range(5))
    assert state() == before
    assert torch.equal(video, VIDEO)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_samples_that_are_no_numbers_count_as_zero(value: float, bundled: Restorer) -> None:
    def with_sample(sample: float) -> Tensor:
        video = VIDEO.clone()
        video[2, 1, 3, 4] = sample
        return restore(bundled, video, [False] * 4, range(5))

    assert torch.equal(with_sample(value), with_sample(0))


class Sequence(Network):
    """Gives each frame at twice the size, and keeps what it was given."""

    seen: Tensor

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        self.seen = video
        for i in keep:
            yield F.interpolate(video[:, i, :3], scale_factor=2)


def numbered(frames: int, height: int = 1, width: int = 1) -> Tensor:
    """`-> (t 3 h w)`: every sample of frame n is n."""
    return torch.arange(float(frames))[:, None, None, None].expand(-1, 3, height, width)


def test_a_short_scene_and_a_small_frame_are_mirrored_and_cut_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequence()
    found = restorer_of(model, monkeypatch, scale=2, num_frames=5, multiple=8, min_size=16)
    video = torch.rand(3, 4, 7, 20)
    restored = restore(found, video, [False, True], range(3))
    assert torch.equal(restored, F.interpolate(video[:, :3], scale_factor=2))
    assert model.seen.shape == (1, 5, 4, 16, 24)
    assert torch.equal(model.seen[0, :, :, :7, :20], video[[2, 2, 2, 2, 2]])


class Halfway(Network):
    """Gives what lies halfway on the cubic through four frames."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        a, b, c, d = video.unbind(1)
        yield (9 * (b + c) - a - d) / 16


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_new_frames_lie_between_the_old_ones(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4, multiple=8, min_size=16)
    cuts = [False] * 8 + [True] + [False] * 2
    frames = torch.stack(list(found.interpolate(numbered(12, 3, 5), cuts, range(12), factor)))
    assert frames.shape == (12 * factor, 3, 3, 5)
    values = frames[:, 0, 0, 0]
    assert torch.equal(values[::factor], torch.arange(12.0))
    # A cubic through a line is the line, away from the ends of a scene.
    inside = values[3 * factor : 5 * factor + 1]
    torch.testing.assert_close(inside, torch.arange(3 * factor, 5 * factor + 1) / factor, rtol=0, atol=1e-6)
    assert values[8 * factor : 9 * factor].tolist() == [8.0] * factor
    assert values[11 * factor :].tolist() == [11.0] * factor


def test_ends_of_a_scene_are_mirrored_between_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4)
    frames = [float(frame[0, 0, 0]) for frame in found.interpolate(numbered(3), [False, False], range(3), 2)]
    assert frames == pytest.approx([0, (9 * 1 - 0 - 2) / 16, 1, (9 * 3 - 0 - 2) / 16, 2, 2])


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_no_new_frame_looks_further_than_three_frames(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a window that reads three frames more on each side gives what the whole clip gives."""
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4)
    torch.manual_seed(0)
    video = torch.rand(20, 3, 1, 1)
    whole = torch.stack(list(found.interpolate(video, [False] * 19, range(20), factor)))
    window = torch.stack(list(found.interpolate(video[4:16], [False] * 11, range(3, 9), factor)))
    assert torch.equal(window, whole[7 * factor : 13 * factor])


def test_a_restorer_is_shared_while_somebody_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    path.write_bytes(locate(ROW, None).read_bytes())
    one = load_restorer(ROW, path, CPU, "fp32")
    assert load_restorer(ROW, path, CPU, "fp32") is one
    assert load_restorer(ROW, path, CPU, "bf16") is not one
    path.touch()
    assert load_restorer(ROW, path, CPU, "fp32") is not one
    del one
    gc.collect()
    assert not [key for key in restorer._loaded if str(path) in key]


class Local(Network):
    """Each pixel's mean with the pixels up to three away, where outside the picture there are zeros."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for i in keep:
            yield F.avg_pool2d(video[:, i], 7, stride=1, padding=3)


class Windowed(Network):
    """Every pixel becomes the mean of its window of eight, counted from the first row and column given."""

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        for i in keep:
            yield F.interpolate(F.avg_pool2d(video[:, i], 8), scale_factor=8)


class Minimum(Network):
    """The picture less its darkest sample."""

    @override
    def statistics(self, video: Tensor) -> Statistics:
        return {"least": video.amin((1, 2, 3), keepdim=True)}

    @override
    def frames(self, video: Tensor, keep: range, statistics: Statistics | None = None) -> Iterator[Tensor]:
        least = self.statistics(video[0])["least"] if statistics is None else statistics["least"]
        for i in keep:
            yield video[:, i] - least[i]


TILES = Tiles(32, 40, 16, 16)


def difference(model: Network, tiles: Tiles, monkeypatch: pytest.MonkeyPatch, **facts: object) -> float:
    """Between what tiles and what whole frames give, at most."""
    torch.manual_seed(0)
    found, video = restorer_of(model, monkeypatch, scale=1, **facts), torch.rand(3, 3, 70, 93)
    whole = restore(found, video)
    assert whole.shape == video.shape
    return float((restore(found, video, tiles=tiles) - whole).abs().max())


def test_tiles_of_a_network_that_looks_no_further_than_the_guard_are_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert difference(Local(), TILES, monkeypatch) < 1e-6
    assert difference(Local(), Tiles(32, 40, 0, 0), monkeypatch) > 0.1


def test_tiles_begin_where_windows_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert difference(Windowed(), TILES, monkeypatch, multiple=8, align=8) < 1e-6
    assert difference(Windowed(), TILES, monkeypatch, multiple=8, align=1) > 0.1


def test_statistics_are_those_of_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Minimum()
    assert difference(model, TILES, monkeypatch) < 1e-6
    monkeypatch.setattr(Minimum, "localise", lambda *_: None)
    assert difference(model, TILES, monkeypatch) > 1e-5


def test_runs_of_tiles_are_restored_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Minimum(), monkeypatch, scale=1)
    video, cuts = torch.rand(5, 3, 50, 41), [False, True, False, False]
    assert (
        float((restore(found, video, cuts, range(1, 4), TILES) - restore(found, video, cuts, range(1, 4))).abs().max())
        < 1e-6
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (33, 2)])
@pytest.mark.parametrize("tiles", [Tiles(1, 1, 0, 0), Tiles(1, 32, 40, 9), Tiles(8, 8, 4, 4, official=True)])
def test_every_size_and_every_tile(size: tuple[int, int], tiles: Tiles, monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Sequence(), monkeypatch, scale=2, multiple=8, align=8, min_size=16)
    video = torch.rand(2, 3, *size)
    assert float((restore(found, video, tiles=tiles) - F.interpolate(video, scale_factor=2)).abs().max()) < 1e-6


def test_new_frames_are_made_of_tiles_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = restorer_of(Halfway(), monkeypatch, scale=1, gives="between", num_frames=4)
    video = torch.rand(5, 3, 50, 41)
    whole, tiled = (list(found.interpolate(video, [False] * 4, range(1, 4), 4, tiles)) for tiles in (None, TILES))
    assert len(whole) == 12
    assert float((torch.stack(whole) - torch.stack(tiled)).abs().max()) < 1e-6


def test_a_call_may_have_a_precision_of_its_own(bundled: Restorer) -> None:
    kept = next(bundled.restore(VIDEO, [False] * 4, range(1)))
    rounded = next(bundled.restore(VIDEO, [False] * 4, range(1), precision="bf16"))
    assert 1e-4 < float((kept - rounded).abs().max()) < 0.1
    assert torch.equal(next(bundled.restore(VIDEO, [False] * 4, range(1))), kept)


def test_nothing_is_held_between_two_frames(bundled: Restorer) -> None:
    for _ in bundled.restore(VIDEO, [False] * 4, range(5), precision="bf16"):
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.backends.cudnn.allow_tf32


def test_tiles_of_the_bundled_network_share_their_coarse_flow(
    bundled: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A texture that repeats itself: what moved where is a guess, and all tiles make the same one."""
    columns, rows = torch.arange(176), torch.arange(96)[:, None]
    frames = [0.5 + 0.4 * torch.sin((columns + 3 * n) / 1.9) * torch.cos((rows - 2 * n) / 2.3) for n in range(4)]
    video = torch.stack(frames)[:, None].expand(-1, 3, -1, -1).contiguous()
    tiles = Tiles(64, 80, 16, 16)

    def error() -> float:
        return float((restore(bundled, video, tiles=tiles) - whole).square().mean())

    whole = restore(bundled, video)
    shared = error()
    monkeypatch.setattr(type(bundled.model), "localise", lambda *_: None)
    assert shared < 0.5 * error()


def seeded(name: str, monkeypatch: pytest.MonkeyPatch) -> Restorer:
    """The network of a golden file."""
    row = row_of(name)
    return restorer_of(fill(build(row), load(name)[1]), monkeypatch, row)


def moving(frames: int, height: int, width: int) -> Tensor:
    """`-> (t 3 h w)`: something smooth that moves by some pixels a frame."""
    torch.manual_seed(0)
    size = height // 6 + 4, width // 6 + 4
    picture = F.interpolate(torch.rand(1, 3, *size), size=(height + 24, width + 24), mode="bicubic").clamp(0, 1)
    places = ((4 * (n % 4), 6 * (n % 3)) for n in range(frames))
    return torch.cat([picture[..., y : y + height, x : x + width] for y, x in places])


def error_in_seams(found: Restorer, tiles: Tiles, video: Tensor) -> float:
    """Where tiles are feathered into each other: mean squared error against whole frames, in their variance."""

    def made(tiles: Tiles | None) -> Tensor:
        cuts = [False] * (len(video) - 1)
        if found.row.gives == "between":
            return list(found.interpolate(video, cuts, range(1, 2), 2, tiles))[1]
        return next(found.restore(video, cuts, range(1, 2), tiles))

    whole, tiled = made(None), made(tiles)
    columns = layouts(tiles, *video.shape[2:], found.row)[1]
    scale = found.row.scale
    seams = [slice(b.start * scale, a.stop * scale) for a, b in pairwise(columns)]
    assert seams
    squares = torch.cat([(tiled - whole)[..., seam].square().flatten() for seam in seams])
    return float(squares.mean() / whole.var())


def knows_nothing_of_the_frame(found: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(found.model), "localise", lambda *_: None)


def begins_anywhere(found: Restorer, _: pytest.MonkeyPatch) -> None:
    found.row = replace(found.row, align=1)


@pytest.mark.parametrize(
    ("name", "allowed", "mutation"),
    [
        ("basicvsr_mm_c16b2_mirror", 1.7e-6, knows_nothing_of_the_frame),
        ("basicvsrpp_mm_c16b2_same", 2e-3, begins_anywhere),
        ("realbasicvsr_mm_c16b2", 1e-5, knows_nothing_of_the_frame),
        ("mana_c64_16x12", 1e-2, knows_nothing_of_the_frame),
        ("vrt_small_vfi_pa0", 1e-2, knows_nothing_of_the_frame),
        ("vrt_small_vfi_pa0", 1e-2, begins_anywhere),
    ],
)
def test_seams_of_seeded_networks(
    name: str, allowed: float, mutation: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, is_vrt = seeded(name, monkeypatch), name.startswith("vrt")
    video = moving(4, 40, 132) if is_vrt else moving(4, 18, 61)
    tiles = Tiles(88, 88, 24, 24) if is_vrt else Tiles(64, 40, 24, 24)
    assert error_in_seams(found, tiles, video) < allowed
    mutation(found, monkeypatch)
    assert error_in_seams(found, tiles, video) > allowed


def as_published(model: Network, video: Tensor, size: int, overlap: int, scale: int) -> Tensor:
    """`(t 3 h w) -> (t 3 (h s) (w s))`: what VRT's authors make of patches, each alone, half the overlap cut away."""
    t, _, height, width = video.shape
    total, times = torch.zeros(2, t, 3, height * scale, width * scale)
    for y in (0, height - size):
        for x in (0, width - size):
            patch = torch.cat(list(model.frames(video[None, :, :, y : y + size, x : x + size], range(t))))
            mask = torch.ones_like(patch)
            if y:
                mask[..., : overlap // 2, :] = 0
            else:
                mask[..., -(overlap // 2) :, :] = 0
            if x:
                mask[..., : overlap // 2] = 0
            else:
                mask[..., -(overlap // 2) :] = 0
            place = (..., slice(y * scale, (y + size) * scale), slice(x * scale, (x + size) * scale))
            total[place] += patch * mask
            times[place] += mask
    return total / times


def test_the_official_procedure_runs_each_patch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seeded("vrt_small_up2_pa2", monkeypatch)
    video = moving(2, 48, 56)
    with torch.inference_mode():
        expected = as_published(found.model, video, 32, 8, found.row.scale)
    tiles = Tiles(32, 32, 8, 8, official=True)
    assert float((restore(found, video, tiles=tiles) - expected).abs().max()) < 1e-5
    assert float((restore(found, video, tiles=replace(tiles, official=False)) - expected).abs().max()) > 0.1
