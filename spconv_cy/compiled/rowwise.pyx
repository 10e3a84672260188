"""FACADE of the row-wise verbs: activations and column-wise maps of float32 rows, arrays in, checks, arrays out."""

import numpy as np

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError

from spconv_cy.cpu cimport rowwise
from spconv_cy.cpu.isa cimport Affine, kernels


def leaky_relu(const float[:, ::1] x, float slope, *, int n_threads=1):
    """Ops.leaky_relu for C-contiguous float32 arrays."""
    out = empty((x.shape[0], x.shape[1]))
    cdef float[:, ::1] y = out
    if out.size:
        with nogil:
            rowwise.leaky(kernels(), &x[0, 0], &y[0, 0], slope, x.shape[0] * x.shape[1], n_threads)
    return out


def leaky_relu_dx(const float[:, ::1] y, const float[:, ::1] dy, float slope, *, int n_threads=1):
    """Ops.leaky_relu_dx for C-contiguous float32 arrays."""
    _same("leaky_relu_dx", y, dy)
    out = empty((y.shape[0], y.shape[1]))
    cdef float[:, ::1] dx = out
    if out.size:
        with nogil:
            rowwise.leaky_dx(kernels(), &y[0, 0], &dy[0, 0], &dx[0, 0], slope, y.shape[0] * y.shape[1], n_threads)
    return out


def moments(const float[:, ::1] x, *, int n_threads=1):
    """Ops.moments for C-contiguous float32 arrays."""
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1]
    out = np.zeros((3, c), np.float32)
    cdef float[:, ::1] found = out
    cdef double[::1] sums = _sums(n, c)
    if n and c:
        with nogil:
            rowwise.moments(kernels(), &x[0, 0], &found[0, 0], &sums[0], n, c, n_threads)
    return out


def affine(const float[:, ::1] x, const float[:, ::1] rows, float slope=1.0, *, int n_threads=1):
    """Ops.affine for C-contiguous float32 arrays."""
    cdef Affine map = _map("affine", x, rows, slope)
    out = empty((x.shape[0], x.shape[1]))
    cdef float[:, ::1] y = out
    if out.size:
        with nogil:
            rowwise.affine(kernels(), &x[0, 0], &y[0, 0], &map, x.shape[0], n_threads)
    return out


def affine_sums(const float[:, ::1] x, const float[:, ::1] dy, const float[:, ::1] rows, float slope=1.0, *,
                int n_threads=1):
    """Ops.affine_sums for C-contiguous float32 arrays."""
    cdef Affine map = _map("affine_sums", x, rows, slope)
    _same("affine_sums", x, dy)
    out = np.zeros((2, x.shape[1]), np.float32)
    cdef float[:, ::1] found = out
    cdef double[::1] sums = _sums(x.shape[0], x.shape[1])
    if x.shape[0] and x.shape[1]:
        with nogil:
            rowwise.affine_sums(kernels(), &x[0, 0], &dy[0, 0], &found[0, 0], &sums[0], &map, x.shape[0], n_threads)
    return out


def affine_dx(const float[:, ::1] x, const float[:, ::1] dy, const float[:, ::1] rows, const float[:, ::1] ab,
              float slope=1.0, *, int n_threads=1):
    """Ops.affine_dx for C-contiguous float32 arrays."""
    cdef Affine map = _map("affine_dx", x, rows, slope)
    _same("affine_dx", x, dy)
    if ab.shape[0] != 2 or ab.shape[1] != x.shape[1]:
        raise ShapeError(f"affine_dx: ab {(ab.shape[0], ab.shape[1])} came; {(2, x.shape[1])} fits")
    out = empty((x.shape[0], x.shape[1]))
    cdef float[:, ::1] dx = out
    if out.size:
        with nogil:
            rowwise.affine_dx(kernels(), &x[0, 0], &dy[0, 0], &dx[0, 0], &map, &ab[0, 0], x.shape[0], n_threads)
    return out


cdef _sums(Py_ssize_t n, Py_ssize_t c):
    return np.empty(2 * max(1, -(-n // rowwise.CHUNK_ROWS)) * c, np.float64)


cdef Affine _map(who, const float[:, ::1] x, const float[:, ::1] rows, float slope) except *:
    cdef Affine map
    cdef Py_ssize_t c = x.shape[1]
    if rows.shape[0] != 4 or rows.shape[1] != c:
        raise ShapeError(f"{who}: x {(x.shape[0], c)} and rows {(rows.shape[0], rows.shape[1])} came; (n, c) and "
                         "(4, c) fit: centre, rest, scale, shift")
    map.c, map.slope = c, slope
    map.centre = &rows[0, 0] if c else NULL
    map.rest, map.scale, map.shift = map.centre + c, map.centre + 2 * c, map.centre + 3 * c
    return map


cdef _same(who, const float[:, ::1] a, const float[:, ::1] b):
    if a.shape[0] != b.shape[0] or a.shape[1] != b.shape[1]:
        raise ShapeError(f"{who}: {(a.shape[0], a.shape[1])} and {(b.shape[0], b.shape[1])} came; equal shapes fit")
