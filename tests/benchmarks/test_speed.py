"""The benchmark of speed runs for whatever is in the wheel."""

import json

import pytest

from benchmarks.speed import main
from vs_vrt.tasks import TASKS


@pytest.mark.parametrize("model", [row.model for row in TASKS if row.bundled])
def test_it_says_what_ran_and_how_fast(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(model, size="8x8", windows=1, repeats=1)
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["precision"], said["size"]) == (model, "fp32", "8x8")
    assert said["frames_per_second"] > 0
