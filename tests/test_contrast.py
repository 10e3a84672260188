"""Losses that tell items apart, the layer of columns, copies in batches, and two optimisers as one."""

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.contrast import transpose, unit_rows
from spconv_cy.train.exemplars import Exemplars


def negative_log_share(scores, at):
    return -np.log(np.exp(scores[at]) / np.exp(scores).sum())


def test_the_index_loss_is_the_softmax_over_the_batch_s_own_columns(rng, ops):
    x, columns = rng.normal(size=(2, 5, 3))
    expected = np.mean([negative_log_share(columns @ x[i], i) for i in range(5)])
    assert_allclose(float(sp.functional.index_loss(sp.Tensor(x), sp.Tensor(columns)).data), expected, rtol=1e-5)


def test_the_contrastive_loss_looks_for_the_other_view_among_all_others(rng, ops):
    x = rng.normal(size=(8, 3))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    terms = []
    for i in range(8):
        others = [j for j in range(8) if j != i]
        terms.append(negative_log_share(np.array([unit[i] @ unit[j] / 0.3 for j in others]), others.index((i + 4) % 8)))
    assert_allclose(float(sp.functional.contrastive_loss(sp.Tensor(x), 0.3).data), np.mean(terms), rtol=1e-5)


def test_gradients(rng):
    x, columns = rng.normal(size=(2, 6, 3))
    sp.check_gradient(lambda x, columns: sp.functional.index_loss(x, columns), x, columns)
    sp.check_gradient(lambda x: sp.functional.contrastive_loss(x, 0.5), x)
    sp.check_gradient(unit_rows, x)
    sp.check_gradient(transpose, x)


def test_a_row_of_zeros_and_an_empty_batch_give_no_nan(ops):
    x = sp.Tensor(np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]), requires_grad=True)
    loss = sp.functional.contrastive_loss(x)
    loss.backward()
    assert np.isfinite(float(loss.data)) and np.isfinite(x.grad).all() and not x.grad[0].any()
    for empty in (sp.functional.contrastive_loss(sp.Tensor(np.zeros((0, 3)))),
                  sp.functional.index_loss(*[sp.Tensor(np.zeros((0, 3)))] * 2)):
        assert float(empty.data) == 0


@each(
    "call",
    [
        lambda: sp.functional.index_loss(sp.Tensor(np.zeros((3, 2))), sp.Tensor(np.zeros((4, 2)))),
        lambda: sp.functional.contrastive_loss(sp.Tensor(np.zeros((3, 2)))),
        lambda: sp.functional.contrastive_loss(sp.Tensor(np.zeros((4, 2))), temperature=0),
        lambda: Exemplars(3, 2).loss(sp.Tensor(np.zeros((2, 2))), [0, 3]),
        lambda: Exemplars(3, 2).loss(sp.Tensor(np.zeros((2, 2))), [0]),
        lambda: Exemplars(0, 2),
        lambda: sp.data.AugmentedCopies([1, 2]),
        lambda: sp.data.AugmentedCopies(sp.data.PictureBatches(np.ones((2, 3, 3)), None, 3), 0),
        lambda: sp.train.CombinedOptimizer(),
        lambda: sp.train.CombinedOptimizer(sp.SGD([sp.Tensor([1.0])], 0)),
        lambda: sp.train.CombinedOptimizer(*[sp.SGD([WEIGHT], 0.1)] * 2),
    ],
)
def test_what_does_not_fit_is_told(call):
    with pytest.raises((ShapeError, ValueError, TypeError), match="came.* fit|expected .*, got"):
        call()


WEIGHT = sp.Tensor([1.0], requires_grad=True)


def test_columns_begin_at_zero_and_a_step_moves_those_of_the_batch_alone(rng):
    trunk, exemplars = sp.NetworkInNetwork(4, 3, rng=0), Exemplars(items=9, channels=3)
    net = sp.Sequential(trunk, exemplars)
    assert not exemplars.columns.data.any()
    optimizer = sp.train.CombinedOptimizer(sp.Nesterov(trunk.parameters(), 0.1), sp.SGD([exemplars.columns], 0.5))
    x = rng.normal(size=(3, 4))
    net.train()
    y = net(x)
    exemplars.loss(y, np.array([[7], [2], [4]])).backward()
    optimizer.step()
    assert sorted(np.flatnonzero(exemplars.columns.data.any(1))) == [2, 4, 7]
    # By hand: at zero columns all shares are 1/3, and a column's gradient is the sum of rows times share less target.
    expected = -0.5 * (np.full((3, 3), 1 / 3) - np.eye(3)).T @ y.numpy() / 3
    assert_allclose(exemplars.columns.data[[7, 2, 4]], expected, rtol=1e-5)


