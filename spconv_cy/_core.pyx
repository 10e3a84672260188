"""The compiled core's facade: arrays in, checks, pointers down, arrays out."""

import numpy as np

from spconv_cy.compiled.memory import empty, zeros
from spconv_cy.errors import BackendError, ShapeError

from libc.stdint cimport int32_t, int64_t, uint8_t

from spconv_cy.cpu cimport conv as _conv
from spconv_cy.cpu cimport isa as _isa
from spconv_cy.cpu cimport pool as _pool
from spconv_cy.compiled.pairs cimport Pairs

# ---- instruction sets ------------------------------------------------------------------------------------------------


def isas():
    """Return the names of the instruction sets that this build and this processor have, best first."""
    names = []
    while _isa.available(<int>len(names)) != NULL:
        names.append(_isa.available(<int>len(names)).name.decode())
    return tuple(names)


def isa():
    """Return the name of the instruction set in use."""
    return _isa.kernels().name.decode()


def select_isa(name=None):
    """Use the instruction set of that name from the next call on; None: the best."""
    cdef bytes asked = (isas()[0] if name is None else str(name)).encode()
    if not _isa.select_isa(asked):
        raise BackendError(f"select_isa: no instruction set {name!r} on this build and processor; "
                           f"there are {', '.join(isas())}")


def _select_asked_isa():
    if _isa.asked_isa() != NULL and not _isa.select_isa(_isa.asked_isa()):
        raise BackendError(f"SPCONV_CY_ISA: no instruction set {_isa.asked_isa().decode(errors='replace')!r} on this "
                           f"build and processor; there are {', '.join(isas())}")


_select_asked_isa()

# ---- arithmetic ------------------------------------------------------------------------------------------------------


cdef inline const float* _start(const float[:, ::1] a):
    return &a[0, 0] if a.shape[0] and a.shape[1] else NULL


def conv(const float[:, ::1] x, const float[:, :, :, :] w, Pairs pairs not None, *, const float[:, ::1] bias=None,
         slope=None, int n_threads=1):
    """Ops.conv for float32 arrays; w (k, g, c/g, o/g) may have any strides: it is packed for the kernels anyway."""
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1], k = w.shape[0], g = w.shape[1], o = g * w.shape[3]
    cdef const _conv.Rules* rules = &pairs.rules
    if n != pairs.n_in or k != rules.n_offsets or g < 1 or g * w.shape[2] != c:
        raise ShapeError(
            f"conv: features {(n, c)} and weights {_weight_shape(w)} do not fit a rulebook of {pairs.n_in} "
            f"input rows and {rules.n_offsets} offsets; expected features (n_in, c) and weights (offsets, c, o) "
            f"or (offsets, groups, c/groups, o/groups)")
    if bias is not None and (bias.shape[0] != 1 or bias.shape[1] != o):
        raise ShapeError(f"conv: bias {(bias.shape[0], bias.shape[1])} came; {(1, o)} fits")
    out = empty((rules.n_out, o))
    cdef float[:, ::1] y = out
    if out.size == 0:
        return out
    cdef const _isa.KernelTable* table = _isa.kernels()
    cdef _conv.Shape shape = _conv.Shape(g, w.shape[2], w.shape[3])
    cdef float[:, ::1] scratch = empty((1, _conv.scratch_floats(table, rules, shape, n_threads)))
    cdef _conv.Weights weights
    weights.start = NULL
    if k and w.shape[2]:
        weights.start = &w[0, 0, 0, 0]
    for i in range(4):
        weights.stride[i] = w.strides[i] // <Py_ssize_t>sizeof(float)
    cdef const float* px = _start(x)
    cdef const float* pb = NULL
    if bias is not None:
        pb = _start(bias)
    cdef float below = 1.0 if slope is None else slope
    with nogil:
        _conv.conv(table, px, &weights, &scratch[0, 0], pb, &y[0, 0], rules, shape, below, n_threads)
    return out


cdef _weight_shape(const float[:, :, :, :] w):
    sizes = [w.shape[i] for i in range(4)]
    return tuple(sizes[:1] + sizes[2:] if sizes[1] == 1 else sizes)


