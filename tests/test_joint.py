"""Gradients that the CPU computes by one call: the same bits as those of single operations, and only what is wanted."""

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy import _core
from spconv_cy.backend import joint
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional import conv, max_pool
from spconv_cy.sites import Rulebook, Window

CPU = ops_of(np.zeros((1, 1), np.float32))
SAME = Window(3, 3, kind="submanifold")


@pytest.fixture(scope="module")
def grid():
    rng = np.random.default_rng(0)
    return sp.Grid.from_sites(np.unique(np.column_stack([np.zeros(5000, int), rng.integers(0, 22, (5000, 3))]), axis=0),
                              22)


@pytest.fixture
def threads():
    yield sp.set_threads
    sp.set_threads(None)


def given(grid, c, o, groups, window):
    rng, rulebook = np.random.default_rng(1), grid.rules(window)[1]
    shape = (rulebook.n_offsets, c // groups, o // groups)
    w = rng.standard_normal(shape if groups == 1 else (shape[0], groups, *shape[1:]), np.float32)
    return (rng.standard_normal((rulebook.n_in, c), np.float32), w, rulebook,
            rng.standard_normal((rulebook.n_out, o), np.float32))


@pytest.mark.parametrize(("c", "o", "groups", "window"),
                         [(16, 24, 1, SAME), (33, 20, 1, Window(3, 2, 2)), (16, 32, 2, SAME), (3, 1, 1, Window(3, 3))])
def test_gradients_of_a_convolution_have_the_bits_of_single_operations(grid, threads, c, o, groups, window):
    x, w, rulebook, dy = given(grid, c, o, groups, window)
    threads(1)
    wanted = (CPU.conv(dy, w.swapaxes(-1, -2), rulebook.T), CPU.conv_dw(x, dy, rulebook, groups).reshape(w.shape),
              CPU.segment_sum(dy, np.array([0, len(dy)])))
    for n in (1, 2, 3):
        threads(n)
        assert all(map(np.array_equal, joint.conv_gradients(x, w, rulebook, dy, True), wanted))
        dx, dw, none = joint.conv_gradients(x, w, rulebook, dy, False)
        assert np.array_equal(dx, wanted[0]) and np.array_equal(dw, wanted[1]) and none is None


@pytest.mark.parametrize("n_threads", [1, 2])
def test_gradients_of_grouped_weights_with_one_group_have_their_shape(grid, threads, n_threads):
    x, w, rulebook, dy = given(grid, 16, 24, 1, SAME)
    threads(n_threads)
    wanted, found = (joint.conv_gradients(x, weights, rulebook, dy, False)[1] for weights in (w, w[:, None]))
    assert np.array_equal(found, wanted[:, None])
    leaves = [sp.Tensor(a, requires_grad=True) for a in (x, w[:, None])]
    conv(*leaves, rulebook).backward(dy)
    assert np.array_equal(leaves[1].grad, found)


def test_gradients_of_arrays_that_do_not_fit_are_refused(grid):
    x, w, rulebook, dy = given(grid, 16, 24, 1, SAME)
    for other in (x[:, :8], w[:, :8], w[1:], w[..., :8], dy[:, :8], x[1:], dy[1:]):
        given_now = [np.ascontiguousarray(other) if other.base is a else a for a in (x, w, dy)]
        with pytest.raises(ShapeError, match="conv_"):
            _core.conv_gradients(*given_now, rulebook.pairs, rulebook.T.pairs, n_threads=2)


@pytest.mark.parametrize("shape", [(27, 0, 24), (27, 16, 0), (27, 2, 0, 12), (27, 2, 8, 0)])
def test_gradients_of_weights_without_numbers_are_empty_or_zero(grid, shape):
    rulebook, groups = grid.rules(SAME)[1], shape[1] if len(shape) == 4 else 1
    x, dy = (np.ones((rulebook.n_in, groups * channels), np.float32) for channels in shape[-2:])
    dx, dw, db = _core.conv_gradients(x, np.ones(shape, np.float32), dy, rulebook.pairs, rulebook.T.pairs, n_threads=2)
    assert dx.shape == x.shape and dw.shape == shape and not dx.any()
    assert db.shape == (1, dy.shape[1]) and (db == rulebook.n_out).all()


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_a_pooling_with_its_activation_has_the_bits_of_both(grid, threads, slope):
    x, _, rulebook, dy = given(grid, 21, 21, 1, Window(3, 4, 2))
    ground = np.full((1, 21), 0.1, np.float32)
    y, winner = CPU.max_pool(x, rulebook, ground)
    z = CPU.leaky_relu(y, slope)
    wanted = CPU.max_pool_dx(CPU.leaky_relu_dx(z, dy, slope), winner, len(x), rulebook)
    for n in (1, 2):
        threads(n)
        found = joint.max_pool(x, rulebook, ground, slope)
        assert all(map(np.array_equal, found, (z, winner)))
        assert all(map(np.array_equal, joint.max_pool_dx(dy, *found, len(x), rulebook, slope), wanted))
    given_x = sp.Tensor(x, requires_grad=True)
    max_pool(given_x, sp.Tensor(ground), rulebook, slope=slope).backward(dy)
    assert np.array_equal(given_x.grad, wanted[0])


def calls_of(monkeypatch, *names):
    """Return a list to which the names of operations are added when they are called."""
    calls = []
    for name in names:
        owner = joint if hasattr(joint, name) else type(CPU)
        inside = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, _of=(name, inside), **o: calls.append(_of[0]) or _of[1](*a, **o))
    return calls


