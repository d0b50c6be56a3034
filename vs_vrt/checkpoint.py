"""Finds a network's checkpoint, and loads it strictly."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vs_vrt import downloads
from vs_vrt.errors import CheckpointError
from vs_vrt.state_dict import CONSTANTS, DISTANCES, key_hash, read, read_header
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

if TYPE_CHECKING:
    from torch import Tensor, nn

BUNDLED = Path(__file__).parent / "weights"
SUFFIXES = (".safetensors", ".pth", ".pt")

type Tensors = Mapping[str, "Tensor"]


def locate(row: TaskRow, weights: str | None) -> Path:
    """The file to load for `row`: `weights` where given, else the bundled one, else where a download will put it.

    Looks at names and headers only, never at tensors. Raises `CheckpointError`.
    """
    if weights is not None:
        return given(weights)
    if row.bundled and (BUNDLED / row.checkpoint).is_file():
        return BUNDLED / row.checkpoint
    path = downloads.place(row)
    if row.url or downloads.is_file(path):
        return path
    source = f", the file is at {row.page}" if row.page else ""
    raise CheckpointError(
        f"the checkpoint of model {row.model} is not on this machine and cannot be downloaded; `pass weights=`{source}"
    )


def given(weights: str) -> Path:
    """The file that `weights` names. Raises `CheckpointError`."""
    try:
        # A script may be evaluated in another working folder than the one its frames are made in.
        path = Path(weights).expanduser().resolve()
        found = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"weights {weights!r} is no path ({error}); `check the path`") from error
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f"weights {weights!r} is no checkpoint; `pass a {', '.join(SUFFIXES)} file`")
    if not found:
        raise CheckpointError(f"weights {weights!r} does not exist; `check the path` (relative to {Path.cwd()})")
    if path.suffix == ".safetensors":
        read_header(path)
    return path


def obtain(row: TaskRow, path: Path) -> Path:
    """What `locate` answered, downloaded now where it is not on this machine yet. Raises `CheckpointError`."""
    return downloads.fetch(row) if row.url and path == downloads.place(row) else path


def call_for(owners: Sequence[TaskRow], path: Path, row: TaskRow) -> str:
    """What to do with a checkpoint that is not the row's but, where that is known, its `owners`'."""
    if not owners:
        return "choose the model it belongs to with model="
    owner = min(owners, key=lambda each: each.task != row.task)
    return owner.call.removesuffix(")") + f', weights="{path}")'


def load(
    model: "nn.Module", path: Path, row: TaskRow, remedy: Callable[[Sequence[TaskRow], Path, TaskRow], str] = call_for
) -> None:
    """Fills `model` with the tensors of `path`; every key and shape must match.

    Or `CheckpointError` says which do not, whose the tensors are, and the `remedy` for that.
    """
    if (row.url or row.sha256) and path == downloads.place(row):
        downloads.check(row)
    tensors, wanted = read(path), model.state_dict()
    spellings = [complete(each, wanted) for each in (tensors, in_mmediting_names(tensors))]
    found = min(spellings, key=lambda each: len(differences(each, wanted)))
    wrong = differences(found, wanted)
    if wrong:
        shown = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
        owners = owners_of(tensors)
        whose = " but of " + ", ".join(owner.model for owner in owners) if owners else ""
        raise CheckpointError(
            f"{path.name} is no checkpoint of model {row.model} ({len(wrong)} keys or shapes differ: {shown}){whose}; "
            f"`{remedy(owners, path, row)}`"
        )
    model.load_state_dict(found)


def in_mmediting_names(tensors: Tensors) -> Tensors:
    """The tensors by mmediting's names, which are ours, where BasicSR gave them others."""
    from vs_vrt.models.basicsr_keys import mmediting_key

    return {mmediting_key(key): value for key, value in tensors.items()}


def complete(tensors: Tensors, wanted: Tensors) -> Tensors:
    """The tensors with the constants that only the network has, without those that it computes for each frame size."""
    constants = {key: value for key, value in wanted.items() if key.endswith((*CONSTANTS, DISTANCES))}
    return constants | {key: value for key, value in tensors.items() if key != DISTANCES}


def differences(tensors: Tensors, wanted: Tensors) -> list[str]:
    """The keys that only one side has, or with another shape."""
    shapes = [{(key, value.shape) for key, value in side.items()} for side in (tensors, wanted)]
    return sorted({key for key, _ in shapes[0] ^ shapes[1]})


def owners_of(tensors: Tensors) -> list[TaskRow]:
    """The rows whose checkpoints have just these keys and shapes."""
    hashes = {key_hash(each) for each in (tensors, in_mmediting_names(tensors))}
    return [row for row in TASKS if row.keys in hashes]
