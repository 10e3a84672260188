"""The verbs on the CPU: float32 over the compiled core, with the threads that config allows."""

import numpy as np

from spconv_cy import _core
from spconv_cy.backend.ops import Ops, check_conv, open_windows
from spconv_cy.compiled import rowwise
from spconv_cy.config import threads
from spconv_cy.errors import BackendError, ShapeError


class CpuOps(Ops):
    """Compiled, multithreaded, float32: other floats, integers and booleans are converted at the door.

    Arrays may have any strides; what is not C-contiguous is copied. Results have the same bits for any number of
    threads.
    """

    name = "cpu"
    float_dtypes = (np.float32,)

    def conv(self, x, w, rulebook, *, bias=None, slope=None, precision="float32"):
        """See Ops.conv; float32 is all there is."""
        _check_precision(precision)
        x, w = self._rows("conv", x), self._floats(w)
        bias = None if bias is None else self._rows("conv", bias)
        check_conv("conv", x, w, rulebook, bias)
        return _core.conv(x, w if w.ndim == 4 else w[:, None], rulebook.pairs, bias=bias, slope=slope,
                          n_threads=threads())

    def conv_dw(self, x, dy, rulebook, groups=1, *, precision="float32"):
        """See Ops.conv_dw; float32 is all there is."""
        _check_precision(precision)
        return _core.conv_dw(self._rows("conv_dw", x), self._rows("conv_dw", dy), rulebook.pairs, groups,
                             n_threads=threads())

    def max_pool(self, x, rulebook, ground=None):
        """See Ops.max_pool."""
        is_open = None
        if ground is not None:
            ground, is_open = self._rows("max_pool", ground), open_windows(rulebook).view(np.uint8)
        return _core.max_pool(self._rows("max_pool", x), rulebook.pairs, ground, is_open, n_threads=threads())

    def max_pool_dx(self, dy, winner, n, rulebook=None):
        """See Ops.max_pool_dx."""
        transposed = None if rulebook is None else rulebook.T.pairs
        return _core.max_pool_dx(self._rows("max_pool_dx", dy), np.require(winner, np.int32, "CA"), n, transposed,
                                 n_threads=threads())

    def sum_pool(self, x, rulebook):
        """See Ops.sum_pool."""
        return _core.sum_pool(self._rows("sum_pool", x), rulebook.pairs, n_threads=threads())

    def scatter_add(self, x, rows, m):
        """See Ops.scatter_add."""
        rows = np.asarray(rows)
        if rows.dtype != np.int32 and rows.size and not 0 <= rows.min() <= rows.max() < m:
            raise ShapeError(f"scatter_add: rows {rows.min()} to {rows.max()} came; rows 0 to {m - 1} fit")
        return _core.scatter_add(self._rows("scatter_add", x), np.require(rows, np.int32, "CA"), m,
                                 n_threads=threads())

    def segment_sum(self, x, starts):
        """See Ops.segment_sum."""
        return _core.segment_sum(self._rows("segment_sum", x), np.require(starts, np.int64, "CA"),
                                 n_threads=threads())

    def segment_max(self, x, starts):
        """See Ops.segment_max."""
        return _core.segment_max(self._rows("segment_max", x), np.require(starts, np.int64, "CA"),
                                 n_threads=threads())

    def leaky_relu(self, x, slope):
        """See Ops.leaky_relu."""
        return rowwise.leaky_relu(self._rows("leaky_relu", x), slope, n_threads=threads())

    def leaky_relu_dx(self, y, dy, slope):
        """See Ops.leaky_relu_dx."""
        return rowwise.leaky_relu_dx(self._rows("leaky_relu_dx", y), self._rows("leaky_relu_dx", dy), slope,
                                      n_threads=threads())

    def moments(self, x):
        """See Ops.moments."""
        return rowwise.moments(self._rows("moments", x), n_threads=threads())

    def affine(self, x, rows, slope=1.0):
        """See Ops.affine."""
        return rowwise.affine(self._rows("affine", x), self._rows("affine", rows), slope, n_threads=threads())

    def affine_sums(self, x, dy, rows, slope=1.0):
        """See Ops.affine_sums."""
        return rowwise.affine_sums(*(self._rows("affine_sums", a) for a in (x, dy, rows)), slope, n_threads=threads())

    def affine_dx(self, x, dy, rows, ab, slope=1.0):
        """See Ops.affine_dx."""
        return rowwise.affine_dx(*(self._rows("affine_dx", a) for a in (x, dy, rows, ab)), slope, n_threads=threads())

    def _rows(self, who, array):
        array = self.asarray(array)
        if array.ndim != 2:
            raise ShapeError(f"{who}: an array {array.shape} came; rows by channels, (n, c), fit")
        return array

    def _floats(self, w):
        # Weights keep their strides (dx comes with swapped axes): the core packs them anyway.
        w = np.asarray(w)
        return w if w.dtype == np.float32 and w.flags.aligned else self.asarray(w)


def _check_precision(precision):
    if precision != "float32":
        raise BackendError(f"the cpu backend computes in float32, and {precision} came; precision('float32') fits, or "
                           'use("cuda"), and use("reference") to see what the rounding does')
