"""Activations against the formulas, a number at a time in Python's floats; the ground state goes the same way."""

import math

import numpy as np
import pytest
from contract import sparse
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.backend.cpu import CpuOps
from spconv_cy.errors import ShapeError
from spconv_cy.functional import activation
from spconv_cy.functional.dense import softmax

SCALE, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def logistic(v):
    return 1 / (1 + math.exp(-v)) if v > -700 else 0.0


def elu(v, alpha):
    return v if v > 0 else alpha * math.expm1(v)


FORMULAS = {
    "ReLU": (sp.ReLU, lambda v: max(v, 0.0)),
    "leaky ReLU": (lambda: sp.LeakyReLU(0.2), lambda v: v if v > 0 else 0.2 * v),
    "very leaky ReLU": (sp.VeryLeakyReLU, lambda v: v if v > 0 else v / 3),
    "PReLU": (lambda: sp.layers.PReLU(4), lambda v: v if v > 0 else v / 4),
    "ELU": (sp.layers.ELU, lambda v: elu(v, 1)),
    "ELU with alpha": (lambda: sp.layers.ELU(0.3), lambda v: elu(v, 0.3)),
    "SELU": (sp.layers.SELU, lambda v: SCALE * elu(v, ALPHA)),
    "SiLU": (sp.layers.SiLU, lambda v: v * logistic(v)),
    "GELU": (sp.layers.GELU, lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2),
    "ReLU6": (sp.layers.ReLU6, lambda v: min(max(v, 0), 6)),
    "hard swish": (sp.layers.HardSwish, lambda v: v * min(max(v + 3, 0), 6) / 6),
    "hard sigmoid": (sp.layers.HardSigmoid, lambda v: min(max(v + 3, 0), 6) / 6),
    "tanh": (sp.layers.Tanh, math.tanh),
    "sigmoid": (sp.layers.Sigmoid, logistic),
}
formulas = each("make, formula", FORMULAS.values(), ids=FORMULAS)
VALUES = np.array([0.0, 0.5, -0.5, 1, -1, 3, -3, 1e-4, -1e-4, 9, -9, 40, -40, 89, -89, 1e4, -1e4, 1e30, -1e30, 2.5])


@formulas
def test_an_activation_is_its_formula_and_nothing_overflows(make, formula, ops):
    x = VALUES.reshape(5, 4)
    y = make()(x)
    expected = np.vectorize(formula)(x)
    assert y.dtype == (np.float64 if ops == "reference" else np.float32)
    assert_allclose(y.data, expected, rtol=3e-6 if ops == "cpu" else 1e-14, atol=1e-7 if ops == "cpu" else 1e-15)


def test_the_sigmoid_keeps_its_digits_far_below_zero(ops):
    y = sp.layers.Sigmoid()(np.array([[-30.0, -80.0]])).data
    assert_allclose(y, [[math.exp(-30) / (1 + math.exp(-30)), math.exp(-80)]], rtol=1e-5)


@formulas
def test_gradients_are_finite_and_right_where_numbers_are_large(make, formula, ops):
    leaf = sp.Tensor(np.array([[50.0, -50.0, 1e20, -1e20]]), requires_grad=True)
    layer = make()
    layer(leaf).backward(np.ones((1, 4)))
    far = {"Tanh": (0, 0), "Sigmoid": (0, 0), "SELU": (SCALE, 0), "LeakyReLU": (1, 0.2), "VeryLeakyReLU": (1, 1 / 3),
           "PReLU": (1, 0.25), "ReLU6": (0, 0), "HardSigmoid": (0, 0)}.get(type(layer).__name__, (1, 0))
    assert_allclose(leaf.grad, [far * 2], atol=1e-6)


@formulas
@pytest.mark.parametrize("family", ["drawn", "zero"])
def test_the_dense_result_is_the_activation_of_the_dense_array(make, formula, family, ops):
    x = sparse(2, 4, 5, family)((6, 0, 3))
    assert_allclose(make()(x).to_dense(), np.vectorize(formula)(x.to_dense()), rtol=1e-5, atol=1e-6)


class Doubled(sp.SubmanifoldConvolution):
    """A user's convolution with a call of its own."""

    def __call__(self, x):
        return super().__call__(x) + super().__call__(x)


