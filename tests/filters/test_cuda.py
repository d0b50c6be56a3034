"""On a CUDA GPU: what it makes is what the CPU makes, and the same bytes with one stream or several."""

import numpy as np
import pytest
import torch
import vapoursynth as vs
from vapoursynth import core

from tests.support import clip_bytes, clip_of, moving_texture, pixels, properties
from vs_vrt import engine

pytestmark = pytest.mark.cuda

FRAMES, LENGTH = 12, 3


@pytest.fixture
def clip() -> vs.VideoNode:
    return clip_of(moving_texture(1, FRAMES, 160, 96))


def restored(clip: vs.VideoNode, **arguments: object) -> vs.VideoNode:
    return core.vrt.Restore(clip, **{"length": LENGTH, "overlap": 1, "device": "cuda:0"} | arguments)


def difference(a: vs.VideoNode, b: vs.VideoNode) -> float:
    return max(
        float(np.abs(pixels(x).astype(np.float64) - pixels(y)).max())
        for x, y in zip(a.frames(), b.frames(), strict=True)
    )


def test_float32_is_what_a_cpu_makes(clip: vs.VideoNode) -> None:
    assert difference(restored(clip), restored(clip, device="cpu")) < 1e-4


def test_half_precision_is_near(clip: vs.VideoNode) -> None:
    half = restored(clip.resize.Point(format=vs.RGBH))
    assert properties(half)["VrtPrecision"] == "fp16"
    assert difference(half, restored(clip, device="cpu")) < 0.02


@pytest.mark.parametrize("arguments", [{"num_streams": 3}, {"device": ["cuda:0", "cuda:0"]}])
def test_streams_give_the_same_bytes(clip: vs.VideoNode, arguments: dict[str, object]) -> None:
    assert clip_bytes(restored(clip, **arguments)) == clip_bytes(restored(clip))


def test_tiles_are_near_the_whole_frame(clip: vs.VideoNode) -> None:
    tiles = restored(clip, tile=[96, 64])
    assert difference(tiles, restored(clip)) < 0.1
    assert clip_bytes(tiles) == clip_bytes(restored(clip, tile=[96, 64]))


def test_memory_is_that_of_the_card_and_goes_back(clip: vs.VideoNode) -> None:
    device = torch.device("cuda", 0)
    assert engine.total_memory(device) == torch.cuda.mem_get_info(device)[1]
    clip_bytes(restored(clip))
    engine.release_caches(device)
    assert torch.cuda.memory_reserved(device) < 1 << 30
    limited = core.vrt.Plan(clip, device="cuda:0", vram_limit=0.05)
    assert limited["tile"] != [0, 0]


def test_after_the_first_windows_the_card_is_asked_for_no_more_memory(clip: vs.VideoNode) -> None:
    def segments() -> int:
        return int(torch.cuda.memory_stats(0)["segment.all.allocated"])

    node = restored(clip.std.Loop(4))
    frames = node.frames(prefetch=LENGTH, close=True)
    for _ in range(2 * FRAMES):
        next(frames).close()
    before = segments()
    for frame in frames:
        frame.close()
    assert segments() == before
