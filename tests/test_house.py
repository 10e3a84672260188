"""The rules of the house: which room knows which, how long a file may be, what a name may not be."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "spconv_cy"
FLOORS = [
    "errors lazy types once",
    "cpu cuda dlpack operands ufuncs",
    "arguments compiled checks writing",
    "config _core",
    "sites backend",
    "array_protocol tape",
    "array_functions",
    "autograd state",
    "functional gradient_check",
    "arithmetic merging",
    "tensor",
    "assembly exchange",
    "layers",
    "models data deploy",
    "readers io distributed",
    "train",
    "estimators memory plot report",
    "__init__ page",
    "cli",
    "__main__",
]
FLOOR = {room: n for n, floor in enumerate(FLOORS) for room in floor.split()}
CODE = {".py", ".pyi", ".pyx", ".pxd", ".cpp", ".hpp", ".inl", ".cu"}
SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"})
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES}
OWN = [
    path
    for folder in ("spconv_cy", "tests", "examples", "experiments", "benchmarks", "docs", ".ci")
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


def whole(module, name):
    """Return the module that `from module import name` needs: one of that name in a folder, or the module itself."""
    inner = f"{module}.{name}"
    return inner if inner in MODULES or module == "spconv_cy" else module


@cache
def nodes(text):
    """List all nodes of Python source, the module first: several tests read each file."""
    return tuple(ast.walk(ast.parse(text)))


def imports_of_source(text, for_types=False):
    """List the modules of ours that Python source imports when it runs; a leading dot marks a relative import.

    With for_types also those that type checkers alone see.
    """
    found = []
    blocks = [node for node in nodes(text)
              if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"]
    left_out = {node for block in blocks for part in block.body for node in ast.walk(part) if not for_types}
    for node in nodes(text):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += dict.fromkeys(whole(module, alias.name) for alias in node.names)
    return found


def imports_of_cython(text):
    """List the modules of ours that Cython source imports or cimports."""
    found = re.findall(r"^\s*c?import\s+([\w.]+)", text, re.M)
    for module, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+\(?(.+)$", text, re.M):
        found += dict.fromkeys(whole(module, name) for name in re.findall(r"(\w+)(?:\s+as\s+\w+)?", names))
    return found


@cache
def imports(path, for_types=False):
    """List the modules of ours that a file imports or cimports."""
    text = path.read_text()
    found = imports_of_source(text, for_types) if path.suffix == ".py" else imports_of_cython(text)
    return [name for name in found if name.split(".")[0] in ("spconv_cy", "")]


def test_the_floors_hold_each_room_that_exists_once_and_no_other():
    listed = " ".join(FLOORS).split()
    assert sorted(listed) == sorted({room(name) for name in MODULES})


def wrong_import(here, name):
    """Say what is wrong with one import; None if nothing."""
    if name.startswith("."):
        return "write the whole name, spconv_cy.room.file"
    if "." not in name:
        return "the package does not import itself: name the room"
    mine, there = room(here), room(name)
    if there != mine and FLOOR[there] >= FLOOR[mine]:
        return f"{mine} may not import {there}: same floor or above"
    if there == "cuda" and mine != "cuda" and here != "spconv_cy.backend.cuda":
        return "only backend/cuda.py knows the GPU's files"
    return None


def test_arrows_point_down_and_names_are_whole():
    wrong = [f"{dotted(path)} imports {name}: {told}" for path in SOURCES for name in imports(path, for_types=True)
             if (told := wrong_import(dotted(path), name))]
    assert wrong == []


def test_wrong_imports_are_seen():
    assert "whole name" in wrong_import("spconv_cy.sites.grid", ".window")
    assert "itself" in wrong_import("spconv_cy.sites.grid", "spconv_cy")
    assert "may not" in wrong_import("spconv_cy.sites.grid", "spconv_cy.tensor")
    assert "may not" in wrong_import("spconv_cy.sites.grid", "spconv_cy.backend.ops")
    assert "GPU" in wrong_import("spconv_cy.backend.ops", "spconv_cy.cuda.loader")
    assert wrong_import("spconv_cy.backend.cuda", "spconv_cy.cuda.loader") is None
    assert wrong_import("spconv_cy.tensor", "spconv_cy.sites.grid") is None


def test_no_circles():
    graph = {}
    for path in SOURCES:  # a .pyx and its .pxd are one node
        graph.setdefault(dotted(path), set()).update(set(imports(path, for_types=True)) - {dotted(path)})
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_files_stay_small_and_have_plain_names():
    long = [str(path) for path in WRITTEN if path.read_text().count("\n") > 400]
    assert long == [], "over 400 lines: split it by what changes together"
    assert [str(path) for path in WRITTEN if path.stem in BANNED_FILES] == [], "name the file by what it holds"


def test_folders_have_an_empty_init_or_hand_on_the_names_of_their_stub():
    for path in PACKAGE.rglob("*/__init__.py"):
        lines = path.read_text().splitlines()
        handed_on = ["from spconv_cy.lazy import public", "", HANDS_ON]
        assert not lines or lines[2:] == handed_on, f"{path}: __init__ holds names, no code"


def test_the_package_init_holds_only_names():
    kinds = (ast.ImportFrom, ast.Assign, ast.Expr)
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        assert isinstance(node, kinds), f"line {node.lineno}: __init__ holds names, no code"


def faults(path):
    """List what a Python file of the package may not hold."""
    text = path.read_text()
    if text.strip() and not ast.get_docstring(nodes(text)[0]):
        yield "one docstring line says what the file is"
    for node in nodes(text):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            yield f"line {node.lineno}: import *"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"line {node.lineno}: bare except"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            if room(dotted(path)) not in ("cli", "__main__"):
                yield f"line {node.lineno}: print"


def test_python_files_head_with_a_docstring_and_hold_no_star_bare_except_or_print():
    assert [f"{path}: {fault}" for path in SOURCES if path.suffix == ".py" for fault in faults(path)] == []


def test_faults_are_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "spconv_cy").mkdir()
    path = tmp_path / "spconv_cy" / "tensor.py"
    path.write_text("from os import *\ntry:\n    print()\nexcept:\n    pass\n")
    told = ["one docstring line says what the file is", "line 1: import *", "line 4: bare except", "line 3: print"]
    assert sorted(faults(path)) == sorted(told)


def test_every_test_that_the_table_of_operators_names_is_there():
    named = set(re.findall(r"\b(test_\w+)(?:\.py)?::(test_\w+)", (ROOT / "docs" / "operators.md").read_text()))
    assert len(named) > 15
    for file, function in named:
        texts = [path.read_text() for path in (ROOT / "tests").rglob(f"{file}.py")]
        assert any(f"def {function}(" in text for text in texts), f"docs/operators.md: no {file}::{function}"


def test_only_config_and_dispatch_read_the_environment():
    readers = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*")
               if path.suffix in CODE and re.search(r"os\.environ|import environ|getenv\b", path.read_text())}
    # The variables of OpenMP are read beside its runtime, the instruction set where the kernels are chosen, those
    # of mpiexec at `import spconv_cy`, which does not load config.
    assert readers == {"config.py", "lazy.py", "cpu/threads.pyx", "cpu/kernels/dispatch.cpp"}


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
        ("from spconv_cy.sites import grid, window\n", ["spconv_cy.sites.grid", "spconv_cy.sites.window"]),
        ("from spconv_cy.layers import ReLU, Sequential\n", ["spconv_cy.layers"]),
        ("if TYPE_CHECKING:\n    from spconv_cy.sites.grid import Grid\nimport spconv_cy.tensor\n",
         ["spconv_cy.tensor"]),
    ],
)
def test_the_import_reader_sees_every_way_to_import(text, found):
    assert imports_of_source(text) == found


@pytest.mark.parametrize(
    "text, found",
    [
        ("cimport spconv_cy.cpu.order\n", ["spconv_cy.cpu.order"]),
        ("from spconv_cy.cpu cimport order as _order, rules\n", ["spconv_cy.cpu.order", "spconv_cy.cpu.rules"]),
        ("from spconv_cy.cpu.order cimport (Box,\n", ["spconv_cy.cpu.order"]),
    ],
)
def test_the_import_reader_sees_every_way_to_cimport(text, found):
    assert imports_of_cython(text) == found
