"""Reads a mesh from a JavaScript module such as npm's bunny: lists of positions and cells. The module is never run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.polygons import mesh_of, shown

if TYPE_CHECKING:
    from spconv_cy.data.meshes import Mesh
    from spconv_cy.types import Array, PathLike

NAMES = {b"exports.positions": "positions", b"exports.cells": "cells"}


def read_js(path: PathLike) -> Mesh:
    """Read a Mesh from a module of lines `exports.positions = [[x, y, z], ...]` and `exports.cells = [[a, b, c], ...]`.

    Each of the two occurs once. Empty lines and lines that begin with // are skipped.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: one of the two is missing, occurs twice or is not such a list; or there is any other line.
    """
    found: dict[str, Any] = {}
    other = ""
    for number, line in enumerate(read_lines(path), 1):
        key, _, value = (part.strip() for part in line.partition(b"="))
        name = NAMES.get(key, "")
        if not line.strip() or line.lstrip().startswith(b"//"):
            continue
        if name and name not in found:
            found[name] = _listed(path, name, value)
        else:
            other = other or expected(f"{path}, line {number}", "exports.positions and exports.cells, each once",
                                      shown(line), "keep only the two")
    if len(found) == 2 and other:
        raise FileError(other)
    positions = _triples(path, "positions", found, "iuf")
    cells = _triples(path, "cells", found, "iu")
    return mesh_of(path, positions, np.full(len(cells), 3), cells.ravel())


def _listed(path: PathLike, name: str, value: bytes) -> Any:
    try:
        found = json.loads(value.removesuffix(b";"))
        if b"true" in value or b"false" in value:                        # numpy would convert them to 1 and 0
            raise ValueError("true or false in it")
    except (ValueError, RecursionError) as error:
        raise FileError(expected(f"{path}", f"exports.{name} as a list of numbers", f"other text ({error})",
                                 "fetch it again")) from None
    return found


def _triples(path: PathLike, name: str, found: dict[str, Any], kinds: str) -> Array:
    try:
        array = np.array(found[name])
    except (KeyError, ValueError, OverflowError):
        array = np.empty(())
    if array.shape == (0,):
        array = np.zeros((0, 3), np.int64)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in kinds:
        got = str(found[name])[:40] if name in found else "none"
        raise FileError(expected(f"{path}", f"exports.{name} as a list of triples of numbers on one line", got))
    return array
