"""Any format in, the same format out, in the same colours."""

from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from vapoursynth import core

from tests.support import SCALE, carried, clip_bytes, clip_of, frame_bytes, moving_texture, properties

SUBSAMPLINGS = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 2), (0, 1)]  # 444, 422, 420, 411, 410, 440
SAMPLES = [*((vs.INTEGER, bits) for bits in (8, 10, 12, 16)), (vs.FLOAT, 16), (vs.FLOAT, 32)]
FORMATS = [
    *(core.query_video_format(vs.YUV, *sample, *subsampling) for subsampling in SUBSAMPLINGS for sample in SAMPLES),
    *(core.query_video_format(family, *sample) for family in (vs.GRAY, vs.RGB) for sample in SAMPLES),
]
YUV420P8 = core.get_video_format(vs.YUV420P8)
# What `core.resize` calls them, without those that need transfer and primaries too.
MATRICES = [vs.MATRIX_BT709, vs.MATRIX_FCC, vs.MATRIX_BT470_BG, vs.MATRIX_ST170_M, vs.MATRIX_ST240_M, 8, 9]

each_format = pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)


def flat(format: vs.VideoFormat, colour: tuple[float, ...], full_range: bool) -> vs.VideoNode:
    """One frame of one colour; luma and RGB count from 0 to 1, chroma from -0.5 to 0.5."""
    samples = [sample(format, plane, value, full_range) for plane, value in enumerate(colour[: format.num_planes])]
    clip = core.std.BlankClip(format=format.id, width=32, height=24, length=1, color=samples)
    return clip.std.SetFrameProps(_Range=int(full_range))


def sample(format: vs.VideoFormat, plane: int, value: float, full_range: bool) -> float:
    """The sample that stands for a value, after ITU-R BT.709 and BT.2100."""
    if format.sample_type == vs.FLOAT:
        return value
    chroma = format.color_family == vs.YUV and plane > 0
    if full_range:
        return round(value * (2**format.bits_per_sample - 1) + chroma * 2 ** (format.bits_per_sample - 1))
    return round((value * (224 if chroma else 219) + (128 if chroma else 16)) * 2 ** (format.bits_per_sample - 8))


def by_hand(clip: vs.VideoNode, **back: Any) -> list[bytes]:
    """What Restore promises for a converted clip, spelled out with `core.resize`."""
    restored = core.vrt.Restore(clip.resize.Bicubic(format=vs.RGBS))
    return clip_bytes(carried(restored, clip.format).resize.Bicubic(format=clip.format.id, **back))


@each_format
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_a_flat_colour_stays_that_colour(format: vs.VideoFormat, full_range: bool) -> None:
    colour = (0.4, 0.1, -0.08) if format.color_family == vs.YUV else (0.4, 0.55, 0.3)
    clip = flat(format, colour, full_range)
    restored = core.vrt.Restore(clip)
    assert (restored.format.id, restored.width, restored.height) == (format.id, 32 * SCALE, 24 * SCALE)
    assert (restored.num_frames, restored.fps) == (clip.num_frames, clip.fps)
    tolerance = 0.02 * (1 if format.sample_type == vs.FLOAT else 2**format.bits_per_sample)
    for before, after in zip(clip.get_frame(0), restored.get_frame(0), strict=True):
        difference = np.asarray(after).astype(np.float64) - np.asarray(before)[0, 0].astype(np.float64)
        assert np.abs(difference).max() < tolerance


@each_format
def test_a_picture_equals_the_conversion_by_hand(format: vs.VideoFormat) -> None:
    matrix = None if format.color_family == vs.RGB else vs.MATRIX_BT709
    clip = clip_of(moving_texture(1, 1)).resize.Bicubic(format=format.id, matrix=matrix)
    assert clip_bytes(core.vrt.Restore(clip, precision="fp32")) == by_hand(clip, matrix=matrix)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [0, 1], ids=["limited", "full"])
def test_matrix_and_range_of_the_frame_count(matrix: int, full_range: int) -> None:
    texture = clip_of(moving_texture(1, 1))
    clip = texture.resize.Bicubic(format=vs.YUV444P16, matrix=matrix, range=full_range)
    assert properties(clip)["_Matrix"] == matrix
    restored = core.vrt.Restore(clip)
    assert clip_bytes(restored) == by_hand(clip, matrix=matrix, range=full_range)
    props = properties(restored)
    assert (props["_Matrix"], props["_Range"]) == (matrix, full_range)


@pytest.mark.parametrize("location", range(6))
def test_chroma_location_of_the_frame_counts(location: int) -> None:
    clip = clip_of(moving_texture(1, 1)).resize.Bicubic(format=vs.YUV420P8, matrix=1, chromaloc=location)
    restored = core.vrt.Restore(clip)
    assert clip_bytes(restored) == by_hand(clip, matrix=1, chromaloc=location)
    assert properties(restored)["_ChromaLocation"] == location
    elsewhere = clip.std.SetFrameProps(_ChromaLocation=(location + 1) % 6)
    assert clip_bytes(core.vrt.Restore(elsewhere)) != clip_bytes(restored)


def test_frames_of_one_clip_may_differ_in_matrix_range_and_chroma_location() -> None:
    kinds = [(1, 0, 0), (9, 1, 2), (6, 0, 1), (1, 0, 0)]
    texture = clip_of(moving_texture(1, len(kinds)))
    parts = [
        texture[n].resize.Bicubic(format=vs.YUV420P8, matrix=matrix, range=full_range, chromaloc=location)
        for n, (matrix, full_range, location) in enumerate(kinds)
    ]
    clip = core.std.Splice(parts)
    restored = core.vrt.Restore(clip)
    rgb = carried(core.vrt.Restore(clip.resize.Bicubic(format=vs.RGBS)), clip.format)
    for n, (matrix, full_range, location) in enumerate(kinds):
        back = rgb.resize.Bicubic(format=vs.YUV420P8, matrix=matrix, range=full_range, chromaloc=location)
        assert frame_bytes(restored.get_frame(n)) == frame_bytes(back.get_frame(n))
        props = properties(restored, n)
        assert (props["_Matrix"], props["_Range"], props["_ChromaLocation"]) == (matrix, full_range, location)


def test_rgbs_is_restored_without_a_conversion() -> None:
    # A conversion would leave its mark: it says that transfer and primaries are not known.
    clip = clip_of(moving_texture(1, 1))
    added = properties(core.vrt.Restore(clip)).keys() - properties(clip).keys()
    assert added == {"_Matrix", "_Range", "VrtTask", "VrtModel", "VrtPrecision", "VrtWindow"}


def test_values_outside_0_to_1_survive_in_float() -> None:  # and integers end there: they hold no others
    clip = core.std.BlankClip(format=vs.RGBS, width=32, height=24, length=1, color=[1.2, -0.1, 0.5])
    frame = core.vrt.Restore(clip).get_frame(0)
    assert np.asarray(frame[0]).mean() > 1.05
    assert np.asarray(frame[1]).mean() < -0.02
