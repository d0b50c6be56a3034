"""Imports point down, each outside library has one door, and importing has no effect."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import ROOT
from vs_vrt.tasks import TASKS

# A module may import from its own layer and from the layers below; a name stands for all modules under it.
LAYERS = [
    ("vs_vrt.filters", "vs_vrt.cli"),
    ("vs_vrt.restorer", "vs_vrt.precision", "vs_vrt.engine", "vs_vrt.video", "vs_vrt.metrics", "vs_vrt.training"),
    (
        "vs_vrt.tasks",
        "vs_vrt.published",
        "vs_vrt.checkpoint",
        "vs_vrt.downloads",
        "vs_vrt.state_dict",
        "vs_vrt.windows",
        "vs_vrt.scenes",
        "vs_vrt.tiling",
        "vs_vrt.memory",
        "vs_vrt.cost",
    ),
    ("vs_vrt.models", "vs_vrt.weights"),
    ("vs_vrt.ops",),
    ("vs_vrt.cuda", "vs_vrt.cpu", "vs_vrt.replay"),
    ("vs_vrt.dispatch",),
    ("vs_vrt.errors", "vs_vrt.task", "vs_vrt.mirror"),  # the words that all layers use
]
DOORS = {
    "vapoursynth": "vs_vrt.filters",
    "av": "vs_vrt.video",
    "cupy": "vs_vrt.cuda",
    "filelock": "vs_vrt.training",
    "typer": "vs_vrt.cli",
    "rich": "vs_vrt.cli",
    "pooch": "vs_vrt.downloads",
    "requests": "vs_vrt.downloads",
    "platformdirs": "vs_vrt.downloads",
}
# What script evaluation imports; torch alone would make `vspipe --info` wait for seconds.
LIGHT = (
    *("vs_vrt", "errors", "task", "tasks", "published", "checkpoint", "downloads", "state_dict", "windows", "tiling"),
    *("cost", "memory", "engine", "filters"),
)
ARCHITECTURES = {f"vs_vrt.models.{row.architecture.split(':')[0]}" for row in TASKS}
# Networks that have another one inside.
PARTS = {"vs_vrt.models.realbasicvsr": {"vs_vrt.models.basicvsr"}}


@dataclass(frozen=True)
class Import:
    name: str  # of a module, or of something in it
    at_once: bool  # when the module itself is imported, neither later nor for type checkers only


def module_files() -> dict[str, Path]:
    """Files by module name; `filters/` is installed as `vs_vrt.filters`."""
    package = {path.relative_to(ROOT): path for path in (ROOT / "vs_vrt").rglob("*.py")}
    filters = {Path("vs_vrt") / path.relative_to(ROOT): path for path in (ROOT / "filters").rglob("*.py")}
    names = {".".join(key.with_suffix("").parts): path for key, path in (package | filters).items()}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imports(module: str, path: Path) -> Iterator[Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    yield from statements(ast.parse(path.read_text()), package, at_once=True)


def statements(tree: ast.AST, package: str, at_once: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            yield from (Import(f"{source}.{alias.name}", at_once) for alias in node.names)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from statements(node, package, at_once and not is_function and not is_for_types)


FILES = module_files()
IMPORTS = {module: list(imports(module, path)) for module, path in FILES.items()}


def is_under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def layer(name: str) -> int | None:
    """The number of the layer that holds a module; None for the bare package."""
    numbers = [number for number, names in enumerate(LAYERS) if any(is_under(name, prefix) for prefix in names)]
    assert len(numbers) < 2, name
    return numbers[0] if numbers else None


def test_the_files_are_found() -> None:
    assert {"vs_vrt", "vs_vrt.errors", "vs_vrt.models.spynet", "vs_vrt.filters", "vs_vrt.filters.bridge"} <= set(FILES)
    assert Import("vs_vrt.filters.tables", True) in IMPORTS["vs_vrt.filters.bridge"]
    assert Import("torch.Tensor", False) in IMPORTS["vs_vrt.checkpoint"]
    assert Import("torch.Tensor", True) in IMPORTS["vs_vrt.restorer"]


@pytest.mark.parametrize("module", sorted(FILES.keys() - {"vs_vrt"}))
def test_imports_point_down(module: str) -> None:
    own = layer(module)
    assert own is not None, "a new module: say above in which layer it lies"
    up = [each.name for each in IMPORTS[module] if (other := layer(each.name)) is not None and other < own]
    assert not up


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    assert not [each.name for each in IMPORTS["vs_vrt"] if is_under(each.name, "vs_vrt")]


@pytest.mark.parametrize("module", sorted(ARCHITECTURES))
def test_no_architecture_imports_another(module: str) -> None:
    others = ARCHITECTURES - {module} - PARTS.get(module, set())
    assert not [each.name for each in IMPORTS[module] if any(is_under(each.name, other) for other in others)]


@pytest.mark.parametrize("library", DOORS)
def test_an_outside_library_has_one_door(library: str) -> None:
    users = {module for module, found in IMPORTS.items() if any(is_under(each.name, library) for each in found)}
    assert all(is_under(user, DOORS[library]) for user in users), users


def light_modules() -> list[str]:
    prefixes = [name if name == "vs_vrt" else f"vs_vrt.{name}" for name in LIGHT]
    return sorted(
        module
        for module in FILES
        if module in prefixes or any(is_under(module, prefix) for prefix in prefixes if prefix != "vs_vrt")
    )


@pytest.mark.parametrize("module", light_modules())
def test_what_script_evaluation_needs_does_not_import_torch_at_once(module: str) -> None:
    assert not [each.name for each in IMPORTS[module] if each.at_once and is_under(each.name, "torch")]


@pytest.mark.parametrize("module", ["vs_vrt", "vs_vrt.filters.bridge", "vs_vrt.engine", "vs_vrt.checkpoint"])
def test_importing_brings_in_no_heavy_library_and_leaves_no_trace(module: str, tmp_path: Path) -> None:
    heavy = sorted({"torch", "vapoursynth", "cupy", "av", "einops", "pooch", "requests"})
    script = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")
    assert not list(tmp_path.iterdir())
