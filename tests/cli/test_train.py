from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vs_vrt import checkpoint
from vs_vrt.cli import app
from vs_vrt.errors import CheckpointError
from vs_vrt.published import BASICVSR
from vs_vrt.restorer import build
from vs_vrt.tasks import COMPACT
from vs_vrt.training import run as module
from vs_vrt.training.run import Run, model_of


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Run] = []
    monkeypatch.setattr(module, "train", lambda run, _: asked.append(run) or True)
    options = (
        "--model mana --from published --degradation real --rate 1e-5 --factor 0.5 --iterations 9 --seed 3 "
        "--precision bf16 --device cpu"
    )
    folders = ["--data", "in", "--out", "run", "--validate", "unseen"]
    result = CliRunner().invoke(app, ["train", *folders, *options.split(), "--checkpointing"])
    assert result.exit_code == 0, result.output
    assert asked == [
        Run(
            model="mana",
            data=Path("in"),
            out=Path("run"),
            start="published",
            validate=Path("unseen"),
            degradation="real",
            rate=1e-5,
            factor=0.5,
            iterations=9,
            seed=3,
            precision="bf16",
            device="cpu",
            checkpointing=True,
        )
    ]


def test_model_and_folder_follow_from_the_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Run] = []
    monkeypatch.setattr(module, "train", lambda run, _: asked.append(run) or True)
    with torch.device("meta"):
        tensors = build(BASICVSR).state_dict()
    save_file({key: torch.zeros(value.shape) for key, value in tensors.items()}, tmp_path / "mine.safetensors")
    for options in ([], ["--from", str(tmp_path / "mine.safetensors"), "--model", "basicvsr-vimeo"]):
        assert CliRunner().invoke(app, ["train", "--data", "in", *options]).exit_code == 0
    assert [(run.model, run.out) for run in asked] == [
        ("basicvsr-compact", Path("runs/basicvsr-compact")),
        ("basicvsr-vimeo", Path("runs/basicvsr-vimeo")),
    ]
    bundled = str(checkpoint.BUNDLED / COMPACT.checkpoint)
    assert model_of(bundled) == "basicvsr-compact"
    save_file(load_file(tmp_path / "mine.safetensors"), tmp_path / "said.safetensors", {"model": "basicvsr-vimeo"})
    assert model_of(str(tmp_path / "said.safetensors")) == "basicvsr-vimeo"
    with pytest.raises(CheckpointError, match=r"mine\.safetensors does not say .*; `--model basicvsr` or"):
        model_of(str(tmp_path / "mine.safetensors"))


def test_what_follows_an_interrupted_run_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "train", lambda *_: False)
    assert CliRunner().invoke(app, ["train", "--data", "in"]).exit_code == 130


def test_a_missing_checkpoint_is_told_in_the_words_of_the_command() -> None:
    result = CliRunner().invoke(app, ["train", "--data", "in", "--from", "nowhere.safetensors"])
    assert result.stderr.startswith("vrt: --from 'nowhere.safetensors' does not exist; `check the path`")


def test_an_error_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--data", str(tmp_path / "none"), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr == f"vrt: {tmp_path / 'none'} is no folder; `--data FOLDER`\n"
