"""Every public name has a docstring with a plain first sentence, and annotations that a type checker can use."""

import ast
import functools
import importlib
import inspect
import re
import sys
import types
import typing

from public import PLACES

# Constructors and calls are annotated as methods are; what other magic methods take and return, Python says.
MAGIC = ("__init__", "__call__")
NOT_PLAIN = re.compile(r"\b(doors?|rooms?|verbs?|at the door|what came|of another|comes to|the like)\b")


def members(place, value):
    """List (place, function) of a class: its public methods and properties, its constructor, its call."""
    for name, found in inspect.getmembers_static(value) if sys.version_info >= (3, 11) else vars(value).items():
        if not name.startswith("_") or name in MAGIC:
            found = getattr(found, "__func__", found)                    # of a classmethod or staticmethod
            if isinstance(found, property | functools.cached_property):
                found = getattr(found, "fget", None) or found.func
            if inspect.isfunction(found) and found.__module__.startswith("spconv_cy"):
                yield f"{place}.{name}", found


def functions():
    """{place: function} of all that is public and can be called, each function once."""
    found, seen = {}, set()
    for place, value in PLACES.items():
        pairs = list(members(place, value)) if isinstance(value, type) else [(place, value)]
        for inner, function in pairs:
            function = inspect.unwrap(function) if callable(function) else None
            if inspect.isfunction(function) and function not in seen:
                seen.add(function)
                found[inner.removeprefix("spconv_cy.")] = function
    return found


FUNCTIONS = functions()
CLASSES = {place.removeprefix("spconv_cy."): value for place, value in PLACES.items() if isinstance(value, type)}
DOCUMENTED = CLASSES | {place: function for place, function in FUNCTIONS.items() if not place.endswith(MAGIC)}


@functools.cache
def names_for_types(module):
    """What a module imports for type checkers alone, and its globals."""
    module = importlib.import_module(module)
    found = dict(vars(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__name__, "exec"), found)
    return found


def missing_annotations(function):
    """Say what a type checker would miss in a signature; an empty text if nothing."""
    code = function.__code__
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
                             + bool(code.co_flags & inspect.CO_VARKEYWORDS)]
    wanted = [name for name in names if name not in ("self", "cls")] + ["return"]
    bare = [name for name in wanted if name not in function.__annotations__]
    if bare:
        return f"no annotation of {', '.join(bare)}"
    hints = typing.get_type_hints(function, names_for_types(function.__module__))
    loose = [name for name in wanted if hints[name] is typing.Any]
    return f"Any is the type of {', '.join(loose)}" if loose else ""


def unplain(value):
    """Say what is wrong with the first line of a docstring; an empty text if nothing."""
    text = inspect.getdoc(value) or ""
    if not text:
        return "no docstring"
    first = text.splitlines()[0]
    if not first.endswith(".") or len(first) > 120:
        return f"{first!r}: the first line is to be one sentence of at most 120 characters that ends with a period"
    if not first[0].isupper() and not first.startswith(("`", "numpy", ".", "(")):
        return f"{first!r}: begin with a capital letter"
    found = NOT_PLAIN.search(first)
    return f"{first!r}: say {found.group()!r} in plain words" if found else ""


def complaints(values, complain):
    """List what is wrong with public names."""
    found = {place: complain(value) for place, value in values.items()}
    return [f"{place}: {complaint}" for place, complaint in found.items() if complaint]


def test_public_signatures_are_annotated():
    assert complaints(FUNCTIONS, missing_annotations) == []


def test_public_names_have_a_plain_first_sentence():
    assert complaints(DOCUMENTED, unplain) == []


def test_missing_annotations_are_seen():
    def bare(a, *b: int, c: typing.Any, **d: int) -> int: ...
    def loose(a: int, c: "typing.Any") -> None: ...
    def whole(self, a: "types.ModuleType | None" = None, *b: int) -> None: ...

    assert missing_annotations(bare) == "no annotation of a"
    assert missing_annotations(loose) == "Any is the type of c"
    assert missing_annotations(whole) == ""


def test_sentences_that_are_not_plain_are_seen():
    texts = ["", "no capital letter.", "No period", f"Too long{' and longer' * 12}.", "Return the room.", "Return x."]
    told = [unplain(types.SimpleNamespace(__doc__=text)) for text in texts]
    assert [bool(text) for text in told] == [True] * 5 + [False]
