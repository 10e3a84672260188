"""What `save` checks before it writes: that `load` can build the same network."""

import os
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import spconv_cy as sp


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
