"""SparseConvSegmenter, which labels every point of clouds, with scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.data import PointAffine, PointCloud
from spconv_cy.errors import expected
from spconv_cy.estimators.files import from_json, load_estimator, save_estimator
from spconv_cy.estimators.labelling import accuracy, all_classes
from spconv_cy.estimators.learning import Run
from spconv_cy.estimators.points import PointLearner, flat, parts_of
from spconv_cy.estimators.scene import Scene
from spconv_cy.estimators.values import Values, r2
from spconv_cy.layers import Layer
from spconv_cy.train import Evaluation, evaluate
from spconv_cy.train.label import labels_from_json, labels_to_json
from spconv_cy.types import ArrayLike

if TYPE_CHECKING:
    from spconv_cy.estimators.parameters import RandomState
    from spconv_cy.train.schedule import Schedule
    from spconv_cy.types import Array, PathLike

PointClouds: TypeAlias = ArrayLike | PointCloud | Sequence[ArrayLike] | Sequence[PointCloud]
PerPoint: TypeAlias = ArrayLike | Sequence[ArrayLike] | Sequence[object]      # one cloud's, or a list of clouds'


@known_arguments
class SparseConvSegmenter(PointLearner):
    """Segmenter of clouds of points: a class, or a value, for every point, by a U-Net of submanifold convolutions.

    X is one cloud, an array (n, columns) with coordinates in the first columns and features in the others, and y is
    (n,), as scikit-learn has it; or X is a list of clouds, and y a list of arrays.
    A cloud may also be a `data.PointCloud`.

    Args:
        net: "unet" (with levels and width), "minkunet" (with width), or a Layer from the features of sites to those of
            the same sites. A Layer is copied before it is trained.
        levels: of "unet".
        width: channels of the first level.
        cell: side of a site, in the unit of the points, a number or one for each axis; None: twice the median distance
            of a point to its nearest. Points in one site get one answer.
        dimension: number of coordinates; None: 3, or all columns if there are fewer.
        positions: whether the position of a point is a feature; False for scenes that may lie anywhere.
        target: "class" or "value".
        loss: for values, as for SparseConvRegressor.
        tile: side of squares into which clouds are cut in training, see `data.PointBatches`; None: they are not cut.
        augment: "none", "affine", "mild", "turn", or a PointAffine, for training.
        epochs: number of passes; None: as many as give 200 steps, at least 10.
        batch: number of clouds or tiles in a step.
        rate, schedule, verbose, random_state, class_weight, repeats, views: as for SparseConvClassifier.
        early_stopping, validation_fraction, n_iter_no_change: as for SparseConvClassifier. From a single cloud, points
            are held out.
        ignore_label: a label, or several, of points that do not count, in training and in scores.

    Attributes:
        classes_: (classes,) the labels, for target="class".
        net_: the trained network, which returns a row for every point.
        scene_: how points become sites and features.
        history_: History of the training.
        n_features_in_, feature_names_in_: number of columns, and their names in data frames or PointClouds;
            others in predict are refused.

    >>> import numpy as np
    >>> cloud = np.random.default_rng(0).normal(size=(300, 3))
    >>> model = SparseConvSegmenter(levels=2, width=8, epochs=30, random_state=0)
    >>> model.fit(cloud, cloud[:, 2] > 0).score(cloud, cloud[:, 2] > 0) > 0.9
    True
    """

    def __init__(self, net: str | Layer = "unet", levels: int = 3, width: int = 16,
                 cell: float | tuple[float, ...] | None = None, dimension: int | None = None, positions: bool = True,
                 target: str = "class", loss: str = "squared_error", tile: float | None = None,
                 augment: str | PointAffine | None = "none", epochs: int | None = None, batch: int = 8,
                 rate: float = 0.01, schedule: str | Schedule | None = "cosine", verbose: bool | int = False,
                 random_state: RandomState = None, class_weight: str | Mapping[object, float] | None = None,
                 early_stopping: bool = False, validation_fraction: float = 0.1, n_iter_no_change: int = 10,
                 ignore_label: object = None, repeats: int = 1, views: str | PointAffine | None = "none") -> None:
        self.net, self.levels, self.width, self.cell, self.dimension = net, levels, width, cell, dimension
        self.positions, self.target, self.loss, self.tile, self.augment = positions, target, loss, tile, augment
        self.epochs, self.batch, self.rate, self.schedule, self.verbose = epochs, batch, rate, schedule, verbose
        self.random_state, self.class_weight, self.early_stopping = random_state, class_weight, early_stopping
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.ignore_label, self.repeats, self.views = ignore_label, repeats, views

    @property
    def _estimator_type(self) -> str:  # type: ignore[override]
        return "regressor" if isinstance(self.target, str) and self.target == "value" else "classifier"

    def _takes_tables(self) -> bool:
        return True

    @known_arguments
    def fit(self, X: PointClouds, y: PerPoint, sample_weight: PerPoint | None = None,
            validation: tuple[Any, Any] | None = None) -> SparseConvSegmenter:
        """Train on clouds X with y for each point, and return self.

        Args:
            X: one cloud (n, columns), or a list of clouds.
            y: labels, or values for target="value": (n,), or a list of arrays.
            sample_weight: numbers from 0 up for each point, in the form of y: how much it counts; None: all equally.
            validation: (X, y) of other clouds, as for SparseConvClassifier.fit.

        Raises:
            ShapeError, ValueError, TypeError: clouds, labels or arguments that do not fit.
        """
        clouds, scene = self._read("fit", X), Scene(self.cell, self.dimension, self.positions)
        validation = self._checked_validation(X, validation)
        self._check_stopping()
        known, targets, weights = self._targets("fit", clouds, y, sample_weight)
        scene, rng = scene.fit(clouds), self._generator()
        net = self._made(scene, len(known), rng)
        train, tested = self._divided(scene, clouds, targets, weights, rng, known, validation)
        history = self._learn(Run(net, train, self._loss(weights), tested, self._ignored()), rng)
        self.net_, self.scene_, self.history_ = net, scene, history
        self._note(X, known, clouds.columns)
        return self

    @known_arguments
    def partial_fit(self, X: PointClouds, y: PerPoint, classes: Iterable[object] | None = None,
                    sample_weight: PerPoint | None = None) -> SparseConvSegmenter:
        """Train for one epoch on clouds X with y for each point, at the full rate, and return self.

        Args:
            X, y, sample_weight: as for fit.
            classes: all labels that there will be, at the first call; None: those of y.
        """
        first = not self.__sklearn_is_fitted__()
        clouds = self._read("partial_fit", X, None if first else self.scene_)
        known: Any = None if first else self._known()
        if classes is not None and self._estimator_type == "classifier":
            known = all_classes("SparseConvSegmenter.partial_fit", classes, known)
        known, targets, weights = self._targets("partial_fit", clouds, y, sample_weight, known)
        scene = Scene(self.cell, self.dimension, self.positions).fit(clouds) if first else self.scene_
        net = self._made(scene, len(known), self._generator()) if first else self.net_
        data = self._targeted(scene, clouds, targets, weights)
        self._learn_more(Run(net, data, self._loss(weights), None, self._ignored()))
        self.net_, self.scene_ = net, scene
        if first:
            self._note(X, known, clouds.columns)
        return self

    @known_arguments
    def predict(self, X: PointClouds) -> Array | list[Array]:
        """Return the label or value (n,) of each point; for a list of clouds, a list of such arrays.

        Raises:
            NotFittedError: before fit.
            ShapeError, ValueError: clouds as for fit.
        """
        self._check_fitted("predict")
        clouds = self._read("predict", X, self.scene_)
        return parts_of(X, clouds, self._answers(clouds))

    @property
    def predict_proba(self) -> Callable[..., Array | list[Array]]:
        """The method that returns the probabilities (n, classes) of points, as predict; only for target="class"."""
        if self._estimator_type != "classifier":
            raise AttributeError(expected("predict_proba", "target='class'", f"target={self.target!r}"))
        return self._probabilities

    def _probabilities(self, X: PointClouds) -> Array | list[Array]:
        self._check_fitted("predict")
        clouds = self._read("predict", X, self.scene_)
        return parts_of(X, clouds, self._outputs(clouds))

    @known_arguments
    def score(self, X: PointClouds, y: PerPoint, sample_weight: PerPoint | None = None) -> float:
        """Return the fraction of points whose label is predicted, without ignore_label; for values R^2.

        Raises:
            NotFittedError, ShapeError, ValueError: as for predict; y or weights that do not fit.
        """
        self._check_fitted("score")
        who, clouds = "SparseConvSegmenter.score", self._read("score", X, self.scene_)
        found = self._answers(clouds)
        weights = None if sample_weight is None else flat(f"{who}: sample_weight", sample_weight, clouds)
        if self._values is not None:
            return r2(who, found, flat(who, y, clouds), weights)
        return accuracy(who, found, flat(who, y, clouds), weights, self.ignore_label)

    @known_arguments
    def evaluate(self, X: PointClouds, y: PerPoint) -> Evaluation:
        """Return loss, error, confusion and intersection over union of points, without those of ignore_label.

        Raises:
            NotFittedError, ShapeError, ValueError: as for score.
        """
        self._check_fitted("evaluate")
        clouds = self._read("evaluate", X, self.scene_)
        targets = self._targets("evaluate", clouds, y, None, self._known())[1]
        return evaluate(self.net_, self._targeted(self.scene_, clouds, targets, None), self.repeats,
                        loss=self._loss(None), ignore_label=self._ignored())

    @known_arguments
    def save(self, path: PathLike) -> None:
        """Write the trained segmenter to one .safetensors file. `spconv_cy.load` reads its network alone.

        Raises:
            NotFittedError: before fit.
            TypeError: a label or an argument that cannot be saved.
        """
        self._check_fitted("save")
        known = labels_to_json(self.classes_) if self._values is None else self._values.state()
        save_estimator(path, self, {"scene": self.scene_, "classes": known})

    @classmethod
    @known_arguments
    def load(cls, path: PathLike, layers: Iterable[type[Layer]] | type[Layer] = ()) -> SparseConvSegmenter:
        """Read a segmenter that `save` wrote; arguments and errors as for SparseConvClassifier.load."""
        def finish(found: Any, net: Layer, parts: dict[str, Any]) -> None:
            found.scene_ = _scene_of(parts["scene"])
            values = found._estimator_type == "regressor"
            found._values = Values.of(parts["classes"]) if values else None
            if not values:
                found.classes_ = labels_from_json(parts["classes"])
            found._check_net(net, found.scene_, len(found._values if values else found.classes_))

        read: SparseConvSegmenter = load_estimator(cls, path, layers, {"scene", "classes"}, finish)
        return read


def _scene_of(value: Any) -> Scene:
    """Return the Scene of a JSON value; raise TypeError if it is none."""
    found = from_json(value)
    if not isinstance(found, Scene):
        raise TypeError(expected("scene", "a Scene", kind_of(found)))
    return found
