"""Batch-wise dropout by sub-matrices: between two convolutions a tensor holds the channels that are kept, no others."""

import copy

from spconv_cy.functional.dense import as_tensor, dropout, put_columns, submatrix, take_columns
from spconv_cy.layers.activation import on_rows
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.layer import Activated
from spconv_cy.tensor import SparseTensor


class Columns:
    """Which channels the tensor holds that goes through a row of layers, some of which drop channels.

    The result and the gradients are those of the masks, to rounding, and the draws are the same. Each layer is met in
    turn: one with a weight takes the rows of the channels that its input holds, and the columns that the next dropout
    keeps, whose draw is therefore made ahead; one that maps each channel by itself runs on what there is; before any
    other the dropped channels come back as zeros.
    """

    def __init__(self, layers):
        self._layers, self._drawn = layers, set()
        self._held, self._channels = None, 0                             # None: all channels

    def meet(self, i, x):
        """Return (what stands for layer i: a layer, or None for nothing to do; the tensor that it is given)."""
        layer = self._layers[i]
        if i in self._drawn:
            return None, _scaled(x, layer.factor)
        if _drops(layer) and self._weight_follows(i):
            x = self.whole(x if isinstance(x, SparseTensor) else as_tensor(x))
            shape = (x.features if isinstance(x, SparseTensor) else x).shape
            if len(shape) == 2:                                          # the dropout itself refuses others
                self._channels, self._held = shape[1], layer.draw(shape[1])
                return None, _scaled(on_rows(lambda rows: take_columns(rows, self._held), x), layer.factor)
        if _has_weight(layer) and (self._held is None or self._channels == layer.channels_in):
            rows, self._held, self._channels = self._held, self._draw_ahead(i), layer.channels_out
            return _part(layer, rows, self._held), x
        return layer, x if layer.channelwise else self.whole(x)

    def whole(self, x):
        """Return x with all channels, those that were dropped as zeros."""
        held, self._held = self._held, None
        return x if held is None else on_rows(lambda rows: put_columns(rows, held, self._channels), x)

    def _draw_ahead(self, i):
        before = [*self._layers[i].generators().values()]                # whose draws come before the dropout's
        for j in range(i + 1, len(self._layers)):
            layer = self._layers[j]
            if _drops(layer) and not any(rng is layer.rng for rng in before):
                self._drawn.add(j)
                return layer.draw(self._layers[i].channels_out)
            if not layer.channelwise:
                return None
            before += layer.generators().values()
        return None

    def _weight_follows(self, i):
        for layer in self._layers[i + 1:]:
            if _has_weight(layer) or not layer.channelwise:
                return _has_weight(layer)
        return False


def drop_channels(layers):
    """Tell whether any of the layers would drop whole channels now."""
    return any(_drops(layer) for layer in layers)


def _drops(layer):
    return isinstance(layer, Dropout) and layer.drops_channels and type(layer).__call__ is Dropout.__call__


def _has_weight(layer):
    return isinstance(layer, Activated) and layer.channels_mix and layer.weight.data.ndim == 3


def _scaled(x, factor):
    return x if factor == 1 else on_rows(lambda rows: dropout(rows, rows.dtype.type(factor)), x)


def _part(layer, rows, columns):
    """Return a copy of a layer with the sub-matrices of its weight; rows, columns: channels in and out, None: all."""
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
