"""Attention among the rows of windows with the same number of rows, and its gradient."""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t

import numpy as np

from spconv_cy.compiled.sites cimport team
from spconv_cy.cpu cimport attention as _attention
from spconv_cy.cpu.attention cimport Attention, Group
from spconv_cy.cpu.order cimport MAX_WIDTH

from spconv_cy.compiled.memory import empty, zeros
from spconv_cy.errors import ShapeError, expected


cdef enum:
    MOST_PLACES = 16777217              # 2^24 and 1: a layer refuses so many differences


cdef class Windows:
    """The rows of the sites of each window, those with as many rows together, and what tells two sites' difference.

    Made by `partition`; the arrays never change.
    """

    cdef int64_t[::1] rows, codes
    cdef int64_t[:, ::1] groups         # (any, 3), each a Group
    cdef int64_t n, places, centre

    def lists(self):
        """Return a list of (w, m) int64 arrays, read-only: the rows of w windows of m sites each, by ascending m."""
        found, rows = [], np.asarray(self.rows)
        rows.flags.writeable = False
        for first, w, m in np.asarray(self.groups).tolist():
            found.append(rows[first:first + w * m].reshape(w, m))
        return found


def partition(const int32_t[:, ::1] sites, size, shift):
    """Return Windows of n >= 1 sites (n, 1+d): x is in window floor((x + shift) / size) of its sample; or None.

    None: keys do not hold the extents. size and shift are d ints.
    """
    cdef Windows made = Windows.__new__(Windows)
    cdef int64_t n = sites.shape[0], count = 1
    cdef int64_t sides[2 * MAX_WIDTH]
    cdef int64_t[::1] keys
    cdef int axis, width = <int>sites.shape[1]
    if not n or not 2 <= width <= MAX_WIDTH or not len(size) == len(shift) == width - 1:
        raise ShapeError(expected("partition", "sites (n, 1+d), n >= 1, and d numbers each", (n, width)))
    places, centre = 1, 0
    if min(size) < 1:
        raise ShapeError(expected("partition", "sizes of at least 1", size))
    for axis in range(1, width):
        sides[axis], sides[MAX_WIDTH + axis] = size[axis - 1], shift[axis - 1]
        places, centre = places * (2 * size[axis - 1] - 1), centre * (2 * size[axis - 1] - 1) + size[axis - 1] - 1
    made.n, made.places, made.centre = n, min(places, MOST_PLACES), min(centre, MOST_PLACES)
    while count * (count + 1) // 2 <= n:                                 # more numbers of rows no windows have
        count += 1
    made.rows, made.codes, keys = np.empty(n, np.int64), np.empty(n, np.int64), empty(n, np.int64)
    made.groups = np.empty((count, 3), np.int64)
    with nogil:
        count = _attention.partition(&sites[0, 0], n, width, sides, sides + MAX_WIDTH, &keys[0], &made.rows[0],
                                     &made.codes[0], <Group*>&made.groups[0, 0])
    if count < 0:
        return None
    made.groups = made.groups[:count]
    return made


def attend_all(const float[:, ::1] rows, positions, int64_t heads, Windows windows not None, int n_threads=1):
    """Return (y, shares): `attend` for all windows, and what `attend_all_dx` needs of it.

    positions: (places, heads) float32, one for each difference of two sites of a window; or None.
    """
    cdef Attention given
    cdef int64_t c = rows.shape[1] // 3, number, total = 0, most = 0
    cdef float[:, ::1] y
    cdef float[::1] shares, scratch
    _table = _all_of(&given, rows, positions, heads, windows)
    y = empty((rows.shape[0], c))
    for number in range(windows.groups.shape[0]):
        total += windows.groups[number, 1] * heads * windows.groups[number, 2] ** 2
        most = max(most, windows.groups[number, 2])
    shares, scratch = empty(total), empty(n_threads * most * given.d + 1)
    total = 0
    if c:
        with nogil:
            for number in range(windows.groups.shape[0]):
                _choose(&given, windows, number)
                _attention.attend(&given, &y[0, 0], &shares[total], &scratch[0],
                                  team(n_threads, given.windows * given.m * given.m * c))
                total += given.windows * heads * given.m * given.m
    return np.asarray(y), np.asarray(shares)


