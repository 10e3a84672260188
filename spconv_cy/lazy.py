"""Public names of a package, imported when they are first used."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def public(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose `__init__.pyi` imports its public names.

    The stub is the only list of them; type checkers and editors read it as it is.

    Args:
        package: `__name__` of the package.
        file: `__file__` of the package.
    """
    places = {}
    for node in ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            places.update({alias.name: node.module for alias in node.names})

    def get(name: str) -> object:
        if name not in places:
            import difflib

            close = difflib.get_close_matches(name, places, 1)
            raise AttributeError(f"module {package!r} has no attribute {name!r}" +
                                 (f"; did you mean {close[0]!r}?" if close else ""), name=name)
        module = places[name]
        value = import_module(f"{package}.{name}") if module == package else getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(places), sorted(places)
