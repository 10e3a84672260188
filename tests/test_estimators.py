"""SparseConvClassifier, -Regressor and -Segmenter on clouds, events and signals: weights, early stops, scikit-learn."""

import copy
import pickle

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError, NotFittedError, ShapeError
from spconv_cy.estimators.learning import default_epochs

RNG = np.random.default_rng(0)
# Balls and rods, with a feature that is no use.
CLOUDS = [np.column_stack([RNG.normal(size=(40, 3)) * ([1, 1, 1] if i % 2 else [0.2, 0.2, 2]), RNG.normal(size=40)])
          for i in range(24)]
SHAPES = ["rod" if i % 2 == 0 else "ball" for i in range(24)]
FAST = {"l": 2, "k": 5, "augment": "none", "epochs": 20, "rate": 0.01, "batch": 24, "random_state": 0}
SMALL = {"levels": 2, "width": 8, "epochs": 25, "random_state": 0}
# One cloud: what lies above 0.
CLOUD = RNG.normal(size=(200, 3))
ABOVE = np.where(CLOUD[:, 2] > 0, "above", "below")


def classifier(**options):
    return sp.SparseConvClassifier(**{**FAST, "rate": 0.02, **options})


def regressor(**options):
    return sp.SparseConvRegressor(**{**FAST, **options})


def segmenter(**options):
    return sp.SparseConvSegmenter(**{**SMALL, **options})


@pytest.fixture(scope="module")
def fitted():
    return {"classifier": classifier().fit(CLOUDS, SHAPES), "segmenter": segmenter().fit(CLOUD, ABOVE),
            "regressor": regressor(epochs=40).fit(CLOUDS, [len(s) for s in SHAPES])}


def test_clouds_are_classified_with_or_without_features(fitted):
    model = fitted["classifier"]
    assert model.score(CLOUDS, SHAPES) == 1 and model.n_features_in_ == 4
    assert (model.encoder_.planes, model.encoder_.dimension, model.encoder_.size) == (2, 3, 12)
    moved = [cloud + [100, -50, 7, 0] for cloud in CLOUDS]
    assert model.predict(moved).tolist() == SHAPES, "each cloud is centred"
    assert classifier().fit([cloud[:, :3] for cloud in CLOUDS], SHAPES).score(
        [cloud[:, :3] for cloud in CLOUDS], SHAPES) == 1
    assert model.predict([]).shape == (0,) and model.predict_proba([]).shape == (0, 2)
    assert model.predict([np.zeros((0, 4)), CLOUDS[0]]).tolist()[1] == "rod"


def test_clouds_in_the_plane_are_named_as_points():
    flat = [cloud[:, [0, 2]] for cloud in CLOUDS]
    with pytest.raises(ShapeError, match='single stroke into a list; for clouds of points give encoding="points"'):
        classifier().fit(flat, SHAPES)
    model = classifier(encoding="points").fit(flat, SHAPES)
    assert model.score(flat, SHAPES) == 1 and model.encoder_.dimension == 2
    encoder = sp.estimators.PointEncoder(cell=0.5, size=12)
    assert classifier(encoding=encoder, epochs=5).fit(flat, SHAPES).encoder_.cell == 0.5


def test_recordings_of_events_are_classified(rng):
    def recording(right):
        t = np.sort(rng.integers(0, 20_000, 60))
        x = 10 + (t if right else 20_000 - t) // 1000
        return sp.data.Events(t, x, rng.integers(10, 20, 60), rng.random(60) < 0.5, (64, 64))

    recordings, ways = [recording(i % 2) for i in range(24)], np.arange(24) % 2
    model = classifier(epochs=30).fit(recordings, ways)
    assert model.score(recordings, ways) == 1 and model.encoder_.planes == 2 and model.encoder_.events
    xy, _, t = model.encoder_.cell
    assert t > 100 * xy, "time has a unit of its own"


def test_values_of_items_and_of_points(fitted):
    lengths = np.array([len(s) for s in SHAPES], float)
    assert fitted["regressor"].score(CLOUDS, lengths) > 0.9
    two = regressor(epochs=40).fit(CLOUDS, np.column_stack([lengths, -lengths]))
    assert two.predict(CLOUDS).shape == (24, 2)
    assert_allclose(two.predict(CLOUDS)[:, 0], -two.predict(CLOUDS)[:, 1], atol=0.4)
    assert two.predict([]).shape == (0, 2) and fitted["regressor"].predict([]).shape == (0,)
    for loss in ("huber", "absolute_error"):
        assert regressor(epochs=40, loss=loss).fit(CLOUDS, lengths).score(CLOUDS, lengths) > 0.8
    heights = segmenter(target="value", epochs=60).fit(CLOUD, CLOUD[:, 2])
    assert heights.score(CLOUD, CLOUD[:, 2]) > 0.9 and not hasattr(heights, "predict_proba")


