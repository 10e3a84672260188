"""Errors have one form: `Who: expected what, got what; remedy`."""

import ast
import re

import pytest
from test_house import SOURCES, dotted, nodes

from spconv_cy.errors import expected

# Kinds whose text is not for users of the package, and functions that put it into the form.
OTHER = {"NotImplementedError", "SystemExit", "StopIteration", "AttributeError", "Refused", "_Refused", "_diverged",
         "wrong"}
# Modules whose readers catch their own errors and put them into one of the form.
CAUGHT = {"spconv_cy.readers.archives", "spconv_cy.readers.arrays", "spconv_cy.readers.hanzi_writer",
          "spconv_cy.readers.js", "spconv_cy.readers.lzf", "spconv_cy.page.server", "spconv_cy.io.networks.family"}


def literal_words(node):
    """The text of a string or an f-string without what is put in."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def hand_made(path):
    """List the errors of a file whose text is written by hand and has another form."""
    for node in nodes(path.read_text()):
        call = node.exc if isinstance(node, ast.Raise) else None
        if not isinstance(call, ast.Call) or not call.args or getattr(call.func, "id", "") in OTHER:
            continue
        text = call.args[0]
        if isinstance(text, ast.JoinedStr | ast.Constant):
            words = literal_words(text)
            last = text.values[-1] if isinstance(text, ast.JoinedStr) else text
            told_by_another = getattr(getattr(last, "value", None), "id", "") == "error"
            if re.search(r"[a-z]{3}", words) and not told_by_another and ": expected " not in words:
                yield f"{dotted(path)}:{node.lineno}: {words[:60]}"


def test_errors_are_made_by_expected_or_have_its_form():
    found = [told for path in SOURCES if path.suffix == ".py"
             if dotted(path) not in CAUGHT for told in hand_made(path)]
    assert found == []


def bare_types(path):
    """List the calls of expected() that tell what they got by the bare name of its type."""
    for node in nodes(path.read_text()):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "expected" and len(node.args) > 2:
            if not any(getattr(part, "attr", "") == "__name__" for part in ast.walk(node.args[2])):
                continue
            got = ast.unparse(node.args[2])
            if re.match(r"(f'(an? )?\{)?type\(.*\)\.__name__", got):
                yield f"{dotted(path)}:{node.lineno}: {got}"


def test_errors_name_the_kind_of_what_they_got_with_its_article():
    assert [told for path in SOURCES if path.suffix == ".py" for told in bare_types(path)] == []


def test_no_error_says_what_came():
    assert [dotted(path) for path in SOURCES if re.search(r" came[;\"']", path.read_text())] == []


@pytest.mark.parametrize("remedy, text", [("", "fit: expected a Layer, got 3"),
                                          ("call it", "fit: expected a Layer, got 3; call it")])
def test_the_form(remedy, text):
    assert expected("fit", "a Layer", 3, remedy) == text
