"""Several optimisers as one."""

from collections.abc import Mapping

from spconv_cy.errors import ShapeError
from spconv_cy.train.optim import Optimizer


class CombinedOptimizer:
    """Several optimisers that take their steps together, each over parameters of its own.

    `rate` is that of the first; setting it, as a schedule does, changes all by the same factor.

    Args:
        optimizers: Optimizers, the first of a rate above 0.

    >>> from spconv_cy.autograd import Tensor
    >>> from spconv_cy.train.optim import SGD
    >>> a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    >>> both = CombinedOptimizer(SGD([a], rate=0.5), SGD([b], rate=0.1))
    >>> both.rate = 0.25
    >>> both.optimizers[1].rate
    0.05
    """

    def __init__(self, *optimizers):
        if not optimizers or not all(isinstance(optimizer, Optimizer) for optimizer in optimizers):
            came = ", ".join(type(optimizer).__name__ for optimizer in optimizers) or "nothing"
            raise TypeError(f"CombinedOptimizer: {came} came; optimisers, such as SGD and Adam, fit")
        self.optimizers = optimizers
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ValueError("CombinedOptimizer: a parameter came to two optimisers; one for each fits")
        self._rates = [optimizer.rate for optimizer in optimizers]
        if not self._rates[0]:
            raise ValueError("CombinedOptimizer: the rate 0 came first, by which all are set; one above 0 fits")

    @property
    def parameters(self):
        """All parameters, in the order of the optimisers."""
        return [parameter for optimizer in self.optimizers for parameter in optimizer.parameters]

    @property
    def rate(self):
        """That of the first optimiser."""
        return self.optimizers[0].rate

    @rate.setter
    def rate(self, rate):
        for optimizer, base in zip(self.optimizers, self._rates, strict=True):
            optimizer.rate = base * (rate / self._rates[0])

    def zero_grad(self):
        """Forget all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        """Let each optimiser take its step."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state(self):
        """Return a dict of arrays by name, such as "0.steps": the states of all."""
        return {f"{i}.{name}": array for i, optimizer in enumerate(self.optimizers)
                for name, array in optimizer.state().items()}

    def load_state(self, state):
        """Go on from a state of the same optimisers over parameters of the same shapes.

        Args:
            state: dict of arrays, as `state` gives it; where one is refused, no optimiser is changed.

        Raises:
            ShapeError: it does not fit.
            TypeError: state is no dict, or holds other things than arrays.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"CombinedOptimizer.load_state: expected a dict of arrays by name, got {type(state).__name__}"
            )
        parts = [{} for _ in self.optimizers]
        for name, array in state.items():
            number, _, rest = str(name).partition(".")
            if number not in map(str, range(len(parts))):
                raise ShapeError(
                    f"CombinedOptimizer.load_state: expected the states of {len(parts)} optimisers, got {name!r}, "
                    "which is of another"
                )
            parts[int(number)][rest] = array
        before = [optimizer.state() for optimizer in self.optimizers]
        try:
            for optimizer, part in zip(self.optimizers, parts, strict=True):
                optimizer.load_state(part)
        except BaseException:
            for optimizer, part in zip(self.optimizers, before, strict=True):
                optimizer.load_state(part)
            raise

    def __repr__(self):
        return f"CombinedOptimizer({', '.join(map(repr, self.optimizers))})"
