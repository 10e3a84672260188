"""The compiled core: arrays and Pairs in, checks, pointers down, arrays out.

Arrays are float32, C-contiguous and aligned, unless a function says otherwise. Shapes are checked in
spconv_cy/operands.py. The Pairs that a function takes live at least as long as its loop runs.
"""

import numpy as np

from spconv_cy.compiled.memory import empty, zeros
from spconv_cy.compiled.rowwise import leaky_relu_dx
from spconv_cy.errors import BackendError, ShapeError, expected
from spconv_cy.operands import (
    check_conv,
    check_conv_after,
    check_conv_dw,
    check_max_pool,
    check_rows,
    check_segments,
    check_winner,
)

from libc.stdint cimport int32_t, int64_t, uint8_t

from spconv_cy.cpu cimport conv as _conv
from spconv_cy.cpu cimport conv_dw as _conv_dw
from spconv_cy.cpu cimport isa as _isa
from spconv_cy.cpu cimport moments as _moments
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
        raise BackendError(expected("select_isa", f"one of {', '.join(isas())}", repr(name),
                                    "this build and processor have no other instruction sets"))


def _select_asked_isa():
    if _isa.asked_isa() != NULL and not _isa.select_isa(_isa.asked_isa()):
        asked = _isa.asked_isa().decode(errors="replace")
        raise BackendError(expected("SPCONV_CY_ISA", f"one of {', '.join(isas())}", repr(asked),
                                    "this build and processor have no other instruction sets"))


_select_asked_isa()

# ---- arithmetic ------------------------------------------------------------------------------------------------------


cdef inline const float* _start(const float[:, ::1] a):
    return &a[0, 0] if a.shape[0] and a.shape[1] else NULL


cdef _conv.Weights _weights_of(const float[:, :, :, :] w):
    # Any strides: they are packed for the kernels anyway.
    cdef _conv.Weights weights
    weights.start = weights.packed = NULL
    if w.shape[0] and w.shape[1] and w.shape[2] and w.shape[3]:
        weights.start = &w[0, 0, 0, 0]
    for i in range(4):
        weights.stride[i] = w.strides[i] // <Py_ssize_t>sizeof(float)
    return weights


cdef inline _conv.After _after(int64_t c, int64_t o, float slope):
    cdef _conv.After after
    after.finish.slope = slope
    after.finish.residual = NULL
    after.finish.scale = NULL
    after.room = NULL
    after.x_stride, after.y_stride, after.finish.residual_stride = c, o, o
    return after


def conv(x, w, Pairs pairs not None, *, bias=None, slope=None, rows=None, residual=None, bint measure=False,
         int n_threads=1):
    """Ops.conv and, with `measure`, Ops.conv_after; w may have any strides: it is packed for the kernels anyway."""
    cdef Py_ssize_t o = check_conv("conv", x, w, pairs, bias)
    check_conv_after(o, pairs, rows, residual)
    cdef const float[:, ::1] x_rows = x, bias_row = bias
    cdef const float[:, :, :, :] w4 = w if w.ndim == 4 else w[:, None]
    cdef const _conv.Rules* rules = &pairs.rules
    out, found = empty((rules.n_out, o)), np.zeros((3, o), np.float32) if measure else None
    cdef float[:, ::1] y = out, moments = found
    if out.size == 0:
        return (out, found) if measure else out
    cdef const _isa.KernelTable* table = _isa.kernels()
    cdef _conv.Shape shape = _conv.Shape(w4.shape[1], w4.shape[2], w4.shape[3])
    cdef _conv.Weights weights = _weights_of(w4)
    cdef float[:, ::1] scratch = empty((1, _conv.scratch_floats(table, &weights, rules, shape, n_threads)))
    cdef const float* px = _start(x_rows)
    cdef const float* pb = NULL
    if bias_row is not None:
        pb = _start(bias_row)
    cdef const float[:, ::1] map_rows = rows, added = residual
    cdef _conv.After after = _after(x_rows.shape[1], o, 1.0 if slope is None else slope)
    cdef int64_t part_rows = 0
    cdef double[::1] room
    if map_rows is not None:
        after.finish.centre, after.finish.rest = &map_rows[0, 0], &map_rows[1, 0]
        after.finish.scale, after.finish.shift = &map_rows[2, 0], &map_rows[3, 0]
    if added is not None:
        after.finish.residual = &added[0, 0]
    if measure:
        part_rows = _conv.job_rows(table, rules, shape)
        room = empty((_moments.room_of(rules.n_out, part_rows, o),), np.float64)
        after.room = &room[0]
    with nogil:
        _conv.conv(table, px, &weights, &scratch[0, 0], pb, &y[0, 0], rules, shape, &after, n_threads)
        if measure:
            _moments.joined(after.room, part_rows, &moments[0, 0], rules.n_out, o)
    return (out, found) if measure else out


