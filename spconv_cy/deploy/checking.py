"""Whether the steps that a file describes fit together: their sites, channels, kinds of numbers and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spconv_cy.deploy.rules import Link
from spconv_cy.deploy.steps import Apply, Convolve, Join, Map, MaxPool, Step, Value
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Layer, WorkingMemory

FLOAT32 = "float32"
WORDS = {"bfloat16": ("uint16", "uint16"), "int8": ("uint8", "int8")}    # dtypes of rows and weights
SMALL = ("uint16", "uint8")


def check(values: Sequence[Value], steps: Sequence[Any], links: Sequence[Link], output: Any) -> None:
    """Raise ShapeError if a Program of these could not run, whatever its input.

    Args:
        values, steps, links, output: as for Program; the arrays of products have their shapes and dtypes.
    """
    ends, n_places = [], 1
    for i, link in enumerate(links):
        _check(_is_in(link.place, 0, n_places) and (link.target is None or _is_in(link.target, 0, n_places)),
               "windows over sites that are there", f"window {i}, from place {link.place} to {link.target}")
        ends.append(n_places if link.makes else link.place if link.target is None else link.target)
        n_places += link.makes
    for i, value in enumerate(values):
        _check(_is_in(value.place, -1, n_places) and _is_in(value.channels, 0, 2**31) and
               value.dtype in (FLOAT32, *SMALL), "values at sites that are there, of float32, uint16 or uint8",
               f"value {i}: {value.channels!r} channels of {value.dtype!r} at place {value.place!r}")
    written = {0}
    for i, step in enumerate(steps):
        _check(_is_in(step.y, 0, len(values)) and all(type(number) is int for number in (step.x, *step.reads())) and
               step.y not in written and written.issuperset((step.x, *step.reads())),
               "steps that read what those before wrote, and write other values",
               f"step {i}, which reads {step.reads()} and writes {step.y}")
        written.add(step.y)
    for i, step in enumerate(steps):
        _check(_fits(step, values, links, ends), "steps whose sites, channels and numbers fit those of their values",
               f"step {i}, a {type(step).__name__}, which reads {step.reads()} and writes {step.y}")
    _check(type(output) is int and output in written and values[output].dtype == values[0].dtype == FLOAT32,
           "an input and a result of float32", f"value {output!r}")


def _check(holds: bool, what: str, got: str) -> None:
    if not holds:
        raise ShapeError(expected("Frozen", what, got))


def _is_in(number: Any, low: int, high: int) -> bool:
    return type(number) is int and low <= number < high


def _fits(step: Step, values: Sequence[Value], links: Sequence[Link], ends: Sequence[int]) -> bool:
    """Return True if a step can read and write its values, whose numbers are known to be right."""
    x, y = values[step.x], values[step.y]
    own: Any = step
    if isinstance(step, Apply):
        return isinstance(own.layer, Layer) and isinstance(own.layer.working_memory, WorkingMemory) and \
            x.dtype == y.dtype == FLOAT32
    if isinstance(step, Join):
        return _joins(step, [values[part] for part in step.parts], y)
    slope = own.slope
    if not (slope is None or type(slope) in (int, float)):
        return False
    if isinstance(step, MaxPool):
        return own.background in ("ground", "zero") and _at(own.link, links, ends, x.place, y.place) and \
            x.channels == y.channels and _same_kind(own, x, y)
    residual = None if own.residual is None else values[own.residual]
    if residual is not None and (residual.place, residual.channels) != (y.place, y.channels):
        return False
    if isinstance(step, Map):
        return (x.place, x.channels) == (y.place, y.channels) and _is_array(own.rows, (4, x.channels)) and (
            _converts(own, x, y) if hasattr(own, "before") else _all_float32(x, y, residual))
    if not isinstance(step, Convolve) or type(own.turned) is not bool:
        return False
    ways = (y.place, x.place) if own.turned else (x.place, y.place)
    there = x.place == y.place if own.link is None else _at(own.link, links, ends, *ways)
    volume = 1 if own.link is None or not there else links[own.link].window.volume
    return there and _multiplies(own.product, volume, x, y, residual, type(step) is Convolve)


def _joins(step: Any, parts: Sequence[Value], y: Value) -> bool:
    kinds = {(part.place, part.dtype) for part in (*parts, y)}
    small = type(step) is not Join
    return step.x in step.parts and len(kinds) == 1 and (y.dtype in SMALL if small else y.dtype == FLOAT32) and \
        sum(part.channels for part in parts) == y.channels and all(part.channels == part.columns for part in parts[:-1])


def _at(link: Any, links: Sequence[Link], ends: Sequence[int], start: int, end: int) -> bool:
    return _is_in(link, 0, len(links)) and (links[link].place, ends[link]) == (start, end)


def _same_kind(step: Any, x: Value, y: Value) -> bool:
    if not hasattr(step, "before"):
        return x.dtype == y.dtype == FLOAT32
    return x.dtype == y.dtype != FLOAT32 and _scaled(step.before, (2, x.channels), x)


def _converts(step: Any, x: Value, y: Value) -> bool:
    return step.residual is None and _scaled(step.before, (2, x.channels), x) and _scaled(step.after, (2,), y)


def _scaled(array: Any, shape: tuple[int, ...], value: Value) -> bool:
    """Return True for the steps and zeros of rows of 8 bits, or None for others."""
    return array is None if value.dtype != "uint8" else array is not None and _is_array(array, shape)


def _is_array(array: Any, shape: tuple[int, ...]) -> bool:
    return array is None or (array.shape == shape and array.dtype == np.float32)


def _all_float32(*values: Value | None) -> bool:
    return all(value is None or value.dtype == FLOAT32 for value in values)


def _multiplies(product: Any, volume: int, x: Value, y: Value, residual: Value | None, whole: bool) -> bool:
    """Return True if the arrays of a product are those for such rows; whole: of float32."""
    arrays, c, o = product.state(), x.channels, y.channels
    weight = arrays.pop("weight", None)
    if weight is None or not all(_is_array(arrays.pop(name, None), shape)
                                 for name, shape in (("bias", (1, o)), ("rows", (4, o)))):
        return False
    if whole:
        if product.precision != FLOAT32 or weight.ndim != 4 or weight.dtype != np.float32:
            return False
        k, groups, each, out = weight.shape
        return not arrays and _all_float32(x, y, residual) and (k, groups * each, groups * out) == (volume, c, o)
    if product.precision not in WORDS or weight.shape != (volume, c, o):
        return False
    rows, words = WORDS[product.precision]
    if weight.dtype != words or x.dtype != rows or not {y.dtype} <= {rows, FLOAT32} or \
            residual is not None and residual.dtype not in (rows, FLOAT32):
        return False
    scales = {"scale": ((o,), x), "x": ((2, c), x), "y": ((2,), y), "residual": ((2, o), residual)}
    return all(_scaled(arrays.pop(name, None), shape, value or Value(0, 0)) for name, (shape, value) in scales.items()
               ) and not arrays
