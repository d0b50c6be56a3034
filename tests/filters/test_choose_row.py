"""Which network a call means: by its name, its family's, its checkpoint's, or the name of its weights."""

from pathlib import Path

import pytest
from vs_vrt.filters.arguments import Arguments
from vs_vrt.filters.restore import choose_row, choose_task, is_here

from vs_vrt.errors import ArgumentError
from vs_vrt.models.basicsr_keys import FILES
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

ROWS = {row.model: row for row in TASKS}


def chosen(**values: str) -> str:
    return choose_row(Arguments({name: [value] for name, value in values.items()})).model


CALLS: list[tuple[dict[str, str], str]] = [
    ({}, "basicvsr-compact"),
    ({"task": "sr4"}, "basicvsr-compact"),
    ({"task": "deblur"}, "deblur-compact"),
    ({"task": "denoise"}, "denoise-compact"),
    ({"task": "decompress"}, "basicvsrpp-track1"),
    ({"task": "vfi"}, "vrt-vfi"),
    # By a family
    ({"model": "vrt"}, "vrt-compact"),
    ({"task": "deblur", "model": "vrt"}, "vrt-gopro"),
    ({"task": "denoise", "model": "vrt"}, "vrt-davis"),
    ({"model": "mana"}, "mana"),
    ({"model": "basicvsr"}, "basicvsr"),
    ({"model": "iconvsr"}, "iconvsr"),
    ({"task": "deblur", "model": "basicvsrpp"}, "basicvsrpp-gopro"),
    # By the name of the official checkpoint
    ({"model": "001_VRT_videosr_bi_REDS_6frames"}, "vrt-reds-6"),
    ({"task": "deblur", "model": "007_VRT_videodeblurring_REDS"}, "vrt-reds"),
    ({"model": "basicvsr_vimeo90k_bi_20210409-d2d8f760"}, "basicvsr-vimeo"),
    # By the weights
    ({"weights": "/x/002_VRT_videosr_bi_REDS_16frames.pth"}, "vrt-reds-16"),
    ({"weights": "iconvsr_vimeo90k_bd_20210414-5f38cb34.pth"}, "iconvsr-vimeo-bd"),
    ({"weights": "mine.pth"}, "basicvsr-compact"),
    ({"weights": ""}, "basicvsr-compact"),
    ({"weights": "there/vrt-compact.safetensors"}, "vrt-compact"),
    ({"task": "deblur", "weights": "mine.pth"}, "deblur-compact"),
    ({"task": "deblur", "weights": "005_VRT_videodeblurring_DVD.pth"}, "vrt-dvd"),
    # By both
    ({"model": "vrt", "weights": "001_VRT_videosr_bi_REDS_6frames.pth"}, "vrt-reds-6"),
    ({"model": "vrt", "weights": "mine.pth"}, "vrt-compact"),
    ({"model": "basicvsr", "weights": "mine.pth"}, "basicvsr"),
    ({"model": "basicvsr", "weights": "basicvsr_vimeo90k_bd_20210409-0154dd64.pth"}, "basicvsr-vimeo-bd"),
    ({"model": "vrt-vimeo", "weights": "001_VRT_videosr_bi_REDS_6frames.pth"}, "vrt-vimeo"),
    ({"model": "vrt-vimeo", "weights": "basicvsr-compact.safetensors"}, "vrt-vimeo"),
]


@pytest.mark.parametrize(("values", "model"), CALLS, ids=[str(call[0]) for call in CALLS])
def test_the_row_of_a_call(values: dict[str, str], model: str) -> None:
    assert chosen(**values) == model


@pytest.mark.parametrize("row", TASKS, ids=lambda row: row.model)
def test_every_row_can_be_named(row: TaskRow) -> None:
    assert chosen(task=row.task, model=row.model) == row.model
    assert chosen(task=row.task, weights=row.checkpoint) == row.model


ERRORS: list[tuple[dict[str, str], str]] = [
    ({"model": "basicvrs"}, "unknown model 'basicvrs'; did you mean `model=\"basicvsr\"`?"),
    ({"model": "vrt-red-6"}, "unknown model 'vrt-red-6'; did you mean `model=\"vrt-reds-6\"`?"),
    ({"model": ""}, "unknown model ''; `model=` one of basicvsr, "),
    (
        {"model": "vrt-gopro"},
        'model vrt-gopro is for task deblur, not sr4; `core.vrt.Restore(clip, task="deblur", model="vrt-gopro")`',
    ),
    (
        {"task": "deblur", "model": "mana"},
        'model mana is for task sr4, not deblur; `core.vrt.Restore(clip, task="sr4", model="mana")`',
    ),
    (
        {"model": "009_VRT_videofi_Vimeo_4frames"},
        'model 009_VRT_videofi_Vimeo_4frames is for task vfi, not sr4; `core.vrt.Interpolate(clip, model="vrt-vfi")`',
    ),
]


@pytest.mark.parametrize(("values", "text"), ERRORS, ids=[str(call[0]) for call in ERRORS])
def test_a_model_that_the_task_does_not_have(values: dict[str, str], text: str) -> None:
    with pytest.raises(ArgumentError) as error:
        chosen(**values)
    assert str(error.value).startswith(text)


def test_what_is_cached_changes_no_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path))
    before = [chosen(**values) for values, _ in CALLS]
    for row in TASKS:
        (tmp_path / row.checkpoint).touch()
    assert [chosen(**values) for values, _ in CALLS] == before


def test_here_is_what_is_bundled_or_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_VRT_HOME", str(tmp_path))
    assert [row.model for row in TASKS if is_here(row)] == [row.model for row in TASKS if row.bundled]
    for model in ("vrt-gopro", "basicvsrpp-gopro", "mana"):
        assert not is_here(ROWS[model])
        (tmp_path / ROWS[model].checkpoint).touch()
        assert is_here(ROWS[model])


def test_a_published_file_brings_its_task_along() -> None:
    def task(**values: str) -> str:
        return choose_task(Arguments({name: [value] for name, value in values.items()}))

    assert task(weights="there/006_VRT_videodeblurring_GoPro.pth") == "deblur"
    assert task(weights="my.pth") == "sr4"
    assert task(weights="009_VRT_videofi_Vimeo_4frames.pth") == "sr4"  # which then is refused as another row's
    assert task(task="denoise", weights="006_VRT_videodeblurring_GoPro.pth") == "denoise"


@pytest.mark.parametrize(("file", "model"), FILES.items())
def test_files_of_basicsr_are_known_by_name(file: str, model: str) -> None:
    assert chosen(weights=f"there/{file}") == model
