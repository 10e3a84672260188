"""A convolution of features and of their ground state in one call, which packs the weights once."""

from libc.stdint cimport int64_t, uintptr_t

from spconv_cy.compiled.pairs cimport Pairs
from spconv_cy.cpu cimport conv as _conv
from spconv_cy.cpu cimport isa as _isa
from spconv_cy.cpu cimport rowwise

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected
from spconv_cy.operands import check_conv


def conv(x, ground, w, Pairs pairs not None, Pairs one not None, bias=None, slope=None, *, int n_threads=1):
    """Return (y, the new ground state) of features x (n_in, c) and their ground state (1, c).

    The new ground state is that of Ops.conv over `one`, the pairs of one row, and y is Ops.conv of x minus the ground
    state with it as the bias. Then both go through a leaky ReLU of that slope, unless it is None.

    Args:
        w: (offsets, c, o) or (offsets, groups, c / groups, o / groups) float32, c and o at least 1.
        pairs, one: of the features, and of a rulebook of one row at each offset.
        bias: (1, o) float32, or None.
    """
    cdef Py_ssize_t o = check_conv("conv", x, w, pairs, bias)
    check_conv("conv", ground, w, one, bias)
    cdef const float[:, ::1] x_rows = x, row = ground, bias_row = bias
    cdef const float[:, :, :, :] w4 = w if w.ndim == 4 else w[:, None]
    cdef const _isa.KernelTable* table = _isa.kernels()
    cdef _conv.Shape shape = _conv.Shape(w4.shape[1], w4.shape[2], w4.shape[3])
    cdef _conv.Weights weights
    cdef _conv.After after
    cdef int64_t c = x_rows.shape[1], n = x_rows.shape[0], i, n_packed, n_scratch
    cdef bint is_zero = True
    cdef const float* px = &x_rows[0, 0] if n and c else NULL
    cdef float[:, ::1] room, y
    cdef float[::1] state
    cdef float* start
    if not c or not o or not w4.shape[0] or one.rules.n_out != 1:
        raise ShapeError(expected("conv", "channels, offsets, and pairs of one row for the ground state",
                                  f"weights {w.shape} and {one.n_out} rows"))
    weights.start = &w4[0, 0, 0, 0]
    for i in range(4):
        weights.stride[i] = w4.strides[i] // <Py_ssize_t>sizeof(float)
    for i in range(c):
        is_zero = is_zero and row[0, i] == 0
    n_packed = _conv.packed_floats(table, shape, pairs.rules.n_offsets)
    weights.packed = weights.start                                       # so that no room for packing is counted
    n_scratch = max(_conv.scratch_floats(table, &weights, &pairs.rules, shape, n_threads),
                    _conv.scratch_floats(table, &weights, &one.rules, shape, 1))
    weights.packed = <const float*>NULL
    out, found = empty((pairs.n_out, o)), empty((1, o))
    y, state = out, found.reshape(-1)
    room = empty((1, 32 + n_packed + n_scratch + (0 if is_zero else n * c + 4 * c)))
    start = &room[0, 0]
    start += (-<uintptr_t>start % 64) // sizeof(float)
    after.finish.slope = 1
    after.finish.residual = after.finish.scale = <const float*>NULL
    after.room = <double*>NULL
    after.x_stride, after.y_stride, after.finish.residual_stride = c, o, o
    with nogil:
        _conv.pack_weights(table, &weights, shape, pairs.rules.n_offsets, start)
        weights.packed = start
        _conv.conv(table, &row[0, 0], &weights, start + n_packed, &bias_row[0, 0] if bias_row is not None else NULL,
                   &state[0], &one.rules, shape, &after, 1)
        if not is_zero:
            px = shifted(table, px, &row[0, 0], start + n_packed + n_scratch, n, c, n_threads)
    if slope is not None:
        after.finish.slope = slope
    if pairs.n_out:
        with nogil:
            _conv.conv(table, px, &weights, start + n_packed, &state[0], &y[0, 0], &pairs.rules, shape, &after,
                       n_threads)
    if slope is not None:
        rowwise.leaky(table, &state[0], &state[0], after.finish.slope, o, 1)
    return out, found


cdef const float* shifted(const _isa.KernelTable* table, const float* x, const float* ground, float* room, int64_t n,
                          int64_t c, int n_threads) noexcept nogil:
    # Returns x minus the ground state, in memory of n * c + 4 * c floats: the map that functional.subtract_row takes.
    cdef _isa.Affine map
    cdef float* rest = room + n * c
    cdef int64_t i
    for i in range(c):
        rest[i], rest[c + i], rest[2 * c + i], rest[3 * c + i] = ground[i], 0, 1, 0
    map.centre, map.rest, map.scale, map.shift, map.c, map.slope = rest, rest + c, rest + 2 * c, rest + 3 * c, c, 1
    rowwise.affine(table, x, NULL, room, &map, n, n_threads)
    return room
