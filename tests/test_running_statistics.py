"""Running statistics of batch normalisation: without bias from the first step, for one process and for several."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import spconv_cy as sp
from spconv_cy.distributed.statistics import SharedStatistics
from spconv_cy.functional.shared import sharing


def block(c_in, c_out, rng, stride=1):
    kind = sp.SubmanifoldConvolution(3, c_in, c_out, 3, rng=rng) if stride == 1 else sp.Convolution(
        3, c_in, c_out, 2, 2, rng=rng)
    return sp.Sequential(kind, sp.BatchNormalization(c_out), sp.ReLU())


def by_hand(rng):
    """Return a U-Net of layers with their default arguments."""
    inner = sp.Sequential(block(16, 32, rng, 2), block(32, 32, rng), sp.Deconvolution(3, 32, 16, 2, 2, rng=rng))
    return sp.Sequential(block(1, 16, rng), sp.Concatenate(sp.Sequential(), inner), block(32, 16, rng),
                         sp.NetworkInNetwork(16, 3, rng=rng))


@pytest.mark.parametrize("make", [lambda: sp.models.unet(3, 16, 1, 3, rng=0),
                                  lambda: by_hand(np.random.default_rng(0))], ids=["unet", "by hand"])
def test_a_short_training_evaluates_on_its_own_data_as_it_logged(make):
    rng = np.random.default_rng(0)
    clouds = [rng.normal(size=(150, 3)) * [4, 4, 1] for _ in range(40)]
    labels = [(np.linalg.norm(cloud, axis=1) > 4).astype(int) + (cloud[:, 2] > 1) for cloud in clouds]
    data = sp.data.PointBatches(clouds, None, labels, 0.5, batch=8)
    net = sp.Sequential(sp.layers.ToPoints(make()))
    history = sp.fit(net, data, sp.Adam(net.parameters(), 0.01), 6, rng=0, progress=False)   # 6 epochs of 5 batches
    found = sp.evaluate(net, data)
    assert abs(found.error - history.errors[-1]) < 0.05 and found.loss < 1.25 * history.losses[-1]


@pytest.mark.parametrize("momentum", [0.9, 0.99, 1])
def test_the_initial_values_have_no_weight_and_the_newest_batch_the_most(momentum, ops, rng):
    layer, batches = sp.BatchNormalization(3, momentum=momentum), rng.normal(50, 3, (6, 16, 3))
    for x in batches:
        layer(sp.Tensor(x))
    weights = np.array([np.prod(np.arange(1, 9) + i) for i in range(6)], float)     # C(i + 8, 8), but for a factor
    weights /= weights.sum()
    assert_allclose(layer.running_mean[0], weights @ batches.mean(1), rtol=1e-5)
    assert_allclose(layer.running_variance[0], weights @ batches.var(1, ddof=1), rtol=1e-4)
    assert layer.running_steps == [6]


class TwoRanks:
    """Ranks of two processes, of which the other one has the rows `others`."""

    size, rank = 2, 0

    def __init__(self, others):
        self.others = others

    def stack(self, own):
        rows = self.others.astype(np.float64)
        return np.stack([own, np.concatenate([[len(rows)], rows.mean(0), rows.var(0)])])

    def sum(self, array):
        return array


def test_several_processes_follow_as_one_with_all_rows(rng):
    one, many = sp.BatchNormalization(3), sp.BatchNormalization(3)
    for n in (5, 0, 9):                                                  # rows of this process; it takes part without
        mine, others = rng.normal(7, 2, (n, 3)), rng.normal(7, 2, (6, 3))
        one(sp.Tensor(np.concatenate([mine, others])))
        with sharing(SharedStatistics(TwoRanks(others), True)), sp.no_grad():
            many(sp.Tensor(mine))
    for name, array in one.state().items():
        assert_allclose(many.state()[name], array, rtol=1e-5), name
    assert many.running_steps == [3]
