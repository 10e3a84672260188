"""Types of what a differentiable function's body returns; its callers get a Tensor."""

from collections.abc import Callable
from typing import TypeAlias

from spconv_cy.types import Array

# The gradient of one positional argument: an array, a function that computes it when it is needed, or None.
Gradient: TypeAlias = Array | Callable[[], Array] | None
Backward: TypeAlias = Callable[[Array], tuple[Gradient, ...]]
Recorded: TypeAlias = tuple[Array, Backward]
