"""Sites grouped by the windows of a partition of the lattice into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spconv_cy.sites.order import keys_of
from spconv_cy.types import IntegerArray

try:
    import spconv_cy.compiled.attention as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.compiled.attention import Windows


def grouped(sites: NDArray[np.int32], size: Sequence[int], shift: Sequence[int]) -> Windows | None:
    """Return the compiled form of a partition, or None: without the compiled core or sites, or if keys do not fit."""
    return compiled.partition(sites, size, shift) if compiled is not None and len(sites) else None


def partition(sites: NDArray[np.int32], size: Sequence[int], shift: Sequence[int]) -> list[IntegerArray]:
    """Return the rows of the sites of each window, windows with the same number of sites in one array.

    Site x belongs to window floor((x + shift) / size) of its sample.

    Args:
        sites: (n, 1+d) int32.
        size, shift: d ints.

    Returns:
        A list of (w, m) int64 arrays, m ascending: w windows of m sites each. Windows are in the order of their place,
        and the rows of each ascend.
    """
    if not len(sites):
        return []
    found = grouped(sites, size, shift)
    if found is not None:
        return list(found.lists())
    cells = sites.astype(np.int64)
    cells[:, 1:] = (cells[:, 1:] + np.array(shift)) // np.array(size)
    keys = keys_of(cells)
    rows = np.argsort(keys, kind="stable")
    ordered = keys[rows]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=len(rows))
    windows = [rows[starts[counts == m][:, None] + np.arange(m)] for m in np.unique(counts)]
    for window in windows:
        window.flags.writeable = False
    return windows


def differences(sites: IntegerArray, rows: IntegerArray, size: Sequence[int]) -> IntegerArray:
    """Return the number (w, m, m) of each difference of two sites of a window, for rows (w, m).

    Element (i, j) is the place of x_i - x_j in the list of all prod(2 * size - 1) differences of two sites of a window,
    in lexicographic order.
    """
    codes, centre = np.zeros(rows.shape, np.int64), 0                    # the number is linear in the sites
    for axis, side in enumerate(size):
        codes = codes * (2 * side - 1) + sites[:, 1 + axis][rows]
        centre = centre * (2 * side - 1) + side - 1
    found: NDArray[np.int64] = (codes + centre)[:, :, None] - codes[:, None, :]
    return found
