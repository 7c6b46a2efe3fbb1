"""Imports point downwards only (design, section 3); heavy libraries stay out of modules that must be light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the top: a room imports only from rooms below its line; the two rooms of one line do not know each other.
ROOMS = [
    {"app", "sku.__main__"},
    {"sku.cli"},
    {"sku.ui", "sku.study"},
    {"sku.serving"},
    {"sku.evaluation"},
    {"sku.reporting", "sku.training"},
    {"sku.judges"},
    {"sku.models"},
    {"sku.data"},
    {"sku.core"},
    {"sku"},
]
NO_TORCH_AT_THE_TOP = ("app", "sku.__main__", "sku.cli", "sku.ui", "sku.core", "sku.reporting", "sku.data")
FILES = sorted([ROOT / "app.py", *(ROOT / "sku").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    """`sku.training.losses.kl` is in `sku.training`."""
    return ".".join(module.split(".")[:2])


def line_of(module: str) -> int:
    found = [i for i, line in enumerate(ROOMS) if room_of(module) in line]
    assert found, f"{module} stands outside the rooms; put it into one of {sorted(set().union(*ROOMS))}"
    return found[0]


def imports(path: Path, everywhere: bool = True) -> set[str]:
    """Modules that a file imports; those at its top only, where `everywhere` is false."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name_of(file) for file in FILES}
            found |= (inside & modules) or {node.module}
    return found


def test_imports_are_seen_wherever_and_however_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import torch.nn\n"
        "from sku.core import runs\n"
        "from sku.core.runs import Run\n"
        "def late():\n"
        "    from gradio import Blocks\n"
    )
    assert imports(file) == {"torch.nn", "sku.core.runs", "gradio"}
    assert imports(file, everywhere=False) == {"torch.nn", "sku.core.runs"}
    assert {room_of(name_of(path)) for path in FILES} == set().union(*ROOMS), "every room has files"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_imports_only_from_rooms_below_its_own(path: Path) -> None:
    module = name_of(path)
    for other in imports(path):
        if other.split(".")[0] == "sku" and room_of(other) != room_of(module):
            assert line_of(other) > line_of(module), f"{module} must not import {other}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_gradio_is_known_to_the_page_only(path: Path) -> None:
    module = name_of(path)
    if module != "app" and not module.startswith("sku.ui"):
        assert not {name for name in imports(path) if name.split(".")[0] == "gradio"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_light_rooms_import_torch_nowhere_at_the_top(path: Path) -> None:
    heavy = {"torch", "transformers", "peft", "accelerate"}
    if room_of(name_of(path)) in NO_TORCH_AT_THE_TOP:
        assert not {name for name in imports(path, everywhere=False) if name.split(".")[0] in heavy}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_opens_by_saying_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_no_module_is_called_utils() -> None:
    assert not {path.stem for path in FILES} & {"utils", "common", "helpers", "misc"}


@pytest.mark.parametrize("module", ["sku", "sku.__main__", "sku.serving.live_session", "sku.core.methods"])
def test_importing_it_loads_neither_torch_nor_gradio(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('torch', 'gradio', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_page_stands_before_torch_is_there() -> None:
    """A page that waits for torch and what is built on it takes three times as long to appear."""
    code = """
import sys
from sku.serving.live_session import LiveSession
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.settings import Hosting
from sku.ui.page import build_page

build_page(LiveSession(), (), Gate(Hosting()))
print({'torch', 'transformers', 'peft', 'accelerate'} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr
