"""From sites back to the points that they were made of."""

from spconv_cy.errors import ShapeError
from spconv_cy.layers.container import Sequential
from spconv_cy.tensor import checked_tensor


class ToPoints(Sequential):
    """Apply layers that keep the sites, and give each point that the input was made of the row of its site.

    Args:
        layers: Layers; a U-Net is one.

    The input is a SparseTensor whose `point_rows` are known, as those of `from_points` and `from_sites` are; the result
    a Tensor (n_points, c) in the order in which the points were given.

    Raises:
        ShapeError: at the call, where the layers do not keep the sites, or the points are not known.

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_points([[0, 2.5], [0, 0.1], [0, 2.6]], [[1.0], [2.0], [3.0]])
    >>> ToPoints()(x).data.tolist()
    [[2.0], [2.0], [2.0]]
    """

    def __call__(self, x):
        y = super().__call__(checked_tensor(type(self).__name__, x))
        if getattr(y, "grid", None) is not x.grid:
            raise ShapeError(f"{type(self).__name__}: the layers gave {y} for {x}; layers that keep the sites fit, "
                             "such as a U-Net; elsewhere interpolate(...) reads sites at points")
        return y.to_points(x.point_rows)

    def notation(self):
        """Return "" since the papers' notation has no points."""
        return ""
