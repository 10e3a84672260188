"""Powers of two that bring large numbers to about 1, so that their squares stay inside a float; they round nothing."""

import numpy as np


def powers(xp, largest):
    """Return the factor, a power of two, that brings each of `largest` to 1/2 up to 1; 1 for 0, infinity and NaN.

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


def are_finite(xp, squares):
    """Tell whether sums of squares are finite, on the CPU; a GPU is not asked, it would first do all that it was told.
    """
    return xp is not np or not squares.size or bool(squares.max() < np.inf)


def without_infinity(xp, squares):
    """Return sums of squares with NaN for infinity, so that what is divided by them is no silent zero."""
    return xp.where(squares < np.inf, squares, squares.dtype.type(np.nan))
