"""Every error text, whole: what is wrong, and what to type instead."""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from vapoursynth import core
from vs_vrt.filters import frames, restoration, window

from tests.support import check_grammar, python_places, untouchable
from vs_vrt.restorer import Restorer, build
from vs_vrt.tasks import TASKS

COMPACT = next(row for row in TASKS if row.model == "basicvsr-compact")
TASK_NAMES = ", ".join(sorted({row.task for row in TASKS} - {"vfi"} | {"st4"}))
FAMILIES = {row.model.split("-")[0] for row in TASKS if row.task == "sr4"}
MODEL_NAMES = ", ".join(sorted(FAMILIES | {row.model for row in TASKS if row.task == "sr4"}))
PAGED = next(row for row in TASKS if row.page and row.task == "deblur")


def blank(format: int = vs.RGBS, width: int = 16, **properties: int) -> vs.VideoNode:
    clip = core.std.BlankClip(format=format, width=width, height=12, length=1)
    return clip.std.SetFrameProps(**properties) if properties else clip


def refusal(clip: vs.VideoNode, **arguments: Any) -> str:
    """What script evaluation says, without having looked at a frame."""
    with pytest.raises(vs.Error) as error:
        core.vrt.Restore(untouchable(clip) if clip.width and clip.format else clip, **arguments)
    return str(error.value)


def failure(clip: vs.VideoNode, **arguments: Any) -> str:
    """What the first frame says, of a call that passed evaluation."""
    restored = core.vrt.Restore(clip, **arguments)
    with pytest.raises(vs.Error) as error:
        restored.get_frame(0)
    return str(error.value)


# Arguments

