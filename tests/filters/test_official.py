"""`blend="official"`: what the test program of VRT's authors makes of a network that tells where it is."""

import json
from pathlib import Path
from typing import Any, override

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor
from vapoursynth import core
from vs_vrt.filters import noise, restore

from tests.filters import stand_ins
from tests.filters.reduced import clip_of_video
from tests.golden_vectors import load
from tests.support import frame_bytes, pixels
from vs_vrt import checkpoint, restorer

CASES = range(5)


class Positions(stand_ins.StandIn):
    """Every pixel `scale^2` times, plus the level of noise and its place in what the network was given."""

    scale = 1

    @override
    def frames(self, video: Tensor, keep: range, statistics: Tensor | None = None) -> Any:
        for t in keep:
            frame = video[:, t, :3] + video[:, t, 3:] if video.shape[2] == 4 else video[:, t]
            frame = frame.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
            rows, columns = (torch.arange(size, dtype=torch.float32) for size in frame.shape[-2:])
            yield self.weight * (frame + 0.01 * t + 1e-3 * rows[:, None] + 2e-3 * columns)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    tensors, metadata = load("tiling")
    facts = json.loads(metadata["cases"])[request.param]
    return facts | {"input": tensors[f"{request.param}.input"][0], "output": tensors[f"{request.param}.output"][0]}


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_golden(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = stand_ins.row(
        "sr4",
        "positions",
        architecture="vrt:Positions",
        config={"window_size": tuple(case["ws"])},
        scale=case["sf"],
        multiple=8,
        sharing="blended",
        sigma=10.0 if case["nb"] else None,
    )
    monkeypatch.setattr(noise, "MAX_SIGMA", 255.0)  # their levels are no noise
    monkeypatch.setattr(Positions, "scale", case["sf"])
    monkeypatch.setattr(restore, "TASKS", (row,))
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)
    monkeypatch.setattr(restorer, "build", lambda _: Positions())
    torch.save(Positions().state_dict(), tmp_path / row.checkpoint)
    video, (length, tile, _), (overlap, tile_overlap, _) = case["input"], case["tile"], case["ov"]
    levels = {"sigma_clip": clip_of_video(video[:, 3:], vs.GRAYS)} if case["nb"] else {}
    clip = core.vrt.Restore(
        clip_of_video(video[:, :3], vs.RGBS),
        blend="official",
        length=length,
        overlap=overlap,
        tile=tile,
        tile_overlap=tile_overlap,
        **levels,
    )
    found = torch.stack([torch.from_numpy(pixels(frame)) for frame in clip.frames()])
    assert found.shape == case["output"].shape
    assert float((found - case["output"]).abs().max()) < 2e-6


@pytest.mark.usefixtures("arithmetic")
def test_a_call_of_another_kind_does_not_share_what_the_whole_clip_changes() -> None:
    clip = core.std.BlankClip(format=vs.RGBS, width=8, height=8, length=9)
    clip = clip.std.ModifyFrame(clip, _numbered)
    arguments = {"model": "blended", "length": 4, "overlap": 1, "sc_threshold": 0}
    expected = [frame_bytes(frame) for frame in core.vrt.Restore(clip, **arguments).frames()]
    whole = core.vrt.Restore(clip, model="blended", blend="official", length=0, tile=0)
    whole.get_frame(3)
    assert [frame_bytes(frame) for frame in core.vrt.Restore(clip, **arguments).frames()] == expected


def _numbered(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
    frame = f.copy()
    for plane in range(3):
        np.asarray(frame[plane])[:] = n
    return frame
