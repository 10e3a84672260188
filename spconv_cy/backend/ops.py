"""The operations of a backend in plain numpy: the reference for all others, in any float dtype."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.backend import classes, exact, weighted
from spconv_cy.backend.numbers import NUMBERS, cast, check_whole, refuse_dtype
from spconv_cy.backend.precision import rounded
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import ShapeError, expected
from spconv_cy.operands import (
    check_affine,
    check_conv,
    check_conv_after,
    check_conv_dw,
    check_equal,
    check_labels,
    check_max_pool,
    check_parts,
    check_rows,
    check_scatter,
    check_segments,
    check_sum,
    check_take,
    check_widths,
    check_winner,
)
from spconv_cy.types import Array

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from spconv_cy.backend.copying import CopyStream
    from spconv_cy.backend.structure import Rulebook


class Ops:
    """Backend operations in plain numpy, on one thread; the backend "reference" is this class, in float64.

    n input rows, m output rows, c and o channels in and out, k offsets, b samples. Every operation gives the same bits
    for any number of threads. Of a rulebook only the arrays and counts are read.

    Attributes:
        name: str.
        xp: numpy, or a module like it, for the backend's arrays.
        float_dtypes: dtypes of float arrays of this backend, the default first.
        copies: None, or on a GPU the CopyStream that prepares batches.
        steps, joint: None, or the modules compiled.steps, which changes parameters in place, and backend.joint.
        group: the processes that have other rows, for sums in float64.
    """

    name: str = "reference"
    xp: Any = np
    float_dtypes: tuple[type[np.floating[Any]], ...] = (np.float64,)
    copies: CopyStream | None = None
    steps: ModuleType | None = None
    joint: ModuleType | None = None
    group: exact.Alone = exact.ALONE

    def asarray(self, array: object, dtype: DTypeLike | None = None) -> Array:
        """Return `array` as a C-contiguous array of this backend, without a copy if it is one already.

        Arrays of other libraries are read without a copy, by DLPack.

        Args:
            array: numbers.
            dtype: of the result; None: the backend's float, for floats, integers and booleans alike.

        Raises:
            ShapeError: complex numbers, objects or text; a masked array; numbers that the result's float cannot hold.
            BackendError: an array of another library that is not in the CPU's memory.
        """
        wanted = np.dtype(self.float_dtypes[0] if dtype is None else dtype)
        if type(array) is np.ndarray and array.dtype is wanted and wanted.kind in "fiub":
            flags = array.flags
            if flags.c_contiguous and flags.aligned:
                return array
        if array is None:
            raise ShapeError(expected("features", NUMBERS, "None"))
        array = as_numpy(array, "features")
        try:
            array = np.asarray(array)
        except ValueError as error:
            if "inhomogeneous" not in str(error):                        # such as the error of a Tensor in a list
                raise ShapeError(f"features: {error}") from None
            raise ShapeError(expected("features", "an array of numbers", "rows of unequal length")) from None
        if array.dtype.kind not in "fiub":
            check_whole(array)
            refuse_dtype(array)
        array = cast(array, wanted)
        return array if array.flags.aligned else array.copy()            # compiled loops need aligned numbers

    def on_host(self, array: object, dtype: DTypeLike | None = None) -> Array:
        """Return `array` like `asarray`, but always as a numpy array.

        Raises:
            ShapeError: complex numbers, objects or text.
        """
        return Ops.asarray(self, array, dtype)

    def to_numpy(self, array: Array) -> Array:
        """Return `array` as a numpy array."""
        return np.asarray(array)

    def conv(self, x: Array, w: Array, rulebook: Rulebook, *, bias: Array | None = None, slope: float | None = None,
             precision: str = "float32") -> Array:
        """Return y (m, o): y[out] sums x[in] @ w[k] over the pairs (in, out) of each offset k.

        Args:
            x: (n, c).
            w: (k, c, o), or (k, g, c/g, o/g) for g groups.
            rulebook: Rulebook of n input rows and k offsets.
            bias: (1, o), the initial value of each row's sum, or None: zero.
            slope: if given, a leaky ReLU of this slope is applied to the sums.
            precision: x and w are rounded to it first: "float32", "tf32" or "float16"; sums keep at least float32.

        Returns:
            (m, o); rounded to float16 with that precision.

        Raises:
            ShapeError: x, w, bias and rulebook do not fit each other.
            BackendError: the backend does not have this precision.
        """
        x, w = rounded(x, precision), rounded(w, precision)
        y = np.zeros((rulebook.n_out, check_conv("conv", x, w, rulebook, bias)), x.dtype)
        y += 0 if bias is None else bias
        for k, in_rows, out_rows in _offsets(rulebook):
            y[out_rows] += _grouped(x[in_rows], w[k])
        y = y if slope is None else np.where(y >= 0, y, y * y.dtype.type(slope))
        return rounded(y, precision) if precision == "float16" else y

    def conv_after(self, x: Array, w: Array, rulebook: Rulebook, *, bias: Array | None = None,
                   slope: float | None = None, rows: Array | None = None, residual: Array | None = None,
                   measure: bool = False, precision: str = "float32") -> tuple[Array, ...]:
        """Return (y,): conv, then affine with `rows`, plus residual, then leaky_relu; with `measure` (y, moments of y).

        A backend reads and writes memory once for it if it can. rows are (4, o) or None, residual (m, o) or None.
        """
        joined = rows is not None or residual is not None
        y = self.conv(x, w, rulebook, bias=bias, slope=None if joined else slope, precision=precision)
        if joined:
            check_conv_after(y.shape[1], rulebook, rows, residual)
            y = self.affine(y, rows, 1.0, residual) if rows is not None else y + residual
        y = self.leaky_relu(y, slope) if joined and slope is not None else y
        return (y, self.moments(y)) if measure else (y,)

    def conv_dw(self, x: Array, dy: Array, rulebook: Rulebook, groups: int = 1, *,
                precision: str = "float32") -> Array:
        """Return the weight gradient of conv: sums of x[in]^T dy[out] over the pairs of each offset.

        Args:
            x, dy: (n, c) and (m, o).
            rulebook: Rulebook.
            groups: g.
            precision: x and dy are rounded to it first, as in conv.

        Returns:
            (k, c, o), or (k, g, c/g, o/g) for more than one group; never float16.
        """
        x, dy = rounded(x, precision), rounded(dy, precision)
        check_conv_dw(x, dy, rulebook, groups)
        dw = (exact.products(x, dy, rulebook, groups, self.group) if x.dtype == dy.dtype == np.float64
              else exact.plain_products(x, dy, rulebook, groups))
        return dw if groups > 1 else dw[:, 0]

    def max_pool(self, x: Array, rulebook: Rulebook, ground: Array | None = None) -> tuple[Array, Array]:
        """Return the maximum over the active rows of each window, and over the ground state if a site is inactive.

        The first of equals in offset order wins; an active row wins over an equal ground, and NaN over any number.

        Args:
            x: (n, c).
            rulebook: Rulebook.
            ground: (1, c), which competes if `fan_in < volume` or a window has no active row; or None.

        Returns:
            y (m, c) and winner (m, c) int32: the input row that won, -1 for the ground. A window without an active row
            gives zero and -1 if ground is None.
        """
        check_max_pool(x, rulebook, ground)
        y = np.full((rulebook.n_out, x.shape[1]), -np.inf, x.dtype)
        winner = np.full(y.shape, -1, np.int32)
        for _, in_rows, out_rows in _offsets(rulebook):
            _compete(y, winner, out_rows, x[in_rows], in_rows[:, None].astype(np.int32))
        if ground is not None:
            open_rows = np.flatnonzero(open_windows(rulebook))
            _compete(y, winner, open_rows, np.broadcast_to(ground, (len(open_rows), x.shape[1])), np.int32(-1))
        else:
            y[rulebook.fan_in == 0] = 0
        return y, winner

    def max_pool_dx(self, dy: Array, winner: Array, n: int,
                    rulebook: Rulebook | None = None) -> tuple[Array, Array]:
        """Return (dx (n, c), dground (1, c)): each dy is added to the row that won, to dground for winner -1.

        A backend can be faster if it is given the rulebook of the pooling. Its pairs (in, out) must be distinct, as
        those of windows are.
        """
        check_winner(dy, winner, n)
        dx = np.zeros((n + 1, dy.shape[1]), dy.dtype)
        columns = np.broadcast_to(np.arange(dy.shape[1]), dy.shape)
        np.add.at(dx, (winner, columns), dy)                             # -1 is the last row: the ground's
        ground = exact.column_sums(np.where(winner < 0, dy, 0)) if dy.dtype == np.float64 else dx[n:].copy()
        return dx[:n], ground

    def sum_pool(self, x: Array, rulebook: Rulebook) -> Array:
        """Return the sums (m, c) of the active rows of x (n, c) in each window."""
        check_rows("sum_pool", x, rulebook)
        y = np.zeros((rulebook.n_out, x.shape[1]), x.dtype)
        for _, in_rows, out_rows in _offsets(rulebook):
            y[out_rows] += x[in_rows]
        return y

    def take(self, x: Array, rows: Array, ground: Array | None = None, weights: Array | None = None) -> Array:
        """Return the rows (m,) of x (n, c), giving (m, c); row -1 is the ground state (1, c), or zero without one.

        With weights (k, m) and rows (k, m): the sums over k of weights[k, i] * x[rows[k, i]], without terms of row -1
        or weight 0.
        """
        check_take(x, rows, ground, weights)
        if weights is not None:
            return weighted.taken(self, x, rows, self.to_numpy(weights))
        missing = rows < 0
        if not missing.any():
            return self.xp.ascontiguousarray(x[rows])
        there = np.flatnonzero(~missing)
        y = self.xp.zeros((len(rows), x.shape[1]), x.dtype)
        if ground is not None:
            y += ground
        y[there] = x[rows[there]]
        return y

    def scatter_add(self, x: Array, rows: Array, m: int, mean: bool = False, weights: Array | None = None) -> Array:
        """Return (m, c): row i of x (n, c) is added to row rows[i] of the result, in the order of i.

        Args:
            x: (n, c).
            rows: (n,), 0 to m - 1.
            m: rows of the result; one to which no row goes is zero.
            mean: each sum is multiplied by the inverse of the number of its rows; without weights only.
            weights: (k, n), with rows (k, n): weights[k, i] * x[i] is added to row rows[k, i], for k and i in turn,
                without terms of row -1 or weight 0.
        """
        check_scatter(x, rows, m, weights)
        if weights is not None:
            return weighted.added(self, x, rows, m, self.to_numpy(weights))
        y = np.zeros((m, x.shape[1]), x.dtype)
        np.add.at(y, rows, x)
        return y * shares(rows, m).astype(x.dtype) if mean else y

    def scatter_max(self, x: Array, rows: Array, m: int) -> tuple[Array, Array]:
        """Return the largest (m, c) of the rows of x (n, c) that go to each row, and which won, (m, c) int32.

        Row i goes to row rows[i]. The first of equals wins, and NaN over any number; a row to which none goes has 0
        and -1.
        """
        check_scatter(x, rows, m)
        order = np.argsort(rows, kind="stable").astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=m))])
        y, winner = self.segment_max(self.take(x, order), starts)
        return y, self.xp.asarray(np.append(order, np.int32(-1)))[winner]

    def segment_sum(self, x: Array, starts: Array) -> Array:
        """Return the sums (b, c) of the rows starts[i] to starts[i+1] of x (n, c); an empty segment gives 0."""
        check_segments("segment_sum", x, np.asarray(starts))
        return exact.column_sums(x, starts, self.group) if x.dtype == np.float64 else exact.plain_sums(x, starts)

    def segment_max(self, x: Array, starts: Array) -> tuple[Array, Array]:
        """Return the maxima (b, c) of the rows starts[i] to starts[i+1], and the rows that won, int32.

        The first of equals wins, and NaN over any number; an empty segment gives 0 and -1.
        """
        check_segments("segment_max", x, np.asarray(starts))
        y = np.zeros((len(starts) - 1, x.shape[1]), x.dtype)
        winner = np.full(y.shape, -1, np.int32)
        for i, (low, high) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
            if high > low:
                winner[i] = low + x[low:high].argmax(0)
                y[i] = x[low:high].max(0)
        return y, winner

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """Return x (n, c) where it is 0 or more, slope * x elsewhere."""
        return self.xp.where(x >= 0, x, x * x.dtype.type(slope))

    def leaky_relu_dx(self, y: Array, dy: Array, slope: float) -> Array:
        """Return dy where the output y is above 0, slope * dy elsewhere; both (n, c)."""
        check_equal("leaky_relu_dx", y, dy)
        return self.xp.where(y > 0, dy, dy * dy.dtype.type(slope))

    def moments(self, x: Array) -> Array:
        """Return (3, c): the mean of each column, its rounding error, and the biased variance; zeros without rows."""
        if x.dtype == np.float64 and self.xp is np:
            return exact.moments(x, self.group)
        if not len(x):
            return self.xp.zeros((3, x.shape[1]), x.dtype)
        mean = x.mean(0)
        return self.xp.stack([mean, self.xp.zeros_like(mean), ((x - mean) ** 2).mean(0)])

    def affine(self, x: Array, rows: Array, slope: float = 1.0, residual: Array | None = None) -> Array:
        """Return z = (x - centre - rest) * scale + shift by column, plus residual; values below 0 times slope.

        Args:
            x: (n, c).
            rows: (4, c): centre, rest (the rounding error of centre), scale, shift.
            slope, residual: factor of values below 0; (n, c) or None.
        """
        check_affine("affine", x, rows, residual)
        z = (x - rows[0] - rows[1]) * rows[2] + rows[3]
        return self.leaky_relu(z if residual is None else z + residual, slope)

    def affine_sums(self, x: Array, dy: Array, rows: Array, slope: float = 1.0) -> Array:
        """Return (2, c): the columns' sums of dz, the gradient of z in `affine`, and of dz * (x - centre - rest)."""
        check_affine("affine_sums", x, rows, dy)
        dz = self.leaky_relu_dx(self.affine(x, rows), dy, slope)
        parts = dz, dz * (x - rows[0] - rows[1])
        if x.dtype == np.float64 and self.xp is np:
            return np.concatenate([exact.column_sums(part, None, self.group) for part in parts])
        return self.xp.stack([part.sum(0) for part in parts])

    def affine_dx(self, x: Array, dy: Array, rows: Array, ab: Array, slope: float = 1.0) -> Array:
        """Return dz * scale + (x - centre - rest) * a + b for a, b = ab (2, c): dx if the rows depend on x."""
        check_affine("affine_dx", x, rows, dy, ab)
        return self.leaky_relu_dx(self.affine(x, rows), dy, slope) * rows[2] + ((x - rows[0] - rows[1]) * ab[0] + ab[1])

    def add(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """Return x + y of equal shapes; `out`, which may be x or y, is the C-contiguous array to write to."""
        check_sum(x, y, out)
        return self.xp.add(x, y, out=out)

    def concatenate(self, *parts: Array) -> Array:
        """Return the columns of all parts (n, c1), (n, c2), ... joined."""
        check_parts(parts)
        return self.xp.concatenate(parts, axis=1)

    def split(self, x: Array, *widths: int) -> tuple[Array, ...]:
        """Return the columns of x (n, c) in parts of the given widths, which add up to c."""
        check_widths(x, widths)
        ends = np.cumsum(widths).tolist()
        return tuple(self.xp.ascontiguousarray(x[:, end - c:end]) for c, end in zip(widths, ends, strict=True))

    def cross_entropy(self, x: Array, labels: Array, counts: Array | None = None) -> tuple[Array, Array]:
        """Return the sum of log(sum of exp(x)) - x[label] over the rows, and what cross_entropy_dx needs.

        Args:
            x: (n, c).
            labels: (n,) whole numbers from 0 to c - 1, or -1: the row does not count.
            counts: (n,) factors of the rows, or None: 1.

        Returns:
            The sum, shape (), and (n, 2): the maximum of each row, and the sum of exp(x - maximum); 0 and 1 for a row
            that does not count.
        """
        check_labels("cross_entropy", x, labels, counts)
        return classes.cross_entropy(self.xp, x, labels, counts, self.group if x.dtype == np.float64 else None)

    def cross_entropy_dx(self, x: Array, found: Array, labels: Array, factor: float | Array,
                         counts: Array | None = None) -> Array:
        """Return the gradient of cross_entropy times a number, `factor`; `found` is its second result."""
        check_labels("cross_entropy_dx", x, labels, counts, found)
        return classes.cross_entropy_dx(self.xp, x, found, labels, factor, counts)

    def __repr__(self) -> str:
        return f"<{self.name} backend>"


def shares(rows: Array, m: int) -> Array:
    """Return (m, 1) float64: one divided by the number of entries of `rows` that name each row; 1 where none does."""
    return np.asarray(1 / np.maximum(np.bincount(rows, minlength=m), 1)[:, None])


def open_windows(rulebook: Rulebook) -> Array:
    """Return (n_out,) booleans: True if a site of the window is inactive, so that the ground state competes."""
    return (rulebook.fan_in < rulebook.volume) | (rulebook.fan_in == 0)


def _offsets(rulebook: Rulebook) -> Iterator[tuple[int, Array, Array]]:
    pointers = rulebook.offset_ptr
    for k in range(rulebook.n_offsets):
        yield k, rulebook.in_rows[pointers[k]:pointers[k + 1]], rulebook.out_rows[pointers[k]:pointers[k + 1]]


def _grouped(x: Array, w: Array) -> Array:
    if w.ndim == 2:
        return exact.rows_times(x, w)
    parts = np.split(x, len(w), axis=1)
    return np.concatenate([exact.rows_times(part, matrix) for part, matrix in zip(parts, w, strict=True)], axis=1)


def _compete(y: Array, winner: Array, rows: Array, values: Array, names: Any) -> None:
    better = (values > y[rows]) | (np.isnan(values) & ~np.isnan(y[rows]))
    # A row with no value but -inf still has a winner: the first active site.
    better |= (y[rows] == -np.inf) & (winner[rows] == -1) & (values == -np.inf)
    y[rows] = np.where(better, values, y[rows])
    winner[rows] = np.where(better, names, winner[rows])
