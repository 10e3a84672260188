"""Differentiable functions over rulebooks, convolution and pooling, each with its gradient."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, differentiable, recording
from spconv_cy.backend.switch import Ops, ops_of, watchers
from spconv_cy.checks import checked_integers, described, is_one_of, kind_of
from spconv_cy.config import precision_name, threads
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.tape import Together
from spconv_cy.types import Array, Gradient, IntegerArray, Recorded

try:
    import spconv_cy.compiled.grounded as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]


@differentiable(reads={0: (1,), 1: (0,)})
def conv(x: Tensor | Array, w: Tensor | Array, rulebook: Rulebook, bias: Tensor | Array | None = None, *,
         slope: float | None = None) -> Recorded:
    """Convolve active sites: y[out] is the sum of x[in] @ w[k] over the pairs (in, out) of every offset k.

    Args:
        x: (rulebook.n_in, c), features minus their ground state.
        w: (offsets, c, o), or (offsets, g, c/g, o/g) for g groups, of x's dtype and backend.
        rulebook: Rulebook.
        bias: (1, o), added to every output row, or None.
        slope: of a leaky ReLU that is applied to the result in the same pass over memory, from 0 to 1; None: none.

    Returns:
        (rulebook.n_out, o). An output row without pairs is the bias, or zero.

    Raises:
        ShapeError: x, w or bias does not match the rulebook.
        BackendError: x, w and bias are on different backends, or their backend lacks the `precision` that is set.

    Cost: 2 * pairs * c * o / g floating-point operations, whatever the spatial size.
    Source: Graham 2014, arXiv:1409.6070, section 3.
    """
    x, w, bias = cast(Array, x), cast(Array, w), cast("Array | None", bias)
    _check_rulebook("conv", rulebook)
    ops = ops_of(x, w) if bias is None else ops_of(x, w, bias)
    precision = precision_name()

    def backward(dy: Array) -> Any:
        dy = dy if slope is None else ops.leaky_relu_dx(y, dy, slope)
        return _conv_gradients(ops, x, w, rulebook, dy, precision)

    y = ops.conv(x, w, rulebook, bias=bias, slope=slope, precision=precision)
    return y, backward


@differentiable(reads={0: (1,), 1: (0,)})
def conv_after(x: Tensor | Array, w: Tensor | Array, rulebook: Rulebook, bias: Tensor | Array | None,
               residual: Tensor | Array | None, *, slope: float | None = None, rows: Array | None = None,
               found: list[Array] | None = None) -> Recorded:
    """Convolve as `conv`, apply a map to each column, add a residual, then a leaky ReLU, in one pass over memory.

    Args:
        x, w, rulebook, bias: as for conv.
        residual: (rulebook.n_out, o), added to the result of the map, or None.
        slope: of the leaky ReLU, or None.
        rows: (4, o), the map as for Ops.affine, a constant; or None.
        found: a list to which the moments of the result (3, o), as Ops.moments gives them, are appended; None: they are
            not wanted.

    Returns:
        (rulebook.n_out, o).
    """
    x, w, bias, residual = cast(Array, x), cast(Array, w), cast("Array | None", bias), cast("Array | None", residual)
    _check_rulebook("conv", rulebook)
    ops, precision = ops_of(*(a for a in (x, w, bias, residual) if a is not None)), precision_name()

    def backward(dy: Array) -> Any:
        dy = dy if slope is None else ops.leaky_relu_dx(y, dy, slope)
        inner = dy if rows is None else dy * rows[2:3].astype(dy.dtype, copy=False)
        return _conv_gradients(ops, x, w, rulebook, inner, precision, dy)

    with np.errstate(over="ignore", invalid="ignore"):                   # moments that overflow are computed again
        y, *moments = ops.conv_after(x, w, rulebook, bias=bias, slope=slope, rows=rows, residual=residual,
                                     measure=found is not None, precision=precision)
    if found is not None:
        found += moments
    return y, backward


def takes_ground(*given: Tensor | None) -> bool:
    """Return True if `conv_grounded` takes these tensors: float32 arrays of the CPU, of which none needs a gradient."""
    tensors = [a for a in given if a is not None]
    if compiled is None or watchers or precision_name() != "float32":
        return False
    if recording.get()[0] and any(a.requires_grad for a in tensors):
        return False
    return all(type(a.data) is np.ndarray and a.data.dtype == np.float32 and a.data.size for a in tensors)


def conv_grounded(x: Tensor, ground: Tensor, w: Tensor, rulebook: Rulebook, bias: Tensor | None,
                  slope: float | None) -> tuple[Tensor, Tensor]:
    """Return the convolution of features and of their ground state by one call, for what `takes_ground` allows.

    The bits are those of `conv` of the ground state over `rulebook.ground`, then of `conv` of the features minus the
    ground state with the result as the bias, both through a leaky ReLU of that slope unless it is None.
    """
    own = ops_of(x.data).asarray
    weights = w.data if w.data.flags.aligned else own(w.data)            # any strides: they are packed anyway
    y, state = compiled.conv(own(x.data), own(ground.data), weights, rulebook.pairs, rulebook.ground.pairs,
                             None if bias is None else own(bias.data), slope, n_threads=threads())
    return Tensor.of(y), Tensor.of(state)


def _conv_gradients(ops: Ops, x: Array, w: Array, rulebook: Rulebook, dy: Array, precision: str,
                    *rest: Gradient) -> Together:
    def make(wanted: list[bool]) -> tuple[Gradient, ...]:
        joint, groups = ops.joint, w.shape[1] if w.ndim == 4 else 1
        if joint is not None and wanted[0] and wanted[1] and joint.serves(x, dy) and joint.serves_weights(w):
            bias = wanted[3:4] == [True]                                 # it may be no argument
            dx, dw, db = joint.conv_gradients(x, w, rulebook, dy, bias)
            found: tuple[Gradient, ...] = dx, dw, None, db, *rest
        else:
            found = (lambda: ops.conv(dy, w.swapaxes(-1, -2), rulebook.T, precision=precision),
                     lambda: ops.conv_dw(x, dy, rulebook, groups, precision=precision).reshape(w.shape),
                     None, lambda: column_sums(dy), *rest)
        return found[:len(wanted)]

    return Together(make)


@differentiable(reads={})
def max_pool(x: Tensor | Array, ground: Tensor | Array | None, rulebook: Rulebook, *,
             slope: float | None = None) -> Recorded:
    """Return the maximum of each window; inactive sites count as the ground state.

    Args:
        x: (rulebook.n_in, c).
        ground: (1, c), or None: only active rows count.
        rulebook: Rulebook.
        slope: of a leaky ReLU that is applied to the result, from 0 to 1; None: none.

    Returns:
        (rulebook.n_out, c). The gradient goes to the row with the maximum. Among equal rows it is the first in offset
        order; an active row comes before an equal ground state.

    Source: Graham 2014, arXiv:1409.6070, section 3.
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    _check_rulebook("max_pool", rulebook)
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    joint = ops.joint if slope is not None else None
    if joint is not None and joint.serves(x) and (ground is None or joint.serves(ground)):
        z, winner = joint.max_pool(x, rulebook, ground, slope)
        return z, lambda dy: (*joint.max_pool_dx(ops.asarray(dy), z, winner, len(x), rulebook, slope), None)
    y, winner = ops.max_pool(x, rulebook, ground)
    if slope is None:
        return y, lambda dy: (*ops.max_pool_dx(dy, winner, len(x), rulebook), None)
    z = ops.leaky_relu(y, slope)
    return z, lambda dy: (*ops.max_pool_dx(ops.leaky_relu_dx(z, dy, slope), winner, len(x), rulebook), None)