def test_directions_alone_count_where_rows_are_brought_to_length_one(rng):
    rows, plain, unit = rng.normal(size=(3, 4)), Exemplars(5, 4), Exemplars(5, 4, unit=True)
    plain.columns.data[:] = unit.columns.data[:] = rng.normal(size=(5, 4))
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = float(plain.loss(rows / length, [0, 4, 2]).data)
    for factor in (1, 7):
        assert_allclose(float(unit.loss(factor * rows, [0, 4, 2]).data), expected, rtol=1e-5)


def test_copies_are_distorted_apart_and_lie_one_after_the_other(rng):
    pictures = (rng.random((10, 6, 6)) < 0.5).astype(float)
    batches = sp.data.PictureBatches(pictures, None, 14, shift=4, batch=4)
    copies = sp.data.AugmentedCopies(batches, 2)
    halves = []
    for x, numbers in copies.epoch(3, 1, training=True):
        dense, b = x.to_dense(), len(numbers)
        assert x.grid.samples == 2 * b and numbers.shape == (b, 1)
        for half in (dense[:b], dense[b:]):
            assert_allclose(half.sum((1, 2, 3)), pictures[numbers[:, 0]].sum((1, 2)))
        halves.append(np.array_equal(dense[:b], dense[b:]))
    assert not any(halves) and len(halves) == 3
    x, _ = next(copies.epoch(0, training=False))
    assert_array_equal(x.to_dense()[:4], x.to_dense()[4:])


def test_optimisers_together_are_each_by_itself(rng):
    start, gradients = rng.normal(size=(2, 3)), rng.normal(size=(4, 2, 3))
    alone, both = ([sp.Tensor(row, requires_grad=True) for row in start] for _ in range(2))
    single = [sp.Adam([alone[0]], 0.1), sp.SGD([alone[1]], 0.5, 0.9)]
    together = sp.train.CombinedOptimizer(sp.Adam([both[0]], 0.1), sp.SGD([both[1]], 0.5, 0.9))
    for i, gradient in enumerate(gradients):
        together.rate = 0.1 / (i + 1)
        for j, optimizer in enumerate(single):
            optimizer.rate = (0.1, 0.5)[j] / (i + 1)
            alone[j].grad = both[j].grad = gradient[j].astype(alone[j].dtype)
            optimizer.step()
        together.step()
        if i == 1:                                      # goes on from its state as if nothing had been
            state = together.state()
            together = sp.train.CombinedOptimizer(sp.Adam([both[0]], 0.1), sp.SGD([both[1]], 0.5, 0.9))
            together.load_state(state)
    assert_allclose([w.numpy() for w in both], [w.numpy() for w in alone], rtol=1e-6)
    together.zero_grad()
    assert all(w.grad is None for w in together.parameters)
    with pytest.raises(ShapeError):
        together.load_state({"0.steps": np.zeros(1, np.int64)})


def test_it_learns_to_tell_items_apart_and_goes_on_from_a_checkpoint(tmp_path, rng):
    pictures = (rng.random((24, 5, 5)) < 0.4).astype(float)

    def begun():
        trunk = sp.models.from_spec("8C3-MP2-8C2-linear-GP", rng=0)
        net = sp.Sequential(*trunk.layers, Exemplars(24, 8))
        optimizer = sp.train.CombinedOptimizer(sp.Adam(trunk.parameters(), 0.01), sp.SGD([net.layers[-1].columns], 2.0))
        return net, sp.data.AugmentedCopies(sp.data.PictureBatches(pictures, None, 6, batch=12), 1), optimizer

    net, data, optimizer = begun()
    whole = sp.fit(net, data, optimizer, 12, loss=net.layers[-1].loss, rng=0, progress=False)
    assert whole.losses[-1] < 0.7 * whole.losses[0] and whole.errors == [None] * 12
    again, data, optimizer = begun()
    path = tmp_path / "stopped.safetensors"
    sp.fit(again, data, optimizer, 5, loss=again.layers[-1].loss, rng=0, progress=False, checkpoint=path)
    again, data, optimizer = begun()
    resumed = sp.fit(again, data, optimizer, 12, loss=again.layers[-1].loss, rng=0, progress=False, checkpoint=path)
    assert resumed.losses == whole.losses
    assert_array_equal(again.layers[-1].columns.data, net.layers[-1].columns.data)
    embedding = sp.train.predict_outputs(net, data)
    assert embedding.shape == (24, 8)
    x, _ = next(sp.data.PictureBatches(pictures, None, 6, batch=24).epoch(0, training=False))
    assert_allclose(embedding, net.eval()(x).numpy(), rtol=1e-5, atol=1e-6)
