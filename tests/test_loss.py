"""Losses against direct formulas and central differences."""

import math

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose

import spconv_cy as sp
from spconv_cy.errors import ShapeError

LABELS = np.array([0, 2, 1, 2, 3])


def cross_entropy(x, labels):
    """Sum of -log p(label), a number at a time."""
    pairs = zip(x, labels, strict=True)
    return sum(-math.log(math.exp(row[label]) / sum(math.exp(v) for v in row)) for row, label in pairs)


def squared_hinge(x, labels):
    """Sum of max(0, 1 - t x)^2, t = 1 at the label and -1 elsewhere, a number at a time."""
    return sum(max(0, 1 - (1 if j == label else -1) * v) ** 2
               for row, label in zip(x, labels, strict=True) for j, v in enumerate(row))


@each("loss, direct", [(sp.softmax_cross_entropy, cross_entropy), (sp.functional.squared_hinge,
                                                                   squared_hinge)])
@each("dtype", [np.int64, np.uint8, np.int32])
def test_class_losses_are_the_formula(loss, direct, dtype, rng, ops):
    x = rng.normal(size=(5, 4))
    expected = direct(x, LABELS)
    assert loss(sp.Tensor(x), LABELS.astype(dtype)).shape == ()
    assert_allclose(float(loss(sp.Tensor(x), LABELS.astype(dtype)).data), expected / 5, rtol=1e-5)
    assert_allclose(float(loss(sp.Tensor(x), LABELS.tolist(), reduction="sum").data), expected, rtol=1e-5)


