"""Row-wise operations, activations and column-wise maps: float32 arrays in, checks, pointers down, arrays out."""

import numpy as np

from spconv_cy.compiled.memory import empty
from spconv_cy.operands import (
    check_affine,
    check_equal,
    check_labels,
    check_matrix,
    check_parts,
    check_sum,
    check_widths,
    refuse_label,
)

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from spconv_cy.cpu cimport moments as _moments
from spconv_cy.cpu cimport rowwise
from spconv_cy.cpu.isa cimport Affine, kernels


def leaky_relu(x, float slope, *, int n_threads=1):
    """Ops.leaky_relu for C-contiguous float32 arrays."""
    check_matrix("leaky_relu", x)
    cdef const float[:, ::1] x_rows = x
    out = empty(x.shape)
    cdef float[:, ::1] y = out
    if out.size:
        with nogil:
            rowwise.leaky(kernels(), &x_rows[0, 0], &y[0, 0], slope, x_rows.shape[0] * x_rows.shape[1], n_threads)
    return out


def leaky_relu_dx(y, dy, float slope, *, int n_threads=1):
    """Ops.leaky_relu_dx for C-contiguous float32 arrays."""
    check_equal("leaky_relu_dx", y, dy)
    cdef const float[:, ::1] y_rows = y, dy_rows = dy
    out = empty(y.shape)
    cdef float[:, ::1] dx = out
    if out.size:
        with nogil:
            rowwise.leaky_dx(kernels(), &y_rows[0, 0], &dy_rows[0, 0], &dx[0, 0], slope,
                             y_rows.shape[0] * y_rows.shape[1], n_threads)
    return out


def moments(x, *, int n_threads=1):
    """Ops.moments for C-contiguous float32 arrays."""
    check_matrix("moments", x)
    cdef const float[:, ::1] x_rows = x
    cdef Py_ssize_t n = x_rows.shape[0], c = x_rows.shape[1]
    out = np.zeros((3, c), np.float32)
    cdef float[:, ::1] found = out
    cdef double[::1] room = np.empty(_moments.room_of(n, _moments.PART_ROWS, c), np.float64)
    if n and c:
        with nogil:
            _moments.moments(kernels(), &x_rows[0, 0], &found[0, 0], &room[0], n, c, n_threads)
    return out


def affine(x, rows, float slope=1.0, residual=None, *, int n_threads=1):
    """Ops.affine for C-contiguous float32 arrays."""
    check_affine("affine", x, rows, residual)
    cdef const float[:, ::1] x_rows = x, map_rows = rows, added = residual
    cdef Affine map = _map(map_rows, slope)
    cdef const float* pr = NULL
    out = empty(x.shape)
    cdef float[:, ::1] y = out
    if out.size:
        if added is not None:
            pr = &added[0, 0]
        with nogil:
            rowwise.affine(kernels(), &x_rows[0, 0], pr, &y[0, 0], &map, x_rows.shape[0], n_threads)
    return out


def affine_sums(x, dy, rows, float slope=1.0, *, int n_threads=1):
    """Ops.affine_sums for C-contiguous float32 arrays."""
    check_affine("affine_sums", x, rows, dy)
    cdef const float[:, ::1] x_rows = x, dy_rows = dy, map_rows = rows
    cdef Affine map = _map(map_rows, slope)
    cdef Py_ssize_t n = x_rows.shape[0], c = x_rows.shape[1]
    out = np.zeros((2, c), np.float32)
    cdef float[:, ::1] found = out
    cdef double[::1] sums = _sums(n, c)
    if n and c:
        with nogil:
            rowwise.affine_sums(kernels(), &x_rows[0, 0], &dy_rows[0, 0], &found[0, 0], &sums[0], &map, n, n_threads)
    return out


def affine_dx(x, dy, rows, ab, float slope=1.0, *, int n_threads=1):
    """Ops.affine_dx for C-contiguous float32 arrays."""
    check_affine("affine_dx", x, rows, dy, ab)
    cdef const float[:, ::1] x_rows = x, dy_rows = dy, map_rows = rows, ab_rows = ab
    cdef Affine map = _map(map_rows, slope)
    out = empty(x.shape)
    cdef float[:, ::1] dx = out
    if out.size:
        with nogil:
            rowwise.affine_dx(kernels(), &x_rows[0, 0], &dy_rows[0, 0], &dx[0, 0], &map, &ab_rows[0, 0],
                              x_rows.shape[0], n_threads)
    return out


