"""Dense heads on a full field: against scipy's correlation and dense arrays, and what is refused."""

import numpy as np
import pytest
from in_turn import each
from scipy import signal
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.placing import fill_rows, stack_channels

FAMILIES = ["zero", "drawn", None]


def batch(rng, d=2, channels=3, size=(6, 7), ground=None, n=20):
    sites = np.argwhere(rng.permutation(2 * int(np.prod(size))).reshape(2, *size) < n)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(n, channels)), size, 3, ground=None)
    row = {"zero": np.zeros((1, channels)), "drawn": rng.normal(size=(1, channels))}.get(ground)
    return x.with_features(x.features, None if row is None else sp.Tensor(row))


@pytest.mark.parametrize("ground", FAMILIES)
def test_all_sites_are_active_and_the_dense_array_is_unchanged(ground, rng, ops):
    x = batch(rng, ground=ground)
    y = sp.layers.Densify(2)(x)
    assert y.grid.n == 3 * 42 and np.array_equal(y.to_dense(), x.to_dense()) and y.ground is x.ground
    assert y.sites.tolist() == [list(site) for site in np.ndindex(3, 6, 7)] and sp.layers.Densify(2)(y) is y
    assert np.array_equal(sp.Grid.from_sites(y.sites, (6, 7), 3).sites, y.grid.sites)


@each("axis", [0, 1, 2])
@each("ground", FAMILIES)
def test_height_compression_is_the_dense_array_with_two_axes_merged(axis, ground, rng, ops):
    x = batch(rng, 3, 2, (4, 5, 3), ground)
    y = sp.layers.HeightCompression(3, axis)(x)
    dense = np.moveaxis(x.to_dense(), 2 + axis, 2)
    assert np.array_equal(y.to_dense(), dense.reshape(3, -1, *dense.shape[3:]))
    assert {tuple(site) for site in y.sites} == {tuple(site) for site in np.delete(x.sites, 1 + axis, axis=1)}