def conv_dw(const float[:, ::1] x, const float[:, ::1] dy, Pairs pairs not None, int groups=1, *, int n_threads=1):
    """Ops.conv_dw for C-contiguous float32 arrays."""
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1], m = dy.shape[0], o = dy.shape[1]
    cdef const _conv.Rules* rules = &pairs.rules
    if n != pairs.n_in or m != rules.n_out or groups < 1 or c % groups or o % groups:
        raise ShapeError(
            f"conv_dw: features {(n, c)} and gradients {(m, o)} in {groups} groups do not fit a rulebook of "
            f"{pairs.n_in} input and {rules.n_out} output rows; expected (n_in, c) and (n_out, o), and groups that "
            f"divide c and o")
    cdef _conv.Shape shape = _conv.Shape(groups, c // groups, o // groups)
    cdef _conv.Chunks chunks = _conv.chunks_of(rules, shape)
    out = np.zeros((rules.n_offsets, groups, shape.c, shape.o), np.float32)
    cdef float[::1] dw = out.reshape(-1)
    cdef float[::1] sums = empty(((chunks.chunks - 1) * out.size,))
    cdef const float* px = _start(x)
    cdef const float* pdy = _start(dy)
    cdef float* psums = &sums[0] if sums.shape[0] else NULL
    if out.size and rules.n_pairs:
        with nogil:
            _conv.conv_dw(_isa.kernels(), px, pdy, &dw[0], psums, rules, shape, chunks, n_threads)
    return out[:, 0] if groups == 1 else out


def max_pool(const float[:, ::1] x, Pairs pairs not None, const float[:, ::1] ground=None,
             const uint8_t[::1] is_open=None, *, int n_threads=1):
    """Ops.max_pool for C-contiguous float32 arrays; with a ground, is_open (n_out,) is 1 where it competes."""
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1]
    cdef const _conv.Rules* rules = &pairs.rules
    _check_input("max_pool", n, c, pairs)
    if ground is not None and (ground.shape[0] != 1 or ground.shape[1] != c):
        raise ShapeError(f"max_pool: ground {(ground.shape[0], ground.shape[1])} came; {(1, c)} fits")
    out, winners = empty((rules.n_out, c)), empty((rules.n_out, c), np.int32)
    cdef float[:, ::1] y = out
    cdef int32_t[:, ::1] winner = winners
    cdef const float* px = _start(x)
    cdef const float* pg = NULL
    cdef const uint8_t* popen = NULL
    if ground is not None:
        if is_open is None or is_open.shape[0] != rules.n_out:
            raise ShapeError(f"max_pool: expected is_open ({rules.n_out},) with a ground, got "
                             f"{None if is_open is None else (is_open.shape[0],)}")
        pg = _start(ground)
        popen = &is_open[0] if rules.n_out else NULL
    if out.size:
        with nogil:
            _pool.max_pool(_isa.kernels(), px, pg, popen, &y[0, 0], &winner[0, 0], rules, c, n_threads)
    return out, winners


cdef _check_input(who, Py_ssize_t n, Py_ssize_t c, Pairs pairs):
    if n != pairs.n_in:
        raise ShapeError(f"{who}: features {(n, c)} do not fit a rulebook of {pairs.n_in} input rows; "
                         f"expected features (n_in, c)")


def max_pool_dx(const float[:, ::1] dy, const int32_t[:, ::1] winner, Py_ssize_t n, Pairs transposed=None, *,
                int n_threads=1):
    """Ops.max_pool_dx for C-contiguous arrays, float32 and int32; the pairs are those of the transposed rulebook."""
    cdef Py_ssize_t m = dy.shape[0], c = dy.shape[1]
    if winner.shape[0] != m or winner.shape[1] != c or n < 0:
        raise ShapeError(f"max_pool_dx: gradients {(m, c)}, winners {(winner.shape[0], winner.shape[1])} and {n} input "
                         f"rows came; expected two arrays of one shape (n_out, c) and n >= 0")
    cdef bint by_pairs = transposed is not None and m and c
    cdef const _conv.Rules* turned = NULL
    if by_pairs:
        if transposed.n_out != n or transposed.n_in != m:
            raise ShapeError(f"max_pool_dx: a rulebook of {transposed.n_out} input and {transposed.n_in} output rows "
                             f"came; {n} and {m} fit")
        turned = &transposed.rules
    dx, dground = (empty if by_pairs else zeros)((n, c)), np.zeros((1, c), np.float32)
    if m == 0 or c == 0:
        return dx, dground
    most = -1 if by_pairs else np.asarray(winner).max()
    if most >= n:
        raise ShapeError(f"max_pool_dx: winner {most} came; rows up to {n - 1} fit")
    cdef float[:, ::1] dx_rows = dx, dground_rows = dground
    cdef int64_t n_chunks = -(-m // _pool.CHUNK_ROWS)
    cdef int32_t[::1] bounds = np.empty(2 * n_chunks, np.int32)
    cdef float[::1] sums = np.empty(n_chunks * c, np.float32)
    cdef float* pdx = <float*>_start(dx_rows)
    with nogil:
        _pool.max_pool_dx(_isa.kernels(), &dy[0, 0], &winner[0, 0], pdx, &dground_rows[0, 0], &bounds[0], &sums[0],
                          turned, m, n, c, n_threads)
    return dx, dground


def sum_pool(const float[:, ::1] x, Pairs pairs not None, *, int n_threads=1):
    """Ops.sum_pool for C-contiguous float32 arrays."""
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1]
    cdef const _conv.Rules* rules = &pairs.rules
    _check_input("sum_pool", n, c, pairs)
    out = empty((rules.n_out, c))
    cdef float[:, ::1] y = out
    cdef const float* px = _start(x)
    if out.size:
        with nogil:
            _pool.sum_pool(_isa.kernels(), px, &y[0, 0], rules, c, n_threads)
    return out