@pytest.mark.parametrize("make, passes", [
    (lambda: [sp.Convolution(2, 4, 4, 2, rng=0)], 0),
    (lambda: [sp.SubmanifoldConvolution(2, 4, 4, rng=0)], 0),
    (lambda: [sp.Convolution(2, 4, 4, 2, 2, rng=0), sp.Deconvolution(2, 4, 4, 2, 2, rng=0)], 0),
    (lambda: [sp.NetworkInNetwork(4, 4, rng=0)], 0),
    (lambda: [sp.BatchNormalization(4)], 0),
    (lambda: [Doubled(2, 4, 4, rng=0)], 1),
    (lambda: [sp.MaxPooling(2, 2)], 1),
])
def test_a_relu_is_done_in_the_pass_of_the_layer_before(make, passes, monkeypatch):
    layers, x, calls, verb = make(), sparse(2, 4, 8, None)((6, 0, 3)), [], CpuOps.leaky_relu
    expected = sp.LeakyReLU(0.2)(sp.Sequential(*layers)(x)).features.data
    monkeypatch.setattr(CpuOps, "leaky_relu", lambda *given: calls.append(1) or verb(*given))
    assert_array_equal(sp.Sequential(*layers, sp.LeakyReLU(0.2))(x).features.data, expected)
    assert len(calls) == passes


def test_without_a_ground_state_inactive_sites_stay_zero(ops):
    y = sp.layers.Sigmoid()(sparse(2, 4, 5, None)((6, 0, 3)))
    assert y.ground is None
    assert_array_equal((y.to_dense() != 0).any(1).sum(), 9)


def test_softmax_gives_shares_of_each_row_and_of_the_ground(ops):
    x = sparse(2, 4, 5, "drawn")((6, 0, 3))
    y = sp.layers.Softmax()(x)
    for found, given in ((y.features, x.features), (y.ground, x.ground)):
        expected = [[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in given.data.tolist()]
        assert_allclose(found.data, expected, rtol=1e-6)
    far = sp.layers.Softmax()(np.array([[1e4, 1e4, -1e4, 0], [-1e4, -2e4, -3e4, -1e4], [1e30, -1e30, 0, 0]])).data
    assert_allclose(far, [[0.5, 0.5, 0, 0], [0.5, 0, 0, 0.5], [1, 0, 0, 0]], atol=1e-7)
    with pytest.raises(ShapeError, match=r"expected rows of shape \(n, c\), got shape \(4,\)"):
        sp.layers.Softmax()(np.zeros(4))


def test_every_channel_of_a_prelu_learns_its_slope(ops):
    layer = sp.layers.PReLU(3)
    layer.weight.data[...] = [[0.0, 0.5, 2.0]]
    y = layer(np.array([[-1.0, -2, -3], [4, -5, 6]]))
    assert y.data.tolist() == [[0, -1, -6], [4, -2.5, 6]]
    y.backward(np.array([[1.0, 10, 100], [1000, 1, 1]]))
    assert layer.weight.grad.tolist() == [[-1, -25, -300]]


@pytest.mark.parametrize(
    "function",
    [activation.tanh, activation.sigmoid, activation.silu, activation.gelu, lambda x: activation.elu(x, 0.7, 1.3),
     softmax],
)
def test_gradients_of_the_smooth_functions(function, rng):
    x = rng.normal(0, 2, (6, 4))
    sp.check_gradient(function, np.where(np.abs(x) > 1e-3, x, 1))
    sp.check_gradient(function, np.zeros((0, 4)))


@pytest.mark.parametrize("function, bounds", [(lambda x: activation.clip(x, 0, 6), (0, 6)),
                                              (lambda x: activation.clip(x, -1.5, 0.25), (-1.5, 0.25)),
                                              (activation.hard_sigmoid, (-3, 3)), (activation.hard_swish, (-3, 3))])
def test_gradients_of_straight_pieces_end_at_their_bounds(function, bounds, rng):
    x = rng.uniform(-9, 9, (12, 4))
    near = np.abs(x[..., None] - bounds).min(2) < 1e-3
    sp.check_gradient(function, np.where(near, x + 0.01, x))
    sp.check_gradient(function, np.zeros((0, 4)))
    leaf = sp.Tensor(np.array([[*bounds, np.nan]]), requires_grad=True)
    y = function(leaf)
    y.backward(np.ones((1, 3)))
    assert leaf.grad[0, :2].tolist() == ([0, 1] if function is activation.hard_swish else [0, 0])
    assert np.isnan(y.data[0, 2])


def test_gradients_of_learnt_slopes(rng):
    sp.check_gradient(activation.prelu, rng.normal(0, 2, (6, 4)), rng.normal(size=(1, 4)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sp.layers.PReLU(0), "channels"),
        (lambda: sp.layers.PReLU(3, slope=float("nan")), "expected slope to be a finite number, got nan"),
        (lambda: sp.layers.PReLU(3)(np.zeros((2, 4))), "expected features with 3 channels, got 4"),
        (lambda: sp.layers.PReLU(3)(np.zeros(3)), r"expected rows of shape \(n, 3\), got shape \(3,\)"),
        (lambda: sp.layers.ELU(-1), "expected alpha to be a number from 0 up, got -1"),
        (lambda: sp.layers.ELU("1"), "expected alpha to be a finite number, got '1'"),
    ],
)
def test_arguments_that_do_not_fit_are_told(make, message):
    with pytest.raises(ShapeError, match=message):
        make()
