"""A bird's-eye view: an axis of the lattice summed away."""

from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import less_row
from spconv_cy.functional.sparse import scatter_add
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.lattice import as_lattice, is_whole
from spconv_cy.tensor import SparseTensor


class Collapse(Layer):
    """Sum along an axis: the result lives on the lattice without it, at every place over which a site is active.

    It equals `x.to_dense().sum(2 + axis)`; so with a ground state the field must have a size, since inactive sites are
    summed, too.

    Args:
        lattice: the cubic Lattice, or its dimension, 2 to 8.
        axis: 0 to d - 1, counted without the batch index.

    Raises:
        ShapeError: arguments that do not fit; at the call, another lattice, a ground state over an unbounded axis.

    Source: Chen et al. 2023, arXiv:2303.11301 (VoxelNeXt), the height of its last levels.

    >>> x = SparseTensor.from_sites([[0, 0, 3], [0, 5, 3], [0, 5, 4]], [[1.0], [2.0], [4.0]], ground=None)
    >>> y = Collapse(2, 0)(x)
    >>> y.sites.tolist(), y.features.data.tolist()
    ([[0, 3], [0, 4]], [[3.0], [4.0]])
    """

    def __init__(self, lattice, axis=0):
        self.lattice, self.axis = as_lattice(lattice), axis
        if not self.lattice.is_cubic or self.lattice.d < 2:
            raise ShapeError(f"Collapse: {self.lattice} came; a cubic lattice of dimension 2 to 8 fits")
        if not is_whole(axis) or not 0 <= axis < self.lattice.d:
            raise ShapeError(f"Collapse: axis {axis!r} came; 0 to {self.lattice.d - 1} fit")

    def __call__(self, x):
        checked_lattice(self, x, self.lattice)
        grid, rows = x.grid.collapse(self.axis)
        if x.ground is None:
            return SparseTensor(scatter_add(x.features, rows, grid.n), grid)
        if x.grid.size is None:
            raise ShapeError(f"{self}: {x} came, unbounded and with a ground state, whose sum along an axis has no "
                             "end; give the input a size, or ground=None")
        ground = x.ground * float(x.grid.size[self.axis])
        return SparseTensor(scatter_add(less_row(x.features, x.ground), rows, grid.n) + ground, grid, ground)

    def in_size(self, out_size):
        """Return the smallest field over `out_size`: one site along the axis."""
        if is_whole(out_size):
            return out_size
        return (*out_size[:self.axis], 1, *out_size[self.axis:])
