"""Steps that compute some of the channels: dropout by sub-matrices of the weights."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from spconv_cy.functional.dense import as_tensor, dropout, put_columns, submatrix, take_columns
from spconv_cy.layers.listening import step as call
from spconv_cy.layers.plan import Step
from spconv_cy.layers.rows import on_rows
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import IntegerArray


class Selection(NamedTuple):
    """Which channels the features hold: their numbers, ascending, and how many channels there are in all."""

    columns: Any
    channels: int


def run(step: Step, x: Any, selection: Selection | None) -> tuple[SparseTensor | Tensor, Selection | None]:
    """Run one step of a plan.

    Results and gradients equal those of dropout by masks up to rounding; the random draws are the same.

    Args:
        step: Step.
        x: its input.
        selection: the channels that x holds; None: all.

    Returns:
        (output, its Selection or None).
    """
    layer: Any = step.layer
    if step.plain:
        return computed(step, layer, x), selection
    if step.restore:
        x, selection = whole(x, selection), None
    if step.action == "scale":
        return _scaled(x, layer.factor), selection
    if step.action == "select":
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        shape = (x.features if isinstance(x, SparseTensor) else x).shape
        if len(shape) == 2:                                              # the dropout itself refuses others
            chosen = Selection(layer.draw(shape[1]), shape[1])
            return _scaled(on_rows(lambda rows: take_columns(rows, chosen.columns), x), layer.factor), chosen
    if step.selected and selection is not None and selection.channels != layer.channels_in:
        return call(layer, whole(x, selection)), None                    # which the layer refuses
    if step.selected or step.dropout is not None:
        rows = selection.columns if step.selected and selection is not None else None
        selection = None if step.dropout is None else _drawn(step.dropout, layer.channels_out)
        layer = _part(layer, rows, None if selection is None else selection.columns)
    return computed(step, layer, x), selection


def computed(step: Step, layer: Any, x: Any, residual: Any = None, slope: float | None = None) -> SparseTensor | Tensor:
    """Return the result of a layer, or of a part of it, with what the step computes after it.

    Args:
        step: Step.
        layer: its layer, or a part of it.
        x: the input.
        residual: what a step that adds adds.
        slope: of a leaky ReLU, if the step has no activation of its own.
    """
    if step.activation is not None:
        slope = step.activation.slope  # type: ignore[attr-defined]
    if step.norm is None and residual is None:
        return call(layer, x) if slope is None else layer.activated(x, slope)
    return layer.fused(x, slope, step.norm, residual)


def whole(x: Any, selection: Selection | None) -> Any:
    """Return x with all channels, the dropped ones as zeros."""
    if selection is None:
        return x
    return on_rows(lambda rows: put_columns(rows, selection.columns, selection.channels), x)


def _drawn(layer: Any, channels: int) -> Selection:
    return Selection(layer.draw(channels), channels)


def _scaled(x: Any, factor: float) -> Any:
    return x if factor == 1 else on_rows(lambda rows: dropout(rows, rows.dtype.type(factor)), x)


def _part(layer: Any, rows: IntegerArray | None, columns: IntegerArray | None) -> Any:
    """Return a copy of a layer with sub-matrices of its weight; rows, columns: channels in and out, None: all."""
    if rows is None and columns is None:
        return layer
    part = copy.copy(layer)
    part.weight = submatrix(layer.weight, rows, columns)
    if rows is not None:
        part.channels_in = len(rows)
    if columns is not None:
        part.channels_out = len(columns)
        part.bias = None if layer.bias is None else take_columns(layer.bias, columns)
    return part
