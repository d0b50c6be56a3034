"""`vs-vrt weights`: what it lists, and that it puts no wrong file where networks look for theirs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.support import check_grammar
from vs_vrt import downloads
from vs_vrt.cli import app
from vs_vrt.restorer import build
from vs_vrt.tasks import TASKS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["weights", *map(str, arguments)])


def said(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return str(result.stdout)


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert (result.exit_code, result.output.count("\n")) == (1, 1), (result.output, result.exception)
    check_grammar(result.output.strip())
    return str(result.output)


def checkpoint(model: str, file: Path) -> Path:
    """Random weights of a network."""
    row = next(row for row in TASKS if row.model == model)
    torch.save(build(row).state_dict(), file)
    return file


def listed(*arguments: object) -> list[str]:
    return [line.split()[1] for line in said("list", *arguments).splitlines()[1:]]


def test_all_models_are_listed_or_those_for_commercial_use() -> None:
    assert listed() == [row.model for row in TASKS]
    commercial = listed("--commercial")
    assert commercial == [row.model for row in TASKS if "NC" not in row.license]
    assert "vrt-gopro" not in commercial
    assert "basicvsr" in commercial
    assert listed("--task", "vfi") == ["vrt-vfi"]


def test_a_file_goes_where_its_model_looks_for_it(tmp_path: Path, home: Path) -> None:
    assert said("where").strip() == str(home)
    file = checkpoint("vrt-vfi", tmp_path / "whatever.pth")
    assert said("import", file).startswith(f"vrt-vfi: {home / '009_VRT_videofi_Vimeo_4frames.pth'}; core.vrt.")
    assert said("verify").splitlines()[-1] == "vrt-vfi: as it should be"
    assert next(line for line in said("list").splitlines() if " yes " in line).split()[1] == "vrt-vfi"
    assert "has its checkpoint already" in refused("import", file)
    kept = downloads.place(next(row for row in TASKS if row.model == "vrt-vfi"))
    kept.write_bytes(kept.read_bytes()[:-1])
    assert "is not the right file" in refused("verify")


def test_a_file_that_is_not_the_published_one_stays_where_it_is(tmp_path: Path, home: Path) -> None:
    file = checkpoint("basicvsr", tmp_path / "basicvsr_reds4_20120409-0e599677.pth")
    assert "fits basicvsr, basicvsr-vimeo, basicvsr-vimeo-bd" in refused("import", file)
    torch.save({"a": torch.zeros(1)}, file)
    assert "of no model" in refused("import", file)
    assert "does not exist" in refused("import", tmp_path / "nothing.pth")
    assert not home.exists()


def test_what_cannot_be_is_told_in_a_line() -> None:
    assert "unknown task" in refused("list", "--task", "sr5")
    assert "which models" in refused("get")
    assert "unknown model" in refused("get", "vrt2")
    assert "not for commercial use" in refused("get", "vrt-gopro", "--commercial")
    assert "is not here" in refused("verify", "vrt-gopro")
    assert "cannot be downloaded" in refused("get", "mana")


def test_what_is_in_the_package_needs_no_download(home: Path) -> None:
    assert said("get", "basicvsr-compact").startswith("basicvsr-compact: ")
    assert not home.exists()
