"""SparseConvRegressor, a regressor of strokes, clouds and signals with scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.estimators.files import Encoder, encoder_of, load_estimator, save_estimator
from spconv_cy.estimators.items import ItemLearner
from spconv_cy.estimators.learning import Run
from spconv_cy.estimators.tables import as_targets, as_weights
from spconv_cy.estimators.values import Values, loss_named, r2
from spconv_cy.estimators.weighting import combined, weighted
from spconv_cy.layers import Layer
from spconv_cy.train import predict_outputs

if TYPE_CHECKING:
    from spconv_cy.data import Affine, PointAffine
    from spconv_cy.estimators.classifier import Items
    from spconv_cy.estimators.parameters import RandomState
    from spconv_cy.train.schedule import Schedule
    from spconv_cy.types import ArrayLike, FloatArray, PathLike


@known_arguments
class SparseConvRegressor(ItemLearner):
    """Regressor of characters, clouds of points, events or signals: one or several numbers for each item.

    Targets are brought to mean 0 and standard deviation 1 for training.

    Args:
        loss: "squared_error", "huber" or "absolute_error".
        net, l, k, dropout: as for SparseConvClassifier; a Layer returns (b, targets).
        encoding, augment, cell, dimension: as for SparseConvClassifier.
        epochs, batch, rate, schedule, verbose, random_state, repeats, views: as for SparseConvClassifier.
        early_stopping, validation_fraction, n_iter_no_change: as for SparseConvClassifier.

    Attributes:
        net_, encoder_, history_, n_features_in_, feature_names_in_: as for SparseConvClassifier.

    >>> clouds, widths = [np.random.default_rng(i).normal(0, 1 + i % 4, (30, 3)) for i in range(40)], np.arange(40) % 4
    >>> model = SparseConvRegressor(l=3, k=8, augment="none", epochs=50, random_state=0).fit(clouds, widths)
    >>> model.score(clouds, widths) > 0.9
    True
    """

    _estimator_type = "regressor"
    _values: Values

    def __init__(self, net: str | Layer = "deepcnet", l: int = 5, k: int = 30, encoding: str | Encoder = "octogram",
                 augment: str | Affine | PointAffine | None = "affine", epochs: int | None = None, batch: int = 100,
                 rate: float = 0.003, schedule: str | Schedule | None = "cosine", verbose: bool | int = False,
                 random_state: RandomState = None, repeats: int = 1, *, loss: str = "squared_error",
                 early_stopping: bool = False, validation_fraction: float = 0.1, n_iter_no_change: int = 10,
                 dropout: float = 0.0, views: str | Affine | PointAffine | None = "none",
                 cell: float | tuple[float, ...] | None = None, dimension: int | None = None) -> None:
        self.net, self.l, self.k, self.encoding, self.augment = net, l, k, encoding, augment
        self.epochs, self.batch, self.rate, self.schedule = epochs, batch, rate, schedule
        self.verbose, self.random_state, self.repeats, self.loss = verbose, random_state, repeats, loss
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.dropout, self.views = n_iter_no_change, dropout, views
        self.cell, self.dimension = cell, dimension

    @known_arguments
    def fit(self, X: Items, y: ArrayLike, sample_weight: ArrayLike | None = None,
            validation: tuple[Items, ArrayLike] | None = None) -> SparseConvRegressor:
        """Train on items X with targets y, and return self.

        Args:
            X: items.
            y: (n,) or (n, k) finite numbers.
            sample_weight: (n,) numbers from 0 up: how much each item counts. None: all equally.
            validation: (X, y) of other items, as for SparseConvClassifier.fit.

        Raises:
            ShapeError, ValueError, TypeError: items, targets or arguments that do not fit.
        """
        items, validation = self._read("fit", X), self._checked_validation(X, validation)
        targets = as_targets("SparseConvRegressor.fit: y", y, len(items))
        weights = self._weights(sample_weight, len(targets))
        loss, rng, values = weighted(loss_named("SparseConvRegressor", self.loss)), self._generator(), Values(targets)
        net, encoder = self._made(len(values), items, rng)
        tested = None if validation is None else self._validation(encoder, values, *validation)
        data, tested = self._divided(encoder, items, values.scaled(targets), weights, rng, tested)
        history = self._learn(Run(net, data, loss, tested), rng)
        self.net_, self.encoder_, self._values, self.history_ = net, encoder, values, history
        self._note_items(X, items)
        return self

    @known_arguments
    def partial_fit(self, X: Items, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SparseConvRegressor:
        """Train for one epoch on items X with targets y, at the full rate, and return self.

        The first call determines the mean and the standard deviation by which targets are scaled. Arguments and errors
        as for fit.
        """
        first = not self.__sklearn_is_fitted__()
        items = self._read("partial_fit", X, None if first else self.encoder_)
        targets = as_targets("SparseConvRegressor.partial_fit: y", y, len(items))
        weights = self._weights(sample_weight, len(targets))
        values = Values(targets) if first else self._values
        net, encoder = self._made(len(values), items, self._generator()) if first else (self.net_, self.encoder_)
        data = self._targeted(encoder, items, np.arange(len(items)), values.scaled(targets), weights)
        self._learn_more(Run(net, data, weighted(loss_named("SparseConvRegressor", self.loss))))
        self.net_, self.encoder_, self._values = net, encoder, values
        if first:
            self._note_items(X, items)
        return self

    def _weights(self, sample_weight: ArrayLike | None, n: int) -> FloatArray | None:
        return combined(as_weights("SparseConvRegressor", sample_weight, n), None, np.zeros(n, int))

    def _validation(self, encoder: Any, values: Values, X: Items, y: ArrayLike) -> Any:
        items = self._read("fit: validation", X, encoder)
        targets = values.scaled(as_targets("SparseConvRegressor.fit: validation", y, len(items)))
        return self._targeted(encoder, items, np.arange(len(items)), targets, None)

    @known_arguments
    def predict(self, X: Items) -> FloatArray:
        """Return the values of items, (n,), or (n, k) if the targets had columns.

        Raises:
            NotFittedError: before fit.
            ShapeError, ValueError: items as for fit.
        """
        self._check_fitted("predict")
        items = self._read("predict", X, self.encoder_)
        if not len(items):
            return self._values.back(np.zeros((0, len(self._values))))
        return self._values.back(predict_outputs(self.net_, self._batches(self.encoder_, items), self.repeats))

    @known_arguments
    def score(self, X: Items, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination R^2 of predictions for items X with targets y.

        Raises:
            NotFittedError, ShapeError, ValueError: as for predict; targets or weights that do not fit.
        """
        return r2("SparseConvRegressor.score", self.predict(X), y, sample_weight)

    @known_arguments
    def save(self, path: PathLike) -> None:
        """Write the trained regressor to one .safetensors file. `spconv_cy.load` reads its network alone.

        Raises:
            NotFittedError: before fit.
            TypeError: an argument that cannot be saved.
        """
        self._check_fitted("save")
        save_estimator(path, self, {"encoder": self.encoder_, "values": self._values.state()})

    @classmethod
    @known_arguments
    def load(cls, path: PathLike, layers: Iterable[type[Layer]] | type[Layer] = ()) -> SparseConvRegressor:
        """Read a regressor that `save` wrote; arguments and errors as for SparseConvClassifier.load."""
        def finish(found: Any, net: Layer, parts: dict[str, Any]) -> None:
            found.encoder_, found._values = encoder_of(parts["encoder"]), Values.of(parts["values"])
            found._check_outputs(net, found.encoder_, len(found._values))

        read: SparseConvRegressor = load_estimator(cls, path, layers, {"encoder", "values"}, finish)
        return read
