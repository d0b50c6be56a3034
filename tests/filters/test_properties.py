"""Frame properties: what a source says is kept, and only what it does not say is filled in."""

from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from vapoursynth import core

from tests.support import SCALE, properties

SIZE = {"width": 16, "height": 12}
SOURCE_PROPERTIES: dict[str, Any] = {
    "_Matrix": 9,
    "_Range": 1,
    "_ChromaLocation": 2,
    "_Primaries": 9,
    "_Transfer": 16,
    "_FieldBased": 0,
    "_SARNum": 4,
    "_SARDen": 3,
    "_DurationNum": 1001,
    "_DurationDen": 30000,
    "_PictType": "B",
    "_AbsoluteTime": 1.5,
    "_SceneChangePrev": 1,
    "_SceneChangeNext": 0,
    "OwnInt": -(2**62),
    "OwnFloats": [0.5, 1e300],
    "OwnInts": [3, 1, 2],
    "OwnText": "ünïcode; `x`",
    "OwnBytes": b"\x00\xff",
}


def blank(format: int, **size: int) -> vs.VideoNode:
    return core.std.BlankClip(format=format, length=2, **(SIZE | size))


def log_lines(log: list[str]) -> list[str]:
    return [message for message in log if "matrix" in message]


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV444PS, vs.GRAY16])
def test_all_properties_of_the_source_are_kept(format: int) -> None:
    source = blank(format).std.SetFrameProps(**SOURCE_PROPERTIES)
    before, after = properties(source), properties(core.vrt.Restore(source))
    assert {key: after.get(key) for key in before} == before
    assert set(after) - set(before) == {"VrtTask", "VrtModel", "VrtPrecision", "VrtWindow"}


@pytest.mark.parametrize("format", [vs.RGBS, vs.RGBH, vs.RGB24])
def test_all_properties_of_an_rgb_source_are_kept(format: int) -> None:
    source = blank(format).std.SetFrameProps(**(SOURCE_PROPERTIES | {"_Matrix": 0}))
    before, after = properties(source), properties(core.vrt.Restore(source))
    assert {key: after.get(key) for key in before} == before
    assert set(after) - set(before) == {"VrtTask", "VrtModel", "VrtPrecision", "VrtWindow"}


@pytest.mark.parametrize("format", [vs.RGBS, vs.RGB24, vs.YUV420P8, vs.YUV444P16, vs.GRAY8])
def test_properties_belong_to_their_own_frame_and_none_is_private(format: int) -> None:
    blanks = blank(format)
    source = core.std.Splice([blanks[n].std.SetFrameProps(Own=n) for n in range(2)])
    restored = core.vrt.Restore(source)
    assert [properties(restored, n)["Own"] for n in range(2)] == [0, 1]
    assert not [key for key in properties(restored) if key.startswith("_vrt")]


@pytest.mark.parametrize(
    ("width", "height", "matrix", "standard"),
    [(1024, 8, 6, "BT.601"), (1026, 8, 1, "BT.709"), (8, 576, 6, "BT.601"), (8, 578, 1, "BT.709")],
)
def test_a_missing_matrix_is_guessed_from_the_size_with_one_line_in_the_log(
    width: int, height: int, matrix: int, standard: str, log: list[str]
) -> None:
    restored = core.vrt.Restore(blank(vs.YUV420P8, width=width, height=height)[0])
    props = properties(restored)
    assert (props["_Matrix"], props["_Range"], props["_ChromaLocation"]) == (matrix, 0, 0)
    other = {"BT.601": "709", "BT.709": "170m"}[standard]
    assert log_lines(log) == [
        f"vrt: the clip does not say its matrix; taking {standard}, as its size suggests "
        f'(`matrix="{other}"` to say otherwise)'
    ]


def test_each_node_says_once_that_it_guessed(log: list[str]) -> None:
    for _ in range(2):
        list(core.vrt.Restore(blank(vs.YUV420P8), length=1).frames())
    assert len(log_lines(log)) == 2


@pytest.mark.parametrize(("name", "matrix"), [("709", 1), ("170m", 6), ("470bg", 5), ("2020ncl", 9), ("240m", 7)])
def test_the_matrix_argument_wins_over_the_guess(name: str, matrix: int, log: list[str]) -> None:
    assert properties(core.vrt.Restore(blank(vs.YUV420P8), matrix=name))["_Matrix"] == matrix
    unspecified = blank(vs.YUV420P8).std.SetFrameProps(_Matrix=2)
    assert properties(core.vrt.Restore(unspecified, matrix=name))["_Matrix"] == matrix
    assert log_lines(log) == []