DEVICE_REMEDY = '`device="cuda:0"` or `device="cpu"`'
LENGTHS, OVERLAPS = "`length=1` to `length=1000`", "`overlap=0` to `overlap=1000`"
THRESHOLDS = "`sc_threshold=0` (off) to `sc_threshold=1`"
MATRICES = "170m, 2020ncl, 240m, 470bg, 709, fcc, ycgco"

ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"task": "sr5"}, "unknown task 'sr5'; did you mean `task=\"sr4\"`?"),
    ({"task": "colour"}, f"unknown task 'colour'; `task=` one of {TASK_NAMES}"),
    ({"task": ""}, f"unknown task ''; `task=` one of {TASK_NAMES}"),
    ({"model": "basicvrs"}, "unknown model 'basicvrs'; did you mean `model=\"basicvsr\"`?"),
    ({"model": "VRT"}, "unknown model 'VRT'; did you mean `model=\"vrt\"`?"),
    ({"model": "basicvsr++"}, "unknown model 'basicvsr++'; did you mean `model=\"basicvsrpp\"`?"),
    ({"model": "xyz"}, f"unknown model 'xyz'; `model=` one of {MODEL_NAMES}"),
    ({"precision": "fp-16"}, "unknown precision 'fp-16'; did you mean `precision=\"fp16\"`?"),
    ({"precision": "int8"}, "unknown precision 'int8'; `precision=` one of bf16, fp16, fp32"),
    ({"matrix": "bt709"}, "unknown matrix 'bt709'; did you mean `matrix=\"709\"`?"),
    ({"matrix": "rgb"}, f"unknown matrix 'rgb'; `matrix=` one of {MATRICES}"),
    (
        {"task": "deblur", "model": PAGED.model},
        f"the checkpoint of model {PAGED.model} is not on this machine and cannot be downloaded; "
        f"`pass weights=`, the file is at {PAGED.page}",
    ),
    ({"tile": 15}, "tile 15 is out of range; `tile=16` to `tile=131072`"),
    ({"tile": [64, -1]}, "tile -1 is out of range; `tile=16` to `tile=131072`"),
    ({"tile": [64, 64, 64]}, "tile takes a width and a height, not 3 numbers; `tile=[64, 64]`"),
    ({"tile_overlap": -8}, "tile_overlap -8 is out of range; `tile_overlap=0` to `tile_overlap=131072`"),
    ({"num_streams": 0}, "num_streams 0 is out of range; `num_streams=1` to `num_streams=16`"),
    ({"vram_limit": 0.0}, "vram_limit 0 is no size in GiB; `vram_limit=8`"),
    ({"ram_limit": -2.5}, "ram_limit -2.5 is no size in GiB; `ram_limit=8`"),
    ({"device_index": -1}, "device_index -1 is no number of a GPU; `device_index=0`"),
    ({"device_index": 0, "device": "cpu"}, 'device and device_index say the same; `device="cuda:0"` alone'),
    ({"vram_limit": 8.0, "device": "cpu"}, "vram_limit is for GPUs, and the device is the CPU; `ram_limit=8`"),
    (
        {"device": ["cpu", "cpu", "cuda:0"]},
        "device names some devices more often than others; `num_streams=2` is for all of them",
    ),
    ({"preview": 2}, "preview 2 is out of range; `preview=0` to `preview=1`"),
    (
        {"preview": True, "length": 8},
        "length has no use here: a preview has one short window; `preview=False`",
    ),
    (
        {"blend": "official"},
        "windows of basicvsr-compact share no frames that could blend; `leave blend out`",
    ),
    ({"sigma": 10.0}, "model basicvsr-compact takes no noise level; `leave sigma out`"),
    ({"sigma_clip": blank(vs.GRAYS)}, "model basicvsr-compact takes no noise level; `leave sigma_clip out`"),
    (
        {"sigma": 10.0, "sigma_clip": blank(vs.GRAYS)},
        "sigma and sigma_clip exclude each other; `sigma=` for one level, `sigma_clip=` for a map",
    ),
    ({"length": 0}, f"length 0 is out of range; {LENGTHS}"),
    ({"length": -3}, f"length -3 is out of range; {LENGTHS}"),
    ({"length": 1001}, f"length 1001 is out of range; {LENGTHS}"),
    ({"length": 2**40}, f"length {2**40} is out of range; {LENGTHS}"),
    ({"overlap": -1}, f"overlap -1 is out of range; {OVERLAPS}"),
    ({"overlap": 1001}, f"overlap 1001 is out of range; {OVERLAPS}"),
    ({"sc_threshold": -0.5}, f"sc_threshold -0.5 is out of range; {THRESHOLDS}"),
    ({"sc_threshold": 1.01}, f"sc_threshold 1.01 is out of range; {THRESHOLDS}"),
    ({"sc_threshold": float("nan")}, f"sc_threshold nan is out of range; {THRESHOLDS}"),
    ({"device": "GPU 0"}, f"device 'GPU 0' is no device; {DEVICE_REMEDY}"),
    ({"device": "cuda:"}, f"device 'cuda:' is no device; {DEVICE_REMEDY}"),
    ({"device": ""}, f"device '' is no device; {DEVICE_REMEDY}"),
    (
        {"device": "cpu", "precision": "fp16"},
        'a CPU does not compute in fp16; `precision="bf16"` or `precision="fp32"`',
    ),
    ({"matrix": "709"}, 'matrix="709" says how YUV was made, and the clip is RGB; `leave matrix out`'),
]


@pytest.mark.parametrize(("arguments", "text"), ARGUMENTS, ids=[str(index) for index in range(len(ARGUMENTS))])
def test_a_wrong_argument_is_refused_at_evaluation(arguments: dict[str, Any], text: str, log: list[str]) -> None:
    found = refusal(blank(), **arguments)
    assert found == f"vrt: {text}"
    check_grammar(found)
    (place,) = python_places(log)
    assert re.fullmatch(r"(filters|vs_vrt)/\w+\.py:\d+", place)


@pytest.mark.parametrize(("low", "high"), [({"length": 1}, {"length": 1000}), ({"overlap": 0}, {"overlap": 1000})])
def test_the_bounds_themselves_are_allowed(low: dict[str, int], high: dict[str, int]) -> None:
    assert core.vrt.Restore(blank(), **low).num_frames == core.vrt.Restore(blank(), **high).num_frames == 1


def test_the_place_in_the_log_is_a_line_that_raises(log: list[str]) -> None:
    refusal(blank(), length=0)
    (place,) = python_places(log)
    file, line = place.removeprefix("filters/").split(":")
    source = (Path(restoration.__file__).parent / file).read_text().splitlines()
    assert source[int(line) - 1].strip().startswith("raise ArgumentError(")


# Clips


def mixed(*clips: vs.VideoNode) -> vs.VideoNode:
    return core.std.Splice(clips, mismatch=True)