@differentiable(reads={})
def average_pool(x: Tensor | Array, ground: Tensor | Array | None, rulebook: Rulebook) -> Recorded:
    """Return the mean over each window; inactive sites count as the ground state, or as zero without one.

    Args:
        x: (rulebook.n_in, c).
        ground: (1, c) or None.
        rulebook: Rulebook.

    Returns:
        (rulebook.n_out, c): the sum over the active rows plus (volume - fan_in) * ground, divided by the volume.
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    _check_rulebook("average_pool", rulebook)
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, volume = ops.xp, rulebook.volume
    share = 1 / xp.asarray(volume, x.dtype)[:, None] if isinstance(volume, np.ndarray) else x.dtype.type(1 / volume)
    y = ops.sum_pool(x, rulebook) * share
    if ground is None:
        return y, lambda dy: (lambda: ops.sum_pool(dy * share, rulebook.T), None, None)
    missing = xp.asarray((volume - rulebook.fan_in) / volume, x.dtype)[:, None]

    def backward(dy: Array) -> tuple[Gradient, ...]:
        return (lambda: ops.sum_pool(dy * share, rulebook.T),
                lambda: column_sums(dy * missing), None)

    return y + missing * ground, backward


@differentiable(reads={})
def sum_pool(x: Tensor | Array, rulebook: Rulebook) -> Recorded:
    """Return the sum of each window's active rows: (rulebook.n_in, c) -> (rulebook.n_out, c)."""
    x = cast(Array, x)
    _check_rulebook("sum_pool", rulebook)
    ops = ops_of(x)
    return ops.sum_pool(x, rulebook), lambda dy: (lambda: ops.sum_pool(dy, rulebook.T), None)


