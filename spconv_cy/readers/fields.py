"""Named columns of a file as a PointCloud: which are the coordinates, and colours that share one number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.checks import shortened
from spconv_cy.data import PointCloud
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spconv_cy.types import Array, PathLike

DECIMAL = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
COLOURS = ("red", "green", "blue")


def cloud_of(path: PathLike, columns: dict[str, Array], axes: Sequence[str] = ("x", "y", "z"),
             remedy: str = "") -> PointCloud:
    """Return a PointCloud of named columns (n,).

    Args:
        path: the file, for errors.
        columns: {name: array}.
        axes: names of the coordinates; upper and lower case are the same.
        remedy: for the error if one is missing.

    Raises:
        FileError: a coordinate is missing, twice there or not a number.
    """
    names = [_named(path, columns, axis, remedy) for axis in axes]
    points = np.column_stack([columns[name].astype(np.float64) for name in names])
    return PointCloud(points, {name: value for name, value in columns.items() if name not in names})


def colours_of(packed: Array) -> dict[str, Array]:
    """Return red, green and blue (n,) uint8 of colours that share 32 bits: a whole number, or a float of these bits."""
    bits = packed.astype(np.float32).view(np.uint32) if packed.dtype.kind == "f" else packed.astype(np.uint32)
    return {name: (bits >> shift & 255).astype(np.uint8) for name, shift in zip(COLOURS, (16, 8, 0), strict=True)}


def _text_of(column: Array) -> str:
    """Return the first cell that is no number."""
    cells = [str(cell) for cell in column.flat]
    return next((cell for cell in cells if not re.fullmatch(r"[-+0-9.eE]+", cell)), cells[-1])


def _named(path: PathLike, columns: dict[str, Array], axis: str, remedy: str) -> str:
    found = [axis] if axis in columns else [name for name in columns if name.lower() == axis.lower()]
    if len(found) != 1:
        raise FileError(expected(f"{path}", f"one column {axis}", shortened(list(columns)) or "no columns",
                                 "" if found else remedy))
    if columns[found[0]].dtype.kind not in "fiu":
        text = _text_of(columns[found[0]])
        raise FileError(expected(f"{path}", f"numbers in {found[0]}", f"text such as {text!r:.40}",
                                 "write decimal points in place of commas" if DECIMAL.fullmatch(text) else ""))
    return found[0]
