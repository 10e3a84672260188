"""Path signatures and log-signatures: iterated integrals of paths, level by level; docs/handwriting.md has the page."""

import numpy as np

from spconv_cy.checks import as_array, as_list, is_integer
from spconv_cy.compiled.strokes import sign
from spconv_cy.config import threads
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError

MOST_LEVEL, MOST_LETTERS = 4, 6


def signature(paths, level):
    """Return the signatures of paths up to a level: all iterated integrals, words in lexicographic order by level.

    Args:
        paths: one path, an (n, d) array of points joined by straight lines, or a list of such; d from 1 to 6, n >= 1.
        level: 0 to 4.

    Returns:
        (planes,) float64 for one path, (paths, planes) for a list; planes = 1 + d + ... + d^level. Level 0 is 1.

    Raises:
        ShapeError: paths that are no (n, d) arrays of one d, or a level out of range.
        ValueError: NaN or infinity.

    Source: K. T. Chen 1958; Graham 2013, arXiv:1308.0371.

    >>> signature([(0, 0), (1, 0), (1, 1)], 2).tolist()
    [1.0, 1.0, 1.0, 0.5, 1.0, 0.0, 0.5]
    """
    return _signed("signature", paths, level, 0, lambda letters: None)


def log_signature(paths, level):
    """Return the log-signatures of paths: the coefficients of the Lyndon words in the logarithm of the signature.

    Args:
        paths: as for `signature`.
        level: 1 to 4.

    Returns:
        (planes,) float64 for one path, (paths, planes) for a list; a plane for each of `lyndon_words(d, level)`.

    Raises:
        ShapeError, ValueError: as `signature`.

    >>> log_signature([(0, 0), (1, 0), (1, 1)], 2).tolist()
    [1.0, 1.0, 0.5]
    """
    return _signed("log_signature", paths, level, 1, lambda letters: places_of(lyndon_words(letters, level), letters))


def lyndon_words(letters, level):
    """List the Lyndon words of the letters 0 to letters - 1 up to a length, shorter ones first, then in order.

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


def places_of(words, letters):
    """Return where each word stands in the signature, (words,) int64."""
    starts = np.cumsum([0] + [letters**k for k in range(MOST_LEVEL + 1)])
    return np.array([starts[len(word)] + sum(a * letters**i for i, a in enumerate(reversed(word))) for word in words],
                    np.int64)


def _signed(who, paths, level, least, picked):
    if not is_integer(level) or not least <= level <= MOST_LEVEL:
        raise ShapeError(f"{who}: level {level!r} came; a whole number from {least} to {MOST_LEVEL} fits")
    try:
        alone = np.ndim(paths) == 2
        paths = as_array(who, paths) if alone else paths
    except ValueError:                                                   # paths of different lengths
        alone = False
    if not hasattr(paths, "__iter__"):
        raise ShapeError(f"{who}: {type(paths).__name__} came; an (n, d) array or a list of them fits")
    paths = [paths] if alone else as_list(who, paths, "an (n, d) array or a list of them")
    paths = [_checked(who, path, i) for i, path in enumerate(paths)]
    letters = {path.shape[1] for path in paths}
    if len(letters) > 1:
        raise ShapeError(f"{who}: paths in {sorted(letters)} dimensions came; equal dimensions fit")
    if not paths:
        raise ShapeError(f"{who}: no path came; at least one fits, for its dimension tells the planes")
    starts = np.cumsum([0] + [len(path) for path in paths], dtype=np.int64)
    out = sign(np.concatenate(paths), starts, picked(letters.pop()), level=int(level), n_threads=threads())
    return out[0] if alone else out


def _checked(who, path, i):
    without_mask(path, f"{who}: path {i}")
    try:
        path = np.ascontiguousarray(path)
    except ValueError:
        raise ShapeError(f"{who}: path {i} has points of unequal length; an (n, d) array fits") from None
    if path.ndim != 2 or not len(path) or not 1 <= path.shape[1] <= MOST_LETTERS or path.dtype.kind not in "iuf":
        raise ShapeError(f"{who}: path {i} {path.shape} {path.dtype} came; (n, d) numbers fit, n from 1 up and d from "
                         f"1 to {MOST_LETTERS}")
    if not np.isfinite(path).all():
        raise ValueError(f"{who}: path {i} holds NaN or infinity; finite numbers fit")
    return path.astype(np.float64, copy=False)
