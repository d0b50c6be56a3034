import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.tiny import CONFIG, RECIPE, trainer, write_clip
from vs_vrt.errors import ArgumentError
from vs_vrt.models.basicvsr import BasicVSR
from vs_vrt.training import loop
from vs_vrt.training.footage import Footage
from vs_vrt.training.loop import Trainer
from vs_vrt.training.recipe import Phase

ALL = replace(RECIPE, phases=(Phase(iterations=90),))
NEVER = Event()


class After(Event):
    """Set from its so many-th question on."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.answers: Iterator[bool] = iter([*repeat(False, questions - 1), True])

    def is_set(self) -> bool:
        return next(self.answers)


@pytest.fixture(autouse=True)
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all else here."""
    monkeypatch.setattr(loop, "can_plot", lambda: False)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return Footage(write_clip(tmp_path_factory.mktemp("footage")))


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def losses(run: Trainer) -> list[float]:
    return [each.loss for each in run.journal.iterations]


def test_the_loss_falls(footage: Footage, tmp_path: Path) -> None:
    run = trainer(footage, tmp_path, ALL)
    found = [run.step(*run.batches(i)) for i in range(90)]
    first, last = np.mean(found[:6], axis=0), np.mean(found[-6:], axis=0)
    assert last[0] < 0.7 * first[0]
    assert last[2] / last[1] < 0.8 * first[2] / first[1]


def test_the_same_seed_gives_the_same_losses(footage: Footage, tmp_path: Path) -> None:
    recipe = replace(RECIPE, phases=(Phase(iterations=30, learns="flow"), Phase(iterations=70)))
    runs = [trainer(footage, tmp_path / f"{i}", replace(recipe, seed=seed)) for i, seed in enumerate((3, 3, 4))]
    found = [[run.step(*run.batches(i))[0] for i in range(100)] for run in runs]
    assert found[0] == found[1]
    assert found[1][0] != found[2][0]


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    footage: Footage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(loop, "BETWEEN_CHECKS", 2)
    whole = trainer(footage, tmp_path / "whole")
    assert whole.run(NEVER)
    stopped = trainer(footage, tmp_path / "parts")
    assert not stopped.run(After(stop))
    assert stopped.iteration == stop
    resumed = trainer(footage, tmp_path / "parts")
    assert resumed.run(NEVER)
    assert resumed.iteration == RECIPE.iterations
    assert same(whole.model, resumed.model)
    assert same(whole.average, resumed.average)
    for name in ("log.csv", "validation.csv"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()
    assert len(losses(resumed)) == RECIPE.iterations
    assert [check.iteration for check in resumed.journal.checks] == [2, 4, 6, 8]


def test_a_finished_run_has_nothing_left_to_do(footage: Footage, tmp_path: Path) -> None:
    assert trainer(footage, tmp_path).run(NEVER)
    before = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    assert trainer(footage, tmp_path).run(NEVER)
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == before


def test_the_weights_are_the_average_in_half_precision_without_constants(footage: Footage, tmp_path: Path) -> None:
    run = trainer(footage, tmp_path)
    run.run(NEVER)
    tensors = load_file(tmp_path / "weights.safetensors")
    wanted = {key for key, _ in BasicVSR(CONFIG).named_parameters()}
    assert tensors.keys() == wanted
    assert all(torch.equal(tensors[key], run.average.state_dict()[key].half()) for key in wanted)
    assert not same(run.average, run.model)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"learning_rate": 1e-3}, "learning rate"),
        ({"seed": 7}, "seed"),
        ({"schedule": "constant"}, "schedule"),
        ({"phases": (Phase(iterations=8),)}, "number of iterations"),
    ],
)
def test_a_state_of_another_recipe_is_refused(footage: Footage, tmp_path: Path, change: dict, word: str) -> None:
    trainer(footage, tmp_path).run(After(3))
    with pytest.raises(ArgumentError, match=f"another {word}; `--out` another folder"):
        trainer(footage, tmp_path, replace(RECIPE, **change)).run(NEVER)


