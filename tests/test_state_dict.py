"""Files of tensors: every wrapping undone, nothing run, everything else refused."""

import collections
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vs_vrt.errors import CheckpointError
from vs_vrt.state_dict import key_hash, read

type Tensors = dict[str, Tensor]
TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def saved(content: Any, path: Path, **arguments: Any) -> Path:
    torch.save(content, path, **arguments)
    return path


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{key}": value for key, value in tensors.items()}


OTHERS = prefixed("generator.", {key: -value for key, value in TENSORS.items()})
TRAINING = {
    "step_counter": torch.zeros(1),
    "discriminator.conv.weight": torch.zeros(3),
    "perceptual_loss.vgg.mean": torch.zeros(3),
}
WRAPPERS: dict[str, Callable[[Tensors], Any]] = {
    "bare": lambda tensors: tensors,
    "ordered": collections.OrderedDict,
    "params": lambda tensors: {"params": tensors},
    "params_ema": lambda tensors: {"params": OTHERS, "params_ema": tensors},
    "state_dict": lambda tensors: {"state_dict": tensors, "meta": {"epoch": 3}},
    "generator": lambda tensors: prefixed("generator.", tensors),
    "mmediting": lambda tensors: {"state_dict": prefixed("generator.", tensors) | TRAINING},
    "gan": lambda tensors: {"state_dict": OTHERS | TRAINING | prefixed("generator_ema.", tensors)},
}


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapping_is_undone(wrapper: str, suffix: str, tmp_path: Path) -> None:
    found = read(saved(WRAPPERS[wrapper](TENSORS), tmp_path / f"x{suffix}"))
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)


def test_a_prefix_is_cut_off_in_safetensors_too(tmp_path: Path) -> None:
    save_file(prefixed("generator.", TENSORS), tmp_path / "x.safetensors")
    assert read(tmp_path / "x.safetensors").keys() == TENSORS.keys()


# What mmcv and its hooks note in `meta`, with and without NumPy's numbers.
META = {
    "text": {"mmcv_version": "1.3.1", "config": "model = dict(\n)", "seed": 0, "exp_name": "x", "time": "Mon"},
    "ordered": {"hook_msgs": collections.OrderedDict(best=1, names=["a", "b"], sizes=(1, 2.5, None, True))},
    "float64": {"PSNR": np.float64(31.4)},
    "all numbers": {"values": [kind(1) for kind in (np.float16, np.float32, np.int32, np.int64, np.uint8, np.bool_)]},
    "dtype": {"dtype": np.dtype("float32"), "other": np.dtype(">i8")},
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
@pytest.mark.parametrize("meta", META)
def test_harmless_notes_are_read_over(meta: str, zipped: bool, tmp_path: Path) -> None:
    content = {"meta": META[meta], "state_dict": TENSORS}
    path = saved(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert read(path).keys() == TENSORS.keys()


@pytest.mark.parametrize("core", ["core", "_core"])
def test_a_number_is_read_by_both_names_of_its_module(core: str, tmp_path: Path) -> None:
    path = saved({"meta": np.float64(31.4), "state_dict": TENSORS}, tmp_path / "x.pth", pickle_protocol=2,
                 _use_new_zipfile_serialization=False)  # fmt: skip
    spelled = re.sub(rb"cnumpy\._?core\.multiarray\n", f"cnumpy.{core}.multiarray\n".encode(), path.read_bytes())
    assert f"numpy.{core}.multiarray".encode() in spelled
    path.write_bytes(spelled)
    assert read(path).keys() == TENSORS.keys()


def test_reading_leaves_what_torch_allows_as_it_was(tmp_path: Path) -> None:
    path = saved({"meta": np.float64(1), "params": TENSORS}, tmp_path / "x.pth")
    before = set(torch.serialization.get_safe_globals())
    read(path)
    assert set(torch.serialization.get_safe_globals()) == before


class Calls:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
@pytest.mark.parametrize(
    ("code", "name"),
    [
        (lambda ran: Calls(os.system, f"touch {ran}"), "posix.system"),
        (lambda ran: Calls(exec, f"import pathlib; pathlib.Path({str(ran)!r}).touch()"), "exec"),
        (lambda ran: Calls(Path.touch, ran), "getattr"),
        (lambda ran: nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),  # noqa: ARG005
    ],
    ids=["system", "exec", "touch", "module"],
)
def test_code_is_refused_by_its_name_and_none_is_run(
    code: Callable[[Path], Any], name: str, zipped: bool, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    content = {"meta": code(ran), "state_dict": TENSORS}
    path = saved(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as error:
        read(path)
    assert re.fullmatch(
        rf"x\.pth holds code \({re.escape(name)}\), which is never run; `pass a file of tensors alone`",
        str(error.value),
    )
    assert not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists() or name == "torch.nn.modules.linear.Linear"  # the others are live ones


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], "text", None, {}, {"params": {}}])
def test_a_file_without_a_table_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^x\.pth holds no table of tensors; `pass a state_dict`$"):
        read(saved(content, tmp_path / "x.pth"))


def test_a_table_of_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no table of tensors"):
        read(saved(dict.fromkeys(TENSORS, 3), tmp_path / "x.pth"))


# What a broken download leaves behind. Each number of bytes is a case of its own in torch's and safetensors' readers.
@pytest.mark.parametrize("kind", ["zip", "pickle", "safetensors"])
@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.6, 0.99])
def test_a_file_that_ends_early_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.pth")
    tensors = {"a": torch.zeros(100), "b": torch.ones(20, 2)}
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        saved(tensors, path, _use_new_zipfile_serialization=kind == "zip")
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
    assert re.fullmatch(rf"x{re.escape(suffix)} cannot be read \(.*\); `get the file again`", str(error.value))


def test_the_hash_is_that_of_sorted_keys_and_shapes() -> None:
    # printf 'a.bias [2]\na.weight [2, 3]' | sha256sum
    assert key_hash(TENSORS) == "d52decbb551912a6e818bea84fb859bb355343c1de0718a40f2f6ae9a8a7eeb7"
    assert key_hash(dict(reversed(TENSORS.items()))) == key_hash(TENSORS)
    assert key_hash(TENSORS | {"a.bias": torch.ones(3)}) != key_hash(TENSORS)
    assert key_hash({}) != key_hash({"": torch.ones(())})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_web_page_is_called_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text("\n <!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(CheckpointError) as error:
        read(path)
    assert str(error.value) == f"x{suffix} cannot be read (it is a web page); `get the file again`"


def test_no_error_advises_to_run_code(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K")
    with pytest.raises(CheckpointError) as error:
        read(path)
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    "odd", [torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex64)], ids=["sparse", "complex"]
)
def test_tensors_that_no_network_has_are_refused(odd: Tensor, tmp_path: Path) -> None:
    torch.save({"a": odd}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"x\.pth (holds tensors that are sparse|holds code|cannot be read)"):
        read(tmp_path / "x.pth")
