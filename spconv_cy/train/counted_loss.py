"""Outputs, loss and error of a batch, without the labels to be ignored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_array, checked_function, kind_of
from spconv_cy.errors import expected
from spconv_cy.functional import (
    binary_cross_entropy,
    dice_loss,
    focal_loss,
    lovasz_softmax,
    softmax_cross_entropy,
    squared_hinge,
)
from spconv_cy.functional.labels import counted
from spconv_cy.train import metrics

if TYPE_CHECKING:
    from spconv_cy.functional.labels import IgnoredLabels
    from spconv_cy.layers.layer import Layer
    from spconv_cy.types import Array, ArrayLike

Loss: TypeAlias = Callable[..., Tensor]
OF_LABELS = (softmax_cross_entropy, squared_hinge, binary_cross_entropy, focal_loss, dice_loss, lovasz_softmax)


class CountedLoss:
    """A loss function together with the labels that it, the error and the means over batches ignore.

    Args:
        who: the name that errors begin with.
        function: of (outputs, labels), returns a Tensor of shape (). The library's losses get `ignore_label`.
        ignore_label: labels that do not count, as for softmax_cross_entropy.

    Raises:
        TypeError: function cannot be called.
        ValueError: an invalid ignore_label.
    """

    def __init__(self, who: str, function: Loss, ignore_label: IgnoredLabels) -> None:
        checked_function(who, function, "loss to be a function of (outputs, labels)")
        counted(who, np.zeros(0, np.int64), ignore_label)                # raises an error before anything is changed
        self.who, self.ignore_label, self.function = who, ignore_label, function
        self.built_in = getattr(function, "func", function) in OF_LABELS
        if self.built_in and ignore_label is not None and "ignore_label" not in getattr(function, "keywords", {}):
            self.function = partial(function, ignore_label=ignore_label)

    def loss(self, y: object, labels: object) -> Tensor:
        """Return the loss of a batch, a Tensor of shape ()."""
        value = self.function(y, labels)
        if not isinstance(value, Tensor) or value.shape != ():
            raise TypeError(expected(self.who, "loss to return a Tensor of shape ()", f"{value!r}",
                                     "reduce it, for example by x.mean()"))
        return value

    def samples(self, rows: Any, labels: Any) -> int:
        """Return the number of samples of a batch that count."""
        if labels is None or not are_classes(rows, labels):
            return len(rows) if labels is None else len(labels)
        counts = counted(self.who, as_array("labels", labels), self.ignore_label)
        return len(labels) if counts is None else int(counts.sum())

    def error(self, outputs: ArrayLike, labels: ArrayLike) -> float:
        """Return the error of the samples that count; labels are class numbers, and at least one of them counts."""
        return metrics.error_rate(outputs, labels, ignore_label=self.ignore_label)


def outputs_of(who: str, net: Layer, x: Any, loss: CountedLoss | None) -> Any:
    """Return the outputs of a network for a batch; a loss of your own may take outputs that are not a Tensor.

    Raises:
        TypeError: the outputs are not a Tensor, and the loss is None or one of the library's.
    """
    y = net(x)
    if not isinstance(y, Tensor) and (loss is None or loss.built_in):
        got = f"{y}" if hasattr(y, "grid") else kind_of(y)
        raise TypeError(expected(who, "a network that returns a Tensor (b, classes)", got, "for one row per sample, "
                                 "end it with GlobalPooling() and NetworkInNetwork, or with SparseToDense(d, "
                                 "flat=True); for one row per point, put its layers into ToPoints(...); for one row "
                                 "per site, use the .features of the SparseTensor"))
    return y


def rows_of(y: Any) -> Any:
    """Return outputs as rows: the features of a SparseTensor, other outputs unchanged."""
    return y.features if hasattr(y, "features") else y


def are_classes(y: Any, labels: Any) -> bool:
    """Return True if labels are class numbers (b,) of outputs (b, classes)."""
    two_axes = getattr(y, "shape", None) and len(y.shape) == 2
    numbers = as_array("labels", labels)
    return bool(two_axes and numbers.ndim == 1 and numbers.dtype.kind in "iu")


def on_host(y: Tensor) -> Array:
    """Return the data of a Tensor as a numpy array."""
    return ops_of(y.data).to_numpy(y.data)
