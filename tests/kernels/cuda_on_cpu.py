"""Runs the CUDA kernels on the CPU: compiled as C++, behind the same door."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from vs_vrt import cuda

HERE = Path(__file__).parent


@cache
def library(file: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """A file of kernels as a shared library, made once a process."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = Path(mkdtemp(prefix="vrt-kernels-"))
    names = [name for name, where in cuda.FILES.items() if where == file]
    runs = "".join(f"RUNS_ON_CPU({name})\n" for name in names)
    (folder / "kernels.cpp").write_text(f'#include "cuda_on_cpu.h"\n{cuda.source(file)}\n{runs}')
    flags = ["-std=c++20", "-O1", "-fPIC", "-shared", f"-I{HERE}", *options]
    subprocess.run([compiler, *flags, "kernels.cpp", "-o", "kernels.so"], cwd=folder, check=True)
    try:
        return ctypes.CDLL(str(folder / "kernels.so"))
    finally:
        shutil.rmtree(folder)


def compiled(name: str, options: tuple[str, ...], _: object) -> cuda.Launch:
    """In place of `cuda.compiled`."""
    entry = getattr(library(cuda.FILES[name], options), f"run_{name}")

    def run(grid: tuple[int, int, int], block: tuple[int, int, int], arguments: Sequence[Any]) -> None:
        shape = (ctypes.c_int64 * 4)(*grid, block[0])
        values = [each.tobytes() for each in arguments]  # NumPy's scalars, of the sizes that the kernel takes
        buffers = [ctypes.create_string_buffer(value, len(value)) for value in values]
        entry(shape, (ctypes.c_void_p * len(buffers))(*(ctypes.addressof(each) for each in buffers)))

    return run


def replace(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test, the CPU's tensors are a GPU's, and kernels run here."""
    monkeypatch.setattr(cuda, "DEVICE", "cpu")
    monkeypatch.setattr(cuda, "compiled", compiled)
    monkeypatch.setattr(cuda, "_broken", {})
