"""What `pip install` brings: the exact files, and that they are enough."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import vapoursynth

from tests.support import ROOT

SOURCES = ("vs_vrt", "filters", "native", "setup.py", "pyproject.toml", "README.md", "LICENSE")
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
PLUGIN = "vapoursynth/plugins/vrt"
DIST_INFO = f"vs_vrt-{version('vs-vrt')}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the build backend, from a copy in which no earlier build left anything."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=NOT_SOURCES)
        else:
            shutil.copy(source, tree)
    (tree / "vs_vrt" / "weights" / "someones.pth").touch()
    (tree / "native" / "plugin" / "stray.so").touch()
    build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]), file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", build, tree], cwd=tree, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (path,) = tree.glob("*.whl")
    return path


def expected_files() -> set[str]:
    package = [*(ROOT / "vs_vrt").rglob("*.py"), ROOT / "vs_vrt" / "py.typed"]
    weights = [path for path in (ROOT / "vs_vrt" / "weights").iterdir() if path.suffix in (".safetensors", ".md")]
    return {
        f"{PLUGIN}/libvrt.so",
        f"{PLUGIN}/manifest.vs",
        "vs_vrt_cpu/kernels.so",
        *(path.relative_to(ROOT).as_posix() for path in package + weights),
        *(f"vs_vrt/filters/{path.name}" for path in (ROOT / "filters").glob("*.py")),
        *(f"vs_vrt/kernels/{path.name}" for path in (ROOT / "native" / "kernels").iterdir() if path.is_file()),
        *(f"{DIST_INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt")),
        f"{DIST_INFO}/licenses/LICENSE",
    }


def test_the_wheel_holds_exactly_these_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == expected_files()
        assert not [name for name in archive.namelist() if name == "vapoursynth/__init__.py"]


def test_the_wheel_is_for_this_platform_and_every_python(wheel: Path) -> None:
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name == f"vs_vrt-{version('vs-vrt')}-py3-none-{platform}.whl"


def test_the_manifest_names_the_library(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{PLUGIN}/manifest.vs").decode() == "[VapourSynth Manifest V1]\nlibvrt\n"


def test_the_library_links_no_python_and_stays_mapped(wheel: Path, tmp_path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("needs the system package binutils")
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(f"{PLUGIN}/libvrt.so", tmp_path)
    shown = subprocess.run(["readelf", "-W", "-d", "--dyn-syms", library], capture_output=True, text=True, check=True)
    for present in ("NODELETE", " VapourSynthPluginInit2"):
        assert present in shown.stdout
    for absent in ("libpython", " Py", " _Py"):
        assert absent not in shown.stdout


def test_a_package_made_of_the_wheel_alone_restores(wheel: Path, tmp_path: Path) -> None:
    """The files of the wheel beside a VapourSynth without plugins, in front of whatever else is installed."""
    installed = Path(vapoursynth.__file__).parent
    shutil.copytree(installed, tmp_path / "vapoursynth", ignore=shutil.ignore_patterns("plugins", "__pycache__"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = f"""
import vapoursynth as vs
from vapoursynth import core
folders = {{plugin.namespace: plugin.plugin_path for plugin in core.plugins()}}
assert folders["vrt"] == {str(tmp_path / PLUGIN / "libvrt.so")!r}, folders
core.vrt.Restore(core.std.BlankClip(format=vs.RGBS, width=16, height=12, length=2)).get_frame(1)
import vs_vrt, vs_vrt.filters
assert {{vs_vrt.__file__, vs_vrt.filters.__file__}} == {{
    {str(tmp_path / "vs_vrt" / "__init__.py")!r}, {str(tmp_path / "vs_vrt" / "filters" / "__init__.py")!r}
}}
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
