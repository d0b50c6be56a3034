"""What a machine is, and the most that it reaches: every other figure is held against that."""

import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.timing import Way, seconds
from vs_vrt import cpu
from vs_vrt.engine import resolve, total_memory, total_ram
from vs_vrt.ops.linear import linear
from vs_vrt.precision import DTYPES, computing

ROOT = Path(__file__).parents[1]
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")  # of a CPU, as far as they matter here
HALVES = ("avx512_bf16", "amx_bf16")  # with one of them a CPU gains by half precision
PACKAGES = ("torch", "numpy", "vapoursynth", "cupy-cuda12x", "cupy-cuda13x", "torchvision")
COPIED = {"cpu": 1 << 28, "cuda": 1 << 31}  # bytes: several times what caches hold
SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}  # of square matrices
CHANNELS = {"cpu": (64, 128, 256), "cuda": (64, 128, 256, 512)}  # of convolutions
FRAMES = {"cpu": 1, "cuda": 16}
TRIALS = 15


def facts(device: torch.device, threads: int) -> dict[str, Any]:
    """Of the machine and what is installed on it, without its name or anybody's paths."""
    cpu_facts = cpuinfo()
    return {
        "name": slug(device),
        "device": device.type,
        "cpu": cpu_facts["model name"],
        "cores": cores(),
        "threads": threads,
        "ram_gb": round(total_ram() / 1e9, 1),
        "flags": [flag for flag in FLAGS if flag in cpu_facts["flags"].split()],
        "gpu": gpu(device) if device.type == "cuda" else None,
        "system": platform.system(),
        "versions": versions(),
        "cpu_kernels": cpu.library() is not None,
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def slug(device: torch.device) -> str:
    """What its file is called: `cpu-amd-epyc-2-cores`, `nvidia-h200`."""
    name = cpuinfo()["model name"]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu {name} {cores()} cores"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((R|TM)\)|@.*?Hz", " ", name).lower()).strip("-")


def cpuinfo() -> dict[str, str]:
    """What Linux tells of the first processor."""
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    found = dict(re.findall(r"^(.*?)\s*: (.*)$", first, re.MULTILINE))
    return {"model name": platform.machine(), "flags": ""} | found


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def gpu(device: torch.device) -> dict[str, Any]:
    """Name, memory, compute capability and driver."""
    found = torch.cuda.get_device_properties(device)
    capability = f"{found.major}.{found.minor}"
    named = {"name": found.name, "memory_gb": round(total_memory(device) / 1e9, 1)}
    return named | {"capability": capability, "driver": driver(device)}


def driver(device: torch.device) -> str | None:
    """Its version; None: nobody tells."""
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", f"--id={device.index or 0}"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str | None]:
    """Of what computes; None: not there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = {"vs-vrt": project["version"], "python": platform.python_version(), "cuda": torch.version.cuda}
    return own | {package: installed(package) for package in PACKAGES}


def installed(package: str) -> str | None:
    """Its version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def precisions(device: torch.device) -> tuple[str, ...]:
    """Those that networks are measured in: float32, and the half precision that the device is made for."""
    if device.type == "cuda":
        return "fp32", "fp16"
    return ("fp32", "bf16") if set(HALVES) & set(cpuinfo()["flags"].split()) else ("fp32",)


def best_device() -> str:
    """The one that plugin and engine take where nothing is said; for a fresh process."""
    return str(resolve(None))


def look(name: str, threads: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Facts and precisions of the device of that name; for a fresh process."""
    device = resolve(name)
    return facts(device, threads), precisions(device)


def ceilings(name: str, chosen: tuple[str, ...]) -> dict[str, Any]:
    """Bytes/s of a large copy, read and written, and FLOP/s of products in each precision: the best of a few trials.

    For the engine's thread of a fresh process.
    """
    device = resolve(name)
    if device.type == "cuda" and len(chosen) > 1:
        chosen = (*chosen, "bf16")
    found: dict[str, Any] = {"bytes_per_second": copied(device), "flop_per_second": {}}
    for precision in chosen:
        with computing(device, precision):
            rates = {
                "matrix product": max(best(device, call, flop) for call, flop in products(device, precision)),
                "convolution": max(best(device, call, flop) for call, flop in convolutions(device, precision)),
            }
        found["flop_per_second"][precision] = rates
    return found


def copied(device: torch.device) -> float:
    """Bytes/s."""
    source = torch.rand(COPIED[device.type] // 4, device=device)
    target = torch.empty_like(source)
    return best(device, lambda: target.copy_(source), 2 * COPIED[device.type])


def products(device: torch.device, precision: str) -> Iterator[tuple[Callable[[], object], int]]:
    """Calls, with the FLOP of each."""
    for side in SIDES[device.type]:
        a, b = (torch.randn(side, side, device=device, dtype=DTYPES[precision]) for _ in range(2))
        yield lambda a=a, b=b: linear(a, b), 2 * side**3


def convolutions(device: torch.device, precision: str) -> Iterator[tuple[Callable[[], object], int]]:
    """3x3, of frames with 180x320 pixels."""
    h, w, frames = 180, 320, FRAMES[device.type]
    like = {"device": device, "dtype": DTYPES[precision]}
    for c in CHANNELS[device.type]:
        x = torch.randn(frames, c, h, w, **like).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(c, c, 3, 3, **like).contiguous(memory_format=torch.channels_last)
        yield lambda x=x, weight=weight: F.conv2d(x, weight, padding=1), 2 * 9 * c * c * frames * h * w


def best(device: torch.device, call: Callable[[], object], amount: int) -> float:
    """So much a second: a ceiling is what the machine reaches when nothing disturbs it."""
    way = Way(call)
    seconds(device, way)
    return amount / min(seconds(device, way) for _ in range(TRIALS))
