"""The entry points of the native plugin answer; they never raise."""

from pathlib import Path

import pytest
import vapoursynth as vs
from vapoursynth import core
from vs_vrt.filters import bridge
from vs_vrt.filters.clip import RGBS, ClipFacts
from vs_vrt.filters.restoration import Restoration

from vs_vrt.errors import ArgumentError

CLIP = [16, 12, 5, 24, 1, 2, 1, 32, 0, 0]  # width, height, frames, rate, and the format RGBS


def raise_(error: Exception) -> None:
    raise error


def test_an_answer_carries_the_value() -> None:
    assert bridge.answer(max, 3, 4) == ("", "", 4)


def test_an_error_of_ours_is_told_as_it_is() -> None:
    text, place, value = bridge.answer(raise_, ArgumentError("x is wrong; `x=1`"))
    assert (text, value) == ("vrt: x is wrong; `x=1`", None)
    assert place.startswith("filters/test_bridge.py:")


@pytest.mark.parametrize("error", [KeyError("key"), RuntimeError(""), AssertionError(), ValueError("one\ntwo")])
def test_any_other_error_is_told_in_one_line(error: Exception) -> None:
    text, _, _ = bridge.answer(raise_, error)
    assert text.startswith(f"vrt: internal error ({type(error).__name__}")
    assert text.endswith("); `report it with the line above`")
    assert "\n" not in text


def test_a_plan_is_what_the_native_part_reads() -> None:
    error, _, (step,) = bridge.plan("restore", {"clip": [CLIP], "length": [7], "overlap": [2]})
    assert error == ""
    assert isinstance(step, Restoration)
    facts = (step.width, step.height, step.length, step.overlap, step.factor, step.made, step.format, step.matrix)
    assert facts == (64, 48, 7, 2, 1, 1, RGBS, -1)
    assert step.message == (
        "vrt: sr4 by basicvsr-compact (basicvsr-compact.safetensors, MIT), 16x12 to 64x48, length=7, overlap=2"
    )


@pytest.mark.parametrize(("factor", "made"), [(2, 1), (4, 3), (8, 7)])
def test_a_plan_of_an_interpolation_counts_what_is_made_beside_the_source(factor: int, made: int) -> None:
    _, _, (step,) = bridge.plan("interpolate", {"clip": [CLIP], "factor": [factor]})
    assert (step.width, step.height, step.length, step.overlap, step.factor, step.made) == (16, 12, 10, 3, factor, made)
    assert step.message.endswith(f", 16x12 to 16x12, factor={factor}, length=10, overlap=3")


def test_a_plan_of_space_and_time_has_two_steps() -> None:
    _, _, (larger, smoother) = bridge.plan("restore", {"clip": [CLIP], "task": ["st4"]})
    assert (larger.row.task, larger.width, larger.height, larger.factor) == ("sr4", 64, 48, 1)
    assert (smoother.row.task, smoother.width, smoother.height, smoother.factor) == ("vfi", 64, 48, 2)


@pytest.mark.parametrize(
    ("name", "model"),
    [("basicvsr_reds4_20120409-0e599677.pth", "basicvsr"), ("mine.pth", "basicvsr-compact")],
)
def test_weights_choose_the_model_they_belong_to(name: str, model: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    _, _, (step,) = bridge.plan("restore", {"clip": [CLIP], "weights": [str(tmp_path / name)]})
    assert step.row.model == model


def test_the_model_argument_wins_over_the_name_of_the_weights(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").touch()
    arguments = {"clip": [CLIP], "model": ["basicvsr"], "weights": [str(tmp_path / "mine.pth")]}
    _, _, (step,) = bridge.plan("restore", arguments)
    assert (step.row.model, step.checkpoint) == ("basicvsr", tmp_path / "mine.pth")


@pytest.mark.parametrize("name", ["RGBS", "RGBH", "RGB24", "YUV420P8", "YUV444P16", "GRAY16"])
def test_formats_have_the_numbers_of_vapoursynth(name: str) -> None:
    number = getattr(vs, name)
    format = core.get_video_format(number)
    kind = (int(format.color_family), int(format.sample_type), format.bits_per_sample)
    assert ClipFacts(16, 12, 5, 24, 1, *kind, format.subsampling_w, format.subsampling_h).format_id == number
