"""The base of estimators with an answer for every point of clouds."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.checks import as_array
from spconv_cy.data import PointBatches, PointCloud
from spconv_cy.data.packed import ranges
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.estimators.encoders import Clouds, check_columns, listed, motion, rows_of
from spconv_cy.estimators.labelling import class_weights, numbers_of
from spconv_cy.estimators.learning import Learner, Run, answer_of
from spconv_cy.estimators.scene import Scene
from spconv_cy.estimators.tables import as_table, as_targets, as_weights, without_column
from spconv_cy.estimators.values import Values, loss_named
from spconv_cy.estimators.weighting import Targeted, combined, weighted
from spconv_cy.functional import softmax_cross_entropy
from spconv_cy.layers import Layer, ToPoints
from spconv_cy.models import minkunet, unet
from spconv_cy.train import predict_outputs, predict_probabilities

if TYPE_CHECKING:
    from spconv_cy.types import Array, FloatArray

IGNORED = -1
STEPS, FEWEST = 200, 10


class PointLearner(Learner):
    """Base of SparseConvSegmenter."""

    net: str | Layer
    levels: int
    width: int
    cell: float | tuple[float, ...] | None
    tile: float | None
    target: str
    loss: str
    augment: Any
    views: Any
    class_weight: Any
    ignore_label: Any
    repeats: int
    classes_: Array
    scene_: Scene
    _values: Values | None = None

    def _read(self, method: str, X: Any, scene: Scene | None = None) -> Clouds:
        """Return the clouds of X."""
        who = f"{type(self).__name__}.{method}"
        self._check_names(method, X)
        if is_one(X):
            table = as_table(f"{who}: X", rows_of(X))
            found = Clouds(table, np.array([0, len(table)]))
        else:
            found = Clouds.read(who, listed(X))
        if scene is not None and len(found):
            check_columns(who, found.columns, scene.columns)
        if scene is None and not len(found.rows):
            raise ShapeError(expected(who, "clouds with at least one point", "none"))
        return found

    def _targets(self, method: str, clouds: Clouds, y: Any, sample_weight: Any,
                 known: Any = None) -> tuple[Any, Array, FloatArray | None]:
        """Return (classes or Values, targets (points, ...), weights or None) of the points."""
        who, n = f"{type(self).__name__}.{method}", len(clouds.rows)
        if not isinstance(self.target, str) or self.target not in ("class", "value"):
            raise ValueError(expected(type(self).__name__, "target to be 'class' or 'value'", repr(self.target)))
        given = None if sample_weight is None else flat(f"{who}: sample_weight", sample_weight, clouds)
        given = as_weights(who, given, n)
        if self.target == "value":
            values = as_targets(f"{who}: y", flat(who, y, clouds), n)
            found = Values(values) if known is None else known
            return found, found.scaled(values), combined(given, None, np.zeros(n, int))
        classes, numbers = numbers_of(who, flat(who, y, clouds), n, self.ignore_label, known)
        return classes, numbers, combined(given, class_weights(who, self.class_weight, classes, numbers), numbers)

    def _made(self, scene: Scene, outputs: int, rng: np.random.Generator) -> Layer:
        """Return an untrained network that gives so many outputs for each point."""
        d = scene.dimension or 1
        if isinstance(self.net, Layer):
            inner = copy.deepcopy(self.net)
        elif isinstance(self.net, str) and self.net == "unet":
            inner = unet(self.levels, self.width, scene.planes, outputs, d=d, rng=rng)
        elif isinstance(self.net, str) and self.net == "minkunet":
            inner = minkunet("14A", scene.planes, outputs, d=d, width=self.width / 32, rng=rng)
        else:
            raise TypeError(expected(type(self).__name__, "net to be 'unet', 'minkunet' or a Layer", f"{self.net!r}"))
        net = inner if isinstance(inner, ToPoints) else ToPoints(inner)
        self._check_net(net, scene, outputs)
        return net

    def _check_net(self, net: Layer, scene: Scene, outputs: int) -> None:
        try:
            clouds = Clouds(np.zeros((1, scene.columns or 1)), np.array([0, 1]))
            x = next(iter(self._batches(scene, clouds).epoch(0, training=False)))[0]
            shape, got = answer_of(net, x)
        except ShapeError as error:
            raise ShapeError(expected(type(self).__name__, f"a net for {scene.planes} channels that keeps the sites",
                                      f"one that refuses a point ({error})")) from error
        if shape != (1, outputs):
            raise ShapeError(expected(type(self).__name__, f"{outputs} outputs of the net for a site", got,
                                      f"end the net with NetworkInNetwork(channels, {outputs})"))

    def _batches(self, scene: Scene, clouds: Clouds, numbered: bool = False) -> PointBatches:
        """Return batches of clouds; labels are the numbers of the points, or None."""
        d, cuts, who = scene.dimension or 1, clouds.starts[1:-1], type(self).__name__
        labels = np.split(np.arange(len(clouds.rows)), cuts) if numbered else None
        return PointBatches(np.split(clouds.rows[:, :d], cuts), np.split(scene.features(clouds.rows), cuts), labels,
                            scene.cell or 1.0, tile=self.tile, batch=self.batch,  # type: ignore[arg-type]
                            augment=motion(who, "augment", self.augment), views=motion(who, "views", self.views))

    def _divided(self, scene: Scene, clouds: Clouds, targets: Array, weights: FloatArray | None,
                 rng: np.random.Generator, known: Any, validation: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """Return (training batches, validation batches or None)."""
        if validation is not None:
            others = self._read("fit: validation", validation[0], scene)
            held = self._targets("fit: validation", others, validation[1], None, known)[1]
            return self._targeted(scene, clouds, targets, weights), self._targeted(scene, others, held, None)
        if len(clouds) > 1:
            train, test = self._held_out(len(clouds), rng)
            return (self._part(scene, clouds, targets, weights, train),
                    self._part(scene, clouds, targets, weights, test) if len(test) else None)
        points = self._held_out(len(targets), rng)[1]
        if not len(points) or self.target == "value":
            return self._targeted(scene, clouds, targets, weights), None
        learnt, tested = targets.copy(), np.full(len(targets), IGNORED)
        learnt[points], tested[points] = IGNORED, targets[points]
        return self._targeted(scene, clouds, learnt, weights), self._targeted(scene, clouds, tested, None)

    def _targeted(self, scene: Scene, clouds: Clouds, targets: Array, weights: FloatArray | None) -> Targeted:
        """Return batches of clouds with the targets and weights of their points."""
        return Targeted(self._batches(scene, clouds, True), targets, weights)

    def _part(self, scene: Scene, clouds: Clouds, targets: Array, weights: FloatArray | None, items: Array) -> Targeted:
        """Return batches of some of the clouds."""
        points = ranges(clouds.starts[:-1][items], clouds.starts[1:][items])
        return self._targeted(scene, clouds.take(items), targets[points], None if weights is None else weights[points])

    def _loss(self, weights: FloatArray | None) -> Any:
        if self.target == "value":
            return weighted(loss_named(type(self).__name__, self.loss))
        return softmax_cross_entropy if weights is None else weighted(softmax_cross_entropy, IGNORED)

    def _default_epochs(self, run: Run) -> int:
        return max(FEWEST, -(-STEPS // max(1, run.data.batches.n_batches)))

    def _ignored(self) -> int | None:
        return IGNORED if self.target == "class" else None

    def _known(self) -> Any:
        """Return the classes or Values that were learnt."""
        return self.classes_ if self._values is None else self._values

    def _outputs(self, clouds: Clouds) -> Array:
        """Return the probabilities (points, classes) or the values (points, values) of all points, in their order."""
        if not len(clouds.rows):
            return np.zeros((0, len(self._known())), np.float32)
        # In an order of their own, so that sums over the points of a site do not depend on the given one.
        cloud = np.repeat(np.arange(len(clouds)), np.diff(clouds.starts))
        order = np.lexsort([*clouds.rows.T[::-1], cloud])
        data = self._batches(self.scene_, Clouds(clouds.rows[order], clouds.starts))
        found = (predict_probabilities if self._values is None else predict_outputs)(self.net_, data, self.repeats)
        outputs = np.empty_like(found)
        outputs[order] = found
        return outputs

    def _answers(self, clouds: Clouds) -> Array:
        """Return the label or value of each point."""
        found = self._outputs(clouds)
        return self.classes_[found.argmax(1)] if self._values is None else self._values.back(found)

    def _note(self, X: Any, known: Any, columns: int) -> None:
        """Set what was learnt of labels or values, and what scikit-learn notes of X."""
        if hasattr(self, "classes_"):
            del self.classes_
        self._values = known if isinstance(known, Values) else None
        if self._values is None:
            self.classes_ = known
        self._note_columns(X, columns)


def is_one(X: Any) -> bool:
    """Return whether X is one cloud: an array (n, columns), a data frame of them, a PointCloud, or nested lists."""
    if isinstance(X, PointCloud):
        return True
    if not isinstance(X, (list, tuple)):
        found = X if hasattr(X, "shape") else as_array("X", X)
        if hasattr(found, "dtype") and found.dtype == object:
            return len(found.shape) > 1 and not (found.shape[1:] == (1,) and hasattr(found[0, 0], "__len__"))
        return len(found.shape) != 3
    if not len(X):
        return False
    if isinstance(X[0], (list, tuple)):                                  # a point, or a cloud of points
        return not (len(X[0]) and hasattr(X[0][0], "__len__"))
    return not isinstance(X[0], PointCloud) and getattr(X[0], "ndim", 0) < 2


def flat(who: str, y: Any, clouds: Clouds) -> Any:
    """Return one label, value or weight for each point, of a list with an array for each cloud."""
    counts = np.diff(clouds.starts)
    without_mask(y, f"{who}: y")
    if isinstance(y, np.ndarray) and y.ndim and len(y) == len(counts) != len(clouds.rows) and all(
            isinstance(part, (list, np.ndarray)) for part in y):
        y = list(y)                                                      # clouds of one length, or an array of arrays
    if isinstance(y, (list, tuple)):
        y = [part.to_numpy() if hasattr(part, "to_numpy") else part for part in y]           # of pandas
    if isinstance(y, (list, tuple)) and len(y) == len(counts) and all(
            isinstance(part, (list, tuple, np.ndarray)) for part in y):
        found = [list(without_column(who, part)) for part in y]
        for i, (part, n) in enumerate(zip(found, counts, strict=True)):
            if len(part) != n:
                raise ShapeError(expected(who, f"{n} labels or numbers for the points of cloud {i}", len(part)))
        kinds = {getattr(part, "dtype", None) for part in y}
        joined = [value for part in found for value in part]
        return np.array(joined) if len(kinds) == 1 and None not in kinds else joined
    if len(counts) > 1 and hasattr(y, "__len__") and len(y) != len(clouds.rows):
        raise ShapeError(expected(who, f"labels or numbers for {len(counts)} clouds, a list with an array for each",
                                  f"{len(y)} for {len(clouds.rows)} points in all"))
    return y


def parts_of(X: Any, clouds: Clouds, rows: Array) -> Array | list[Array]:
    """Return the rows of all points, (n, ...) for one cloud, a list of arrays for several."""
    return rows if is_one(X) else np.split(rows, clouds.starts[1:-1]) if len(clouds) else []
