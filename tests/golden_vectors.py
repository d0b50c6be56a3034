"""Reads golden vectors and regenerates the seeded weights that belong to them."""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
# What the repository carries, and the whole set where it lies beside the checkout.
FOLDERS = (ROOT / "tests" / "golden", ROOT.parent / "shared" / "golden")

# The constants of a network, which its constructor makes.
CONSTANT = re.compile(r"((^|spynet\.)(mean|std)|relative_position_index|position_bias|(^|\.)D)$")
# The first row that matches a key scales its normal numbers: by gain / sqrt(fan in).
GAINS = (
    (r"basic_module\.8\.weight$|basic_module\.4\.conv\.weight$", 0.15),
    (r"basic_module\..*weight$", 1.4),
    (r"conv_offset\.6\.weight$", 0.15),
    (r"conv_offset\.weight$", 0.7),
    (r"conv_offset\.\d\.weight$", 1.4),
    (r"\.conv1\.weight$", 1.4),
    (r"\.conv2\.weight$", 0.12),
    (r"conv_last\.weight$", 0.5),
    (r"W_z1?\.weight$", 2.0),
    (r"", 1.0),
)
# Rules that stand before those: (pattern, offset, scale), whatever the fan in.
ABSOLUTE = (
    (r"(^|\.)nonloc_spatial\.std$", 4.0, 0.25),
    (r"relative_position_bias_table$", 0.0, 0.5),
    (r"(^|\.)mb$", 0.0, 1.0),
)
BIAS_SCALE = 0.05


def load(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a golden file; skips the test where the file is neither carried nor beside us."""
    with safe_open(path(f"{name}.safetensors"), "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def path(name: str) -> Path:
    """Where a golden file lies."""
    found = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
    return found or pytest.skip(f"{name} is not in the repository, nor in ../shared/golden")


def is_constant(key: str) -> bool:
    """Whether the network makes the tensor by itself."""
    return CONSTANT.search(key) is not None and not key.endswith("nonloc_spatial.std")


def seeded(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The tensor that belongs to a key: normal numbers from a generator seeded by the key itself."""
    generator = np.random.RandomState((zlib.crc32(key.encode()) + 1000003 * seed) % 2**32)
    normal = generator.standard_normal(int(np.prod(shape))).reshape(shape)
    for pattern, offset, scale in ABSOLUTE:
        if re.search(pattern, key):
            return torch.from_numpy((offset + scale * normal).astype(np.float32))
    if len(shape) < 2:
        values = 1 + 0.1 * normal if key.endswith("weight") else BIAS_SCALE * normal
        return torch.from_numpy(values.astype(np.float32))
    gain = next(gain for pattern, gain in GAINS if re.search(pattern, key))
    return torch.from_numpy((gain * normal / np.sqrt(np.prod(shape[1:]))).astype(np.float32))


def fill[Network: nn.Module](model: Network, metadata: Mapping[str, str]) -> Network:
    """Loads the seeded weights strictly, and checks that they are the ones the file was made with."""
    seed = int(metadata["weight_seed"])
    wanted = model.state_dict()
    weights = {key: seeded(key, tuple(v.shape), seed) for key, v in wanted.items() if not is_constant(key)}
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(key.encode() + weights[key].numpy().astype("<f4").tobytes())
    check = json.loads(metadata["weight_check"])
    total = sum(float(value.double().sum()) for value in weights.values())
    assert digest.hexdigest() == check["sha256"] or abs(total - check["sum"]) < 1e-6
    model.load_state_dict({key: weights.get(key, value) for key, value in wanted.items()})
    return model.eval()


def tolerance(metadata: Mapping[str, str]) -> float:
    """Five times what float32 itself moves the output by, and never below 5e-6; 2e-5 where that is not known."""
    moved = metadata["f32_vs_f64_maxabs"]
    return 2e-5 if moved == "None" else max(5e-6, 5 * float(moved))


def config(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The constructor's arguments that our configurations have too, by the names they have there."""
    arguments: dict[str, Any] = json.loads(metadata["args"])
    arguments = arguments.pop("config", arguments)
    if size := arguments.pop("img_size", None):
        arguments["num_frames"] = size[0]
    for other in ("out_chans", "width", "height", "is_training"):
        arguments.pop(other, None)
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def component(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], dict[str, str]]:
    """Inputs, weights and outputs of a component by name, and its metadata."""
    tensors, metadata = load(name)
    groups: list[dict[str, Tensor]] = [
        {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        for prefix in ("in.", "w.", "out.")
    ]
    return groups[0], groups[1], groups[2], metadata


def component_tolerance(*outputs: Tensor) -> float:
    """2e-5 of the largest output."""
    return 2e-5 * max(1.0, *(float(output.abs().max()) for output in outputs))


def error(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference."""
    assert a.shape == b.shape
    return float((a - b).abs().max())


def key_hash(shapes: Mapping[str, Sequence[int]]) -> str:
    """What identifies a checkpoint's content: the sha256 of its keys and shapes."""
    lines = (f"{key} {list(shapes[key])}" for key in sorted(shapes))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The keys and shapes of a network's state."""
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}
