"""Steps of a frozen network: packed weights, and operations that write into rows of memory that is given.

Rows of x, y and residual are float32, with neighbouring columns side by side and any distance from row to row, so that
an operation may read or write some columns of wider rows.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uintptr_t

import numpy as np

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected

from spconv_cy.compiled.pairs cimport Pairs
from spconv_cy.cpu cimport conv as _conv
from spconv_cy.cpu cimport frozen as _frozen
from spconv_cy.cpu cimport isa as _isa
from spconv_cy.cpu.threads cimport startable


cdef enum:
    ALIGNMENT = 16              # floats of a line of the cache


def packed_floats(shape):
    """Return how many numbers the packed weights of a shape (k, c, o) or (k, g, c, o) take."""
    if len(shape) not in (3, 4):
        raise ShapeError(expected("Packed", "weights (k, c, o) or (k, g, c, o)", f"shape {shape}"))
    cdef _conv.Shape inner = _conv.Shape(1 if len(shape) == 3 else shape[1], shape[-2], shape[-1])
    return _conv.packed_floats(_isa.kernels(), inner, shape[0]) + ALIGNMENT


cdef class Packed:
    """Weights (k, g, c, o) in the order in which the kernels of the instruction set in use read them.

    Args:
        w: (k, c, o), or (k, g, c, o) for g groups, float32; copied.
        room: (packed_floats(w.shape),) float32 to copy it into, or None.

    Attributes:
        crc: CRC-32 of w, taken while it was copied; None for the w of other processors, dtypes and orders.

    If another instruction set is selected later, weights in its order are made once and kept.
    """

    cdef object array, others
    cdef float[::1] numbers
    cdef const float* start
    cdef const _isa.KernelTable* table
    cdef _conv.Shape shape
    cdef readonly Py_ssize_t n_offsets
    cdef readonly object crc

    def __cinit__(self, w, room=None):
        cdef const float[:, :, :, ::1] w4 = np.require(w if w.ndim == 4 else w[:, None], np.float32, "CA")
        cdef _conv.Weights weights
        cdef int i
        cdef int64_t offset, size = w4.shape[1] * w4.shape[2] * w4.shape[3]
        cdef uint32_t crc = 0
        cdef bint counts = _isa.crc_kernel() != NULL and w.dtype == np.float32 and w.flags.c_contiguous
        self.crc = 0 if counts else None
        self.table, self.n_offsets, self.others = _isa.kernels(), w4.shape[0], {}
        self.shape = _conv.Shape(w4.shape[1], w4.shape[2], w4.shape[3])
        cdef int64_t floats = _conv.packed_floats(self.table, self.shape, self.n_offsets)
        self.array = empty((floats + ALIGNMENT,)) if room is None else room
        self.numbers = self.array
        if self.numbers.shape[0] < floats + ALIGNMENT:
            raise ShapeError(expected("Packed", f"room of {floats + ALIGNMENT} numbers", self.numbers.shape[0]))
        self.start = &self.numbers[0] + (-<uintptr_t>&self.numbers[0] % 64) // sizeof(float)
        if not floats:
            return
        weights.start = &w4[0, 0, 0, 0]
        weights.packed = NULL
        for i in range(4):
            weights.stride[i] = w4.strides[i] // <Py_ssize_t>sizeof(float)
        with nogil:
            for offset in range(self.n_offsets):
                if counts:
                    crc = _isa.crc32(crc, weights.start + offset * size, <size_t>size * sizeof(float))
                _conv.pack_offset(self.table, &weights, self.shape, self.n_offsets, <float*>self.start, offset)
        if counts:
            self.crc = crc

    @property
    def nbytes(self):
        """Bytes of the packed weights."""
        return self.array.nbytes

    @property
    def groups(self):
        """Number of groups."""
        return self.shape.groups

    @property
    def channels_in(self):
        """Number of channels in, of all groups."""
        return self.shape.groups * self.shape.c

    @property
    def channels_out(self):
        """Number of channels out, of all groups."""
        return self.shape.groups * self.shape.o

    def weight(self):
        """Return the weights again, (k, g, c, o)."""
        out = np.zeros((self.n_offsets, self.shape.groups, self.shape.c, self.shape.o), np.float32)
        cdef float[:, :, :, ::1] w = out
        if out.size:
            _conv.unpack_weights(self.table, self.start, self.shape, self.n_offsets, &w[0, 0, 0, 0])
        return out

    cdef Packed now(self):
        cdef const _isa.KernelTable* table = _isa.kernels()
        if table == self.table:
            return self
        found = self.others.get(table.name)
        if found is None:
            found = self.others.setdefault(table.name, Packed(self.weight()))
        return found

    def __reduce__(self):
        return Packed, (self.weight(),)

    def scratch_bytes(self, Pairs pairs not None, int n_threads=1, Packed before=None, Packed then=None):
        """Return how many bytes conv takes for these pairs, for sums and what is computed beside, beside x and y."""
        cdef Packed w = self.now()
        cdef _conv.Weights weights
        cdef _conv.Beside beside
        weights.packed = w.start
        cdef const _conv.Beside* there = &beside if before is not None or then is not None else <_conv.Beside*>NULL
        _clear(&beside)
        if before is not None:
            beside.before.o = before.shape.o
        if then is not None:
            beside.then.o = then.shape.o
        return <int64_t>sizeof(float) * _conv.scratch_floats(w.table, &weights, &pairs.rules, w.shape, n_threads, there)


cdef const float* _rows(const float[:, :] a, int64_t n, int64_t c, int64_t* stride, what) except? NULL:
    # The first number of rows (n, c), and the floats from row to row; 0 rows have none.
    if a.shape[0] != n or a.shape[1] != c or (c > 1 and n and a.strides[1] != sizeof(float)):
        raise ShapeError(expected("frozen", f"{what} ({n}, {c}), columns side by side",
                                  f"shape {a.shape[0], a.shape[1]}, strides {a.strides[0], a.strides[1]}"))
    stride[0] = a.strides[0] // <Py_ssize_t>sizeof(float)
    return &a[0, 0] if n and c else NULL


cdef const float* _row(const float[:, ::1] a, int64_t rows, int64_t c, what) except? NULL:
    if a.shape[0] != rows or a.shape[1] != c:
        raise ShapeError(expected("frozen", f"{what} ({rows}, {c})", f"shape {a.shape[0], a.shape[1]}"))
    return &a[0, 0] if c else NULL


cdef void _clear(_conv.Beside* beside) noexcept:
    beside.before.packed = beside.then.packed = NULL
    beside.before.o = beside.then.o = 0


cdef int _rowwise(_conv.Rowwise* to, Packed packed, const float[:, ::1] bias, const float[:, ::1] rows,
                  slope) except -1:
    # Without what is read.
    cdef const float* map_rows
    cdef int64_t o = packed.shape.o
    if packed.n_offsets != 1 or packed.shape.groups != 1:
        raise ShapeError(expected("frozen", "weights of one offset and one group beside a convolution",
                                  f"{packed.n_offsets} and {packed.shape.groups}"))
    to.packed, to.c, to.o = packed.start, packed.shape.c, o
    to.bias = NULL
    if bias is not None:
        to.bias = _row(bias, 1, o, "bias")
    to.finish.scale = NULL
    to.finish.residual = NULL
    to.finish.slope = 1.0 if slope is None else slope
    if rows is not None:
        map_rows = _row(rows, 4, o, "rows")
        to.finish.centre, to.finish.rest = map_rows, map_rows + o
        to.finish.scale, to.finish.shift = map_rows + 2 * o, map_rows + 3 * o
    return 0


def conv(const float[:, :] x, Packed packed not None, Pairs pairs not None, float[:, :] y,
         const float[:, ::1] bias=None, const float[:, ::1] rows=None, slope=None, const float[:, :] residual=None,
         int n_threads=1, float[::1] room=None, before=None, then=None):
    """Write Ops.conv_after of x (n_in, c) into y (n_out, o); room: memory of `scratch_bytes`, or None.

    before: (x (n_out, c'), Packed, bias, rows, slope) of the residual, the product of each row by itself; then:
    (Packed, bias, rows, slope), a product of each row of the result, which y gets.
    """
    cdef Packed w = packed.now()
    cdef const _conv.Rules* rules = &pairs.rules
    cdef _conv.Shape shape = w.shape
    cdef int64_t c = shape.groups * shape.c, o = shape.groups * shape.o
    cdef _conv.Weights weights
    cdef _conv.After after
    cdef const float* px
    cdef const float* pb = NULL
    cdef const float* map_rows
    cdef float* py
    cdef _conv.Beside beside
    cdef Packed first = None, last = None
    cdef const float[:, :] x_before
    cdef int64_t columns = o
    _clear(&beside)
    if before is not None:
        x_before, first = before[0], (<Packed>before[1]).now()
        _rowwise(&beside.before, first, before[2], before[3], before[4])
        beside.before.x = _rows(x_before, rules.n_out, first.shape.c, &beside.before.x_stride, "x of the residual")
    if then is not None:
        last = (<Packed>then[0]).now()
        _rowwise(&beside.then, last, then[1], then[2], then[3])
        columns = last.shape.o
    if (first is not None and (first.shape.o != o or residual is not None) or last is not None and last.shape.c != o
            or (first is not None or last is not None) and w.shape.groups != 1):
        raise ShapeError(expected("frozen", f"one group, and products beside of {o} columns", "others"))
    if rules.n_offsets != w.n_offsets:
        raise ShapeError(expected("frozen", f"a rulebook of {w.n_offsets} offsets", rules.n_offsets))
    px = _rows(x, pairs.n_in, c, &after.x_stride, "x")
    py = <float*>_rows(y, rules.n_out, columns, &after.y_stride, "y")
    after.room = NULL
    after.finish.scale = NULL
    after.finish.residual = NULL
    after.finish.slope = 1.0 if slope is None else slope
    if bias is not None:
        pb = _row(bias, 1, o, "bias")
    if rows is not None:
        map_rows = _row(rows, 4, o, "rows")
        after.finish.centre, after.finish.rest = map_rows, map_rows + o
        after.finish.scale, after.finish.shift = map_rows + 2 * o, map_rows + 3 * o
    if residual is not None:
        after.finish.residual = _rows(residual, rules.n_out, o, &after.finish.residual_stride, "residual")
    if py == NULL:
        return
    weights.packed = w.start
    cdef const _conv.Beside* there = NULL
    if first is not None or last is not None:
        there = &beside
    cdef int64_t floats = _conv.scratch_floats(w.table, &weights, rules, shape, n_threads, there)
    cdef float[::1] scratch = room if room is not None and room.shape[0] >= floats else empty((floats,))
    with nogil:
        _conv.conv(w.table, px, &weights, &scratch[0], pb, py, rules, shape, &after, n_threads, there)


def mapped(const float[:, :] x, float[:, :] y, const float[:, ::1] rows=None, const float[:, :] residual=None,
           slope=None, int n_threads=1):
    """Write Ops.affine of x (n, c), by a map of columns (4, c) or None, plus a residual, into y, which may be x."""
    cdef int64_t n = x.shape[0], c = x.shape[1], x_stride, y_stride
    cdef _isa.Finish how
    cdef const float* map_rows = NULL
    cdef const float* px = _rows(x, n, c, &x_stride, "x")
    cdef float* py = <float*>_rows(y, n, c, &y_stride, "y")
    how.scale = NULL
    how.residual = NULL
    how.slope = 1.0 if slope is None else slope
    if rows is not None:
        map_rows = _row(rows, 4, c, "rows")
        how.centre, how.rest, how.scale, how.shift = map_rows, map_rows + c, map_rows + 2 * c, map_rows + 3 * c
    if residual is not None:
        how.residual = _rows(residual, n, c, &how.residual_stride, "residual")
    if px != NULL:
        with nogil:
            _frozen.map_rows(_isa.kernels(), px, x_stride, py, y_stride, n, c, &how, n_threads)


def open_windows(Pairs pairs, volume):
    """Return (n_out,) uint8: 1 if the window of an output has an inactive site, or no active one.

    volume: the number of sites of a window, an int or (n_out,) int64.
    """
    cdef int64_t i, n = pairs.n_out
    cdef bint differ = isinstance(volume, np.ndarray)
    cdef const int64_t[::1] volumes = volume if differ else None
    cdef int64_t same = 0 if differ else volume
    cdef int32_t[::1] counts = np.zeros(n, np.int32)
    cdef uint8_t[::1] found = empty(n, np.uint8)
    for i in range(pairs.rules.n_pairs):
        counts[pairs.rules.out_rows[i]] += 1
    for i in range(n):
        found[i] = <uint8_t>(counts[i] == 0 or counts[i] < (volumes[i] if differ else same))
    return np.asarray(found)


def max_pool(const float[:, ::1] x, Pairs pairs not None, float[:, ::1] y, const float[:, ::1] ground=None,
             volume=None, slope=None, int n_threads=1):
    """Write the maxima of Ops.max_pool, through a leaky ReLU, into y (n_out, c).

    With a ground (1, c), volume is the number of sites of a window, an int or (n_out,) int64.
    """
    cdef int64_t c = x.shape[1], stride
    cdef float below = 1.0 if slope is None else slope
    cdef const float* px = _rows(x, pairs.n_in, c, &stride, "x")
    cdef float* py = <float*>_rows(y, pairs.rules.n_out, c, &stride, "y")
    cdef const float* pg = NULL
    cdef const uint8_t* popen = NULL
    if ground is not None:
        pg = _row(ground, 1, c, "ground")
    if py == NULL:
        return
    cdef uint8_t[::1] is_open
    if ground is not None:
        is_open = open_windows(pairs, volume)
        popen = &is_open[0]
    cdef int32_t[::1] winner = np.zeros(startable(n_threads) * c, np.int32)
    with nogil:
        _frozen.max_pool(_isa.kernels(), px, pg, popen, py, &winner[0], &pairs.rules, c, below, n_threads)
