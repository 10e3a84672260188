"""Labels that say "no label": losses, gradients, training and testing are those of the other samples alone."""

from functools import partial

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.train import metrics

LOSSES = (sp.softmax_cross_entropy, sp.functional.squared_hinge)
MARKS = [(np.int64, -1), (np.int64, -100), (np.uint8, 255), (np.int32, 255), (np.int64, 1)]


def drawn(rng, mark=-1, dtype=np.int64, n=12, classes=4):
    """Return outputs (n, classes), labels of which some are the mark, and which are not."""
    labels = rng.integers(0, classes, n).astype(dtype)
    labels[[0, 3, n - 1]] = mark
    return rng.normal(size=(n, classes)), labels, labels != mark


@each("loss", LOSSES)
@each("dtype, mark", MARKS)
def test_a_loss_is_that_of_the_samples_that_have_a_label(loss, dtype, mark, rng, ops):
    outputs, labels, known = drawn(rng, mark, dtype)
    whole, part = sp.Tensor(outputs, requires_grad=True), sp.Tensor(outputs[known], requires_grad=True)
    value, expected = loss(whole, labels, ignore_label=mark), loss(part, labels[known])
    assert float(value.data) == float(expected.data)
    value.backward()
    expected.backward()
    gradient = whole.grad
    assert_array_equal(gradient[known], part.grad)
    assert not gradient[~known].any() and (~known).any()


def test_the_cross_entropy_is_the_mean_written_out_over_labelled_samples(rng):
    outputs, labels, known = drawn(rng)
    with sp.use("reference"):
        value = float(sp.softmax_cross_entropy(sp.Tensor(outputs), labels, ignore_label=-1).data)
    terms = [np.log(np.exp(row).sum()) - row[label] for row, label in zip(outputs, labels, strict=True) if label >= 0]
    assert_allclose(value, sum(terms) / len(terms), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"weights": [1, 2, 0.5, 3]}, {"reduction": "sum"}], ids=str)
def test_gradients_beside_ignored_samples_are_the_differences(options, rng):
    outputs, labels, _ = drawn(rng)
    sp.check_gradient(lambda x: sp.softmax_cross_entropy(x, labels, ignore_label=-1, **options), outputs)
    if "weights" not in options:
        sp.check_gradient(lambda x: sp.functional.squared_hinge(x, labels, ignore_label=-1, **options), outputs)


def test_weights_count_only_the_samples_that_have_a_label(rng):
    outputs, labels, known = drawn(rng, 2)
    weights = [1, 2, 100, 3]
    value = sp.softmax_cross_entropy(sp.Tensor(outputs), labels, weights=weights, ignore_label=2)
    expected = sp.softmax_cross_entropy(sp.Tensor(outputs[known]), labels[known], weights=weights)
    assert float(value.data) == float(expected.data)


@pytest.mark.parametrize("loss", LOSSES)
def test_without_any_label_the_loss_and_its_gradient_are_zero(loss, rng):
    x = sp.Tensor(rng.normal(size=(3, 4)), requires_grad=True)
    value = loss(x, np.full(3, 255, np.uint8), ignore_label=255)
    value.backward()
    assert float(value.data) == 0 and not x.grad.any() and x.grad.shape == (3, 4)


def test_outputs_that_are_not_numbers_do_no_harm_where_there_is_no_label():
    x = sp.Tensor([[1.0, 2.0], [np.nan, np.inf]], requires_grad=True)
    value = sp.softmax_cross_entropy(x, [1, -1], ignore_label=-1)
    value.backward()
    assert np.isfinite(value.data) and np.isfinite(x.grad).all()


def test_several_labels_can_be_ignored_and_one_that_the_dtype_cannot_hold_is_met_by_none(rng):
    x = sp.Tensor(rng.normal(size=(4, 2)))
    several = [float(sp.softmax_cross_entropy(x, [0, -1, 255, 1], ignore_label=marks).data)
               for marks in ((-1, 255), [255, -1], {-1, 255}, np.array([-1, 255]))]
    rows = sp.softmax_cross_entropy(x[np.array([0, 3])], [0, 1])
    assert several == [float(rows.data)] * 4
    with pytest.raises(ShapeError, match="got 0 to 255.*ignore_label"):
        sp.softmax_cross_entropy(x, np.array([0, 255, 1, 1], np.uint8), ignore_label=-1)


