"""Arithmetic of sparse tensors: equal to the same arithmetic of dense arrays, at the sites and between them."""

import operator

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError

FUNCTIONS = [operator.add, operator.sub, operator.mul, operator.truediv]
NAMES = {"ids": lambda function: getattr(function, "__name__", str(function))}


def tensor(rng, ground="drawn", channels=3, grid=None, n=20):
    """Draw a tensor of numbers from 1 to 2 on a field of 6 x 6, so that quotients are tame."""
    grid = grid or sp.Grid.from_sites(random_sites(rng, n, 2, 0, 6, 2), 6, 2)
    row = sp.Tensor(rng.uniform(1, 2, (1, channels))) if ground == "drawn" else None
    return sp.SparseTensor(sp.Tensor(rng.uniform(1, 2, (grid.n, channels))), grid, row)


def sliding_window(x, row):
    """Bring a row (1, c), or a number, beside a dense array (b, c, h, w)."""
    return np.reshape(np.float64(row), (1, -1, 1, 1)) if np.size(row) > 1 else float(np.float64(row).reshape(()))


@each("other", [2, 0.5, np.float32(3), np.int8(2), np.array(1.5), "(1, 1)", "()", "(1, 3)"], ids=str)
@each("function", FUNCTIONS, **NAMES)
def test_numbers_and_rows_act_as_on_the_dense_array(function, other, ops, rng):
    x = tensor(rng)
    shapes = {"()": (), "(1, 1)": (1, 1), "(1, 3)": (1, 3)}
    other = sp.Tensor(rng.uniform(1, 2, shapes[other])) if isinstance(other, str) else other
    plain = sliding_window(x, other.numpy() if isinstance(other, sp.Tensor) else other)
    dense = np.float64(x.to_dense())
    for found, expected in ((function(x, other), function(dense, plain)), (function(other, x), function(plain, dense))):
        assert isinstance(found, sp.SparseTensor) and found.grid is x.grid and found.point_rows is x.point_rows
        assert_allclose(found.to_dense(), expected, rtol=1e-5)


@each("ground", ["drawn", None])
@each("function", FUNCTIONS, **NAMES)
def test_tensors_on_one_grid_act_as_their_dense_arrays(function, ground, ops, rng):
    x = tensor(rng, ground)
    y = tensor(rng, ground, grid=x.grid)
    found = function(x, y)
    assert_allclose(found.features.data, function(np.float64(x.features.data), np.float64(y.features.data)), rtol=1e-5)
    if ground is None:
        assert found.ground is None
    else:
        assert_allclose(found.to_dense(), function(np.float64(x.to_dense()), np.float64(y.to_dense())), rtol=1e-5)


def test_one_channel_gates_all_and_is_refused_by_a_sum(ops, rng):
    x = tensor(rng)
    gate = tensor(rng, channels=1, grid=x.grid)
    for found, function in ((x * gate, operator.mul), (gate * x, operator.mul), (x / gate, operator.truediv)):
        expected = function(np.float64(x.to_dense()), np.float64(gate.to_dense()))
        assert found.channels == 3
        assert_allclose(found.to_dense(), expected, rtol=1e-5)
    for function in (operator.add, operator.sub):
        with pytest.raises(ShapeError, match="same grid, with the same channels"):
            function(x, gate)


def test_without_a_ground_state_a_number_is_added_to_the_active_sites_alone(ops, rng):
    x = tensor(rng, None)
    assert_allclose((x + 1).to_dense(), np.where(x.to_dense() != 0, x.to_dense() + 1, 0), rtol=1e-6)
    assert (x - 1).ground is (1 - x).ground is (-x).ground is None


