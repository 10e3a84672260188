"""The rules of the house: which room knows which, how long a file may be, what a name may not be."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "spconv_cy"
FLOORS = [
    "errors lazy types once writing foreign",
    "cpu cuda _memory dlpack",
    "_openmp checks",
    "config",
    "_pairs",
    "_core _rowwise _sites _strokes",
    "_regions _windows",
    "sites backend",
    "array_protocol tape",
    "autograd state",
    "functional gradient_check",
    "arithmetic",
    "tensor",
    "assembly exchange",
    "layers",
    "models data archive",
    "readers",
    "train io inference distributed",
    "estimator experiment memory plot report",
    "__init__ page",
    "cli",
    "__main__",
]
FLOOR = {room: n for n, floor in enumerate(FLOORS) for room in floor.split()}
CODE = {".py", ".pyi", ".pyx", ".pxd", ".cpp", ".hpp", ".inl", ".cu"}
SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"})
OWN = [
    path
    for folder in ("spconv_cy", "tests", "examples", "benchmarks", "docs", ".ci")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
] + [path for path in sorted(ROOT.iterdir()) if path.is_file() and path.name != ".git"]
WRITTEN = [path for path in OWN if path.suffix in CODE]
HANDS_ON = "__getattr__, __dir__, __all__ = public(__name__, __file__)"
BANNED_FILES = {"utils", "util", "helpers", "helper", "misc", "common", "core2", "manager"}


def dotted(path):
    """Name a file of the package as a module: spconv_cy.sites.grid."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def room(name):
    """Name the room of a module: the word after spconv_cy; the package's own __init__ is a room too."""
    return name.split(".")[1] if name.count(".") else "__init__"


def imports_of_source(text):
    """List the modules of ours that Python source imports, wherever it does; a leading dot marks a relative import."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [f"spconv_cy.{a.name}" for a in node.names] if module == "spconv_cy" else [module]
    return found


def imports(path):
    """List the modules of ours that a file imports or cimports."""
    text = path.read_text()
    if path.suffix == ".py":
        found = imports_of_source(text)
    else:
        found = re.findall(r"^\s*c?import\s+([\w.]+)", text, re.M)
        for module, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(.+)$", text, re.M):
            found += [f"spconv_cy.{n.strip()}" for n in names.split(",")] if module == "spconv_cy" else [module]
    return [name for name in found if name.split(".")[0] in ("spconv_cy", "")]


@pytest.mark.parametrize("path", SOURCES, ids=dotted)
def test_arrows_point_down_and_names_are_whole(path):
    here = room(dotted(path))
    for name in imports(path):
        assert not name.startswith("."), f"{name}: write the whole name, spconv_cy.room.file"
        assert name.count("."), "the package does not import itself: name the room"
        there = room(name)
        assert there in FLOOR and here in FLOOR, f"{there} or {here} stands on no floor: add it to FLOORS"
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} may not import {there}: same floor or above"
        if there == "cuda":
            assert dotted(path) == "spconv_cy.backend.cuda", f"{name}: only backend/cuda.py knows the GPU's files"


def test_no_circles():
    graph = {}
    for path in SOURCES:  # a .pyx and its .pxd are one node
        graph.setdefault(dotted(path), set()).update(set(imports(path)) - {dotted(path)})
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_stay_small_and_have_plain_names(path):
    assert path.read_text().count("\n") <= 400, "over 400 lines: split it by what changes together"
    assert path.stem not in BANNED_FILES, f"{path.name}: name the file by what it holds"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*/__init__.py")), ids=dotted)
def test_folders_have_an_empty_init_or_hand_on_the_names_of_their_stub(path):
    lines = path.read_text().splitlines()
    handed_on = ["from spconv_cy.lazy import public", "", HANDS_ON]
    assert not lines or lines[2:] == handed_on, "__init__ holds names, no code"


def test_the_package_init_holds_only_names():
    kinds = (ast.ImportFrom, ast.Assign, ast.Expr)
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        assert isinstance(node, kinds), f"line {node.lineno}: __init__ holds names, no code"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".py" and p.parent.name != "tests"], ids=dotted)
def test_python_files_head_with_a_docstring_and_hold_no_star_bare_except_or_print(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert not text.strip() or ast.get_docstring(tree), "one docstring line says what the file is"
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), f"line {node.lineno}: import *"
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"line {node.lineno}: bare except"
        called = isinstance(node, ast.Call) and getattr(node.func, "id", "")
        assert called != "print" or room(dotted(path)) in ("cli", "__main__"), f"line {node.lineno}: print"


def test_every_test_that_the_table_of_operators_names_is_there():
    named = set(re.findall(r"\b(test_\w+)(?:\.py)?::(test_\w+)", (ROOT / "docs" / "operators.md").read_text()))
    assert len(named) > 15
    for file, function in named:
        texts = [path.read_text() for path in (ROOT / "tests").rglob(f"{file}.py")]
        assert any(f"def {function}(" in text for text in texts), f"docs/operators.md: no {file}::{function}"


def test_only_config_and_dispatch_read_the_environment():
    readers = [p for p in SOURCES if re.search(r"os\.environ|os\.getenv|\bgetenv\(", p.read_text())]
    # The variables of OpenMP are read beside its runtime.
    assert {dotted(p) for p in readers} <= {"spconv_cy.config", "spconv_cy.cpu.threads"}


def test_no_path_of_one_machine_is_in_the_project():
    place = re.compile(r"(?<![\w.~$}/-])/(?:work|home|root|Users|tmp|mnt|private)/[\w.]")
    for path in OWN:
        if path.suffix in CODE | {".md", ".toml", ".txt", ".cfg", ".yml", ""} and path != Path(__file__):
            found = place.search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(ROOT)} names {found.group()}...: a place on one machine"


@pytest.mark.parametrize(
    "text, found",
    [
        ("import spconv_cy\n", ["spconv_cy"]),
        ("from spconv_cy import tensor\n", ["spconv_cy.tensor"]),
        ("def f():\n    from spconv_cy.sites.grid import Grid\n", ["spconv_cy.sites.grid"]),
        ("from .grid import Grid\n", [".grid"]),
    ],
)
def test_the_import_reader_sees_every_way_to_import(text, found):
    assert imports_of_source(text) == found
