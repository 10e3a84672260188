"""Gradients packed into flat buffers, whose sums over the ranks go on while the backward pass computes others."""

from __future__ import annotations

import operator
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.backend.switch import ops_of

if TYPE_CHECKING:
    from spconv_cy.autograd import Tensor
    from spconv_cy.distributed.ranks import Ranks, Sum
    from spconv_cy.types import Array


class Bucket:
    """Some parameters of one dtype, and a flat buffer: a flag for each that has a gradient, then all gradients.

    Args:
        parameters: Tensors.

    Attributes:
        waiting: ids of the parameters whose gradients are not complete.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        kind = np.float64 if parameters[0].dtype == np.float64 else np.float32
        sizes = [parameter.data.size for parameter in parameters]
        self.flat: Array = np.empty(len(parameters) + sum(sizes), kind)
        ends = len(parameters) + np.cumsum(sizes)
        self._pieces = [self.flat[end - size:end].reshape(parameter.shape)
                        for end, size, parameter in zip(ends, sizes, parameters, strict=True)]
        self.sum: Sum | None = None
        self.begin()

    def begin(self) -> None:
        """Wait for all parameters again."""
        self.waiting = {id(parameter) for parameter in self.parameters}

    def start(self, ranks: Ranks) -> None:
        """Copy the gradients into the buffer and begin to sum it."""
        self.flat[:len(self.parameters)] = [parameter.grad is not None for parameter in self.parameters]
        for parameter, piece in zip(self.parameters, self._pieces, strict=True):
            if parameter.grad is None:
                piece[...] = 0
            else:
                np.copyto(piece, ops_of(parameter.grad).to_numpy(parameter.grad))
        if self.sum is None:
            self.sum = ranks.start_sum(self.flat)
        else:                                                            # with the memory of the step before
            self.sum.start()

    def finish(self, size: int) -> None:
        """Wait for the sum, and give every parameter the mean of `size` ranks."""
        assert self.sum is not None
        self.sum.finish()
        given = self.flat[:len(self.parameters)].tolist()
        for has, parameter, piece in zip(given, self.parameters, self._pieces, strict=True):
            if has:
                parameter.grad = ops_of(parameter.data).asarray(piece / size, parameter.dtype)


class Buckets:
    """The gradients of some parameters in buckets of about equal size, the last parameters first.

    Buckets are started in a fixed order, each when all its gradients are complete. Every rank must have the same
    parameters.

    Args:
        parameters: Tensors that need gradients.
        ranks: Ranks.
        size: bytes of a bucket, at least one parameter.

    Attributes:
        trace: (event, number of a bucket, seconds) of the last step: "ready" and "started" in the backward pass,
            "summed" when the sum was complete.
    """

    def __init__(self, parameters: list[Tensor], ranks: Ranks, size: int) -> None:
        self.ranks, self.parameters = ranks, parameters
        self._shapes = [parameter.data.shape for parameter in parameters]
        self.trace: list[tuple[str, int, float]] = []
        self._noted: set[tuple[str, int]] = set()
        self._buckets, self._started = _filled(parameters, size), 0

    def fits(self, parameters: list[Tensor]) -> bool:
        """Return True if the buckets are of these parameters."""
        return (len(parameters) == len(self.parameters) and all(map(operator.is_, parameters, self.parameters))
                and [parameter.data.shape for parameter in parameters] == self._shapes)

    def begin(self) -> None:
        """Begin a backward pass."""
        self.trace, self._noted, self._started = [], set(), 0
        for bucket in self._buckets:
            bucket.begin()

    def ready(self, leaf: Any) -> None:
        """Note that a gradient is complete; start the sums that can start, and let the others go on."""
        for number, bucket in enumerate(self._buckets[self._started:], self._started):
            if id(leaf) in bucket.waiting:
                bucket.waiting.remove(id(leaf))
                if not bucket.waiting:
                    self._note("ready", number)
                break
        while self._started < len(self._buckets) and not self._buckets[self._started].waiting:
            self._start()
        self._progress()

    def finish(self) -> None:
        """Sum what is left, and give every parameter the mean."""
        while self._started < len(self._buckets):
            self._start()
        for number, bucket in enumerate(self._buckets):
            bucket.finish(self.ranks.size)
            self._note("summed", number)
        self._started = 0

    def _start(self) -> None:
        self._buckets[self._started].start(self.ranks)
        self._note("started", self._started)
        self._started += 1

    def _progress(self) -> None:
        for number, bucket in enumerate(self._buckets[:self._started]):
            if bucket.sum is not None and not bucket.sum.done and bucket.sum.progress():
                self._note("summed", number)

    def _note(self, event: str, number: int) -> None:
        if (event, number) not in self._noted:
            self._noted.add((event, number))
            self.trace.append((event, number, time.perf_counter()))


def _filled(parameters: list[Tensor], size: int) -> list[Bucket]:
    """Return the buckets, from the last parameter to the first; a bucket has parameters of one dtype."""
    groups: list[list[Tensor]] = []
    room: float = 0
    for parameter in reversed(parameters):
        if not groups or parameter.data.nbytes > room or groups[-1][0].dtype != parameter.dtype:
            groups.append([])
            room = size
        groups[-1].append(parameter)
        room -= parameter.data.nbytes
    return [Bucket(group) for group in groups]
