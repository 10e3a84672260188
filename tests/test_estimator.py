"""SparseConvClassifier: scikit-learn's conventions without scikit-learn, labels of any kind, files, plain errors."""

import copy
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError, NotFittedError, ShapeError
from spconv_cy.train.label import classes_of, labels_from_json, labels_to_json

# Strokes across, down, and a dot: what a small network tells apart in a second.
KINDS = ([[(0, 0), (9, 1)]], [[(1, 0), (0, 9)]], [[(4, 4)]])
X = [[np.array(stroke) for stroke in KINDS[i % 3]] for i in range(18)]
NAMES = ["across", "down", "dot"]
Y = [NAMES[i % 3] for i in range(18)]
SMALL = {"l": 1, "k": 5, "augment": "none", "epochs": 8, "batch": 9, "rate": 0.05, "random_state": 0}


def small(**options):
    return sp.SparseConvClassifier(**{**SMALL, **options})


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


def test_signature_and_defaults_are_as_promised():
    signature = inspect.signature(sp.SparseConvClassifier)
    assert list(signature.parameters) == ["net", "l", "k", "encoding", "augment", "epochs", "batch", "rate", "schedule",
                                          "verbose", "random_state", "repeats", "class_weight", "early_stopping",
                                          "validation_fraction", "n_iter_no_change", "ignore_label", "dropout", "views",
                                          "cell", "dimension"]
    defaults = sp.SparseConvClassifier().get_params()
    expected = dict(net="deepcnet", l=5, k=30, encoding="octogram", augment="affine", epochs=None, batch=100, verbose=0,
                    random_state=None)
    assert {name: defaults[name] for name in expected} == expected


def test_it_learns_and_predicts_in_the_order_of_its_classes(fitted):
    assert fitted.classes_.tolist() == ["across", "dot", "down"]
    assert fitted.predict(X).tolist() == Y and fitted.score(X, Y) == 1
    p = fitted.predict_proba(X)
    assert p.shape == (18, 3) and p.dtype == np.float32
    assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert_array_equal(fitted.classes_[p.argmax(1)], fitted.predict(X))
    assert len(fitted.history_) == 8 and fitted.history_.losses[-1] < fitted.history_.losses[0]


def test_score_is_the_share_of_right_labels(fitted):
    wrong = Y[:17] + ["never seen"]
    assert fitted.score(X, wrong) == pytest.approx(17 / 18)
    assert fitted.score(X, wrong, sample_weight=[0] * 17 + [1]) == 0


def test_the_constructor_stores_its_arguments_untouched():
    values = {name: object() for name in sp.SparseConvClassifier().get_params()}
    made = sp.SparseConvClassifier(**values)
    assert all(getattr(made, name) is value and made.get_params()[name] is value for name, value in values.items())
    assert set(vars(made)) == set(values)


def test_set_params_changes_and_refuses():
    made = small()
    assert made.set_params(l=3, epochs=2) is made and (made.l, made.epochs) == (3, 2)
    with pytest.raises(ValueError, match="arguments among net, l, k, .*, got 'level'"):
        made.set_params(level=3, k=1)
    assert made.k == 5, "nothing is changed"
    assert repr(sp.SparseConvClassifier(l=3, random_state=0)) == "SparseConvClassifier(l=3, random_state=0)"


def test_fit_leaves_arguments_and_data_as_they_are():
    net = sp.models.from_spec("4C3-MP2-8C2-output", 8, classes=3, rng=0)
    before = copy.deepcopy(net).state()
    classifier = small(net=net, epochs=2)
    arguments, characters = classifier.get_params(), copy.deepcopy(X)
    classifier.fit(X, Y)
    assert all(classifier.get_params()[name] is value for name, value in arguments.items())
    assert all(np.array_equal(array, before[name]) for name, array in net.state().items())
    assert classifier.net_ is not net
    for mine, theirs in zip(X, characters, strict=True):
        for stroke, copied in zip(mine, theirs, strict=True):
            assert_array_equal(stroke, copied)


def test_the_random_state_decides_all():
    one = small(epochs=2, augment="affine").fit(X, Y).predict_proba(X)
    assert_array_equal(small(epochs=2, augment="affine").fit(X, Y).predict_proba(X), one)
    twice = small(epochs=2, augment="affine").fit(X, Y).fit(X, Y)
    assert_array_equal(twice.predict_proba(X), one)
    for state in (1, None, np.random.default_rng(3), np.random.RandomState(0)):
        other = small(epochs=2, augment="affine", random_state=state).fit(X, Y).predict_proba(X)
        assert (other != one).any()


