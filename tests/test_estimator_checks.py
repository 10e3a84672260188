"""scikit-learn's check_estimator on the estimators; the checks that do not apply are listed with their reasons."""

import warnings

import pytest

import spconv_cy as sp

WEIGHTS = "batches are drawn at random, so a weight of 2 is close to, not equal to, the sample twice"
LABELS = "labels may be any hashable values, floats too"
NEIGHBOURS = "the answer for a point depends on the points around it"
ALL = {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}
CLASSES = {**ALL, "check_classifiers_regression_target": LABELS}
SIGNALS = {"encoding": "signals", "l": 3, "k": 6, "epochs": 20, "batch": 20, "rate": 0.01, "random_state": 0}
POINTS = {"levels": 2, "width": 8, "epochs": 40, "random_state": 0}
CASES = {
    "segmenter": (lambda: sp.SparseConvSegmenter(**POINTS), {**CLASSES, "check_methods_subset_invariance": NEIGHBOURS}),
    "segmenter of values": (lambda: sp.SparseConvSegmenter(target="value", **POINTS),
                            {**ALL, "check_methods_subset_invariance": NEIGHBOURS}),
    "classifier": (lambda: sp.SparseConvClassifier(**SIGNALS), CLASSES),
    "regressor": (lambda: sp.SparseConvRegressor(**SIGNALS), ALL),
    "classifier of strokes": (sp.SparseConvClassifier, {}),
    "regressor of strokes": (sp.SparseConvRegressor, {}),
}
SLOW = ("segmenter", "segmenter of values", "classifier", "regressor")
QUICK = ("estimators_nan_inf", "n_features_in_after_fitting", "fit2d_1sample", "dict_unchanged", "dtype_object",
         "estimators_pickle", "supervised_y_no_nan", "requires_y_none", "estimator_sparse_tag", "estimators_unfitted",
         "all_zero_sample_weights_error", "sample_weights_shape", "estimators_overwrite_params", "complex_data")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES])
def test_estimators_pass_the_checks_that_apply(name):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    make, expected = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = checks.check_estimator(make(), expected_failed_checks=expected, on_fail=None, on_skip=None)
    states = {result["check_name"]: result for result in found}
    assert {check: str(result["exception"]) for check, result in states.items() if result["status"] == "failed"} == {}
    assert {check for check, result in states.items() if result["status"] == "xfail"} == set(expected)
    passed = sum(result["status"] == "passed" for result in found)
    assert passed >= (50 if expected else 1)                             # for lists of strokes few checks apply


@pytest.mark.parametrize("name", ["segmenter", "classifier", "regressor"])
def test_estimators_refuse_and_take_what_scikit_learn_wants(name):
    checks, make = pytest.importorskip("sklearn.utils.estimator_checks"), CASES[name][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = [check for check in QUICK if hasattr(checks, f"check_{check}")]         # by scikit-learn's version
        assert len(known) >= 10
        for check in known:
            getattr(checks, f"check_{check}")(name, make().set_params(epochs=1))