@pytest.mark.parametrize("fact", ["model", "start", "data"])
def test_a_state_of_another_run_is_refused(footage: Footage, tmp_path: Path, fact: str) -> None:
    trainer(footage, tmp_path).run(After(1))
    with pytest.raises(ArgumentError, match=f"another {fact}; `--out` another folder"):
        trainer(footage, tmp_path, **{fact: "other"}).run(NEVER)


def test_a_run_may_become_longer_while_its_rate_is_constant(footage: Footage, tmp_path: Path) -> None:
    trapezoid = replace(RECIPE, schedule="trapezoid")
    trainer(footage, tmp_path / "parts", trapezoid).run(After(5))
    longer = trapezoid.lasting(10)
    resumed, whole = trainer(footage, tmp_path / "parts", longer), trainer(footage, tmp_path / "whole", longer)
    assert resumed.run(NEVER)
    assert whole.run(NEVER)
    assert same(resumed.model, whole.model)
    with pytest.raises(ArgumentError, match="number of iterations"):
        trainer(footage, tmp_path / "parts", trapezoid.lasting(20)).run(NEVER)


def test_a_damaged_state_is_refused(footage: Footage, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(ArgumentError, match=r"state\.pt cannot be read"):
        trainer(footage, tmp_path).run(NEVER)


def test_each_phase_moves_its_own_parameters(footage: Footage, tmp_path: Path) -> None:
    run = trainer(footage, tmp_path)
    flow, trunk = "spynet.basic_module.5.basic_module.4.conv.weight", "conv_last.weight"

    def moved() -> tuple[bool, bool]:
        parameters = dict(run.model.named_parameters())
        before = {name: parameters[name].detach().clone() for name in (flow, trunk)}
        run.step(*run.batches(run.iteration))
        return tuple(not torch.equal(before[name], parameters[name]) for name in (flow, trunk))  # type: ignore[return-value]

    assert [moved() for _ in range(6)] == [(True, False)] * 2 + [(False, True)] * 2 + [(True, True)] * 2


def test_bfloat16_comes_near(footage: Footage, tmp_path: Path) -> None:
    runs = [trainer(footage, tmp_path / name, ALL, bf16=name == "bf16") for name in ("fp32", "bf16")]
    exact, rounded = ([run.step(*run.batches(i))[0] for i in range(3)] for run in runs)
    assert exact != rounded
    assert rounded == pytest.approx(exact, rel=0.05)


def test_a_batch_that_is_no_number_teaches_nothing(footage: Footage, tmp_path: Path) -> None:
    run = trainer(footage, tmp_path)
    before = [parameter.detach().clone() for parameter in run.model.parameters()]
    inputs, truth = run.batches(0)
    inputs[0, 0, 0, 0, 0] = float("nan")
    loss, *_ = run.step(inputs, truth)
    assert math.isnan(loss)
    assert run.iteration == 1
    assert all(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))


def test_a_run_that_learns_nothing_any_more_ends(
    footage: Footage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An astray batch is passed over; a network that is astray would burn the rest of the night."""
    run = trainer(footage, tmp_path, replace(RECIPE, phases=(Phase(iterations=200),)))
    monkeypatch.setattr(run, "report", lambda _: None)
    found = iter([math.nan] * 99 + [0.5] + [math.inf, math.nan] * 51)
    monkeypatch.setattr(run, "step", lambda *_: (next(found), 1.0, 1.0))
    with pytest.raises(ArgumentError, match=r"no loss is a number any more; `--rate 0.001 --out NEW`"):
        run.run(NEVER)
    assert len(run.journal.iterations) == 200
    assert (tmp_path / "log.csv").read_text().count("\n") == 201


def test_a_picture_that_cannot_be_written_is_not_there(
    footage: Footage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, picture: object) -> None:  # noqa: ARG001
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "write_png", half)
    with pytest.raises(ArgumentError, match="No space left on device"):
        trainer(footage, tmp_path).validate()
    assert list((tmp_path / "pictures").iterdir()) == []
