"""What readers of meshes share: the numbers of a text, and a Mesh of polygons; errors name the file."""

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


def numbers_of(path, words, what):
    """Return words (bytes) as float64; `what` names them in the error.

    Raises:
        FileError: a word is no decimal number, nan or inf.
    """
    joined = b"".join(words)
    try:
        if b"_" not in joined and joined.isascii():                     # float takes 1_000 and all scripts' digits
            return np.array(words, np.float64)
    except ValueError:
        pass
    wrong = next(word for word in words if not is_number(word))
    raise FileError(f"{path}: {shown(wrong)} came among {what}; numbers fit") from None


def is_number(word):
    """Whether a word (bytes) is a decimal number, nan or inf."""
    try:
        float(word)
    except ValueError:
        return False
    return b"_" not in word and word.isascii()


def shown(line):
    """Return the beginning of a line or word (bytes) for an error, in quotes."""
    return repr(line.strip()[:40].decode("utf-8", "replace"))