def test_mse_is_the_formula(rng, ops):
    x, target = rng.normal(size=(2, 4, 3))
    assert_allclose(float(sp.mse(sp.Tensor(x), target).data), ((x - target) ** 2).mean(), rtol=1e-5)
    assert_allclose(float(sp.mse(sp.Tensor(x), target, reduction="sum").data), ((x - target) ** 2).sum(), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", [sp.softmax_cross_entropy, sp.functional.squared_hinge])
def test_gradients_of_class_losses(loss, reduction, rng):
    x = rng.normal(size=(5, 4))
    x[np.abs(np.abs(x) - 1) < 1e-3] = 0.5                               # away from the hinge's kink
    sp.check_gradient(lambda x: loss(x, LABELS, reduction=reduction), x)


def test_gradients_of_mse_reach_both_sides(rng):
    sp.check_gradient(lambda x, target: sp.mse(x, target), *rng.normal(size=(2, 4, 3)))
    sp.check_gradient(lambda x, target: sp.mse(x, target, reduction="sum"), *rng.normal(size=(2, 4, 3)))


def test_gradient_of_the_cross_entropy_is_probability_less_target(rng, ops):
    x = sp.Tensor(rng.normal(size=(5, 4)), requires_grad=True)
    sp.softmax_cross_entropy(x, LABELS).backward()
    p = np.exp(x.numpy()) / np.exp(x.numpy()).sum(1, keepdims=True)
    assert_allclose(x.grad, (p - np.eye(4)[LABELS]) / 5, rtol=1e-4, atol=1e-6)


def test_cross_entropy_stands_large_outputs(ops):
    x = sp.Tensor([[1e4, 0.0], [-1e4, 1e4], [1e30, -1e30]], requires_grad=True)
    loss = sp.softmax_cross_entropy(x, [1, 0, 0], reduction="sum")
    loss.backward()
    assert_allclose(float(loss.data), 3e4, rtol=1e-6)
    assert_allclose(x.grad, [[1, -1], [-1, 1], [0, 0]], atol=1e-7)


def test_a_weighted_cross_entropy_counts_each_sample_as_its_class_says(rng, ops):
    x, weights = rng.normal(size=(5, 4)), [2.0, 0.5, 3, 0]
    shares = [weights[label] for label in LABELS]
    total = sum(w * cross_entropy(x[i:i + 1], LABELS[i:i + 1]) for i, w in enumerate(shares))
    mean = sp.softmax_cross_entropy(sp.Tensor(x), LABELS, weights=weights)
    summed = sp.softmax_cross_entropy(sp.Tensor(x), LABELS, weights=weights, reduction="sum")
    assert mean.shape == () and summed.shape == ()
    assert_allclose([float(mean.data), float(summed.data)], [total / sum(shares), total], rtol=1e-5)
    assert_allclose(float(sp.softmax_cross_entropy(sp.Tensor(x), LABELS, weights=[7, 7, 7, 7]).data),
                    float(sp.softmax_cross_entropy(sp.Tensor(x), LABELS).data), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_a_weighted_cross_entropy(reduction, rng):
    sp.check_gradient(lambda x: sp.softmax_cross_entropy(x, LABELS, weights=[2, 0.5, 3, 0], reduction=reduction),
                      rng.normal(size=(5, 4)))


@pytest.mark.parametrize("labels", [[3, 3], []])
def test_where_no_sample_counts_the_weighted_loss_is_zero(labels, ops):
    x = sp.Tensor(np.ones((len(labels), 4)), requires_grad=True)
    value = sp.softmax_cross_entropy(x, np.array(labels, int), weights=[1, 1, 1, 0])
    value.backward()
    assert float(value.data) == 0 and not x.grad.any()


@pytest.mark.parametrize("weights", [[1, 2, 3], [1, 2, 3, -1], [1, 2, 3, np.nan], 2.0, list("abcd"), np.ones((4, 4))])
def test_weights_that_do_not_fit_are_told(weights):
    with pytest.raises(ShapeError, match="weights to be 4 numbers from 0 up, one for each class, got"):
        sp.softmax_cross_entropy(sp.Tensor(np.zeros((5, 4))), LABELS, weights=weights)


@pytest.mark.parametrize("loss", [sp.softmax_cross_entropy, sp.functional.squared_hinge, sp.mse])
def test_an_empty_batch_has_loss_zero(loss, ops):
    x = sp.Tensor(np.zeros((0, 4)), requires_grad=True)
    value = loss(x, np.zeros((0, 4)) if loss is sp.mse else np.zeros(0, int))
    value.backward()
    assert float(value.data) == 0 and x.grad.shape == (0, 4)


@each("loss", [sp.softmax_cross_entropy, sp.functional.squared_hinge])
@each(
    "labels, message",
    [
        ([0, 1], r"labels \(2,\)"),
        ([0, 1, 2, 3, 4], "labels from 0 to 3, got 0 to 4"),
        ([0, 1, 2, 3, -1], "labels from 0 to 3, got -1 to 3"),
        ([0.0, 1, 2, 3, 0], "of whole numbers, got outputs"),
        (np.eye(5, 4), r"\(b, classes\) and labels \(b,\)"),
        (["a", "b", "c", "d", "e"], "of whole numbers, got outputs"),
    ],
)
def test_labels_that_do_not_fit_are_told(loss, labels, message):
    with pytest.raises(ShapeError, match=message):
        loss(sp.Tensor(np.zeros((5, 4))), labels)


def test_other_wrong_arguments_are_told():
    with pytest.raises(ShapeError, match="reduction to be 'mean' or 'sum', got 'none'"):
        sp.softmax_cross_entropy(sp.Tensor(np.zeros((5, 4))), LABELS, reduction="none")
    with pytest.raises(ShapeError, match=r"mse: expected .* equal shapes, got x \(5, 4\) and target \(5,\)"):
        sp.mse(sp.Tensor(np.zeros((5, 4))), np.zeros(5))


@each("classes", [1, 2, 3, 7, 8, 20, 33, 100])
def test_the_compiled_cross_entropy_is_exact_to_float32(classes, isa, rng):
    x = (10 * rng.normal(size=(300, classes))).astype(np.float32)
    labels = rng.integers(-1, classes, 300)
    exact = x.astype(np.longdouble)
    exact -= exact.max(1, keepdims=True)
    shares = np.exp(exact) / np.exp(exact).sum(1, keepdims=True)
    kept = np.flatnonzero(labels >= 0)
    tensor = sp.Tensor(x, requires_grad=True)
    loss = sp.softmax_cross_entropy(tensor, labels, ignore_label=-1, reduction="sum")
    loss.backward()
    assert_allclose(float(loss.data), -np.log(shares[kept, labels[kept]]).sum(), rtol=2e-7, atol=1e-6)
    shares[kept, labels[kept]] -= 1
    shares[labels < 0] = 0
    assert np.abs(tensor.grad - shares).max() < 3e-7


def test_what_does_not_count_may_be_infinite_and_what_counts_shows_nan(ops):
    x = sp.Tensor(np.array([[np.inf, np.nan], [1, 2], [-np.inf, 0]]), requires_grad=True)
    loss = sp.softmax_cross_entropy(x, [-1, 0, 1], ignore_label=-1, reduction="sum")
    loss.backward()
    assert_allclose(float(loss.data), math.log(1 + math.e), rtol=1e-6)
    assert_allclose(x.grad, [[0, 0], [-1 / (1 + 1 / math.e), 1 / (1 + 1 / math.e)], [0, 0]], rtol=1e-6, atol=1e-7)
    with np.errstate(invalid="ignore"):
        for bad in (np.nan, np.inf):
            assert np.isnan(float(sp.softmax_cross_entropy(sp.Tensor([[bad, 0.0, 1]]), [1]).data))


def test_outputs_changed_in_place_before_the_backward_pass_are_told():
    x = sp.Tensor(np.zeros((5, 4)), requires_grad=True)
    loss = sp.softmax_cross_entropy(x, LABELS)
    x.mark_changed()
    with pytest.raises(RuntimeError, match="unchanged since softmax_cross_entropy read it"):
        loss.backward()


def test_a_second_backward_pass_gives_the_same_gradient(rng):
    x = sp.Tensor(rng.normal(size=(5, 4)), requires_grad=True)
    loss = sp.softmax_cross_entropy(x, LABELS)
    loss.backward()
    once = x.grad.copy()
    loss.backward(np.float32(2))
    assert_allclose(x.grad, 3 * once, rtol=1e-6)
