"""Every kernel compiles for the cards there are, with NVRTC, which needs no card."""

import re

import pytest

from tests.support import ROOT
from vs_vrt import cuda

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="torch has no CUDA here")

ARCHITECTURES = ("sm_80", "sm_90", "sm_120")


# Channels of a head, those read at once, windows, rows of the table: VRT's of 6 frames and 8, the compact one's.
ATTENDED = [
    (20, 4, 6, 8, 8, 2475),
    (30, 2, 6, 8, 8, 2475),
    (16, 8, 8, 8, 8, 3375),
    (20, 4, 2, 8, 8, 0),
    (8, 8, 6, 8, 8, 2475),
    (2, 1, 1, 3, 5, 45),
]


def variants() -> list[tuple[str, tuple[str, ...]]]:
    """Files, and macros that vs_vrt/cuda.py defines for them: the least, the most, and VRT's."""
    shapes = [(0, 1), (0, 4), (1, 1), (1, 8), (2, 8)]
    found = [
        (file, (f"-DTYPE={kind}", f"-DVECTOR={vector}")) for file in ("flow_warp", "geglu") for kind, vector in shapes
    ]
    for kind in range(3):
        for vector, tiles, fused, offset in ((1, 2, 0, 0), (4, 16, 1, int(kind > 0)), (2, 16, 1, 0)):
            macros = {"TYPE": kind, "VECTOR": vector, "NT": tiles, "FUSED": fused, "OFFSET": offset}
            found.append(("deform_conv", tuple(f"-D{key}={value}" for key, value in macros.items())))
        for head, vector, *window, rows in ATTENDED if kind else ():
            sides = {
                f"{kind}_{axis}": side for kind in ("SIDE", "TABLE") for axis, side in zip("THW", window, strict=True)
            }
            macros = {"TYPE": kind, "HEAD": head, "VECTOR": vector, "ROWS": rows} | sides
            found.append(("window_attention", tuple(f"-D{key}={value}" for key, value in macros.items())))
    return found


def compile_for(architecture: str, code: str, options: tuple[str, ...]) -> tuple[str, str]:
    """PTX, and what the assembler says of registers."""
    _, program = nvrtc.nvrtcCreateProgram(code.encode(), b"kernel.cu", 0, [], [])
    flags = ["-std=c++17", f"-arch={architecture}", "--ptxas-options=-v", *options]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(flags), [flag.encode() for flag in flags])
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = bytearray(size)
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.decode(), log.decode()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_compile_and_keep_to_registers(architecture: str) -> None:
    for file, options in variants():
        ptx, log = compile_for(architecture, cuda.source(file), options)
        assert all(f".entry {name}(" in ptx for name, where in cuda.FILES.items() if where == file)
        frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill", log)
        assert frames
        assert set(frames) == {("0", "0")}, (file, options)


def test_products_are_those_of_tensor_cores() -> None:
    for kind, instruction in ((1, "f32.f16.f16.f32"), (2, "f32.bf16.bf16.f32")):
        options = tuple(f"-D{key}" for key in (f"TYPE={kind}", "VECTOR=2", "NT=16", "FUSED=1", "OFFSET=0"))
        ptx, _ = compile_for("sm_90", cuda.source("deform_conv"), options)
        assert f"mma.sync.aligned.m16n8k16.row.col.{instruction}" in ptx


def test_channels_are_read_sixteen_bytes_at_a_time() -> None:
    ptx, _ = compile_for("sm_90", cuda.source("flow_warp"), ("-DTYPE=1", "-DVECTOR=8"))
    assert re.search(r"ld\.global(\.nc)?\.v4\.u32|ld\.global(\.nc)?\.v2\.u64|ld\.global(\.nc)?\.v4\.b32", ptx)


def test_what_does_not_compile_is_told() -> None:
    """The check above can fail."""
    with pytest.raises(AssertionError, match="identifier"):
        compile_for("sm_80", cuda.source("flow_warp").replace("threadIdx", "threadIndex"), ("-DTYPE=0", "-DVECTOR=1"))


def test_a_card_without_tensor_cores_for_it_is_not_given_wrong_products() -> None:
    options = tuple(f"-D{key}" for key in ("VECTOR=2", "NT=2", "FUSED=0", "OFFSET=0"))
    compile_for("sm_75", cuda.source("deform_conv"), ("-DTYPE=0", *options))
    with pytest.raises(AssertionError, match="multiply_add"):
        compile_for("sm_75", cuda.source("deform_conv"), ("-DTYPE=1", *options))


def test_no_file_is_left_out() -> None:
    assert {file for file, _ in variants()} == set(cuda.FILES.values())
    sources = (ROOT / "native" / "kernels").glob("*.cu")
    assert {path.stem for path in sources} == set(cuda.FILES.values())
