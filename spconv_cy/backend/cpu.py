"""Backend operations on the CPU: float32, by the compiled core, on the threads that config allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spconv_cy import _core
from spconv_cy.backend import joint
from spconv_cy.backend.ops import Ops
from spconv_cy.compiled import gather, rowwise, steps
from spconv_cy.config import threads
from spconv_cy.errors import BackendError, expected
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.backend.structure import Rulebook


class CpuOps(Ops):
    """Compiled operations in float32, on several threads; other floats, integers and booleans are converted first.

    Arrays may have any strides; arrays that are not C-contiguous are copied. Results have the same bits for any number
    of threads.
    """

    name = "cpu"
    float_dtypes = (np.float32,)
    steps = steps
    joint = joint

    def conv(self, x: Array, w: Array, rulebook: Rulebook, *, bias: Array | None = None, slope: float | None = None,
             precision: str = "float32") -> Array:
        """See Ops.conv; the only precision is float32."""
        _check_precision(precision)
        bias = None if bias is None else self.asarray(bias)
        return _core.conv(self.asarray(x), self._weights(w), rulebook.pairs, bias=bias, slope=slope,
                          n_threads=threads())

    def conv_after(self, x: Array, w: Array, rulebook: Rulebook, *, bias: Array | None = None,
                   slope: float | None = None, rows: Array | None = None, residual: Array | None = None,
                   measure: bool = False, precision: str = "float32") -> tuple[Array, ...]:
        """See Ops.conv_after; all is computed while a tile of the result is in the cache."""
        _check_precision(precision)
        bias, rows, residual = (None if a is None else self.asarray(a) for a in (bias, rows, residual))
        x, w, n = self.asarray(x), self._weights(w), threads()
        if measure:
            return _core.conv(x, w, rulebook.pairs, bias=bias, slope=slope, rows=rows, residual=residual, measure=True,
                              n_threads=n)
        return (_core.conv(x, w, rulebook.pairs, bias=bias, slope=slope, rows=rows, residual=residual, n_threads=n),)

    def conv_dw(self, x: Array, dy: Array, rulebook: Rulebook, groups: int = 1, *,
                precision: str = "float32") -> Array:
        """See Ops.conv_dw; the only precision is float32."""
        _check_precision(precision)
        return _core.conv_dw(self.asarray(x), self.asarray(dy), rulebook.pairs, groups, n_threads=threads())

    def max_pool(self, x: Array, rulebook: Rulebook, ground: Array | None = None) -> tuple[Array, Array]:
        """See Ops.max_pool."""
        is_open = None
        if ground is not None:
            ground, is_open = self.asarray(ground), joint.opened(rulebook)
        return _core.max_pool(self.asarray(x), rulebook.pairs, ground, is_open, n_threads=threads())

    def max_pool_dx(self, dy: Array, winner: Array, n: int,
                    rulebook: Rulebook | None = None) -> tuple[Array, Array]:
        """See Ops.max_pool_dx."""
        transposed = None if rulebook is None else rulebook.T.pairs
        return _core.max_pool_dx(self.asarray(dy), np.require(winner, np.int32, ["C", "A"]), n, transposed,
                                 n_threads=threads())

    def sum_pool(self, x: Array, rulebook: Rulebook) -> Array:
        """See Ops.sum_pool."""
        return _core.sum_pool(self.asarray(x), rulebook.pairs, n_threads=threads())

    def take(self, x: Array, rows: Array, ground: Array | None = None, weights: Array | None = None) -> Array:
        """See Ops.take."""
        if weights is not None and ground is None:
            return gather.weigh(self.asarray(x), np.asarray(rows), self.asarray(weights), n_threads=threads())
        if not isinstance(x, np.ndarray) or x.dtype != np.float32 or weights is not None:
            return super().take(x, rows, ground, weights)                # keeps the dtype, and refuses both
        ground = None if ground is None else self.asarray(ground)
        return gather.take(self.asarray(x), np.asarray(rows), ground, n_threads=threads())

    def scatter_add(self, x: Array, rows: Array, m: int, mean: bool = False, weights: Array | None = None) -> Array:
        """See Ops.scatter_add."""
        if weights is not None:
            return gather.scatter_weighted(self.asarray(x), np.asarray(rows), m, self.asarray(weights),
                                           n_threads=threads())
        return gather.scatter_add(self.asarray(x), np.asarray(rows), m, mean, n_threads=threads())

    def scatter_max(self, x: Array, rows: Array, m: int) -> tuple[Array, Array]:
        """See Ops.scatter_max."""
        return gather.scatter_max(self.asarray(x), np.asarray(rows), m, n_threads=threads())

    def segment_sum(self, x: Array, starts: Array) -> Array:
        """See Ops.segment_sum."""
        return _core.segment_sum(self.asarray(x), np.asarray(starts), n_threads=threads())

    def segment_max(self, x: Array, starts: Array) -> tuple[Array, Array]:
        """See Ops.segment_max."""
        return _core.segment_max(self.asarray(x), np.asarray(starts), n_threads=threads())

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """See Ops.leaky_relu."""
        return rowwise.leaky_relu(self.asarray(x), slope, n_threads=threads())

    def leaky_relu_dx(self, y: Array, dy: Array, slope: float) -> Array:
        """See Ops.leaky_relu_dx."""
        return rowwise.leaky_relu_dx(self.asarray(y), self.asarray(dy), slope, n_threads=threads())

    def moments(self, x: Array) -> Array:
        """See Ops.moments."""
        return rowwise.moments(self.asarray(x), n_threads=threads())

    def affine(self, x: Array, rows: Array, slope: float = 1.0, residual: Array | None = None) -> Array:
        """See Ops.affine."""
        return rowwise.affine(self.asarray(x), self.asarray(rows), slope,
                              None if residual is None else self.asarray(residual), n_threads=threads())

    def affine_sums(self, x: Array, dy: Array, rows: Array, slope: float = 1.0) -> Array:
        """See Ops.affine_sums."""
        return rowwise.affine_sums(self.asarray(x), self.asarray(dy), self.asarray(rows), slope, n_threads=threads())

    def affine_dx(self, x: Array, dy: Array, rows: Array, ab: Array, slope: float = 1.0) -> Array:
        """See Ops.affine_dx."""
        return rowwise.affine_dx(self.asarray(x), self.asarray(dy), self.asarray(rows), self.asarray(ab), slope,
                                 n_threads=threads())

    def add(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """See Ops.add."""
        return rowwise.add(self.asarray(x), self.asarray(y), out, n_threads=threads())

    def concatenate(self, *parts: Array) -> Array:
        """See Ops.concatenate."""
        return rowwise.concatenate(tuple(map(self.asarray, parts)), n_threads=threads())

    def split(self, x: Array, *widths: int) -> tuple[Array, ...]:
        """See Ops.split."""
        return rowwise.split(self.asarray(x), widths, n_threads=threads())

    def cross_entropy(self, x: Array, labels: Array, counts: Array | None = None) -> tuple[Array, Array]:
        """See Ops.cross_entropy."""
        counts = None if counts is None else self.asarray(counts)
        return rowwise.cross_entropy(self.asarray(x), _int64(labels), counts, n_threads=threads())

    def cross_entropy_dx(self, x: Array, found: Array, labels: Array, factor: float | Array,
                         counts: Array | None = None) -> Array:
        """See Ops.cross_entropy_dx."""
        counts = None if counts is None else self.asarray(counts)
        return rowwise.cross_entropy_dx(self.asarray(x), self.asarray(found), _int64(labels), float(factor), counts,
                                        n_threads=threads())

    def _weights(self, w: Array) -> Array:
        # Weights keep their strides, which are those of swapped axes for dx: the core packs them anyway.
        w = np.asarray(w)
        return w if w.dtype == np.float32 and w.flags.aligned else self.asarray(w)


def _int64(labels: Array) -> Array:
    return np.require(labels, np.int64, ["C", "A"])


def _check_precision(precision: str) -> None:
    if precision != "float32":
        raise BackendError(expected("conv", "precision float32, the only one of the cpu backend", repr(precision),
                                    'call precision("float32"), or use("cuda"); use("reference") shows the rounding'))
