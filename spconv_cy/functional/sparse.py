"""Differentiable functions over rulebooks: convolution and pooling, each with its gradient under it."""

import numpy as np

from spconv_cy.autograd import differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.config import precision_name
from spconv_cy.errors import ShapeError


@differentiable(reads={0: (1,), 1: (0,)})
def conv(x, w, rulebook, bias=None, *, slope=None):
    """Convolve active sites: y[out] is the sum of x[in] @ w[k] over the pairs (in, out) of every offset k.

    Args:
        x: (rulebook.n_in, c), features less their ground state.
        w: (offsets, c, o), or (offsets, g, c/g, o/g) for g groups, of x's dtype and backend.
        rulebook: Rulebook.
        bias: (1, o), added to every output row, or None.
        slope: of a leaky ReLU that follows, from 0 to 1, in the same pass over memory; None: none.

    Returns:
        (rulebook.n_out, o). An output without pairs is the bias, or zero.

    Raises:
        ShapeError: x, w or bias does not fit the rulebook.
        BackendError: x, w and bias live on different backends, or theirs does not have the `precision` that is set.

    Cost: 2 * pairs * c * o / g floating-point operations, whatever the spatial size.
    Source: Graham 2014, arXiv:1409.6070, section 3.
    """
    ops = ops_of(x, w) if bias is None else ops_of(x, w, bias)
    groups, precision = w.shape[1] if w.ndim == 4 else 1, precision_name()

    def backward(dy):
        dy = dy if slope is None else ops.leaky_relu_dx(y, dy, slope)
        return (lambda: ops.conv(dy, w.swapaxes(-1, -2), rulebook.T, precision=precision),
                lambda: ops.conv_dw(x, dy, rulebook, groups, precision=precision).reshape(w.shape),
                None,
                lambda: column_sums(dy))

    y = ops.conv(x, w, rulebook, bias=bias, slope=slope, precision=precision)
    return y, backward


@differentiable(reads={})
def max_pool(x, ground, rulebook):
    """Take the maximum over each window's active rows, and over the ground state where a site of it is not active.

    Args:
        x: (rulebook.n_in, c).
        ground: (1, c), or None: active rows only.
        rulebook: Rulebook.

    Returns:
        (rulebook.n_out, c). The gradient goes to the one that won: the first of equals in offset order, an active row
        before an equal ground.

    Source: Graham 2014, arXiv:1409.6070, section 3.
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    y, winner = ops.max_pool(x, rulebook, ground)
    return y, lambda dy: (*ops.max_pool_dx(dy, winner, len(x), rulebook), None)


@differentiable(reads={})
def average_pool(x, ground, rulebook):
    """Average over each window, its inactive sites counting as the ground state (as zero where ground is None).

    Args:
        x: (rulebook.n_in, c).
        ground: (1, c) or None.
        rulebook: Rulebook.

    Returns:
        (rulebook.n_out, c): the sum over the active rows plus (volume - fan_in) * ground, divided by the volume.
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, volume = ops.xp, rulebook.volume
    share = x.dtype.type(1 / volume) if np.isscalar(volume) else 1 / xp.asarray(volume, x.dtype)[:, None]
    y = ops.sum_pool(x, rulebook) * share
    if ground is None:
        return y, lambda dy: (lambda: ops.sum_pool(dy * share, rulebook.T), None, None)
    missing = xp.asarray((volume - rulebook.fan_in) / volume, x.dtype)[:, None]

    def backward(dy):
        return (lambda: ops.sum_pool(dy * share, rulebook.T),
                lambda: column_sums(dy * missing), None)

    return y + missing * ground, backward


@differentiable(reads={})
def sum_pool(x, rulebook):
    """Add up each window's active rows: (rulebook.n_in, c) -> (rulebook.n_out, c)."""
    ops = ops_of(x)
    return ops.sum_pool(x, rulebook), lambda dy: (lambda: ops.sum_pool(dy, rulebook.T), None)


