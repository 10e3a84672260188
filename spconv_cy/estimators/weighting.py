"""Targets and weights of samples beside the batches of a training run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from spconv_cy.types import Array, Choose, FloatArray


class Targets(np.ndarray[Any, Any]):
    """An array of labels or numbers of a batch; `weights` (b,) are those of its samples, or None."""

    weights: FloatArray | None = None


class Targeted:
    """Batches whose labels are the numbers of their items, with the items' targets and weights in place of the numbers.

    Args:
        batches: Batches with labels np.arange(n).
        targets: (n, ...).
        weights: (n,) with a mean of 1, or None.
    """

    def __init__(self, batches: Any, targets: Array, weights: FloatArray | None) -> None:
        self.batches, self.targets, self.weights = batches, targets, weights

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, seed: int = 0, *, training: bool,
              choose: Choose | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield (x, targets) of every batch."""
        for x, items in self.batches.epoch(epoch, seed, training=training, choose=choose):
            found = self.targets[items].view(Targets)
            if self.weights is not None:
                found.weights = self.weights[items]
            yield x, found


def weighted(function: Callable[..., Any], ignore_label: int | None = None) -> Callable[[Any, Any], Any]:
    """Return a loss of outputs and Targets: the weighted sum over the samples, divided by their number.

    Args:
        function: a loss with the options reduction and sample_weight.
        ignore_label: the target of samples that do not count, or None.
    """
    def loss(outputs: Any, targets: Any) -> Any:
        weights = getattr(targets, "weights", None)
        given = {} if ignore_label is None else {"ignore_label": ignore_label}
        plain = np.asarray(targets)
        if weights is None:
            return function(outputs, plain, **given)
        counted = len(plain) if ignore_label is None else int((plain != ignore_label).sum())
        width = plain.shape[1] if plain.ndim > 1 else 1
        total = function(outputs, plain, sample_weight=weights, reduction="sum", **given)
        return total * (1 / max(1, counted * width))

    return loss


def combined(sample_weight: FloatArray | None, class_weight: FloatArray | None, numbers: Array) -> FloatArray | None:
    """Return (n,) weights of samples times those of their classes, with a mean of 1; None if all are 1.

    Args:
        sample_weight: (n,) or None.
        class_weight: (classes,) or None.
        numbers: (n,) class numbers; -1 does not count.
    """
    if sample_weight is None and class_weight is None:
        return None
    counts = numbers >= 0
    found: FloatArray = counts * (np.ones(len(numbers)) if sample_weight is None else sample_weight)
    if class_weight is not None:
        found = found * class_weight[np.maximum(numbers, 0)]
    total = found.sum()
    return found * (counts.sum() / total) if total else None
