"""Bird's-eye view: the sum along an axis of the lattice."""

from __future__ import annotations

from spconv_cy.checks import is_integer
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import subtract_row
from spconv_cy.functional.sparse import scatter_add
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.lattice import LatticeLike, as_lattice
from spconv_cy.tensor import SparseTensor


class Collapse(Layer):
    """Sum along an axis: the result is on the lattice without that axis, active where any summed site is active.

    It equals `x.to_dense().sum(2 + axis)`. With a ground state the field must have a size, since inactive sites are
    summed too.

    Args:
        lattice: the cubic Lattice, or its dimension, 2 to 8.
        axis: 0 to d - 1, not counting the batch index.

    Raises:
        ShapeError: arguments do not fit; at the call, another lattice, or a ground state over an unbounded axis.

    Source: Chen et al. 2023, arXiv:2303.11301 (VoxelNeXt), where the last levels are summed over the height.

    >>> x = SparseTensor.from_sites([[0, 0, 3], [0, 5, 3], [0, 5, 4]], [[1.0], [2.0], [4.0]], ground=None)
    >>> y = Collapse(2, 0)(x)
    >>> y.sites.tolist(), y.features.data.tolist()
    ([[0, 3], [0, 4]], [[3.0], [4.0]])
    """

    stacks = False                                                       # True: each place becomes channels

    def __init__(self, lattice: LatticeLike, axis: int = 0) -> None:
        self.lattice, self.axis = as_lattice(lattice), axis
        if not self.lattice.is_cubic or self.lattice.d < 2:
            raise ShapeError(expected(type(self).__name__, "a cubic lattice of dimension 2 to 8", f"{self.lattice}"))
        if not is_integer(axis) or not 0 <= axis < self.lattice.d:
            raise ShapeError(expected(type(self).__name__, f"axis to be 0 to {self.lattice.d - 1}", f"{axis!r}"))

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Sum along the axis."""
        checked_lattice(self, x, self.lattice)
        grid, rows = x.grid.collapse(self.axis)
        if x.ground is None:
            return SparseTensor(scatter_add(x.features, rows, grid.n), grid)
        if x.grid.size is None:
            raise ShapeError(expected(f"{self}", "an input with a size or with ground=None",
                                      f"{x}, unbounded and with a ground state",
                                      "give the input a size, or ground=None"))
        ground = x.ground * float(x.grid.size[self.axis])
        return SparseTensor(scatter_add(subtract_row(x.features, x.ground), rows, grid.n) + ground, grid, ground)

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the smallest field size that gives `out_size`: one site along the axis."""
        if not isinstance(out_size, tuple):
            return out_size
        return (*out_size[:self.axis], 1, *out_size[self.axis:])
