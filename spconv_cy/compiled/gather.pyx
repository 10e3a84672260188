"""Rows by their numbers: float32 arrays and row numbers in, checks, pointers down, arrays out."""

from libc.stdint cimport int32_t

import numpy as np

from spconv_cy.compiled.memory import empty, zeros
from spconv_cy.operands import check_scatter, check_take

from spconv_cy.cpu cimport gather
from spconv_cy.cpu.isa cimport kernels


def take(x, rows, ground=None, *, int n_threads=1):
    """Ops.take for C-contiguous float32 arrays; rows are of any integer dtype."""
    if rows.dtype != np.int32 or rows.ndim != 1 or x.ndim != 2 or ground is not None:
        check_take(x, rows, ground)
    cdef const float[:, ::1] x_rows = x
    cdef const float[:, ::1] values = ground
    cdef const int32_t[::1] places = np.require(rows, np.int32, "CA")
    cdef Py_ssize_t n = x_rows.shape[0], m = places.shape[0], c = x_rows.shape[1]
    if m and not gather.lie_in(&places[0], m, -1, n):
        check_take(x, rows, ground)
    out = empty((m, c))
    cdef float[:, ::1] y = out
    if m and c:
        with nogil:
            gather.take(&x_rows[0, 0] if n else NULL, &places[0], &values[0, 0] if values is not None else NULL,
                        &y[0, 0], m, c, n_threads)
    return out


def weigh(x, rows, weights, *, int n_threads=1):
    """Ops.take with weights for C-contiguous float32 arrays; rows are of any integer dtype."""
    check_take(x, rows, None, weights)
    cdef const float[:, ::1] x_rows = x, factors = weights
    cdef const int32_t[:, ::1] places = np.require(rows, np.int32, "CA")
    cdef Py_ssize_t n = x_rows.shape[0], k = places.shape[0], m = places.shape[1], c = x_rows.shape[1]
    out = empty((m, c)) if k else zeros((m, c))
    cdef float[:, ::1] y = out
    if k and out.size:
        with nogil:
            gather.weigh(&x_rows[0, 0] if n else NULL, &places[0, 0], &factors[0, 0], &y[0, 0], k, m, c, n_threads)
    return out


cdef tuple _by_target(rows, Py_ssize_t m):
    # (starts, order) of checked rows by their targets.
    cdef const int32_t[::1] places = np.require(rows, np.int32, "CA")
    cdef Py_ssize_t n = places.shape[0]
    cdef int32_t[::1] starts = empty(m + 1, np.int32), order = empty(max(n, 1), np.int32)
    with nogil:
        gather.by_target(&places[0] if n else NULL, NULL, 1, n, m, &starts[0], &order[0], NULL)
    return starts, order


def scatter_add(x, rows, Py_ssize_t m, mean=False, *, int n_threads=1):
    """Ops.scatter_add for a C-contiguous float32 array; rows are of any integer dtype."""
    check_scatter(x, rows, m)
    cdef const float[:, ::1] x_rows = x
    cdef Py_ssize_t n = x_rows.shape[0], c = x_rows.shape[1]
    cdef int32_t[::1] starts, order
    cdef bint shared = mean
    starts, order = _by_target(rows, m)
    out = empty((m, c))
    cdef float[:, ::1] y = out
    if out.size:
        with nogil:
            gather.sums(&x_rows[0, 0] if n else NULL, &starts[0], &order[0], NULL, &y[0, 0], m, c, shared, n_threads)
    return out


def scatter_weighted(x, rows, Py_ssize_t m, weights, *, int n_threads=1):
    """Ops.scatter_add with weights for C-contiguous float32 arrays; rows are of any integer dtype."""
    check_scatter(x, rows, m, weights)
    cdef const float[:, ::1] x_rows = x, given = weights
    cdef const int32_t[:, ::1] places = np.require(rows, np.int32, "CA")
    cdef Py_ssize_t k = places.shape[0], n = x_rows.shape[0], c = x_rows.shape[1]
    cdef int32_t[::1] starts = empty(m + 1, np.int32), order = empty(max(k * n, 1), np.int32)
    cdef float[::1] factors = empty(max(k * n, 1))
    out = empty((m, c)) if k * n else zeros((m, c))
    cdef float[:, ::1] y = out
    if k * n and out.size:
        with nogil:
            gather.by_target(&places[0, 0], &given[0, 0], k, n, m, &starts[0], &order[0], &factors[0])
            gather.sums(&x_rows[0, 0], &starts[0], &order[0], &factors[0], &y[0, 0], m, c, False, n_threads)
    return out


def scatter_max(x, rows, Py_ssize_t m, *, int n_threads=1):
    """Ops.scatter_max for a C-contiguous float32 array; rows are of any integer dtype."""
    check_scatter(x, rows, m)
    cdef const float[:, ::1] x_rows = x
    cdef Py_ssize_t n = x_rows.shape[0], c = x_rows.shape[1]
    cdef int32_t[::1] starts, order
    starts, order = _by_target(rows, m)
    out, winners = empty((m, c)), empty((m, c), np.int32)
    cdef float[:, ::1] y = out
    cdef int32_t[:, ::1] winner = winners
    if out.size:
        with nogil:
            gather.maxima(kernels(), &x_rows[0, 0] if n else NULL, &starts[0], &order[0], &y[0, 0], &winner[0, 0], m, c,
                          n_threads)
    return out, winners
