"""The verbs on the CPU: float32 over the compiled core, with the threads that config allows."""

import numpy as np

from spconv_cy import _core
from spconv_cy.backend.ops import Ops, open_windows
from spconv_cy.compiled import rowwise
from spconv_cy.config import threads
from spconv_cy.errors import BackendError, expected


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
        bias = None if bias is None else self.asarray(bias)
        return _core.conv(self.asarray(x), self._weights(w), rulebook.pairs, bias=bias, slope=slope,
                          n_threads=threads())

    def conv_dw(self, x, dy, rulebook, groups=1, *, precision="float32"):
        """See Ops.conv_dw; float32 is all there is."""
        _check_precision(precision)
        return _core.conv_dw(self.asarray(x), self.asarray(dy), rulebook.pairs, groups,
                             n_threads=threads())

    def max_pool(self, x, rulebook, ground=None):
        """See Ops.max_pool."""
        is_open = None
        if ground is not None:
            ground, is_open = self.asarray(ground), open_windows(rulebook).view(np.uint8)
        return _core.max_pool(self.asarray(x), rulebook.pairs, ground, is_open, n_threads=threads())

    def max_pool_dx(self, dy, winner, n, rulebook=None):
        """See Ops.max_pool_dx."""
        transposed = None if rulebook is None else rulebook.T.pairs
        return _core.max_pool_dx(self.asarray(dy), np.require(winner, np.int32, "CA"), n, transposed,
                                 n_threads=threads())

    def sum_pool(self, x, rulebook):
        """See Ops.sum_pool."""
        return _core.sum_pool(self.asarray(x), rulebook.pairs, n_threads=threads())

    def scatter_add(self, x, rows, m):
        """See Ops.scatter_add."""
        return _core.scatter_add(self.asarray(x), np.asarray(rows), m, n_threads=threads())

    def segment_sum(self, x, starts):
        """See Ops.segment_sum."""
        return _core.segment_sum(self.asarray(x), np.asarray(starts),
                                 n_threads=threads())

    def segment_max(self, x, starts):
        """See Ops.segment_max."""
        return _core.segment_max(self.asarray(x), np.asarray(starts),
                                 n_threads=threads())

    def leaky_relu(self, x, slope):
        """See Ops.leaky_relu."""
        return rowwise.leaky_relu(self.asarray(x), slope, n_threads=threads())

    def leaky_relu_dx(self, y, dy, slope):
        """See Ops.leaky_relu_dx."""
        return rowwise.leaky_relu_dx(self.asarray(y), self.asarray(dy), slope,
                                      n_threads=threads())

    def moments(self, x):
        """See Ops.moments."""
        return rowwise.moments(self.asarray(x), n_threads=threads())

    def affine(self, x, rows, slope=1.0):
        """See Ops.affine."""
        return rowwise.affine(self.asarray(x), self.asarray(rows), slope, n_threads=threads())

    def affine_sums(self, x, dy, rows, slope=1.0):
        """See Ops.affine_sums."""
        return rowwise.affine_sums(*(self.asarray(a) for a in (x, dy, rows)), slope, n_threads=threads())

    def affine_dx(self, x, dy, rows, ab, slope=1.0):
        """See Ops.affine_dx."""
        return rowwise.affine_dx(*(self.asarray(a) for a in (x, dy, rows, ab)), slope, n_threads=threads())

    def _weights(self, w):
        # Weights keep their strides (dx is asked for with swapped axes): the core packs them anyway.
        w = np.asarray(w)
        return w if w.dtype == np.float32 and w.flags.aligned else self.asarray(w)


def _check_precision(precision):
    if precision != "float32":
        raise BackendError(expected("conv", "precision float32, the only one of the cpu backend", repr(precision),
                                    'call precision("float32"), or use("cuda"); use("reference") shows the rounding'))
