"""Row-wise operations, activations and column-wise maps: float32 arrays in, checks, pointers down, arrays out."""

import numpy as np

from spconv_cy.compiled.memory import empty
from spconv_cy.operands import check_affine, check_equal, check_matrix

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
    cdef double[::1] sums = _sums(n, c)
    if n and c:
        with nogil:
            rowwise.moments(kernels(), &x_rows[0, 0], &found[0, 0], &sums[0], n, c, n_threads)
    return out


def affine(x, rows, float slope=1.0, *, int n_threads=1):
    """Ops.affine for C-contiguous float32 arrays."""
    check_affine("affine", x, rows)
    cdef const float[:, ::1] x_rows = x, map_rows = rows
    cdef Affine map = _map(map_rows, slope)
    out = empty(x.shape)
    cdef float[:, ::1] y = out
    if out.size:
        with nogil:
            rowwise.affine(kernels(), &x_rows[0, 0], &y[0, 0], &map, x_rows.shape[0], n_threads)
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


cdef _sums(Py_ssize_t n, Py_ssize_t c):
    return np.empty(2 * max(1, -(-n // rowwise.CHUNK_ROWS)) * c, np.float64)


cdef Affine _map(const float[:, ::1] rows, float slope) noexcept:
    cdef Affine map
    cdef Py_ssize_t c = rows.shape[1]
    map.c, map.slope = c, slope
    map.centre = &rows[0, 0] if c else NULL
    map.rest, map.scale, map.shift = map.centre + c, map.centre + 2 * c, map.centre + 3 * c
    return map
