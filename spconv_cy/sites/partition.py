"""Sites by the windows of a partition: blocks of the lattice that lie side by side."""

import numpy as np

from spconv_cy.sites.order import keys_of


def partition(sites, size, shift):
    """Return the rows of each window that holds a site, windows of equal numbers of sites together.

    Site x belongs to window floor((x + shift) / size), axis by axis, of its sample.

    Args:
        sites: (n, 1+d) int32.
        size, shift: d ints.

    Returns:
        A list of (w, m) int64 arrays, m ascending: w windows of m sites each. Windows stand in the order of their
        place, the rows of each ascend.
    """
    if not len(sites):
        return []
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


def differences(sites, rows, size):
    """Return the place of each difference of two sites of a window: (w, m, m) int64 for rows (w, m).

    Element (i, j) tells x_i - x_j among the prod(2 * size - 1) differences that two sites of a window can have, in
    lexicographic order.
    """
    codes, centre = np.zeros(rows.shape, np.int64), 0                    # the place is linear in the sites
    for axis, side in enumerate(size):
        codes = codes * (2 * side - 1) + sites[:, 1 + axis][rows]
        centre = centre * (2 * side - 1) + side - 1
    return (codes + centre)[:, :, None] - codes[:, None, :]
