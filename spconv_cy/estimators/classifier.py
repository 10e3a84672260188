"""SparseConvClassifier, a classifier of strokes, clouds and signals with scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.data import Affine, Characters, Events, PointAffine
from spconv_cy.errors import expected
from spconv_cy.estimators.files import Encoder, encoder_of, load_estimator, save_estimator
from spconv_cy.estimators.items import ItemLearner, some
from spconv_cy.estimators.labelling import accuracy, all_classes, class_weights, different_classes, numbers_of
from spconv_cy.estimators.learning import Run
from spconv_cy.estimators.tables import as_weights
from spconv_cy.estimators.weighting import combined, weighted
from spconv_cy.functional import softmax_cross_entropy
from spconv_cy.layers import Layer
from spconv_cy.train import predict_probabilities
from spconv_cy.train.label import labels_from_json, labels_to_json
from spconv_cy.types import ArrayLike

if TYPE_CHECKING:
    from spconv_cy.estimators.parameters import RandomState
    from spconv_cy.train.schedule import Schedule
    from spconv_cy.types import Array, FloatArray, PathLike

Items: TypeAlias = Characters | Sequence[Sequence[ArrayLike]] | Sequence[ArrayLike] | Sequence[Events] | ArrayLike


@known_arguments
class SparseConvClassifier(ItemLearner):
    """Classifier of characters, clouds of points, events or signals: a spatially-sparse network, trained with Adam.

    Items are a list. A character is a list of strokes, (n, 2) arrays with x to the right and y down; a cloud is an
    array (n, columns) with coordinates in the first columns and features in the others; a recording is `data.Events`.
    An array (items, columns) holds signals (encoding="signals"). Items may also be in an array of objects, (n,) or
    (n, 1), as scikit-learn's BaggingClassifier needs them. Labels are hashable.

    Args:
        net: "deepcnet" or "deepcnin" (with l and k), a notation such as "32C3-MP2-64C2-output", or a Layer that takes
            the encoding's planes and returns (b, classes). A Layer is copied before it is trained.
        l, k: levels and channels of "deepcnet" and "deepcnin".
        encoding: "octogram" or another name that StrokeEncoder knows; characters are drawn into a third of the
            network's field. "points", "events" or "signals"; the first two are also found from clouds with three or
            more columns, and Events. Or a StrokeEncoder, PointEncoder, SignalEncoder.
        augment: "affine", "mild", "none", an Affine or its name; for points a PointAffine.
        epochs: number of passes over the items; None: as many as show the network 150,000 distorted items, from 20 up
            to 100 (more if there are few).
        batch: number of items in a step.
        rate: of Adam.
        schedule: "cosine", "exponential", "constant", or a function of the epoch that returns a factor.
        verbose: show a bar.
        random_state: int or numpy Generator; None: another run each time.
        repeats: number of passes that a prediction averages, for networks that draw random numbers in evaluation mode
            (fractional max-pooling), and for views.
        class_weight: None, "balanced", or a dict of weights by label.
        early_stopping: hold out a part of the items, stop after n_iter_no_change epochs without a lower error on them,
            and keep the best weights.
        validation_fraction: the part that is held out.
        n_iter_no_change: a number of epochs.
        ignore_label: a label, or several, of items that are left out.
        dropout: of "deepcnet" and "deepcnin": the share of channels dropped in the last level, less in those before.
        views: distortions of all but the first pass of a prediction with repeats, as augment.
        cell: side of a site for points, in their unit; None: the largest cloud takes up a third of the field.
        dimension: number of coordinates of points; None: 3, or all columns if there are fewer.

    Attributes:
        classes_: (classes,) the labels, sorted if they can be compared.
        net_: the trained network.
        encoder_: the encoder that draws its input.
        history_: History of the training.
        n_features_in_, feature_names_in_: number of columns of clouds and signals, and their names in data frames or
            PointClouds; others in predict are refused.

    >>> characters = [[[(0, 0), (9, 0)]], [[(0, 0), (0, 9)]]] * 4
    >>> classifier = SparseConvClassifier(l=1, k=4, augment="none", epochs=20, random_state=0)
    >>> classifier.fit(characters, ["across", "down"] * 4).predict(characters[:2]).tolist()
    ['across', 'down']
    """

    classes_: Array

    def __init__(self, net: str | Layer = "deepcnet", l: int = 5, k: int = 30, encoding: str | Encoder = "octogram",
                 augment: str | Affine | PointAffine | None = "affine", epochs: int | None = None, batch: int = 100,
                 rate: float = 0.003, schedule: str | Schedule | None = "cosine", verbose: bool | int = False,
                 random_state: RandomState = None, repeats: int = 1, *,
                 class_weight: str | Mapping[object, float] | None = None, early_stopping: bool = False,
                 validation_fraction: float = 0.1, n_iter_no_change: int = 10, ignore_label: object = None,
                 dropout: float = 0.0, views: str | Affine | PointAffine | None = "none",
                 cell: float | tuple[float, ...] | None = None, dimension: int | None = None) -> None:
        self.net, self.l, self.k, self.encoding, self.augment = net, l, k, encoding, augment
        self.epochs, self.batch, self.rate, self.schedule = epochs, batch, rate, schedule
        self.verbose, self.random_state, self.repeats = verbose, random_state, repeats
        self.class_weight, self.early_stopping = class_weight, early_stopping
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.ignore_label, self.dropout, self.views = ignore_label, dropout, views
        self.cell, self.dimension = cell, dimension

    @known_arguments
    def fit(self, X: Items, y: Iterable[object], sample_weight: ArrayLike | None = None,
            validation: tuple[Items, Iterable[object]] | None = None) -> SparseConvClassifier:
        """Train on items X with labels y, and return self.

        Args:
            X: items.
            y: their labels, (n,); a column (n, 1) is taken with a warning.
            sample_weight: (n,) numbers from 0 up: how much each item counts. None: all equally.
            validation: (X, y) of other items, which are evaluated after each epoch, for `history_` and early stopping,
                which then holds out no items of X.

        Raises:
            ShapeError: items of another form, another number of labels, or a network that does not fit.
            ValueError: NaN or infinite points, fewer than two classes, or arguments out of range.
            TypeError: labels that are not hashable.
        """
        items, validation = self._read("fit", X), self._checked_validation(X, validation)
        classes, numbers = numbers_of("SparseConvClassifier.fit", y, len(items), self.ignore_label)
        weights = self._weights(sample_weight, classes, numbers)
        counted, rng = np.flatnonzero(numbers >= 0), self._generator()
        if len(counted) < len(items):
            items, numbers = some(items, counted), numbers[counted]
            weights = None if weights is None else weights[counted]
        net, encoder = self._made(len(classes), items, rng)
        tested = None if validation is None else self._validation(encoder, classes, *validation)
        data, tested = self._divided(encoder, items, numbers, weights, rng, tested)
        history = self._learn(Run(net, data, _loss(weights), tested), rng)
        self.net_, self.encoder_, self.classes_, self.history_ = net, encoder, classes, history
        self._note_items(X, items)
        return self

    @known_arguments
    def partial_fit(self, X: Items, y: Iterable[object], classes: Iterable[object] | None = None,
                    sample_weight: ArrayLike | None = None) -> SparseConvClassifier:
        """Train for one epoch on items X with labels y, at the full rate, and return self.

        Args:
            X, y, sample_weight: as for fit.
            classes: all labels that there will be, at the first call; None: those of y.

        Raises:
            ValueError: a label that is not among the classes; and as for fit.
        """
        who = "SparseConvClassifier.partial_fit"
        first = not self.__sklearn_is_fitted__()
        items = self._read("partial_fit", X, None if first else self.encoder_)
        known = None if first else self.classes_
        if classes is not None:
            known = all_classes(who, classes, known)
        known, numbers = numbers_of(who, y, len(items), self.ignore_label, known)
        weights = self._weights(sample_weight, known, numbers)
        net, encoder = self._made(len(known), items, self._generator()) if first else (self.net_, self.encoder_)
        data = self._targeted(encoder, items, np.flatnonzero(numbers >= 0), numbers, weights)
        if len(data):
            self._learn_more(Run(net, data, _loss(weights)))
        self.net_, self.encoder_, self.classes_ = net, encoder, known
        if first:
            self._note_items(X, items)
        return self

    def _weights(self, sample_weight: ArrayLike | None, classes: Array, numbers: Array) -> FloatArray | None:
        given = as_weights("SparseConvClassifier", sample_weight, len(numbers))
        of_classes = class_weights("SparseConvClassifier", self.class_weight, classes, numbers)
        return combined(given, of_classes, numbers)

    def _validation(self, encoder: Any, classes: Array, X: Items, y: Iterable[object]) -> Any:
        items = self._read("fit: validation", X, encoder)
        numbers = numbers_of("SparseConvClassifier.fit: validation", y, len(items), self.ignore_label, classes)[1]
        return self._targeted(encoder, items, np.flatnonzero(numbers >= 0), numbers, None)

    @known_arguments
    def predict_proba(self, X: Items) -> FloatArray:
        """Return the probabilities (n, classes) of items, with columns in the order of `classes_`.

        Raises:
            NotFittedError: before fit.
            ShapeError, ValueError: items as for fit.
        """
        self._check_fitted("predict")
        items = self._read("predict", X, self.encoder_)
        if not len(items):
            return np.zeros((0, len(self.classes_)), np.float32)
        return predict_probabilities(self.net_, self._batches(self.encoder_, items), self.repeats)

    @known_arguments
    def predict(self, X: Items) -> Array:
        """Return the most probable label (n,) of each item.

        Raises:
            NotFittedError, ShapeError, ValueError: as for predict_proba.
        """
        numbers = self.predict_proba(X).argmax(1)                        # first, since it checks that there are classes
        return self.classes_[numbers]

    @known_arguments
    def score(self, X: Items, y: Iterable[object], sample_weight: ArrayLike | None = None) -> float:
        """Return the fraction of items X whose label in y is predicted, without those of ignore_label.

        Args:
            X: items.
            y: their labels (n,).
            sample_weight: (n,) weights of the items; None: equal weights.

        Raises:
            NotFittedError, ShapeError, ValueError: as for predict_proba; labels or weights that do not fit.
        """
        return accuracy("SparseConvClassifier.score", self.predict(X), y, sample_weight, self.ignore_label)

    @known_arguments
    def save(self, path: PathLike) -> None:
        """Write the trained classifier to one .safetensors file. `spconv_cy.load` reads its network alone.

        Raises:
            NotFittedError: before fit.
            TypeError: a label or an argument that cannot be saved. Labels may be numbers, text, None and tuples of
                them.
        """
        self._check_fitted("save")
        save_estimator(path, self, {"encoder": self.encoder_, "classes": labels_to_json(self.classes_)})

    @classmethod
    @known_arguments
    def load(cls, path: PathLike, layers: Iterable[type[Layer]] | type[Layer] = ()) -> SparseConvClassifier:
        """Read a classifier that `save` wrote. If its `net` was a Layer, `net` is now a copy of the trained network.

        Args:
            path: of the file.
            layers: your own layer classes in the network.

        Raises:
            FileNotFoundError: there is no such file.
            FileError: it is damaged, of another format or a newer version, or contains no classifier.
        """
        def finish(found: Any, net: Layer, parts: dict[str, Any]) -> None:
            found.encoder_, found.classes_ = encoder_of(parts["encoder"]), labels_from_json(parts["classes"])
            found._check_outputs(net, found.encoder_, len(found.classes_))

        read: SparseConvClassifier = load_estimator(cls, path, layers, {"encoder", "classes"}, finish)
        return read

    @classmethod
    def trained(cls, net: Layer, encoder: Encoder, classes: Sequence[object] | Array) -> SparseConvClassifier:
        """Return a classifier with a network that was trained in another way, such as by `fit` with a checkpoint.

        Args:
            net: Layer that returns (b, classes); it is not copied.
            encoder: the encoder that drew the network's training data, such as a StrokeEncoder.
            classes: different labels, in the order of the outputs.

        Raises:
            ShapeError: the three do not fit each other.
            TypeError: net is not a Layer, encoder is not an encoder, or a label is not hashable.
            ValueError: labels that are not different, or fewer than two.
        """
        if not isinstance(net, Layer) or not isinstance(encoder, Encoder):
            raise TypeError(expected("SparseConvClassifier.trained", "a Layer and a StrokeEncoder",
                                     f"{kind_of(net)} and {kind_of(encoder)}"))
        labels, numbers = different_classes("SparseConvClassifier.trained", classes)
        found = cls(net=net, encoding=encoder)
        found.net_, found.encoder_, found.classes_ = net, encoder, labels[numbers]
        found._check_outputs(net, encoder, len(labels))
        return found


def _loss(weights: FloatArray | None) -> Any:
    return softmax_cross_entropy if weights is None else weighted(softmax_cross_entropy)
