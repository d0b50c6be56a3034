import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vs_vrt import checkpoint
from vs_vrt.checkpoint import load, locate, read, read_header
from vs_vrt.errors import CheckpointError
from vs_vrt.restorer import build
from vs_vrt.tasks import TASKS

BUNDLED = next(row for row in TASKS if row.bundled)
ROW = replace(BUNDLED, model="tiny", config=dict(BUNDLED.config) | {"mid_channels": 4, "num_blocks": 1})
type Tensors = dict[str, Tensor]


def trained() -> Tensors:
    """A whole checkpoint of the tiny network, with numbers that no fresh network has."""
    return {key: torch.full_like(value, 0.5) for key, value in build(ROW).state_dict().items()}


def file_of(content: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def generator(tensors: Tensors) -> Tensors:
    return {f"generator.{key}": value for key, value in tensors.items()}


def without_constants(tensors: Tensors) -> Tensors:
    return {key: value for key, value in tensors.items() if key not in ("spynet.mean", "spynet.std")}


WRAPPERS: list[Callable[[Tensors], Any]] = [
    lambda tensors: tensors,
    lambda tensors: {"params": tensors},
    lambda tensors: {"state_dict": tensors, "meta": {"epoch": 3}},
    lambda tensors: {"state_dict": generator(tensors) | {"step_counter": torch.zeros(1)}},
    generator,
]


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
@pytest.mark.parametrize("wrap", WRAPPERS, ids=["bare", "params", "state_dict", "mmediting", "generator"])
def test_every_wrapping_is_undone(wrap: Callable[[Tensors], Any], suffix: str, tmp_path: Path) -> None:
    model = build(ROW)
    load(model, file_of(wrap(trained()), tmp_path / f"x{suffix}"), ROW)
    assert {float(value.min()) for value in model.state_dict().values()} == {0.5}


def test_safetensors_in_half_precision_are_loaded(tmp_path: Path) -> None:
    model = build(ROW)
    load(model, file_of({key: value.half() for key, value in trained().items()}, tmp_path / "x.safetensors"), ROW)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert float(model.state_dict()["conv_last.bias"][0]) == 0.5


def test_a_checkpoint_without_the_flow_networks_constants_keeps_the_models(tmp_path: Path) -> None:
    model = build(ROW)
    load(model, file_of(without_constants(trained()), tmp_path / "x.pth"), ROW)
    torch.testing.assert_close(model.get_buffer("spynet.mean").flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(model.get_buffer("spynet.std").flatten(), torch.tensor([0.229, 0.224, 0.225]))
    assert float(model.state_dict()["conv_last.bias"][0]) == 0.5


DIFFERENCES: list[tuple[Callable[[Tensors], Any], str]] = [
    (lambda t: t | {"other": torch.zeros(1)}, "1 keys or shapes differ: other"),
    (lambda t: {k: v for k, v in t.items() if k != "fusion.bias"}, "1 keys or shapes differ: fusion.bias"),
    (lambda t: t | {"fusion.bias": torch.zeros(5)}, "1 keys or shapes differ: fusion.bias"),
    (
        lambda t: t | {name: torch.zeros(1) for name in "abcd"},
        "4 keys or shapes differ: a, b, c, …",
    ),
]


@pytest.mark.parametrize(("change", "difference"), DIFFERENCES, ids=["more", "less", "shape", "many"])
def test_any_other_difference_is_told(change: Callable[[Tensors], Any], difference: str, tmp_path: Path) -> None:
    path = file_of(change(trained()), tmp_path / "x.pth")
    with pytest.raises(CheckpointError) as error:
        load(build(ROW), path, ROW)
    assert str(error.value) == (
        f"x.pth is no checkpoint of model tiny ({difference}); `choose the model it belongs to with model=`"
    )


def test_a_refused_checkpoint_leaves_the_model_alone(tmp_path: Path) -> None:
    model = build(ROW)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        load(model, file_of(trained() | {"other": torch.zeros(1)}, tmp_path / "x.pth"), ROW)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], "text", None])
def test_a_file_without_a_table_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pth holds no table of tensors; `pass a state_dict`"):
        read(file_of(content, tmp_path / "x.pth"))


def test_a_table_of_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    path = file_of(dict.fromkeys(trained(), 3), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="`"):
        load(build(ROW), path, ROW)


def test_a_module_in_place_of_its_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pth cannot be read \(.*\); `get the file again`"):
        read(file_of(nn.Linear(2, 2), tmp_path / "x.pth"))


# What a broken download leaves behind. Each number of bytes is a case of its own in torch's and safetensors' readers.
@pytest.mark.parametrize("kind", ["zip", "pickle", "safetensors"])
@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.6, 0.99])
def test_a_file_that_ends_early_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.pth")
    tensors = {"a": torch.zeros(100), "b": torch.ones(20, 2)}
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=rf"x\.{path.suffix[1:]} cannot be read \(.*\); `get the file again`"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"<html>not found</html>", b"PK\x03\x04", bytes(100)],
    ids=["empty", "byte", "page", "zip", "zeros"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_something_else_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read(path)
    text = str(error.value)
    assert re.fullmatch(
        rf"x{re.escape(suffix)} (cannot be read|is no safetensors file) \(.*\); `get the file again`", text
    )


def test_the_bundled_checkpoint_is_found_and_complete() -> None:
    path = locate(BUNDLED, None)
    assert path == Path(checkpoint.__file__).parent / "weights" / BUNDLED.checkpoint
    assert path.stat().st_size < 4 << 20
    model = build(BUNDLED)
    assert set(read_header(path)) - {"__metadata__"} == set(model.state_dict())
    load(model, path, BUNDLED)


def test_a_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pth").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(ROW, "~/x.pth") == tmp_path / "x.pth"


def test_a_row_without_an_address_asks_for_weights() -> None:
    with pytest.raises(CheckpointError) as error:
        locate(replace(ROW, bundled=False), None)
    assert str(error.value) == "the checkpoint of model tiny is not on this machine; `pass weights=`"
