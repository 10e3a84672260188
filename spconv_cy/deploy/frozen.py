"""Frozen networks: parts that are computed by steps, and layers that are called as they are."""

from __future__ import annotations

from typing import Any

from spconv_cy.autograd import no_grad
from spconv_cy.checks import as_array
from spconv_cy.layers import Layer
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import ArrayLike


class Frozen(Layer):
    """A network for inference on the CPU, as `sp.freeze` makes it.

    Attributes:
        parts: list of Programs, and of Layers that are called as they are.
    """

    def __init__(self, *parts: Any) -> None:
        self.parts = list(parts)
        self.training = False

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> Any:
        """Return what the network gives for x in evaluation mode; nothing is recorded."""
        given: Any = x if isinstance(x, (SparseTensor, Tensor)) else Tensor(as_array("Frozen", x))
        with no_grad():
            for part in self.parts:
                given = part(given)
        return given

    def train(self, mode: bool = True) -> Frozen:
        """Return the network itself: it is always in evaluation mode."""
        return self


