"""Where sparse meets dense."""


from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_flags, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, flatten, pick
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import as_lattice
from spconv_cy.tensor import SparseTensor


class SparseToDense(Layer):
    """Make a dense Tensor (b, c, *size), the ground state painted in.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        flat: give each sample one row (b, c * sites) instead, as a linear layer takes it.
    """

    def __init__(self, lattice, *, flat=False):
        checked_flags("SparseToDense", flat=flat)
        self.lattice, self.flat = as_lattice(lattice), flat

    def __call__(self, x):
        checked_lattice(self, x, self.lattice)
        return flatten(x.dense()) if self.flat else x.dense()


class DenseToSparse(Layer):
    """Make a SparseTensor of a dense Tensor or array (b, c, *size): active where a channel is larger than `threshold`.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        threshold: a number from 0 up; what counts is the size of a channel, and a NaN is active.
        ground: "zero" or None, as for SparseTensor.from_sites.
    """

    def __init__(self, lattice, *, threshold=0.0, ground="zero"):
        if not is_real(threshold) or not threshold >= 0:
            raise ShapeError(f"DenseToSparse: threshold {threshold!r} came; a number from 0 up fits")
        self.lattice, self.threshold, self.ground = as_lattice(lattice), threshold, ground

    def __call__(self, x):
        x = as_tensor(x)
        if x.data.ndim != self.lattice.d + 2:
            raise ShapeError(f"{self}: shape {x.shape} came; (b, c, *size) with {self.lattice.d} axes of sites fits")
        ops = ops_of(x.data)
        active = ~(abs(x.data) <= self.threshold).all(1)
        index = active.nonzero()
        sites = ops.to_numpy(ops.xp.stack(index, 1))
        grid = Grid.from_sites(sites, x.shape[2:], x.shape[0], self.lattice)
        features = pick(x, index)
        ground = None if self.ground is None else Tensor.of(ops.xp.zeros((1, x.shape[1]), x.dtype))
        return SparseTensor(features, grid, ground)
