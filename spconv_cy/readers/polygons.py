"""Numbers in text and polygons, for the readers of meshes; errors name the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.meshes import Mesh, fan
from spconv_cy.errors import FileError, ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spconv_cy.types import Array, ArrayLike, PathLike

SPELT = re.compile(rb"([+-]?)(?:nan\((?:ind|snan)\)|1\.#(?:(INF)|QNAN|SNAN|IND)0*)", re.IGNORECASE)


def mesh_of(path: PathLike, vertices: Array, sizes: ArrayLike, corners: Array) -> Mesh:
    """Return the Mesh of polygons.

    Args:
        path: the file, for errors.
        vertices: n * 3 numbers.
        sizes: (f,), the number of corners of each polygon.
        corners: (sum of sizes,), the vertices of all polygons, one polygon after another.

    Raises:
        FileError: a polygon has fewer than 3 corners, or a vertex does not exist or is not finite.
    """
    vertices = np.asarray(vertices).reshape(-1, 3)
    sizes, corners = np.asarray(sizes, np.int64), np.asarray(corners)
    bad = np.flatnonzero(sizes < 3)
    if len(bad):
        raise FileError(expected(f"{path}", "3 or more corners in each face", f"{sizes[bad[0]]} in face {bad[0]}"))
    bad = np.flatnonzero(~((corners >= 0) & (corners < len(vertices)) & (corners == np.floor(corners))))
    if len(bad):
        face = np.searchsorted(np.cumsum(sizes), bad[0], "right")
        raise FileError(expected(f"{path}", f"vertices from 0 to {len(vertices) - 1} in faces",
                                 f"{corners[bad[0]]} in face {face}"))
    try:
        return Mesh(vertices, fan(sizes, corners))
    except ShapeError as error:
        raise FileError(f"{path}: {error}") from None


def numbers_of(place: str, words: Sequence[bytes], what: str) -> Array:
    """Return words as float64.

    Args:
        place: the file, or the file and line, for the error.
        words: bytes.
        what: what the words are, for the error.

    Raises:
        FileError: a word is not a decimal number, nan or inf.
    """
    found = floats_of(words)
    if found is not None:
        return found
    wrong = next(word for word in words if not is_number(word))
    raise FileError(expected(place, f"numbers in {what}", shown(wrong)))


def floats_of(words: Sequence[bytes]) -> Array | None:
    """Return words as float64, or None if one is no number."""
    joined = b"".join(words)
    if b"_" in joined or not joined.isascii():                          # float accepts 1_000 and digits of all scripts
        return None
    try:
        return np.array(words, np.float64)
    except ValueError:
        pass
    try:
        return np.array([_spelt(word) for word in words], np.float64)
    except ValueError:
        return None


def _spelt(word: bytes) -> bytes:
    """Return a word with nan and inf as Python spells them; Windows writes -nan(ind), 1.#QNAN and 1.#INF."""
    found = SPELT.fullmatch(word)
    return word if found is None else b"nan" if found[2] is None else found[1] + b"inf"


def is_number(word: bytes) -> bool:
    """Return True if a word is a decimal number, nan or inf."""
    try:
        float(_spelt(word))
    except ValueError:
        return False
    return b"_" not in word and word.isascii()


def shown(line: bytes) -> str:
    """Return the beginning of a line or word in quotes, for an error."""
    return repr(line.strip()[:40].decode("utf-8", "replace"))
