"""Operators of sparse tensors: with numbers and rows of numbers, and with tensors on the same grid."""

from numbers import Real

import numpy as np

from spconv_cy.array_protocol import as_operand
from spconv_cy.autograd import Tensor, add, multiply
from spconv_cy.errors import ShapeError

METHODS = {"+": "a.add(b)", "-": "a.add(-b)", "*": "a.multiply(b)", "/": "a.multiply(1 / b)"}


class SparseArithmetic:
    """`+ - * /` and `-x` of a SparseTensor, which has features, grid and ground, and `with_features`.

    The other one is a number, a Tensor of shape (), (1, 1) or (1, channels), or a SparseTensor on the same Grid. The
    ground state goes through the same operation as the features. Where there is none, inactive sites stay zero: x + 1
    adds to the active sites alone.
    """

    __array_ufunc__ = None                                               # numpy on the left leaves operators to us

    def __array__(self, dtype=None, copy=None):
        raise TypeError(f"np.asarray: expected an array, got {self!r}; take x.features.data for the active sites, or "
                        "x.to_dense() for the whole field")

    def __len__(self):
        return self.grid.n

    def __bool__(self):
        return True                                                      # also without sites: it is not None

    @property
    def shape(self):
        """(n, channels), that of the features."""
        return self.features.shape

    def __neg__(self):
        return _mapped(self, lambda a: -a)

    def __add__(self, other):
        return _combined("+", self, other)

    def __radd__(self, other):
        return _combined("+", self, other, turned=True)

    def __sub__(self, other):
        return _combined("-", self, other)

    def __rsub__(self, other):
        return _combined("-", self, other, turned=True)

    def __mul__(self, other):
        return _combined("*", self, other)

    def __rmul__(self, other):
        return _combined("*", self, other, turned=True)

    def __truediv__(self, other):
        return _combined("/", self, other)

    def __rtruediv__(self, other):
        return _combined("/", self, other, turned=True)


FUNCTIONS = {"+": add, "-": lambda a, b: a - b, "*": multiply, "/": lambda a, b: a / b}


def _combined(sign, x, other, turned=False):
    function = FUNCTIONS[sign]
    if isinstance(other, SparseArithmetic):
        _check_joinable(sign, x, other)
        ground = None if x.ground is None else function(x.ground, other.ground)
        return x.with_features(function(x.features, other.features), ground)
    row = _row(sign, x, other)
    if row is None:
        return NotImplemented
    return _mapped(x, (lambda a: function(row, a)) if turned else lambda a: function(a, row))


def _mapped(x, function):
    return x.with_features(function(x.features), None if x.ground is None else function(x.ground))


def _row(sign, x, other):
    """Return the number or row of an operand as a Tensor; None where it is something else than numbers."""
    if not isinstance(other, Tensor):
        if isinstance(other, (str, bytes)) or not isinstance(other, (Real, np.generic, np.ndarray, list, tuple)) \
                and not hasattr(other, "__dlpack_device__"):
            return None
        if np.shape(other) if not hasattr(other, "shape") else other.shape:
            raise TypeError(f"SparseTensor {sign}: expected a number, a Tensor (1, {x.channels}) or a SparseTensor, "
                            f"got a {type(other).__name__} {np.shape(other)}; for numbers of each site compute with "
                            "the features: x.with_features(x.features * a, x.ground)")
        # As a number of the features' backend; what is none is refused there.
        other = Tensor.of(as_operand(other, x.features.data))
    if other.shape not in ((), (1, 1), (1, x.channels)):
        raise ShapeError(f"SparseTensor {sign}: expected a Tensor of shape (), (1, 1) or (1, {x.channels}), got "
                         f"{other.shape}; for numbers of each site compute with the features: "
                         "x.with_features(x.features * t, x.ground)")
    return other


def _check_joinable(sign, a, b):
    hint = ""
    if a.grid is not b.grid:
        same = (a.grid.lattice, a.grid.size, a.grid.samples) == (b.grid.lattice, b.grid.size, b.grid.samples) \
            and np.array_equal(a.grid.sites, b.grid.sites)
        hint = (f"; the sites are equal, but the grids were made apart: {METHODS[sign]} joins them by their sites"
                if same else f"; {METHODS[sign][:-1]}, how=...) is for different sites")
    channels = {a.channels, b.channels} - ({1} if sign in "*/" else set())
    if hint or len(channels) > 1 or (a.ground is None) != (b.ground is None):
        raise ShapeError(f"SparseTensor {sign}: {a} and {b} came; tensors of the same grid, channels and family "
                         f"(ground or none) fit{hint}")
