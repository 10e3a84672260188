"""The pairs of a rulebook as one object, which owns the arrays that loops read, and what is computed from pairs."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

import numpy as np

from spconv_cy.compiled.sites cimport team
from spconv_cy.cpu cimport pairs as _pairs
from spconv_cy.cpu cimport rules as _rules

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected

TILE_ROWS = _rules.TILE_ROWS
cdef object WORDS = np.dtype(np.int32), LONGS = np.dtype(np.int64), FROM_BLOCK = object()


cdef class Block:
    """The owner of memory in which rules lie, for arrays over parts of it, which are read-only."""

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.size, 1, flags)

    def __dealloc__(self):
        free(self.start)

    cdef words(self, const int32_t* start, shape):
        return np.ndarray(shape, WORDS, self, <char*>start - <char*>self.start)

    cdef longs(self, const int64_t* start, shape):
        return np.ndarray(shape, LONGS, self, <char*>start - <char*>self.start)


cdef class Pairs:
    """Pairs by offset, with the tiles of their output rows. Immutable, and complete when the constructor returns.

    A backend operation holds the object while its loop runs, so that the memory stays valid.

    Args:
        in_rows, out_rows: (p,) int32 arrays, C-contiguous, with values below n_in and n_out, which are not checked.
        offset_ptr: (k+1,) int64.
        n_in, n_out: numbers of input and output rows.
        tile_ptr: (k, t+1) int64, t the number of tiles of n_out rows.
        known: 1: input rows ascend strictly in each offset, too; 2: and the pairs of the last offset are those of the
            first, swapped, and so on; 0: nothing is known.

    The arrays become read-only.

    Raises:
        ShapeError: the arrays do not fit each other.
    """

    def __cinit__(self, in_rows, out_rows, offset_ptr, Py_ssize_t n_in, Py_ssize_t n_out, tile_ptr, int known=0):
        if in_rows is FROM_BLOCK:
            return
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
        self._in = _read_only(in_rows)
        self._out = self._in if out_rows is in_rows else _read_only(out_rows)               # same object: an identity
        self._offsets, self._tiles = _read_only(offset_ptr), _read_only(tile_ptr)
        self.n_in, self.n_out, self.n_offsets, self.known = n_in, n_out, n_offsets, known
        self.rules.in_rows = &ins[0] if n_pairs else NULL
        self.rules.out_rows = &outs[0] if n_pairs else NULL
        self.rules.tile_ptr = &tiles[0, 0] if n_offsets else NULL
        self.rules.n_offsets, self.rules.n_tiles = n_offsets, n_tiles
        self.rules.n_out, self.rules.n_pairs, self.starts = n_out, n_pairs, &starts[0]

    @property
    def in_rows(self):
        """(p,) int32, read-only: the input row of each pair."""
        if self._in is None:
            self._in = self._rows(self.rules.in_rows, False)
        return self._in

    @property
    def out_rows(self):
        """(p,) int32, read-only: the output row of each pair."""
        if self._out is None:
            self._out = self._rows(self.rules.out_rows, True)
        return self._out

    @property
    def offset_ptr(self):
        """(k+1,) int64, read-only: where the pairs of each offset begin, and where the last end."""
        if self._offsets is None:
            self._offsets = (self.block.longs(self.starts, (self.n_offsets + 1,)) if self.twin is None
                             else self.twin.offset_ptr)
        return self._offsets

    @property
    def tile_ptr(self):
        """(k, t+1) int64, read-only: where the pairs of each offset in each tile begin, and where the last end."""
        if self._tiles is None:
            self._tiles = self.block.longs(self.rules.tile_ptr, (self.n_offsets, self.rules.n_tiles + 1))
        return self._tiles

    cdef _rows(self, const int32_t* start, bint outputs):
        if self.twin is None:
            return self.block.words(start, (self.rules.n_pairs,))
        return self.twin.in_rows if outputs else self.twin.out_rows

    def swapped(self, int n_threads=1):
        """Return Pairs of the same memory with inputs and outputs swapped, or None if in_rows do not ascend."""
        cdef bint rising = self.known > 0 or self.block is not None      # all rows of a block ascend
        cdef int64_t n_tiles = (self.n_in + _rules.TILE_ROWS - 1) // _rules.TILE_ROWS
        cdef Pairs made
        n_threads = team(n_threads, self.rules.n_pairs)
        if not rising:
            with nogil:
                rising = _pairs.ascend(self.rules.in_rows, self.starts, self.n_offsets, n_threads)
        if not rising:
            return None
        made = Pairs.__new__(Pairs, FROM_BLOCK, None, None, 0, 0, None)
        made.twin, made.block = self, block_of(<size_t>(self.n_offsets * (n_tiles + 1)) * sizeof(int64_t))
        made.n_in, made.n_out, made.n_offsets, made.starts = self.n_out, self.n_in, self.n_offsets, self.starts
        made.rules = self.rules
        made.rules.in_rows, made.rules.out_rows = self.rules.out_rows, self.rules.in_rows
        made.rules.tile_ptr, made.rules.n_tiles = <int64_t*>made.block.start, n_tiles
        made.rules.n_out, made.known = self.n_in, self.known
        if self.known == _rules.MIRRORED:
            mirror_tiles(&self.rules, self.starts, <int64_t*>made.block.start)
            return made
        with nogil:
            _rules.point_tiles(made.rules.out_rows, made.starts, made.n_offsets, 0, made.n_out,
                               <int64_t*>made.block.start, n_threads)
        return made

    def __reduce__(self):
        return Pairs, (self.in_rows, self.out_rows, self.offset_ptr, self.n_in, self.n_out, self.tile_ptr)


cdef void mirror_tiles(const Rules* rules, const int64_t* starts, int64_t* tile_ptr) noexcept:
    # The tiles of swapped pairs are those of the opposite offsets.
    cdef int64_t k, t, step = rules.n_tiles + 1, other
    for k in range(rules.n_offsets):
        other = rules.n_offsets - 1 - k
        for t in range(step):
            tile_ptr[k * step + t] = rules.tile_ptr[other * step + t] - starts[other] + starts[k]


cdef Block block_of(size_t size):
    cdef Block block = Block.__new__(Block)
    block.start, block.size = malloc(size + 1), <Py_ssize_t>size
    if block.start == NULL:
        raise MemoryError(f"Pairs: expected a size that fits the memory, got {size:,} bytes; use a smaller batch")
    return block


cdef Pairs pairs_in(Block block, const Found* found, int64_t n_offsets):
    """Return the Pairs of rules in a block; their arrays are made when they are asked for."""
    cdef Pairs made = Pairs.__new__(Pairs, FROM_BLOCK, None, None, 0, 0, None)
    made.block, made.n_in, made.n_out, made.n_offsets = block, found.n, found.m, n_offsets
    made.starts = found.offset_ptr
    made.rules.in_rows, made.rules.out_rows, made.rules.tile_ptr = found.in_rows, found.out_rows, found.tile_ptr
    made.rules.n_offsets, made.rules.n_tiles = n_offsets, found.n_tiles
    made.rules.n_out, made.rules.n_pairs = found.m, found.n_pairs
    return made


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
