"""What array users type on a Tensor: exp, log, sqrt, abs, max, min, reshape, T, item, float, comparison, format."""

import operator

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError

METHODS = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs}


@each("name", METHODS)
def test_a_method_is_numpys_function_and_has_its_gradient(name, ops, rng):
    x = rng.uniform(0.5, 3, (4, 3)) * (1 if name in ("log", "sqrt") else [1, -1, 1])
    found = getattr(sp.Tensor(x), name)()
    assert found.shape == (4, 3) and not found.requires_grad
    assert_allclose(found.data, METHODS[name](x), rtol=1e-6)
    sp.check_gradient(lambda x: getattr(x, name)(), x)
    assert getattr(sp.Tensor(np.zeros((0, 3))), name)().shape == (0, 3)


@each("axis", [None, 0, 1, -1])
@each("name", ["max", "min"])
def test_extremes_are_numpys_and_keep_the_axis_as_sum_does(name, axis, ops, rng):
    x = rng.permutation(12).reshape(4, 3) / 7
    found = getattr(sp.Tensor(x), name)(axis)
    assert_allclose(found.data, getattr(x, name)(axis, keepdims=axis is not None), rtol=1e-6)
    assert found.shape == sp.Tensor(x).sum(axis).shape
    sp.check_gradient(lambda x: getattr(x, name)(axis), x)
    assert_array_equal(getattr(np, name)(sp.Tensor(x), axis=axis).data, found.data)


def test_equal_extremes_share_the_gradient_and_nan_wins(ops):
    x = sp.Tensor([[3.0, 1.0, 3.0], [0.0, 2.0, 1.0]], requires_grad=True)
    x.max(1).backward([[4.0], [1.0]])
    assert x.grad.tolist() == [[2, 0, 2], [0, 1, 0]]
    y = sp.Tensor([1.0, np.nan, 5.0], requires_grad=True)
    highest = y.max()
    highest.backward()
    assert np.isnan(highest.item()) and y.grad.tolist() == [0, 1, 0]
    z = sp.Tensor([0.0, -2.0], requires_grad=True)
    abs(z).sum().backward()
    assert z.grad.tolist() == [0, -1]


def test_shapes_change_with_their_gradients(ops, rng):
    x = rng.normal(size=(2, 3, 2))
    t = sp.Tensor(x)
    for shape in ((6, 2), (-1, 2), (12,)):
        assert_array_equal(t.reshape(*shape).data, t.data.reshape(shape))
        assert_array_equal(np.reshape(t, shape).data, t.reshape(shape).data)
    assert_array_equal(t.T.data, t.data.T)
    assert (t.ndim, t.size, t.reshape(12).ndim) == (3, 12, 1)
    sp.check_gradient(lambda x: (x.reshape(3, 4) * 2.0).T.exp(), x)
    sp.check_gradient(lambda x: x.T @ x, x[0])


def test_numbers_are_formatted_compared_and_converted():
    loss = sp.Tensor([[1.0, 3.0]]).mean()
    assert f"{loss:.3f}" == "2.000" and float(loss) == loss.item() == 2.0 and int(loss) == 2
    assert repr(loss) == "Tensor(2, float32)" and repr(sp.Tensor([2.0])) == "Tensor((1,), float32)"
    assert (sp.Tensor([1.0, 2.0]) > 1.5).tolist() == [False, True] and bool(loss == 2)


@pytest.mark.parametrize("use, message", [
    (lambda x: x.max(2), "max: expected an axis of a tensor \\(2, 3\\), or None for all, got 2"),
    (lambda x: x.min(True), "min: expected an axis"),
    (lambda x: sp.Tensor(np.zeros((0, 3))).max(), "max: expected at least one element, got shape \\(0, 3\\)"),
    (lambda x: sp.Tensor(np.zeros((0, 3))).min(0), "min: expected at least one element"),
    (lambda x: x.reshape(4, 2), "reshape: expected a shape of 6 elements, as x \\(2, 3\\) has, got \\(4, 2\\)"),
    (lambda x: x.reshape("all"), "reshape: expected a shape of 6 elements"),
    (lambda x: x.reshape(6, order="F"), "reshape: expected order='C', got 'F'"),
])
def test_what_does_not_fit_is_told(use, message):
    with pytest.raises(ShapeError, match=message):
        use(sp.Tensor(np.ones((2, 3))))
    assert sp.Tensor(np.zeros((0, 3))).max(1).shape == (0, 1)


@each("name", METHODS)
def test_sparse_tensors_have_them_at_every_site_active_or_not(name, ops, rng):
    x = sp.SparseTensor.from_sites([[0, 1], [0, 3]], rng.uniform(0.5, 2, (2, 3)), 5) + 1.0
    assert_allclose(getattr(x, name)().to_dense(), METHODS[name](x.to_dense()), rtol=1e-6)
    plain = sp.SparseTensor.from_sites([[0, 1], [0, 3]], rng.uniform(0.5, 2, (2, 3)), 5, ground=None)
    found = getattr(plain, name)()
    assert found.ground is None and found.grid is plain.grid
    assert_allclose(found.features.data, METHODS[name](plain.features.data), rtol=1e-6)


