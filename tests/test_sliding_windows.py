"""A classifier that answers at every window: what it says, and that its mean is the classifier's own answer."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import spconv_cy as sp


def drawn(rng, size=None, samples=3):
    sites = np.unique(rng.integers(0, 40, (120, 3)) % (samples, 40, 40), axis=0)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 2)), size, samples=samples)


@pytest.mark.parametrize("size", [None, 44])
def test_the_mean_of_the_windows_answers_is_the_networks(size, rng, ops):
    net, x = sp.models.deepcnet(2, 3, 2, 5, rng=0).eval(), drawn(rng, size)
    y = sp.models.sliding_window(net)(x)
    assert y.channels == 5 and y.grid.n > 20
    rows = y.features.numpy()
    means = [rows[a:b].mean(0) for a, b in zip(y.grid.batch_starts[:-1], y.grid.batch_starts[1:], strict=True)]
    assert_allclose(means, net(x).numpy(), rtol=1e-4, atol=1e-5)


def test_a_window_answers_as_the_network_does_for_what_is_in_it(rng):
    net, x = sp.models.deepcnet(2, 3, 2, 5, rng=0).eval(), drawn(rng, samples=1)
    field, step = net.input_size(1)[0], net.input_size(2)[0] - net.input_size(1)[0]
    assert (field, step) == (12, 4)
    y = sp.models.sliding_window(net)(x)
    for site, row in list(zip(y.sites[:, 1:], y.features.numpy(), strict=True))[::5]:
        inside = x.crop(tuple(step * site), tuple(step * site + field), moved=True)
        assert_allclose(net(inside).numpy()[0], row, rtol=1e-4, atol=1e-5)


def test_the_layers_are_the_very_same():
    net = sp.models.deepcnin(2, 3, rng=0)
    assert {id(p) for p in sp.models.sliding_window(net).parameters()} == {id(p) for p in net.parameters()}


@pytest.mark.parametrize("net", [
    sp.models.mlp((3, 4, 2), rng=0), sp.GlobalPooling(), sp.Sequential(sp.GlobalPooling(), sp.GlobalPooling()),
    sp.Sequential(sp.GlobalPooling(), sp.BatchNormalization(4)), "net"])
def test_other_networks_are_refused(net):
    with pytest.raises(TypeError, match="sliding_window: expected a Sequential with one GlobalPooling.*, got"):
        sp.models.sliding_window(net)
