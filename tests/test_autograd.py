"""The tape: what is recorded, what is called, how gradients meet, how deep it may be."""

import itertools
import pickle
import weakref

import numpy as np
import pytest
from contract import stack

import spconv_cy as sp
from spconv_cy.autograd import add, fold_to, matmul, multiply
from spconv_cy.backend.switch import ops_named
from spconv_cy.errors import BackendError, ShapeError
from spconv_cy.functional.dense import concatenate


def leaf(*values):
    """Make a tensor of one row that wants a gradient."""
    return sp.Tensor([list(values)], requires_grad=True)


def told(called, name, value):
    """Make a thunk that leaves its name in a list."""

    def thunk():
        called.append(name)
        return value

    return thunk


@sp.differentiable
def noted(a, b, called):
    """Add, and note which gradients are asked for."""
    return a + b, lambda dy: (told(called, "a", dy), told(called, "b", 2 * dy), None)


def test_a_gradient_is_worked_out_only_for_arguments_that_need_one(ops):
    for a_needs, b_needs in itertools.product([False, True], repeat=2):
        called = []
        a, b = sp.Tensor([[1.0]], requires_grad=a_needs), sp.Tensor([[2.0]], requires_grad=b_needs)
        y = noted(a, b, called)
        assert y.requires_grad == (a_needs or b_needs) and called == []
        if y.requires_grad:
            y.backward()
        assert called == ["a"] * a_needs + ["b"] * b_needs
        assert (a.grad is not None, b.grad is not None) == (a_needs, b_needs)


def test_a_first_layer_works_out_no_gradient_for_its_input(ops, monkeypatch):
    x = sp.SparseTensor.from_sites([[0, 1, 1], [0, 2, 2]], [[1.0], [2.0]], 4)
    net = sp.Sequential(sp.Convolution(2, 1, 2, 3, rng=0), sp.Convolution(2, 2, 3, 2, rng=1))
    backend, calls = ops_named(ops), []

    def conv(x, *rest, **named):
        calls.append(x.shape)
        return type(backend).conv(backend, x, *rest, **named)

    monkeypatch.setattr(backend, "conv", conv)
    monkeypatch.setattr(backend, "joint", None)                          # which computes several gradients by one call
    y = net(x)
    calls.clear()
    (y.features.sum() + y.ground.sum()).backward()
    assert len(calls) == 2 and all(shape[1] == 3 for shape in calls)  # the second layer's features and its ground


def test_a_shared_node_is_gone_through_once_with_the_sum_of_its_gradients(ops):
    a, calls = leaf(1.0, 2.0, 3.0), []

    @sp.differentiable
    def double(x):
        return 2 * x, lambda dy: (calls.append(dy.copy()) or 2 * dy,)

    shared = double(a)
    y = shared * shared + shared * 3 + shared
    y.backward(np.ones((1, 3)))
    assert len(calls) == 1 and np.allclose(calls[0], 2 * 2 * a.data + 4)
    assert np.allclose(a.grad, 2 * (4 * a.data + 4))


def test_an_operand_that_comes_twice_gets_both_gradients(ops):
    a = leaf(3.0)
    (a * a * a).backward()
    assert a.grad.tolist() == [[27]]


def test_gradients_add_up_until_they_are_cleared_and_inner_nodes_keep_none(ops):
    a = leaf(1.0, 2.0)
    middle = a * 2
    loss = (middle * middle).sum()
    loss.backward()
    first = a.grad.copy()
    loss.backward()  # the tape stays as long as its last tensor
    assert np.array_equal(a.grad, 2 * first) and middle.grad is None and loss.grad is None
    a.grad = None
    loss.backward()
    assert np.array_equal(a.grad, first)


