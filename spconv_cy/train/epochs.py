"""The epochs of a training run: batches, gradients, steps, sums of losses and errors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.distributed.averaged import Averaged
from spconv_cy.distributed.shards import shard
from spconv_cy.distributed.statistics import SharedStatistics
from spconv_cy.errors import expected
from spconv_cy.functional.shared import sharing
from spconv_cy.train.counted_loss import CountedLoss, are_classes, on_host, outputs_of, rows_of
from spconv_cy.train.evaluation import evaluate

if TYPE_CHECKING:
    from spconv_cy.distributed.ranks import Ranks
    from spconv_cy.layers.layer import Layer
    from spconv_cy.train.batch_list import BatchSource
    from spconv_cy.train.callbacks import Callbacks
    from spconv_cy.train.history import History
    from spconv_cy.train.loss_scale import LossScale
    from spconv_cy.train.optim import OptimizerLike
    from spconv_cy.train.schedule import Schedule


@dataclass
class Epochs:
    """The epochs of one call of `fit`; `rate` is the optimiser's rate before it."""

    net: Layer
    data: BatchSource
    optimizer: OptimizerLike
    count: CountedLoss
    scale: LossScale | None
    factor: Schedule
    seed: int
    history: History
    rate: float
    ranks: Ranks
    accumulate: int
    callbacks: Callbacks

    def train(self, epoch: int, show: Callable[[int, float, float], None]) -> None:
        """Train for one epoch and add it to the history."""
        began, sums, held = time.perf_counter(), _Sums(), _Held()
        self.callbacks.training.epoch = epoch
        self.net.train()
        self.optimizer.zero_grad()
        for batch, mine, x, labels in shard(self.data, self.ranks, epoch, self.seed, training=True):
            if not held.batches:
                self.optimizer.rate = self.rate * self.factor(epoch + sums.seen / len(self.data))
            with self._sharing(mine):
                y = outputs_of("fit", self.net, x, self.count)
                value, rows = self.count.loss(y, labels), rows_of(y)
                number, n = float(value.data), self.count.samples(rows, labels)
                if mine and not math.isfinite(number):
                    raise _diverged(f"a loss of {number} in epoch {epoch + 1}, batch {batch + 1}", self.optimizer)
                given = sums.add(number, n, rows, labels, self.count) if mine else 0
                counted = n
                if self.ranks.size > 1:
                    counted, given = map(int, self.ranks.sum(np.array([n if mine else 0, given], np.float64)))
                self._backward(value, n if mine else 0, counted)
            held.add(counted)
            if held.batches == self.accumulate:
                self._step(held, number)
            sums.seen += given
            show(given, *sums.means())
        if held.batches:
            self._step(held, number)
        sums = sums.over(self.ranks)
        for name, array in self.net.state().items():                     # the losses do not show what the last step did
            if not np.isfinite(array).all():
                raise _diverged(f"NaN or infinity in {name} in epoch {epoch + 1}", self.optimizer)
        loss, error = sums.means()
        self.history.losses.append(loss)
        self.history.errors.append(error if sums.classes else None)
        self.history.rates.append(self.optimizer.rate)
        self.history.seconds.append(time.perf_counter() - began)

    def _sharing(self, mine: bool) -> AbstractContextManager[None]:
        return nullcontext() if self.ranks.size == 1 else sharing(SharedStatistics(self.ranks, mine))

    def _backward(self, loss: Any, n: int, counted: int) -> None:
        """Add the gradients of a batch: of its n samples, of `counted` that all ranks have."""
        if self.accumulate > 1:
            loss = loss * float(n)                                       # `_step` divides by the samples of all batches
        elif self.ranks.size > 1:
            loss = self.optimizer.weighted(loss, n, counted)             # type: ignore[attr-defined]
        if self.scale is not None:
            self.scale.backward(loss)
            return
        whole = isinstance(self.optimizer, Averaged) and self.accumulate == 1
        with self.optimizer.overlapping() if whole else nullcontext():   # type: ignore[attr-defined]
            loss.backward()

    def _step(self, held: _Held, loss: float) -> None:
        if self.accumulate > 1:
            factor = self.ranks.size / max(1, held.samples)
            for parameter in self.optimizer.parameters:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad * parameter.grad.dtype.type(factor)
        if self.scale is None:
            self.optimizer.step()
        else:
            self.scale.step(self.optimizer)
        self.optimizer.zero_grad()
        held.batches = held.samples = 0
        self.callbacks.training.loss = loss
        self.callbacks.training.step += 1
        self.callbacks.call("on_step")

    def validate(self, data: BatchSource) -> None:
        """Evaluate the network and add loss, error and the best epoch to the history."""
        history = self.history
        found = evaluate(self.net, data, loss=self.count.function, ignore_label=self.count.ignore_label,
                         ranks=self.ranks)
        history.validation_losses.append(found.loss)
        history.validation_errors.append(found.error)
        both = [(error or 0, math.inf if math.isnan(value) else value) for error, value in
                zip(history.validation_errors, history.validation_losses, strict=True)]
        history.best = both.index(min(both)) + len(history) - len(both)


@dataclass
class _Held:
    """Batches whose gradients wait for a step, and their samples that count, of all ranks."""

    batches: int = 0
    samples: int = 0

    def add(self, samples: int) -> None:
        """Count one more batch."""
        self.batches, self.samples = self.batches + 1, self.samples + samples


@dataclass
class _Sums:
    """Sums of an epoch: all ranks' samples, this rank's that count, and the losses and wrong classes of the latter."""

    seen: int = 0
    counted: int = 0
    losses: float = 0.0
    wrong: float = 0.0
    classes: bool = False

    def add(self, loss: float, n: int, rows: Any, labels: Any, count: CountedLoss) -> int:
        """Add a batch with n samples that count; return the number of its samples."""
        self.counted, self.losses = self.counted + n, self.losses + n * loss
        self.classes = labels is not None and are_classes(rows, labels)
        self.wrong += n * count.error(on_host(rows), labels) if self.classes and n else 0
        return len(rows if labels is None else labels)

    def over(self, ranks: Ranks) -> _Sums:
        """Return the sums of all ranks."""
        counted, losses, wrong, classes = ranks.sum(np.array([self.counted, self.losses, self.wrong, self.classes]))
        return _Sums(self.seen, int(counted), float(losses), float(wrong), bool(classes))

    def means(self) -> tuple[float, float]:
        """Return the mean loss and error."""
        return self.losses / max(1, self.counted), self.wrong / max(1, self.counted)


def _diverged(what: str, optimizer: OptimizerLike) -> FloatingPointError:
    return FloatingPointError(expected("fit", "finite numbers", what, f"lower the rate (it was {optimizer.rate:.3g}), "
                                       "give the optimiser max_norm=, or look for NaN and very large numbers in the "
                                       "features"))
