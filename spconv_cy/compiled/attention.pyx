"""Attention among the rows of windows with the same number of rows, and its gradient."""

from libc.math cimport sqrt
from libc.stdint cimport int64_t

import numpy as np

from spconv_cy.compiled.sites cimport team
from spconv_cy.cpu cimport attention as _attention
from spconv_cy.cpu.attention cimport Attention

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected


def attend(const float[:, ::1] rows, positions, int64_t heads, const int64_t[:, ::1] window, places, float[:, ::1] y,
           int n_threads=1):
    """Set the windows' rows of y (n, c), and return the shares (w, heads, m, m).

    Args:
        rows: (n, 3c), the queries, the keys and the values.
        positions: (v, heads) float32, or None.
        heads: a divisor of c.
        window: (w, m) rows.
        places: (w, m, m) int64 rows of positions, or None.
        y: (n, c).
    """
    cdef Attention given
    cdef int64_t w = window.shape[0], m = window.shape[1], c = rows.shape[1] // 3
    cdef float[:, :, :, ::1] shares
    cdef float[::1] scratch
    if y.shape[0] != rows.shape[0] or y.shape[1] != c:
        raise ShapeError(expected("attend", f"a result {(rows.shape[0], c)}", (y.shape[0], y.shape[1])))
    _held = _fill(&given, rows, positions, heads, window, places)
    shares = empty((w, heads, m, m), np.float32)
    n_threads = team(n_threads, w * m * m * c)
    scratch = empty(n_threads * m * given.d + 1, np.float32)
    if w and m and c:
        with nogil:
            _attention.attend(&given, &y[0, 0], &shares[0, 0, 0, 0], &scratch[0], n_threads)
    return np.asarray(shares)


def attend_dx(const float[:, ::1] rows, int64_t heads, const int64_t[:, ::1] window, const float[:, :, :, ::1] shares,
              const float[:, ::1] dy, float[:, ::1] drows, int n_threads=1):
    """Set the windows' rows of drows (n, 3c), and return the gradient of the scores (w, heads, m, m)."""
    cdef Attention given
    cdef int64_t w = window.shape[0], m = window.shape[1], c = rows.shape[1] // 3
    cdef float[:, :, :, ::1] dscores
    cdef float[::1] scratch
    fits = shares.shape[0] == w and shares.shape[1] == heads and shares.shape[2] == shares.shape[3] == m
    if not fits or (dy.shape[0], dy.shape[1]) != (rows.shape[0], c) or drows.shape[0] != rows.shape[0] or (
            drows.shape[1] != rows.shape[1]):
        raise ShapeError(expected("attend_dx", f"a gradient {(rows.shape[0], c)}", (dy.shape[0], dy.shape[1])))
    _fill(&given, rows, None, heads, window, None)
    dscores = empty((w, heads, m, m), np.float32)
    n_threads = team(n_threads, w * m * m * c)
    scratch = empty(n_threads * m * given.d + 1, np.float32)
    if w and m and c:
        with nogil:
            _attention.attend_dx(&given, &dy[0, 0], &shares[0, 0, 0, 0], &drows[0, 0], &dscores[0, 0, 0, 0],
                                 &scratch[0], n_threads)
    return np.asarray(dscores)


cdef _fill(Attention* given, const float[:, ::1] rows, positions, int64_t heads, const int64_t[:, ::1] window, places):
    # Returns what the pointers need to be held.
    cdef const float[:, ::1] table
    cdef const int64_t[:, :, ::1] at
    cdef int64_t w = window.shape[0], m = window.shape[1]
    if heads < 1 or rows.shape[1] % (3 * heads):
        raise ShapeError(expected("attend", f"rows of 3c numbers, {heads} heads a divisor of c", rows.shape[1]))
    given.windows, given.m, given.heads, given.d = w, m, heads, rows.shape[1] // (3 * heads)
    given.scale = <float>(1.0 / sqrt(<double>given.d)) if given.d else 0
    given.positions, given.places = <const float*>NULL, <const int64_t*>NULL
    given.rows, given.window = <const float*>NULL, <const int64_t*>NULL
    if not w or not m or not rows.shape[0] or not rows.shape[1]:
        return None
    given.rows, given.window = &rows[0, 0], &window[0, 0]
    _check("rows", given.window, w * m, rows.shape[0])
    if positions is None or places is None:
        return None
    table, at = positions, places
    if table.shape[1] != heads or (at.shape[0], at.shape[1], at.shape[2]) != (w, m, m):
        raise ShapeError(expected("attend", f"positions (v, {heads}) and places {(w, m, m)}",
                                  f"{(table.shape[0], table.shape[1])} and {(at.shape[0], at.shape[1], at.shape[2])}"))
    given.positions, given.places = &table[0, 0], &at[0, 0, 0]
    _check("places", given.places, w * m * m, table.shape[0])
    return table, at


cdef _check(name, const int64_t* numbers, int64_t count, int64_t n):
    cdef int64_t i
    cdef bint held = True
    for i in range(count):
        held = held and 0 <= numbers[i] < n
    if not held:
        raise IndexError(expected("attend", f"{name} from 0 to {n - 1}", "others"))