def add(x, y, out=None, *, int n_threads=1):
    """Ops.add for C-contiguous float32 arrays."""
    check_sum(x, y, out)
    out = empty(x.shape) if out is None else out
    cdef const float[::1] a = x.reshape(-1), b = y.reshape(-1)
    cdef float[::1] total = out.reshape(-1)
    if total.shape[0]:
        with nogil:
            rowwise.sum(kernels(), &a[0], &b[0], &total[0], total.shape[0], n_threads)
    return out


def concatenate(parts, *, int n_threads=1):
    """Ops.concatenate for a tuple of C-contiguous float32 arrays."""
    cdef Py_ssize_t n, c = check_parts(parts)
    out = empty((len(parts[0]), c))
    cdef float[:, ::1] y = out
    cdef vector[rowwise.Part] columns
    for x in parts:
        _add_part(columns, x)
    if out.size:
        n = len(out)
        with nogil:
            rowwise.join(kernels(), columns, &y[0, 0], n, c, n_threads)
    return out


def split(x, widths, *, int n_threads=1):
    """Ops.split for a C-contiguous float32 array."""
    check_widths(x, widths)
    cdef const float[:, ::1] x_rows = x
    cdef vector[rowwise.Part] columns
    outs = tuple([empty((len(x), c)) for c in widths])
    for out in outs:
        _add_part(columns, out)
    if x.size:
        with nogil:
            rowwise.part(kernels(), &x_rows[0, 0], columns, x_rows.shape[0], x_rows.shape[1], n_threads)
    return outs


def cross_entropy(x, labels, counts=None, *, int n_threads=1):
    """Ops.cross_entropy for C-contiguous float32 arrays and int64 labels."""
    check_labels("cross_entropy", x, labels, counts)
    cdef const float[:, ::1] x_rows = x
    cdef Py_ssize_t n = x_rows.shape[0], c = x_rows.shape[1]
    cdef const int64_t[::1] numbers = labels
    cdef const float[::1] factors = counts
    cdef const float* shares = NULL
    found = empty((n, 2))
    cdef float[:, ::1] rows = found
    cdef double[::1] sums = np.empty(-(-n // rowwise.CHUNK_ROWS), np.float64)
    cdef double total = 0
    cdef const float* x_start = NULL
    if x.size:
        x_start = &x_rows[0, 0]
    if n:
        _refuse_misfits("cross_entropy", numbers, c)
        if counts is not None:
            shares = &factors[0]
        with nogil:
            total = rowwise.entropy(kernels(), x_start, &numbers[0], shares, &rows[0, 0], &sums[0], n, c, n_threads)
    return np.array(total, np.float32), found


def cross_entropy_dx(x, found, labels, float factor, counts=None, *, int n_threads=1):
    """Ops.cross_entropy_dx for C-contiguous float32 arrays and int64 labels."""
    check_labels("cross_entropy_dx", x, labels, counts, found)
    cdef const float[:, ::1] x_rows = x, rows = found
    cdef Py_ssize_t n = x_rows.shape[0], c = x_rows.shape[1]
    cdef const int64_t[::1] numbers = labels
    cdef const float[::1] factors = counts
    cdef const float* shares = NULL
    out = empty(x.shape)
    cdef float[:, ::1] dx = out
    if out.size:
        _refuse_misfits("cross_entropy_dx", numbers, c)
        if counts is not None:
            shares = &factors[0]
        with nogil:
            rowwise.entropy_dx(kernels(), &x_rows[0, 0], &rows[0, 0], &numbers[0], shares, factor, &dx[0, 0], n, c,
                               n_threads)
    return out


cdef _add_part(vector[rowwise.Part]& columns, const float[:, ::1] x):
    cdef rowwise.Part part
    part.rows = NULL
    if x.shape[0] and x.shape[1]:
        part.rows = <float*>&x[0, 0]
    part.c = x.shape[1]
    columns.push_back(part)


cdef _refuse_misfits(who, const int64_t[::1] labels, Py_ssize_t c):
    cdef int64_t place = rowwise.misfit(&labels[0], labels.shape[0], c)
    if place >= 0:
        refuse_label(who, labels[place], c)


cdef _sums(Py_ssize_t n, Py_ssize_t c):
    return np.empty(2 * max(1, -(-n // rowwise.CHUNK_ROWS)) * c, np.float64)


cdef Affine _map(const float[:, ::1] rows, float slope) noexcept:
    cdef Affine map
    cdef Py_ssize_t c = rows.shape[1]
    map.c, map.slope = c, slope
    map.centre = &rows[0, 0] if c else NULL
    map.rest, map.scale, map.shift = map.centre + c, map.centre + 2 * c, map.centre + 3 * c
    return map