def test_points_are_labelled_in_one_cloud_or_in_many(fitted):
    one = fitted["segmenter"]
    assert one.score(CLOUD, ABOVE) > 0.95 and one.classes_.tolist() == ["above", "below"]
    assert one.predict(CLOUD).shape == (200,) and one.predict_proba(CLOUD).shape == (200, 2)
    clouds, labels = [CLOUD[:80], CLOUD[80:]], [ABOVE[:80], ABOVE[80:]]
    many = segmenter(batch=1).fit(clouds, labels)
    assert [part.shape for part in many.predict(clouds)] == [(80,), (120,)] and many.score(clouds, labels) > 0.9
    assert [part.shape for part in many.predict_proba(clouds)] == [(80, 2), (120, 2)]
    assert many.predict([]) == [] and many.predict([CLOUD[:0]])[0].shape == (0,)
    found = one.evaluate(CLOUD, ABOVE)
    assert found.error == pytest.approx(1 - one.score(CLOUD, ABOVE)) and found.iou.shape == (2,)


def test_labels_of_several_clouds_come_as_a_list_or_an_array():
    clouds, labels = CLOUD.reshape(5, 40, 3), ABOVE.reshape(5, 40)
    wanted = segmenter(epochs=1).fit(list(clouds), list(labels)).predict_proba(CLOUD)
    objects = [np.empty(5, object), np.empty(5, object)]
    for array, parts in zip(objects, (clouds, labels), strict=True):
        array[:] = list(parts)
    for X, y in ((clouds, labels), objects):
        found = segmenter(epochs=1).fit(X, y, sample_weight=np.ones((5, 40)))
        assert_array_equal(found.predict_proba(CLOUD), wanted)
        assert found.score(X, y) == found.score(list(clouds), list(labels))


@pytest.mark.parametrize("options", [{"net": "minkunet", "width": 8}, {"tile": 1.0, "augment": "turn"},
                                     {"net": sp.models.unet(2, 8, 4, 2, rng=0)}, {"views": "turn", "repeats": 3},
                                     {"positions": False}])
def test_other_networks_tiles_and_views(options):
    model = segmenter(**{"epochs": 8, **options}).fit(CLOUD, ABOVE)
    assert model.predict(CLOUD).shape == (200,) and len(model.history_) == 8


def test_ignored_labels_do_not_count_anywhere(fitted):
    marked = np.where(RNG.random(200) < 0.3, "unknown", ABOVE)
    model = segmenter(ignore_label="unknown").fit(CLOUD, marked)
    assert model.classes_.tolist() == ["above", "below"] and model.evaluate(CLOUD, marked).confusion.sum() == (
        marked != "unknown").sum()
    kept = marked != "unknown"
    assert model.score(CLOUD, marked) == pytest.approx((model.predict(CLOUD)[kept] == marked[kept]).mean())
    some = [*SHAPES[:20], *["?"] * 4]
    items = classifier(ignore_label="?").fit(CLOUDS, some)
    assert_array_equal(items.predict_proba(CLOUDS), classifier().fit(CLOUDS[:20], SHAPES[:20]).predict_proba(CLOUDS))
    assert items.score(CLOUDS, some) == items.score(CLOUDS[:20], SHAPES[:20])