@differentiable(reads={})
def segment_average(x: Tensor | Array, ground: Tensor | Array | None, starts: IntegerArray,
                    field: float | None = None) -> Recorded:
    """Return the mean of each sample's rows; with a `field`, its inactive sites count as the ground state.

    Args:
        x: (n, c), rows in batch order.
        ground: (1, c) or None (zero): the result of an empty sample, and the value of a field's inactive sites.
        starts: (b+1,) int64; sample i has the rows starts[i] to starts[i+1].
        field: number of sites of a sample, or None: active rows only.

    Returns:
        (b, c).
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    counts = np.diff(starts)
    total = np.maximum(counts, 1) if field is None else np.full(len(counts), field)
    y = ops.segment_sum(x, starts)
    weight = ops.xp.asarray(1 / total, y.dtype)[:, None]
    missing = ops.xp.asarray((counts == 0) if field is None else (field - counts) / field, y.dtype)[:, None]
    y = y * weight
    if ground is not None:
        y += missing * ground

    def backward(dy: Array) -> tuple[Gradient, ...]:
        return (lambda: _spread(dy * weight, counts),
                None if ground is None else lambda: column_sums(dy * missing), None, None)

    return y, backward


@differentiable(reads={})
def segment_total(x: Tensor | Array, ground: Tensor | Array | None, starts: IntegerArray,
                  field: float | None = None) -> Recorded:
    """Return the sum of each sample's rows; with a `field`, its inactive sites count as the ground state.

    Without a field, an empty sample gives the ground state. Arguments as for segment_average.
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    counts = np.diff(starts)
    y = ops.segment_sum(x, starts)
    missing = ops.xp.asarray((counts == 0) if field is None else field - counts, y.dtype)[:, None]
    if ground is not None:
        y += missing * ground

    def backward(dy: Array) -> tuple[Gradient, ...]:
        return (lambda: _spread(dy, counts),
                None if ground is None else lambda: column_sums(dy * missing), None, None)

    return y, backward


