"""Checkpoints: found, completed, renamed, strictly loaded, or refused with the row that they belong to."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.golden_vectors import config, error, tolerance
from tests.golden_vectors import load as golden
from tests.golden_vectors import path as golden_path
from vs_vrt import checkpoint
from vs_vrt.checkpoint import load, locate, obtain
from vs_vrt.errors import CheckpointError
from vs_vrt.models.vrt import VRT, VRTConfig
from vs_vrt.restorer import build
from vs_vrt.state_dict import DISTANCES, read_header
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

ROWS = {row.model: row for row in TASKS}
BUNDLED = ROWS["basicvsr-compact"]
ROW = replace(BUNDLED, model="tiny", config=dict(BUNDLED.config) | {"mid_channels": 4, "num_blocks": 1})
SMALL_VRT = replace(
    ROWS["vrt-reds-6"],
    config={
        "depths": (2,) * 7 + (1,),
        "indep_reconsts": (),
        "embed_dims": (12,) * 8,
        "num_heads": (2,) * 8,
        "deformable_groups": 2,
    },
)
SMALL_MANA = replace(
    ROWS["mana"], config={"in_channels": 32, "encoder_nblocks": 1, "decoder_nblocks": 1}, model="small-mana"
)
type Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder that does not exist yet."""
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def trained(row: TaskRow = ROW) -> Tensors:
    """A whole checkpoint, with numbers that no fresh network has."""
    return {key: torch.full_like(value, 0.5) for key, value in build(row).state_dict().items()}


