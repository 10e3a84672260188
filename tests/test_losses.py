"""Losses for segmentation, decisions and regression, against formulas in float64 that are written another way."""

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose
from scipy.special import expit, huber

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional import (
    binary_cross_entropy,
    dice_loss,
    focal_loss,
    huber_loss,
    l1_loss,
    lovasz_softmax,
    softmax_cross_entropy,
)

LABELS = np.array([0, 2, 1, 2, 2, 0])
BITS = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]])
WEIGHTS = np.array([1, 2, 0, 1, 3, 1])
OF_CLASSES = {"smoothed": lambda *a, **o: softmax_cross_entropy(*a, label_smoothing=0.2, **o), "focal": focal_loss,
              "dice": dice_loss, "lovasz": lovasz_softmax,
              "all": lambda *a, **o: lovasz_softmax(*a, classes="all", **o)}
OF_BITS = {"binary": binary_cross_entropy, "focal": focal_loss, "dice": dice_loss, "lovasz": lovasz_softmax}
OF_NUMBERS = {"mse": sp.mse, "l1": l1_loss, "huber": huber_loss}


def softmax(x):
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def one_hot(labels):
    return np.eye(3)[labels]


def smoothed(p, y, w):
    q = 0.8 * y + 0.2 / 3
    return (w * (q * -np.log(p)).sum(1)).sum() / w.sum()


def focal(p, y, w):
    at = np.where(y == 1, p, 1 - p) if y is BITS else p[y == 1][:, None]
    each = w[:, None] * (1 - at) ** 2 * -np.log(at)
    return each.sum() / (w.sum() * each.shape[1])


def dice(p, y, w):
    terms = []
    for k in range(3):
        n = sum(w * p[:, k] * y[:, k])
        terms.append(1 - (2 * n + 1) / (sum(w * p[:, k]) + sum(w * y[:, k]) + 1))
    return np.mean(terms)


def lovasz(p, y, w, present=True):
    """Integrate, over thresholds, 1 - IoU of the samples whose error is above the threshold."""
    found = []
    for k in range(3):
        errors, total = abs(y[:, k] - p[:, k]), 0.0
        steps = np.sort(np.concatenate([[0.0], errors]))
        for low, high in zip(steps[:-1], steps[1:], strict=True):
            wrong = errors >= high
            both, either = (w * y[:, k] * ~wrong).sum(), (w * np.maximum(y[:, k], wrong)).sum()
            total += (high - low) * (1 - both / either if either else 0)
        if (w * y[:, k]).sum() or not present:
            found.append(total)
    return np.mean(found)


def binary(p, y, w):
    return -(w[:, None] * np.log(np.where(y == 1, p, 1 - p))).sum() / (w.sum() * 3)


DIRECT = {"smoothed": smoothed, "focal": focal, "dice": dice, "lovasz": lovasz, "binary": binary,
          "all": lambda *a: lovasz(*a, present=False)}


@pytest.mark.parametrize("weighted", [False, True])
@each("name", OF_CLASSES)
def test_losses_of_classes_are_the_formula_and_have_its_gradient(name, weighted, rng, ops):
    x, w = rng.normal(size=(6, 3)), WEIGHTS if weighted else np.ones(6)
    options = {"sample_weight": w} if weighted else {}
    found = OF_CLASSES[name](sp.Tensor(x), LABELS, **options)
    assert found.shape == ()
    assert_allclose(found.item(), DIRECT[name](softmax(x), one_hot(LABELS), w), rtol=1e-5)
    sp.check_gradient(lambda x: OF_CLASSES[name](x, LABELS, **options), x)


@pytest.mark.parametrize("weighted", [False, True])
@each("name", OF_BITS)
def test_losses_of_decisions_are_the_formula_and_have_its_gradient(name, weighted, rng, ops):
    x, w = rng.normal(size=(6, 3)), WEIGHTS if weighted else np.ones(6)
    options = {"sample_weight": w} if weighted else {}
    assert_allclose(OF_BITS[name](sp.Tensor(x), BITS, **options).item(), DIRECT[name](expit(x), BITS, w), rtol=1e-5)
    sp.check_gradient(lambda x: OF_BITS[name](x, BITS, **options), x)
    assert_allclose(OF_BITS[name](sp.Tensor(x[:, 0]), BITS[:, 0] > 0).item(),
                    OF_BITS[name](sp.Tensor(x[:, :1]), BITS[:, :1]).item(), rtol=1e-6)


