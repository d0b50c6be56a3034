"""Each architecture through vspipe: the authors' outputs come out of the pipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import Vspipe
from tests.filters import reduced
from tests.golden_vectors import error, load, tolerance
from tests.support import ROOT

CALLS = {
    "mana_c64_16x12": "Restore(clip, weights=weights, sc_threshold=0)",
    "vrt_small_denoise_pa2": "Restore(clip, task='denoise', weights=weights, sigma_clip=levels, sc_threshold=0)",
    "vrt_small_vfi_pa0": "Interpolate(clip, weights=weights, sc_threshold=0)",
}


def piped(name: str, call: str, vspipe: Vspipe, folder: Path) -> Tensor:
    """`-> (t 3 h w)`: what vspipe writes for the golden file's input."""
    reduced.save(name, folder)
    result = vspipe(f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import vapoursynth as vs
from tests.filters import reduced
reduced.install({name!r})
clip = reduced.clip_of({name!r})
levels = reduced.levels_of({name!r}) if "sigma_clip" in {call!r} else None
weights = {str(folder / name)!r} + ".safetensors"
vs.core.vrt.{call}.set_output()
""")
    assert result.returncode == 0, result.stderr.decode()
    tensors, _ = load(name)
    h, w = tensors.get("output", tensors.get("output.0")).shape[-2:]  # type: ignore[union-attr]
    planes = np.frombuffer(result.stdout, np.float32).reshape(-1, 3, h, w)
    return torch.from_numpy(planes[:, [2, 0, 1]].copy())  # vspipe writes green, blue, red


@pytest.mark.parametrize("name", reduced.MODELS)
def test_golden(name: str, vspipe: Vspipe, tmp_path: Path) -> None:
    row = reduced.row_of(name)
    call = CALLS.get(name, f"Restore(clip, task={row.task!r}, weights=weights, sc_threshold=0)")
    found = piped(name, call, vspipe, tmp_path)
    tensors, metadata = load(name)
    if name.startswith("mana"):  # the golden file has the frame that sees no mirrored ones
        found, expected = found[3:4], tensors["output.0"][:1]
    elif row.gives == "every":
        expected = tensors["output"][0]
    else:
        found, expected = found[3:4], tensors["output"][0]  # halfway between frames 1 and 2
    assert error(found, expected) <= tolerance(metadata)
