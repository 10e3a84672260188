"""What all estimators share: a training run with validation and early stopping, steps on parts of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.checks import checked_flags, described, is_integer, is_number, kind_of
from spconv_cy.errors import expected
from spconv_cy.estimators.parameters import Parameters
from spconv_cy.estimators.tables import check_names, names_of
from spconv_cy.layers.evaluating import evaluating
from spconv_cy.train import Adam, History, fit

if TYPE_CHECKING:
    from spconv_cy.layers.layer import Layer
    from spconv_cy.train.schedule import Schedule
    from spconv_cy.types import Array

ENOUGH, FEWEST, MOST, STEPS = 150_000, 20, 100, 300


def default_epochs(n: int, batch: int) -> int:
    """Return the number of epochs for n items: enough for 150,000 distorted items, from 20 up to 100.

    With few items an epoch has few steps; the most is then the number of epochs that has 300 steps.

    >>> default_epochs(7494, 100), default_epochs(2040, 100), default_epochs(200, 100)
    (21, 74, 150)
    """
    n = max(1, n)
    most = max(MOST, STEPS // -(-n // batch))
    return int(np.clip(-(-ENOUGH // n), FEWEST, most))


@dataclass
class Run:
    """What one training run needs.

    Attributes:
        net: the network.
        data: training batches.
        loss: function of (outputs, labels).
        validation: batches to validate on, or None.
        ignore_label: labels that do not count, or None.
    """

    net: Layer
    data: Any
    loss: Any
    validation: Any = None
    ignore_label: int | None = None


def answer_of(net: Layer, x: Any) -> tuple[tuple[int, ...] | None, str]:
    """Return (shape, description) of a network's output for a batch; the shape is None if it is not a Tensor."""
    with evaluating(net), no_grad():
        found: object = net(x)
    return (found.shape, f"outputs {found.shape}") if isinstance(found, Tensor) else (None, kind_of(found))


class Learner(Parameters):
    """Base of estimators that train a network."""

    epochs: int | None
    batch: int
    rate: float
    schedule: str | Schedule | None
    verbose: bool | int
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    net_: Layer
    history_: History

    def _note_columns(self, X: Any, columns: int | None) -> None:
        """Set what scikit-learn notes of X: the number of its columns, None if it has none, and their names."""
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                delattr(self, name)
        if columns is not None:
            self.n_features_in_, names = columns, names_of(type(self).__name__, X)
            if names is not None and len(names) == columns:
                self.feature_names_in_ = names

    def _check_names(self, method: str, X: Any) -> None:
        """Raise ValueError if the data frames of X differ in their columns, from each other or from those of fit."""
        who = f"{type(self).__name__}.{method}"
        if method in ("fit", "fit: validation") or not hasattr(self, "n_features_in_"):
            names_of(who, X)
        else:
            check_names(who, X, getattr(self, "feature_names_in_", None))

    def _checked_validation(self, X: Any, validation: Any) -> Any:
        """Return validation, None or (X, y); raise TypeError, ValueError if it is neither, or has other columns."""
        who = f"{type(self).__name__}.fit: validation"
        if validation is None:
            return None
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise TypeError(expected(who, "(X, y) of other items, or None", described(validation)))
        check_names(who, validation[0], names_of(who, X))
        return validation

    def _learn(self, run: Run, rng: np.random.Generator) -> History:
        """Train a network from its first epoch to its last, and return the History."""
        epochs = self._default_epochs(run) if self.epochs is None else self.epochs
        patience = self.n_iter_no_change if self.early_stopping and run.validation is not None else None
        return fit(run.net, run.data, Adam(run.net.parameters(), self.rate), epochs, validation=run.validation,
                   patience=patience, loss=run.loss, schedule=self.schedule, rng=rng, progress=self.verbose,
                   ignore_label=run.ignore_label)

    def _default_epochs(self, run: Run) -> int:
        return default_epochs(len(run.data), self.batch)

    def _learn_more(self, run: Run) -> None:
        """Train the network of this estimator for one more epoch, with the same optimiser as before."""
        optimizer = getattr(self, "_optimizer", None)
        if optimizer is None or {id(p) for p in optimizer.parameters} != {id(p) for p in run.net.parameters()}:
            optimizer = Adam(run.net.parameters(), self.rate)
            history, self._seed = History(), int(self._generator().integers(2**31))
        else:
            history = self.history_
        found = fit(run.net, run.data, optimizer, 1, loss=run.loss, rng=self._seed + len(history),
                    progress=self.verbose, ignore_label=run.ignore_label)
        for name in ("losses", "errors", "rates", "seconds"):
            getattr(history, name).extend(getattr(found, name))
        self._optimizer, self.history_ = optimizer, history

    def _check_stopping(self) -> None:
        who = type(self).__name__
        checked_flags(who, early_stopping=self.early_stopping)
        if not is_number(self.validation_fraction) or not 0 < self.validation_fraction < 1:
            raise ValueError(expected(who, "validation_fraction to be a number between 0 and 1",
                                      repr(self.validation_fraction)))
        if not is_integer(self.n_iter_no_change) or self.n_iter_no_change < 1:
            raise ValueError(expected(who, "n_iter_no_change to be a whole number from 1 up",
                                      repr(self.n_iter_no_change)))

    def _held_out(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return (training items, validation items); without early stopping there are none of the latter."""
        if not self.early_stopping or n < 2:
            return np.arange(n), np.zeros(0, np.int64)
        order = np.random.default_rng(int(rng.integers(2**31))).permutation(n)
        held = min(n - 1, max(1, round(self.validation_fraction * n)))
        return np.sort(order[held:]), np.sort(order[:held])
