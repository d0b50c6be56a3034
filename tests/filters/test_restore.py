"""Restore from the outside, where no other file of this folder looks."""

import vapoursynth as vs
from vapoursynth import core

from tests.support import clip_of, moving_texture, untouchable


def test_evaluation_says_in_one_line_what_will_be_done(log: list[str]) -> None:
    core.vrt.Restore(untouchable(core.std.BlankClip(format=vs.RGBS, width=32, height=24, length=9)), length=6)
    assert log == [
        "vrt: sr4 by basicvsr-compact (basicvsr-compact.safetensors, MIT), 32x24 to 128x96, length=6, overlap=3"
    ]


def test_nodes_are_freed_with_the_clip() -> None:
    restored = core.vrt.Restore(clip_of(moving_texture(1, 3)))
    frame = restored.get_frame(1)
    del restored
    assert (frame.width, frame.height) == (128, 96)  # a frame outlives its node
