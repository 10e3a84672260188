"""What readers of meshes share: the lines of a file, and a Mesh of polygons; errors name the file."""

from pathlib import Path

import numpy as np

from spconv_cy.data.meshes import Mesh, fan
from spconv_cy.errors import FileError, ShapeError


def mesh_of(path, vertices, sizes, corners):
    """Return the Mesh of polygons: their sizes (f,), the vertices of their corners in turn; vertices n * 3 numbers.

    Raises:
        FileError: a polygon of fewer than 3 corners, a vertex that is not there or not finite.
    """
    vertices = np.asarray(vertices).reshape(-1, 3)
    sizes, corners = np.asarray(sizes, np.int64), np.asarray(corners)
    bad = np.flatnonzero(sizes < 3)
    if len(bad):
        raise FileError(f"{path}: face {bad[0]} has {sizes[bad[0]]} corners; 3 or more fit")
    bad = np.flatnonzero(~((corners >= 0) & (corners < len(vertices)) & (corners == np.floor(corners))))
    if len(bad):
        face = np.searchsorted(np.cumsum(sizes), bad[0], "right")
        raise FileError(f"{path}: face {face} has the vertex {corners[bad[0]]}; of {len(vertices)} vertices, 0 to "
                        f"{len(vertices) - 1} fit")
    try:
        return Mesh(vertices, fan(sizes, corners))
    except ShapeError as error:
        raise FileError(f"{path}: {error}") from None


def lines_of(path):
    """Return the lines of a text file."""
    data = Path(path).read_bytes()
    if b"\0" in data:
        raise FileError(f"{path}: byte {data.index(0)} is 0; a text file fits")
    return data.decode("utf-8", "replace").splitlines()


def numbers_of(path, words, what):
    """Return words as float64; `what` names them in the error."""
    try:
        return np.array(words, np.float64)
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        raise FileError(f"{path}: {wrong[:40]!r} came among {what}; numbers fit") from None


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True
