"""A mesh in a JavaScript module, as npm's bunny has it: lists of positions and cells. Nothing in it is run."""

import json

import numpy as np

from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError
from spconv_cy.readers.polygons import mesh_of, shown

NAMES = {b"exports.positions": "positions", b"exports.cells": "cells"}


def read_js(path):
    """Read a Mesh from a module of lines `exports.positions = [[x, y, z], ...]` and `exports.cells = [[a, b, c], ...]`.

    Each comes once. Empty lines and those that begin with // are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: one of the two is missing, comes twice, or is no such list; any other line.
    """
    found, other = {}, None
    for number, line in enumerate(read_lines(path), 1):
        name, _, value = (part.strip() for part in line.partition(b"="))
        if not line.strip() or line.lstrip().startswith(b"//"):
            continue
        if name not in NAMES or NAMES[name] in found:
            other = other or f"{path}, line {number}: expected exports.positions or exports.cells, each once, got " \
                             f"{shown(line)}; keep only the two"
            continue
        name = NAMES[name]
        try:
            found[name] = json.loads(value.removesuffix(b";"))
            if b"true" in value or b"false" in value:                   # numpy would take them for 1 and 0
                raise ValueError("true or false in it")
        except (ValueError, RecursionError) as error:
            raise FileError(f"{path}: exports.{name} is no list of numbers ({error}); fetch it again") from None
    if len(found) == 2 and other:
        raise FileError(other)
    arrays = []
    for name, kinds in (("positions", "iuf"), ("cells", "iu")):
        try:
            array = np.array(found[name])
        except (KeyError, ValueError, OverflowError):
            array = None
        if array is not None and array.size == 0 and array.shape == (0,):
            array = np.zeros((0, 3), np.int64)
        if array is None or array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in kinds:
            raise FileError(f"{path}: exports.{name} is no list of triples of numbers on a line; it must be one")
        arrays.append(array)
    return mesh_of(path, arrays[0], np.full(len(arrays[1]), 3), arrays[1].ravel())
