import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.training.families import CONFIGS, reduced, short
from tests.training.tiny import FACTS, write_clip
from vs_vrt.tasks import TASKS
from vs_vrt.training.batches import Batches
from vs_vrt.training.footage import Footage
from vs_vrt.training.loop import Place, Trainer
from vs_vrt.training.objective import Objective, in_place_of, middle
from vs_vrt.training.optimiser import Optimiser, part_of
from vs_vrt.training.recipe import Learns, Phase, Recipe
from vs_vrt.training.recomputation import recompute
from vs_vrt.training.validation import Validation

CPU = torch.device("cpu")


class Peak(TorchDispatchMode):
    """The most bytes that were in use at once by what was made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.now = 0
        self.known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]
        made = function(*arguments, **(keywords or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and (storage := each.untyped_storage()) not in self.known:
                self.known.add(storage)
                weakref.finalize(storage, self.free, storage.nbytes())
                self.now += storage.nbytes()
                self.bytes = max(self.bytes, self.now)
        return made

    def free(self, size: int) -> None:
        self.now -= size


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return Footage(write_clip(tmp_path_factory.mktemp("footage"), size=64, frames=8))


def trainer(model: str, footage: Footage, folder: Path, recipe: Recipe) -> Trainer:
    place = Place(folder=folder, device=CPU)
    return Trainer(reduced(model), Batches(footage=footage, recipe=recipe), place, Validation(footage, recipe), FACTS)


def test_every_architecture_is_here() -> None:
    assert {row.architecture for row in TASKS} == {row.architecture for row in TASKS if row.model in CONFIGS}


@pytest.mark.parametrize("model", [model for model in CONFIGS if model != "vrt-vfi"])
def test_each_phase_moves_just_its_parameters(model: str, footage: Footage, tmp_path: Path) -> None:
    recipe = short(model)
    run = trainer(model, footage, tmp_path, recipe)
    for i, phase in enumerate(recipe.phases):
        before = {name: value.detach().clone() for name, value in run.model.named_parameters()}
        loss, *_ = run.step(*run.batches(i))
        assert 0 < loss < 10
        now = dict(run.model.named_parameters())
        moved = {part_of(name) for name, value in before.items() if not torch.equal(now[name], value)}
        everything = {part_of(name) for name in before}
        learns = phase.learns
        expected = {
            "all": everything,
            "all but flow": everything - {"flow"},
            "all but memory": everything - {"memory"},
            "flow": {"flow"},
            "attention": {"attention", "all"},
            "memory": {"memory"},
        }[learns]
        assert moved == expected


@pytest.mark.parametrize(("model", "part"), [("basicvsr", "flow"), ("mana", "attention")])
def test_what_knows_how_things_move_learns_more_slowly_than_all_else(model: str, part: Learns) -> None:
    phases = Phase(iterations=1, learns=part), Phase(iterations=1)
    recipe = replace(short(model), phases=phases, schedule="constant", flow_rate=0.25, alone_rate=7.0)
    optimiser = Optimiser(reduced(model), recipe)
    for iteration, rates in enumerate(({part: 7.0}, {"all": recipe.learning_rate, part: 0.25 * recipe.learning_rate})):
        optimiser.prepare(iteration)
        found = {group["part"]: group["lr"] for each in optimiser.optimisers for group in each.param_groups}
        assert rates.items() <= found.items()


def test_mana_restores_the_frame_in_the_middle(footage: Footage, tmp_path: Path) -> None:
    run = trainer("mana", footage, tmp_path, replace(short("mana"), phases=short("mana").phases[2:]))
    inputs, truth = run.batches(0)
    _, restored = Objective(run.model, run.recipe)(inputs, truth, "all")
    given, true = in_place_of(restored, inputs, truth)
    assert restored.shape == given.shape == true.shape == (1, 1, 3, 64, 64)
    assert torch.equal(true, truth[:, 3:4])
    run.validate()


def test_a_steady_recipe_charges_for_changes_too() -> None:
    truth = torch.zeros(1, 2, 3, 4, 4)
    restored = torch.cat([truth[:, :1] + 0.1, truth[:, :1] - 0.1], dim=1)
    recipe = replace(short("vrt-reds-6"), epsilon=0.0)
    objectives = (Objective(reduced("basicvsr"), replace(recipe, steady=steady)) for steady in (0.0, 0.5))
    alone, both = (float(objective.picture_loss(restored, truth)) for objective in objectives)
    assert abs(alone - 0.1) < 1e-6
    assert abs(both - (0.1 + 0.5 * 0.2)) < 1e-6


def test_interpolation_learns_the_frame_between(footage: Footage, tmp_path: Path) -> None:
    recipe = replace(short("vrt-vfi"), degradation="between", num_frames=7, crop=(32, 32))
    run = trainer("vrt-vfi", footage, tmp_path, recipe)
    inputs, truth = run.batches(0)
    before = {name: value.detach().clone() for name, value in run.model.named_parameters()}
    loss, *_ = run.step(inputs, truth)
    assert 0 < loss < 10
    assert all(
        not torch.equal(before[name], value) for name, value in run.model.named_parameters() if "bias" not in name
    )
    run.validate()


def test_the_middle_of_four_frames_is_the_mean_of_two() -> None:
    video = torch.arange(4.0).view(1, 4, 1, 1, 1)
    assert middle(video, 1).flatten().tolist() == [1.5]
    assert middle(video[:, :3], 1).flatten().tolist() == [1.0]
    assert middle(video, 2).flatten().tolist() == [1.0, 2.0]
    assert middle(video, 4).flatten().tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("model", [model for model in CONFIGS if model != "vrt-vfi"])
def test_recomputation_takes_less_memory_for_the_same_gradients(model: str, footage: Footage) -> None:
    recipe = short(model)
    inputs, truth = Batches(footage=footage, recipe=recipe)(0)
    networks = [reduced(model), reduced(model)]
    recompute(networks[1])
    peaks = []
    for network in networks:
        with Peak() as peak:
            loss, _ = Objective(network, recipe)(inputs, truth, "all")
            loss.backward()
        peaks.append(peak.bytes)
    gradients = [dict(network.named_parameters()) for network in networks]
    for name, parameter in gradients[0].items():
        again = gradients[1][name].grad
        assert (parameter.grad is None) == (again is None), name
        assert again is None or torch.allclose(parameter.grad, again, rtol=1e-5, atol=1e-8), name
    assert peaks[1] < 0.8 * peaks[0]
