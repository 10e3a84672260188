"""Normalisation within rows and within samples, against loops over rows, groups and samples in float64."""

import numpy as np
import pytest
from contract import bits, sparse
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.normalization import group_norm, sample_norm


def standard(values, eps):
    """Bring numbers to mean 0 and variance 1."""
    return (values - values.mean()) / np.sqrt(values.var() + eps)


def by_row(x, groups, eps):
    """Standardise each group of each row by itself."""
    return np.array([np.concatenate([standard(part, eps) for part in np.split(row, groups)]) for row in x])


def begun(layer, rng):
    layer.weight.data[...] = rng.normal(1, 0.5, layer.weight.shape)
    layer.bias.data[...] = rng.normal(size=layer.bias.shape)
    return layer


@each(
    "make, groups",
    [
        (lambda: sp.layers.LayerNormalization(6), 1),
        (lambda: sp.layers.GroupNormalization(1, 6), 1),
        (lambda: sp.layers.GroupNormalization(2, 6), 2),
        (lambda: sp.layers.GroupNormalization(3, 6), 3),
        (lambda: sp.layers.LayerNormalization(6, eps=0.5), 1),
    ],
)
def test_rows_are_normalised_by_themselves(make, groups, ops, rng):
    layer, x = begun(make(), rng), rng.normal(5, 3, (8, 6))
    expected = by_row(x, groups, layer.eps) * layer.weight.numpy() + layer.bias.numpy()
    for mode in (True, False):
        assert_allclose(layer.train(mode)(x).data, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options, share, divisor", [
    ({}, 0.01, 15),
    ({"momentum": 0.9}, 0.1, 15),                                        # SparseConvNet
    ({"eps": 1e-5, "momentum": 0.9}, 0.1, 15),                           # torch's BatchNorm1d: momentum 0.1 of the new
    ({"eps": 1e-3, "momentum": 0.99, "variance": "biased"}, 0.01, 16),   # Keras
])
def test_running_statistics_follow_each_convention(options, share, divisor, ops, rng):
    layer, mean, variance = sp.BatchNormalization(3, debias=False, **options), np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.normal(2, 3, (16, 3))
        y = layer(x)
        assert_allclose(y.data, (x - x.mean(0)) / np.sqrt(x.var(0) + options.get("eps", 1e-4)), rtol=1e-4, atol=1e-5)
        mean = (1 - share) * mean + share * x.mean(0)
        variance = (1 - share) * variance + share * ((x - x.mean(0)) ** 2).sum(0) / divisor
    assert_allclose(layer.running_mean, mean[None], rtol=1e-5, atol=1e-6)
    assert_allclose(layer.running_variance, variance[None], rtol=1e-5)


@each("slope", [0, 0.25, 1 / 3, 1])
def test_a_normalisation_with_a_slope_has_the_bits_of_two_layers(slope, ops):
    x = sparse(2, 4, 5, "drawn")((6, 0, 3))
    one, two = sp.BatchNormalization(4, slope=slope), sp.Sequential(sp.BatchNormalization(4), sp.LeakyReLU(slope))
    for mode in (True, False):
        assert bits(one.train(mode)(x)) == bits(two.train(mode)(x))
        assert bits(sp.Sequential(one)(x)) == bits(sp.LeakyReLU(slope)(two[0](x)))
    both = sp.Sequential(sp.BatchNormalization(4, slope=0.5), sp.LeakyReLU(slope))(x)
    apart = sp.LeakyReLU(slope)(sp.BatchNormalization(4, slope=0.5)(x))
    assert_allclose(both.features.data, apart.features.data, rtol=1e-6)
    assert sp.models.from_spec(sp.Sequential(one).spec(), 4).eval()(x).features.data.shape == (9, 4)


