"""Constructor arguments of layers as JSON values and as text."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from spconv_cy.checks import kind_of
from spconv_cy.errors import expected
from spconv_cy.layers.attributes import Node
from spconv_cy.sites.lattice import Lattice


def described(layer: Node, value: Any) -> Any:
    """Return a constructor argument as a JSON value.

    Raises:
        TypeError: JSON cannot hold it.
    """
    if isinstance(value, Node):
        return value.describe()  # type: ignore[attr-defined]
    if isinstance(value, Lattice):
        return {"lattice": value.kind, "d": value.d}
    if isinstance(value, (list, tuple)):
        return [described(layer, item) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(expected(type(layer).__name__, "constructor arguments that can be saved (numbers, text, None, "
                             "lists, lattices and layers)", kind_of(value)))


def shown(value: Any) -> str:
    """Return a constructor argument as Python source text."""
    value = tuple(value) if isinstance(value, list) else value           # files give lists
    return inspect.cleandoc(repr(value)) if not isinstance(value, Node) else repr(value)
