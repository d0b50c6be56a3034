"""Reads golden vectors and regenerates the seeded weights that belong to them."""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "golden"

# The constants of a network, which its constructor makes.
CONSTANT = re.compile(r"((^|spynet\.)(mean|std)|relative_position_index|position_bias|(^|\.)D)$")
# The first row that matches a key scales its normal numbers: by gain / sqrt(fan in).
GAINS = (
    (r"basic_module\.8\.weight$|basic_module\.4\.conv\.weight$", 0.15),
    (r"basic_module\..*weight$", 1.4),
    (r"\.conv1\.weight$", 1.4),
    (r"\.conv2\.weight$", 0.12),
    (r"conv_last\.weight$", 0.5),
    (r"", 1.0),
)
BIAS_SCALE = 0.05


def load(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a golden file."""
    with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def seeded(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The tensor that belongs to a key: normal numbers from a generator seeded by the key itself."""
    generator = np.random.RandomState((zlib.crc32(key.encode()) + 1000003 * seed) % 2**32)
    normal = generator.standard_normal(int(np.prod(shape))).reshape(shape)
    if len(shape) < 2:
        return torch.from_numpy((BIAS_SCALE * normal).astype(np.float32))
    gain = next(gain for pattern, gain in GAINS if re.search(pattern, key))
    return torch.from_numpy((gain * normal / np.sqrt(np.prod(shape[1:]))).astype(np.float32))


def fill(model: nn.Module, metadata: Mapping[str, str]) -> nn.Module:
    """Loads the seeded weights strictly, and checks that they are the ones the file was made with."""
    seed = int(metadata["weight_seed"])
    wanted = model.state_dict()
    weights = {key: seeded(key, tuple(v.shape), seed) for key, v in wanted.items() if not CONSTANT.search(key)}
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(key.encode() + weights[key].numpy().astype("<f4").tobytes())
    check = json.loads(metadata["weight_check"])
    total = sum(float(value.double().sum()) for value in weights.values())
    assert digest.hexdigest() == check["sha256"] or abs(total - check["sum"]) < 1e-6
    model.load_state_dict({key: weights.get(key, value) for key, value in wanted.items()})
    return model.eval()


def tolerance(metadata: Mapping[str, str]) -> float:
    """Five times what float32 itself moves the output by, and never below 5e-6."""
    return max(5e-6, 5 * float(metadata["f32_vs_f64_maxabs"]))


def error(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference."""
    assert a.shape == b.shape
    return float((a - b).abs().max())