VARIABLE = (
    "the clip changes its size or format midway; "
    "`clip.resize.Bicubic(width=1920, height=1080, format=vs.YUV420P8)` makes it constant"
)
TOO_DEEP = "32-bit integer samples are not supported; make the clip with `format=vs.RGBS`"  # core.resize has no way
CLIPS: dict[str, tuple[vs.VideoNode, str]] = {
    "variable format": (mixed(blank(vs.RGBS), blank(vs.YUV420P8)), VARIABLE),
    "variable size": (mixed(blank(), blank(width=32)), VARIABLE),
    "GRAY32": (blank(vs.GRAY32), TOO_DEEP),
    "17 bits": (blank(core.query_video_format(vs.RGB, vs.INTEGER, 17).id), TOO_DEEP.replace("32", "17")),
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_that_cannot_be_restored_is_refused_at_evaluation(name: str, log: list[str]) -> None:
    clip, text = CLIPS[name]
    found = refusal(clip)
    assert found == f"vrt: {text}"
    check_grammar(found)
    assert python_places(log)


# What only a frame shows

FRAMES: list[tuple[int, dict[str, int], str]] = [
    *(
        (
            vs.YUV420P8,
            {"_FieldBased": field},
            f"frame 0 is interlaced (_FieldBased={field}); "
            "deinterlace it first, or `clip.std.SetFieldBased(0)` if it is progressive after all",
        )
        for field in (1, 2)
    ),
    (
        vs.YUV420P8,
        {"_Matrix": 0},
        "frame 0 is YUV but says _Matrix=0 (RGB); `clip.std.SetFrameProps(_Matrix=1)` with the matrix it has",
    ),
    *(
        (
            format,
            {"_Matrix": 1},
            "frame 0 is RGB but says _Matrix=1; `clip.std.SetFrameProps(_Matrix=0)` if it really is RGB",
        )
        for format in (vs.RGBS, vs.RGB24)
    ),
]


@pytest.mark.parametrize(("format", "properties", "text"), FRAMES)
def test_a_frame_that_cannot_be_restored_fails(format: int, properties: dict[str, int], text: str) -> None:
    found = failure(blank(format, **properties))
    assert found == f"vrt: {text}"
    check_grammar(found)


@pytest.mark.parametrize(
    ("format", "properties"),
    [
        (vs.YUV420P8, {"_Matrix": 3}),
        (vs.YUV420P8, {"_Matrix": 10}),
        (vs.YUV420P8, {"_Matrix": 14}),
        (vs.YUV420P8, {"_ChromaLocation": 6}),
        (vs.YUV420P8, {"_Range": 2}),
    ],
)
def test_a_property_that_cannot_be_converted_says_so_in_our_words(format: int, properties: dict[str, int]) -> None:
    found = failure(blank(format, **properties))
    check_grammar(found)
    assert "; `clip." in found


def test_gray_that_was_cut_out_of_rgb_leaves_as_it_came() -> None:
    frame = core.vrt.Restore(blank(vs.GRAY8, _Matrix=0)).get_frame(0)
    assert (frame.format.id, frame.props["_Matrix"]) == (vs.GRAY8, 0)
    assert not [key for key in frame.props if key.startswith("_vrt")]


def test_only_the_frames_that_are_wrong_fail() -> None:
    clip = core.std.Splice([blank(vs.YUV420P8), blank(vs.YUV420P8, _FieldBased=1)])
    restored = core.vrt.Restore(clip, length=1, overlap=0)
    restored.get_frame(0)
    with pytest.raises(vs.Error, match="frame 1 is interlaced"):
        restored.get_frame(1)


def test_progressive_frames_that_say_so_are_fine() -> None:
    core.vrt.Restore(blank(vs.YUV420P8, _FieldBased=0, _Matrix=1)).get_frame(0)


# Devices

MISSING = 99


def test_a_cuda_device_that_does_not_exist_fails_at_the_frame(log: list[str]) -> None:
    found = failure(blank(), device=f"cuda:{MISSING}")
    assert found == (
        f"vrt: device 'cuda:{MISSING}' does not exist, torch sees {torch.cuda.device_count()} CUDA devices; "
        '`device="cpu"`'
    )
    check_grammar(found)
    (place,) = python_places(log)
    assert place.startswith("vs_vrt/engine.py:")


@pytest.mark.parametrize("device", ["warp", "meta", "hpu", "cuda:99999999999999999999"])
def test_a_device_that_torch_does_not_know_fails_in_our_words(device: str) -> None:
    try:
        core.vrt.Restore(blank(), device=device).get_frame(0)
    except vs.Error as error:
        check_grammar(str(error))
        assert f"device {device!r}" in str(error)
    else:
        pytest.fail("there is no such device")


def test_a_cpu_by_number_does_not_compute_in_fp16_either(log: list[str]) -> None:
    found = failure(blank(), device="cpu:0", precision="fp16")
    assert found == 'vrt: a CPU does not compute in fp16; `precision="bf16"` or `precision="fp32"`'
    assert python_places(log)


# Checkpoints

REMEDY = "`get the file again`"


def header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def test_weights_that_are_missing_are_refused_at_evaluation() -> None:
    found = refusal(blank(), weights="nowhere/x.safetensors")
    assert found == (
        f"vrt: weights 'nowhere/x.safetensors' does not exist; `check the path` (relative to {Path.cwd()})"
    )
    check_grammar(found)


def test_a_folder_is_no_weights(tmp_path: Path) -> None:
    folder = tmp_path / "x.pth"
    folder.mkdir()
    assert "does not exist" in refusal(blank(), weights=str(folder))


@pytest.mark.parametrize("name", ["x.ckpt", "x", "x.pth.tar", ""])
def test_weights_with_a_foreign_suffix_are_refused_at_evaluation(name: str) -> None:
    found = refusal(blank(), weights=name)
    assert found == f"vrt: weights {name!r} is no checkpoint; `pass a .safetensors, .pth, .pt file`"
    check_grammar(found)


HEADERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "unpack requires a buffer of 8 bytes"),
    "short": (b"abc", "unpack requires a buffer of 8 bytes"),
    "endless": (struct.pack("<Q", 2**40), f"a header of {2**40} bytes"),
    "no json": (header(b"<html>"), "Expecting value: line 1 column 1 (char 0)"),
    "cut off": (header(b'{"a": 1}')[:-1], r"Expecting ',' delimiter: line 1 column 8 (char 7)"),
    "text": (header(b"\xff\xfe{}"), ".*"),
    "list": (header(b"[1]"), ".*"),
    "number": (header(b"1"), ".*"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_safetensors_header_is_refused_at_evaluation(name: str, tmp_path: Path) -> None:
    content, reason = HEADERS[name]
    (tmp_path / "x.safetensors").write_bytes(content)
    found = refusal(blank(), weights=str(tmp_path / "x.safetensors"))
    reason = reason if reason == ".*" else re.escape(reason)
    assert re.fullmatch(rf"vrt: x\.safetensors is no safetensors file \({reason}\); {REMEDY}", found)
    check_grammar(found)


def test_safetensors_that_end_early_fail_at_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:-8])
    found = failure(blank(), weights=str(path))
    assert re.fullmatch(rf"vrt: x\.safetensors cannot be read \(.+\); {REMEDY}", found)
    check_grammar(found)


