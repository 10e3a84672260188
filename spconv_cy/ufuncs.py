"""What numpy's element-wise functions (ufuncs) give for a Tensor or a SparseTensor."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from spconv_cy.errors import expected

# The operator, and the method that a tensor on its right has.
OPERATORS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "add": (operator.add, "__radd__"), "subtract": (operator.sub, "__rsub__"), "multiply": (operator.mul, "__rmul__"),
    "divide": (operator.truediv, "__rtruediv__"), "power": (operator.pow, "__rpow__"),
    "matmul": (operator.matmul, "__rmatmul__"),
    "less": (operator.lt, "__gt__"), "less_equal": (operator.le, "__ge__"), "greater": (operator.gt, "__lt__"),
    "greater_equal": (operator.ge, "__le__"), "equal": (operator.eq, "__eq__"), "not_equal": (operator.ne, "__ne__")}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": lambda x: x.exp(), "log": lambda x: x.log(), "sqrt": lambda x: x.sqrt(), "absolute": abs,
    "negative": operator.neg, "square": lambda x: x * x, "reciprocal": lambda x: 1 / x}
TESTS = ("isfinite", "isinf", "isnan")                                   # give an array, as comparisons do
KNOWN = "exp, log, sqrt, abs, square, + - * / ** @ or a comparison"


class OnTheClass:
    """A method `__array_ufunc__` that numpy finds on a class; on an object it is None.

    None tells other libraries, such as CuPy, to leave an operator to the reflected method.
    """

    def __get__(self, tensor: object, kind: type) -> Callable[..., Any] | None:
        return apply if tensor is None else None


def apply(tensor: Any, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """Return what the tensor's own method or operator gives, with its gradient.

    Raises:
        TypeError: a function or an option that tensors do not have.
    """
    name, kind, called = ufunc.__name__, type(tensor).__name__, method == "__call__"
    who = f"np.{name}" if called else f"np.{name}.{method}"
    data = "x.data" if hasattr(tensor, "data") else "x.features.data"
    if called and options:
        raise TypeError(expected(who, f"no options with a {kind}", ", ".join(options), "omit out, and write a = a + x "
                                 "for a += x" if "out" in options else f"compute with its numbers, {data}"))
    found = _applied(tensor, ufunc, inputs) if called else NotImplemented
    if found is NotImplemented:
        given = ", ".join(type(value).__name__ for value in inputs)
        raise TypeError(expected(who, f"for a {kind} and numbers one of {KNOWN}", f"{name} of {given}",
                                 f"take {data}, without its gradient, or a layer such as ReLU, Tanh or Sigmoid"))
    return found


def _applied(tensor: Any, ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    name = ufunc.__name__
    if name in OPERATORS:
        function, reflected = OPERATORS[name]
        a, b = inputs
        left = getattr(type(a), "__array_ufunc__", None) is apply
        return function(a, b) if left else getattr(b, reflected, lambda a: NotImplemented)(a)
    if name in TESTS and hasattr(tensor, "data"):
        return ufunc(tensor.data)
    return FUNCTIONS[name](tensor) if name in FUNCTIONS else NotImplemented
