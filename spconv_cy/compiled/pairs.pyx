"""The pairs of a rulebook as one compiled object, which owns the arrays that the loops read."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu cimport conv as _conv

from spconv_cy.errors import ShapeError


cdef class Pairs:
    """Pairs by offset with the tiles of their output rows: complete when it is made, and never changed.

    A backend operation holds the object for as long as its loop runs, so that the memory cannot go.

    Args:
        in_rows, out_rows: (p,) int32 arrays, C-contiguous; within 0 to n_in - 1 and n_out - 1, which is not checked.
        offset_ptr: (k+1,) int64.
        n_in, n_out: numbers of input and output rows.
        tile_ptr: (k, t+1) int64, t the number of tiles of n_out rows.

    The arrays are read-only from now on.

    Raises:
        ShapeError: arrays that do not fit each other.
    """

    def __cinit__(self, in_rows, out_rows, offset_ptr, Py_ssize_t n_in, Py_ssize_t n_out, tile_ptr):
        cdef const int32_t[::1] ins = in_rows, outs = out_rows
        cdef const int64_t[::1] starts = offset_ptr
        cdef const int64_t[:, ::1] tiles = tile_ptr
        cdef int64_t k, n_offsets = starts.shape[0] - 1, n_pairs = ins.shape[0]
        cdef int64_t n_tiles = (n_out + _conv.TILE_ROWS - 1) // _conv.TILE_ROWS
        cdef bint fits = n_in >= 0 and n_out >= 0 and outs.shape[0] == n_pairs and n_offsets >= 0
        fits = fits and tiles.shape[0] == n_offsets and tiles.shape[1] == n_tiles + 1
        if fits:
            fits = starts[0] == 0 and starts[n_offsets] == n_pairs
            for k in range(n_offsets):
                fits = fits and starts[k] <= starts[k + 1]
                fits = fits and starts[k] == tiles[k, 0] and tiles[k, n_tiles] == starts[k + 1]
        if not fits:
            raise ShapeError(f"Pairs: expected arrays of one rulebook, got {ins.shape[0]} input rows, {outs.shape[0]} "
                             f"output rows, {starts.shape[0]} pointers and tiles {(tiles.shape[0], tiles.shape[1])} "
                             f"for {n_in} -> {n_out} rows; make it with Rulebook(...)")
        self.in_rows = _read_only(in_rows)
        self.out_rows = self.in_rows if out_rows is in_rows else _read_only(out_rows)       # is: an identity
        self.offset_ptr, self.tile_ptr = _read_only(offset_ptr), _read_only(tile_ptr)
        self.n_in, self.n_out = n_in, n_out
        self.rules.in_rows = &ins[0] if n_pairs else NULL
        self.rules.out_rows = &outs[0] if n_pairs else NULL
        self.rules.tile_ptr = &tiles[0, 0] if n_offsets else NULL
        self.rules.n_offsets, self.rules.n_tiles = n_offsets, n_tiles
        self.rules.n_out, self.rules.n_pairs = n_out, n_pairs

    def __reduce__(self):
        return Pairs, (self.in_rows, self.out_rows, self.offset_ptr, self.n_in, self.n_out, self.tile_ptr)


cdef _read_only(array):
    # A view, which nobody can make writeable again or resize.
    array.flags.writeable = False
    return array.view()