@pytest.mark.parametrize("labels, remedy", [
    ([0, -1, 1], "ignore_label=-1"), ([0, 255, 1], "ignore_label=255"), ([0, -1, 255], r"ignore_label=\(-1, 255\)")])
def test_a_label_outside_the_classes_is_refused_and_the_remedy_named(labels, remedy):
    for refuse in (lambda: sp.softmax_cross_entropy(sp.Tensor(np.ones((3, 2))), labels),
                   lambda: sp.functional.squared_hinge(sp.Tensor(np.ones((3, 2))), labels),
                   lambda: metrics.error_rate(np.ones((3, 2)), labels),
                   lambda: metrics.confusion_matrix([0, 1, 1], labels, 2),
                   lambda: sp.fit(**training([(np.ones((3, 2)), labels)])),
                   lambda: sp.evaluate(network(), [(np.ones((3, 2)), labels)])):
        with pytest.raises(ShapeError, match=remedy):
            refuse()


@each("wrong", [1.5, "255", True, [1.5], np.ones(2), {"a": 1}, [[1, 2]], object()],
      ids=lambda wrong: type(wrong).__name__)
def test_another_ignore_label_is_refused_by_all_that_take_one(wrong):
    x, labels, data = np.ones((2, 2)), np.array([0, 1]), [(np.ones((2, 2)), np.array([0, 1]))]
    for refuse in (lambda: sp.softmax_cross_entropy(sp.Tensor(x), labels, ignore_label=wrong),
                   lambda: sp.functional.squared_hinge(sp.Tensor(x), labels, ignore_label=wrong),
                   lambda: metrics.error_rate(x, labels, ignore_label=wrong),
                   lambda: sp.fit(**training(data), ignore_label=wrong),
                   lambda: sp.evaluate(network(), data, ignore_label=wrong)):
        with pytest.raises(ValueError, match="expected ignore_label to be a whole number"):
            refuse()


def test_metrics_are_those_of_the_labelled_samples(rng):
    outputs, labels, known = drawn(rng, 255, np.uint8, n=40)
    rest = outputs[known], labels[known]
    assert metrics.error_rate(outputs, labels, ignore_label=255) == (rest[0].argmax(1) != rest[1]).mean()
    assert metrics.top_k_error(outputs, labels, 2, ignore_label=255) == metrics.top_k_error(*rest, 2)
    assert metrics.roc_auc(outputs, labels, ignore_label=255) == metrics.roc_auc(*rest)
    expected = np.zeros((4, 4), int)
    np.add.at(expected, (rest[1], rest[0].argmax(1)), 1)
    assert_array_equal(metrics.confusion_matrix(outputs.argmax(1), labels, 4, ignore_label=255), expected)
    assert_array_equal(metrics.confusion_matrix(outputs.argmax(1), labels, ignore_label=255), expected)


def test_an_ignored_class_that_is_predicted_has_no_intersection_over_union():
    answers, labels = np.array([0, 2, 1, 1, 0, 2]), np.array([0, 0, 1, 0, 2, 2])
    found = sp.train.Evaluation(0.0, 0.5, np.eye(3)[answers], labels, ignore_label=(2, -1))
    counted = labels != 2
    shares = [((answers == c) & (labels == c))[counted].sum() / ((answers == c) | (labels == c))[counted].sum()
              for c in (0, 1)]
    assert_array_equal(found.iou, [*shares, np.nan])
    assert metrics.mean_iou(found.confusion, ignore_label=(2, -1)) == np.mean(shares)
    assert f"mean IoU {100 * np.mean(shares):.1f} %" in repr(found)
    assert metrics.mean_iou(found.confusion) == np.mean([*shares, 0])      # without the word that class counts
    with pytest.raises(ValueError, match="ignore_label to be a whole number"):
        metrics.mean_iou(found.confusion, ignore_label="void")


def network():
    return sp.Sequential(sp.NetworkInNetwork(2, 2, rng=0))


def training(data, **options):
    net = network()
    return {"net": net, "data": data, "optimizer": sp.SGD(net.parameters(), 0.1), "epochs": 2, "progress": False,
            "rng": 0, **options}


def parts(rng, mark):
    """Return batches with labels that are the mark, one of them with no other; and the same without these."""
    whole, rest = [], []
    for n in (6, 5, 3):
        x, labels = rng.normal(size=(n, 2)), rng.integers(0, 2, n)
        labels[:n if n == 3 else 2] = mark
        whole.append((x, labels))
        rest.append((x[labels != mark], labels[labels != mark]))
    return whole, rest