def test_weights_of_samples_and_classes():
    noisy = ["rod", "ball"] * 12
    both = [*CLOUDS, *CLOUDS]                                            # each cloud with both labels
    labels = [*noisy, *["ball" if name == "rod" else "rod" for name in noisy]]
    weights = [1.0] * 24 + [0.0] * 24
    assert classifier().fit(both, labels, sample_weight=weights).score(CLOUDS, noisy) == 1
    heavy = classifier(class_weight={"rod": 1000, "ball": 1e-4}).fit(both, labels)
    assert heavy.predict(CLOUDS).tolist() == ["rod"] * 24
    rare = classifier(class_weight="balanced").fit(CLOUDS[:14] + CLOUDS[1::2], SHAPES[:14] + ["ball"] * 12)
    assert rare.score(CLOUDS, SHAPES) > 0.9
    ones = classifier(epochs=3).fit(CLOUDS, SHAPES, sample_weight=np.full(24, 7.0)).predict_proba(CLOUDS)
    assert_allclose(ones, classifier(epochs=3).fit(CLOUDS, SHAPES).predict_proba(CLOUDS), atol=1e-4)
    values = [0.0] * 24 + [5.0] * 24
    assert abs(regressor().fit(both, values, sample_weight=weights[::-1]).predict(CLOUDS) - 5).max() < 0.5
    points = segmenter(epochs=60).fit(np.repeat(CLOUD, 2, 0), ["a", "b"] * 200, sample_weight=[0, 1] * 200)
    assert set(points.predict(CLOUD)) == {"b"}


def test_early_stopping_holds_items_out_and_keeps_the_best():
    for model, X, y in ((classifier(early_stopping=True, n_iter_no_change=3, epochs=60), CLOUDS, SHAPES),
                        (regressor(early_stopping=True, n_iter_no_change=3, epochs=60), CLOUDS, np.arange(24) % 2),
                        (segmenter(early_stopping=True, n_iter_no_change=3, epochs=60), CLOUD, ABOVE),
                        (segmenter(early_stopping=True, n_iter_no_change=3, epochs=60), CLOUDS,
                         [cloud[:, 2] > 0 for cloud in CLOUDS])):
        model.fit(X, y)
        assert 4 <= len(model.history_) < 60 and model.history_.best is not None
    held = classifier(epochs=4).fit(CLOUDS[:16], SHAPES[:16], validation=(CLOUDS[16:], SHAPES[16:]))
    assert len(held.history_.validation_errors) == 4
    assert held.history_.validation_errors[-1] == pytest.approx(1 - held.score(CLOUDS[16:], SHAPES[16:]))
    segmented = segmenter(epochs=3).fit(CLOUD, ABOVE, validation=(CLOUD, ABOVE))
    assert segmented.history_.validation_errors[-1] == pytest.approx(1 - segmented.score(CLOUD, ABOVE))
    values = regressor(epochs=3).fit(CLOUDS, range(24), validation=(CLOUDS, range(24)))
    assert len(values.history_.validation_losses) == 3


def test_parts_of_the_data_are_learnt_one_after_another():
    model = classifier()
    model.partial_fit(CLOUDS[:2], SHAPES[:2], classes=["ball", "rod", "cube"])
    for _ in range(20):
        model.partial_fit(CLOUDS[:12], SHAPES[:12]).partial_fit(CLOUDS[12:], SHAPES[12:])
    assert model.score(CLOUDS, SHAPES) == 1 and model.classes_.tolist() == ["ball", "cube", "rod"]
    assert len(model.history_) == 41
    with pytest.raises(ValueError, match="labels among the 3 classes of the first call, got 'cone'"):
        model.partial_fit(CLOUDS[:2], ["cone", "rod"])
    values = regressor()
    for _ in range(60):
        values.partial_fit(CLOUDS, np.arange(24) % 2)
    assert values.score(CLOUDS, np.arange(24) % 2) > 0.9
    points = segmenter()
    for _ in range(30):
        points.partial_fit(CLOUD, ABOVE)
    assert points.score(CLOUD, ABOVE) > 0.9
    again = pickle.loads(pickle.dumps(points)).partial_fit(CLOUD, ABOVE)
    assert_array_equal(again.predict_proba(CLOUD), points.partial_fit(CLOUD, ABOVE).predict_proba(CLOUD))


def test_the_default_number_of_epochs_shows_enough_items():
    assert [default_epochs(n, 100) for n in (0, 18, 200, 2040, 7494, 10**6)] == [300, 300, 150, 74, 21, 20]


def test_dropout_and_views_reach_the_network():
    model = classifier(dropout=0.3, views="affine", repeats=4).fit(CLOUDS, SHAPES)
    drops = [layer.p for layer in model.net_.layers if isinstance(layer, sp.Dropout)]
    assert drops and max(drops) == pytest.approx(0.3)
    once = copy.copy(model).set_params(repeats=1)
    assert (once.predict_proba(CLOUDS) != model.predict_proba(CLOUDS)).any()
    values = segmenter(target="value", epochs=1, views="turn", repeats=3).fit(CLOUD, CLOUD[:, 2])
    assert (copy.copy(values).set_params(repeats=1).predict(CLOUD) != values.predict(CLOUD)).any()
    with pytest.raises(ValueError, match="dropout= with net='deepcnet' or 'deepcnin'"):
        classifier(dropout=0.3, net="8SC3-ReLU-GP-2C1-linear").fit(CLOUDS, SHAPES)