def compact_tensors() -> dict[str, Tensor]:
    return build(COMPACT).state_dict()


def test_a_checkpoint_of_another_network_says_what_differs(tmp_path: Path, log: list[str]) -> None:
    tensors = compact_tensors()
    tensors["conv_last.bias"] = torch.zeros(4)
    tensors["another.weight"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "x.pth")
    found = failure(blank(), weights=str(tmp_path / "x.pth"))
    assert found == (
        "vrt: x.pth is no checkpoint of model basicvsr-compact "
        "(2 keys or shapes differ: another.weight, conv_last.bias); `choose the model it belongs to with model=`"
    )
    check_grammar(found)
    assert python_places(log)


def test_a_checkpoint_with_no_key_in_common_shows_three_of_them(tmp_path: Path) -> None:
    torch.save({"another.weight": torch.zeros(1)}, tmp_path / "x.pth")
    wanted = compact_tensors().keys() - {"spynet.mean", "spynet.std"}
    shown = ", ".join(sorted(wanted | {"another.weight"})[:3])
    assert failure(blank(), weights=str(tmp_path / "x.pth")) == (
        f"vrt: x.pth is no checkpoint of model basicvsr-compact ({len(wanted) + 1} keys or shapes differ: {shown}, …); "
        "`choose the model it belongs to with model=`"
    )


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(zipped: bool, tmp_path: Path) -> None:
    path, ran = tmp_path / "x.pth", tmp_path / "ran"
    torch.save({"params": Bomb(ran)}, path, _use_new_zipfile_serialization=zipped)
    found = failure(blank(), weights=str(path))
    assert found == "vrt: x.pth holds code (getattr), which is never run; `pass a file of tensors alone`"
    assert not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists()  # the bomb is a live one