def conv_dw(x, dy, Pairs pairs not None, int groups=1, *, int n_threads=1):
    """Ops.conv_dw."""
    check_conv_dw(x, dy, pairs, groups)
    cdef const float[:, ::1] x_rows = x, dy_rows = dy
    cdef const _conv.Rules* rules = &pairs.rules
    cdef _conv.Shape shape = _conv.Shape(groups, x_rows.shape[1] // groups, dy_rows.shape[1] // groups)
    out = (empty if rules.n_pairs else zeros)((rules.n_offsets, groups, shape.c, shape.o))
    if not out.size or not rules.n_pairs:
        return out[:, 0] if groups == 1 else out
    cdef const _isa.KernelTable* table = _isa.kernels()
    cdef _conv_dw.Chunks chunks = _conv_dw.chunks_of(table, rules, shape)
    cdef int team = _conv_dw.team_of_dw(rules, shape, chunks, n_threads)
    cdef float[::1] dw = out.reshape(-1), scratch = empty((_conv_dw.scratch_floats_dw(rules, shape, chunks, team),))
    cdef const float* px = _start(x_rows)
    cdef const float* pdy = _start(dy_rows)
    with nogil:
        _conv_dw.conv_dw(table, px, pdy, &dw[0], &scratch[0], rules, shape, chunks, team)
    return out[:, 0] if groups == 1 else out


def conv_gradients(x, w, dy, Pairs pairs not None, Pairs turned not None, bint bias=True, *, int n_threads=1):
    """Return (dx, dw, db) of Ops.conv of x with weights w, any strides, for the gradient dy of the result.

    They are those of Ops.conv over the transposed pairs, Ops.conv_dw and, with `bias`, Ops.segment_sum of all rows,
    else None; computed together if each has work for all threads.
    """
    check_conv("conv_gradients", x, w, pairs)
    cdef int groups = w.shape[1] if w.ndim == 4 else 1
    turned_w = w.swapaxes(-1, -2)
    check_conv_dw(x, dy, pairs, groups)
    check_conv("conv_gradients", dy, turned_w, turned)
    cdef const float[:, ::1] x_rows = x, dy_rows = dy
    cdef const float[:, :, :, :] w4 = turned_w if w.ndim == 4 else turned_w[:, None]
    cdef int64_t n = dy_rows.shape[0], c = x_rows.shape[1], o = dy_rows.shape[1]
    cdef const _isa.KernelTable* table = _isa.kernels()
    cdef _conv.Shape shape = _conv.Shape(groups, c // groups, o // groups), back = _conv.Shape(groups, shape.o, shape.c)
    cdef _conv_dw.Chunks chunks = _conv_dw.chunks_of(table, &pairs.rules, shape)
    cdef _conv.Weights weights = _weights_of(w4)
    cdef _conv.After after = _after(o, c, 1)
    cdef _conv.Layer layer
    cdef _conv_dw.Gradient gradient
    cdef float[:, ::1] dx
    cdef float[::1] scratch, dw, db
    cdef double[::1] sums
    cdef int team = _conv_dw.team_of_dw(&pairs.rules, shape, chunks, n_threads)
    cdef int64_t room
    if team < 2 or team != n_threads or not pairs.rules.n_pairs:
        return _gradients_in_turn(x, w, dy, pairs, turned, groups, bias, n_threads)
    room = _conv.scratch_floats(table, &weights, &turned.rules, back, team)
    out, out_w, out_b = empty((turned.rules.n_out, c)), empty(w.size), empty(o)
    dx, dw, db, sums = out, out_w, out_b, empty(o * (n // _pool.CHUNK_ROWS + 1), np.float64)
    scratch = empty(room + _conv_dw.scratch_floats_dw(&pairs.rules, shape, chunks, team))
    if _conv.begin(&layer, table, &dy_rows[0, 0], &weights, &scratch[0], NULL, &dx[0, 0], &turned.rules, back, &after,
                   team, NULL) != team:
        return _gradients_in_turn(x, w, dy, pairs, turned, groups, bias, n_threads)
    with nogil:
        _conv_dw.begin_dw(&gradient, table, &x_rows[0, 0], &dy_rows[0, 0], &dw[0], &scratch[room], &pairs.rules, shape,
                          chunks, team)
        _conv_dw.gradients(&layer, &gradient, &sums[0], &db[0] if bias else NULL, team)
    return out, out_w.reshape(w.shape), out_b.reshape(1, o) if bias else None


def _gradients_in_turn(x, w, dy, pairs, turned, int groups, bint bias, int n_threads):
    dw = conv_dw(x, dy, pairs, groups, n_threads=n_threads).reshape(w.shape)
    return (conv(dy, w.swapaxes(-1, -2), turned, n_threads=n_threads), dw,
            segment_sum(dy, np.array([0, len(dy)]), n_threads=n_threads) if bias else None)


def max_pool(x, Pairs pairs not None, ground=None, is_open=None, slope=None, *, int n_threads=1):
    """Ops.max_pool, then a leaky ReLU unless slope is None.

    With a ground, is_open (n_out,) uint8 is 1 where the ground competes.
    """
    check_max_pool(x, pairs, ground)
    cdef const float[:, ::1] x_rows = x, ground_row = ground
    cdef const uint8_t[::1] open_rows = is_open
    cdef const _conv.Rules* rules = &pairs.rules
    cdef Py_ssize_t c = x_rows.shape[1]
    out, winners = empty((rules.n_out, c)), empty((rules.n_out, c), np.int32)
    cdef float[:, ::1] y = out
    cdef float below = 1 if slope is None else slope
    cdef int32_t[:, ::1] winner = winners
    cdef const float* px = _start(x_rows)
    cdef const float* pg = NULL
    cdef const uint8_t* popen = NULL
    if ground_row is not None:
        if open_rows is None or open_rows.shape[0] != rules.n_out:
            raise ShapeError(expected("max_pool", f"is_open ({rules.n_out},) with a ground",
                                      None if is_open is None else f"shape {is_open.shape}"))
        pg = _start(ground_row)
        popen = &open_rows[0] if rules.n_out else NULL
    if out.size:
        with nogil:
            _pool.max_pool(_isa.kernels(), px, pg, popen, &y[0, 0], &winner[0, 0], rules, c, below, n_threads)
    return out, winners


def max_pool_dx(dy, winner, Py_ssize_t n, Pairs transposed=None, z=None, float slope=1.0, *, int n_threads=1):
    """Ops.max_pool_dx, winner int32; the pairs are those of the transposed rulebook.

    With z, what the pooling and a leaky ReLU of that slope after it returned, dy is the gradient of z.
    """
    check_winner(dy, winner, n, transposed)
    if z is not None:
        dy = leaky_relu_dx(z, dy, slope, n_threads=n_threads)
    cdef const float[:, ::1] dy_rows = dy
    cdef const int32_t[:, ::1] winners = winner
    cdef Py_ssize_t m = dy_rows.shape[0], c = dy_rows.shape[1]
    cdef bint by_pairs = transposed is not None and m and c
    cdef const _conv.Rules* turned = NULL
    if by_pairs:
        turned = &transposed.rules
    dx, dground = (empty if by_pairs else zeros)((n, c)), np.zeros((1, c), np.float32)
    if m == 0 or c == 0:
        return dx, dground
    cdef float[:, ::1] dx_rows = dx, dground_rows = dground
    cdef int64_t n_chunks = -(-m // _pool.CHUNK_ROWS)
    cdef int32_t[::1] bounds = np.empty(2 * n_chunks, np.int32)
    cdef float[::1] sums = np.empty(n_chunks * c, np.float32)
    cdef float* pdx = <float*>_start(dx_rows)
    with nogil:
        _pool.max_pool_dx(_isa.kernels(), &dy_rows[0, 0], &winners[0, 0], pdx, &dground_rows[0, 0], &bounds[0],
                          &sums[0], turned, m, n, c, n_threads)
    return dx, dground


def sum_pool(x, Pairs pairs not None, *, int n_threads=1):
    """Ops.sum_pool."""
    check_rows("sum_pool", x, pairs)
    cdef const float[:, ::1] x_rows = x
    cdef const _conv.Rules* rules = &pairs.rules
    cdef Py_ssize_t c = x_rows.shape[1]
    out = empty((rules.n_out, c))
    cdef float[:, ::1] y = out
    cdef const float* px = _start(x_rows)
    if out.size:
        with nogil:
            _pool.sum_pool(_isa.kernels(), px, &y[0, 0], rules, c, n_threads)
    return out


cdef int64_t[::1] _chunk_starts(const int64_t[::1] starts):
    # Where the chunks of each segment begin, and where the last end.
    cdef int64_t[::1] chunks = np.zeros(starts.shape[0], np.int64)
    cdef Py_ssize_t i
    for i in range(1, starts.shape[0]):
        chunks[i] = chunks[i - 1] + (starts[i] - starts[i - 1] + _pool.CHUNK_ROWS - 1) // _pool.CHUNK_ROWS
    return chunks


def segment_sum(x, starts, *, int n_threads=1):
    """Ops.segment_sum; starts are of any integer dtype."""
    check_segments("segment_sum", x, starts)
    cdef const float[:, ::1] x_rows = x
    cdef const int64_t[::1] begins = np.array(starts, np.int64)
    cdef int64_t[::1] chunk_starts = _chunk_starts(begins)
    cdef Py_ssize_t b = begins.shape[0] - 1, c = x_rows.shape[1]
    out = np.zeros((b, c), np.float32)
    cdef float[:, ::1] y = out
    cdef double[::1] sums = np.empty(chunk_starts[b] * c, np.float64)
    if sums.shape[0]:
        with nogil:
            _pool.segment_sum(_isa.kernels(), &x_rows[0, 0], &begins[0], &chunk_starts[0], &sums[0], &y[0, 0], b, c,
                              n_threads)
    return out


def segment_max(x, starts, *, int n_threads=1):
    """Ops.segment_max; starts are of any integer dtype."""
    check_segments("segment_max", x, starts)
    cdef const float[:, ::1] x_rows = x
    cdef const int64_t[::1] begins = np.array(starts, np.int64)
    cdef int64_t[::1] chunk_starts = _chunk_starts(begins)
    cdef Py_ssize_t b = begins.shape[0] - 1, c = x_rows.shape[1]
    out, winners = np.zeros((b, c), np.float32), np.full((b, c), -1, np.int32)
    cdef float[:, ::1] y = out
    cdef int32_t[:, ::1] winner = winners
    cdef float[::1] best = np.empty(chunk_starts[b] * c, np.float32)
    cdef int32_t[::1] best_rows = np.empty(chunk_starts[b] * c, np.int32)
    if best.shape[0]:
        with nogil:
            _pool.segment_max(_isa.kernels(), &x_rows[0, 0], &begins[0], &chunk_starts[0], &best[0], &best_rows[0],
                              &y[0, 0], &winner[0, 0], b, c, n_threads)
    return out, winners