@pytest.mark.parametrize("mark", [-1, 255])
@pytest.mark.parametrize("loss", [*LOSSES, partial(sp.softmax_cross_entropy, weights=[1, 1])])
def test_training_and_testing_are_those_of_the_labelled_samples(mark, loss, rng):
    whole, rest = parts(rng, mark)
    one, other = training(whole, loss=loss), training(rest, loss=loss)
    history = sp.fit(**one, ignore_label=mark, validation=whole)
    expected = sp.fit(**other)
    for name, array in one["net"].state().items():
        assert_allclose(array, other["net"].state()[name], rtol=1e-6)
    assert_allclose(history.losses, expected.losses, rtol=1e-6)
    assert_allclose(history.errors, expected.errors, rtol=1e-12)
    found = sp.evaluate(one["net"], whole, loss=loss, ignore_label=mark)
    wanted = sp.evaluate(one["net"], rest[:2], loss=loss)
    assert_allclose([found.loss, found.error], [wanted.loss, wanted.error], rtol=1e-6)
    assert_array_equal(found.confusion, wanted.confusion)
    assert_array_equal(found.iou, wanted.iou)
    assert (history.validation_errors[-1], history.validation_losses[-1]) == (found.error, found.loss)
    assert found.outputs.shape == (14, 2) and len(found.labels) == 14


def test_a_loss_of_ones_own_is_called_with_all_labels_and_errors_leave_out_the_ignored(rng):
    whole, rest = parts(rng, -1)
    seen = []

    def loss(y, labels):
        seen.append(labels)
        return sp.softmax_cross_entropy(y[labels >= 0], labels[labels >= 0])

    given, expected = training(whole, loss=loss), training(rest)
    history, wanted = sp.fit(**given, ignore_label=-1), sp.fit(**expected)
    assert (seen[0] == -1).any()
    assert_allclose(history.losses, wanted.losses, rtol=1e-6)
    assert_allclose(history.errors, wanted.errors, rtol=1e-12)


def test_where_no_label_counts_a_test_tells_no_error_and_training_goes_on(rng):
    data = [(rng.normal(size=(3, 2)), np.full(3, -1))]
    found = sp.evaluate(network(), data, ignore_label=-1)
    assert (found.loss, found.error) == (0, None) and not found.confusion.any()
    history = sp.fit(**training(data), ignore_label=-1)
    assert history.losses == [0, 0]


def test_points_without_a_label_go_through_fit_and_evaluate(rng):
    points, labels = rng.random((300, 3)) * 10, rng.integers(-1, 3, 300)
    data = sp.data.PointBatches(points, np.ones((300, 1)), labels, 0.5, tile=5)
    net = sp.layers.ToPoints(sp.SubmanifoldConvolution(3, 1, 3, 3, rng=0))
    history = sp.fit(net, data, sp.Adam(net.parameters(), 0.01), 1, progress=False, rng=0, ignore_label=-1)
    found = sp.evaluate(net, data, ignore_label=-1)
    known = found.labels >= 0
    assert_allclose(found.error, (found.outputs[known].argmax(1) != found.labels[known]).mean())
    assert_allclose(found.loss, metrics.negative_log_likelihood(found.outputs[known], found.labels[known]), rtol=1e-5)
    assert 0 <= history.errors[0] <= 1 and found.confusion.sum() == known.sum()


def test_the_squared_hinge_loss_takes_weights_of_samples(rng):
    x, labels, weights = rng.normal(size=(5, 3)), np.array([0, 2, -1, 1, 2]), np.array([1.0, 3, 9, 0, 2])
    rows = [0, 1, 1, 1, 4, 4]                                            # as often as their weights say
    for reduction in ("mean", "sum"):
        found = sp.functional.squared_hinge(sp.Tensor(x), labels, ignore_label=-1, sample_weight=weights,
                                            reduction=reduction)
        wanted = sp.functional.squared_hinge(sp.Tensor(x[rows]), labels[rows], reduction=reduction)
        np.testing.assert_allclose(found.item(), wanted.item(), rtol=1e-5)
    sp.check_gradient(lambda y: sp.functional.squared_hinge(y, labels, ignore_label=-1, sample_weight=weights), x)