@each("name", [*OF_CLASSES, *(f"{name} of bits" for name in OF_BITS)])
def test_ignored_labels_and_weights_of_zero_are_samples_left_out(name, rng, ops):
    bits = name.endswith("of bits")
    loss, labels = (OF_BITS[name.split()[0]], BITS) if bits else (OF_CLASSES[name], LABELS)
    x, keep = rng.normal(size=(6, 3)), np.array([1, 1, 0, 1, 0, 1], bool)
    alone = loss(sp.Tensor(x[keep]), labels[keep]).item()
    marked = labels.copy()
    marked[~keep] = 255
    leaf = sp.Tensor(x, requires_grad=True)
    value = loss(leaf, marked, ignore_label=255)
    value.backward()
    assert_allclose(value.item(), alone, rtol=1e-6)
    assert not leaf.grad[~keep].any() and leaf.grad[keep].any()
    assert_allclose(loss(sp.Tensor(x), labels, sample_weight=keep).item(), alone, rtol=1e-6)
    twice = np.repeat(np.arange(6), WEIGHTS)
    assert_allclose(loss(sp.Tensor(x), labels, sample_weight=WEIGHTS).item(),
                    loss(sp.Tensor(x[twice]), labels[twice]).item(), rtol=1e-5)
    for nothing in (loss(sp.Tensor(x), np.full_like(labels, -1), ignore_label=(-1, 255)),
                    loss(sp.Tensor(x[:0]), labels[:0])):
        assert nothing.item() == 0


def test_predictions_without_doubt_give_one_less_the_overlap(rng):
    truth, guess = rng.integers(0, 3, (2, 50))
    x = sp.Tensor(60.0 * one_hot(guess))
    both = np.array([((truth == k) & (guess == k)).sum() for k in range(3)])
    sizes = np.array([(truth == k).sum() + (guess == k).sum() for k in range(3)])
    assert lovasz_softmax(x, truth).item() == pytest.approx(1 - np.mean(both / (sizes - both)))
    assert dice_loss(x, truth, smooth=0).item() == pytest.approx(1 - np.mean(2 * both / sizes))


def test_losses_agree_where_they_are_the_same(rng):
    x, two = sp.Tensor(rng.normal(size=(6, 3))), rng.normal(size=(6, 2))
    plain = softmax_cross_entropy(x, LABELS).item()
    assert focal_loss(x, LABELS, gamma=0).item() == pytest.approx(plain)
    assert softmax_cross_entropy(x, LABELS, label_smoothing=0).item() == plain
    weights = [0.5, 2, 1]
    assert focal_loss(x, LABELS, gamma=0, alpha=weights, reduction="sum").item() == pytest.approx(
        softmax_cross_entropy(x, LABELS, weights=weights, reduction="sum").item())
    assert softmax_cross_entropy(sp.Tensor(two), BITS[:, 0]).item() == pytest.approx(
        binary_cross_entropy(sp.Tensor(two[:, 1] - two[:, 0]), BITS[:, 0]).item(), rel=1e-5)
    assert focal_loss(x, BITS, gamma=0, alpha=0.25, reduction="sum").item() == pytest.approx(
        binary_cross_entropy(x, BITS, positive_weight=1 / 3, reduction="sum").item() * 0.75, rel=1e-5)


def test_published_values():
    # torchvision.ops.sigmoid_focal_loss of a logit 0: alpha (1 - p)^2 log 2; torch's CrossEntropyLoss of its docs' form
    assert focal_loss(sp.Tensor([0.0]), [1], alpha=0.25).item() == pytest.approx(0.25 * 0.25 * np.log(2))
    assert focal_loss(sp.Tensor([np.log(9.0)]), [1], alpha=0.25).item() == pytest.approx(-0.25 * 0.01 * np.log(0.9))
    # Lin et al.: with gamma = 2 a sample of p = 0.9 has a loss 100 times lower, one of p = 0.968 about 1000 times
    for p, times in ((0.9, 100), (0.968, 977)):
        x = sp.Tensor([[np.log(p / (1 - p)), 0.0]])
        ratio = softmax_cross_entropy(x, [0]).item() / focal_loss(x, [0]).item()
        assert ratio == pytest.approx(times, rel=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
@each("name", OF_NUMBERS)
def test_losses_of_numbers(name, weighted, rng, ops):
    x, t = rng.normal(0, 2, (2, 6, 3))
    w = WEIGHTS if weighted else np.ones(6)
    each = {"mse": (x - t) ** 2, "l1": abs(x - t), "huber": huber(1, x - t)}[name]
    options = {"sample_weight": w} if weighted else {}
    loss = OF_NUMBERS[name]
    assert_allclose(loss(sp.Tensor(x), t, **options).item(), np.average(each.mean(1), weights=w), rtol=1e-5)
    assert_allclose(loss(sp.Tensor(x), t, reduction="sum", **options).item(), (w @ each).sum(), rtol=1e-5)
    sp.check_gradient(lambda x, t: loss(x, t, **options), x, t)
    assert loss(sp.Tensor(np.zeros((0, 3))), np.zeros((0, 3))).item() == 0
    assert loss(sp.Tensor(x), t, sample_weight=np.zeros(6)).item() == 0
    assert_allclose(loss(sp.Tensor(x[:, 0]), t[:, 0]).item(), each[:, 0].mean(), rtol=1e-5)


@pytest.mark.parametrize("delta", [0.5, 2.0])
def test_huber_takes_its_delta(delta, rng):
    x, t = rng.normal(0, 2, (2, 8, 1))
    assert huber_loss(sp.Tensor(x), t, delta=delta).item() == pytest.approx(huber(delta, x - t).mean(), rel=1e-5)


def test_smoothing_takes_class_weights_as_torch_does(rng):
    x, w = rng.normal(size=(6, 3)), np.array([0.5, 2, 1])
    logs = np.log(softmax(x))
    own = -(w[LABELS] * logs[np.arange(6), LABELS]).sum() / w[LABELS].sum()
    even = -(logs @ w).sum() / w[LABELS].sum() / 3
    assert softmax_cross_entropy(sp.Tensor(x), LABELS, weights=w, label_smoothing=0.1).item() == pytest.approx(
        0.9 * own + 0.1 * even, rel=1e-5)
    sp.check_gradient(lambda x: softmax_cross_entropy(x, LABELS, weights=w, label_smoothing=0.1, sample_weight=WEIGHTS,
                                                      reduction="sum"), x)


@pytest.mark.parametrize("name", ["binary", "focal", "dice", "lovasz"])
def test_logits_of_a_thousand_stay_finite(name):
    x = sp.Tensor([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 0.0]], requires_grad=True)
    value = OF_BITS[name](x, np.array([[1, 1, 0], [1, 0, 1]]))
    value.backward()
    assert np.isfinite(value.item()) and np.isfinite(x.grad).all()


