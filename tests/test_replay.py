"""When a chain of kernels is captured, replayed and given back. Only a GPU can capture: here that is played."""

import logging
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from vs_vrt import replay
from vs_vrt.models import vrt
from vs_vrt.models.blocks import Linear
from vs_vrt.models.vrt import TMSAG
from vs_vrt.precision import computing
from vs_vrt.replay import SHAPES, WARM, replayed


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return 2 * x


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.Size]]:
    """The shapes that were captured; a replay gives the triple."""
    found: list[torch.Size] = []

    def capture(_: nn.Module, x: Tensor) -> replay.Replay:
        found.append(x.shape)
        return lambda given: 3 * given

    monkeypatch.setattr(replay, "capture", capture)
    monkeypatch.setattr(replay, "applies", lambda _: not replay._state.broken)
    monkeypatch.setattr(replay, "_state", replay.State())
    with torch.inference_mode():
        yield found


def call(module: nn.Module, *shape: int, times: int = 1) -> float:
    """The factor of the last call."""
    for _ in range(times):
        made = replayed(module, torch.ones(shape))
    return float(made.flatten()[0])


def test_a_shape_is_captured_once_it_repeats(captures: list[torch.Size]) -> None:
    module = Doubled()
    assert call(module, 4, times=WARM) == 2
    assert not captures
    assert call(module, 4, times=5) == 3
    assert captures == [torch.Size([4])]
    assert module.calls == WARM


def test_weights_that_lie_elsewhere_are_captured_anew(captures: list[torch.Size]) -> None:
    module = Doubled()
    module.weight = nn.Parameter(torch.ones(3), requires_grad=False)
    call(module, 4, times=WARM + 1)
    module.weight.data = torch.ones(3)
    assert call(module, 4) == 2
    assert len(captures) == 1


def test_memory_that_runs_out_is_told(captures: list[torch.Size], monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller tiles help against it."""

    def exhausted(*_: object) -> replay.Replay:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(replay, "capture", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        call(Doubled(), 4, times=WARM + 1)
    assert not replay._state.broken
    assert not captures


def test_modules_and_formats_have_their_own(captures: list[torch.Size]) -> None:
    first, second = Doubled(), Doubled()
    call(first, 4, times=WARM + 1)
    assert call(second, 4) == 2
    with torch.autocast("cpu", torch.bfloat16):
        assert call(first, 4) == 2
    assert len(captures) == 1


def test_shapes_that_take_turns_push_none_out_and_idle_ones_go(
    captures: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "IDLE", 30)
    module = Doubled()
    for _ in range(WARM + 3):
        for size in range(1, SHAPES + 3):
            call(module, size)
    first = [torch.Size([size]) for size in range(1, SHAPES + 1)]
    assert captures == first
    assert call(module, SHAPES + 1, times=20) == 2
    assert call(module, SHAPES + 1, times=20) == 3
    assert call(module, 1, times=WARM) == 2  # begins anew
    assert call(module, 1) == 3
    assert captures[SHAPES:] == [torch.Size([SHAPES + 1]), first[0]]


def test_threads_share_none(captures: list[torch.Size]) -> None:
    module = Doubled()
    call(module, 4, times=WARM + 1)
    found: list[float] = []
    other = threading.Thread(target=lambda: found.append(call(module, 4)))
    other.start()
    other.join()
    assert found == [2]
    assert len(captures) == 1


def test_what_cannot_be_captured_is_launched_one_by_one_and_that_is_said_once(
    captures: list[torch.Size], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> replay.Replay:
        raise RuntimeError("operation not permitted when stream is capturing\nsearch for cudaErrorStreamCapture")

    monkeypatch.setattr(replay, "capture", refuse)
    with caplog.at_level(logging.WARNING):
        assert call(Doubled(), 4, times=WARM + 3) == 2
    assert [record.message for record in caplog.records] == [
        "vrt: a CUDA graph cannot be captured (operation not permitted when stream is capturing), "
        "kernels are launched one by one"
    ]
    assert not captures


def test_where_memory_ran_out_nothing_is_captured_any_more(captures: list[torch.Size]) -> None:
    module = Doubled()
    call(module, 4, times=WARM + 1)
    replay.release()
    assert not replay._state.modules
    assert call(module, 4, times=WARM + 2) == 2
    assert len(captures) == 1


@pytest.mark.usefixtures("captures")
def test_dropped_modules_keep_nothing() -> None:
    module = Doubled()
    call(module, 4, times=WARM + 1)
    del module
    assert not replay._state.modules


def test_a_pool_ends_with_its_last_graph(captures: list[torch.Size], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    cpu, module = torch.device("cpu"), Doubled()
    first = replay.pool_of(cpu)
    call(module, 4, times=WARM + 1)
    replay._state.pools[cpu] = first  # where the graph lies
    assert replay.pool_of(cpu) is first
    del module
    assert replay.pool_of(cpu) is not first
    assert len(captures) == 1


def test_on_a_cpu_nothing_is_captured() -> None:
    with torch.inference_mode():
        assert not replay.applies(torch.ones(1))


def test_groups_of_vrt_are_captured_where_they_are_small(
    captures: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = TMSAG(4, 1, 1, (2, 4, 4), mutual=False)
    x = torch.randn(1, 2, 8, 8, 4)
    for limit, shapes in ((127, []), (128, [x.shape])):
        monkeypatch.setattr(vrt, "GPU_CHUNK", limit)
        for _ in range(WARM + 1):
            made = group(x)
        assert captures == shapes
        assert torch.equal(made, 3 * x) == bool(shapes)


@pytest.mark.cuda
def test_modules_share_memory_and_give_the_same_bytes_in_turn() -> None:
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), Linear(50, 50)).cuda().requires_grad_(False) for _ in "ab"]
    for i in range(WARM + 4):
        for module in modules:
            x = torch.randn(1, 8, 40, 50, device="cuda")
            with computing(x.device, "fp16"):
                assert torch.equal(replayed(module, x), module(x)), i
    assert not replay._state.broken
    assert all(replay._state.modules[module].replays for module in modules)
    assert len(replay._state.pools) == 1


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("mutual", [False, True])
def test_a_group_of_vrt_replays(mutual: bool, precision: str) -> None:
    torch.manual_seed(0)
    group = TMSAG(40, 2, 2, (2, 8, 8), mutual).cuda().requires_grad_(False)
    for i in range(WARM + 3):
        x = torch.randn(1, 3, 20, 26, 40, device="cuda")
        with computing(x.device, precision):
            assert torch.equal(group(x), group.blocks(x)), i
    assert not replay._state.broken
    assert replay._state.modules[group.blocks].replays


@pytest.mark.cuda
def test_a_replay_gives_the_same_bytes_for_other_values() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))).cuda().requires_grad_(False)
    with torch.inference_mode(), torch.autocast("cuda", torch.float16):
        for i in range(WARM + 4):
            x = torch.randn(1, 8, 40, 50, device="cuda")
            assert torch.equal(replayed(module, x), module(x)), i
        assert replay._state.modules[module].replays
        assert not replay._state.broken
