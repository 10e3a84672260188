"""Path signatures and log-signatures: iterated integrals of paths, level by level; see docs/handwriting.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, as_list, is_integer, kind_of
from spconv_cy.compiled.strokes import sign
from spconv_cy.config import threads
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spconv_cy.types import Array, ArrayLike, FloatArray

MOST_LEVEL, MOST_LETTERS = 4, 6


@known_arguments
def signature(paths: ArrayLike | Sequence[ArrayLike], level: int) -> FloatArray:
    """Return the signatures of paths up to a level: all iterated integrals, words in lexicographic order by level.

    Args:
        paths: one path, an (n, d) array of points joined by straight lines, or a list of paths; d from 1 to 6, n >= 1.
        level: 0 to 4.

    Returns:
        (planes,) float64 for one path, (paths, planes) for a list; planes = 1 + d + ... + d^level. Level 0 is 1.

    Raises:
        ShapeError: paths that are not (n, d) arrays with the same d, or a level out of range.
        ValueError: NaN or infinity.

    Source: K. T. Chen 1958; Graham 2013, arXiv:1308.0371.

    >>> signature([(0, 0), (1, 0), (1, 1)], 2).tolist()
    [1.0, 1.0, 1.0, 0.5, 1.0, 0.0, 0.5]
    """
    return _signed("signature", paths, level, 0, lambda letters: None)


@known_arguments
def log_signature(paths: ArrayLike | Sequence[ArrayLike], level: int) -> FloatArray:
    """Return the log-signatures of paths: the coefficients of the Lyndon words in the logarithm of the signature.

    Args:
        paths: as for `signature`.
        level: 1 to 4.

    Returns:
        (planes,) float64 for one path, (paths, planes) for a list; a plane for each of `lyndon_words(d, level)`.

    Raises:
        ShapeError, ValueError: as for `signature`.

    >>> log_signature([(0, 0), (1, 0), (1, 1)], 2).tolist()
    [1.0, 1.0, 0.5]
    """
    return _signed("log_signature", paths, level, 1, lambda letters: places_of(lyndon_words(letters, level), letters))


def lyndon_words(letters: int, level: int) -> list[tuple[int, ...]]:
    """Return the Lyndon words of the letters 0 to letters - 1 up to a length: shorter words first, then in order.

    >>> lyndon_words(2, 3)
    [(0,), (1,), (0, 1), (0, 0, 1), (0, 1, 1)]
    """
    found, word = [], [-1]
    while word:                                                         # J.-P. Duval 1988
        word[-1] += 1
        found.append(tuple(word))
        word = [word[i % len(word)] for i in range(level)]
        while word and word[-1] == letters - 1:
            word.pop()
    return sorted(found, key=lambda w: (len(w), w))


def places_of(words: Iterable[tuple[int, ...]], letters: int) -> Array:
    """Return the index of each word in the signature, (words,) int64."""
    starts = np.cumsum([0] + [letters**k for k in range(MOST_LEVEL + 1)])
    return np.array([starts[len(word)] + sum(a * letters**i for i, a in enumerate(reversed(word))) for word in words],
                    np.int64)


def _signed(who: str, paths: ArrayLike | Sequence[ArrayLike], level: int, least: int,
            picked: Callable[[int], Array | None]) -> FloatArray:
    if not is_integer(level) or not least <= level <= MOST_LEVEL:
        raise ShapeError(expected(who, f"level to be a whole number from {least} to {MOST_LEVEL}", f"{level!r}"))
    found, alone = _listed(who, paths)
    arrays = [_checked(who, path, i) for i, path in enumerate(found)]
    letters = {path.shape[1] for path in arrays}
    if len(letters) > 1:
        raise ShapeError(expected(who, "paths of equal dimension", f"paths in {sorted(letters)} dimensions"))
    if not arrays:
        raise ShapeError(expected(who, "one or more paths, whose dimension gives the number of planes", "none"))
    starts = np.cumsum([0] + [len(path) for path in arrays], dtype=np.int64)
    out = sign(np.concatenate(arrays), starts, picked(letters.pop()), level=int(level), n_threads=threads())
    return out[0] if alone else out


def _listed(who: str, paths: ArrayLike | Sequence[ArrayLike]) -> tuple[list[ArrayLike], bool]:
    """Return the paths as a list, and True if there was one path and not a list."""
    try:
        if np.ndim(paths) == 2:  # type: ignore[arg-type]
            return [as_array(who, paths)], True
    except ValueError:                                                   # paths of different lengths
        pass
    what = "an (n, d) array or a list of them"
    if not hasattr(paths, "__iter__"):
        raise ShapeError(expected(who, what, kind_of(paths)))
    return as_list(who, paths, what), False


def _checked(who: str, path: ArrayLike, i: int) -> Array:
    what = f"path {i} as an (n, d) array of numbers, n from 1 up and d from 1 to {MOST_LETTERS}"
    without_mask(path, f"{who}: path {i}")
    try:
        array = np.ascontiguousarray(path)
    except ValueError:
        raise ShapeError(expected(who, what, "points of unequal length")) from None
    if array.ndim != 2 or not len(array) or not 1 <= array.shape[1] <= MOST_LETTERS or array.dtype.kind not in "iuf":
        raise ShapeError(expected(who, what, f"shape {array.shape} of {array.dtype}"))
    if not np.isfinite(array).all():
        raise ValueError(expected(who, f"finite numbers in path {i}", "NaN or infinity"))
    return array.astype(np.float64, copy=False)
