"""Coordinates of sites as features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import concatenate
from spconv_cy.functional.selection import takes_one_call, with_coordinates
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.lattice import LatticeLike, as_lattice
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array


class AddCoordinates(Layer):
    """Append d channels with the coordinates of each site, from -1 at the field's first site to 1 at its last.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size: of the field that is scaled to -1 to 1, an int or d ints; by default the grid's; required if the grid is
            unbounded. Along an axis of one site the coordinate of that site is 0.

    Raises:
        ShapeError: at the call, an input with a ground state, another lattice, or an unbounded grid without a size.

    Source: Liu et al. 2018, arXiv:1807.03247; SparseConvNet's AddCoords.

    >>> from spconv_cy.tensor import SparseTensor, Tensor
    >>> x = SparseTensor.from_sites([[0, 0], [0, 1], [0, 4]], np.ones((3, 1)), size=5, ground=None)
    >>> AddCoordinates(1)(x).features.data.tolist()
    [[1.0, -1.0], [1.0, -0.5], [1.0, 1.0]]
    """

    def __init__(self, lattice: LatticeLike, *, size: int | Sequence[int] | None = None) -> None:
        self.lattice = as_lattice(lattice)
        self.size = None if size is None else self.lattice.per_axis(size, "AddCoordinates size", 1)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Append the coordinates of the active sites."""
        checked_lattice(self, x, self.lattice)
        if x.ground is not None:
            raise ShapeError(expected(f"{self}", "an input with ground=None (inactive sites have coordinates too)",
                                      "one with a ground state", "make the input with ground=None"))
        size = x.grid.size if self.size is None else self.size
        if size is None:
            raise ShapeError(expected(f"{self}", "a grid with a size", "an unbounded grid",
                                      "give size=, the field that is scaled to -1 to 1"))
        centre, half = _middle(size)
        if takes_one_call(x.features):
            return x.with_features(with_coordinates(x.features, x.grid.sites, centre, half))
        coordinates = ((x.sites[:, 1:] - centre) / half).astype(x.features.dtype)
        coordinates = ops_of(x.features.data).asarray(coordinates, x.features.dtype)
        return x.with_features(concatenate(x.features, Tensor.of(coordinates)))


@lru_cache(maxsize=64)
def _middle(size: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the middle (d,) of a field and the distance of its first site from it, 1 for an axis of one site."""
    centre = (np.array(size) - 1) / 2
    return centre, np.where(centre > 0, centre, 1)
