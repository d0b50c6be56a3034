from pathlib import Path

import pytest
from vs_vrt.filters import restore

from tests.filters import stand_ins
from vs_vrt import checkpoint, restorer


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever this user has downloaded, a test finds none of it."""
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path_factory.getbasetemp() / "no-downloads"))


@pytest.fixture
def arithmetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Puts the stand-ins in the place of all networks; the folder of their checkpoints."""
    stand_ins.save_checkpoints(tmp_path)
    monkeypatch.setattr(restore, "TASKS", stand_ins.TASKS)
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)
    monkeypatch.setattr(restorer, "build", stand_ins.build)
    return tmp_path
