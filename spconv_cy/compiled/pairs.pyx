"""The pairs of a rulebook as one object, which owns the arrays that loops read, and what is computed from pairs."""

from libc.stdint cimport int32_t, int64_t

import numpy as np

from spconv_cy.compiled.sites cimport team
from spconv_cy.cpu cimport pairs as _pairs
from spconv_cy.cpu cimport rules as _rules

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected

TILE_ROWS = _rules.TILE_ROWS


cdef class Pairs:
    """Pairs by offset, with the tiles of their output rows. Immutable, and complete when the constructor returns.

    A backend operation holds the object while its loop runs, so that the memory stays valid.

    Args:
        in_rows, out_rows: (p,) int32 arrays, C-contiguous, with values below n_in and n_out, which are not checked.
        offset_ptr: (k+1,) int64.
        n_in, n_out: numbers of input and output rows.
        tile_ptr: (k, t+1) int64, t the number of tiles of n_out rows.

    The arrays become read-only.

    Raises:
        ShapeError: the arrays do not fit each other.
    """

    def __cinit__(self, in_rows, out_rows, offset_ptr, Py_ssize_t n_in, Py_ssize_t n_out, tile_ptr):
        cdef const int32_t[::1] ins = in_rows, outs = out_rows
        cdef const int64_t[::1] starts = offset_ptr
        cdef const int64_t[:, ::1] tiles = tile_ptr
        cdef int64_t k, n_offsets = starts.shape[0] - 1, n_pairs = ins.shape[0]
        cdef int64_t n_tiles = (n_out + _rules.TILE_ROWS - 1) // _rules.TILE_ROWS
        cdef bint fits = n_in >= 0 and n_out >= 0 and outs.shape[0] == n_pairs and n_offsets >= 0
        fits = fits and tiles.shape[0] == n_offsets and tiles.shape[1] == n_tiles + 1
        if fits:
            fits = starts[0] == 0 and starts[n_offsets] == n_pairs
            for k in range(n_offsets):
                fits = fits and starts[k] <= starts[k + 1]
                fits = fits and starts[k] == tiles[k, 0] and tiles[k, n_tiles] == starts[k + 1]
        if not fits:
            raise ShapeError(expected(
                "Pairs", "arrays of one rulebook", f"{ins.shape[0]} input rows, {outs.shape[0]} output rows, "
                f"{starts.shape[0]} pointers and tiles {(tiles.shape[0], tiles.shape[1])} for {n_in} -> {n_out} rows",
                "make it with Rulebook(...)"))
        self.in_rows = _read_only(in_rows)
        self.out_rows = self.in_rows if out_rows is in_rows else _read_only(out_rows)       # same object: an identity
        self.offset_ptr, self.tile_ptr = _read_only(offset_ptr), _read_only(tile_ptr)
        self.n_in, self.n_out, self.n_offsets = n_in, n_out, n_offsets
        self.rules.in_rows = &ins[0] if n_pairs else NULL
        self.rules.out_rows = &outs[0] if n_pairs else NULL
        self.rules.tile_ptr = &tiles[0, 0] if n_offsets else NULL
        self.rules.n_offsets, self.rules.n_tiles = n_offsets, n_tiles
        self.rules.n_out, self.rules.n_pairs = n_out, n_pairs

    def __reduce__(self):
        return Pairs, (self.in_rows, self.out_rows, self.offset_ptr, self.n_in, self.n_out, self.tile_ptr)


cdef _read_only(array):
    # A view, which cannot be made writeable again or resized.
    array.flags.writeable = False
    return array.view()


def tile_pointers(const int32_t[::1] out_rows, const int64_t[::1] offset_ptr, int64_t n_out, int n_threads=1):
    """Return tile_ptr (k, t+1) int64 of a rulebook whose rows and pointers have been checked."""
    cdef int64_t n_offsets = offset_ptr.shape[0] - 1
    cdef int64_t n_tiles = (n_out + _rules.TILE_ROWS - 1) // _rules.TILE_ROWS
    cdef int64_t[:, ::1] tile_ptr = np.zeros((n_offsets, n_tiles + 1), np.int64)
    if out_rows.shape[0]:
        with nogil:
            _rules.point_tiles(&out_rows[0], &offset_ptr[0], n_offsets, 0, n_out, &tile_ptr[0, 0],
                               team(n_threads, out_rows.shape[0]))
    return np.asarray(tile_ptr)


def ascend(const int32_t[::1] rows, const int64_t[::1] offset_ptr, int n_threads=1):
    """Return True if rows ascend strictly in each offset; the pointers have been checked."""
    cdef bint rising = True
    if rows.shape[0] > 1:
        with nogil:
            rising = _pairs.ascend(&rows[0], &offset_ptr[0], offset_ptr.shape[0] - 1,
                                   team(n_threads, rows.shape[0]))
    return rising


def transpose(const int32_t[::1] in_rows, const int32_t[::1] out_rows, const int64_t[::1] offset_ptr, int64_t n_in,
              int n_threads=1):
    """Return (in_rows, out_rows) of the transposed rulebook of p >= 1 pairs, rows and pointers within their ranges."""
    cdef int64_t p = in_rows.shape[0]
    n_threads = <int>min(team(n_threads, p), offset_ptr.shape[0] - 1)
    cdef int32_t[:, ::1] rows = empty((2, p), np.int32), places = np.full((n_threads, n_in), -1, np.int32)
    with nogil:
        _pairs.transpose(&in_rows[0], &out_rows[0], &offset_ptr[0], offset_ptr.shape[0] - 1, n_in, &places[0, 0],
                         &rows[0, 0], &rows[1, 0], n_threads)
    return np.asarray(rows[0]), np.asarray(rows[1])


def fan_in(const int32_t[::1] out_rows, const int64_t[:, ::1] tile_ptr, int64_t n_out, int n_threads=1):
    """Return the number of pairs (n_out,) int32 of each output row, of p >= 1 pairs whose rows have been checked."""
    cdef int32_t[::1] counts = np.zeros(n_out, np.int32)
    with nogil:
        _pairs.fan_in(&out_rows[0], &tile_ptr[0, 0], tile_ptr.shape[0], tile_ptr.shape[1] - 1, &counts[0],
                      team(n_threads, out_rows.shape[0]))
    return np.asarray(counts)
