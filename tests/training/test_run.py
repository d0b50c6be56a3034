import multiprocessing
import os
import resource
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import check_grammar
from tests.training.tiny import CONFIG, RECIPE, write_clip
from vs_vrt import checkpoint
from vs_vrt.cli.ends import interruptible
from vs_vrt.errors import ArgumentError, CheckpointError, OutOfMemory, VrtError
from vs_vrt.restorer import build
from vs_vrt.task import TaskRow
from vs_vrt.tasks import COMPACT, VRT_COMPACT
from vs_vrt.training import loop
from vs_vrt.training import run as module
from vs_vrt.training.files import claimed
from vs_vrt.training.loop import Trainer
from vs_vrt.training.recipe import Phase
from vs_vrt.training.recipes import COMPACT as COMPACT_RECIPE
from vs_vrt.training.run import Run, begin, choose_recipe, row_of, train

SMALL = replace(COMPACT, config=vars(CONFIG))
LONG = replace(RECIPE, phases=(Phase(iterations=100_000),))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("data"), size=64)


@pytest.fixture(autouse=True)
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all else here."""
    monkeypatch.setattr(loop, "can_plot", lambda: False)
    monkeypatch.setattr(module, "can_plot", lambda: False)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch.setattr)


def install(put: object) -> None:
    """Makes the compact network and its recipe small."""
    put(module, "row_of", lambda _: SMALL)  # type: ignore[operator]
    put(module, "recipe_of", lambda _: RECIPE)  # type: ignore[operator]


def run_of(folder: Path, out: Path, **changes: object) -> Run:
    return replace(Run(model="basicvsr-compact", data=folder, out=out, device="cpu"), **changes)


@pytest.mark.usefixtures("small")
def test_a_run_says_how_to_use_what_it_made(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        train(run_of(data, tmp_path / "a" / "b"), Event())
    weights = tmp_path / "a" / "b" / "weights.safetensors"
    assert f'core.vrt.Restore(clip, task="sr4", model="basicvsr-compact", weights="{weights}")' in caplog.text
    assert "footage that is trained on; `--validate FOLDER`" in caplog.text
    assert "`pip install 'vs-vrt[train]'`" in caplog.text
    checkpoint.load(build(SMALL), weights, SMALL)
    assert {each.name for each in weights.parent.iterdir()} >= {"state.pt", "log.csv", "validation.csv", "pictures"}
    assert not list(weights.parent.glob("*.tmp"))


@pytest.mark.usefixtures("small")
def test_other_footage_is_another_run(data: Path, tmp_path: Path) -> None:
    train(run_of(data, tmp_path / "run", iterations=5), Event())
    with pytest.raises(ArgumentError, match="a run with another data"):
        train(run_of(write_clip(tmp_path / "other", size=96), tmp_path / "run", iterations=5), Event())


@pytest.mark.parametrize("row", [COMPACT, VRT_COMPACT], ids=lambda row: row.model)  # one's recipe is lent its flow
def test_fine_tuning_begins_with_the_bundled_weights(data: Path, tmp_path: Path, row: TaskRow) -> None:
    bundled = checkpoint.BUNDLED / row.checkpoint
    for start in ("published", str(bundled)):
        network, digest = begin(run_of(data, tmp_path, start=start), row)
        assert len(digest) == 64
        tensors = load_file(bundled)
        assert all(torch.equal(tensors[key].float(), value) for key, value in network.named_parameters())


@pytest.mark.parametrize(("model", "lent"), [("basicvsr-compact", 0), ("deblur-compact", 1), ("vrt-compact", 1)])
def test_flow_is_lent_where_the_recipe_says_so(data: Path, tmp_path: Path, model: str, lent: int) -> None:
    """By whatever names."""
    network, _ = begin(run_of(data, tmp_path), row_of(model))
    mine = [value for key, value in network.named_parameters() if "spynet." in key]
    wheel = load_file(checkpoint.BUNDLED / COMPACT.checkpoint)
    theirs = [wheel[key].float() for key, _ in build(COMPACT).named_parameters() if "spynet." in key]
    assert sum(map(torch.equal, mine, theirs)) == lent * len(theirs)


def test_fine_tuning_takes_a_tenth_of_the_rates(data: Path, tmp_path: Path) -> None:
    scratch = choose_recipe(run_of(data, tmp_path), COMPACT)
    tuned = choose_recipe(run_of(data, tmp_path, start="published", factor=0.01), COMPACT)
    assert tuned.learning_rate == pytest.approx(0.1 * scratch.learning_rate)
    assert tuned.muon_rate == pytest.approx(0.1 * scratch.muon_rate)
    assert tuned.phases == (Phase(iterations=round(0.01 * scratch.phases[-1].iterations)),)
    asked = choose_recipe(run_of(data, tmp_path, start="published", rate=3e-6), COMPACT)
    assert asked.learning_rate == pytest.approx(3e-6)


@pytest.mark.parametrize("model", ["mana", "vrt-reds-6"])
def test_everything_that_is_drawn_at_random_is_seeded(data: Path, tmp_path: Path, model: str) -> None:
    row = row_of(model)
    small = {"in_channels": 32, "encoder_nblocks": 1, "decoder_nblocks": 1}
    if model != "mana":
        small = {"embed_dims": (12,) * 8, "depths": (2,) * 8, "num_heads": (2,) * 8, "indep_reconsts": ()}
    row = replace(row, config=small)
    states = [begin(run_of(data, tmp_path, seed=seed), row)[0].state_dict() for seed in (5, 5)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": "basic"}, "unknown model 'basic'; `--model basicvsr-compact`"),
        ({"data": Path("nowhere")}, "nowhere is no folder; `--data FOLDER`"),
        ({"validate": Path("nowhere")}, "nowhere is no folder; `--validate FOLDER`"),
        ({"start": "nowhere.pth"}, "does not exist"),
        ({"start": "weights.jpg"}, "is no checkpoint"),
        (
            {"model": "basicvsr", "start": str(checkpoint.BUNDLED / COMPACT.checkpoint)},
            "but of basicvsr-compact; `--model basicvsr-compact`",
        ),
        (
            {"degradation": "fog"},
            "cannot undo 'fog'; `--degradation bicubic`, `--degradation gaussian`, `--degradation r",
        ),
        ({"degradation": "noise"}, "model basicvsr-compact cannot undo 'noise'; `--degradation bicubic`"),
        ({"model": "vrt-davis", "degradation": "blind-noise"}, "`--degradation noise`, `--degradation known-noise`, `"),
        ({"precision": "fp16"}, "`--precision fp32`"),
        ({"device": "gpu"}, "`--device cpu`"),
        ({"factor": 0.0}, "factor 0.0 cannot be; `--factor` above 0"),
        ({"rate": float("nan")}, "rate nan cannot be; `--rate` above 0"),
        ({"iterations": 0}, "`--iterations` above 0"),
        ({"seed": 1 << 70}, "cannot be; `--seed` from 0 to"),
        ({"iterations": 1000}, "`--factor` shortens all"),
        ({"seed": -1}, "seed -1 cannot be; `--seed` from 0"),
        ({"batch": 0}, "batch 0 cannot be; `--batch` above 0"),
        ({"model": "mana", "start": "published"}, "cannot be downloaded; `--from FILE`"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    data: Path, tmp_path: Path, changes: dict[str, object], text: str
) -> None:
    with pytest.raises(VrtError) as error:
        train(run_of(data, tmp_path / "run", **changes), Event())
    assert text in str(error.value)
    check_grammar(f"vrt: {error.value}")


@pytest.mark.usefixtures("small")
def test_where_memory_runs_out_a_line_says_how_to_take_less(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> bool:
        torch.empty(1 << 60)
        return True

    monkeypatch.setattr(Trainer, "run", exhaust)
    with pytest.raises(OutOfMemory) as error:
        train(run_of(data, tmp_path), Event())
    assert str(error.value) == "out of memory on cpu; `--checkpointing`, `--precision bf16`, `--batch 1`"


def test_a_step_learns_from_as_many_crops_as_asked(data: Path, tmp_path: Path) -> None:
    recipe = choose_recipe(run_of(data, tmp_path, batch=3, factor=0.1), COMPACT)
    assert (recipe.batch, recipe.iterations) == (3, COMPACT_RECIPE.iterations // 10)


@pytest.mark.usefixtures("small")
def test_a_folder_that_cannot_be_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match="cannot be written"):
        train(run_of(data, tmp_path / "file"), Event())


@pytest.mark.usefixtures("small")
def test_two_runs_do_not_write_to_one_folder(data: Path, tmp_path: Path) -> None:
    asked = Event()
    asked.set()
    with claimed(tmp_path), pytest.raises(ArgumentError, match=r"another run writes to .*; `--out` another folder"):
        train(run_of(data, tmp_path), asked)
    assert not (tmp_path / "state.pt").exists()
    train(run_of(data, tmp_path), asked)
    assert (tmp_path / "state.pt").exists()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may become larger than a few KB: to a program, that is a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.usefixtures("small")
def test_a_full_disk_leaves_the_last_state(data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    asked = Event()
    asked.set()
    train(run_of(data, tmp_path), asked)
    before = (tmp_path / "state.pt").read_bytes()
    request.getfixturevalue("full_disk")
    with pytest.raises(ArgumentError, match=r"cannot be written \(.*\); `--out`"):
        train(run_of(data, tmp_path), asked)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_all_it_learned(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(module, "row_of", lambda _: SMALL)
    monkeypatch.setattr(module, "recipe_of", lambda _: LONG)
    before = signal.getsignal(number)
    timer = Timer(1.0, os.kill, (os.getpid(), number))
    with interruptible() as asked:
        timer.start()
        train(run_of(data, tmp_path), asked)
    assert signal.getsignal(number) is before
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["iteration"] == len((tmp_path / "log.csv").read_text().splitlines()) - 1 >= 1


def process(rank: int, ranks: int, port: int, data: Path, out: Path) -> None:
    """One of the processes that share a run, as torchrun starts them."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in place.items()})
    install(setattr)
    if rank:  # who is not the first writes nothing
        os.chdir("/")
    train(run_of(data, out), Event())


