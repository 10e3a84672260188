"""The length of gradients, and scaling them all by one number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_list, checked_numbers, kind_of
from spconv_cy.errors import expected
from spconv_cy.train.flat import sum_of_squares

if TYPE_CHECKING:
    from spconv_cy.backend.switch import Ops
    from spconv_cy.types import Array

def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """Return the Euclidean norm of all gradients together, without parameters that are frozen or have no gradient."""
    by_backend: dict[Ops, list[Array]] = {}
    for parameter in parameters:
        if parameter.grad is not None and parameter.requires_grad:
            by_backend.setdefault(ops_of(parameter.grad), []).append(parameter.grad.reshape(-1))
    return math.sqrt(sum(sum_of_squares(ops, gradients) for ops, gradients in by_backend.items()))


@known_arguments
def clip_gradients(parameters: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients so that their common norm is at most `max_norm`, and return the norm before scaling.

    The option `max_norm=` of an optimiser does the same without new arrays.

    Args:
        parameters: Tensors. Those that are frozen or without a gradient do not count, and stay unchanged.
        max_norm: a number from 0 up.

    Raises:
        FloatingPointError: a gradient is NaN or infinite; all gradients are unchanged then.
    """
    checked_numbers("clip_gradients", 0, max_norm=max_norm)
    parameters = checked_parameters("clip_gradients", parameters)
    norm = gradient_norm(parameters)
    factor = clipping_factor("clip_gradients", norm, max_norm)
    if factor != 1:
        scale_gradients(parameters, factor)
    return norm


def scale_gradients(parameters: Iterable[Tensor], factor: float) -> list[Array]:
    """Multiply all gradients by a number, and return the new gradients of the parameters that are not frozen."""
    scaled = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.requires_grad:
            # Not in place: two tensors may share a gradient.
            parameter.grad = parameter.grad * parameter.dtype.type(factor)
            scaled.append(parameter.grad)
    return scaled


def clipping_factor(who: str, norm: float, max_norm: float) -> float:
    """Return the factor that shortens gradients of length `norm` to `max_norm`, or 1 if they are not longer.

    Raises:
        FloatingPointError: norm is NaN or infinite.
    """
    if not math.isfinite(norm):
        raise FloatingPointError(expected(who, "finite gradients", f"gradients of length {norm}", "lower the rate, or "
                                          "look for NaN and very large numbers in the features"))
    return max_norm / norm if norm > max_norm else 1.0


def checked_parameters(who: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Return one Tensor or several as a list.

    Raises:
        TypeError: something that is not a Tensor.
    """
    if isinstance(parameters, Tensor):
        return [parameters]
    listed = as_list(who, parameters, "parameters, a list of Tensors as net.parameters() returns it")
    for parameter in listed:
        if not isinstance(parameter, Tensor):
            raise TypeError(expected(who, "parameters, Tensors as net.parameters() returns them",
                                     kind_of(parameter)))
    return listed
