"""From sites back to the points from which they were made."""

from __future__ import annotations

from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers.container import Sequential
from spconv_cy.tensor import SparseTensor, Tensor, checked_tensor


class ToPoints(Sequential):
    """Apply layers that keep the sites, and return the row of each point from which the input was made.

    The input is a SparseTensor with `point_rows`, as `from_points` and `from_sites` return. The result is a Tensor
    (n_points, c) in the order in which the points were given.

    Args:
        layers: Layers, such as one U-Net.

    Raises:
        ShapeError: at the call, the layers do not keep the sites, or the input has no `point_rows`.

    >>> x = SparseTensor.from_points([[0, 2.5], [0, 0.1], [0, 2.6]], [[1.0], [2.0], [3.0]])
    >>> ToPoints()(x).data.tolist()
    [[2.0], [2.0], [2.0]]
    """

    def __call__(self, x: SparseTensor) -> Tensor:  # type: ignore[override]
        """Return the rows of the points, a Tensor (n_points, c)."""
        y = super().__call__(checked_tensor(type(self).__name__, x))
        if getattr(y, "grid", None) is not x.grid:
            raise ShapeError(expected(type(self).__name__, "layers that keep the sites, such as a U-Net",
                                      f"layers that gave {y} for {x}", "use interpolate(...) for other sites"))
        return y.to_points(x.point_rows)  # type: ignore[union-attr]

    def notation(self) -> str:
        """Return "": the notation of the papers has no points."""
        return ""