def test_the_logarithm_of_a_ground_state_of_zero_is_refused():
    x = sp.SparseTensor.from_sites([[0, 1]], [[2.0]], 5)
    with pytest.raises(ShapeError, match=r"log: expected a ground state above 0, or none.*\(x \+ 1\).log\(\)"):
        x.log()
    assert_allclose(abs(-x).features.data, x.features.data)


@each("name", ["sum", "mean", "max", "min"])
@each("axis", [None, 0, -1])
@each("keepdims", [True, False])
def test_axes_are_kept_or_dropped_as_numpy_does(name, axis, keepdims):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    wanted = getattr(x, name)(axis=axis, keepdims=keepdims)
    for found in (getattr(sp.Tensor(x), name)(axis=axis, keepdims=keepdims),
                  getattr(np, name)(sp.Tensor(x), axis=axis, keepdims=keepdims)):
        assert found.shape == wanted.shape
        assert_allclose(found.data, wanted, rtol=1e-5)
    weights = np.random.default_rng(1).normal(size=wanted.shape)
    sp.check_gradient(lambda y: (getattr(y, name)(axis=axis, keepdims=keepdims) * weights).sum(), x)


@each("name", ["exp", "log", "sqrt", "abs", "square", "negative", "reciprocal"])
def test_numpys_functions_of_one_tensor_have_its_gradient(name, ops, rng):
    x = rng.uniform(0.5, 3, (4, 3))
    found = getattr(np, name)(sp.Tensor(x))
    assert isinstance(found, sp.Tensor)
    assert_allclose(found.data, getattr(np, name)(x), rtol=1e-6)
    sp.check_gradient(getattr(np, name), x)


@each("name", ["add", "subtract", "multiply", "divide", "power", "less", "greater_equal", "equal"])
def test_numpys_functions_of_two_are_the_operators_on_either_side(name, ops, rng):
    x, y = rng.uniform(0.5, 3, (2, 4, 3))
    function = getattr(np, name)
    wanted = function(x, y)
    for found in (function(sp.Tensor(x), y), function(x, sp.Tensor(y)), function(sp.Tensor(x), sp.Tensor(y)),
                  function(x.tolist(), sp.Tensor(y))):
        assert_allclose(found.data if isinstance(found, sp.Tensor) else found, wanted, rtol=1e-5)
    assert isinstance(np.float64(2) * sp.Tensor(x), sp.Tensor) and isinstance(np.float32(2) - sp.Tensor(x), sp.Tensor)
    assert_allclose(np.matmul(x, sp.Tensor(y.T)).data, x @ y.T, rtol=1e-5)


def test_numpys_tests_of_numbers_give_arrays():
    x = sp.Tensor([1.0, np.nan, np.inf], requires_grad=True)
    assert np.isfinite(x).tolist() == [True, False, False] and np.isnan(x).tolist() == [False, True, False]


def test_numpys_functions_of_a_sparse_tensor_are_its_own(rng):
    x = sp.SparseTensor.from_sites([[0, 1], [0, 3]], rng.uniform(0.5, 2, (2, 3)), 5) + 1.0
    assert_allclose(np.exp(x).to_dense(), np.exp(x.to_dense()), rtol=1e-6)
    assert_allclose(np.multiply(2, x).to_dense(), (np.float64(2) * x).to_dense())


@pytest.mark.parametrize("call, message", [
    (lambda x: np.maximum(x, 0), r"np.maximum: expected for a Tensor and numbers one of exp, log.* maximum of Tensor, "
                                 r"int; take x.data, without its gradient, or a layer such as ReLU"),
    (lambda x: np.tanh(x), "np.tanh: expected for a Tensor"), (lambda x: np.prod(x), "np.multiply.reduce: expected"),
    (lambda x: np.add.outer([1.0], x), "np.add.outer: expected"), (lambda x: np.add("a", x), "add of str, Tensor"),
    (lambda x: np.exp(x, out=np.zeros(2)), "np.exp: expected no options with a Tensor, got out"),
    (lambda x: operator.iadd(np.zeros(2), x), "write a = a . x for a .= x"),
    (lambda x: np.sum(sp.SparseTensor.from_sites([[0, 1]], [[2.0]], 5)), "take x.features.data"),
])
def test_numpys_other_functions_are_refused_in_plain_words(call, message):
    with pytest.raises(TypeError, match=message):
        call(sp.Tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.parametrize("function", [np.asarray, np.std, np.round, lambda x: np.concatenate([x, x])])
def test_an_array_of_a_tensor_with_a_gradient_is_refused(function):
    with pytest.raises(ValueError, match="without the gradient, by .data"):
        function(sp.Tensor([1.0, 2.0], requires_grad=True))
    assert_allclose(function(sp.Tensor([1.0, 2.0])), function(np.array([1.0, 2.0])))