@pytest.mark.parametrize("name", ["classifier", "regressor", "segmenter"])
def test_estimators_come_back_from_files_pickles_and_copies(name, fitted, tmp_path):
    model, X = fitted[name], CLOUD if name == "segmenter" else CLOUDS
    model.save(tmp_path / "it.safetensors")
    read = type(model).load(tmp_path / "it.safetensors")
    for again in (read, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_array_equal(again.predict(X), model.predict(X))
        assert repr(again) == repr(model)
    assert isinstance(sp.load(tmp_path / "it.safetensors"), sp.Layer)
    others = [kind for kind in (sp.SparseConvClassifier, sp.SparseConvRegressor, sp.SparseConvSegmenter)
              if kind is not type(model)]
    for kind in others:
        with pytest.raises(FileError, match="a network without a "):
            kind.load(tmp_path / "it.safetensors")
    values = segmenter(target="value", epochs=2).fit(CLOUD, CLOUD[:, 0])
    values.save(tmp_path / "values.safetensors")
    read = sp.SparseConvSegmenter.load(tmp_path / "values.safetensors")
    assert_array_equal(read.predict(CLOUD), values.predict(CLOUD))


def test_the_html_names_every_argument_and_escapes():
    text = classifier(ignore_label="<b>")._repr_html_()
    assert all(name in text for name in classifier().get_params()) and "not fitted" in text and "'<b>'" not in text


class NAType:
    """As pandas' NA: what is compared with it is NA, and NA is neither true nor false."""

    def __repr__(self):
        return "<NA>"

    def __eq__(self, other):
        return self

    __ne__, __hash__ = __eq__, object.__hash__

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __float__(self):
        raise TypeError("float() argument must be a string or a real number, not 'NAType'")


def holes(array):
    found = np.array(array, object)
    found.flat[3] = NAType()
    return found


@each("use, error, message", [
    (lambda: classifier().fit(CLOUDS, holes(SHAPES)), ValueError, r"got a missing value, <NA>, at item 3; give those"),
    (lambda: classifier().fit(CLOUDS, [*SHAPES[:-1], NAType()]), ValueError, "a missing value, <NA>, at item 23"),
    (lambda: segmenter().fit(holes(CLOUD), ABOVE), ValueError, "got a missing value, <NA>, in row 1, column 0; fill"),
    (lambda: classifier().fit(CLOUDS, set(range(24))), TypeError, "one for each sample, got a set, which has no"),
    (lambda: classifier().fit(CLOUDS, dict.fromkeys(range(24))), TypeError, "one for each sample, got a dict"),
    (lambda: segmenter().fit(np.ones((3, 5, 2)), np.ma.masked_equal([["a"] * 5] * 3, "b")), ShapeError, "a masked one"),
    (lambda: segmenter().fit(np.ones((3, 5, 2)), np.ones((3, 4))), ShapeError, "5 labels .* of cloud 0, got 4"),
    (lambda: regressor().fit(CLOUDS, holes(np.arange(24))), ValueError, "y: expected numbers, got a missing value"),
    (lambda: regressor().fit(CLOUDS, [np.nan] * 24), ValueError, "expected finite numbers, got NaN or infinity"),
    (lambda: regressor().fit(CLOUDS, None), ShapeError, "y should be a 1d array"),
    (lambda: regressor().fit(CLOUDS, np.zeros(23)), ShapeError, r"numbers \(24,\) or \(24, k\), got shape \(23,\)"),
    (lambda: regressor(loss="l2").fit(CLOUDS, np.zeros(24)), ValueError, "loss to be one of squared_error, huber"),
    (lambda: segmenter(target="both").fit(CLOUD, ABOVE), ValueError, "target to be 'class' or 'value', got 'both'"),
    (lambda: segmenter(net="resnet").fit(CLOUD, ABOVE), TypeError, "net to be 'unet', 'minkunet' or a Layer"),
    (lambda: segmenter(net=sp.models.unet(2, 8, 4, 5)).fit(CLOUD, ABOVE), ShapeError, "2 outputs of the net for a"),
    (lambda: segmenter(net=sp.models.unet(2, 8, 3, 2)).fit(CLOUD, ABOVE), ShapeError, "a net for 4 channels that"),
    (lambda: segmenter(cell=-1).fit(CLOUD, ABOVE), ValueError, "cell to be a number above 0"),
    (lambda: segmenter(dimension=9).fit(CLOUD, ABOVE), ValueError, "dimension to be a whole number from 1 to 8"),
    (lambda: segmenter(dimension=4).fit(CLOUD, ABOVE), ShapeError, "clouds with 4 or more columns, got 3"),
    (lambda: segmenter().fit([CLOUD, CLOUD], [ABOVE, ABOVE[:5]]), ShapeError, "for the points of cloud 1, got 5"),
    (lambda: segmenter().fit([CLOUD, CLOUD[:, :2]], [ABOVE, ABOVE]), ShapeError, "cloud 1: expected 3 columns"),
    (lambda: segmenter().fit([], []), ShapeError, "clouds with at least one point, got none"),
    (lambda: classifier().fit([*CLOUDS[:-1], CLOUDS[0] * np.nan], SHAPES), ValueError, "cloud 23: expected finite"),
    (lambda: classifier(class_weight="even").fit(CLOUDS, SHAPES), ValueError, "class_weight to be None, 'balanced' or"),
    (lambda: classifier(class_weight={"rods": 2, "ball": 1}).fit(CLOUDS, SHAPES), ValueError, "class_weight of labels "
     r"among \['ball', 'rod'\], got 'rods'"),
    (lambda: classifier().fit(CLOUDS, SHAPES, sample_weight=[1] * 23 + [-1.0]), ShapeError, "got -1.0 at item 23"),
    (lambda: classifier().fit(sp.data.PointCloud(CLOUD), SHAPES), ShapeError, "got a PointCloud; put a single cloud"),
    (lambda: classifier().partial_fit(CLOUDS, SHAPES).partial_fit(CLOUDS, SHAPES, classes=["a", "b"]), ValueError,
     r"the classes of the first call, \['ball', 'rod'\], got \['a', 'b'\]"),
    (lambda: classifier(validation_fraction=1).fit(CLOUDS, SHAPES), ValueError, "validation_fraction to be a number"),
    (lambda: classifier(early_stopping="yes").fit(CLOUDS, SHAPES), ShapeError, "early_stopping to be True or False"),
    (lambda: regressor(early_stopping="yes").fit(CLOUDS, range(24), validation=(CLOUDS, range(24))), ShapeError,
     "early_stopping to be True or False"),
    (lambda: classifier().fit(CLOUDS, SHAPES, sample_weight=[1] * 3), ShapeError, r"sample_weight \(24,\)"),
    (lambda: classifier().fit(CLOUDS, SHAPES, sample_weight=[0] * 24), ValueError, "at least one sample weight"),
    (lambda: classifier(augment="casia").fit(CLOUDS, SHAPES), ValueError, "augment to be one of none, affine, mild"),
    (lambda: classifier(encoding=sp.estimators.SignalEncoder(size=12)).fit(np.ones((4, 40)), [0, 1, 0, 1]), ShapeError,
     "at most 12 columns, the sites of the network's field, got 40"),
    (lambda: classifier(encoding="points").fit(CLOUDS[0], SHAPES), ShapeError, "put a single cloud into a list"),
    (lambda: segmenter().predict(CLOUD), NotFittedError, "a fitted segmenter, got one before fit; call fit"),
    (lambda: regressor().predict(CLOUDS), NotFittedError, "SparseConvRegressor.predict: expected a fitted regressor"),
])
def test_what_does_not_fit_is_told(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_other_columns_than_in_training_are_told(fitted):
    with pytest.raises(ShapeError, match="X has 3 features, but SparseConvClassifier is expecting 4 features as input"):
        fitted["classifier"].predict([CLOUD])
    with pytest.raises(ShapeError, match="X has 2 features, but SparseConvSegmenter is expecting 3 features as input"):
        fitted["segmenter"].predict(CLOUD[:, :2])


def test_a_column_of_labels_is_taken_with_a_warning():
    with pytest.warns(UserWarning, match="A column-vector y was passed when a 1d array was expected"):
        column = classifier(epochs=2).fit(CLOUDS, np.array(SHAPES)[:, None])
    assert_array_equal(column.predict_proba(CLOUDS), classifier(epochs=2).fit(CLOUDS, SHAPES).predict_proba(CLOUDS))


@pytest.mark.slow
def test_bagging_searches_and_pipelines_work():
    base = pytest.importorskip("sklearn.base")
    from sklearn.ensemble import BaggingClassifier, BaggingRegressor
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    column = np.empty((24, 1), object)
    column[:, 0] = CLOUDS
    bag = BaggingClassifier(classifier(), n_estimators=3, random_state=0).fit(column, SHAPES)
    assert bag.score(column, SHAPES) > 0.9
    strokes = np.empty((12, 1), object)
    strokes[:, 0] = [[[(0, 0), (9, i % 4)]] if i % 2 else [[(0, 0), (i % 3, 9)]] for i in range(12)]
    assert BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(strokes, np.arange(12) % 2).score(
        strokes, np.arange(12) % 2) > 0.8
    assert BaggingRegressor(regressor(), n_estimators=2, random_state=0).fit(column, np.arange(24) % 2).score(
        column, np.arange(24) % 2) > 0.7
    points = BaggingClassifier(segmenter(epochs=10), n_estimators=2, random_state=0).fit(CLOUD, ABOVE)
    assert points.score(CLOUD, ABOVE) > 0.8
    search = GridSearchCV(classifier(), {"k": [4, 5]}, cv=2).fit(CLOUDS, SHAPES)
    assert search.best_score_ > 0.8
    assert cross_val_score(segmenter(epochs=10), CLOUD, ABOVE, cv=2).mean() > 0.8
    clouds, labels = np.empty(4, object), np.empty(4, object)
    clouds[:], labels[:] = np.split(CLOUD, [40, 80, 130]), np.split(ABOVE, [40, 80, 130])
    assert GridSearchCV(segmenter(), {"width": [8]}, cv=2).fit(clouds, labels).best_score_ > 0.7
    assert make_pipeline(StandardScaler(), segmenter()).fit(CLOUD, ABOVE).score(CLOUD, ABOVE) > 0.9
    assert base.is_regressor(regressor()) and base.is_regressor(segmenter(target="value"))
    assert base.is_classifier(segmenter())


def test_clouds_of_readers_data_frames_and_lists_are_clouds_too():
    class Frame:
        def __init__(self, array):
            self.array, self.columns = array, ["x", "y", "z", "e"][:array[0].size]

        def to_numpy(self):
            return self.array

    wanted = classifier(epochs=1).fit(CLOUDS, SHAPES).predict_proba(CLOUDS)
    read = [sp.data.PointCloud(cloud[:, :3], {"label": np.zeros(40, int), "e": cloud[:, 3]}) for cloud in CLOUDS]
    for given in (read, [Frame(cloud) for cloud in CLOUDS], [cloud.tolist() for cloud in CLOUDS]):
        assert_allclose(classifier(epochs=1).fit(given, SHAPES).predict_proba(given), wanted, atol=1e-5)
    labels = [cloud[:, 2] > 0 for cloud in CLOUDS]
    model = segmenter(epochs=1).fit(read, [Frame(part) for part in labels])
    assert [len(part) for part in model.predict(read[:2])] == [40, 40] and model.predict(read[0]).shape == (40,)
    assert_array_equal(model.predict(read[0]), segmenter(epochs=1).fit(CLOUDS, labels).predict(CLOUDS[0]))


def test_labels_of_too_few_clouds_are_told_in_clouds():
    with pytest.raises(ShapeError, match="expected labels or numbers for 24 clouds, a list with an array for each, got "
                                         "3 for "):
        segmenter().fit(CLOUDS, [np.zeros(len(cloud), int) for cloud in CLOUDS[:3]])


def test_what_is_no_cloud_and_no_weight_is_named():
    X, y = [np.ones((4, 2))] * 4, [0, 1] * 2
    model, segmenter = sp.SparseConvClassifier(encoding="points"), sp.SparseConvSegmenter()
    with pytest.raises(ShapeError, match=r"got a tuple of arrays of shapes \(4, 2\), \(4, 3\); put features into"):
        model.fit([(x, np.ones((4, 3))) for x in X], y)
    with pytest.raises(ShapeError, match="fit: sample_weight: expected .* for 4 clouds, .* got 4 for 16 points"):
        segmenter.fit(X, [[0, 1, 0, 1]] * 4, sample_weight=np.ones(4))
    with pytest.raises(ShapeError, match="at least one sample, got none"):
        sp.SparseConvRegressor().fit([], [])