def test_one_call_computes_all_gradients_of_a_convolution(grid, monkeypatch):
    x, w, rulebook, dy = given(grid, 8, 8, 1, SAME)
    calls = calls_of(monkeypatch, "conv", "conv_dw", "segment_sum", "conv_gradients")
    leaves = [sp.Tensor(a, requires_grad=True) for a in (x, w, np.zeros((1, 8)))]
    conv(leaves[0], leaves[1], rulebook, leaves[2]).backward(dy)
    assert calls == ["conv", "conv_gradients"]
    calls.clear()
    conv(sp.Tensor(x), leaves[1], rulebook, leaves[2]).backward(dy)       # of a first layer
    assert calls == ["conv", "conv_dw", "segment_sum"]
    calls.clear()
    conv(leaves[0], sp.Tensor(w), rulebook).backward(dy)                  # with weights that are frozen
    assert calls == ["conv", "conv"]


@pytest.mark.parametrize(("c", "o"), [(0, 4), (4, 0), (0, 0)])
def test_a_convolution_without_channels_has_gradients_without_numbers(grid, c, o):
    x, w, rulebook, dy = given(grid, c, o, 1, SAME)
    leaves = [sp.Tensor(a, requires_grad=True) for a in (x, w, np.zeros((1, o)))]
    conv(leaves[0], leaves[1], rulebook, leaves[2]).backward(dy)
    assert [leaf.grad.shape for leaf in leaves] == [x.shape, w.shape, (1, o)] and not leaves[0].grad.any()


def test_leaf_gradients_of_other_arrays_take_single_operations(grid):
    x, w, rulebook, dy = given(grid, 4, 4, 1, SAME)
    wide = [sp.Tensor.leaf(a.astype(np.float64), True) for a in (x, w)]
    conv(*wide, rulebook, None).backward(dy)
    plain = [sp.Tensor(a, requires_grad=True) for a in (x, w)]
    conv(*plain, rulebook, None).backward(np.asfortranarray(dy))
    for a, b in zip(wide, plain, strict=True):
        np.testing.assert_allclose(a.grad, b.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", [SAME, Window(3, 3), Window(3, 2, 2), Window(3, 4, 2)])
def test_a_rulebook_that_is_known_to_ascend_is_turned_as_others_are(grid, window):
    rulebook = grid.rules(window)[1]
    unknown = Rulebook(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr, rulebook.n_in, rulebook.n_out)
    assert rulebook.T == unknown.T
    assert np.array_equal(rulebook.T.tile_ptr, unknown.T.tile_ptr)
    assert rulebook.T.T == rulebook
