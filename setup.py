"""Builds the native plugin and puts it where VapourSynth finds it; all metadata is in pyproject.toml."""

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
        """The plugin's entry point is exported in its source; it has no PyInit function."""
        return []

    def run(self) -> None:
        """Writes the manifest that names the library, then builds it beside."""
        write_manifest(Path(self.build_lib) / FOLDER)
        super().run()

    def copy_extensions_to_source(self) -> None:
        """An editable install: VapourSynth looks in its own folder only, so the library is copied there."""
        folder = installed_folder()
        write_manifest(folder)
        for extension in self.extensions:
            built = Path(self.build_lib) / self.get_ext_filename(extension.name)
            # Under a new name first: a running process keeps the library it has loaded.
            shutil.copy2(built, folder / "libvrt.new")
            (folder / "libvrt.new").replace(folder / built.name)

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


def installed_folder() -> Path:
    """Where VapourSynth scans for plugins; an isolated build still answers for the Python it builds for."""
    return Path(sysconfig.get_path("purelib")) / FOLDER


def version_macros() -> list[tuple[str, str]]:
    """The version stands in pyproject.toml alone."""
    version = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["version"]
    major, minor = version.split(".")[:2]
    return [("VRT_VERSION", f'"{version}"'), ("VRT_VERSION_MAJOR", major), ("VRT_VERSION_MINOR", minor)]


setup(
    ext_modules=[
        Extension(
            "vapoursynth.plugins.vrt.libvrt",
            sorted(str(path) for path in Path("native/plugin").glob("*.cpp")),
            depends=sorted(str(path) for path in Path("native/plugin").glob("**/*.h")),
            include_dirs=["native/plugin"],
            define_macros=version_macros(),
            language="c++",
            extra_compile_args=["/std:c++17"]
            if sys.platform == "win32"
            else ["-std=c++17", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            # The core may close plugins; code that threads still run must stay mapped.
            extra_link_args=["-Wl,-z,nodelete"] if sys.platform == "linux" else [],
        )
    ],
    cmdclass={"build_ext": BuildPlugin, "bdist_wheel": PlatformWheel},
)
