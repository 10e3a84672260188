"""Transposed convolution: it creates the sites that windows over the finer grid would cover."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.restoring import refuse_ground
from spconv_cy.sites import Grid, LatticeLike, Window
from spconv_cy.tensor import SparseTensor
from spconv_cy.types import Seed


class TransposedConvolution(Convolution):
    """Spread every active site j over the sites `stride * j + dilation * tap - padding`, all of which become active.

    Output p is the sum of x[j] @ weight[k] over the active sites j with p = stride * j + dilation * tap_k - padding:
    the adjoint of a Convolution with the same window, and the dense transposed convolution over a zero background. A
    field of n sites becomes one of (n - 1) * stride + dilation * (size - 1) + 1 - 2 * padding. Generative networks
    prune the new sites (`Sparsify`, `KeepTop`). A call with a Grid, `layer(x, grid)`, computes at its sites only.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels.
        size, stride, dilation, shape, taps: of the window, as for Convolution.
        padding: sites cut off on every face of the new field.
        bias: whether a bias is added at every new site.
        groups, rng: as for Convolution.

    Attributes: weight, bias and window as for Convolution.

    Raises:
        ShapeError: arguments do not fit together; at the call, the channels do not fit, or the tensor has a ground
            state: different new sites would get it through different weights.

    Source: MinkowskiEngine (generative transposed convolution); SparseConvNet (full convolution).

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 0, 1]], [[1.0]], size=3, ground=None)
    >>> y = TransposedConvolution(2, 1, 4, 2, 2, rng=0)(x)
    >>> y.grid.size, y.sites[:, 1:].tolist()
    ((6, 6), [[0, 2], [0, 3], [1, 2], [1, 3]])
    """

    role = Convolution.role

    def __init__(self, lattice: LatticeLike, channels_in: int, channels_out: int,
                 size: int | Sequence[int] | None = None, stride: int | Sequence[int] = 1, *,
                 dilation: int | Sequence[int] = 1, padding: int | Sequence[int] = 0, bias: bool = True,
                 groups: int = 1, shape: str = "full", taps: Sequence[Sequence[int]] | None = None,
                 rng: Seed = None) -> None:
        window = Window(lattice, size, stride, dilation, padding, "transposed", "exact", shape, taps)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def activated(self, x: SparseTensor, slope: float | None = None, grid: Grid | None = None) -> SparseTensor:
        """Compute the new sites, and apply a leaky ReLU of that slope unless it is None."""
        checked_sparse(self, x)
        refuse_ground(self, x, "new sites get the ground state through different weights")
        return super().activated(x, slope, grid)

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:
        """Return the multiply-adds that gave y for x: (by input rows and volume, by pairs, dense or None)."""
        each = self.channels_in * self.channels_out // self.groups
        sites = None if x.grid.size is None else x.grid.samples * x.grid.field
        pairs = x.grid.n * self.window.volume
        return pairs * each, pairs * each, None if sites is None else sites * self.window.volume * each

    def notation(self) -> str:
        """Return "": the notation of the papers does not have it."""
        return ""