def test_a_gradient_is_not_the_array_that_another_leaf_holds_and_adds_to(ops):
    a, b = leaf(1.0), leaf(2.0)
    (a + b).backward()
    before = b.grad.copy()
    (a * 5).backward()
    assert a.grad.tolist() == [[6]] and np.array_equal(b.grad, before)
    given = np.ones((1, 1))
    c = leaf(4.0)
    c.backward(given)
    c.backward(given)
    assert given.tolist() == [[1]] and c.grad.tolist() == [[2]]


def test_graphs_of_five_thousand_nodes_pass_and_are_freed_without_recursion(ops):
    a = leaf(1.0, -1.0)
    y = a
    for _ in range(5000):
        y = y + a
    y.sum().backward()
    assert a.grad.tolist() == [[5001, 5001]]
    end = weakref.ref(y)
    del y
    assert end() is None


def test_a_ladder_whose_paths_double_at_each_step_is_gone_through_in_time(ops):
    y = a = leaf(1.0)
    for _ in range(60):  # 2^60 paths, 60 nodes
        y = y + y
    y.backward()
    assert a.grad.tolist() == [[2.0**60]]


def test_a_node_waits_for_all_who_read_it(ops):
    a = leaf(1.0)
    early = a * 2
    long = early
    for _ in range(10):
        long = long * 1
    (early + long + early).backward()
    assert a.grad.tolist() == [[6]]


def test_no_grad_and_constants_record_nothing(ops):
    a, constant = leaf(1.0), sp.Tensor([[1.0]])
    assert not (constant * constant).requires_grad
    with sp.no_grad():
        assert not (a * a).requires_grad
        with sp.no_grad():
            pass
        assert not (a * a).requires_grad
    assert (a * a).requires_grad
    with pytest.raises(RuntimeError, match="expected a recorded tensor"):
        (constant * constant).backward()


def test_evaluation_records_nothing_and_leaves_no_tape_alive(ops):
    net = sp.Sequential(sp.NetworkInNetwork(2, 3, rng=0), sp.BatchNormalization(3), sp.ReLU())
    for training in (True, False):
        x = sp.Tensor(np.ones((4, 2)))
        y, held = net.train(training)(x), weakref.ref(x)
        del x
        assert y.requires_grad == training == (held() is not None)       # the tape holds what it goes back to
    net.train()[0].freeze()
    y = net(sp.Tensor(np.ones((4, 2))))
    y.sum().backward()
    assert net[0].weight.grad is None and net[1].weight.grad is not None


def test_backward_asks_for_a_gradient_that_fits(ops):
    y = leaf(1.0, 2.0) * 3
    for gradient, says in ((None, "a tensor of one element"), (np.ones(2), r"\(2,\)"), (np.ones((2, 1)), r"\(2, 1\)")):
        with pytest.raises(ShapeError, match=says):
            y.backward(gradient)
    y.sum().backward()


def test_arrays_of_two_backends_do_not_meet_in_silence():
    here, there = sp.Tensor([[1.0]]), sp.Tensor([[1.0]]).to("reference")
    assert (here.dtype, there.dtype) == (np.float32, np.float64)
    for operate in (matmul, add, multiply, concatenate):
        for pair in ((here, there), (there, here)):
            with pytest.raises(BackendError, match="cpu.*reference|reference.*cpu"):
                operate(*pair)
    x = sp.SparseTensor.from_sites([[0, 1]], [[1.0]], 4)
    for kind, sizes in ((sp.NetworkInNetwork, (1, 1)), (sp.Convolution, (1, 1, 1, 2)), (sp.BatchNormalization, (1,))):
        for layer in (kind(*sizes), kind(*sizes).eval()):
            with pytest.raises(BackendError, match=r'\.to\("'):
                layer(x.to("reference"))
            assert layer.to("reference")(x.to("reference")).features.dtype == np.float64


def test_a_tensor_among_the_options_is_refused_since_its_gradient_would_be_lost():
    with pytest.raises(TypeError, match="positional"):
        noted(leaf(1.0), leaf(2.0), called=sp.Tensor([[0.0]]))


