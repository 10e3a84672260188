"""Figures of the whole house: how long its files and functions are, how many modules each module knows."""

import ast
from statistics import median

from test_house import MODULES, SOURCES, dotted, imports, nodes

# Modules of the ground that every module may use: errors, what arguments must be, types of signatures.
GROUND = {"spconv_cy.errors", "spconv_cy.checks", "spconv_cy.arguments", "spconv_cy.types"}
# Rooms whose public names other rooms import from the room itself, not from its modules.
FACES = ("sites", "functional", "layers", "deploy", "models", "data", "readers", "io", "train", "estimators")
CODE = [path for path in SOURCES if path.name != "__init__.py"]


def percentile(values, q):
    """Return the smallest of the values that at least q percent do not exceed."""
    values = sorted(values)
    return values[-(-len(values) * q // 100) - 1]


def function_lengths():
    for path in CODE:
        if path.suffix == ".py":
            for node in nodes(path.read_text()):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield node.end_lineno - node.lineno + 1


def arrows():
    """{module: the modules of ours that it imports}, the ground left out; a .pyx and its .pxd are one module."""
    found = {}
    for path in CODE:
        here = dotted(path)
        found.setdefault(here, set()).update(set(imports(path)) - GROUND - {here})
    return found


def test_most_files_are_read_at_one_sitting():
    assert 70 <= median(path.read_text().count("\n") for path in CODE) <= 150


def test_most_functions_fit_a_glance():
    assert percentile(function_lengths(), 90) <= 22


def test_a_module_knows_few_others():
    found = arrows()
    assert set().union(*found.values()) <= MODULES | {f"spconv_cy.{room}" for room in FACES}
    assert sum(map(len, found.values())) / len(found) <= 3.2


def test_percentiles_are_of_the_list():
    assert [percentile(range(1, 11), q) for q in (10, 50, 90, 91)] == [1, 5, 9, 10]
