"""What a tape promises: no gradient of other numbers, none that two tensors share, plain errors of own functions."""

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.autograd import Tensor, multiply, take
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import reshape
from spconv_cy.tape import leaf_gradients

RNG = np.random.default_rng(0)


def leaf(*numbers):
    """Make a tensor that needs a gradient."""
    return Tensor(np.array(numbers, float), requires_grad=True)


@pytest.mark.parametrize("a, p", [([2.0, 3.0], [1.5]), ([2.0, 3.0], [0.5, -2.0]), ([[2.0], [0.5]], [[1.0, 0.0, 3.0]])])
def test_an_exponent_gets_its_gradient(a, p):
    sp.check_gradient(lambda a, p: a**p, np.array(a), np.array(p))


def test_powers_at_zero_have_the_gradients_of_their_limits():
    z, p = leaf(0.0, 2.0), leaf(0.0, 0.0)
    (z**0).sum().backward()
    assert z.grad.tolist() == [0, 0]
    z.grad = None
    (z**p).sum().backward()
    assert z.grad.tolist() == [0, 0] and p.grad.tolist() == [0, pytest.approx(np.log(2))]
    p, z = leaf(2.0), leaf(0.0)
    (z**p).sum().backward()
    assert p.grad.tolist() == [0] and z.grad.tolist() == [0]
    with np.errstate(all="raise"):
        (leaf(-1.0) ** leaf(2.0)).sum().backward()


def test_a_step_between_two_ways_back_is_an_error_that_names_the_tensor():
    w, x = Tensor([[2.0]], requires_grad=True), Tensor([[3.0]])
    h = x @ w
    first, second = (h * h).sum(), (h @ w).sum()
    first.backward(), sp.SGD([w], rate=0.1).step()
    with pytest.raises(RuntimeError, match=r"argument 'w', a Tensor .*, unchanged since matmul read it, got data"):
        second.backward()


@pytest.mark.parametrize("name", ["conv", "prelu", "norm", "reshape", "row", "checkpointed", "user"])
def test_whatever_reads_a_weight_refuses_to_go_back_after_a_step(name):
    rows = Tensor(RNG.normal(size=(4, 3)), requires_grad=True)
    layer = {"conv": lambda: sp.NetworkInNetwork(3, 2), "prelu": lambda: sp.layers.PReLU(3),
             "norm": lambda: sp.layers.LayerNormalization(3),
             "checkpointed": lambda: sp.layers.Checkpointed(sp.NetworkInNetwork(3, 2), sp.layers.Tanh())}.get(name)
    if layer is not None:
        layer = layer()
        y, parameters = layer(rows), layer.parameters()
    else:
        w = leaf(*RNG.normal(size=3))
        parameters = [w]
        double = sp.differentiable(lambda x, w: (x * w, lambda dy: (dy * w, None)))
        y = {"reshape": lambda: rows * reshape(w, (1, 3)), "row": lambda: rows * w[None],
             "user": lambda: double(rows, w)}[name]()
    for p in parameters:
        p.grad = np.ones_like(p.data)
    sp.SGD(parameters, rate=0.1).step()
    if name == "row":  # an index copies
        y.sum().backward()
    else:
        with pytest.raises(RuntimeError, match="changed in place"):
            y.sum().backward()


def test_what_is_not_read_on_the_way_back_may_change():
    w, bias, x = Tensor([[2.0]], requires_grad=True), Tensor([[1.0]], requires_grad=True), Tensor([[3.0]])
    sums = [((x @ w) + bias).sum() for _ in range(2)] + [(w * 2.0 + bias).sum() for _ in range(2)]
    for total in sums:
        w.grad = None
        total.backward()
        sp.SGD([w, bias], rate=0.1).step()
        assert w.grad.tolist() == [[3.0]] or total in sums[2:] and w.grad.tolist() == [[2.0]]


def test_loading_a_state_and_a_mark_by_hand_count_as_changes():
    layer, x = sp.NetworkInNetwork(2, 2, rng=0), Tensor(np.ones((1, 2)), requires_grad=True)
    y = layer(x)
    layer.load_state(layer.state())
    with pytest.raises(RuntimeError, match="load_state"):
        y.sum().backward()
    y = layer(x)
    layer.weight.data *= 2
    layer.weight.mark_changed()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()
    layer(x).sum().backward()


@sp.differentiable
def passed(x, y):
    """Add, and give the gradient itself to both."""
    return x + y, lambda dy: (dy, dy)


@pytest.mark.parametrize("together", [
    lambda a, b: a + b, lambda a, b: passed(a, b), lambda a, b: reshape(a, (2, 1)) + reshape(b, (2, 1)),
    lambda a, b: a[None] + b[None], lambda a, b: (a + b) + 0.0], ids=["add", "user", "views", "rows", "twice"])
