"""numpy beside a Tensor: on the left of an operator, around it as an array, and Python's questions of one number."""

import operator

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
OTHERS = [2.5, 3, True, np.float32(1.5), np.float64(0.25), np.int64(2), np.bool_(True), np.longdouble(2),
          np.array(1.5), np.array([1.0, 2.0, 3.0]), np.full((2, 3), 2, np.int32), np.ones((2, 1), np.float16)]


def numbers(rng):
    return rng.uniform(0.5, 2, (2, 3))


@each("other", OTHERS, ids=lambda other: f"{type(other).__name__}{np.shape(other)}")
@each("function", OPERATORS, ids=lambda function: function.__name__)
def test_an_operator_gives_what_numpy_gives_whichever_side_the_array_is_on(function, other, ops, rng):
    array = numbers(rng)
    for needs_gradient in (False, True):
        tensor = sp.Tensor(array, requires_grad=needs_gradient)
        plain = np.float64(tensor.numpy())
        for found, expected in ((function(tensor, other), function(plain, np.float64(other))),
                                (function(other, tensor), function(np.float64(other), plain))):
            assert isinstance(found, sp.Tensor) and found.dtype == tensor.dtype and found.shape == expected.shape
            assert found.requires_grad == needs_gradient
            assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_gradients_flow_to_a_tensor_on_the_right_of_numpy(ops, rng):
    array, left = numbers(rng), rng.normal(size=(4, 2))
    for function, expected in ((lambda t: left @ t, left.T @ np.ones((4, 3))),
                               (lambda t: np.float64(3) - t, -np.ones((2, 3))),
                               (lambda t: np.ones(3) / t, -1 / np.float64(array) ** 2),
                               (lambda t: np.float32(2) * t, np.full((2, 3), 2.0))):
        tensor = sp.Tensor(array, requires_grad=True)
        function(tensor).sum().backward()
        assert_allclose(tensor.grad, expected, rtol=1e-5, atol=1e-6)


def test_matrices_of_numpy_multiply_from_both_sides(ops, rng):
    array, left, right = numbers(rng), rng.normal(size=(4, 2)), rng.normal(size=(3, 5))
    tensor = sp.Tensor(array)
    assert_allclose((left @ tensor).data, left @ array, rtol=1e-5, atol=1e-6)
    assert_allclose((tensor @ right).data, array @ right, rtol=1e-5, atol=1e-6)
    with pytest.raises(ShapeError, match="matmul"):
        np.ones(2) @ tensor


def test_an_array_of_a_tensor_is_its_data_or_a_clear_error(ops, rng):
    tensor = sp.Tensor(numbers(rng))
    assert np.shares_memory(np.asarray(tensor), tensor.data) and np.allclose(tensor, tensor.numpy())
    assert np.asarray(tensor, np.int64).dtype == np.int64
    assert not np.shares_memory(np.array(tensor), tensor.data)
    assert np.asarray(sp.Tensor(2.0) * 3.0).shape == ()
    needy = sp.Tensor(numbers(rng), requires_grad=True)
    for function in (np.asarray, lambda t: np.allclose(t, 1), lambda t: np.concatenate([t, t])):
        with pytest.raises(ValueError, match=r"needs no gradient.*\.data or \.numpy\(\)"):
            function(needy)


@each("wrong", [None, "a", 1j, np.complex64(1), np.array([1j]), np.array(["a"]), np.array([None]),
                object(), {}], ids=lambda x: type(x).__name__)
def test_what_is_no_number_is_refused_by_a_type_error_on_both_sides(wrong):
    tensor = sp.Tensor([1.0])
    for function in OPERATORS:
        for call in (lambda f=function: f(tensor, wrong), lambda f=function: f(wrong, tensor)):
            with pytest.raises(TypeError, match="Tensor|complex"):
                call()


def test_a_tensor_of_one_element_is_a_python_number():
    for one in (sp.Tensor(2.5), sp.Tensor([2.5]), sp.Tensor([[2.5]], requires_grad=True)):
        assert float(one) == one.item() == 2.5 and type(one.item()) is float and int(one) == 2
        assert f"{one:.3f}" == "2.500" and bool(one) and f"{one}" == repr(one)
    assert not sp.Tensor(0.0) and not sp.Tensor([[0.0]])
    for several in (sp.Tensor([1.0, 2.0]), sp.Tensor(np.zeros((0, 3)))):
        for function in (float, int, bool, lambda t: t.item(), lambda t: f"{t:.1f}"):
            with pytest.raises(ValueError, match="one element"):
                function(several)


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_numpys_reductions_keep_the_gradient_and_refuse_their_options(name, ops, rng):
    array = rng.normal(size=(3, 4))
    x = sp.Tensor(array, requires_grad=True)
    reduce = getattr(np, name)
    for y, expected in ((reduce(x), reduce(array)), (reduce(x, 0), reduce(array, 0, keepdims=True)),
                        (getattr(x, name)(), reduce(array))):
        assert isinstance(y, sp.Tensor) and y.requires_grad
        assert_allclose(y.data, expected, rtol=1e-5, atol=1e-6)
    reduce(x).backward()
    assert_allclose(x.grad, np.full((3, 4), 1 if name == "sum" else 1 / 12), rtol=1e-6)
    for options in ({"dtype": np.float64}, {"out": np.zeros(())}):
        with pytest.raises(TypeError, match=f"^{name}: expected no dtype and no out"):
            reduce(x, **options)


