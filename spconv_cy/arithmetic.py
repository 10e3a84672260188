"""Operators of sparse tensors with numbers, rows of numbers, and tensors on the same grid."""

from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from spconv_cy.array_protocol import as_operand
from spconv_cy.autograd import Tensor, add, multiply
from spconv_cy.checks import kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.grid import Grid
from spconv_cy.ufuncs import OnTheClass

S = TypeVar("S", bound="SparseArithmetic")
METHODS = {"+": "a.add(b)", "-": "a.add(-b)", "*": "a.multiply(b)", "/": "a.multiply(1 / b)"}
FUNCTIONS: dict[str, Callable[[Any, Any], Tensor]] = {
    "+": add, "-": lambda a, b: a - b, "*": multiply, "/": lambda a, b: a / b}


class SparseArithmetic:
    """The operators `+ - * /` and `-x` of a SparseTensor, and exp, log, sqrt and abs.

    The other operand is a number, a Tensor of shape (), (1, 1) or (1, channels), or a SparseTensor on the same Grid.
    The same operation is applied to the ground state. If there is none, inactive sites stay zero: x + 1 adds to the
    active sites only.
    """

    __array_ufunc__ = OnTheClass()
    features: Tensor
    grid: Grid
    ground: Tensor | None

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Any:
        raise TypeError(expected("np.asarray", "an array", repr(self), "take x.features.data for the active sites, or "
                                 "x.to_dense() for the whole field"))

    def __len__(self) -> int:
        return self.grid.n

    def __bool__(self) -> bool:
        return True                                                      # also without sites: it is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the features, (n, channels)."""
        return self.features.shape

    @property
    def channels(self) -> int:
        """The number of channels of the features."""
        return self.features.shape[1]

    def with_features(self, features: Tensor, ground: Tensor | None = None) -> Any:
        """Return a tensor on the same grid with other features and ground state."""
        raise NotImplementedError

    def exp(self: S) -> S:
        """Return e to the power of each feature; an inactive site of a ground state of zero gets 1."""
        return _mapped(self, Tensor.exp)

    def log(self: S) -> S:
        """Return the natural logarithm of each feature.

        Raises:
            ShapeError: a ground state that is not above 0, such as that of a new tensor, which is zero.
        """
        if self.ground is not None and not bool((self.ground.data > 0).all()):
            raise ShapeError(expected("log", "a ground state above 0, or none", "one with numbers of 0 or below",
                                      "make the tensor with ground=None, or add a number before: (x + 1).log()"))
        return _mapped(self, Tensor.log)

    def sqrt(self: S) -> S:
        """Return the square root of each feature."""
        return _mapped(self, Tensor.sqrt)

    def abs(self: S) -> S:
        """Return the absolute value of each feature, as `abs` of Python does."""
        return _mapped(self, Tensor.abs)

    __abs__ = abs

    def __neg__(self: S) -> S:
        return _mapped(self, lambda a: -a)

    def __add__(self: S, other: object) -> S:
        return _combined("+", self, other)

    def __radd__(self: S, other: object) -> S:
        return _combined("+", self, other, reverse=True)

    def __sub__(self: S, other: object) -> S:
        return _combined("-", self, other)

    def __rsub__(self: S, other: object) -> S:
        return _combined("-", self, other, reverse=True)

    def __mul__(self: S, other: object) -> S:
        return _combined("*", self, other)

    def __rmul__(self: S, other: object) -> S:
        return _combined("*", self, other, reverse=True)

    def __truediv__(self: S, other: object) -> S:
        return _combined("/", self, other)

    def __rtruediv__(self: S, other: object) -> S:
        return _combined("/", self, other, reverse=True)


def _combined(sign: str, x: S, other: object, reverse: bool = False) -> S:
    function = FUNCTIONS[sign]
    if isinstance(other, SparseArithmetic):
        _check_joinable(sign, x, other)
        ground = None if x.ground is None else function(x.ground, other.ground)
        return x.with_features(function(x.features, other.features), ground)
    row = _row(sign, x, other)
    if row is None:
        return NotImplemented
    return _mapped(x, (lambda a: function(row, a)) if reverse else lambda a: function(a, row))


def _mapped(x: S, function: Callable[[Tensor], Tensor]) -> S:
    return x.with_features(function(x.features), None if x.ground is None else function(x.ground))


def _row(sign: str, x: SparseArithmetic, other: Any) -> Tensor | None:
    """Return an operand, a number or a row of numbers, as a Tensor; None if it is something else."""
    if not isinstance(other, Tensor):
        if isinstance(other, (str, bytes)) or not isinstance(other, (Real, np.generic, np.ndarray, list, tuple)) \
                and not hasattr(other, "__dlpack_device__"):
            return None
        if np.shape(other) if not hasattr(other, "shape") else other.shape:
            raise TypeError(expected(f"SparseTensor {sign}", f"a number, a Tensor (1, {x.channels}) or a SparseTensor",
                                     f"{kind_of(other)} {np.shape(other)}", "for numbers of each site compute "
                                     "with the features: x.with_features(x.features * a, x.ground)"))
        # As a number of the features' backend; other values are refused there.
        operand = as_operand(other, x.features.data)
        other = Tensor.of(operand)
    if other.shape not in ((), (1, 1), (1, x.channels)):
        raise ShapeError(expected(f"SparseTensor {sign}", f"a Tensor of shape (), (1, 1) or (1, {x.channels})",
                                  other.shape, "for numbers of each site compute with the features: "
                                  "x.with_features(x.features * t, x.ground)"))
    return other


def _check_joinable(sign: str, a: SparseArithmetic, b: SparseArithmetic) -> None:
    remedy = ""
    if a.grid is not b.grid:
        same = (a.grid.lattice, a.grid.size, a.grid.samples) == (b.grid.lattice, b.grid.size, b.grid.samples) \
            and np.array_equal(a.grid.sites, b.grid.sites)
        remedy = (f"the sites are equal, but in two grids: {METHODS[sign]} joins them by their sites"
                  if same else f"{METHODS[sign][:-1]}, how=...) joins tensors with different sites")
    channels = {a.channels, b.channels} - ({1} if sign in "*/" else set())
    if remedy or len(channels) > 1 or (a.ground is None) != (b.ground is None):
        raise ShapeError(expected(f"SparseTensor {sign}", "tensors on the same grid, with the same channels, both with "
                                  "or both without a ground state", f"{a} and {b}", remedy))
