"""A mesh in a JavaScript module, as npm's bunny has it: lists of positions and cells. Nothing in it is run."""

import json

import numpy as np

from spconv_cy.data.readers.polygons import lines_of, mesh_of
from spconv_cy.errors import FileError


def read_js(path):
    """Read a Mesh from a module of lines `exports.positions = [[x, y, z], ...]` and `exports.cells = [[a, b, c], ...]`.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: one of the two is missing, or is no such list.
    """
    found = {}
    for line in lines_of(path):
        name, _, value = line.partition("=")
        if name.strip() in ("exports.positions", "exports.cells"):
            try:
                found[name.strip().removeprefix("exports.")] = json.loads(value.strip().removesuffix(";"))
            except (ValueError, RecursionError) as error:
                raise FileError(f"{path}: {name.strip()} is no list of numbers ({error}); fetch it again") from None
    arrays = []
    for name, kinds in (("positions", "iuf"), ("cells", "iu")):
        try:
            array = np.array(found[name])
        except (KeyError, ValueError):
            array = None
        if array is None or array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in kinds:
            raise FileError(f"{path}: exports.{name} is no list of triples of numbers on a line; it must be one")
        arrays.append(array)
    return mesh_of(path, arrays[0], np.full(len(arrays[1]), 3), arrays[1].ravel())