@pytest.mark.parametrize("net", ["deepcnin", "6C3-MP2-12C2-output", "8SC3-BN-ReLU-GP-3C1-linear"])
def test_a_net_is_named_or_written(net):
    assert small(net=net, epochs=15).fit(X, Y).score(X, Y) == 1


def test_a_net_is_a_layer_with_a_field_of_its_own():
    class Thinking(sp.Layer):
        def __init__(self, channels, *, rng=None):
            self.inside = sp.models.deepcnet(1, channels, 8, 3, rng=rng)

        def __call__(self, x):
            return self.inside(x)

    encoding = sp.data.StrokeEncoder(size=6, scale=3)
    classifier = small(net=Thinking(5, rng=0), encoding=encoding).fit(X, Y)
    assert classifier.score(X, Y) == 1 and classifier.encoder_.size == 6


@pytest.mark.parametrize("encoding, planes", [("pen", 1), ("undirected", 4), ("octogram", 8), ("log-signature2", 3),
                                              ("space-time", 1)])
def test_an_encoding_is_drawn_into_a_third_of_the_field(encoding, planes):
    classifier = small(encoding=encoding, l=2, epochs=1).fit(X, Y)
    assert (classifier.encoder_.planes, classifier.encoder_.size, classifier.encoder_.scale) == (planes, 12, 4)
    assert classifier.encoder_.factors is not None


