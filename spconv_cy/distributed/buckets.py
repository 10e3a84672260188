"""Gradients packed into flat buffers, whose sums over the ranks go on while the backward pass computes others."""

from __future__ import annotations

import operator
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.compiled.memory import empty
from spconv_cy.distributed.near import large_mailboxes_of

if TYPE_CHECKING:
    from spconv_cy.autograd import Tensor
    from spconv_cy.compiled.mailbox import Mailbox
    from spconv_cy.distributed.ranks import Ranks
    from spconv_cy.distributed.sums import Sum
    from spconv_cy.types import Array


class Bucket:
    """Some parameters of one dtype: a message of a flag for each that has a gradient, then all gradients, and its sum.

    Args:
        parameters: Tensors.
        ranks: Ranks.

    Attributes:
        bytes: of the message.
        mailbox: takes the messages of ranks that share memory; None: they are sent.
        waiting: ids of the parameters whose gradients are not complete.
    """

    def __init__(self, parameters: list[Tensor], ranks: Ranks) -> None:
        self.parameters, self.ranks = parameters, ranks
        self._kind = np.float64 if parameters[0].dtype == np.float64 else np.float32
        ends = len(parameters) + np.cumsum([parameter.data.size for parameter in parameters])
        self._places = list(pairwise([len(parameters), *ends.tolist()]))
        self._length = int(ends[-1])
        self.bytes = self._length * np.dtype(self._kind).itemsize
        self.mailbox: Mailbox | None = None
        self._sum: Sum | None = None
        self.begin()

    def begin(self) -> None:
        """Wait for all parameters again."""
        self.waiting = {id(parameter) for parameter in self.parameters}

    def start(self) -> None:
        """Begin to sum the gradients."""
        flags = np.array([parameter.grad is not None for parameter in self.parameters], self._kind)
        gradients = [self._flat(parameter) for parameter in self.parameters]
        if self.mailbox is not None:
            self.ranks.deliver(self.mailbox, flags, *gradients)
            return
        if self._sum is None:
            self._buffer: Array = np.empty(self._length, self._kind)
        np.concatenate([flags, *gradients], out=self._buffer)
        if self._sum is None:
            self._sum = self.ranks.start_sum(self._buffer)
        else:                                                            # with the memory of the step before
            self._sum.start()

    def _flat(self, parameter: Tensor) -> Array:
        grad = parameter.grad
        if grad is None:
            return np.zeros(parameter.data.size, self._kind)
        host = grad if type(grad) is np.ndarray else ops_of(grad).to_numpy(grad)
        return np.ascontiguousarray(host, self._kind).reshape(-1)

    def progress(self) -> bool:
        """Let MPI go on with the sum without waiting; return True if it is complete."""
        return self._sum is not None and self._sum.progress()

    def wait(self) -> None:
        """Wait until the messages of all ranks are here."""
        if self.mailbox is not None:
            self.ranks.collect(self.mailbox)
        else:
            assert self._sum is not None
            self._sum.finish()

    def finish(self) -> None:
        """Wait for the sum, and give every parameter the mean of the ranks."""
        means, size = empty(self._length, self._kind), self.ranks.size
        self.wait()
        if self.mailbox is not None:
            self.mailbox.take_sum(means, size)
        else:
            np.divide(self._buffer, size, out=means)
        given = means[:len(self.parameters)].tolist()
        for has, parameter, (low, high) in zip(given, self.parameters, self._places, strict=True):
            if has:
                data, mean = parameter.data, means[low:high].reshape(parameter.data.shape)
                host = type(data) is np.ndarray and data.dtype == self._kind
                parameter.grad = mean if host else ops_of(data).asarray(mean, data.dtype)


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
        self._buckets, self._started = _filled(parameters, ranks, size), 0
        self._places = {id(parameter): number for number, bucket in enumerate(self._buckets)
                        for parameter in bucket.parameters}
        mailboxes = large_mailboxes_of(ranks, [bucket.bytes for bucket in self._buckets])
        self._near = bool(mailboxes)
        for bucket, mailbox in zip(self._buckets, mailboxes, strict=False):
            bucket.mailbox = mailbox

    def fits(self, parameters: list[Tensor]) -> bool:
        """Return True if the buckets are of these parameters."""
        return (len(parameters) == len(self.parameters) and all(map(operator.is_, parameters, self.parameters))
                and [parameter.data.shape for parameter in parameters] == self._shapes)

    def begin(self) -> None:
        """Begin a backward pass."""
        for bucket in self._buckets[:self._started]:                     # of a pass after which no step was made
            bucket.wait()
        self.trace, self._noted, self._started = [], set(), 0
        for bucket in self._buckets:
            bucket.begin()

    def ready(self, leaf: Any) -> None:
        """Note that a gradient is complete; start the sums that can start, and let the others go on."""
        number = self._places.get(id(leaf), -1)
        if number >= self._started:
            waiting = self._buckets[number].waiting
            waiting.discard(id(leaf))
            if not waiting:
                self._note("ready", number)
                while self._started < len(self._buckets) and not self._buckets[self._started].waiting:
                    self._start()
        if not self._near:                                               # MPI does nothing by itself
            self._progress()

    def finish(self) -> None:
        """Sum what is left, and give every parameter the mean."""
        while self._started < len(self._buckets):
            self._start()
        for number, bucket in enumerate(self._buckets):
            bucket.finish()
            self._note("summed", number)
        self._started = 0

    def _start(self) -> None:
        self._buckets[self._started].start()
        self._note("started", self._started)
        self._started += 1

    def _progress(self) -> None:
        for number, bucket in enumerate(self._buckets[:self._started]):
            if ("summed", number) not in self._noted and bucket.progress():
                self._note("summed", number)

    def _note(self, event: str, number: int) -> None:
        if (event, number) not in self._noted:
            self._noted.add((event, number))
            self.trace.append((event, number, time.perf_counter()))


def _filled(parameters: list[Tensor], ranks: Ranks, size: int) -> list[Bucket]:
    """Return the buckets, from the last parameter to the first; a bucket has parameters of one dtype."""
    groups: list[list[Tensor]] = []
    room: float = 0
    for parameter in reversed(parameters):
        if not groups or parameter.data.nbytes > room or groups[-1][0].dtype != parameter.dtype:
            groups.append([])
            room = size
        groups[-1].append(parameter)
        room -= parameter.data.nbytes
    return [Bucket(group, ranks) for group in groups]