def test_the_mean_alone_is_subtracted(ops, rng):
    values, ground = rng.normal(3, 2, (9, 4)), np.array([[100.0, 0, -5, 3]])
    x = sparse(2, 4, 5, "drawn")((6, 0, 3)).with_features(sp.Tensor(values), sp.Tensor(ground))
    layer = sp.BatchNormalization(4, mean_only=True, momentum=0.9, debias=False)
    layer.bias.data[...] = [[1, 0, -2, 5]]
    y = layer(x)
    for found, given in ((y.features, values), (y.ground, ground)):
        assert_allclose(found.data, given - values.mean(0) + layer.bias.numpy(), rtol=1e-5, atol=1e-5)
    assert list(layer.state()) == ["bias", "running_mean"]
    assert_allclose(layer.eval()(x).features.data, values - 0.1 * values.mean(0) + [1, 0, -2, 5], rtol=1e-5, atol=1e-5)


@each("groups", [1, 2])
@each("family", ["drawn", "zero"])
def test_the_ground_state_is_normalised_as_a_dense_network_would(groups, family, ops, rng):
    layer = begun(sp.layers.LayerNormalization(4) if groups == 1 else sp.layers.GroupNormalization(2, 4), rng)
    x = sparse(2, 4, 5, family)((6, 0, 3))
    dense = np.moveaxis(x.to_dense(), 1, -1).reshape(-1, 4).astype(np.float64)
    expected = by_row(dense, groups, layer.eps) * layer.weight.numpy() + layer.bias.numpy()
    assert_allclose(np.moveaxis(layer(x).to_dense(), 1, -1).reshape(-1, 4), expected, rtol=1e-4, atol=1e-4)


def test_a_row_of_equal_channels_becomes_the_bias(ops, rng):
    layer = begun(sp.layers.LayerNormalization(4), rng)
    assert_allclose(layer(np.full((2, 4), 7.0)).data, np.repeat(layer.bias.numpy(), 2, 0), rtol=1e-6)


def test_samples_are_normalised_by_themselves(ops, rng):
    layer, x = begun(sp.layers.InstanceNormalization(4), rng), sparse(2, 4, 8, None)((9, 0, 1, 7))
    features = x.features.numpy().astype(np.float64)
    starts = x.grid.batch_starts
    expected = np.concatenate([
        np.stack([standard(column, layer.eps) for column in features[a:b].T], 1) if b > a else np.zeros((0, 4))
        for a, b in zip(starts[:-1], starts[1:], strict=True)])
    for mode in (True, False):
        y = layer.train(mode)(x)
        assert_allclose(y.features.data, expected * layer.weight.numpy() + layer.bias.numpy(), rtol=1e-4, atol=1e-5)
        assert y.ground is None and y.grid is x.grid
    assert_allclose(y.features.data[9], layer.bias.numpy()[0], rtol=1e-6)  # one row is its own mean


@pytest.mark.parametrize("make", [
    lambda: sp.layers.GroupNormalization(2, 4, over="sample"), lambda: sp.layers.LayerNormalization(4, over="sample"),
    lambda: sp.layers.GroupNormalization(4, 4, over="sample")])
def test_groups_of_a_sample_are_normalised_by_themselves(make, ops, rng):
    layer, x = begun(make(), rng), sparse(2, 4, 8, None)((9, 0, 1, 7))
    features, starts = x.features.numpy().astype(np.float64), x.grid.batch_starts
    expected = np.concatenate([
        np.concatenate([standard(part, layer.eps) for part in np.split(features[a:b], layer.groups, axis=1)], 1)
        for a, b in zip(starts[:-1], starts[1:], strict=True) if b > a])
    y = layer(x)
    assert_allclose(y.features.data, expected * layer.weight.numpy() + layer.bias.numpy(), rtol=1e-4, atol=1e-5)


def test_instance_normalisation_is_exact_where_columns_lie_far_from_zero(ops, rng):
    sites = np.stack([np.repeat([0, 1], 300), np.tile(np.arange(300), 2)], 1)
    values = np.float32(rng.normal(1000, 1, (600, 2))).astype(np.float64)
    leaf = sp.Tensor(values, requires_grad=True)
    x = sp.SparseTensor.from_sites(sites, leaf, 300, ground=None, samples=2)
    y = sp.layers.InstanceNormalization(2)(x).features
    for part in (slice(0, 300), slice(300, 600)):
        expected = np.stack([standard(column, 1e-5) for column in values[part].T], 1)
        assert_allclose(y.data[part], expected, atol=2e-5)
    y.backward(rng.normal(size=(600, 2)))
    for part in (slice(0, 300), slice(300, 600)):
        assert np.abs(leaf.grad[part].sum(0)).max() < 2e-4, "all rows of a sample moved alike change nothing"


