"""What array users type on a Tensor: exp, log, sqrt, abs, max, min, reshape, T, item, float, comparison, format."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError

METHODS = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_numpys_function_and_has_its_gradient(name, ops, rng):
    x = rng.uniform(0.5, 3, (4, 3)) * (1 if name in ("log", "sqrt") else [1, -1, 1])
    found = getattr(sp.Tensor(x), name)()
    assert found.shape == (4, 3) and not found.requires_grad
    assert_allclose(found.data, METHODS[name](x), rtol=1e-6)
    sp.check_gradient(lambda x: getattr(x, name)(), x)
    assert getattr(sp.Tensor(np.zeros((0, 3))), name)().shape == (0, 3)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["max", "min"])
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


@pytest.mark.parametrize("name", METHODS)
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


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("keepdims", [True, False])
def test_axes_are_kept_or_dropped_as_numpy_does(name, axis, keepdims):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    wanted = getattr(x, name)(axis=axis, keepdims=keepdims)
    for found in (getattr(sp.Tensor(x), name)(axis=axis, keepdims=keepdims),
                  getattr(np, name)(sp.Tensor(x), axis=axis, keepdims=keepdims)):
        assert found.shape == wanted.shape
        assert_allclose(found.data, wanted, rtol=1e-5)
    weights = np.random.default_rng(1).normal(size=wanted.shape)
    sp.check_gradient(lambda y: (getattr(y, name)(axis=axis, keepdims=keepdims) * weights).sum(), x)