@differentiable(reads={})
def segment_average(x, ground, starts, field=None):
    """Average the rows of each sample: over its active rows, or over a field of `field` sites with the ground state.

    Args:
        x: (n, c), rows in batch order.
        ground: (1, c) or None (zero): what an empty sample gives, and what inactive sites of a field count as.
        starts: (b+1,) int64.
        field: number of sites of a sample, or None: active rows only.

    Returns:
        (b, c).
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    counts = np.diff(starts)
    total = np.maximum(counts, 1) if field is None else np.full(len(counts), field)
    y = ops.segment_sum(x, starts)
    weight = ops.xp.asarray(1 / total, y.dtype)[:, None]
    missing = ops.xp.asarray((counts == 0) if field is None else (field - counts) / field, y.dtype)[:, None]
    y = y * weight
    if ground is not None:
        y += missing * ground

    def backward(dy):
        return (lambda: _spread(ops, dy * weight, counts),
                lambda: None if ground is None else column_sums(dy * missing), None, None)

    return y, backward


@differentiable(reads={})
def segment_total(x, ground, starts, field=None):
    """Sum the rows of each sample; with a `field` of that many sites, its inactive ones count as the ground state.

    An empty sample gives the ground row where no field is given. Arguments as for segment_average.
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    counts = np.diff(starts)
    y = ops.segment_sum(x, starts)
    missing = ops.xp.asarray((counts == 0) if field is None else field - counts, y.dtype)[:, None]
    if ground is not None:
        y += missing * ground

    def backward(dy):
        return (lambda: _spread(ops, dy, counts), lambda: None if ground is None else column_sums(dy * missing),
                None, None)

    return y, backward


@differentiable(reads={})
def segment_maximum(x, ground, starts, field=None):
    """Take the maximum of each sample's rows; with a `field`, the ground state competes where a site is not active.

    An empty sample gives the ground row (zero where ground is None). Arguments as for segment_average.
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, counts = ops.xp, np.diff(starts)
    y, winner = ops.segment_max(x, starts)
    if ground is not None:
        open_rows = xp.asarray((counts == 0) if field is None else counts < field)[:, None]
        grounded = open_rows & ((winner < 0) | (ground > y))
        y, winner = xp.where(grounded, ground, y), xp.where(grounded, -1, winner).astype(np.int32)
    return y, lambda dy: (*ops.max_pool_dx(dy, winner, len(x)), None, None)


@differentiable(reads={})
def gather(x, rows):
    """Take rows (m,) of x (n, c), giving (m, c); the gradient of a row taken twice is the sum."""
    ops = ops_of(x)
    return x[rows], lambda dy: (lambda: ops.scatter_add(dy, rows, len(x)), None)


@differentiable(reads={})
def scatter_add(x, rows, m):
    """Add row i of x (n, c) to row rows[i] of the result (m, c), in the order of i."""
    return ops_of(x).scatter_add(x, rows, m), lambda dy: (lambda: dy[rows], None, None)


def global_pool(x, ground, starts, *, kind="average", field=None):
    """Reduce the rows of each sample to one: (n, c) -> (b, c).

    Args:
        x: Tensor (n, c), rows in batch order.
        ground: Tensor (1, c) or None.
        starts: (b+1,) int64.
        kind: "average", "sum" or "max".
        field: sites of a sample, all of them counted, the inactive ones as the ground state; None: active rows only.

    Raises:
        ShapeError: an unknown kind.
    """
    reduce = {"average": segment_average, "sum": segment_total, "max": segment_maximum}.get(kind)
    if reduce is None:
        raise ShapeError(f"global_pool: kind {kind!r} came; 'average', 'sum' or 'max' fit")
    return reduce(x, ground, starts, None if field is None else float(field))      # it may pass 64 bits


def column_sums(dy):
    """Return the sum of all rows, (1, c), in fixed chunks, so that bits do not depend on the threads."""
    return ops_of(dy).segment_sum(dy, np.array([0, len(dy)]))


def _spread(ops, dy, counts):
    return ops.xp.ascontiguousarray(dy[np.repeat(np.arange(len(counts)), counts)])
