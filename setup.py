"""Builds the native plugin, where VapourSynth finds it, and the CPU kernels; all metadata is in pyproject.toml."""

import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
# Below VapourSynth's own plugin folder, which its core scans by itself.
FOLDER = Path("vapoursynth/plugins/vrt")
MANIFEST = "[VapourSynth Manifest V1]\nlibvrt\n"


class BuildPlugin(build_ext):
    """A plain shared library with a manifest beside it, instead of a Python extension module."""

    def get_ext_filename(self, fullname: str) -> str:
        """Setuptools asks with the whole dotted name and with its last part alone."""
        return str(Path(*fullname.split("."))) + SUFFIX

    def get_export_symbols(self, _: Extension) -> list[str]:
        """Entry points are exported in their sources; there is no PyInit function."""
        return []

    def run(self) -> None:
        """Writes the manifest that names the library, then builds it beside."""
        write_manifest(Path(self.build_lib) / FOLDER)
        super().run()

    def copy_extensions_to_source(self) -> None:
        """An editable install: libraries are copied to where a wheel's would be."""
        write_manifest(installed() / FOLDER)
        for extension in self.extensions:
            name = self.get_ext_filename(extension.name)
            target = installed() / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # Under a new name first: a running process keeps the library it has loaded.
            shutil.copy2(Path(self.build_lib) / name, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    def get_output_mapping(self) -> dict[str, str]:
        """Nothing of the build belongs into the source tree."""
        return {}


class PlatformWheel(bdist_wheel):
    """One wheel a platform, for every Python: the plugin links none."""

    def finalize_options(self) -> None:
        """A library is in it, whatever the lack of extension modules suggests."""
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        """`py3-none-<platform>`."""
        return "py3", "none", super().get_tag()[2]


def write_manifest(folder: Path) -> None:
    """Makes the plugin's folder, with the list of its libraries: without one the core would try every file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.vs").write_text(MANIFEST)


def installed() -> Path:
    """Where packages are; an isolated build still answers for the Python it builds for."""
    return Path(sysconfig.get_path("purelib"))


def version_macros() -> list[tuple[str, str]]:
    """The version stands in pyproject.toml alone."""
    version = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["version"]
    major, minor = version.split(".")[:2]
    return [("VRT_VERSION", f'"{version}"'), ("VRT_VERSION_MAJOR", major), ("VRT_VERSION_MINOR", minor)]


WINDOWS = sys.platform == "win32"
FLAGS = ["/std:c++17", "/O2"] if WINDOWS else ["-std=c++17", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"]
# Products and sums may be one instruction; nothing looks at errno or at floating-point traps.
FAST = ["/fp:contract"] if WINDOWS else ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]

setup(
    ext_modules=[
        Extension(
            "vs_vrt_cpu.kernels",
            sorted(str(path) for path in Path("native/cpu").glob("*.cpp")),
            depends=sorted(str(path) for path in Path("native/cpu").glob("*.h")),
            language="c++",
            extra_compile_args=FLAGS + FAST,
            extra_link_args=["-pthread"] if sys.platform == "linux" else [],
        ),
        Extension(
            "vapoursynth.plugins.vrt.libvrt",
            sorted(str(path) for path in Path("native/plugin").glob("*.cpp")),
            depends=sorted(str(path) for path in Path("native/plugin").glob("**/*.h")),
            include_dirs=["native/plugin"],
            define_macros=version_macros(),
            language="c++",
            extra_compile_args=FLAGS,
            # The core may close plugins; code that threads still run must stay mapped.
            extra_link_args=["-Wl,-z,nodelete"] if sys.platform == "linux" else [],
        ),
    ],
    cmdclass={"build_ext": BuildPlugin, "bdist_wheel": PlatformWheel},
)