def attend_all_dx(const float[:, ::1] rows, positions, int64_t heads, Windows windows not None,
                  const float[::1] shares, const float[:, ::1] dy, int n_threads=1):
    """Return the gradients (n, 3c) of the rows and of the positions, or None without them."""
    cdef Attention given
    cdef int64_t c = rows.shape[1] // 3, number, size, total = 0, most = 0, widest = 0
    cdef float[:, ::1] drows, dpositions
    cdef float[::1] dscores, scratch, room
    cdef int n_team
    _table = _all_of(&given, rows, positions, heads, windows)
    for number in range(windows.groups.shape[0]):
        size = windows.groups[number, 1] * heads * windows.groups[number, 2] ** 2
        total, most, widest = total + size, max(most, size), max(widest, windows.groups[number, 2])
    if (dy.shape[0], dy.shape[1]) != (rows.shape[0], c) or shares.shape[0] != total:
        raise ShapeError(expected("attend_dx", f"a gradient {(rows.shape[0], c)} and {total} shares",
                                  f"{(dy.shape[0], dy.shape[1])} and {shares.shape[0]}"))
    drows, dscores, scratch = empty((rows.shape[0], 3 * c)), empty(most), empty(n_threads * widest * given.d + 1)
    summed = None
    if given.positions != NULL:
        summed = zeros((windows.places, heads))
        dpositions, room = summed, zeros(heads * windows.places)
    total = 0
    if c:
        with nogil:
            for number in range(windows.groups.shape[0]):
                _choose(&given, windows, number)
                n_team = team(n_threads, given.windows * given.m * given.m * c)
                _attention.attend_dx(&given, &dy[0, 0], &shares[total], &drows[0, 0], &dscores[0], &scratch[0], n_team)
                if given.positions != NULL:
                    _attention.sum_places(&given, &dscores[0], &room[0], &dpositions[0, 0], windows.places, n_team)
                total += given.windows * heads * given.m * given.m
    return np.asarray(drows), summed


cdef _all_of(Attention* given, const float[:, ::1] rows, positions, int64_t heads, Windows windows):
    # Sets all but the windows; returns what the pointers need to be held.
    cdef const float[:, ::1] table
    _fill_rows(given, rows, heads)
    if rows.shape[0] != windows.n:
        raise ShapeError(expected("attend", f"{windows.n} rows, one for each site", rows.shape[0]))
    if positions is None or not rows.shape[1]:
        return None
    table = positions
    if table.shape[0] != windows.places or windows.places >= MOST_PLACES or table.shape[1] != heads:
        raise ShapeError(expected("attend", f"positions ({windows.places}, {heads}), one row for each difference",
                                  (table.shape[0], table.shape[1])))
    given.positions, given.codes, given.centre = &table[0, 0], &windows.codes[0], windows.centre
    return table


cdef inline void _choose(Attention* given, Windows windows, int64_t number) noexcept nogil:
    given.window = &windows.rows[0] + windows.groups[number, 0]
    given.windows, given.m = windows.groups[number, 1], windows.groups[number, 2]


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
    _fill_rows(given, rows, heads)
    given.windows, given.m = w, m
    if not w or not m or not rows.shape[0] or not rows.shape[1]:
        return None
    given.window = &window[0, 0]
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


cdef _fill_rows(Attention* given, const float[:, ::1] rows, int64_t heads):
    if heads < 1 or rows.shape[1] % (3 * heads):
        raise ShapeError(expected("attend", f"rows of 3c numbers, {heads} heads a divisor of c", rows.shape[1]))
    given.heads, given.d, given.centre = heads, rows.shape[1] // (3 * heads), 0
    given.scale = <float>(1.0 / sqrt(<double>given.d)) if given.d else 0
    given.positions, given.places, given.codes = <const float*>NULL, <const int64_t*>NULL, <const int64_t*>NULL
    given.rows, given.window = <const float*>NULL, <const int64_t*>NULL
    if rows.shape[0] and rows.shape[1]:
        given.rows = &rows[0, 0]


cdef _check(name, const int64_t* numbers, int64_t count, int64_t n):
    cdef int64_t i
    cdef bint held = True
    for i in range(count):
        held = held and 0 <= numbers[i] < n
    if not held:
        raise IndexError(expected("attend", f"{name} from 0 to {n - 1}", "others"))