def test_gradients_flow_to_features_ground_states_and_rows(ops, rng):
    x = tensor(rng)
    gate, row = tensor(rng, channels=1, grid=x.grid), sp.Tensor(rng.uniform(1, 2, (1, 3)), requires_grad=True)
    leaves = [x.features, x.ground, gate.features, gate.ground]
    for leaf in leaves:
        leaf.requires_grad = True
    y = -(2 - x * row) * gate / 3
    (y.features.sum() + y.ground.sum()).backward()
    features, ground, gates, gate_ground = (np.float64(leaf.data) for leaf in leaves)
    weights = np.float64(row.data)
    assert_allclose(x.features.grad, weights * gates / 3, rtol=1e-5)
    assert_allclose(x.ground.grad, weights * gate_ground / 3, rtol=1e-5)
    assert_allclose(gate.features.grad, ((features * weights - 2) / 3).sum(1, keepdims=True), rtol=1e-4, atol=1e-5)
    assert_allclose(gate.ground.grad, ((ground * weights - 2) / 3).sum(1, keepdims=True), rtol=1e-4, atol=1e-5)
    assert_allclose(row.grad, (features * gates).sum(0, keepdims=True) / 3 + ground * gate_ground / 3, rtol=1e-4)


def test_sums_of_several_begin_with_pythons_zero(ops, rng):
    x = tensor(rng)
    assert_allclose(sum([x, x, x]).to_dense(), 3 * x.to_dense(), rtol=1e-6)


def test_length_shape_and_truth():
    x = sp.SparseTensor.from_sites([[0, 1], [0, 4]], [[1.0, 2.0, 3.0]] * 2)
    assert len(x) == 2 and x.shape == (2, 3) and bool(x)
    nothing = sp.SparseTensor.from_sites(np.zeros((0, 2), int), np.zeros((0, 3)), size=4, samples=1)
    assert len(nothing) == 0 and nothing.shape == (0, 3) and bool(nothing)
    assert len(nothing * 2 + 1) == 0


@pytest.mark.parametrize("sign, method", [("+", r"a\.add\(b\)"), ("-", r"a\.add\(-b\)"), ("*", r"a\.multiply\(b\)"),
                                          ("/", r"a\.multiply\(1 / b\)")])
def test_grids_made_apart_are_told_the_method_that_joins_them(sign, method, rng):
    function = dict(zip("+-*/", FUNCTIONS, strict=True))[sign]
    x = tensor(rng, n=5)
    twin = tensor(rng, grid=sp.Grid.from_sites(x.sites, 6, 2))
    with pytest.raises(ShapeError, match=f"sites are equal, but in two grids: {method}"):
        function(x, twin)
    with pytest.raises(ShapeError, match="how=.* joins tensors with different sites"):
        function(x, tensor(rng, n=7))
    with pytest.raises(ShapeError, match="without a ground state"):
        function(x, tensor(rng, None, grid=x.grid))


def test_the_methods_that_are_named_give_what_the_operators_would(ops, rng):
    a = tensor(rng)
    b = tensor(rng, grid=a.grid)
    apart = tensor(rng, grid=sp.Grid.from_sites(a.sites, 6, 2)).with_features(b.features, b.ground)
    for found, expected in ((a.add(apart), a + b), (a.add(-apart), a - b), (a.multiply(apart), a * b),
                            (a.multiply(1 / apart), a / b)):
        assert_allclose(found.to_dense(), expected.to_dense(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones((20, 3)), [1.0, 2.0, 3.0], np.ones((1, 3))], ids=np.shape)
def test_arrays_are_refused_with_the_remedy_on_both_sides(wrong, rng):
    x = tensor(rng)
    for function in FUNCTIONS:
        for call in (lambda f=function: f(x, wrong), lambda f=function: f(wrong, x)):
            with pytest.raises(TypeError, match="with_features"):
                call()


def test_what_is_no_operand_and_arrays_of_it_are_refused(rng):
    x = tensor(rng)
    for wrong in (None, "a", 1j, object()):
        for function in FUNCTIONS:
            with pytest.raises(TypeError):
                function(x, wrong)
            with pytest.raises(TypeError):
                function(wrong, x)
    for rows in (sp.Tensor(np.ones((20, 3))), sp.Tensor(np.ones((1, 2))), sp.Tensor(np.ones(3))):
        with pytest.raises(ShapeError, match="with_features"):
            x * rows
        with pytest.raises(ShapeError, match="with_features"):
            rows * x
    with pytest.raises(TypeError, match=r"x\.features.*to_dense"):
        np.asarray(x)
    with pytest.raises(ShapeError, match="float32 holds"):
        x * 1e39