@differentiable(reads={})
def segment_maximum(x: Tensor | Array, ground: Tensor | Array | None, starts: IntegerArray,
                    field: float | None = None) -> Recorded:
    """Return the maximum of each sample's rows; with `field` and `ground`, inactive sites count as the ground state.

    An empty sample gives the ground state (zero where ground is None). Arguments as for segment_average.
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, counts = ops.xp, np.diff(starts)
    y, winner = ops.segment_max(x, starts)
    if ground is not None:
        open_rows = xp.asarray((counts == 0) if field is None else counts < field)[:, None]
        grounded = open_rows & ((winner < 0) | (ground > y))
        y, winner = xp.where(grounded, ground, y), xp.where(grounded, -1, winner).astype(np.int32)
    return y, lambda dy: (*ops.max_pool_dx(dy, winner, len(x)), None, None)


@differentiable(reads={})
def gather(x: Tensor | Array, rows: IntegerArray) -> Recorded:
    """Return rows (m,) of x (n, c), giving (m, c); the gradients of a row that is taken twice are added."""
    x, rows = cast(Array, x), _row_numbers("gather", rows)
    ops = ops_of(x)
    try:
        # numpy counts rows below 0 from the end, which `take` does not.
        taken = ops.take(x, rows) if x.ndim == 2 and isinstance(rows, np.ndarray) and lie_in(rows, len(x)) else x[rows]
    except IndexError:
        raise IndexError(expected("gather", f"rows from 0 to {len(x) - 1}",
                                  f"{int(rows.min())} to {int(rows.max())}")) from None
    return taken, lambda dy: (lambda: ops.scatter_add(dy, rows, len(x)), None)


@differentiable(reads={})
def scatter_add(x: Tensor | Array, rows: IntegerArray, m: int) -> Recorded:
    """Return (m, c), where row i of x (n, c) is added to row rows[i], in the order of i."""
    x, rows = cast(Array, x), _row_numbers("scatter_add", rows)
    checked_integers("scatter_add", 0, m=m)
    return ops_of(x).scatter_add(x, rows, m), lambda dy: (lambda: ops_of(dy).take(dy, rows), None, None)


@known_arguments
def global_pool(x: Tensor | Array, ground: Tensor | Array | None, starts: IntegerArray, *, kind: str = "average",
                field: int | None = None) -> Tensor:
    """Return one row for each sample: (n, c) -> (b, c).

    Args:
        x: Tensor (n, c), rows in batch order.
        ground: Tensor (1, c) or None.
        starts: (b+1,) int64; sample i has the rows starts[i] to starts[i+1].
        kind: "average", "sum" or "max".
        field: number of sites of a sample; all of them count, the inactive ones as the ground state. None: active rows
            only.

    Raises:
        ShapeError: an unknown kind.
    """
    reductions = {"average": segment_average, "sum": segment_total, "max": segment_maximum}
    if not is_one_of(kind, reductions):
        raise ShapeError(expected("global_pool", "kind to be 'average', 'sum' or 'max'", repr(kind)))
    # As a float, since the number of sites of a field may exceed 64 bits.
    return reductions[kind](x, ground, starts, None if field is None else float(field))


def column_sums(dy: Array) -> Array:
    """Return the sum of all rows, (1, c); added in fixed chunks, so that the bits do not depend on the threads."""
    return ops_of(dy).segment_sum(dy, np.array([0, len(dy)]))


def _spread(dy: Array, counts: IntegerArray) -> Array:
    """Return each row of dy counts[i] times: the gradient of a sample for each of its rows."""
    return ops_of(dy).take(dy, np.repeat(np.arange(len(counts), dtype=np.int32), counts))


def _check_rulebook(who: str, rulebook: object) -> None:
    if not isinstance(rulebook, Rulebook):
        raise TypeError(expected(who, "a Rulebook, as grid.rules(window) returns it", kind_of(rulebook)))


def lie_in(rows: IntegerArray, n: int) -> bool:
    """Return True if all row numbers are from 0 to n - 1."""
    return not len(rows) or bool(0 <= rows.min() and rows.max() < n)


def _row_numbers(who: str, rows: IntegerArray) -> IntegerArray:
    """Return row numbers as an array of integers; a list becomes one."""
    found = np.asarray(rows) if isinstance(rows, (list, tuple)) and rows else rows
    if getattr(getattr(found, "dtype", None), "kind", "") not in ("i", "u") or found.ndim != 1:
        raise ShapeError(expected(who, "rows (n,), whole numbers", described(rows)))
    return found
