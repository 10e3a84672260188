"""Estimators and data frames: names of columns, their order, missing values; validation and scores of wrong form."""

import numpy as np
import pytest
from in_turn import each
from test_estimators import ABOVE, CLOUD, CLOUDS, SHAPES, NAType, classifier, segmenter

import spconv_cy as sp
from spconv_cy.data import PointCloud


class Frame:
    """As a data frame of pandas."""

    def __init__(self, table, columns):
        self.table, self.columns, self.shape = table, columns, table.shape

    def to_numpy(self):
        return self.table

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.table, dtype)


def test_data_frames_give_their_names():
    model = segmenter(epochs=2).fit(Frame(CLOUD, ["x", "y", "z"]), ABOVE)
    assert model.feature_names_in_.tolist() == ["x", "y", "z"] and model.n_features_in_ == 3
    assert model.predict(Frame(CLOUD, ["x", "y", "z"])).shape == (200,)
    column = np.empty((24, 1), object)
    column[:, 0] = CLOUDS
    assert classifier(epochs=2).fit(Frame(column, ["cloud"]), SHAPES).n_features_in_ == 4


def test_data_frames_of_other_columns_are_refused_in_the_words_of_scikit_learn():
    model = segmenter(epochs=1).fit(Frame(CLOUD, ["x", "y", "z"]), ABOVE)
    seen = r"Feature names unseen at fit time:\n- t\n"
    missing = r"Feature names seen at fit time, yet now missing:\n- z\n"
    for columns, words in ((["y", "x", "z"], "Feature names must be in the same order as they were in fit."),
                           (["x", "y", "t"], seen + missing), (["x", "y"], missing)):
        given = Frame(CLOUD[:, :len(columns)], columns)
        for use in (model.predict, model.predict_proba, lambda X: model.score(X, ABOVE),
                    lambda X: model.partial_fit(X, ABOVE)):
            with pytest.raises(ValueError, match=r"passed during fit\.\n" + words):
                use(given)
        with pytest.raises(ValueError, match=words):
            segmenter().fit(Frame(CLOUD, ["x", "y", "z"]), ABOVE, validation=(given, ABOVE))
    with pytest.warns(UserWarning, match="does not have valid feature names, but SparseConvSegmenter was fitted with"):
        model.predict(CLOUD)
    with pytest.warns(UserWarning, match="X has feature names, but SparseConvSegmenter was fitted without"):
        segmenter(epochs=1).fit(CLOUD, ABOVE).predict(Frame(CLOUD, ["x", "y", "z"]))


def test_data_frames_in_a_list_have_one_order_of_columns():
    frames = [Frame(cloud, ["x", "y", "z", "e"]) for cloud in CLOUDS]
    model = classifier(epochs=1).fit(frames, SHAPES)
    assert model.feature_names_in_.tolist() == ["x", "y", "z", "e"]
    turned = [Frame(cloud, ["y", "x", "z", "e"]) for cloud in CLOUDS]
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(turned)
    with pytest.raises(ValueError, match="columns of cloud 0, x, y, z, e, in all clouds, got y, x, z, e in cloud 1"):
        classifier().fit([frames[0], *turned[1:]], SHAPES)


@each("given", [0, [CLOUDS], (CLOUDS, SHAPES, None)], ids=str)
def test_validation_that_is_no_pair_is_refused(given):
    with pytest.raises(TypeError, match=r"fit: validation: expected \(X, y\) of other items, or None, got"):
        classifier().fit(CLOUDS, SHAPES, validation=given)


def test_a_score_refuses_labels_that_are_missing():
    model = classifier(epochs=1).fit(CLOUDS, SHAPES)
    for wrong in (NAType(), float("nan")):
        with pytest.raises(ValueError, match="expected a label for each sample, got a missing value.* at item 23"):
            model.score(CLOUDS, [*SHAPES[:-1], wrong])


def test_text_among_numbers_is_told_with_its_place():
    table = np.ones((4, 3)).astype(object)
    table[2, 1] = "wide"
    with pytest.raises(ValueError, match="X: expected numbers, got 'wide' in row 2, column 1; encode text"):
        segmenter().fit(table, [0, 1, 0, 1])


def test_columns_of_files_keep_their_names_in_a_saved_model(tmp_path, rng):
    points, time, energy = rng.normal(size=(60, 3)), rng.random(60), rng.random(60)
    cloud = PointCloud(points, {"time": time, "energy": energy, "label": np.arange(60) % 2})
    assert cloud.feature_names() == ["time", "energy"]
    segmenter(epochs=1).fit(cloud, cloud.labels()).save(tmp_path / "model.safetensors")
    model = sp.SparseConvSegmenter.load(tmp_path / "model.safetensors")
    assert model.feature_names_in_.tolist() == ["x", "y", "z", "time", "energy"] and model.n_features_in_ == 5
    assert model.predict(cloud).shape == (60,)
    with pytest.raises(ValueError, match=r"x, y, z, time, energy, got x, y, z, energy, time; .*\n.* in the same order"):
        model.predict(PointCloud(points, {"energy": energy, "time": time}))
    with pytest.raises(ValueError, match="unseen at fit time:\n- depth\nFeature names seen at fit time, yet"):
        model.predict(PointCloud(points, {"time": time, "depth": energy}))
