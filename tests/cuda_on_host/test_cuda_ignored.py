"""Ignored labels and debiased statistics on the cuda backend over the host: what the cpu gives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import spconv_cy as sp
from spconv_cy.backend.switch import ops_of


def numpy_of(array):
    return ops_of(array).to_numpy(array)


@pytest.mark.parametrize("loss", [sp.softmax_cross_entropy, sp.functional.squared_hinge])
def test_a_loss_leaves_out_the_ignored_samples_on_cuda(loss, cuda):
    outputs, labels = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 255, 2, 1, 255, 0], np.uint8)
    found = []
    for name in ("cpu", "cuda"):
        with sp.use(name):
            x = sp.Tensor(outputs, requires_grad=True)
            value = loss(x, labels, ignore_label=255)
            value.backward()
            found.append((float(value.data), numpy_of(x.grad)))
    assert_allclose(found[1][0], found[0][0], rtol=1e-6)
    assert_allclose(found[1][1], found[0][1], rtol=1e-5, atol=1e-7)


def test_debiased_statistics_on_cuda_are_those_of_the_cpu(cuda):
    rows = np.random.default_rng(0).normal(3, 2, (4, 16, 2))
    found = []
    for name in ("cpu", "cuda"):
        with sp.use(name):
            layer = sp.BatchNormalization(2, debias=True)
            for x in rows:
                layer(sp.Tensor(x))
            found.append(layer.state())
    for name, array in found[0].items():
        assert_allclose(found[1][name], array, rtol=1e-5)
