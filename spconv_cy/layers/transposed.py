"""Transposed convolution: it creates sites, those that windows laid over the finer grid would see."""

from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.restoring import refuse_ground
from spconv_cy.sites.window import Window


class TransposedConvolution(Convolution):
    """Spread every active site j over the sites `stride * j + dilation * tap - padding`, all of which become active.

    Output p is the sum of x[j] @ weight[k] over the active sites j with p = stride * j + dilation * tap_k - padding:
    the adjoint of a Convolution with the same window, and the dense transposed convolution over a zero background. A
    field of n sites becomes one of (n - 1) * stride + dilation * (size - 1) + 1 - 2 * padding. Generative networks
    prune what it makes (`Sparsify`, `KeepTop`). A call with a Grid, `layer(x, grid)`, computes at its sites alone.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels.
        size, stride, dilation, shape, taps: of the window, as for Convolution.
        padding: sites cut off on every face of the new field.
        bias: whether a bias is added, to every created site.
        groups, rng: as for Convolution.

    Attributes: weight, bias and window as for Convolution.

    Raises:
        ShapeError: arguments that do not fit; at the call, other channels, or a tensor with a ground state, which
            different new sites would get through different weights.

    Source: MinkowskiEngine (generative transposed convolution); SparseConvNet (full convolution).

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 0, 1]], [[1.0]], size=3, ground=None)
    >>> y = TransposedConvolution(2, 1, 4, 2, 2, rng=0)(x)
    >>> y.grid.size, y.sites[:, 1:].tolist()
    ((6, 6), [[0, 2], [0, 3], [1, 2], [1, 3]])
    """

    role = Convolution.role

    def __init__(self, lattice, channels_in, channels_out, size=None, stride=1, *, dilation=1, padding=0, bias=True,
                 groups=1, shape="full", taps=None, rng=None):
        window = Window(lattice, size, stride, dilation, padding, "transposed", "exact", shape, taps)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def activated(self, x, slope=None, grid=None):
        """Create, and apply a leaky ReLU of that slope unless it is None."""
        checked_sparse(self, x)
        refuse_ground(self, x, "sites that are created would get it through different weights, so that there is no "
                               "common one")
        return super().activated(x, slope, grid)

    def multiply_adds(self, x, y):
        """Count by rows that come in and volume, by pairs, and dense."""
        each = self.channels_in * self.channels_out // self.groups
        sites = None if x.grid.size is None else x.grid.samples * x.grid.field
        pairs = x.grid.n * self.window.volume
        return pairs * each, pairs * each, None if sites is None else sites * self.window.volume * each

    def notation(self):
        """Return "" since the papers' notation has no word for it."""
        return ""
