from pathlib import Path

import pytest
from typer.testing import CliRunner

from vs_vrt.cli import app
from vs_vrt.training import run as module
from vs_vrt.training.run import Run


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Run] = []
    monkeypatch.setattr(module, "train", lambda run, _: asked.append(run))
    options = (
        "--model mana --from published --rate 1e-5 --factor 0.5 --iterations 9 --seed 3 --precision bf16 --device cpu"
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
            rate=1e-5,
            factor=0.5,
            iterations=9,
            seed=3,
            precision="bf16",
            device="cpu",
            checkpointing=True,
        )
    ]


def test_an_error_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--data", str(tmp_path / "none"), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr == f"vrt: {tmp_path / 'none'} is no folder; `--data FOLDER`\n"
