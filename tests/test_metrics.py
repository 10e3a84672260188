"""Metrics, counted by hand and against plain loops."""

import math

import numpy as np
import pytest
from in_turn import each

from spconv_cy.errors import ShapeError
from spconv_cy.train import metrics

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])


def test_error_is_the_share_whose_largest_output_is_elsewhere():
    assert metrics.error_rate(SCORES, [1, 0, 2, 0]) == 0
    assert metrics.error_rate(SCORES, [1, 0, 2, 1]) == 0.25, "of equals the first is the largest"
    assert metrics.error_rate(SCORES, [0, 1, 0, 2]) == 1
    assert metrics.error_rate([[np.nan, 1.0]], [0]) == 1, "NaN is never right"
    assert metrics.error_rate([[np.nan, 1.0]], [1]) == 0


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(rng):
    for classes in (2, 3):
        scores, labels = rng.integers(0, 6, (80, classes)), rng.integers(0, classes, 80)   # many equals
        shares = []
        for c in range(1, 2) if classes == 2 else range(classes):
            pairs = [(a > b) + (a == b) / 2 for a in scores[labels == c, c] for b in scores[labels != c, c]]
            shares.append(np.mean(pairs))
        assert metrics.roc_auc(scores, labels) == pytest.approx(np.mean(shares))
    assert metrics.roc_auc([[0, 1], [0, 2], [0, 3]], [0, 0, 1]) == 1
    assert metrics.roc_auc([[0, 1], [0, 2], [0, 3]], [1, 0, 0]) == 0


@pytest.mark.parametrize("scores, labels", [([[1, 2], [3, 4]], [1, 1]), ([[1.0, np.nan], [3, 4]], [0, 1]),
                                            ([[1], [2]], [0, 0])])
def test_an_area_without_both_classes_is_refused(scores, labels):
    with pytest.raises(ShapeError, match="at least one sample of each"):
        metrics.roc_auc(scores, labels)


def test_top_k_error_is_the_share_outside_the_k_largest(rng):
    assert [metrics.top_k_error(SCORES, [2, 1, 0, 2], k) for k in (1, 2, 3)] == [1, 0.5, 0]
    assert [metrics.top_k_error(SCORES, [2, 2, 2, 2], k) for k in (1, 2, 3, 9)] == [0.75, 0.5, 0, 0]
    scores, labels = rng.integers(0, 4, (200, 7)), rng.integers(0, 7, 200)        # many equals
    for k in range(1, 8):
        first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        wrong = sum(label not in row for label, row in zip(labels, first, strict=True))
        assert metrics.top_k_error(scores, labels, k) == wrong / 200


def test_confusion_matrix_counts_rows_as_truth(rng):
    assert metrics.confusion_matrix([1, 1, 2], [0, 1, 1], 3).tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]
    predicted, labels = rng.integers(0, 5, 300), rng.integers(0, 6, 300).astype(np.uint8)
    counted = np.zeros((6, 6), int)
    for p, label in zip(predicted, labels, strict=True):
        counted[label, p] += 1
    assert (metrics.confusion_matrix(predicted, labels) == counted).all()
    assert metrics.confusion_matrix([], []).shape == (0, 0)
    assert metrics.confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_intersection_over_union_is_that_of_sets(rng):
    predicted, labels = rng.integers(0, 4, 300), rng.integers(0, 5, 300)         # class 5: neither is nor was given
    found = metrics.intersection_over_union(metrics.confusion_matrix(predicted, labels, 6))
    for c in range(5):
        given, true = set(np.flatnonzero(predicted == c)), set(np.flatnonzero(labels == c))
        assert found[c] == len(given & true) / len(given | true)
    assert np.isnan(found[5]) and found[4] == 0
    assert metrics.mean_iou(metrics.confusion_matrix(predicted, labels, 6)) == pytest.approx(sum(found[:5]) / 5)
    assert np.isnan(metrics.mean_iou(np.zeros((2, 2), int)))
    assert np.isnan(metrics.intersection_over_union(np.zeros((2, 2), int))).all()
    assert metrics.intersection_over_union(np.zeros((0, 0), int)).shape == (0,)


def test_negative_log_likelihood_clips_at_1e_15():
    probabilities = np.array([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]], np.float32)
    expected = -(math.log(0.5) + math.log(np.float32(0.1)) + math.log(1e-15)) / 3
    assert metrics.negative_log_likelihood(probabilities, [0, 1, 1]) == pytest.approx(expected, rel=1e-7)


@each(
    "call, message",
    [
        (lambda: metrics.error_rate(SCORES, [1, 2]), r"error_rate: expected .*, got \(4, 3\) of float64.*\(2,\)"),
        (lambda: metrics.error_rate(SCORES[0], [1, 2, 0]), r"got \(3,\) of float64"),
        (lambda: metrics.error_rate(SCORES, [0.0, 1, 2, 0]), "float64"),
        (lambda: metrics.error_rate(SCORES, [0, 1, 2, 3]), "labels from 0 to 2, got 0 to 3"),
        (lambda: metrics.error_rate(SCORES, [0, 1, 2, -1]), "labels from 0 to 2, got -1 to 2"),
        (lambda: metrics.error_rate(np.zeros((0, 3)), np.zeros(0, int)), "at least 1"),
        (lambda: metrics.confusion_matrix([0, 1], [0]), r"confusion_matrix: expected predicted .*got \(2,\)"),
        (lambda: metrics.confusion_matrix([0.5], [0]), "float64"),
        (lambda: metrics.confusion_matrix([3], [0], 3), "class numbers from 0 to 2, got 0 to 3"),
        (lambda: metrics.intersection_over_union([[1, 2]]), r"\(1, 2\) of int64"),
        (lambda: metrics.intersection_over_union([[1, -2], [0, 1]]), "counts"),
        (lambda: metrics.intersection_over_union([1, 2]), r"\(2,\)"),
        (lambda: metrics.confusion_matrix([-1], [0], 3), "class numbers from 0 to 2, got -1 to 0"),
    ],
)
def test_arrays_that_do_not_fit_are_told(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


def test_a_k_below_one_is_told():
    with pytest.raises(ValueError, match="top_k_error: expected k to be a whole number from 1 up, got 0"):
        metrics.top_k_error(SCORES, [0, 0, 0, 0], 0)
