"""Finds a network's checkpoint, reads it without running anything in it, and loads it strictly."""

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_vrt.errors import CheckpointError
from vs_vrt.task import TaskRow

if TYPE_CHECKING:
    from torch import Tensor, nn

BUNDLED = Path(__file__).parent / "weights"
SUFFIXES = (".safetensors", ".pth", ".pt")
# Keys that some files carry and others leave out: constants of the network, and a counter of the training framework.
CONSTANTS = ("spynet.mean", "spynet.std")
IGNORED = ("step_counter",)
MAX_HEADER = 16 << 20


def locate(row: TaskRow, weights: str | None) -> Path:
    """The file to load for `row`: `weights` where given, else the bundled one.

    Looks at names and headers only, never at tensors. Raises `CheckpointError`.
    """
    if weights is None:
        path = BUNDLED / row.checkpoint
        if row.bundled and path.is_file():
            return path
        source = f'; download `{row.url}` and pass `weights="{row.checkpoint}"`' if row.url else "; `pass weights=`"
        raise CheckpointError(f"the checkpoint of model {row.model} is not on this machine{source}")
    try:
        # A script may be evaluated in another working folder than the one its frames are made in.
        path = Path(weights).expanduser().resolve()
        found = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"weights {weights!r} is no path ({error}); `check the path`") from error
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f"weights {weights!r} is no checkpoint; `weights=` takes {', '.join(SUFFIXES)} files")
    if not found:
        raise CheckpointError(f"weights {weights!r} does not exist; `check the path` (relative to {Path.cwd()})")
    if path.suffix == ".safetensors":
        read_header(path)
    return path


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file. Raises `CheckpointError` where there is none."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(file.read(size))
        if not isinstance(header, dict):
            raise ValueError("its header is no table")
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise CheckpointError(f"{path.name} is no safetensors file ({error}); `get the file again`") from error
    return header


def read(path: Path) -> dict[str, "Tensor"]:
    """The tensors of a .safetensors or .pth file by name. Raises `CheckpointError`; runs no code from the file."""
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes torch and safetensors raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path.name} cannot be read ({reason}); `get the file again`") from error
    # BasicSR wraps the tensors in `params`, mmediting in `state_dict`.
    for wrapper in ("params", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {str(k).removeprefix("generator."): v for k, v in content.items()} if isinstance(content, dict) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path.name} holds no table of tensors; `pass a state_dict`")
    return tensors


def load(model: "nn.Module", path: Path, row: TaskRow) -> None:
    """Fills `model` with the tensors of `path`; every key and shape must match, or `CheckpointError` says which."""
    tensors = {key: value for key, value in read(path).items() if key not in IGNORED}
    wanted = model.state_dict()
    for key in CONSTANTS:
        if key in wanted:
            tensors.setdefault(key, wanted[key])
    wrong = sorted(
        (wanted.keys() ^ tensors.keys())
        | {key for key in wanted.keys() & tensors.keys() if wanted[key].shape != tensors[key].shape}
    )
    if wrong:
        shown = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
        raise CheckpointError(
            f"{path.name} is no checkpoint of model {row.model} ({len(wrong)} keys or shapes differ: {shown}); "
            "`choose the model it belongs to with model=`"
        )
    model.load_state_dict(tensors)
