"""A layer of a user's own, ten lines: it trains, is counted, copied, saved and loaded like the library's."""

import copy
import pickle

import numpy as np
import pytest
from contract import check_layer, sparse

import spconv_cy as sp
from spconv_cy.errors import FileError


class Scale(sp.Layer):
    """Multiply each channel by a number of its own, times a fixed factor."""

    def __init__(self, channels, *, factor=1.0):
        self.factor = factor
        self.weight = sp.Tensor(np.linspace(0.5, 1.5, channels)[None], requires_grad=True)

    def __call__(self, x):
        ground = None if x.ground is None else x.ground * self.weight * self.factor
        return x.with_features(x.features * self.weight * self.factor, ground)


def network(rng=0):
    """Make a network with one own layer between others, and another inside a branch."""
    return sp.Sequential(
        sp.Convolution(2, 1, 8, 3, rng=rng),
        sp.VeryLeakyReLU(),
        Scale(8, factor=2.0),
        sp.Residual(Scale(8)),
        sp.GlobalPooling("max"),
        sp.NetworkInNetwork(8, 2, rng=rng),
    )


def tasks(rng, samples=20):
    """Draw samples of two classes: long rows of sites, or long columns."""
    labels = np.arange(samples) % 2
    lines = [np.stack(np.broadcast_arrays(i, *([np.arange(6) + rng.integers(0, 3), 4][:: 1 - 2 * label])), 1)
             for i, label in enumerate(labels)]  # fmt: skip
    sites = np.concatenate(lines)
    return sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), 12, samples), labels


@pytest.mark.parametrize("family", ["drawn", "zero", None])
def test_it_keeps_the_contract_of_all_layers(family):
    check_layer(lambda: Scale(4, factor=2.0), sparse(2, 4, 8, family), [Scale])


def test_it_trains(rng):
    net, before = network(), network().state()
    x, labels = tasks(rng)
    optimizer = sp.SGD(net.parameters(), 0.1, momentum=0.9)
    losses = []
    for _ in range(40):
        loss = sp.softmax_cross_entropy(net(x), labels)
        losses.append(float(loss.data))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.1 * losses[0]
    assert all((array != before[name]).any() for name, array in net.state().items())
    assert sp.evaluate(net, [tasks(rng)]).error == 0


def test_it_is_counted_and_named(rng):
    net = network()
    assert net.n_parameters() == (9 + 1) * 8 + 8 + 8 + (8 + 1) * 2
    assert [name for name in net.state() if "weight" in name] == [
        "layers.0.weight", "layers.2.weight", "layers.3.layers.0.weight", "layers.5.weight",
    ]  # fmt: skip
    rows = {row.name: row for row in net.summary(tasks(rng)[0])}
    assert rows["Scale"].parameters == 8 and rows["Scale"].channels == 8
    assert "Scale" in str(net.summary(tasks(rng)[0])) and "Scale(8, factor=2.0)" in repr(net)


def test_it_is_copied_pickled_saved_and_loaded(rng, tmp_path):
    net, (x, _) = network(), tasks(rng)
    net.layers[2].weight.data += 3
    expected = net.eval()(x).data
    path = tmp_path / "net.safetensors"
    sp.save(path, net)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), sp.load(path, layers=[Scale]).eval()):
        assert repr(twin) == repr(net) and twin.layers[2].factor == 2.0
        assert np.array_equal(twin(x).data, expected)
    with pytest.raises(FileError, match=r"'Scale'.*layers=\[Scale\]"):
        sp.load(path)