def test_operators_are_those_of_numpy(ops, rng):
    a, b = rng.uniform(1, 2, (3, 4)), rng.uniform(1, 2, (1, 4))
    for operate in (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: 2 - a + b * 0,
        lambda a, b: 2 / a + 0 * b,
        lambda a, b: -a + b,
        lambda a, b: a**3 + b,
        lambda a, b: a[1:3] * b,
        lambda a, b: a[[0, 0, 2]] * b,
        lambda a, b: a[:, 1:3] + b[0:1, 0:2],
    ):
        found = operate(sp.Tensor(a), sp.Tensor(b))
        assert np.allclose(found.data, operate(a, b), rtol=1e-5)
        sp.check_gradient(operate, a, b)
    w = rng.normal(size=(4, 5))
    assert np.allclose((sp.Tensor(a) @ sp.Tensor(w)).data, a @ w, rtol=1e-5)
    sp.check_gradient(lambda a, w: a @ w, a, w)
    for axis in (None, 0, 1):
        assert np.allclose(sp.Tensor(a).sum(axis).data, a.sum(axis, keepdims=axis is not None), rtol=1e-5)
        assert np.allclose(sp.Tensor(a).mean(axis).data, a.mean(axis, keepdims=axis is not None), rtol=1e-5)
        sp.check_gradient(lambda a, axis=axis: a.sum(axis) * a.mean(axis), a)


def test_a_gradient_is_folded_to_the_shape_that_was_broadcast(rng):
    dy = rng.normal(size=(4, 3, 5))
    for shape in ((4, 3, 5), (3, 5), (1, 5), (3, 1), (1, 1, 1), (), (4, 1, 5)):
        truth = np.broadcast_to(np.zeros(shape), dy.shape)
        axes = tuple(i for i in range(3) if truth.strides[i] == 0)
        assert np.allclose(fold_to(dy, shape), dy.sum(axes).reshape(shape))


def test_check_gradient_finds_a_wrong_gradient_and_a_missing_one(rng):
    x = rng.uniform(1, 2, (2, 3))

    @sp.differentiable
    def wrong(a, factor, gradient):
        return a * factor, lambda dy: (dy * gradient if gradient else None, None, None)

    sp.check_gradient(lambda a: wrong(a, 2.0, 2.0), x)
    for gradient in (2.001, -2.0, None):
        with pytest.raises(AssertionError, match="argument 1 at"):
            sp.check_gradient(lambda b, a, gradient=gradient: wrong(a, 2.0, gradient) + b * 0, x, x)
        with pytest.raises(AssertionError, match=r"argument 1 along direction \(0,\)"):
            sp.check_gradient(lambda b, a, gradient=gradient: wrong(a, 2.0, gradient) + b * 0, x, x, directions=1)
    calls = []
    sp.check_gradient(lambda a: calls.append(0) or a.exp(), rng.normal(size=(30, 20)), directions=2)
    sp.check_gradient(lambda a: a * 2, np.zeros((0, 3)), directions=2)
    assert len(calls) == 1 + 2 * 2
    with pytest.raises(ValueError, match="directions to be None or a whole number"):
        sp.check_gradient(lambda a: a, x, directions=0)
    sp.check_gradient(lambda a: sp.Tensor(np.ones((2, 2))), x)  # a constant has no gradient, and needs none


def test_a_tensor_is_pickled_without_its_tape(ops):
    a = leaf(1.0, 2.0)
    y = a * 2
    y.sum().backward()
    twin, inner = pickle.loads(pickle.dumps((a, y)))
    assert twin.requires_grad and np.array_equal(twin.grad, a.grad) and np.array_equal(inner.data, y.data)
    inner.sum().backward()
    assert np.array_equal(twin.grad, a.grad) and len(pickle.dumps(y * 2 * 2 * 2)) == len(pickle.dumps(y))


def test_stack_of_the_contract_is_differentiable(rng):
    sp.check_gradient(lambda a, b: stack(a, b) * stack(b, a), rng.normal(size=(2, 3)), rng.normal(size=(3, 2)))
