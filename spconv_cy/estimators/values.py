"""Values of regressors: brought to mean 0 and standard deviation 1 for training, and back; losses and scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.estimators.encoders import standard
from spconv_cy.estimators.labelling import score_weights
from spconv_cy.estimators.tables import as_targets
from spconv_cy.functional import huber_loss, l1_loss, mse
from spconv_cy.types import Array, ArrayLike, FloatArray

LOSSES = {"squared_error": mse, "huber": huber_loss, "absolute_error": l1_loss}


class Values:
    """The mean and the standard deviation of targets, and whether they have one axis.

    Args:
        targets: (n,) or (n, k) float64.
    """

    def __init__(self, targets: FloatArray) -> None:
        self.flat = targets.ndim == 1
        self.means, self.scales = standard(targets.reshape(len(targets), -1))

    def __len__(self) -> int:
        return len(self.means)

    def scaled(self, targets: FloatArray) -> Array:
        """Return targets as float32 (n, k) for training."""
        return ((targets.reshape(len(targets), -1) - self.means) / self.scales).astype(np.float32)

    def back(self, outputs: Array) -> FloatArray:
        """Return outputs (n, k) of the network as values, (n,) if the targets were."""
        found = outputs.astype(np.float64) * self.scales + self.means
        return found[:, 0] if self.flat else found

    def state(self) -> dict[str, Any]:
        """Return JSON values, from which `of` makes these Values."""
        return {"flat": self.flat, "means": self.means.tolist(), "scales": self.scales.tolist()}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Values:
        """Return the Values of a state."""
        found = cls(np.zeros((1, len(state["means"]))))
        found.flat, found.means, found.scales = bool(state["flat"]), *(
            np.array(state[name], np.float64) for name in ("means", "scales"))
        if found.means.shape != found.scales.shape or found.means.ndim != 1 or not (found.scales > 0).all():
            raise ValueError(expected("values", "means and scales of equal number, scales above 0", state))
        return found


def loss_named(who: str, name: object) -> Any:
    """Return the loss of a name; raise ValueError if there is none."""
    if not is_one_of(name, LOSSES):
        raise ValueError(expected(who, f"loss to be one of {', '.join(LOSSES)}", repr(name)))
    return LOSSES[str(name)]


def r2(who: str, predicted: FloatArray, y: Any, sample_weight: ArrayLike | None) -> float:
    """Return the coefficient of determination R^2, the mean over the columns; as scikit-learn's r2_score."""
    wanted = as_targets(f"{who}: y", y, len(predicted))
    if wanted.size != predicted.size:
        raise ShapeError(expected(who, f"y {predicted.shape}", wanted.shape))
    truth, found = wanted.reshape(len(wanted), -1), predicted.reshape(len(wanted), -1)
    weights = np.ones(len(truth)) if sample_weight is None else score_weights(who, sample_weight, len(truth))
    rest = (weights[:, None] * (truth - found) ** 2).sum(0)
    total = (weights[:, None] * (truth - np.average(truth, axis=0, weights=weights)) ** 2).sum(0)
    shares = np.where(total > 0, 1 - rest / np.where(total > 0, total, 1), np.where(rest > 0, 0.0, 1.0))
    return float(shares.mean())