def test_two_processes_learn_what_one_learns(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    start = multiprocessing.get_context("spawn").Process
    both = [start(target=process, args=(rank, 2, port, data, tmp_path / "two")) for rank in range(2)]
    for each in both:
        each.start()
    install(monkeypatch.setattr)
    train(run_of(data, tmp_path / "one"), Event())
    for each in both:
        each.join()
        assert each.exitcode == 0
    logs = [np.loadtxt(tmp_path / name / "log.csv", delimiter=",", skiprows=1) for name in ("one", "two")]
    assert logs[0][:, 1] == pytest.approx(logs[1][:, 1], rel=1e-3)
    assert logs[0][:, 2] == pytest.approx(logs[1][:, 2], abs=1e-3)  # dB: of the whole batch
    one, two = (torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("one", "two"))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 2e-3


def test_a_batch_that_cannot_be_shared_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from vs_vrt.training.processes import Process

    install(monkeypatch.setattr)
    three = Process(device=torch.device("cpu"), rank=0, ranks=3)
    monkeypatch.setattr(module, "joined", lambda _: nullcontext(three))
    with pytest.raises(ArgumentError, match="3 processes cannot share batches of 2 evenly"):
        train(run_of(data, tmp_path), Event())


def test_weights_that_are_no_numbers_are_refused(data: Path, tmp_path: Path) -> None:
    tensors = load_file(checkpoint.BUNDLED / COMPACT.checkpoint)
    tensors["conv_last.bias"][0] = float("nan")
    save_file(tensors, tmp_path / "broken.safetensors")
    with pytest.raises(
        CheckpointError, match=r"^broken\.safetensors has values that are no numbers; `another --from`$"
    ):
        begin(run_of(data, tmp_path, start=str(tmp_path / "broken.safetensors")), COMPACT)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("change", "name"), [({"precision": "bf16"}, "precision"), ({"validate": True}, "validation")])
def test_what_changes_the_numbers_makes_another_run(
    data: Path, tmp_path: Path, change: dict[str, object], name: str
) -> None:
    train(run_of(data, tmp_path / "run", iterations=5), Event())
    if "validate" in change:
        change = {"validate": write_clip(tmp_path / "other")}
    with pytest.raises(ArgumentError, match=f"a run with another {name}"):
        train(run_of(data, tmp_path / "run", iterations=5, **change), Event())
