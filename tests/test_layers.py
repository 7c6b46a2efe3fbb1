"""Imports point downwards only (design, section 3); heavy libraries stay out of modules that must be light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the top: a module may import only from lines below its own; those of one line may import each other.
LAYERS = [
    {"app"},
    {"sku.__main__"},
    {"sku.commands"},
    {"sku.ui.page"},
    {"sku.ui.compare", "sku.ui.pipeline", "sku.ui.tradeoff", "sku.ui.about"},
    {"sku.ui"},
    {"sku.shipping"},
    {"sku.study"},
    {"sku.rule"},
    {"sku.lent"},
    {"sku.session", "sku.recorded", "sku.jobs", "sku.evaluations", "sku.console"},
    {"sku.children", "sku.weights"},
    {"sku.tally", "sku.harness", "sku.rated"},
    {"sku.evaluation"},
    {"sku.plans"},
    {"sku.training"},
    {"sku.training_data", "sku.run_record"},
    {"sku.controls", "sku.objective", "sku.checkpoints", "sku.probing"},
    {"sku.streams"},
    {"sku.export", "sku.self_answers"},
    {"sku.judging"},
    {"sku.similarity"},
    {"sku.bleurt", "sku.embedder"},
    {"sku.lens"},
    {"sku.columns"},
    {"sku.decoding", "sku.likelihood"},
    {"sku.reading"},
    {"sku.model"},
    {"sku.small_batches", "sku.adapter_files", "sku.beginnings"},
    {"sku.estimates"},
    {"sku.provision"},
    {"sku.wheels"},
    {"sku.figures"},
    {"sku.results"},
    {"sku.front"},
    {"sku.choices", "sku.vectors"},
    {"sku.runs"},
    {"sku.losses"},
    {"sku.batching"},
    {"sku.prompts"},
    {"sku.hosting"},
    {"sku.signs"},
    {"sku.config"},
    {"sku.comparison"},
    {"sku.variants"},
    {"sku.methods"},
    {"sku.metrics", "sku.data"},
    {"sku.judging.protocol"},
    {"sku.records"},
    {"sku"},
]
LIGHT = [
    "sku",
    "sku.__main__",
    "sku.choices",
    "sku.columns",
    "sku.comparison",
    "sku.config",
    "sku.figures",
    "sku.hosting",
    "sku.jobs",
    "sku.lent",
    "sku.methods",
    "sku.prompts",
    "sku.provision",
    "sku.records",
    "sku.runs",
    "sku.session",
    "sku.signs",
    "sku.variants",
    "sku.weights",
]
FILES = sorted([ROOT / "app.py", *(ROOT / "sku").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> int:
    """The line of the module, or of the package that it is part of."""
    found = [i for i, layer in enumerate(LAYERS) if module in layer]
    return found[0] if found else layer_of(module.rpartition(".")[0])


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


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_imports_only_from_below(path: Path) -> None:
    module = name_of(path)
    for other in imports(path):
        if other.split(".")[0] == "sku" and other != module:
            package = module == other.rpartition(".")[0] or other == module.rpartition(".")[0]
            same_package = package or module.rpartition(".")[0] == other.rpartition(".")[0] != "sku"
            assert same_package or layer_of(other) > layer_of(module), f"{module} must not import {other}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_gradio_is_known_to_the_page_only(path: Path) -> None:
    module = name_of(path)
    if module != "app" and not module.startswith("sku.ui"):
        assert not {name for name in imports(path) if name.split(".")[0] == "gradio"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_light_modules_import_torch_nowhere_at_the_top(path: Path) -> None:
    module = name_of(path)
    heavy = {"torch", "transformers", "peft", "accelerate"}
    if module in LIGHT or module.startswith(("sku.ui", "sku.data", "sku.hosting")):
        assert not {name for name in imports(path, everywhere=False) if name.split(".")[0] in heavy}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_opens_by_saying_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_no_module_is_called_utils() -> None:
    assert not {path.stem for path in FILES} & {"utils", "common", "helpers", "misc"}


@pytest.mark.parametrize("module", ["sku", "sku.__main__", "sku.session", "sku.jobs", "sku.methods"])
def test_importing_it_loads_neither_torch_nor_gradio(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('torch', 'gradio', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_page_stands_before_torch_is_there() -> None:
    """A page that waits for torch and what is built on it takes three times as long to appear."""
    code = "import sys, sku.ui.page; print({'torch', 'transformers', 'peft', 'accelerate'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr
