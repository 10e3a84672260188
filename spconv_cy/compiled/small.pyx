"""Convolutions over rows of bfloat16 or 8 bits: packed weights, rows and their float32 values, maxima.

A row of c numbers has `width(c, dtype)` columns, uint16 for bfloat16 and uint8 for 8 bits, so that it is whole words of
4 bytes. Numbers of 8 bits stand for scale * (number - zero).
"""

import numpy as np

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import BackendError, ShapeError, expected

cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t

from spconv_cy.compiled.pairs cimport Pairs
from spconv_cy.cpu cimport conv as _conv
from spconv_cy.cpu cimport dots as _dots
from spconv_cy.cpu cimport isa as _isa

KINDS = {"bfloat16": _isa.BFLOAT16, "int8": _isa.INT8}
SHORT, BYTE, FLOAT = np.dtype(np.uint16), np.dtype(np.uint8), np.dtype(np.float32)
OF_DTYPE = {FLOAT: _isa.FLOAT32, SHORT: _isa.BFLOAT16, BYTE: _isa.INT8}
LARGEST_SUM = 2**31 - 1


def sets(precision):
    """Return {name: the set whose bits are emulated, or None} for "bfloat16" or "int8", best first."""
    names, kind = {}, _kind(precision)
    while _isa.dot_table_at(kind, <int>len(names)) != NULL:
        names.update([_told(_isa.dot_table_at(kind, <int>len(names)))])
    return names


def in_use(precision):
    """Return (name, the set whose bits are emulated, or None) of the kernels that weights are packed for."""
    return _told(_isa.dot_table(_kind(precision)))


def select(name=None):
    """Pack weights for the set of that name from the next call on; None: the best, or what SPCONV_CY_ISA asks for."""
    if name is None:
        _isa.select_dots(NULL)
    elif not _isa.select_dots(str(name).encode()):
        names = ", ".join(dict.fromkeys([*sets("bfloat16"), *sets("int8")]))
        raise BackendError(expected("select", f"one of {names}", repr(name),
                                    "this build and processor have no other instruction sets"))


def width(Py_ssize_t c, dtype):
    """Return the columns of a row of c numbers: whole words of 4 bytes."""
    cdef Py_ssize_t each = 4 // np.dtype(dtype).itemsize
    return -(-c // each) * each


cdef int _kind(precision) except -1:
    if precision not in KINDS:
        raise ValueError(expected("precision", "'bfloat16' or 'int8'", repr(precision)))
    return KINDS[precision]


cdef _told(const _isa.DotTable* table):
    return table.name.decode(), None if table.emulates == NULL else table.emulates.decode()


cdef const _isa.DotTable* _table(int kind, name) except NULL:
    cdef int i = 0
    if name is None:
        return _isa.dot_table(kind)
    while _isa.dot_table_at(kind, i) != NULL:
        if _isa.dot_table_at(kind, i).name.decode() == name:
            return _isa.dot_table_at(kind, i)
        i += 1
    raise BackendError(expected("Packed", "the name of a set that this processor has", repr(name)))


cdef class Begin:
    """What each pair of some packed weights begins with, as the kernels read it; see Packed.begin."""

    cdef readonly object rows

    def __cinit__(self, rows):
        self.rows = rows


cdef class Packed:
    """Weights (k, c, o), packed once for an instruction set. Immutable.

    Args:
        weights: uint16 (bfloat16) or int8, C-contiguous.
        name: of the set, one of `sets`; None: the one in use.

    Raises:
        ShapeError: not three axes.
        ValueError: a sum of products of 8 bits could pass 32 bits.
    """

    cdef _dots.Packed p
    cdef object _words, _extras, _begin
    cdef readonly str name

    def __cinit__(self, weights, name=None):
        kind = {np.dtype(np.uint16): _isa.BFLOAT16, np.dtype(np.int8): _isa.INT8}.get(weights.dtype)
        if kind is None or weights.ndim != 3:
            raise ShapeError(expected("Packed", "weights (k, c, o) of uint16 or int8",
                                      f"{weights.dtype} {weights.shape}"))
        self.p = _dots.shape_of(_table(kind, name), kind, weights.shape[0], weights.shape[1], weights.shape[2])
        self.name, self._begin = self.p.table.name.decode(), None
        self._words = np.zeros(_dots.packed_words(&self.p) + 1, np.uint32)
        cdef uint32_t[::1] words = self._words
        self.p.w = &words[0]
        weights = np.array(weights, order="C")
        if kind == _isa.INT8:
            self._prepare(weights)
        self._move(weights, False)

    def _prepare(self, weights):
        sums = np.abs(weights.astype(np.int64)).sum((0, 1))
        if sums.size and int(sums.max()) * 255 > LARGEST_SUM:
            raise ValueError(expected("Packed", f"sums of products within 32 bits, that is of weights below "
                                      f"{LARGEST_SUM // 255:,}", f"{int(sums.max()):,}", "keep the layer in float32"))
        if self.p.table.signed_x:
            self._begin = 128 * weights.astype(np.int32).sum(1)
        if self.p.table.layout != _isa.NARROW or not weights.size:
            return
        rest = np.zeros_like(weights)
        cdef int8_t[:, :, ::1] wide = weights, rests = rest
        cdef int64_t entries = 0, size = 0
        if _dots.split_bytes(&self.p, &wide[0, 0, 0], &rests[0, 0, 0]):
            with nogil:
                _dots.count_extras(&self.p, &rests[0, 0, 0], &entries, &size)
            self._hold_extras(entries, size)
            with nogil:
                _dots.pack_extras(&self.p, &rests[0, 0, 0])

    cdef _move(self, weights, bint unpack):
        cdef int8_t[:, :, ::1] wide
        cdef uint16_t[:, :, ::1] shorts
        if not weights.size:
            return
        if self.p.kind == _isa.INT8:
            wide = weights
            with nogil:
                _dots.pack_bytes(&self.p, &wide[0, 0, 0], unpack)
        else:
            shorts = weights
            with nogil:
                _dots.pack_shorts(&self.p, &shorts[0, 0, 0], unpack)

    def weights(self):
        """Return the weights (k, c, o) of uint16 or int8."""
        made = np.empty(self.shape, np.int8 if self.p.kind == _isa.INT8 else np.uint16)
        self._move(made, True)
        return made

    cdef _hold_extras(self, int64_t entries, int64_t size):
        cdef int64_t n = self.p.blocks * self.p.offsets
        cdef int64_t[::1] ptr = np.zeros(n + 1, np.int64), at = np.zeros(n, np.int64)
        cdef int32_t[::1] words = np.zeros(entries, np.int32)
        cdef uint32_t[::1] rests = np.zeros(size, np.uint32)
        self._extras = ptr.base, at.base, words.base, rests.base
        self.p.extra_ptr, self.p.extra_at = &ptr[0], &at[0]
        self.p.extra_words, self.p.extra_w = &words[0], &rests[0]

    @property
    def shape(self):
        """(k, c, o)"""
        return self.p.offsets, self.p.c, self.p.o

    @property
    def nbytes(self):
        """Bytes of the packed weights."""
        return self._words.nbytes + sum(array.nbytes for array in self._extras or ())

    def begin(self, rows):
        """Return what `conv` takes as `begin`, once for many calls: rows (k, o), or None."""
        cdef _dots.Packed* p = &self.p
        if rows is not None and rows.shape != (p.offsets, p.o):
            raise ShapeError(expected("conv", f"begin ({p.offsets}, {p.o})", f"shape {rows.shape}"))
        if self._begin is not None:
            rows = self._begin if rows is None else rows + self._begin
        if rows is None:
            return Begin(None)
        # Whole vectors of the sums' type.
        whole = np.zeros((p.offsets, p.vectors * p.table.lanes), np.float32 if p.kind == _isa.BFLOAT16 else np.int32)
        whole[:, :p.o] = rows
        return Begin(whole)

    def scratch_bytes(self, Pairs pairs not None, int n_threads=1):
        """Return the bytes that `conv` takes beside its arguments and its result."""
        return _dots.scratch_bytes(&self.p, &pairs.rules, n_threads)

    @property
    def extras(self):
        """Number of words that are multiplied once more, since 16 bits would not hold their products."""
        return 0 if self._extras is None else len(self._extras[2])


cdef _whole(array, Py_ssize_t columns, double fill=0.0):
    # A float32 row, or a number, as whole vectors of columns.
    cdef float[::1] row = np.zeros(-(-columns // 16) * 16 + 16, np.float32)
    np.asarray(row)[:columns] = fill if array is None else np.asarray(array, np.float32).reshape(-1)
    return row


cdef _isa.Close _close(float[::1] scale, float[::1] shift, float[::1] residual_scale, double slope, held):
    cdef _isa.Close how
    low, high, zero, inverse = held
    how.scale, how.shift, how.residual_scale, how.residual = &scale[0], &shift[0], &residual_scale[0], NULL
    how.slope, how.inverse, how.low, how.high, how.zero = <float>slope, inverse, low, high, zero
    how.residual_stride, how.source, how.added, how.to = 0, _isa.FLOAT32, _isa.NONE, _isa.FLOAT32
    return how


cdef const void* _address(array):
    cdef size_t place = array.__array_interface__["data"][0]
    return <const void*>place


def _held(scale, zero):
    # Limits and inverse of the step; a step of 0 or None makes all numbers `zero`.
    return -float(zero), 255.0 - zero, int(zero), 0.0 if not scale else float(np.float32(1) / np.float32(scale))


def _rows(who, array, Py_ssize_t n, Py_ssize_t c):
    # The columns side by side, rows at any distance of whole words.
    fits = array.ndim == 2 and array.dtype in OF_DTYPE and len(array) == n
    fits = fits and (array.size == 0 or array.strides[1] == array.itemsize and array.strides[0] >= 0
                     and array.strides[0] % 4 == 0)                     # numpy gives empty arrays strides of 0
    if not fits or array.shape[1] != (c if array.dtype == FLOAT else width(c, array.dtype)):
        raise ShapeError(expected(who, f"C-contiguous rows of {n} times {c} numbers: float32, or uint16 or uint8 of "
                                  "whole words", f"{array.dtype} {array.shape}"))


cdef _made(Py_ssize_t n, Py_ssize_t c, dtype, zero):
    return _filled(empty((n, c if dtype == FLOAT else width(c, dtype)), dtype), n, c, dtype, zero)


cdef _filled(y, Py_ssize_t n, Py_ssize_t c, dtype, zero):
    _rows("conv", y, n, c)
    if y.dtype != dtype or not y.flags.writeable:
        raise ShapeError(expected("conv", f"writeable rows of {dtype}", f"{y.dtype}"))
    if y.shape[1] > c:
        y[:, c:] = zero if dtype == BYTE else 0
    return y


@cython.binding(True)
def conv(x, Packed packed not None, Pairs pairs not None, *, scale=None, shift=None, begin=None, residual=None,
         residual_scale=None, slope=None, to=FLOAT, step=None, int zero=0, y=None, float[::1] room=None,
         int n_threads=1):
    """Return rows of dtype `to`: (x @ w + begin for each pair) * scale + shift + residual * residual_scale.

    Args:
        x: (n_in, width) uint16 or uint8, as the packed weights.
        scale, shift, residual_scale: (o,) float32, or None.
        begin: (k, o) float32 for bfloat16, int32 for 8 bits; or what Packed.begin made of it; or None.
        residual: rows (n_out, o) of float32, or (n_out, width) of uint16 or uint8; or None.
        slope: of a leaky ReLU of the sum, or None.
        to: float32, uint16 or uint8. For uint8 the result is divided by `step`, rounded to even, `zero` added, and
            held between 0 and 255.
        y: where the rows are written, (n_out, o) or (n_out, width), the columns side by side; None: into a new array.
        room: memory for sums, of `scratch_bytes` or more; None: it is taken and given back.
    """
    cdef _dots.Packed* p = &packed.p
    cdef const _conv.Rules* rules = &pairs.rules
    cdef Py_ssize_t o = p.o
    to = np.dtype(to)
    _rows("conv", x, pairs.n_in, p.c)
    if OF_DTYPE[x.dtype] != p.kind or pairs.n_offsets != p.offsets:
        raise ShapeError(expected("conv", f"rows of the kind of the weights, and {p.offsets} offsets",
                                  f"{x.dtype} and {pairs.n_offsets} offsets"))
    if residual is not None:
        _rows("conv", residual, pairs.n_out, o)
    y = _made(rules.n_out, o, to, zero) if y is None else _filled(y, pairs.n_out, o, to, zero)
    if y.size == 0:
        return y
    begin = (begin if isinstance(begin, Begin) else packed.begin(begin)).rows
    cdef float[::1] scale_row = _whole(scale, o, 1.0), shift_row = _whole(shift, o)
    cdef float[::1] added_row = _whole(residual_scale, o, 1.0)
    cdef _isa.Close how = _close(scale_row, shift_row, added_row, 1.0 if slope is None else slope, _held(step, zero))
    how.source, how.to = _isa.FLOAT32 if p.kind == _isa.BFLOAT16 else _isa.INT8, OF_DTYPE[to]
    if residual is not None:
        how.residual, how.residual_stride = _address(residual), residual.strides[0]
        how.added = OF_DTYPE[residual.dtype]
    if room is None or 4 * room.shape[0] < _dots.scratch_bytes(p, rules, n_threads):
        room = empty((_dots.scratch_bytes(p, rules, n_threads) // 4 + 1,))
    cdef const uint32_t* px = <const uint32_t*>_address(x)
    cdef const int32_t* pb = <const int32_t*>_address(begin) if begin is not None else NULL
    cdef void* py = <void*>_address(y)
    cdef int64_t x_stride = x.strides[0] // 4, y_stride = y.strides[0]
    with nogil:
        _dots.conv(p, px, x_stride, pb, py, y_stride, <char*>&room[0], rules, &how, n_threads)
    return y


def encode(x, to, *, step=None, int zero=0, y=None, int n_threads=1):
    """Return rows (n, c) of float32 as uint16 (bfloat16), or as uint8 in steps from `zero`, held between 0 and 255.

    With y they are written there, as for conv.
    """
    return mapped(x, x.shape[1], to, step=step, zero=zero, y=y, n_threads=n_threads)


def decode(x, Py_ssize_t c, *, scale=None, shift=None, y=None, int n_threads=1):
    """Return rows (n, c) float32: numbers of uint16 or uint8 times scale plus shift, each (c,) or a number or None.

    With y they are written there, as for conv.
    """
    return mapped(x, c, FLOAT, scale=scale, shift=shift, y=y, n_threads=n_threads)


def mapped(x, Py_ssize_t c, to, *, scale=None, shift=None, slope=None, step=None, int zero=0, y=None,
           int n_threads=1):
    """Return rows of dtype `to`: rows x of c numbers times scale plus shift, through a leaky ReLU.

    Args:
        x: rows of float32, uint16 or uint8.
        scale, shift: (c,) float32, or a number, or None.
        slope, to, step, zero, y: as for conv.
    """
    to = np.dtype(to)
    _rows("mapped", x, len(x), c)
    y = _made(len(x), c, to, zero) if y is None else _filled(y, len(x), c, to, zero)
    cdef float[::1] scales = _whole(scale, c, 1.0), shifts = _whole(shift, c), zeros = _whole(None, c)
    cdef _isa.Close how = _close(scales, shifts, scales, 1.0 if slope is None else slope, _held(step, zero))
    cdef const _isa.DotTable* table = _isa.dot_table(_isa.INT8)
    cdef int64_t n = len(x), cols = c, stride = y.strides[0]
    how.residual, how.residual_stride, how.added, how.to = _address(x), x.strides[0], OF_DTYPE[x.dtype], OF_DTYPE[to]
    cdef void* py = <void*>_address(y)
    if y.size:
        with nogil:
            _dots.convert(table, py, stride, &zeros[0], n, cols, &how, n_threads)
    return y


def max_pool(x, Pairs pairs not None, ground, const uint8_t[::1] is_open=None, *, y=None, int n_threads=1):
    """Return the greatest numbers (n_out, width) of the input rows of each output row, of uint16 or uint8.

    Args:
        ground: (1, width), the row where there are no pairs; it competes where is_open (n_out,) is 1.
        y: (n_out, width) C-contiguous, where they are written; None: a new array.
    """
    if x.dtype not in (SHORT, BYTE) or ground.dtype != x.dtype or ground.shape != (1, x.shape[1]) \
            or len(x) != pairs.n_in or not x.flags.c_contiguous or not ground.flags.c_contiguous \
            or (is_open is not None and is_open.shape[0] != pairs.n_out):
        raise ShapeError(expected("max_pool", f"{pairs.n_in} rows and a ground (1, width) of uint16 or uint8, and "
                                  f"is_open ({pairs.n_out},) or None", f"{x.dtype} {x.shape}, {ground.dtype} "
                                  f"{ground.shape}"))
    y = empty((pairs.n_out, x.shape[1]), x.dtype) if y is None else y
    if y.shape != (pairs.n_out, x.shape[1]) or y.dtype != x.dtype or not y.flags.carray:
        raise ShapeError(expected("max_pool", f"y {(pairs.n_out, x.shape[1])} of {x.dtype}", f"{y.dtype} {y.shape}"))
    cdef int kind = OF_DTYPE[x.dtype]
    cdef const void* px = _address(x)
    cdef const void* pg = _address(ground)
    cdef void* py = <void*>_address(y)
    cdef const uint8_t* popen = NULL
    cdef int64_t cols = x.shape[1]
    if is_open is not None and is_open.shape[0]:
        popen = &is_open[0]
    if y.size:
        with nogil:
            _dots.max_pool(kind, px, py, cols, pg, popen, &pairs.rules, n_threads)
    return y
