"""What `python -m benchmarks` counts, chooses and writes; how fast anything is, no test says."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import typer
from torch import nn
from typer.testing import CliRunner

import benchmarks.__main__ as command
from benchmarks import machine, networks, operations, plugin, report
from benchmarks.processes import in_fresh_process
from benchmarks.timing import Way, in_turn, products, seconds
from tests.support import check_grammar
from vs_vrt import cpu
from vs_vrt.precision import DTYPES, computing
from vs_vrt.tasks import TASKS

CPU = torch.device("cpu")
CEILINGS = {"bytes_per_second": 1e9, "flop_per_second": {"fp32": {"matrix product": 1e9, "convolution": 2e9}}}
SMALL = (
    operations.warping("flow_warp", "features", operations.flow_warp, 2, 3, 5, 7, flop=operations.READ),
    operations.warping("flow_warp_nearest4", "frames", operations.flow_warp_nearest4, 2, 3, 5, 7, flop=0),
    operations.deforming(2, 6, 4, 3, 5, 7),
    operations.aligning(2, 4, 2, 5, 7),
    operations.attending(8192, 128, 2, 4),
    operations.block(2, 8, 8, 12, (2, 4, 4)),
    operations.multiplying(9, 5, 7),
    operations.gating(9, 5),
)


def reads(operation: operations.Operation, inputs: operations.Inputs) -> int:
    """FLOP of bilinear reads, and of masks, counted value by value."""
    x = inputs[0]
    assert isinstance(x, torch.Tensor | nn.Module)
    if operation.name == "flow_warp" and isinstance(x, torch.Tensor):
        return sum(8 for _ in x.flatten())
    if operation.name in ("deform_conv", "deform_warp") and isinstance(x, torch.Tensor):
        sampled = F.unfold(x, 3, padding=1)  # what nine taps read, where no offset moves them
        return sum(8 + 1 for _ in sampled.flatten())
    return 0


@pytest.mark.parametrize("operation", SMALL, ids=lambda each: each.name)
def test_flop_are_those_of_products_and_reads(operation: operations.Operation) -> None:
    inputs = operation.make(CPU, torch.float32)
    with torch.inference_mode():
        counted = products(lambda: operation.call(*inputs))
    assert operation.flop == counted + reads(operation, inputs)
    assert operation.flop or operation.name in ("flow_warp_nearest4", "geglu")


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_operations_have_what_their_words_say(kind: str) -> None:
    found = operations.operations(kind)
    assert len({(each.name, each.input) for each in found}) == len(found)
    assert any(each.quick for each in found)


def test_bytes_are_those_of_all_inputs_and_weights() -> None:
    module = nn.Linear(3, 5).requires_grad_(False)
    assert operations.fewest_bytes(torch.zeros(7), torch.zeros(2, dtype=torch.bfloat16), module) == 28 + 4 + 80


def test_attention_in_words_is_attention() -> None:
    q, k, v, bias = (torch.randn(*shape) for shape in ((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4), (3, 5, 5)))
    assert torch.allclose(operations.attention_in_words(q, k, v, bias), operations.attention(q, k, v, bias), atol=1e-6)


def test_torchvisions_convolution_is_ours() -> None:
    pytest.importorskip("torchvision")
    operation = operations.deforming(2, 6, 4, 3, 5, 7)
    inputs = operation.make(CPU, torch.float32)
    assert operation.rival is not None
    assert torch.allclose(operation.rival(*inputs), operation.call(*inputs), atol=1e-5)


@pytest.mark.parametrize("plain", [False, True])
def test_a_way_says_whether_kernels_compute(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_VRT_KERNELS", "on" if plain else "off")
    found = []
    assert seconds(CPU, Way(lambda: found.append(cpu.computes(torch.zeros(1))), plain), calls=3) > 0
    assert found == [not plain] * 3
    assert cpu.computes(torch.zeros(1)) == plain


@pytest.mark.parametrize(("budget", "took", "rounds"), [(10, 1, 5), (10, 3, 3), (10, 8, 2), (10, 11, 1)])
def test_ways_take_turns_while_there_is_time(
    budget: float, took: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def work(name: str) -> Way:
        return Way(lambda: (order.append(name), clock.__setitem__(0, clock[0] + took / 2)))

    order: list[str] = []
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: clock[0])
    found = in_turn(CPU, {"a": work("a"), "b": work("b")}, budget, most=5)
    assert order == ["a", "b"] * rounds
    assert found == {"a": [took / 2] * rounds, "b": [took / 2] * rounds}


def test_an_operation_has_a_row() -> None:
    index = [each.name for each in operations.operations("cpu")].index("linear")
    row = command.completed(in_fresh_process(operations.measure, index, "cpu", "fp32", 0.0), CEILINGS)
    assert (row["operation"], row["precision"], row["flop"]) == ("linear", "fp32", 2 * 32768 * 120 * 240)
    assert row["bytes"] == 4 * (32768 * (120 + 240) + 240 * 120 + 240)
    assert row["memory_bytes"] > 0.9 * 4 * 32768 * 240
    assert row["flop_share"] == pytest.approx(row["flop_per_second"] / 2e9, rel=1e-3)
    assert row["bytes_share"] == pytest.approx(row["bytes_per_second"] / 1e9, rel=1e-3)
    assert row["to_reference"] == pytest.approx(row["ours_seconds"] / row["reference_seconds"], rel=1e-3)


def test_a_network_has_a_row() -> None:
    case = networks.Case("basicvsr-compact", (2, 3, 16, 16), published_seconds=2.0)
    row = command.completed(networks.measure(case, "cpu", "fp32", 0.0), CEILINGS)
    assert (row["model"], row["input"], row["frames"], row["repeats"]) == ("basicvsr-compact", "1x2x3x16x16", 2, 1)
    assert row["parameters"] == 450_141
    assert row["bytes"] == 4 * (450_141 + 2 * 3 * 16 * 16 * (1 + 16))
    assert row["flop"] > 2 * 2 * 16 * 16 * 16 * 9 * 12 * 12  # the widest convolution alone
    assert row["memory_bytes"] > row["before_bytes"] > 0
    assert row["frames_per_second"] == pytest.approx(2 / row["ours_seconds"], rel=1e-3)
    assert row["to_published"] == pytest.approx(row["ours_seconds"] / 2.0, rel=1e-3)


@pytest.mark.parametrize("model", ["basicvsr-compact", "vrt-compact", "basicvsr"])
def test_a_clip_has_a_row(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in TASKS if row.model == model)
    monkeypatch.setattr(plugin, "TASKS", (replace(row, length=3, overlap=1),))
    found = plugin.measure(plugin.Case(model, 16, 8), "cpu", 1, "fp32", 0.0)
    found = command.completed(found, CEILINGS)
    assert (found["model"], found["input"], found["frames"]) == (model, "16x8", 2 if model == "vrt-compact" else 9)
    assert found["frames_per_second"] == pytest.approx(found["frames"] / found["ours_seconds"], rel=1e-3)
    assert found["engine_share"] == pytest.approx(found["engine_seconds"] / found["ours_seconds"], rel=1e-3)


def test_a_row_that_fails_says_why() -> None:
    job = command.Job("networks", "none", "1x1", "fp32", divide, (1, 0))
    row = command.measured(job, CEILINGS, quick=True)
    assert row == {
        "model": "none",
        "input": "1x1",
        "precision": "fp32",
        "error": "ZeroDivisionError: integer division or modulo by zero",
    }
    assert report.line(row) == "none, 1x1, fp32: ZeroDivisionError: integer division or modulo by zero"


def divide(a: int, b: int, budget: float) -> dict[str, Any]:
    """Stands for something that is measured."""
    return {"budget": budget, "found": a // b}


def test_quick_is_a_choice_of_what_there_is() -> None:
    every, quick = (list(command.jobs("cpu", 1, ("fp32", "bf16"), quick=choice)) for choice in (False, True))
    assert {job.kind for job in every} == {"operations", "networks", "plugin"}
    assert set(quick) < set(every)
    assert {job.precision for job in quick} == {"fp32"}
    assert {job.kind for job in quick} == {"operations", "networks"}
    assert {job.precision for job in every} == {"fp32", "bf16"}


def test_what_takes_minutes_on_a_cpu_is_left_to_gpus() -> None:
    on_cpu, on_gpu = (
        {(job.name, job.input) for job in command.jobs(device, 1, ("fp32",), quick=False)}
        for device in ("cpu", "cuda:0")
    )
    assert {("mana", "1x7x3x180x320"), ("vrt-reds-6", "1x6x3x184x320"), ("basicvsr", "960x540")} <= on_gpu - on_cpu
    assert ("mana", "1x7x3x64x64") in on_cpu & on_gpu


@pytest.fixture(autouse=True)
def _restores_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets the threads of the processes it starts; tests after it start some, too."""
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ["OMP_NUM_THREADS"])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command without anything to measure; the folder of its results."""
    linear = next(job for job in command.jobs("cpu", 1, ("fp32",), quick=False) if job.name == "linear")
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "jobs", lambda *_: iter([linear]))
    monkeypatch.setattr(command, "in_fresh_process", lambda function, *given, **_: function(*given))
    monkeypatch.setattr(command, "on_engine", lambda *_: CEILINGS)
    monkeypatch.setattr(machine, "look", lambda *_: (machine.facts(CPU, 1), ("fp32",)))
    row = {"operation": "linear", "input": linear.input, "precision": "fp32", "ours_seconds": 0.12345678}
    row |= {"reference_seconds": 0.2, "flop": 10, "bytes": 20, "memory_bytes": 30, "repeats": 1}
    monkeypatch.setattr(command, "measured", lambda *_: command.completed(row, CEILINGS))
    return tmp_path


def invoke(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(command.main)
    return CliRunner().invoke(app, arguments)


def test_a_full_run_is_kept_and_printed(runs: Path) -> None:
    result = invoke("--device", "cpu")
    (file,) = runs.iterdir()
    assert file.stem == machine.slug(CPU)
    found = json.loads(file.read_text())
    assert json.loads(result.stdout) == found
    assert set(found) == {"machine", "quick", "ceilings", "operations", "networks", "plugin"}
    assert found["ceilings"] == CEILINGS
    assert found["operations"][0]["ours_seconds"] == 0.1235
    assert {"name", "cpu", "cores", "threads", "ram_gb", "flags", "gpu", "versions"} <= set(found["machine"])
    assert found["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "linear" in result.stderr


@pytest.mark.parametrize("part", [("--quick",), ("--only", "linear")])
def test_a_part_is_kept_only_where_it_is_asked_for(part: tuple[str, ...], runs: Path) -> None:
    assert invoke("--device", "cpu", *part).exit_code == 0
    assert not list(runs.iterdir())
    assert invoke("--device", "cpu", *part, "--out", str(runs / "mine.json")).exit_code == 0
    assert [path.name for path in runs.iterdir()] == ["mine.json"]


def test_a_wrong_name_is_told_the_right_ones(runs: Path) -> None:
    result = invoke("--device", "cpu", "--only", "nothing")
    check_grammar(str(result.exception))
    assert "linear" in str(result.exception)
    assert not list(runs.iterdir())


def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "in_fresh_process", lambda function, *given: function(*given))
    check_grammar(str(invoke("--device", "cuda").exception))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_are_counted_where_formats_are_adapted(precision: str) -> None:
    x, weight = torch.randn(2, 3, 5, dtype=DTYPES[precision]), torch.randn(7, 5)
    with computing(CPU, precision):
        assert products(lambda: torch.einsum("bij,kj->bik", x, weight)) == 2 * 2 * 3 * 5 * 7
        assert products(lambda: F.linear(x, weight)) == 2 * 2 * 3 * 5 * 7


def test_ceilings_are_rates_of_known_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "seconds", lambda *_: 0.5)
    monkeypatch.setattr(machine, "COPIED", {"cpu": 1 << 20})
    monkeypatch.setattr(machine, "SIDES", {"cpu": (16, 32)})
    monkeypatch.setattr(machine, "CHANNELS", {"cpu": (4, 2)})
    found = machine.ceilings("cpu", ("fp32",))
    assert found["bytes_per_second"] == 2 * 2 * (1 << 20)
    rates = {"matrix product": 2 * 2 * 32**3, "convolution": 2 * 2 * 9 * 16 * 180 * 320}
    assert found["flop_per_second"] == {"fp32": rates}
