"""The base of estimators of items: characters, clouds of points, recordings of events, or signals."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.checks import kind_of
from spconv_cy.data import Characters, StrokeBatches, StrokeEncoder
from spconv_cy.data.augment import from_name as distortion
from spconv_cy.errors import ShapeError, expected
from spconv_cy.estimators.encoders import (
    Clouds,
    PointEncoder,
    SignalEncoder,
    as_signals,
    check_columns,
    has_only_arrays,
    listed,
    motion,
)
from spconv_cy.estimators.learning import Learner, answer_of
from spconv_cy.estimators.weighting import Targeted
from spconv_cy.layers import Layer
from spconv_cy.models import deepcnet, deepcnin, from_spec

if TYPE_CHECKING:
    from spconv_cy.data import Affine, PointAffine
    from spconv_cy.types import Array, FloatArray

FIELD = 48                                         # smallest side of the field for a network that does not determine it
LARGE = 2**14
NETS = {"deepcnet": deepcnet, "deepcnin": deepcnin}


class ItemLearner(Learner):
    """Base of SparseConvClassifier and SparseConvRegressor: one label or value for each item of X."""

    net: str | Layer
    l: int
    k: int
    encoding: Any
    augment: str | Affine | PointAffine | None
    views: str | Affine | PointAffine | None
    dropout: float
    repeats: int
    cell: float | tuple[float, ...] | None
    dimension: int | None
    encoder_: Any

    def _takes_tables(self) -> bool:
        return isinstance(self.encoding, SignalEncoder) or isinstance(self.encoding, str) and self.encoding == "signals"

    def _takes_clouds(self, X: Any) -> bool:
        if isinstance(self.encoding, str) and self.encoding in ("points", "events"):
            return True
        return isinstance(self.encoding, PointEncoder) or isinstance(self.encoding, str) and has_only_arrays(X)

    def _read(self, method: str, X: Any, encoder: Any = None) -> Any:
        """Return the items of X: Characters, Clouds, or an array of signals; for a fitted encoder of its kind."""
        who = f"{type(self).__name__}.{method}"
        self._check_names(method, X)
        if isinstance(encoder, SignalEncoder) or encoder is None and self._takes_tables():
            rows = as_signals(who, X, int(encoder is None))
            if len(rows):
                check_columns(who, rows.shape[1], getattr(encoder, "columns", None))
            return rows
        X = listed(X)
        if isinstance(encoder, PointEncoder) or encoder is None and self._takes_clouds(X):
            if not hasattr(X, "__iter__") or getattr(X, "ndim", 3) != 3:
                raise ShapeError(expected(who, "a list of clouds, arrays (n, columns), or Events",
                                          getattr(X, "shape", kind_of(X)), "put a single cloud into a list"))
            clouds = Clouds.read(who, X)
            if len(clouds):
                check_columns(who, clouds.columns, getattr(encoder, "columns", None))
            return clouds
        try:
            return Characters.pack(X)
        except ValueError as error:                                      # ShapeErrors are ValueErrors too
            remedy = ""
            if isinstance(X, (list, tuple)) and len(X) and getattr(X[0], "ndim", 0) == 2 and encoder is None:
                remedy = '; for clouds of points give encoding="points"'
            raise type(error)(f"{who}: {error}{remedy}") from None

    def _made(self, outputs: int, items: Any, rng: np.random.Generator) -> tuple[Layer, Any]:
        """Return an untrained network of so many outputs, and the encoder that draws its input, fitted to items."""
        encoder = self._new_encoder(items)
        if isinstance(items, Characters):
            net = self._new_net(outputs, encoder, rng)
            if isinstance(self.encoding, str):
                size = self._field(net, encoder.dimension)
                encoder = StrokeEncoder(self.encoding, size=size, scale=size / 3)
            if getattr(encoder, "factors", ()) is None:
                encoder = encoder.fit(items)
        else:
            net, encoder = self._fitted_to_net(outputs, encoder, items, rng)
        self._check_outputs(net, encoder, outputs)
        return net, encoder

    def _fitted_to_net(self, outputs: int, encoder: Any, items: Any,
                       rng: np.random.Generator) -> tuple[Layer, Any]:
        """Return a network and an encoder of points or signals, whose planes the data determine."""
        if encoder.size is not None:
            fitted = encoder.fit(items) if encoder.columns is None else encoder
            return self._new_net(outputs, fitted, rng), fitted
        trial = replace(encoder, size=LARGE).fit(items)                  # for its planes
        net = self._new_net(outputs, trial, rng)
        size = self._field(net, trial.dimension, 1 if isinstance(items, Clouds) else items.shape[1])
        return net, replace(encoder, size=size).fit(items)

    def _new_encoder(self, items: Any) -> Any:
        if isinstance(items, Characters):
            return self.encoding if hasattr(self.encoding, "sites") else StrokeEncoder(self.encoding)
        if isinstance(items, Clouds):
            return self.encoding if isinstance(self.encoding, PointEncoder) else PointEncoder(self.cell, self.dimension)
        return self.encoding if isinstance(self.encoding, SignalEncoder) else SignalEncoder()

    def _new_net(self, outputs: int, encoder: Any, rng: np.random.Generator) -> Layer:
        """Return a copy of net, or an untrained network of its name or notation."""
        if isinstance(self.net, Layer):
            return copy.deepcopy(self.net)
        if not isinstance(self.net, str):
            raise TypeError(expected(type(self).__name__, "net to be 'deepcnet', 'deepcnin', a notation such as "
                                     "'32C3-MP2-64C2-output', or a Layer", f"{self.net!r}"))
        if self.net in NETS:
            return NETS[self.net](self.l, self.k, encoder.planes, outputs, d=encoder.dimension, dropout=self.dropout,
                                  rng=rng)
        if self.dropout:
            raise ValueError(expected(type(self).__name__, "dropout= with net='deepcnet' or 'deepcnin'",
                                      f"net={self.net!r}", "write it into the notation"))
        return from_spec(self.net, encoder.planes, encoder.dimension, classes=outputs, rng=rng)

    def _field(self, net: Layer, d: int, least: int = 1) -> int:
        """Return the side of the smallest square or cubic field of at least `least` sites that the network takes."""
        named = isinstance(self.net, str) and self.net in NETS
        least = max(least, 1 if named else FIELD)
        found: Any = ()
        for found in (net.input_size((n,) * d) for n in range(1, least + 2)):
            if min(found) == max(found) >= least:
                return int(found[0])
        raise ShapeError(expected(type(self).__name__, f"a network with a square field of at least {least} sites",
                                  f"the field {found}", "give l= for more levels, or encoding=StrokeEncoder(size=...)"))

    def _check_outputs(self, net: Layer, encoder: Any, outputs: int) -> None:
        """Raise ShapeError if the network does not return (1, outputs) for an item."""
        try:
            shape, got = answer_of(net, self._trial_batch(encoder).prepare(0, 0, False)(np.zeros(1, np.int64)))
        except ShapeError as error:
            raise ShapeError(expected(type(self).__name__, f"a net that takes items of {encoder}", f"one that "
                                      f"refuses them ({error})", f"give a net for {encoder.planes} channels, and "
                                      f"encoding={type(encoder).__name__}(size=...) of its field")) from error
        if shape != (1, outputs):
            raise ShapeError(expected(type(self).__name__, f"outputs (1, {outputs}) of the net for one item and "
                                      f"{outputs} {self._outputs_noun()}", got, "end the net with GlobalPooling() and "
                                      f"NetworkInNetwork(channels, {outputs})"))

    def _outputs_noun(self) -> str:
        return "classes" if self._estimator_type == "classifier" else "values"

    def _trial_batch(self, encoder: Any) -> Any:
        if isinstance(encoder, PointEncoder):
            return encoder.batches(Clouds(np.zeros((1, encoder.columns or 1)), np.array([0, 1])), None, batch=1)
        if isinstance(encoder, SignalEncoder):
            return encoder.batches(np.zeros((1, encoder.columns or 1)), None, batch=1)
        return StrokeBatches([[[(0.0, 0.0)]]], None, encoder)

    def _batches(self, encoder: Any, items: Any, labels: Array | None = None) -> Any:
        """Return batches of items, with the distortions of this estimator in training and its views in testing."""
        if isinstance(encoder, (PointEncoder, SignalEncoder)):
            who = type(self).__name__
            return encoder.batches(items, labels, batch=self.batch, augment=motion(who, "augment", self.augment),
                                   views=motion(who, "views", self.views))
        return StrokeBatches(items, labels, encoder, batch=self.batch, augment=_of_strokes(self.augment),
                             views=_of_strokes(self.views))

    def _targeted(self, encoder: Any, items: Any, at: Array, targets: Array, weights: FloatArray | None) -> Any:
        """Return batches of some of the items, with their targets and weights."""
        return Targeted(self._batches(encoder, some(items, at), np.arange(len(at))), targets[at],
                        None if weights is None else weights[at])

    def _divided(self, encoder: Any, items: Any, targets: Array, weights: FloatArray | None, rng: np.random.Generator,
                 tested: Any) -> tuple[Any, Any]:
        """Return (training batches, validation batches or None): `tested` if given, or items held out."""
        self._check_stopping()
        train = np.arange(len(items))
        if tested is None:
            train, held = self._held_out(len(items), rng)
            tested = self._targeted(encoder, items, held, targets, None) if len(held) else None
        return self._targeted(encoder, items, train, targets, weights), tested

    def _note_items(self, X: Any, items: Any) -> None:
        columns: int | None = items.shape[1] if isinstance(items, np.ndarray) else getattr(items, "columns", None)
        self._note_columns(X, columns)                                   # None for characters


def some(items: Any, at: Array) -> Any:
    """Return some of the items."""
    part = items[at] if isinstance(items, np.ndarray) else items.take(at)
    return part[0] if isinstance(part, tuple) else part


def _of_strokes(augment: Any) -> Any:
    return distortion("none" if augment is None or isinstance(augment, str) and not augment else augment)
