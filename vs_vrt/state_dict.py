"""Reads the tensors of a file without running anything in it, and tells by their names and shapes what they are of."""

import hashlib
import json
import re
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_vrt.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER = 16 << 20
# Where training frameworks keep the tensors in what they save, and what they put before the names of the network that
# is meant to be used; a moving average of the weights comes before the weights.
WRAPPERS = ("state_dict", "params_ema", "params")
PREFIXES = ("generator_ema.", "generator.")
# How the names of constants end that networks compute by themselves: some files carry them, others do not.
CONSTANTS = ("relative_position_index", "position_bias", "spynet.mean", "spynet.std")
DISTANCES = "nonloc_spatial.D"  # MANA's, for the frame size of its training alone
CODE = re.compile(r"\bGLOBAL ([\w.]+)")  # how torch names what it refuses

_lock = threading.Lock()  # what torch may read is a setting of the process


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

    try:
        content = load_content(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes torch and safetensors raise nearly anything
        if code := CODE.search(str(error)):
            raise CheckpointError(
                f"{path.name} holds code ({code[1]}), which is never run; `pass a file of tensors alone`"
            ) from error
        first = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
        reason = "it is a web page" if is_web_page(path) else first  # torch's further words advise to run code
        raise CheckpointError(f"{path.name} cannot be read ({reason}); `get the file again`") from error
    tensors = unwrap(content)
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path.name} holds no table of tensors; `pass a state_dict`")
    if any(value.layout != torch.strided or value.is_complex() or value.is_meta for value in tensors.values()):
        raise CheckpointError(f"{path.name} holds tensors that are sparse, complex or empty; `pass a state_dict`")
    return tensors


def sha256_of(path: Path) -> str:
    """Of what is in a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_web_page(path: Path) -> bool:
    """Whether the file is what servers send in place of a file."""
    try:
        with path.open("rb") as content:
            return content.read(512).lstrip().startswith(b"<")
    except OSError:
        return False


def load_content(path: Path) -> Any:
    """Whatever the file holds."""
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(path)
    with _lock, torch.serialization.safe_globals(inert_globals()):
        return torch.load(path, map_location="cpu", weights_only=True)


def inert_globals() -> list[Any]:
    """What training frameworks note beside the tensors and torch does not read by itself: NumPy's numbers."""
    import numpy as np

    scalar = np.float64().__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in f"?{np.typecodes['AllInteger']}{np.typecodes['AllFloat']}"}
    spellings = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*spellings, np.dtype, *kinds]


def unwrap(content: Any) -> dict[str, Any]:
    """The table of the network alone: without its wrapper, the networks that trained it, counters and prefixes."""
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        return {}
    table = {str(key): value for key, value in content.items()}
    prefix = next((prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in table)), "")
    return {key.removeprefix(prefix): value for key, value in table.items() if key.startswith(prefix)}


def key_hash(tensors: Mapping[str, "Tensor"]) -> str:
    """The sha256 of the names and shapes of what is learned: what a file is a checkpoint of, whatever it is called."""
    learned = {key: value for key, value in tensors.items() if not key.endswith((*CONSTANTS, DISTANCES))}
    lines = (f"{key} {list(value.shape)}" for key, value in sorted(learned.items()))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
