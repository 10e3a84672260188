"""The cross-entropy of rows and labels in numpy, or in a module like it."""

from typing import Any

import numpy as np

from spconv_cy.backend import exact
from spconv_cy.types import Array


def cross_entropy(xp: Any, x: Array, labels: Array, counts: Array | None,
                  group: exact.Alone | None = None) -> tuple[Array, Array]:
    """See Ops.cross_entropy; with a group the sum of the losses is exact, over all its rows."""
    kept, rows, at, shares = _by_row(xp, x, labels, counts)
    if not x.size and (group is None or not x.shape[1]):
        return xp.zeros((), x.dtype), xp.stack([xp.zeros(len(x), x.dtype), xp.ones(len(x), x.dtype)], axis=1)
    rest = xp.where(kept[:, None], x, x.dtype.type(0))                   # what does not count may be infinite
    most = rest.max(1)
    rest = rest - most[:, None]
    sums = xp.where(kept, xp.exp(rest).sum(1), x.dtype.type(1))
    losses = xp.log(sums) - rest[rows, at]
    losses = losses * shares
    if xp is np:                                                         # the sum of the rows that count, to the bit
        losses = losses[kept]
    return xp.asarray(losses.sum() if group is None else exact.total(losses, group)), xp.stack([most, sums], axis=1)


def cross_entropy_dx(xp: Any, x: Array, found: Array, labels: Array, factor: Any, counts: Array | None) -> Array:
    """See Ops.cross_entropy_dx."""
    kept, rows, at, shares = _by_row(xp, x, labels, counts)
    dx = xp.exp(xp.where(kept[:, None], x - found[:, :1], x.dtype.type(0))) / found[:, 1:]
    if x.size:
        dx[rows, at] -= 1
    return dx * xp.where(kept, shares * factor, x.dtype.type(0))[:, None]


def _by_row(xp: Any, x: Array, labels: Array, counts: Array | None) -> tuple[Array, Array, Array, Array]:
    """Return what each row has: whether it counts, its number, a class, and its share."""
    labels = xp.asarray(labels)
    kept = labels >= 0
    shares = kept.astype(x.dtype) if counts is None else xp.where(kept, counts, x.dtype.type(0))
    return kept, xp.arange(len(x)), xp.where(kept, labels, 0), shares
