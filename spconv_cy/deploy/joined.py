"""Convolutions that compute the product of each row before or after them, too, with the rows that are in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spconv_cy.deploy.products import Float32
from spconv_cy.deploy.steps import Convolve, Run, Step

if TYPE_CHECKING:
    from spconv_cy.types import Array


@dataclass(eq=False, repr=False)
class Joined(Convolve):
    """A Convolve with the step before it, the residual, or the one after it, whose rows are never in memory as a whole.

    Attributes:
        before: the Convolve without a link that computes the residual, or None.
        then: the Convolve without a link that reads the result, or None.
        middle: number of the value of the convolution itself.
    """

    before: Convolve | None = None
    then: Convolve | None = None
    middle: int = 0

    def reads(self) -> tuple[int, ...]:
        """See Step.reads."""
        return super().reads() if self.before is None else (self.x, self.before.x)

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        x, bias, residual, room = self._inputs(run)
        before = self.before and (run.values[self.before.x], self.before.product, self.before.slope)
        then = self.then and (self.then.product, self.then.slope)
        product: Any = self.product
        product.run(x, self.rulebook(run), y, bias, self.slope, residual, run.n_threads, room, before, then)

    def scratch_bytes(self, run: Run) -> int:
        """See Convolve.scratch_bytes."""
        product: Any = self.product
        return product.scratch_bytes(  # type: ignore[no-any-return]
            self.rulebook(run), run.n_threads, self.before and self.before.product, self.then and self.then.product)


def joined(steps: Sequence[Step], output: int) -> list[Step]:
    """Return steps that compute the same, those that can be joined in one."""
    readers: dict[int, int] = {output: 1}
    for step in steps:
        for value in step.reads():
            readers[value] = readers.get(value, 0) + 1
    found: list[Step] = []
    for step in steps:
        made = _in_one(found[-1], step, readers.get(found[-1].y, 0)) if found else None
        if made is None:
            found.append(step)
        else:
            found[-1] = made
    return found


def _in_one(last: Any, step: Any, readers: int) -> Joined | None:
    if readers != 1:
        return None
    if _beside(step) and _whole(last) and step.x == last.y and step.residual is None:
        return _made(last, then=step)
    if _whole(step) and _beside(last) and step.residual == last.y != step.x and last.residual is None:
        return _made(step, before=last)
    return None


def _beside(step: Any) -> bool:
    return type(step) is Convolve and step.link is None and isinstance(step.product, Float32) and \
        step.product.can_be_beside()


def _whole(step: Any) -> bool:
    return isinstance(step, Convolve) and step.then is None and \
        isinstance(step.product, Float32) and step.product.is_whole() and step.link is not None


def _made(step: Convolve, before: Convolve | None = None, then: Convolve | None = None) -> Joined:
    before = before or step.before
    return Joined(step.x, step.y if then is None else then.y, step.link, step.product, step.turned, step.slope,
                  None if before else step.residual, before, then, step.y)