def official(row: TaskRow) -> Tensors:
    """Tensors with the keys and shapes of the official checkpoint, that take no room."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build(row).state_dict().items()}
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def file_of(content: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def without(tensors: Tensors, *endings: str) -> Tensors:
    return {key: value for key, value in tensors.items() if not key.endswith(endings)}


# Loading


def test_all_tensors_are_loaded(tmp_path: Path) -> None:
    model = build(ROW)
    load(model, file_of(trained(), tmp_path / "x.pth"), ROW)
    assert {float(value.min()) for value in model.state_dict().values()} == {0.5}


def test_safetensors_in_half_precision_are_loaded(tmp_path: Path) -> None:
    model = build(ROW)
    load(model, file_of({key: value.half() for key, value in trained().items()}, tmp_path / "x.safetensors"), ROW)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert float(model.state_dict()["conv_last.bias"][0]) == 0.5


def test_a_checkpoint_without_the_flow_networks_constants_keeps_the_models(tmp_path: Path) -> None:
    model = build(ROW)
    load(model, file_of(without(trained(), "spynet.mean", "spynet.std"), tmp_path / "x.pth"), ROW)
    torch.testing.assert_close(model.get_buffer("spynet.mean").flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(model.get_buffer("spynet.std").flatten(), torch.tensor([0.229, 0.224, 0.225]))
    assert float(model.state_dict()["conv_last.bias"][0]) == 0.5


def test_a_checkpoint_without_the_constants_of_attention_keeps_the_models(tmp_path: Path) -> None:
    model = build(SMALL_VRT)
    constants = {
        key: value.clone()
        for key, value in model.state_dict().items()
        if key.endswith(("relative_position_index", "position_bias"))
    }
    assert len(constants) > 20
    load(model, file_of(without(trained(SMALL_VRT), *constants), tmp_path / "x.pth"), SMALL_VRT)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in constants.items())
    assert float(loaded["conv_last.bias"][0]) == 0.5


def test_distances_for_another_frame_size_are_ignored(tmp_path: Path) -> None:
    model = build(SMALL_MANA)
    distances = {DISTANCES: torch.zeros(6, 6)}
    load(model, file_of(without(trained(SMALL_MANA), DISTANCES) | distances, tmp_path / "x.pth"), SMALL_MANA)
    assert float(model.state_dict()["conv_last.bias"][0]) == 0.5


BASICSR_NAMES = (
    (".conv.weight", ".weight"),
    (".conv.bias", ".bias"),
    ("backward_resblocks", "backward_trunk"),
    ("forward_resblocks", "forward_trunk"),
    ("upsample1.upsample_conv", "upconv1"),
    ("upsample2.upsample_conv", "upconv2"),
)


def in_basicsr_names(tensors: Tensors) -> Tensors:
    def name(key: str) -> str:
        if "spynet.basic_module" in key:
            *front, layer, conv, kind = key.split(".")
            return ".".join([*front, str(2 * int(layer)), conv, kind]).replace(".conv.", ".")
        for ours, theirs in BASICSR_NAMES:
            key = key.replace(ours, theirs)
        return key

    return {name(key): value for key, value in tensors.items()}


def test_the_names_of_basicsr_are_understood(tmp_path: Path) -> None:
    renamed = in_basicsr_names(trained())
    assert "spynet.basic_module.0.basic_module.8.bias" in renamed
    assert "upconv2.weight" in renamed
    model = build(ROW)
    load(model, file_of({"params": renamed}, tmp_path / "x.pth"), ROW)
    assert {float(value.min()) for value in model.state_dict().values()} == {0.5}


# Refusing

DIFFERENCES: list[tuple[Callable[[Tensors], Any], str]] = [
    (lambda t: t | {"other": torch.zeros(1)}, "1 keys or shapes differ: other"),
    (lambda t: without(t, "fusion.bias"), "1 keys or shapes differ: fusion.bias"),
    (lambda t: t | {"fusion.bias": torch.zeros(5)}, "1 keys or shapes differ: fusion.bias"),
    (lambda t: t | {"spynet.mean": torch.zeros(3)}, "1 keys or shapes differ: spynet.mean"),
    (lambda t: t | {name: torch.zeros(1) for name in "abcd"}, "4 keys or shapes differ: a, b, c, …"),
    (lambda t: in_basicsr_names(t) | {"other": torch.zeros(1)}, "1 keys or shapes differ: other"),
]


@pytest.mark.parametrize(("change", "difference"), DIFFERENCES)
def test_any_other_difference_is_told(change: Callable[[Tensors], Any], difference: str, tmp_path: Path) -> None:
    path = file_of(change(trained()), tmp_path / "x.pth")
    with pytest.raises(CheckpointError) as error:
        load(build(ROW), path, ROW)
    assert str(error.value) == (
        f"x.pth is no checkpoint of model tiny ({difference}); `choose the model it belongs to with model=`"
    )


BASICVSR = ("basicvsr, basicvsr-vimeo, basicvsr-vimeo-bd", 'task="sr4", model="basicvsr"')
REALBASICVSR = ("realbasicvsr, realbasicvsr-wogan", 'task="sr4", model="realbasicvsr"')
VRT_DEBLUR = ("vrt-gopro, vrt-dvd, vrt-reds", 'task="deblur", model="vrt-gopro"')
CONSTANTS = ("relative_position_index", "position_bias", "spynet.mean", "spynet.std")
MANA = ("mana", 'task="sr4", model="mana"')
OWNERS: dict[str, tuple[str, Callable[[Tensors], Tensors], tuple[str, str]]] = {
    "basicvsr": ("basicvsr", dict, BASICVSR),
    "without constants": ("basicvsr", lambda tensors: without(tensors, "spynet.mean", "spynet.std"), BASICVSR),
    "basicsr": ("basicvsr", in_basicsr_names, BASICVSR),
    "realbasicvsr": ("realbasicvsr", lambda tensors: without(tensors, "spynet.mean"), REALBASICVSR),
    "another task": ("vrt-dvd", dict, VRT_DEBLUR),
    "without what attention computes": ("vrt-dvd", lambda tensors: without(tensors, *CONSTANTS), VRT_DEBLUR),
    "without distances": ("mana", dict, MANA),
    "distances of any frame": ("mana", lambda tensors: tensors | {DISTANCES: torch.zeros(6, 6)}, MANA),
}


@pytest.mark.parametrize("name", OWNERS)
def test_a_checkpoint_of_another_row_is_known(name: str, tmp_path: Path) -> None:
    model, change, (owners, arguments) = OWNERS[name]
    path = file_of({"params": change(official(ROWS[model]))}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError) as error:
        load(build(ROW), path, ROW)
    start, _, end = str(error.value).partition(") ")
    assert start.startswith("x.pth is no checkpoint of model tiny (")
    assert end == f'but of {owners}; `core.vrt.Restore(clip, {arguments}, weights="{path}")`'


def test_a_refused_checkpoint_leaves_the_model_alone(tmp_path: Path) -> None:
    model = build(ROW)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        load(model, file_of(trained() | {"other": torch.zeros(1)}, tmp_path / "x.pth"), ROW)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


# Finding


@pytest.mark.parametrize("row", [row for row in TASKS if row.bundled], ids=lambda row: row.model)
def test_a_bundled_checkpoint_is_found_and_complete(row: TaskRow) -> None:
    """What the constructor computes may be left out."""
    path = locate(row, None)
    assert path == Path(checkpoint.__file__).parent / "weights" / row.checkpoint
    assert path.stat().st_size <= 6_000_000
    model = build(row)
    held, wanted = set(read_header(path)) - {"__metadata__"}, set(model.state_dict())
    assert {key for key in wanted if not key.endswith(checkpoint.CONSTANTS)} <= held <= wanted
    assert obtain(row, path) == path
    load(model, path, row)


def test_what_is_bundled_is_small() -> None:
    assert sum(path.stat().st_size for path in checkpoint.BUNDLED.glob("*.safetensors")) <= 20_000_000


def test_a_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pth").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(ROW, "~/x.pth") == tmp_path / "x.pth"
    assert obtain(ROW, tmp_path / "x.pth") == tmp_path / "x.pth"


def test_what_can_be_downloaded_is_located_in_the_cache_folder(cache: Path) -> None:
    row = ROWS["vrt-gopro"]
    assert locate(row, None) == cache / "006_VRT_videodeblurring_GoPro.pth"
    assert not cache.exists()


@pytest.mark.parametrize(
    ("page", "source"), [("", ""), ("https://x.org/files", ", the file is at https://x.org/files")]
)
def test_a_row_without_an_address_asks_for_weights(page: str, source: str, cache: Path) -> None:
    row = replace(ROW, bundled=False, page=page)
    with pytest.raises(CheckpointError) as error:
        locate(row, None)
    assert str(error.value) == (
        f"the checkpoint of model tiny is not on this machine and cannot be downloaded; `pass weights=`{source}"
    )
    assert obtain(row, cache / row.checkpoint) == cache / row.checkpoint  # which then is not there
    cache.mkdir()
    (cache / row.checkpoint).touch()
    assert locate(row, None) == obtain(row, cache / row.checkpoint) == cache / row.checkpoint


def test_deciding_imports_neither_torch_nor_what_downloads() -> None:
    script = (
        "import sys; from vs_vrt.checkpoint import locate; from vs_vrt.tasks import TASKS\n"
        "for row in TASKS: row.page or row.model == 'mana' or locate(row, None)\n"
        "print([name for name in ('torch', 'numpy', 'pooch', 'requests') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_golden_file_of_the_authors_gives_the_authors_output() -> None:
    """Saved by the authors' class, as they save theirs."""
    tensors, metadata = golden("vrt_small_vfi_pa0")
    model = VRT(VRTConfig(**config(metadata))).eval()
    load(model, golden_path("ckpt_vrt_small_vfi.pth"), ROWS["vrt-vfi"])
    with torch.no_grad():
        assert error(model(tensors["input"]), tensors["output"]) <= tolerance(metadata)


def test_of_several_owners_the_one_of_the_task_is_offered(tmp_path: Path) -> None:
    path = file_of(official(ROWS["vrt-davis"]), tmp_path / "x.pth")
    rows = tuple(replace(ROWS["vrt-davis"], task=task) for task in ("deblur", "denoise"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CheckpointError, match='task="denoise"'):
        patch.setattr(checkpoint, "TASKS", rows)
        load(build(ROW), path, replace(ROW, task="denoise"))


def test_without_a_home_only_what_needs_its_cache_folder_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_VRT_HOME", "~no-such-user/x")
    assert locate(BUNDLED, None).is_file()
    assert obtain(BUNDLED, locate(BUNDLED, None)).is_file()
    with pytest.raises(CheckpointError, match=r"there is no folder for checkpoints .*`VS_VRT_HOME=`"):
        locate(ROWS["basicvsr"], None)
