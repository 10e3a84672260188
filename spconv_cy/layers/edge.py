"""Layers between sparse and dense tensors."""

from __future__ import annotations

from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_flags, is_real
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import as_tensor, flatten, gather_from_dense
from spconv_cy.layers.inputs import checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites import Grid, LatticeLike, as_lattice
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array, ArrayLike


class SparseToDense(Layer):
    """Return a dense Tensor (b, c, *size), with the ground state at the inactive sites.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        flat: return one row for each sample instead, (b, c * sites), as a linear layer takes it.
    """

    def __init__(self, lattice: LatticeLike, *, flat: bool = False) -> None:
        checked_flags("SparseToDense", flat=flat)
        self.lattice, self.flat = as_lattice(lattice), flat

    def __call__(self, x: SparseTensor) -> Tensor:
        """Return the dense Tensor of x."""
        checked_lattice(self, x, self.lattice)
        return flatten(x.dense()) if self.flat else x.dense()


class DenseToSparse(Layer):
    """Return a SparseTensor of a dense Tensor or array (b, c, *size).

    A site is active if the absolute value of a channel is larger than `threshold`, or NaN.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        threshold: a number from 0 up.
        ground: "zero" or None, as for SparseTensor.from_sites.
    """

    def __init__(self, lattice: LatticeLike, *, threshold: float = 0.0, ground: str | None = "zero") -> None:
        if not is_real(threshold) or not threshold >= 0:
            raise ShapeError(expected("DenseToSparse", "threshold to be a number from 0 up", f"{threshold!r}"))
        self.lattice, self.threshold, self.ground = as_lattice(lattice), threshold, ground

    def __call__(self, x: Tensor | ArrayLike) -> SparseTensor:
        """Return the SparseTensor of a dense Tensor or array."""
        x = as_tensor(x)
        if x.data.ndim != self.lattice.d + 2:
            raise ShapeError(expected(f"{self}", f"an array (b, c, *size) with {self.lattice.d} axes of sites",
                                      f"shape {x.shape}"))
        ops = ops_of(x.data)
        active: Array = ~(abs(x.data) <= self.threshold).all(1)          # type: ignore[assignment]
        index = active.nonzero()
        sites = ops.to_numpy(ops.xp.stack(index, 1))
        grid = Grid.from_sites(sites, x.shape[2:], x.shape[0], self.lattice)
        features = gather_from_dense(x, index)
        ground = None if self.ground is None else Tensor.of(ops.xp.zeros((1, x.shape[1]), x.dtype))
        return SparseTensor(features, grid, ground)
