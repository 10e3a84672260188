"""Coordinates of sites as features."""

from functools import lru_cache

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import concatenate
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.lattice import as_lattice


class AddCoordinates(Layer):
    """Add d channels, the coordinates of each site, from -1 at the field's first site to 1 at its last.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size: of the field that becomes -1 to 1, an int or d ints; by default the grid's, and needed where that is
            unbounded. Along an axis of one site the coordinate is 0 there.

    Raises:
        ShapeError: at the call, for an input with a ground state, another lattice, an unbounded grid without a size.

    Source: Liu et al. 2018, arXiv:1807.03247; SparseConvNet's AddCoords.

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 0], [0, 1], [0, 4]], np.ones((3, 1)), size=5, ground=None)
    >>> AddCoordinates(1)(x).features.data.tolist()
    [[1.0, -1.0], [1.0, -0.5], [1.0, 1.0]]
    """

    def __init__(self, lattice, *, size=None):
        self.lattice = as_lattice(lattice)
        self.size = None if size is None else self.lattice.per_axis(size, "AddCoordinates size", 1)

    def __call__(self, x):
        checked_lattice(self, x, self.lattice)
        if x.ground is not None:
            raise ShapeError(f"{self}: an input with a ground state came, but inactive sites have coordinates of their "
                             "own; make the input with ground=None")
        size = x.grid.size if self.size is None else self.size
        if size is None:
            raise ShapeError(f"{self}: an unbounded grid came; give size=, the field whose coordinates become -1 to 1")
        centre, half = _middle(size)
        coordinates = ((x.sites[:, 1:] - centre) / half).astype(x.features.dtype)
        coordinates = ops_of(x.features.data).asarray(coordinates, x.features.dtype)
        return x.with_features(concatenate(x.features, Tensor.of(coordinates)))


@lru_cache(maxsize=64)
def _middle(size):
    """Return the middle (d,) of a field of `size` and how far its first site lies from there, 1 for an axis of one."""
    centre = (np.array(size) - 1) / 2
    return centre, np.where(centre > 0, centre, 1)
