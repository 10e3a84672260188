"""From a sparse network to a dense head, such as a bird's-eye-view detector: an axis to channels, all sites active."""

from __future__ import annotations

import numpy as np

from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.placing import fill_rows, stack_channels
from spconv_cy.layers.collapse import Collapse
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer, Role
from spconv_cy.sites import Grid, Lattice, LatticeLike, as_lattice
from spconv_cy.tensor import MOST_DENSE, SparseTensor, Tensor

MOST_SITES = 2**26


class Densify(Layer):
    """Make every site of the field active; new sites have the ground state, or zeros without one.

    Layers after it compute what dense layers do: with `ground=None` a Convolution with padding is a dense convolution
    with zero padding, a SubmanifoldConvolution of odd size is one of stride 1 that keeps the size and whose rulebook is
    kept, and a TransposedConvolution is the dense one. Normalisations then count all sites.

    Args:
        lattice: Lattice, or the dimension of the cubic one.

    Raises:
        ShapeError: at the call, another lattice, an input without a size, or more numbers than memory is given for.

    >>> x = SparseTensor.from_sites([[0, 1, 0]], [[5.0]], size=2, ground=None)
    >>> Densify(2)(x).features.data[:, 0].tolist()
    [0.0, 0.0, 5.0, 0.0]
    """

    role = Role.CHANNELWISE

    def __init__(self, lattice: LatticeLike) -> None:
        self.lattice = as_lattice(lattice)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Make every site active."""
        checked_lattice(self, x, self.lattice)
        size = _checked_size(self, x)
        n = x.grid.samples * self.lattice.field(size)
        if n > MOST_SITES or n * x.channels > MOST_DENSE:
            raise ShapeError(expected(f"{self}", f"a field of at most {MOST_SITES} sites that fits in memory",
                                      f"{n} sites of {x.channels} channels", "use a smaller field, or crop the input"))
        if x.grid.n == n:
            return x
        grid = _full(self.lattice, size, x.grid.samples)
        return SparseTensor(fill_rows(x.features, x.ground, grid.rows_of(x.sites), n), grid, x.ground)


class HeightCompression(Collapse):
    """Turn an axis into channels, as before a bird's-eye-view head: (n, c) over d axes -> (m, c * size) over d - 1.

    Channel j at place z of the axis becomes channel j * size + z of the site without that coordinate, as in a dense
    array whose axes (c, size) are merged. Where the input has no active site, its ground state is used, or zero without
    one. An output site is active where an input site is active at any place.

    Args:
        lattice: the cubic Lattice, or its dimension.
        axis: number of the axis, from 0.

    Raises:
        ShapeError: arguments do not fit; at the call, another lattice, or an input without a size.

    Source: Lang et al. 2019, arXiv:1812.05784; OpenPCDet (HeightCompression).

    >>> x = SparseTensor.from_sites([[0, 0, 1], [0, 2, 1]], [[1.0, 2.0], [3.0, 4.0]], size=3, ground=None)
    >>> y = HeightCompression(2)(x)
    >>> y.sites.tolist(), y.features.data.tolist()
    ([[0, 1]], [[1.0, 0.0, 3.0, 2.0, 0.0, 4.0]])
    """

    role = Role.NONE
    stacks = True

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Turn the axis into channels."""
        checked_lattice(self, x, self.lattice)
        size = _checked_size(self, x)[self.axis]
        grid, rows = x.grid.collapse(self.axis)
        features = stack_channels(x.features, x.ground, rows, x.sites[:, 1 + self.axis], grid.n, size)
        ground = None
        if x.ground is not None:
            first = np.zeros(0, np.int32)
            ground = stack_channels(Tensor.of(x.features.data[:0]), x.ground, first, first, 1, size)
        return SparseTensor(features, grid, ground)


def _checked_size(layer: Layer, x: SparseTensor) -> tuple[int, ...]:
    if x.grid.size is None:
        raise ShapeError(expected(f"{layer}", "an input with a size", f"{x}, unbounded", "give the input a size"))
    return x.grid.size


def _full(lattice: Lattice, size: tuple[int, ...], samples: int) -> Grid:
    """Return the grid of all sites of a field; they are in canonical order."""
    places = lattice.taps(size)
    sites = np.empty((samples, len(places), 1 + lattice.d), np.int32)
    sites[:, :, 0], sites[:, :, 1:] = np.arange(samples)[:, None], places
    return Grid(sites.reshape(-1, 1 + lattice.d), size, samples, lattice)