LABELS = {
    "integers": np.array([3, 1, 2]),
    "small integers": np.array([3, 1, 2], np.uint8),
    "text": ["c", "a", "b"],
    "an array of text": np.array(["c", "a", "b"]),
    "booleans": [True, False, True],
    "tuples": [(1, "x"), (0, "y"), (1,)],
    "tuples of one length": [(1, 2), (0, 5), (1, 3)],
    "mixed": [1, "1", None],
    "floats": [0.5, 1.0, -2.0],
    "numbers of two kinds": [1, 2.5, 3],
    "an array of objects": np.array(["c", 1, None], object),
    "large integers": [2**70, 1, 2],
    "text that ends in zero": ["a\0", "a", "b"],
    "ragged": [(1, (2, 3)), (1, ((2,), 3)), ()],
    "frozen sets": [frozenset({1}), frozenset({2}), frozenset()],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_may_be_anything_hashable(labels):
    many = np.concatenate([labels] * 6) if isinstance(labels, np.ndarray) else labels * 6
    classifier = small().fit(X, many)
    predicted = classifier.predict(X)
    assert predicted.shape == (18,) and list(predicted) == list(many) and classifier.score(X, many) == 1
    if isinstance(labels, np.ndarray):
        assert predicted.dtype == classifier.classes_.dtype == labels.dtype
        assert_array_equal(classifier.classes_, np.unique(labels) if labels.dtype != object else classifier.classes_)


@each("name", [name for name in LABELS if name != "frozen sets"])
def test_labels_go_to_json_and_back(name):
    classes, _ = classes_of(LABELS[name], 3)
    back = labels_from_json(labels_to_json(classes))
    assert back.dtype == classes.dtype and back.shape == classes.shape
    assert [(type(label), label) for label in back.tolist()] == [(type(label), label) for label in classes.tolist()]


def test_classes_are_sorted_where_they_can_be():
    assert classes_of([2, 10, 1, 2], 4)[0].tolist() == [1, 2, 10]
    assert classes_of(["b", 1, "a"], 3)[0].tolist() == ["b", 1, "a"]
    assert classes_of([2, 10, 1, 2], 4)[1].tolist() == [1, 2, 0, 1]


def test_a_classifier_comes_back_from_its_file(tmp_path):
    for i, options in enumerate((
            {"schedule": sp.train.WarmUp(2, sp.train.Cosine(9)), "augment": sp.data.Affine(stretch=0.1)},
            {"encoding": sp.data.StrokeEncoder("pen", size=6, scale=2), "net": "deepcnin", "random_state": None},
            {"net": sp.models.deepcnet(1, 3, 8, 3, rng=0)})):
        classifier = small(**{"epochs": 2, **options}).fit(X, [(name, i) for i, name in enumerate(NAMES)] * 6)
        classifier.save(tmp_path / f"{i}.safetensors")
        back = sp.SparseConvClassifier.load(tmp_path / f"{i}.safetensors")
        assert_array_equal(back.predict_proba(X), classifier.predict_proba(X))
        assert back.classes_.tolist() == classifier.classes_.tolist() and back.encoder_ == classifier.encoder_
        assert repr({**back.get_params(), "net": 0}) == repr({**classifier.get_params(), "net": 0})
        assert repr(back.net) == repr(classifier.net)
        back.fit(X, Y)
        net = sp.load(tmp_path / f"{i}.safetensors")
        assert repr(net) == repr(classifier.net_), "load reads its network alone"


def test_a_network_that_was_trained_elsewhere_becomes_a_classifier(fitted, tmp_path):
    names = ["z", "a", "m"]                                             # in the order of the outputs, not sorted
    made = sp.SparseConvClassifier.trained(fitted.net_, fitted.encoder_, names)
    assert made.classes_.tolist() == names and made.net_ is fitted.net_
    assert_array_equal(made.predict_proba(X), fitted.predict_proba(X))
    made.save(tmp_path / "made.safetensors")
    again = sp.SparseConvClassifier.load(tmp_path / "made.safetensors")
    assert again.predict(X).tolist() == [names[i] for i in fitted.predict_proba(X).argmax(1)]
    for arguments, error in (((fitted.net_, fitted.encoder_, names[:2]), ShapeError),
                             ((fitted.net_, fitted.encoder_, ["a", "a", "b"]), ValueError),
                             ((fitted.net_, "octogram", names), TypeError),
                             (("deepcnet", fitted.encoder_, names), TypeError),
                             ((fitted.net_, sp.data.StrokeEncoder("pen"), names), ShapeError)):
        with pytest.raises(error):
            sp.SparseConvClassifier.trained(*arguments)


def test_a_file_may_hold_a_layer_of_ones_own(tmp_path):
    class Twice(sp.Layer):
        def __call__(self, x):
            return x + x

    net = sp.Sequential(Twice(), *sp.models.deepcnet(1, 3, 8, 3, rng=0).layers)
    classifier = small(net=net, epochs=1).fit(X, Y)
    classifier.save(tmp_path / "it")
    with pytest.raises(FileError, match=r"layers=\[Twice\]"):
        sp.SparseConvClassifier.load(tmp_path / "it")
    back = sp.SparseConvClassifier.load(tmp_path / "it", layers=[Twice])
    assert_array_equal(back.predict(X), classifier.predict(X))


def test_what_is_no_classifiers_file_is_refused(fitted, tmp_path, rng):
    path = tmp_path / "it"
    sp.save(path, fitted.net_)
    with pytest.raises(FileError, match="got a network without a classifier; read it with spconv_cy.load"):
        sp.SparseConvClassifier.load(path)
    with pytest.raises(FileNotFoundError):
        sp.SparseConvClassifier.load(tmp_path / "nothing")
    fitted.save(path)
    content = path.read_bytes()
    for n in rng.integers(len(content), size=30):
        path.write_bytes(content[:n])
        with pytest.raises(FileError):
            sp.SparseConvClassifier.load(path)


@each(
    "change",
    [
        {"classes": {"dtype": "str", "labels": ["a", "b"]}},
        {"classes": {"dtype": "U999999999", "labels": ["a", "b", "c"]}},
        {"classes": {"dtype": "int8", "labels": [1, 2, 10**30]}},
        {"classes": {"dtype": "object", "labels": [{"class": "Affine"}, 1, 2]}},
        {"classes": 3},
        {"encoder": {"class": "Affine", "arguments": {}}},
        {"encoder": {"class": "StrokeEncoder", "arguments": {"size": 10**12}}},
        {"encoder": {"class": "os", "arguments": {}}},
        {"encoder": None},
        {"classifier": {"net": "deepcnet", "unknown": 3}},
        {"classifier": [1]},
        {"classifier": {}},
    ],
)
def test_a_forged_file_is_refused(change, fitted, tmp_path):
    fitted.save(tmp_path / "it")
    net, extra = sp.io.file.load_with_extra(tmp_path / "it")
    sp.save(tmp_path / "it", net, extra={**extra, **change})
    with pytest.raises(FileError, match="expected a classifier, got values that make none"):
        sp.SparseConvClassifier.load(tmp_path / "it")


@pytest.mark.parametrize("how", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_classifier_can_be_copied(fitted, how):
    assert_array_equal(how(fitted).predict_proba(X), fitted.predict_proba(X))
    assert how(small()).get_params() == small().get_params()


@each(
    "use, error, message",
    [
        (lambda c: c.predict(X), ValueError, "predict: expected a fitted classifier, .*before fit; call fit"),
        (lambda c: c.predict_proba(X), AttributeError, "before fit"),
        (lambda c: c.score(X, Y), NotFittedError, "before fit"),
        (lambda c: c.save("it"), NotFittedError, "save: expected a fitted classifier, got one before fit"),
        (lambda c: c.fit(X, Y[:-1]), ShapeError, "fit: expected 18 labels, one for each sample, got 17"),
        (lambda c: c.fit(X, None), ShapeError, "expected labels in a list or array .*, got None"),
        (lambda c: c.fit(X, np.zeros((18, 2))), ShapeError, r"one for each sample, got shape \(18, 2\)"),
        (lambda c: c.fit(X, [[1]] * 18), TypeError, "expected hashable labels, .*got unhashable type: 'list'"),
        (lambda c: c.fit(X, [1] * 18), ValueError, r"expected labels of at least two classes, got \[1\]"),
        (lambda c: c.fit([], []), ValueError, "at least two classes|no characters"),
        (lambda c: c.fit(X, [1, float("nan")] * 9), ValueError, "expected a label for each sample, got NaN"),
        (lambda c: c.fit([[[(0, np.nan)]]] * 18, Y), ValueError,
         r"fit: character 0, stroke 0: expected finite numbers, got \(0.0, nan\) at point 0"),
        (lambda c: c.fit([[[(0, np.inf)]]] * 18, Y), ValueError, r"finite.*got \(0.0, inf\) at point 0"),
        (lambda c: c.fit([stroke for (stroke, *_) in X], Y), ShapeError, "one array of shape .*put a single stroke"),
        (lambda c: c.fit([[[(0, 1, 2)]]] * 18, Y), ShapeError, r"character 0, stroke 0: .*got shape \(1, 3\)"),
        (lambda c: c.fit([[["a"]]] * 18, Y), ShapeError, "character 0, stroke 0"),
        (lambda c: c.fit(np.zeros((18, 64)), Y), ShapeError, "character 0"),
        (lambda c: c.fit(3, Y), ShapeError, "expected a list of.*got an int"),
        (lambda c: c.set_params(net=3).fit(X, Y), TypeError, "expected net to be 'deepcnet'.*, got 3"),
        (lambda c: c.set_params(net="deepnet").fit(X, Y), ShapeError, "got word 1 of 'deepnet'"),
        (lambda c: c.set_params(l=0).fit(X, Y), ShapeError, "l to be a whole number from 1"),
        (lambda c: c.set_params(encoding="eight").fit(X, Y), ValueError, "expected encoding to be .*, got 'eight'"),
        (lambda c: c.set_params(augment="wild").fit(X, Y), ValueError, "augment: expected one of none,.*got 'wild'"),
        (lambda c: c.set_params(epochs=-1).fit(X, Y), ValueError, "expected epochs to be .*, got -1"),
        (lambda c: c.set_params(batch=0).fit(X, Y), ValueError, "expected batch to be .*, got 0"),
        (lambda c: c.set_params(rate=-1).fit(X, Y), ValueError, "expected rate to be .*, got -1"),
        (lambda c: c.set_params(schedule="fast").fit(X, Y), ValueError, "expected schedule to be .*, got 'fast'"),
        (lambda c: c.set_params(random_state=-1).fit(X, Y), ValueError, "expected random_state to be .*, got -1"),
        (lambda c: c.set_params(random_state="a").fit(X, Y), ValueError, "expected random_state to be .*, got 'a'"),
        (lambda c: c.set_params(net=sp.models.deepcnet(1, 3, 1, 3)).fit(X, Y), ShapeError, "give a net for 8 channels"),
        (lambda c: c.set_params(net=sp.models.deepcnet(1, 3, 8, 5)).fit(X, Y), ShapeError, r"\(1, 3\).*got .*\(1, 5\)"),
        (lambda c: c.set_params(net=sp.ReLU()).fit(X, Y), ShapeError, "of the net .*, got a SparseTensor"),
        (lambda c: c.set_params(net="4C3-MP2").fit(X, Y), ShapeError, "of the net .*, got a SparseTensor"),
        (lambda c: c.set_params(net=sp.Sequential(sp.Convolution(2, 8, 3, (3, 4)), sp.GlobalPooling())).fit(X, Y),
         ShapeError, "a square field of at least 48 sites"),
        (lambda c: c.set_params(net=sp.Sequential(sp.Convolution(3, 8, 3, 3), sp.GlobalPooling())).fit(X, Y),
         ShapeError, "3"),
        (lambda c: c.set_params(encoding=sp.data.StrokeEncoder(size=7, scale=2)).fit(X, Y), ShapeError,
         r"encoding=StrokeEncoder\(size=...\) of its field"),
    ],
)
def test_what_does_not_fit_is_told(use, error, message):
    with pytest.raises(error, match=message):
        use(small(epochs=1))


def test_what_does_not_fit_a_fitted_one_is_told(fitted, tmp_path):
    with pytest.raises(ValueError, match="predict: character 1, stroke 0: expected finite numbers"):
        fitted.predict([X[0], [[(np.nan, 0)]]])
    with pytest.raises(ShapeError, match="expected 18 labels, one for each sample, got 17"):
        fitted.score(X, Y[:-1])
    with pytest.raises(ShapeError, match="at least one sample, got none"):
        fitted.score([], [])
    assert fitted.predict([]).shape == (0,) and fitted.predict_proba([]).shape == (0, 3)
    with pytest.raises(TypeError, match=r"expected schedule to be .*; leave it out by set_params\(schedule=None\)"):
        small(epochs=1, schedule=lambda epoch: 1).fit(X, Y).save(tmp_path / "it")
    with pytest.raises(TypeError, match="got a frozenset"):
        small(epochs=1).fit(X, LABELS["frozen sets"] * 6).save(tmp_path / "it")


def test_a_failed_fit_leaves_what_was_learnt():
    classifier = small(epochs=2).fit(X, Y)
    before = classifier.predict_proba(X)
    with pytest.raises(FloatingPointError), np.errstate(all="ignore"):
        classifier.set_params(rate=1e30).fit(X, [3, 4] * 9)
    assert_array_equal(classifier.predict_proba(X), before)
    assert classifier.classes_.tolist() == ["across", "dot", "down"]


def test_the_bar_is_shown_when_asked_for(capsys):
    small(epochs=1).fit(X, Y)
    assert not capsys.readouterr().err
    small(epochs=1, verbose=True).fit(X, Y)
    assert "epoch 1/1" in capsys.readouterr().err


def test_scikit_learn_is_not_loaded():
    program = ("import sys; import spconv_cy as sp; "
               "c = sp.SparseConvClassifier(l=1, k=2, epochs=1).fit([[[(0, 0)]], [[(0, 0), (1, 1)]]], [0, 1]); "
               "c.predict([[[(0, 0)]]]); sys.exit('sklearn' in sys.modules)")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_scikit_learns_tools_take_it():
    base = pytest.importorskip("sklearn.base")
    from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.utils.validation import check_is_fitted

    classifier = small(epochs=10)
    cloned = base.clone(classifier)
    assert cloned is not classifier and cloned.get_params() == classifier.get_params()
    assert base.is_classifier(classifier)
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(classifier)
    check_is_fitted(cloned.fit(X, Y))
    assert not hasattr(base.clone(cloned), "net_")
    assert cross_val_score(classifier, X, Y, cv=3).tolist() == [1, 1, 1]
    assert cross_val_predict(classifier, X, Y, cv=2).tolist() == Y
    pipeline = make_pipeline(FunctionTransformer(lambda characters: characters[:]), classifier)
    assert pipeline.fit(X, Y).score(X, Y) == 1 and pipeline.predict_proba(X).shape == (18, 3)
    search = GridSearchCV(classifier, {"k": [4, 5]}, cv=2).fit(X, np.array(Y))
    assert search.best_score_ == 1 and search.best_estimator_.k in (4, 5)
    assert "SparseConvClassifier" in repr(pipeline)


@pytest.mark.slow
def test_the_defaults_read_pen_digits():
    train, test = sp.data.digits_split(seed=1)
    assert sp.SparseConvClassifier(random_state=0).fit(*train).score(*test) >= 0.992