def test_the_matrix_argument_does_not_override_what_a_frame_says(log: list[str]) -> None:
    mixed = core.std.Splice([blank(vs.YUV420P8)[0].std.SetFrameProps(_Matrix=9), blank(vs.YUV420P8)[0]])
    restored = core.vrt.Restore(mixed, matrix="240m")
    assert [properties(restored, n)["_Matrix"] for n in range(2)] == [9, 7]
    assert log_lines(log) == []


def test_an_unspecified_matrix_is_a_missing_one(log: list[str]) -> None:
    restored = core.vrt.Restore(blank(vs.YUV420P8).std.SetFrameProps(_Matrix=2))
    assert properties(restored)["_Matrix"] == 6
    assert len(log_lines(log)) == 1


@pytest.mark.parametrize(
    ("format", "matrix", "full_range"), [(vs.RGBS, 0, 1), (vs.RGB24, 0, 1), (vs.GRAY8, 6, 0), (vs.YUV444P8, 6, 0)]
)
def test_formats_without_subsampling_get_matrix_and_range_alone(format: int, matrix: int, full_range: int) -> None:
    props = properties(core.vrt.Restore(blank(format)))
    assert (props["_Matrix"], props["_Range"]) == (matrix, full_range)
    assert "_ChromaLocation" not in props


@pytest.mark.filterwarnings("ignore:The _ColorRange frame property has been deprecated")
def test_the_older_name_of_the_range_counts() -> None:
    for old, new in ((0, 1), (1, 0)):
        restored = core.vrt.Restore(blank(vs.YUV420P8).std.SetFrameProps(_ColorRange=old))
        assert properties(restored)["_Range"] == new


# The alpha plane travels as a frame in a property.


def with_alpha(alpha: vs.VideoNode, format: int = vs.RGBS) -> vs.VideoNode:
    clip = core.std.BlankClip(format=format, width=alpha.width, height=alpha.height, length=alpha.num_frames)
    return clip.std.ClipToProp(alpha, prop="_Alpha")


def gradient(format: int) -> vs.VideoNode:
    """From transparent at the left to opaque at the right, with a step in the middle."""
    ramp = np.linspace(0.1, 0.6, 32) + 0.3 * (np.arange(32) > 15)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001 - called by name
        filled = f.copy()
        np.asarray(filled[0])[:] = ramp
        return filled

    blank = core.std.BlankClip(format=vs.GRAYS, width=32, height=24, length=1)
    return blank.std.ModifyFrame(blank, fill).resize.Point(format=format, range=1)


@pytest.mark.parametrize("format", [vs.GRAY8, vs.GRAY10, vs.GRAY16, vs.GRAYH, vs.GRAYS])
@pytest.mark.parametrize("picture", [vs.RGBS, vs.YUV420P8])
def test_alpha_grows_with_the_picture_in_its_own_format(format: int, picture: int) -> None:
    source = gradient(format)
    alpha = core.vrt.Restore(with_alpha(source, picture)).get_frame(0).props["_Alpha"]
    assert (alpha.format.id, alpha.width, alpha.height) == (format, SCALE * 32, SCALE * 24)
    before, after = np.asarray(source.get_frame(0)[0]), np.asarray(alpha[0])
    assert (after.min(), after.max()) == (before.min(), before.max())
    # The same kernel by VapourSynth; away from the borders, where the two repeat samples differently.
    larger = source.resize.Bicubic(SCALE * 32, SCALE * 24, filter_param_a=0, filter_param_b=0.75).get_frame(0)
    inner = np.s_[8:-8, 12:-12]
    expected = np.asarray(larger[0]).clip(before.min(), before.max())[inner].astype(np.float64)
    scale = 1 if format in (vs.GRAYH, vs.GRAYS) else 2**alpha.format.bits_per_sample - 1
    assert np.abs(after[inner] - expected).max() <= (1.01 if scale > 1 else 2e-3)


def test_alpha_keeps_its_own_properties_and_frames_without_alpha_get_none() -> None:
    alpha = core.std.BlankClip(format=vs.GRAY8, width=16, height=12, length=1, color=77).std.SetFrameProps(Own=5)
    plain = core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=1)
    restored = core.vrt.Restore(core.std.Splice([with_alpha(alpha), plain]))
    found = properties(restored, 0)["_Alpha"]
    assert found.props["Own"] == 5
    assert set(np.asarray(found[0]).flat) == {77}
    assert "_Alpha" not in properties(restored, 1)
