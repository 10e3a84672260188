"""The data of `fit`: an object that yields the batches of an epoch, or a list of (x, labels) pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from spconv_cy.checks import as_array, kind_of
from spconv_cy.errors import expected


class BatchSource(Protocol):
    """Protocol of objects that yield the batches of an epoch, such as StrokeBatches and TensorBatches."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def epoch(self, epoch: int, seed: int, *, training: bool) -> Iterable[tuple[object, object]]:
        """Yield the (x, labels) pairs of an epoch; with `training`, in an order drawn from (seed, epoch)."""


Data: TypeAlias = BatchSource | Sequence[tuple[object, object]]


class BatchList:
    """A list of (x, labels) pairs, each a batch. In training, every epoch has its own order.

    Args:
        pairs: list of (x, labels); labels hold one label for each sample, or are None.
        who: the name that errors begin with.

    Raises:
        TypeError: the labels of a batch are a single number.
    """

    def __init__(self, pairs: list[tuple[object, object]], who: str = "fit") -> None:
        self.pairs = pairs
        for _, labels in pairs:
            if labels is not None and not as_array(f"{who}: labels", labels).ndim:
                raise TypeError(expected(who, "one label for each sample of a batch, or None", f"labels {labels!r}"))

    def __len__(self) -> int:
        return sum(_samples(x if labels is None else labels) for x, labels in self.pairs)

    def epoch(self, epoch: int, seed: int = 0, *, training: bool) -> Iterator[tuple[object, object]]:
        """Yield the pairs; with `training`, in an order drawn from (seed, epoch)."""
        order: Iterable[int] = range(len(self.pairs))
        if training:
            order = np.random.default_rng((seed, epoch)).permutation(len(self.pairs))
        for i in order:
            yield self.pairs[i]


def as_batches(data: Data, who: str, name: str = "data") -> BatchSource:
    """Return data as an object with `len` (its samples) and `epoch(epoch, seed, training=)`.

    Args:
        data: such an object, returned unchanged, or a list of (x, labels) pairs.
        who: the name that errors begin with.
        name: of the argument, for errors.

    Raises:
        TypeError: the data have another form.
        ValueError: no samples.
    """
    if not hasattr(data, "epoch"):
        if not isinstance(data, (list, tuple)) or not all(isinstance(pair, (list, tuple)) and len(pair) == 2
                                                          for pair in data):
            raise TypeError(expected(who, f"{name} to be StrokeBatches, TensorBatches or a list of (x, labels) pairs",
                                     kind_of(data), "for one batch give [(x, labels)]"))
        data = BatchList(list(data), who)
    if not len(data):
        raise ValueError(expected(who, f"at least one sample in {name}", "none"))
    return data


def _samples(x: Any) -> int:
    return int(x.grid.samples) if hasattr(x, "grid") else len(x)