def test_order_and_equality_are_asked_of_each_element():
    a = sp.Tensor([1.0, 2.0, 3.0])
    for other in (sp.Tensor([3.0, 2.0, 1.0]), [3.0, 2.0, 1.0], np.array([3.0, 2.0, 1.0])):
        assert_array_equal(a < other, [True, False, False])
        assert_array_equal(a <= other, [True, True, False])
        assert_array_equal(a > other, [False, False, True])
        assert_array_equal(other < a, [False, False, True])
        assert_array_equal(a == other, [False, True, False])
        assert_array_equal(a != other, [True, False, True])
    assert sp.Tensor(1.0) < 2 and np.float64(2) > sp.Tensor(1.0)
    assert (a == None) is False and (a != "text") is True and a in {a: 1}  # noqa: E711
    with pytest.raises(TypeError):
        assert a < None


def test_rows_come_one_by_one_and_a_number_has_none():
    assert [row.data.tolist() for row in sp.Tensor([[1.0, 2.0], [3.0, 4.0]])] == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(TypeError, match="to iterate over"):
        list(sp.Tensor(1.0))


def test_exponents_are_numbers_arrays_or_tensors(ops, rng):
    array = numbers(rng)
    tensor = sp.Tensor(array)
    for exponent in (2, -1, 0.5, np.float64(3), np.array([1.0, 2.0, 3.0]), sp.Tensor([1.0, 2.0, 3.0])):
        plain = exponent.numpy() if isinstance(exponent, sp.Tensor) else exponent
        assert_allclose((tensor**exponent).data, np.float64(array) ** plain, rtol=1e-5)
    assert_allclose((2.0**tensor).data, 2.0**array, rtol=1e-5)
    assert_allclose((np.array([1.0, 2.0, 3.0]) ** tensor).data, np.array([1.0, 2.0, 3.0]) ** array, rtol=1e-5)


# Whose memory it is


@each("dtype", [np.float32, np.float64, np.float16, np.int32])
@each("turned", [False, True], ids=["sorted", "turned round"])
def test_a_tensor_of_sites_owns_its_features_whatever_the_order_and_the_dtype(dtype, turned, ops):
    sites, buffer = np.array([[0, 0], [0, 1], [0, 2]])[::-1 if turned else 1], np.zeros((3, 1), dtype)
    made = {
        "from_sites": lambda: sp.SparseTensor.from_sites(sites, buffer),
        "merged": lambda: sp.SparseTensor.from_sites(sites, buffer, reduce="sum"),
        "from_points": lambda: sp.SparseTensor.from_points(sites + [0, 0.25], buffer),
        "a tensor": lambda: sp.SparseTensor.from_sites(sites, sp.Tensor(buffer)),
        "from_dense": lambda: sp.SparseTensor.from_dense(buffer.reshape(1, 1, 3), 0),
        "padded": lambda: sp.exchange.from_padded(sites[None, :, 1:], buffer[None]).tensor,
        "Tensor": lambda: sp.Tensor(buffer),
        "parameter": lambda: sp.Tensor(buffer, requires_grad=True),
        "collate": lambda: sp.collate([sp.SparseTensor.from_sites(sites, buffer)]),
    }
    for name, make in made.items():
        buffer[:] = 1
        x = make()
        buffer[:] = 2
        data = x.features.data if isinstance(x, sp.SparseTensor) else x.data
        assert (data == 1).all() and not np.shares_memory(data, buffer), name


def test_a_callers_tensor_keeps_its_memory_and_gets_its_gradient(ops):
    leaf = sp.Tensor([[1.0], [2.0]], requires_grad=True)
    x = sp.SparseTensor.from_sites([[0, 0], [0, 1]], leaf)
    assert not np.shares_memory(x.features.data, leaf.data)
    (x.features * x.features).sum().backward()
    assert_array_equal(leaf.grad, [[2.0], [4.0]])


def test_a_collated_batch_shares_no_ground_state_with_its_parts():
    x = sp.SparseTensor.from_sites([[0, 0]], [[1.0]])
    batch = sp.collate([x, x])
    batch.ground.data[...] = 5
    assert (x.ground.data == 0).all()


def test_rows_that_several_tensors_share_are_read_only():
    x = sp.SparseTensor.from_sites([[0, 1], [0, 0]], [[1.0], [2.0]])
    for y in (x, sp.collate([x, x]), sp.ReLU()(x)):
        with pytest.raises(ValueError, match="read-only"):
            y.point_rows[0] = 0


def test_arrays_given_as_features_become_tensors_and_tensors_in_lists_say_what_they_lack():
    buffer, x = np.ones((2, 1), np.float32), sp.SparseTensor.from_sites([[0, 1], [0, 0]], [[1.0], [2.0]])
    y = x.with_features(buffer, np.zeros((1, 1)))
    buffer[:] = 5
    assert y.features.data.tolist() == [[1.0], [1.0]] and isinstance(y.ground, sp.Tensor)
    assert sp.Tensor([sp.Tensor(1.0), sp.Tensor(2.0)]).data.tolist() == [1.0, 2.0]
    with pytest.raises(ShapeError, match="needs no gradient"):
        sp.Tensor([sp.Tensor(1.0, requires_grad=True)])