def correlated(field, weight, stride, pad):
    """Convolve (b, c, *size) densely by scipy, zeros around; weight is (k, c, o) for size 3 x 3."""
    kernels = np.moveaxis(weight.reshape(3, 3, *weight.shape[1:]), (2, 3), (0, 1))
    padded = np.pad(field, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    found = [[sum(signal.correlate(image[c], kernels[c, o], "valid") for c in range(len(image)))
              for o in range(kernels.shape[1])] for image in padded]
    return np.array(found)[:, :, ::stride, ::stride]


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_of_a_full_field_is_that_of_scipy(stride, rng, ops):
    x = batch(rng)
    layer = sp.Convolution(2, 3, 4, 3, stride, padding=1, bias=False, size_rule="floor", rng=rng)
    y = layer(sp.layers.Densify(2)(x))
    truth = correlated(x.to_dense().astype(float), layer.weight.numpy().astype(float), stride, 1)
    assert y.grid.n == 3 * int(np.prod(y.grid.size)) and truth.shape[2:] == y.grid.size
    np.testing.assert_allclose(y.to_dense(), truth, rtol=1e-5, atol=1e-5)
    if stride == 1:
        kept = sp.SubmanifoldConvolution(2, 3, 4, bias=False)
        kept.weight.data[...] = layer.weight.data
        np.testing.assert_allclose(kept(sp.layers.Densify(2)(x)).to_dense(), truth, rtol=1e-5, atol=1e-5)


def head(rng):
    """Make SECOND's head in small: two levels, the second brought back, joined."""
    first = sp.Sequential(sp.Convolution(2, 12, 4, 3, padding=1, bias=False, rng=rng), sp.BatchNormalization(4),
                          sp.ReLU())
    coarse = sp.Sequential(
        sp.Convolution(2, 4, 5, 3, 2, padding=1, bias=False, size_rule="floor", rng=rng), sp.ReLU(),
        sp.SubmanifoldConvolution(2, 5, 5, bias=False, rng=rng), sp.ReLU(),
        sp.layers.TransposedConvolution(2, 5, 6, 2, 2, bias=False, sites="source", rng=rng))
    return sp.Sequential(sp.layers.HeightCompression(3), sp.layers.Densify(2), first,
                         sp.Concatenate(sp.NetworkInNetwork(4, 6, bias=False, rng=rng), coarse))


def test_a_head_over_a_full_field_is_the_dense_one(rng, tmp_path):
    with sp.use("reference"):
        x, net = batch(rng, 3, 3, (4, 6, 8)), head(rng)
        y = net(x)
        relu, w = lambda a: np.maximum(a, 0), [p.data for p in net.parameters()]
        a = correlated(x.to_dense().reshape(3, 12, 6, 8), w[0], 1, 1)
        mean, variance = a.mean((0, 2, 3), keepdims=True), a.var((0, 2, 3), keepdims=True)
        a = relu((a - mean) / np.sqrt(variance + net[2][1].eps))
        join = net[3].branches
        below = relu(correlated(a, join[1][0].weight.data, 2, 1))
        below = relu(correlated(below, join[1][2].weight.data, 1, 1))
        up = np.zeros((3, 6, 6, 8))
        for k, (i, j) in enumerate(np.ndindex(2, 2)):
            up[:, :, i::2, j::2] = np.einsum("bcxy,co->boxy", below, join[1][4].weight.data[k])
        left = np.einsum("bcxy,co->boxy", a, join[0].weight.data[0])
        np.testing.assert_allclose(y.to_dense(), np.concatenate([left, up], 1), rtol=1e-9, atol=1e-9)
        sp.save(tmp_path / "head.safetensors", net.eval())
        assert np.array_equal(sp.load(tmp_path / "head.safetensors").eval()(x).to_dense(), net(x).to_dense())
        assert net.input_size(8) == (1, 8, 8)


def test_gradients(rng):
    with sp.use("reference"):
        x, ground = rng.normal(size=(3, 2)), rng.normal(size=(1, 2))
        sp.check_gradient(lambda a, b: fill_rows(a, b, np.array([4, 0, 2]), 5), x, ground)
        sp.check_gradient(lambda a: fill_rows(a, None, np.array([4, 0, 2]), 5), x)
        places = np.array([1, 1, 0]), np.array([0, 2, 1]), 2, 3
        sp.check_gradient(lambda a, b: stack_channels(a, b, *places), x, ground)
        sp.check_gradient(lambda a: stack_channels(a, None, *places), x)


def test_no_sites_no_samples_and_simplices(rng):
    none = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 2)), 4, samples=2, ground=None)
    assert not sp.layers.Densify(2)(none).features.data.any() and sp.layers.Densify(2)(none).grid.n == 32
    assert sp.layers.HeightCompression(2)(none).shape == (0, 8)
    empty = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 2)), 4, samples=0)
    assert sp.layers.Densify(2)(empty).shape == (0, 2)
    lattice = sp.Lattice.simplex(2)
    x = sp.SparseTensor.from_sites([[0, 1, 2]], [[3.0]], 5, ground=None, lattice=lattice)
    y = sp.layers.Densify(lattice)(x)
    assert y.grid.n == 15 and y.features.data.sum() == 3 and np.array_equal(x.to_dense(), y.to_dense())


def test_what_does_not_fit_is_refused(rng):
    unbounded = sp.SparseTensor.from_sites(random_sites(rng, 5, 2), np.ones((5, 1)), ground=None)
    for layer in (sp.layers.Densify(2), sp.layers.HeightCompression(2)):
        with pytest.raises(ShapeError, match="expected an input with a size, got .* unbounded; give the input a size"):
            layer(unbounded)
        with pytest.raises(ShapeError, match="expected sites on"):
            layer(batch(rng, 3, 2, (4, 5, 3)))
        with pytest.raises(TypeError, match="expected a SparseTensor, got a list"):
            layer([1])
    huge = sp.SparseTensor.from_sites([[0, 1, 1]], [[1.0]], 2**20, ground=None)
    with pytest.raises(ShapeError, match="expected a field of at most 67108864 sites"):
        sp.layers.Densify(2)(huge)
    with pytest.raises(ShapeError, match="HeightCompression: expected axis to be 0 to 1, got 2"):
        sp.layers.HeightCompression(2, 2)
    with pytest.raises(ShapeError, match="HeightCompression: expected a cubic lattice"):
        sp.layers.HeightCompression(1)