def test_gradients_within_rows(rng):
    for groups in (1, 2, 3):
        sp.check_gradient(lambda x, gamma, beta, groups=groups: group_norm(x, gamma, beta, groups, 1e-3),
                          rng.normal(size=(4, 6)), rng.normal(size=(1, 6)), rng.normal(size=(1, 6)))


def test_gradients_within_samples(rng):
    starts = np.array([0, 4, 4, 5, 9])
    for groups in (6, 3, 1):
        sp.check_gradient(lambda x, gamma, beta, groups=groups: sample_norm(x, gamma, beta, starts, groups, 1e-2),
                          rng.normal(size=(9, 6)), rng.normal(size=(1, 6)), rng.normal(size=(1, 6)))


def test_no_rows_are_a_case_too(ops):
    empty = sp.SparseTensor.from_sites(np.zeros((0, 3), int), np.zeros((0, 4)), 5, 2, ground=None)
    for layer in (sp.layers.InstanceNormalization(4), sp.layers.LayerNormalization(4), sp.layers.GroupNormalization(2,
                                                                                                                    4)):
        y = layer(empty)
        assert_array_equal(y.features.data, np.zeros((0, 4)))
        y.features.backward(np.zeros((0, 4)))
        assert not layer.weight.grad.any() and layer.weight.grad.shape == (1, 4)


@each(
    "make, message",
    [
        (lambda: sp.layers.InstanceNormalization(4)(sparse(2, 4, 5, "zero")((3,))),
         "ground=None, or use BatchNormalization"),
        (lambda: sp.layers.InstanceNormalization(4)(np.zeros((2, 4))),
         "expected a SparseTensor.*got an ndarray.*LayerNormalization for plain rows"),
        (lambda: sp.layers.InstanceNormalization(3)(sparse(2, 4, 5, None)((3,))),
         "expected features with 3 channels, got 4"),
        (lambda: sp.layers.InstanceNormalization(0), "channels"),
        (lambda: sp.BatchNormalization(4, variance="n"), "expected variance to be 'unbiased' or 'biased', got 'n'"),
        (lambda: sp.BatchNormalization(4, momentum="0.1"), r"momentum one from 0 to 1, got 0\.0001 and '0\.1'"),
        (lambda: sp.BatchNormalization(4, slope=2), "expected slope to be a number from 0 to 1, got 2"),
        (lambda: sp.layers.InstanceNormalization(4, eps=0), "expected eps to be a number above 0, got 0"),
        (lambda: sp.layers.LayerNormalization(1),
         r"expected groups of equally many channels .*got 1 channels in groups of 1"),
        (lambda: sp.layers.LayerNormalization(4)(np.zeros((2, 3))), "expected features with 4 channels, got 3"),
        (lambda: sp.layers.LayerNormalization(4)(np.zeros(4)), r"expected rows of shape \(n, 4\), got shape \(4,\)"),
        (lambda: sp.layers.GroupNormalization(3,
                           4),
         r"expected groups of equally many channels .*got 4 channels in groups of 1\.33"),
        (lambda: sp.layers.GroupNormalization(4,
                           4),
         r"expected groups of equally many channels .*2 or more.*groups of 1"),
        (lambda: sp.layers.GroupNormalization(2, 4, eps=-1), "expected eps to be a number above 0, got -1"),
        (lambda: sp.layers.GroupNormalization(2, 4, over="batch"),
         "expected over to be 'site' or 'sample', got 'batch'"),
        (lambda: sp.layers.LayerNormalization(4, over="sample")(sparse(2, 4, 5, "zero")((3,))),
         "ground=None, or use Batch"),
        (lambda: sp.layers.GroupNormalization(0, 4), "groups"),
    ],
)
def test_what_does_not_fit_is_told(make, message):
    with pytest.raises(ShapeError, match=message):
        make()
