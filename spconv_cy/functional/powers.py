"""Powers of two that scale large numbers to about 1, without rounding, so that their squares fit a float."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from spconv_cy.types import Array


def powers(xp: ModuleType, largest: Array) -> Array:
    """Return the power of two that scales each of `largest` to between 1/2 and 1; 1 for 0, infinity and NaN.

    Args:
        xp: numpy or cupy.
        largest: array of floats, 0 or more.

    >>> powers(np, np.array([3e19, 1.0, 0.0, np.inf], np.float32)).tolist() == [2.0**-65, 0.5, 1.0, 1.0]
    True
    """
    info = np.finfo(largest.dtype)
    _, exponents = xp.frexp(largest)
    found = xp.ldexp(xp.ones_like(largest), xp.clip(-exponents, info.minexp, info.maxexp - 1))
    return xp.where(xp.isfinite(largest) & (largest > 0), found, xp.ones_like(largest))


def are_finite(xp: ModuleType, squares: Array) -> bool:
    """Return True if sums of squares are finite.

    On a GPU the result is always True, since reading a value would wait for all queued work.
    """
    return xp is not np or not squares.size or bool(np.asarray(squares).max() < np.inf)


def without_infinity(xp: ModuleType, squares: Array) -> Array:
    """Return sums of squares with NaN for infinity, so that dividing by them gives NaN instead of a silent zero."""
    return xp.where(squares < np.inf, squares, squares.dtype.type(np.nan))
