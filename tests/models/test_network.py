"""What every network shares with the engine."""

import pytest
import torch
from torch import Tensor

from tests.filters.reduced import MODELS, row_of
from tests.golden_vectors import error, fill, load
from vs_vrt.models.network import Place, Statistics
from vs_vrt.restorer import build


@pytest.mark.parametrize("name", MODELS)
def test_a_tile_that_is_the_whole_frame_is_what_the_frame_is(name: str) -> None:
    """So what is known of frames comes to the right one of them, the right way round in time."""
    tensors, metadata = load(name)
    model, video = fill(build(row_of(name)), metadata), tensors["input"][:1]
    count, _, h, w = video.shape[1:]
    keep = range(1, count)

    def restored(statistics: Statistics | None) -> Tensor:
        return torch.stack(list(model.frames(video, keep, statistics)))

    with torch.no_grad():
        whole = model.statistics(video[0])
        told = model.localise(whole, Place(range(h), range(w), h, w))
        expected = restored(None)
        assert error(restored(told), expected) < 2e-4
        if "flow" in whole:
            wrong = dict(told) | {"flow": told["flow"].flip(0) + 1}
            assert error(restored(wrong), expected) > 1e-3
