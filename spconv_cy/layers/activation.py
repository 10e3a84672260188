"""Activations: functions of single numbers, applied to rows and to the ground state alike."""

from numbers import Real

from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, leaky_relu
from spconv_cy.layers.layer import Layer
from spconv_cy.tensor import SparseTensor


def on_rows(function, x):
    """Apply a function of tensors to features and ground state of a SparseTensor, or to a plain tensor."""
    if not isinstance(x, SparseTensor):
        return function(as_tensor(x))
    return x.with_features(function(x.features), None if x.ground is None else function(x.ground))


class LeakyReLU(Layer):
    """Keep what is positive, multiply the rest by `slope`, 0 to 1."""

    def __init__(self, slope=0.01):
        if not isinstance(slope, Real) or not 0 <= slope <= 1:
            raise ShapeError(f"LeakyReLU: slope {slope!r} came; 0 to 1 fit")
        self.slope = slope

    def __call__(self, x):
        return on_rows(lambda rows: leaky_relu(rows, self.slope), x)

    def notation(self):
        """Return such as "LReLU0.01"."""
        return f"LReLU{self.slope}"


class ReLU(LeakyReLU):
    """Keep what is positive, make the rest zero."""

    def __init__(self):
        super().__init__(0.0)

    def notation(self):
        """Return "ReLU"."""
        return "ReLU"


class VeryLeakyReLU(LeakyReLU):
    """Keep what is positive, divide the rest by 3.

    Source: Graham 2014, arXiv:1409.6070, section 4.
    """

    def __init__(self):
        super().__init__(1 / 3)

    def notation(self):
        """Return "VLReLU"."""
        return "VLReLU"