def test_weights_that_vanish_after_evaluation_fail_in_our_words(tmp_path: Path) -> None:
    torch.save(compact_tensors(), tmp_path / "x.pth")
    restored = core.vrt.Restore(blank(), weights=str(tmp_path / "x.pth"))
    (tmp_path / "x.pth").unlink()
    with pytest.raises(vs.Error) as error:
        restored.get_frame(0)
    check_grammar(str(error.value))


def test_weights_may_say_which_file_they_are_not_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(header(json.dumps({"__metadata__": {}}).encode()))
    core.vrt.Restore(untouchable(blank()), weights=str(tmp_path / "x.safetensors"))


# Memory

OUT_OF_MEMORY = "vrt: out of memory on cpu; `length=15`"


def by_torch(*_: object) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def by_python(*_: object) -> Tensor:
    raise MemoryError


def by_the_allocator(*_: object) -> Tensor:
    return torch.empty(2**60, dtype=torch.uint8)


def by_numpy(*_: object) -> NDArray[np.uint8]:
    return np.empty(2**60, dtype=np.uint8)


@pytest.mark.parametrize("exhaust", [by_torch, by_python, by_the_allocator, by_numpy])
def test_running_out_of_memory_says_what_to_lower(
    exhaust: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(Restorer, "restore", exhaust)
    found = failure(blank(), device="cpu")
    assert found == OUT_OF_MEMORY
    check_grammar(found)
    assert python_places(log)


@pytest.mark.parametrize(("module", "step"), [(restoration, "read_video"), (window, "write_frame")])
def test_running_out_of_memory_outside_the_network_says_the_same(
    module: ModuleType, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, step, by_numpy)
    assert failure(blank(), device="cpu") == OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({"length": 9}, "length=4"),
        ({"length": 1, "overlap": 4}, "overlap=2"),
        ({"length": 1, "overlap": 0}, "clip.std.CropAbs(width=640, height=360)"),
    ],
)
def test_running_out_of_memory_names_what_is_left_to_lower(
    arguments: dict[str, int], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Restorer, "restore", by_torch)
    assert failure(blank(), device="cpu", **arguments) == f"vrt: out of memory on cpu; `{remedy}`"


def test_a_clip_goes_on_after_a_failed_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    restored = core.vrt.Restore(blank(), device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "restore", by_torch)
        with pytest.raises(vs.Error):
            restored.get_frame(0)
    assert restored.get_frame(0).width == 64


# Mistakes of our own


def test_an_unforeseen_error_is_one_line_with_its_place_in_the_log(
    monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    def stumble(*_: object) -> Tensor:
        raise KeyError("first line\nsecond line")

    monkeypatch.setattr(Restorer, "restore", stumble)
    found = failure(blank())
    assert found == "vrt: internal error (KeyError: 'first line\\nsecond line'); `report it with the line above`"
    (place,) = python_places(log)
    assert place.startswith("filters/test_errors.py:")


def test_an_engine_that_keeps_frame_memory_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    def keep(memory: frames.FrameMemory, inputs: list[frames.InputFrame], _: object) -> tuple[Tensor, list[int]]:
        kept.append(memory.array(inputs[0][0][0])[2:, 3:])
        return torch.zeros(1, 3, 12, 16), [0]

    with monkeypatch.context() as patch:
        patch.setattr(restoration, "read_video", keep)
        found = failure(blank())
    assert found == (
        "vrt: internal error (RuntimeError: the engine kept 1 views of frame memory); `report it with the line above`"
    )
    core.vrt.Restore(blank()).get_frame(0)
