"""Several optimisers used as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.train.optim import Optimizer

if TYPE_CHECKING:
    from spconv_cy.autograd import Tensor
    from spconv_cy.types import Array


@known_arguments
class CombinedOptimizer:
    """Several optimisers that step together, each with its own parameters.

    `rate` is the rate of the first optimiser. Setting it, as a schedule does, multiplies all rates by the same factor.

    Args:
        optimizers: Optimizers without common parameters. The rate of the first must be above 0.

    Raises:
        TypeError: no optimisers, or an argument that is not an Optimizer.
        ValueError: two optimisers share a parameter, or the first rate is 0.

    >>> from spconv_cy.autograd import Tensor
    >>> from spconv_cy.train.optim import SGD
    >>> a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    >>> both = CombinedOptimizer(SGD([a], rate=0.5), SGD([b], rate=0.1))
    >>> both.rate = 0.25
    >>> both.optimizers[1].rate
    0.05
    """

    def __init__(self, *optimizers: Optimizer) -> None:
        if not optimizers or not all(isinstance(optimizer, Optimizer) for optimizer in optimizers):
            got = ", ".join(map(kind_of, optimizers)) or "nothing"
            raise TypeError(expected("CombinedOptimizer", "optimisers, such as SGD and Adam", got))
        self.optimizers = optimizers
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ValueError(expected("CombinedOptimizer", "different parameters for each optimiser",
                                      "a parameter that two of them share"))
        self._rates = [optimizer.rate for optimizer in optimizers]
        if not self._rates[0]:
            raise ValueError(expected("CombinedOptimizer", "a first optimiser with a rate above 0", "the rate 0",
                                      "put another optimiser first, since all rates are set relative to the first"))

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, in the order of the optimisers."""
        return [parameter for optimizer in self.optimizers for parameter in optimizer.parameters]

    @property
    def rate(self) -> float:
        """The rate of the first optimiser."""
        return self.optimizers[0].rate

    @rate.setter
    def rate(self, rate: float) -> None:
        for optimizer, base in zip(self.optimizers, self._rates, strict=True):
            optimizer.rate = base * (rate / self._rates[0])

    def zero_grad(self) -> None:
        """Remove all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """Take one step with every optimiser."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state(self) -> dict[str, Array]:
        """Return the states of all optimisers as one dict of arrays by name, such as "0.steps"."""
        return {f"{i}.{name}": array for i, optimizer in enumerate(self.optimizers)
                for name, array in optimizer.state().items()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Continue from a state of the same optimisers with parameters of the same shapes.

        Args:
            state: dict of arrays, as `state` returns it. If one array is refused, all optimisers stay unchanged.

        Raises:
            ShapeError: the state does not fit the optimisers.
            TypeError: the state is not a dict, or a value is not an array.
        """
        parts = self._parts(state)
        before = [optimizer.state() for optimizer in self.optimizers]
        try:
            for optimizer, part in zip(self.optimizers, parts, strict=True):
                optimizer.load_state(part)
        except BaseException:
            for optimizer, part in zip(self.optimizers, before, strict=True):
                optimizer.load_state(part)
            raise

    def _parts(self, state: Mapping[str, Array]) -> list[dict[str, Array]]:
        """Return a state's arrays as one dict for each optimiser."""
        if not isinstance(state, Mapping):
            raise TypeError(expected("CombinedOptimizer.load_state", "a dict of arrays by name", kind_of(state)))
        parts: list[dict[str, Array]] = [{} for _ in self.optimizers]
        for name, array in state.items():
            number, _, rest = str(name).partition(".")
            if number not in map(str, range(len(parts))):
                raise ShapeError(expected("CombinedOptimizer.load_state",
                                          f"the states of {len(parts)} optimisers", f"{name!r}, which belongs to none"))
            parts[int(number)][rest] = array
        return parts

    def __repr__(self) -> str:
        return f"CombinedOptimizer({', '.join(map(repr, self.optimizers))})"