def test_no_two_tensors_share_a_gradient(together):
    a, b, given = leaf(1.0, 2.0), leaf(3.0, 4.0), np.ones(2, np.float32)
    y = together(a, b)
    y.backward(given.reshape(y.shape))
    a.grad *= 10
    assert a.grad.tolist() == [10, 10] and b.grad.tolist() == [1, 1] and given.tolist() == [1, 1]


def test_gradients_can_be_written_and_are_no_part_of_what_a_function_keeps():
    x = Tensor(np.ones((3, 1)), requires_grad=True)
    x.sum(1).backward(np.ones((3, 1)))
    x.grad *= 2
    kept = np.array([1.0, 2.0], np.float32)
    dot = sp.differentiable(lambda x: ((x * kept).sum(keepdims=True), lambda dy: (x,)))
    y = leaf(5.0, 6.0)
    dot(y).backward()
    y.grad *= 2
    assert x.grad.tolist() == [[2]] * 3 and y.data.tolist() == [5, 6]


@pytest.mark.parametrize("key, expected", [(0, ()), ((), (2,)), (None, (1, 2)), (slice(0, 1), (1,)), ([1], (1,))])
def test_an_index_gives_the_shape_of_numpy_and_its_gradient(key, expected):
    x = leaf(1.0, 2.0)
    assert x[key].shape == expected
    sp.check_gradient(lambda x: take(x, key), np.array([1.0, 2.0]))


def test_one_number_keeps_no_axes():
    x = Tensor(3.0, requires_grad=True)
    assert x.shape == (x * x).shape == x.sum().shape == x[()].shape == ()
    (x * x).sum().backward()
    assert x.grad.shape == () and float(x.grad) == 6
    with pytest.raises(IndexError, match=r"index of shape \(2,\), got 7"):
        leaf(1.0, 2.0)[7]


@each("function, error, said", [
    (lambda x: (2 * x, lambda dy: 2 * dy), TypeError, r"an entry for each of its 1 .*got an ndarray.*\(dx,\)"),
    (lambda x: (2 * x, lambda dy: (dy, dy)), TypeError, "got 2 entries"),
    (lambda x: (2 * x, lambda dy: (dy[:1],)), ShapeError, r"a gradient \(2,\) for argument 'x'.*got \(1,\)"),
    (lambda x: (2 * x, lambda dy: (1.0,)), TypeError, "an array for argument 'x'.*got a float"),
    (lambda x: (2 * x, lambda dy: (Tensor(dy),)), TypeError, "got a Tensor"),
    (lambda x: 2 * x, TypeError, r"return \(y, backward\).*got an ndarray"),
    (lambda x: (2 * x, None), TypeError, r"return \(y, backward\)"),
    (lambda x: ([1.0], lambda dy: (dy,)), TypeError, "y to be an array, got a list"),
])
def test_a_function_of_ones_own_that_breaks_the_rules_is_told_so(function, error, said):
    with pytest.raises(error, match=said):
        sp.differentiable(function)(leaf(1.0, 2.0)).backward(np.ones(2))


def test_a_list_of_gradients_is_as_good_as_a_tuple():
    x = leaf(1.0, 2.0)
    sp.differentiable(lambda x: (2 * x, lambda dy: [2 * dy]))(x).backward(np.ones(2))
    assert x.grad.tolist() == [2, 2]


def test_a_constant_factor_gets_no_gradient_and_stays():
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0])
    multiply(x, c).sum().backward()
    assert x.grad.tolist() == [3, 4] and c.grad is None


def test_early_gradients_are_those_of_any_order_and_the_last_layer_comes_first():
    x, first, second = (sp.Tensor(np.full(3, value), requires_grad=True) for value in (1.0, 2.0, 3.0))
    y = (((x * first) * second) + first).sum()
    usual, early = ({id(leaf): dx for leaf, dx in leaf_gradients(y, np.ones(()), early)} for early in (False, True))
    assert usual.keys() == early.keys() == {id(x), id(first), id(second)}
    assert all(np.array_equal(usual[key], early[key]) for key in usual)
    order = [id(leaf) for leaf, _ in leaf_gradients(y, np.ones(()), True)]
    assert order[0] == id(second)


def test_further_gradients_of_a_tensor_are_added_in_place_to_a_sum_of_the_tapes_own(monkeypatch):
    kind, outs = type(sp.backend.switch.ops_named("cpu")), []
    add = kind.add
    monkeypatch.setattr(kind, "add", lambda self, *a: outs.append(a[2]) or add(self, *a))
    x = sp.Tensor(np.zeros(5000), requires_grad=True)
    dy, held = np.arange(5000, dtype=np.float32), []

    @sp.differentiable
    def three_times(a, b, c):
        return a + b + c, lambda dy: (held.append(dy) or dy, dy, dy)

    three_times(x, x, x).backward(dy)
    assert np.array_equal(x.grad, 3 * dy)
    assert np.array_equal(held[0], np.arange(5000))                       # nobody else's array was written to
    assert [out is None for out in outs] == [True, False] and outs[1] is x.grad
