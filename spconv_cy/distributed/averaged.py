"""An optimiser whose steps average the gradients of all ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_integers, checked_numbers, kind_of
from spconv_cy.distributed.buckets import Buckets
from spconv_cy.distributed.ranks import Ranks, world
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tape import listening

if TYPE_CHECKING:
    from spconv_cy.autograd import Tensor
    from spconv_cy.types import Array

PARTS = ("parameters", "rate", "step", "zero_grad", "state", "load_state")


@known_arguments
class Averaged:
    """An optimiser that averages the gradients of all ranks before each step.

    `fit` gives each rank its share of every epoch's batches if its optimiser is an Averaged. In a loop of your own,
    each rank computes the loss of its own batch, and one line is added:

        optimizer = sp.distributed.Averaged(optimizer)

    When it is made, all ranks take over the parameters of rank 0. Started without mpiexec, there is one rank, and the
    steps are those of the optimiser itself.

    Args:
        optimizer: such as Adam(net.parameters()), over the same parameters on every rank.
        ranks: Ranks; None: all processes of this run.
        bucket: bytes of gradients that are summed together. Networks with fewer have one sum a step.

    Attributes:
        optimizer: the given one. Change its settings, such as `max_norm`, there.
        ranks: Ranks.

    Raises:
        TypeError: not an optimiser.
        ShapeError: the ranks have parameters of different shapes.

    >>> import spconv_cy as sp
    >>> w = sp.Tensor([4.0], requires_grad=True)
    >>> optimizer = sp.distributed.Averaged(sp.train.SGD([w], rate=0.25))
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.tolist()
    [2.0]

    Source: Li et al. 2020, "PyTorch Distributed", arXiv:2006.15704.
    """

    def __init__(self, optimizer: Any, *, ranks: Ranks | None = None, bucket: int = 2**20) -> None:
        if isinstance(optimizer, Averaged) or not all(hasattr(optimizer, name) for name in PARTS):
            raise TypeError(expected("Averaged", "an optimiser, such as Adam(net.parameters())", kind_of(optimizer)))
        if ranks is not None and not isinstance(ranks, Ranks):
            raise TypeError(expected("Averaged", "ranks to be Ranks or None", kind_of(ranks)))
        checked_integers("Averaged", 1, bucket=bucket)
        self.optimizer, self.ranks = optimizer, world() if ranks is None else ranks
        self.bucket, self._begun = int(bucket), False
        self._buckets: Buckets | None = None
        if self.ranks.size > 1:
            self._take_first()

    def _take_first(self) -> None:
        """Set the parameters to those of rank 0."""
        shapes = [(parameter.shape, str(parameter.dtype)) for parameter in self.parameters]
        for rank, other in enumerate(self.ranks.gather(shapes)):
            if other != shapes:
                raise ShapeError(expected("Averaged", f"the same parameters on all ranks, on this one {shapes}",
                                          f"{other} on rank {rank}", "make the same network on every rank"))
        arrays = self.ranks.broadcast([ops_of(p.data).to_numpy(p.data) for p in self.parameters])
        for parameter, array in zip(self.parameters, arrays, strict=True):
            parameter.data[...] = ops_of(parameter.data).asarray(array, parameter.dtype)
            parameter.mark_changed()

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of the optimiser."""
        found: list[Tensor] = self.optimizer.parameters
        return found

    @property
    def rate(self) -> float:
        """The rate of the optimiser."""
        return float(self.optimizer.rate)

    @rate.setter
    def rate(self, rate: float) -> None:
        self.optimizer.rate = rate

    def zero_grad(self) -> None:
        """Remove all gradients."""
        self.optimizer.zero_grad()

    def weighted(self, loss: Tensor, n: int, total: float | None = None) -> Tensor:
        """Return a loss times n * size / (the sum of all ranks' n), for batches of different sizes.

        With it, the average of the ranks' gradients is the gradient of the mean over all their samples.

        Args:
            loss: Tensor of shape (), the mean over n samples.
            n: number of samples, 0 if this rank's loss must not count.
            total: the sum of all ranks' n, where it is known; None: the ranks exchange their n.

        Raises:
            TypeError: the loss is no Tensor.
            ValueError: n is no number from 0 up.
        """
        if not hasattr(loss, "backward"):
            raise TypeError(expected("Averaged.weighted", "loss to be a Tensor", kind_of(loss)))
        checked_numbers("Averaged.weighted", 0, n=n)
        if total is None:
            total = float(self.ranks.sum(np.array([n], np.float64))[0])
        return loss * (n * self.ranks.size / total if total else 0.0)

    def step(self) -> None:
        """Average the gradients over the ranks, then change the parameters by them.

        A parameter without a gradient on some ranks has a gradient of zero there.
        """
        if self.ranks.size > 1:
            self._average()
        self.optimizer.step()

    @contextmanager
    def overlapping(self) -> Iterator[None]:
        """Sum gradients inside a `with` statement while a backward pass computes the others; one pass for each step.

        It pays where gradients are large and the network is slow; without it, `step` sums them. All ranks must use it.
        """
        if self.ranks.size == 1:
            yield
            return
        buckets = self._buckets_of()
        buckets.begin()
        with listening(buckets.ready):
            yield
        self._begun = True

    def _average(self) -> None:
        buckets = self._buckets_of()
        if not self._begun:
            buckets.begin()
        self._begun = False
        buckets.finish()

    def _buckets_of(self) -> Buckets:
        trained = [parameter for parameter in self.parameters if parameter.requires_grad]
        if self._buckets is None or not self._buckets.fits(trained):
            self._buckets = Buckets(trained, self.ranks, self.bucket)
        return self._buckets

    @property
    def trace(self) -> list[tuple[str, int, float]]:
        """When the sums of the last step began and ended: (event, number of the bucket, seconds of a clock)."""
        return [] if self._buckets is None else list(self._buckets.trace)

    def state(self) -> dict[str, Array]:
        """Return the state of the optimiser."""
        found: dict[str, Array] = self.optimizer.state()
        return found

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Continue from a state of the optimiser; on every rank from the same one."""
        self.optimizer.load_state(state)

    def __repr__(self) -> str:
        return f"Averaged({self.optimizer!r}, {self.ranks.size} ranks)"