@each("use, error, message", [
    (lambda x: binary_cross_entropy(x, LABELS), ShapeError, "labels in the shape of x, .*use softmax_cross_entropy"),
    (lambda x: binary_cross_entropy(x[:, :1], BITS[:, 0]), ShapeError, r"got shape \(6,\); give labels\[:, None\], or"),
    (lambda x: binary_cross_entropy(x, BITS * 3), ShapeError, "labels from 0 to 1 .*such as .*3.*ignore_label="),
    (lambda x: focal_loss(x, BITS * 0.5), ShapeError, "labels 0 or 1"),
    (lambda x: focal_loss(x, LABELS + 1), ShapeError, "labels from 0 to 2, got 1 to 3"),
    (lambda x: focal_loss(x, LABELS, gamma=-1), ValueError, "gamma to be a number from 0"),
    (lambda x: focal_loss(x, LABELS, alpha=[1, 2]), ShapeError, "alpha to be a number from 0 up, or 3 of them"),
    (lambda x: dice_loss(x, LABELS, classes="some"), ShapeError, "classes to be 'all' or 'present', got 'some'"),
    (lambda x: lovasz_softmax(x, LABELS, sample_weight=[1]), ShapeError, r"sample_weight \(6,\), finite numbers"),
    (lambda x: lovasz_softmax(x, LABELS, sample_weight=[1, 1, -2, 1, 1, 1]), ShapeError, "got -2 for sample 2"),
    (lambda x: lovasz_softmax(x, LABELS[:3]), ShapeError, r"outputs \(b, classes\) and labels \(b,\)"),
    (lambda x: huber_loss(x, BITS, delta=0), ValueError, "delta to be a number above 0, got 0"),
    (lambda x: l1_loss(x, LABELS), ShapeError, "l1_loss: expected x and target of equal shapes"),
    (lambda x: sp.mse(x, BITS, sample_weight=-WEIGHTS), ShapeError, "mse: expected sample_weight"),
    (lambda x: softmax_cross_entropy(x, LABELS, label_smoothing=1), ValueError, "label_smoothing to be a number from"),
    (lambda x: focal_loss(x, LABELS, reduction="max"), ShapeError, "reduction to be 'mean' or 'sum', got 'max'"),
    (lambda x: binary_cross_entropy(x, BITS.astype(str)), ShapeError, "labels"),
    (lambda x: dice_loss(sp.SparseTensor.from_sites([[0, 1]], [[1.0]]), [0]), TypeError, "x to be a Tensor of rows"),
])
def test_what_does_not_fit_is_told(use, error, message):
    with pytest.raises(error, match=message):
        use(sp.Tensor(np.ones((6, 3))))


@pytest.mark.parametrize("loss", [focal_loss, dice_loss, lovasz_softmax])
def test_fit_and_evaluate_hand_the_ignored_label_on(loss, rng):
    x, labels = rng.normal(size=(8, 4)), np.array([0, 1, 2, 255, 1, 0, 255, 2])
    net = sp.models.mlp((4, 3), rng=0)
    history = sp.fit(net, [(sp.Tensor(x), labels)], sp.Adam(net.parameters(), 0.1), 30, loss=loss, ignore_label=255,
                     progress=False)
    assert history.losses[-1] < history.losses[0]
    found = sp.evaluate(net, [(sp.Tensor(x), labels)], loss=loss, ignore_label=255)
    assert 0 <= found.error <= 1 and found.confusion.sum() == 6


@each("labels, remedy", [([0.0, 1.0], r"labels.astype\(int\)"), ([True, False], r"labels.astype\(int\)"),
                         ([[0], [1]], r"labels\[:, 0\]"), (["a", "b"], "np.unique"), (np.eye(2), "argmax")])
def test_labels_that_are_no_class_numbers_are_refused_with_a_remedy(labels, remedy):
    with pytest.raises(ShapeError, match=f"labels .b,. of whole numbers, .*{remedy}"):
        sp.softmax_cross_entropy(np.zeros((2, 2)), labels)
