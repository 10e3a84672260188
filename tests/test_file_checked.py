"""What `save` checks before it writes: that `load` can build the same network."""

import os
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.io import archive
from spconv_cy.io.file import KIND


class Halved(sp.Layer):
    """A layer that changes its weights in its constructor."""

    def __init__(self, n):
        self.inner = sp.NetworkInNetwork(n, n)
        self.inner.weight.data /= 2
        self.inner.bias.data[0] = np.arange(n)

    def __call__(self, x):
        return self.inner(x)


def test_saving_checks_a_network_without_memory_for_a_second_one(tmp_path):
    net = sp.Sequential(*(sp.NetworkInNetwork(500, 500, rng=0) for _ in range(4)), Halved(50))
    sp.save(tmp_path / "net.safetensors", net)
    tracemalloc.start()
    try:
        sp.save(tmp_path / "net.safetensors", net)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 < net.layers[0].weight.data.nbytes * 2
    finally:
        tracemalloc.stop()
    back = sp.load(tmp_path / "net.safetensors", layers=Halved)
    for name, array in back.state().items():
        assert_array_equal(array, net.state()[name])


class Renamed(sp.Layer):
    """A layer that does not accept its own arguments twice."""

    made = 0

    def __init__(self, n):
        type(self).made += 1
        if self.made > 1:
            raise ValueError("one is enough")

    def __call__(self, x):
        return x


def test_a_layer_that_cannot_be_built_again_is_not_saved(tmp_path):
    net = sp.Sequential(Renamed(3))
    with pytest.raises(TypeError, match=r"built from their constructor arguments, got .*Renamed\(3\)"):
        sp.save(tmp_path / "net.safetensors", net)
    assert not os.listdir(tmp_path)


def test_layers_of_the_same_name_and_shared_ones_are_compared_one_by_one(tmp_path):
    shared = sp.NetworkInNetwork(2, 2, rng=0)
    net = sp.Sequential(shared, sp.Dropout(0.5), shared)
    sp.save(tmp_path / "net.safetensors", net)
    net.layers[1].p = 0.25
    with pytest.raises(TypeError, match="got p=0.25"):
        sp.save(tmp_path / "other.safetensors", net)


def folded(net):
    """Fold each BatchNormalization into the convolution before it, by hand, as people do for deployment."""
    kept = []
    for layer in net.layers:
        if not isinstance(layer, sp.BatchNormalization):
            kept.append(layer)
            continue
        factor = layer.weight.data / np.sqrt(layer.running_variance + layer.eps)
        before = kept[-1]
        before.weight.data[...] *= factor
        bias = 0 if before.bias is None else before.bias.data
        before.bias = sp.Tensor((bias - layer.running_mean) * factor + layer.bias.data)
    return sp.Sequential(*kept)


def test_biases_that_folding_adds_and_takes_come_back(tmp_path, rng):
    net = sp.Sequential(
        sp.Convolution(2, 2, 3, 3, 2, padding=1, bias=False, size_rule="floor", rng=rng), sp.BatchNormalization(3),
        sp.ReLU(), sp.SubmanifoldConvolution(2, 3, 4, bias=False, rng=rng), sp.BatchNormalization(4),
        sp.NetworkInNetwork(4, 5, bias=False, rng=rng), sp.BatchNormalization(5),
        sp.Deconvolution(2, 5, 6, 3, 2, padding=1, rng=rng))
    x = sp.SparseTensor.from_sites([[0, 1, 2], [0, 3, 3], [1, 0, 7]], rng.normal(size=(3, 2)), 8, ground=None,
                                   samples=2)
    net(x)
    expected = net.eval()(x).features.data
    net = folded(net).eval()
    net.layers[-1].bias = None                                           # it was zero
    assert np.allclose(net(x).features.data, expected, atol=1e-5)
    sp.save(tmp_path / "net.safetensors", net)
    back = sp.load(tmp_path / "net.safetensors").eval()
    assert np.array_equal(back(x).features.data, net(x).features.data) and repr(back) == repr(net)
    assert "bias=False" in repr(net.layers[-1]) and "bias" not in repr(net.layers[:-1])
    assert sp.NetworkInNetwork(2, 3, bias=False).notation() == "" and net.layers[3].notation() == "5C1"


def test_a_bias_that_no_argument_makes_is_refused_with_the_remedy(tmp_path):
    class Own(sp.NetworkInNetwork):
        def __init__(self, channels):
            super().__init__(channels, channels, bias=False)

    layer = Own(2)
    layer.bias = sp.Tensor([[1.0, 2.0]])
    with pytest.raises(TypeError, match="got bias, which load would not restore; put a new layer in place of the"):
        sp.save(tmp_path / "own.safetensors", layer)


def test_a_description_that_cannot_be_built_is_told_in_one_short_line(tmp_path):
    net = sp.Sequential(*(sp.Sequential(sp.NetworkInNetwork(40, 40, rng=0), sp.ReLU()) for _ in range(9)))
    arrays, described = net.state(), net.describe()
    path = tmp_path / "net.safetensors"
    for wrong in ({"class": "BatchNormalization", "arguments": [described], "options": {}},
                  {"class": "Sequential", "arguments": described["arguments"][1:], "options": {}}):
        archive.write(path, KIND, arrays, {"network": wrong, "extra": None})
        with pytest.raises(FileError, match="expected the description of a network, got one that cannot be built") as e:
            sp.load(path)
        assert "\n" not in str(e.value) and len(str(e.value)) < 600 + len(str(path))