def scatter_add(const float[:, ::1] x, const int32_t[::1] rows, Py_ssize_t m, *, int n_threads=1):
    """Ops.scatter_add for C-contiguous arrays, float32 and int32."""
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1]
    if rows.shape[0] != n or m < 0:
        raise ShapeError(f"scatter_add: features {(n, c)}, {rows.shape[0]} rows and {m} outputs came; "
                         f"expected one row for each feature row, and m >= 0")
    out = zeros((m, c))
    if n == 0 or c == 0:
        return out
    least, most = np.asarray(rows).min(), np.asarray(rows).max()
    if least < 0 or most >= m:
        raise ShapeError(f"scatter_add: rows {least} to {most} came; rows 0 to {m - 1} fit")
    cdef float[:, ::1] y = out
    cdef int32_t[::1] bounds = np.empty(2 * -(-n // _pool.CHUNK_ROWS), np.int32)
    with nogil:
        _pool.scatter_add(_isa.kernels(), &x[0, 0], &rows[0], &y[0, 0], &bounds[0], n, m, c, n_threads)
    return out


cdef int64_t[::1] _chunk_starts(who, Py_ssize_t n, const int64_t[::1] starts):
    cdef int64_t[::1] chunks = np.zeros(max(starts.shape[0], 1), np.int64)
    cdef bint ascends = starts.shape[0] > 0 and starts[0] >= 0 and starts[starts.shape[0] - 1] <= n
    cdef Py_ssize_t i
    for i in range(1, starts.shape[0]):
        ascends = ascends and starts[i - 1] <= starts[i]
        chunks[i] = chunks[i - 1] + (starts[i] - starts[i - 1] + _pool.CHUNK_ROWS - 1) // _pool.CHUNK_ROWS
    if not ascends:
        raise ShapeError(f"{who}: starts must ascend from 0 up to the {n} rows, one more than there are segments")
    return chunks


def segment_sum(const float[:, ::1] x, const int64_t[::1] starts, *, int n_threads=1):
    """Ops.segment_sum for C-contiguous arrays, float32 and int64."""
    cdef Py_ssize_t c = x.shape[1]
    cdef int64_t[::1] chunk_starts = _chunk_starts("segment_sum", x.shape[0], starts)
    cdef Py_ssize_t b = starts.shape[0] - 1
    out = np.zeros((b, c), np.float32)
    cdef float[:, ::1] y = out
    cdef double[::1] sums = np.empty(chunk_starts[b] * c, np.float64)
    if sums.shape[0]:
        with nogil:
            _pool.segment_sum(_isa.kernels(), &x[0, 0], &starts[0], &chunk_starts[0], &sums[0], &y[0, 0], b, c,
                              n_threads)
    return out


def segment_max(const float[:, ::1] x, const int64_t[::1] starts, *, int n_threads=1):
    """Ops.segment_max for C-contiguous arrays, float32 and int64."""
    cdef Py_ssize_t c = x.shape[1]
    cdef int64_t[::1] chunk_starts = _chunk_starts("segment_max", x.shape[0], starts)
    cdef Py_ssize_t b = starts.shape[0] - 1
    out, winners = np.zeros((b, c), np.float32), np.full((b, c), -1, np.int32)
    cdef float[:, ::1] y = out
    cdef int32_t[:, ::1] winner = winners
    cdef float[::1] best = np.empty(chunk_starts[b] * c, np.float32)
    cdef int32_t[::1] best_rows = np.empty(chunk_starts[b] * c, np.int32)
    if best.shape[0]:
        with nogil:
            _pool.segment_max(_isa.kernels(), &x[0, 0], &starts[0], &chunk_starts[0], &best[0], &best_rows[0],
                              &y[0, 0], &winner[0, 0], b, c, n_threads)
    return out, winners
