"""Layers: the contract of all, and the truths that equality with dense networks does not cover."""

import numpy as np
import pytest
from contract import check_layer, coarse, parts, rows, sparse
from numpy.testing import assert_allclose
from public import NAMES

import spconv_cy as sp
from spconv_cy.errors import ShapeError

FAMILIES = ["drawn", "zero", None]
PLANE = {family: sparse(2, 4, 8, family) for family in FAMILIES}
THIN = {family: sparse(2, 2, 8, family) for family in FAMILIES}          # two channels: fewer weights to differentiate
SPACE = {family: sparse(3, 2, 5, family) for family in FAMILIES}
TRIANGLE = {family: sparse(2, 4, 9, family, sp.Lattice.simplex(2)) for family in FAMILIES}
SLIM = {family: sparse(2, 2, 9, family, sp.Lattice.simplex(2)) for family in FAMILIES}      # triangles
TETRAHEDRON = {family: sparse(3, 2, 7, family, sp.Lattice.simplex(3)) for family in FAMILIES}
ON_SITES = {  # what makes the layer; inputs
    "convolution": (lambda: sp.Convolution(2, 2, 3, 3, rng=0), THIN),
    "convolution, strided": (lambda: sp.Convolution(2, 2, 3, 2, (2, 3), padding=1, size_rule="floor", rng=0), THIN),
    "convolution, dilated, in groups": (lambda: sp.Convolution(2, 4, 6, (3, 2), dilation=2, groups=2, rng=0), PLANE),
    "convolution, 3-D": (lambda: sp.Convolution(3, 2, 3, 2, rng=0), SPACE),
    "submanifold": (lambda: sp.SubmanifoldConvolution(2, 2, 3, rng=0), THIN),
    "submanifold, even, in groups": (lambda: sp.SubmanifoldConvolution(2, 4, 2, 2, groups=2, rng=0), PLANE),
    "convolution, a cross": (lambda: sp.Convolution(2, 2, 3, 3, 2, shape="cross", padding=1, size_rule="floor"), THIN),
    "convolution, taps, in groups": (
        lambda: sp.Convolution(2, 4, 6, taps=[(0, 0), (2, 1), (0, 4)], groups=2, rng=0),
        PLANE,
    ),
    "convolution, a tap a channel": (lambda: sp.Convolution(2, 4, 4, 3, shape="ball", groups=4, rng=0), PLANE),
    "convolution at cells": (lambda: sp.Convolution(2, 2, 3, 3, 2, padding=1, sites="cell", rng=0), THIN),
    "convolution at centres": (lambda: sp.Convolution(2, 2, 3, 3, sites="centre", rng=0), THIN),
    "convolution, two sites at least": (lambda: sp.Convolution(2, 2, 3, 3, min_active=2, rng=0), THIN),
    "convolution, triangles": (lambda: sp.Convolution(sp.Lattice.simplex(2), 2, 3, 2, 2, padding=1, rng=0), SLIM),
    "convolution, tetrahedra": (lambda: sp.Convolution(sp.Lattice.simplex(3), 2, 3, 2, rng=0), TETRAHEDRON),
    "submanifold, nearest": (
        lambda: sp.SubmanifoldConvolution(sp.Lattice.simplex(2), 2, 3, shape="nearest", rng=0),
        SLIM,
    ),
    "submanifold, taps": (lambda: sp.SubmanifoldConvolution(2, 2, 3, taps=[(-3, 1), (0, 0), (0, 1)], rng=0), THIN),
    "transposed convolution": (lambda: sp.layers.TransposedConvolution(2, 2, 3, 2, 2, rng=0), {None: THIN[None]}),
    "transposed convolution, padded, in groups": (
        lambda: sp.layers.TransposedConvolution(2, 4, 6, 3, 2, padding=1, groups=2, bias=False, rng=0),
        {None: PLANE[None]},
    ),
    "transposed convolution, triangles": (
        lambda: sp.layers.TransposedConvolution(sp.Lattice.simplex(2), 2, 3, 3, 2, rng=0),
        {None: SLIM[None]},
    ),
    "max-pooling, triangles": (lambda: sp.MaxPooling(sp.Lattice.simplex(2), 3, 2), TRIANGLE),
    "max-pooling, a cross": (lambda: sp.MaxPooling(2, 3, 1, shape="cross", min_active=2), PLANE),
    "average pooling, tetrahedra": (lambda: sp.AveragePooling(sp.Lattice.simplex(3), 3, 2), TETRAHEDRON),
    "global average over a tetrahedron": (lambda: sp.GlobalPooling(over="field"), TETRAHEDRON),
    "to dense, triangles": (lambda: sp.SparseToDense(sp.Lattice.simplex(2)), TRIANGLE),
    "network in network": (lambda: sp.NetworkInNetwork(4, 3, rng=0), PLANE),
    "network in network, no bias": (lambda: sp.NetworkInNetwork(4, 3, bias=False, rng=0), PLANE),
    "max-pooling": (lambda: sp.MaxPooling(2, 2), PLANE),
    "max-pooling, overlapping": (lambda: sp.MaxPooling(2, 3, 2, padding=1, size_rule="floor"), PLANE),
    "max-pooling over zeros": (lambda: sp.MaxPooling(2, 2, background="zero"), PLANE),
    "max-pooling, dilated": (lambda: sp.MaxPooling(2, 3, 1, dilation=2, padding=1), PLANE),
    "max-pooling at cells": (lambda: sp.MaxPooling(2, 3, 2, padding=1, sites="cell"), PLANE),
    "average pooling at cells": (lambda: sp.AveragePooling(2, 2, 3, over="active", dilation=2, sites="cell"), PLANE),
    "sum pooling, dilated": (lambda: sp.layers.SumPooling(2, 2, dilation=(1, 3), size_rule="floor"), PLANE),
    "average pooling": (lambda: sp.AveragePooling(2, 2), PLANE),
    "average pooling, overlapping": (lambda: sp.AveragePooling(2, 4, 2, padding=1), PLANE),
    "average pooling, active sites alone": (lambda: sp.AveragePooling(2, 3, 1, over="active"), PLANE),
    "sum pooling": (lambda: sp.layers.SumPooling(2, 2), PLANE),
    "sum pooling, overlapping": (lambda: sp.layers.SumPooling(2, (3, 2), 1, padding=(1, 0)), PLANE),
    "random stride": (lambda: sp.layers.RandomizedStrideConvolution(2, 2, 3, 2, (2, 1), size_rule="floor", rng=0),
                      THIN),
    "random stride, in groups": (
        lambda: sp.layers.RandomizedStrideConvolution(2, 4, 2, 3, 2, groups=2, size_rule="floor", rng=0),
        PLANE,
    ),
    "max-pooling, random stride": (lambda: sp.layers.RandomizedStrideMaxPooling(2, 2, rng=0), PLANE),
    "global average": (lambda: sp.GlobalPooling(), PLANE),
    "global sum": (lambda: sp.GlobalPooling("sum"), PLANE),
    "global maximum": (lambda: sp.GlobalPooling("max"), PLANE),
    "global average over the field": (lambda: sp.GlobalPooling(over="field"), PLANE),
    "global sum over the field": (lambda: sp.GlobalPooling("sum", over="field"), PLANE),
    "global maximum over the field": (lambda: sp.GlobalPooling("max", over="field"), PLANE),
    "ReLU": (sp.ReLU, PLANE),
    "leaky ReLU": (lambda: sp.LeakyReLU(0.2), PLANE),
    "very leaky ReLU": (sp.VeryLeakyReLU, PLANE),
    "PReLU": (lambda: sp.layers.PReLU(4, slope=0.3), PLANE),
    "ELU": (lambda: sp.layers.ELU(0.7), PLANE),
    "SELU": (sp.layers.SELU, PLANE),
    "SiLU": (sp.layers.SiLU, PLANE),
    "GELU": (sp.layers.GELU, PLANE),
    "tanh": (sp.layers.Tanh, PLANE),
    "sigmoid": (sp.layers.Sigmoid, PLANE),
    "softmax": (sp.layers.Softmax, PLANE),
    "dropout": (lambda: sp.Dropout(0.5, rng=0), PLANE),
    "dropout, each channel by itself": (lambda: sp.Dropout(0.4, kind="bernoulli", inverted=True, rng=0), PLANE),
    "dropout of elements": (lambda: sp.Dropout(0.4, kind="elements", rng=0), {None: PLANE[None]}),
    "dropout by sub-matrices": (
        lambda: sp.Sequential(sp.Convolution(2, 4, 5, 2, rng=0), sp.LeakyReLU(0.2), sp.Dropout(0.5, rng=1),
                              sp.AveragePooling(2, 2), sp.SubmanifoldConvolution(2, 5, 3, (1, 3), rng=2),
                              sp.Dropout(0.3, rng=3)),
        {family: sparse(2, 4, 5, family) for family in FAMILIES},
    ),
    "batch normalisation": (lambda: sp.BatchNormalization(4), PLANE),
    "batch normalisation, leaky": (lambda: sp.BatchNormalization(4, slope=0.3, variance="biased"), PLANE),
    "batch normalisation, nothing learnt": (lambda: sp.BatchNormalization(4, affine=False, eps=0.1), PLANE),
    "batch normalisation, the mean only": (lambda: sp.BatchNormalization(4, mean_only=True), PLANE),
    "layer normalisation": (lambda: sp.layers.LayerNormalization(4, eps=0.01), PLANE),
    "group normalisation": (lambda: sp.layers.GroupNormalization(2, 4, eps=0.1), PLANE),
    "group normalisation over samples": (
        lambda: sp.layers.GroupNormalization(2, 4, eps=0.1, over="sample"), {None: PLANE[None]}),
    "instance normalisation": (lambda: sp.layers.InstanceNormalization(4), {None: PLANE[None]}),
    "coordinates": (lambda: sp.layers.AddCoordinates(2), {None: PLANE[None]}),
    "attention": (lambda: sp.layers.WindowAttention(2, 4, 2, 4, shift=(2, 1), rng=0), {None: PLANE[None]}),
    "attention, tetrahedra": (
        lambda: sp.layers.WindowAttention(sp.Lattice.simplex(3), 2, 2, (3, 2, 4), shift=1, rng=0),
        {None: TETRAHEDRON[None]}),
    "coordinates, triangles": (lambda: sp.layers.AddCoordinates(sp.Lattice.simplex(2)), {None: TRIANGLE[None]}),
    "normalisations and dropout, triangles": (
        lambda: sp.layers.Checkpointed(
            sp.Convolution(sp.Lattice.simplex(2), 4, 4, 2, rng=0), sp.Dropout(0.5, rng=1), sp.layers.Tanh(),
            sp.SubmanifoldConvolution(sp.Lattice.simplex(2), 4, 4, 2, rng=2), sp.BatchNormalization(4, slope=0.3),
            sp.layers.GroupNormalization(2, 4, eps=0.1), sp.layers.Softmax()), TRIANGLE),
    "instance normalisation, triangles": (lambda: sp.layers.InstanceNormalization(4), {None: TRIANGLE[None]}),
    "attention, bare": (
        lambda: sp.layers.WindowAttention(3, 2, 1, (3, 2, 5), positions=False, bias=False, rng=0), {None: SPACE[None]}),
    "to dense": (lambda: sp.SparseToDense(2), PLANE),
    "to dense rows": (lambda: sp.SparseToDense(2, flat=True), PLANE),
    "sequential": (lambda: sp.Sequential(sp.Convolution(2, 2, 2, 3, rng=0), sp.ReLU(), sp.MaxPooling(2, 2)), THIN),
    "nothing": (sp.Sequential, PLANE),
    "checkpointed": (
        lambda: sp.layers.Checkpointed(sp.Convolution(2, 2, 3, 2, rng=0), sp.BatchNormalization(3), sp.LeakyReLU(0.3),
                                sp.Dropout(0.4, rng=1), sp.AveragePooling(2, 2, 1)), THIN),
    "residual": (lambda: sp.Residual(sp.SubmanifoldConvolution(2, 4, 4, groups=2, rng=0), sp.LeakyReLU(0.2)), PLANE),
    "residual with a shortcut": (
        lambda: sp.Residual(sp.SubmanifoldConvolution(2, 2, 3, rng=0), shortcut=sp.NetworkInNetwork(2, 3, rng=1)),
        THIN,
    ),
    "concatenate": (
        lambda: sp.Concatenate(sp.Sequential(), sp.NetworkInNetwork(2, 3, rng=0), sp.SubmanifoldConvolution(2, 2, 1)),
        THIN,
    ),
    "concatenate, other sites": (
        lambda: sp.Concatenate(sp.Sequential(), sp.Convolution(2, 2, 1, 3, padding=1, rng=0), how="outer"), THIN),
    "residual, other sites": (
        lambda: sp.Residual(sp.Convolution(2, 4, 4, 3, padding=1, groups=4, rng=0), how="outer"), PLANE),
    "residual, at the input's sites": (
        lambda: sp.Residual(sp.Convolution(2, 4, 4, 3, padding=1, groups=4, rng=0), how="left"),
        {None: PLANE[None]},
    ),
    "sparsify": (lambda: sp.layers.Sparsify(4, rng=0), {None: PLANE[None]}),
    "sparsify by a sigmoid": (lambda: sp.layers.Sparsify(4, activation="sigmoid", rng=1), {None: PLANE[None]}),
    "collapse": (lambda: sp.layers.Collapse(2, 1), PLANE),
    "collapse, 3-D": (lambda: sp.layers.Collapse(3, 0), SPACE),
    "pyramid": (
        lambda: sp.layers.Pyramid(
            sp.Convolution(2, 4, 4, 3, 2, padding=1, groups=4, size_rule="floor", rng=0), sp.MaxPooling(2, 2)),
        {None: PLANE[None]},
    ),
    "keep the top": (lambda: sp.layers.KeepTop(4, 3, rng=0), {None: PLANE[None]}),
}
DRAWN = {  # each sample draws for itself, in evaluation too
    "fractional, overlapping": (lambda: sp.FractionalMaxPooling(2, 1.3, rng=0), PLANE),
    "fractional, disjoint": (
        lambda: sp.FractionalMaxPooling(2, (1.6, 1), sequence="random", overlap="disjoint", rng=0),
        PLANE,
    ),
    "fractional, shared, 3-D": (lambda: sp.FractionalMaxPooling(3, 1.7, overlap="shared", rng=0), SPACE),
    "fractional over zeros": (
        lambda: sp.FractionalMaxPooling(2, 1.45, sequence="random", background="zero", size_rule="nearest", rng=0),
        PLANE,
    ),
}
TO_POINTS = {  # a row for each point, not for each sample
    "to points": (lambda: sp.layers.ToPoints(sp.SubmanifoldConvolution(2, 2, 3, rng=0), sp.LeakyReLU(0.2)), THIN),
}
ON_ROWS = {
    "network in network": lambda: sp.NetworkInNetwork(4, 3, rng=0),
    "leaky ReLU": lambda: sp.LeakyReLU(0.2),
    "dropout": lambda: sp.Dropout(0.5, rng=0),
    "batch normalisation": lambda: sp.BatchNormalization(4),
    "PReLU": lambda: sp.layers.PReLU(4),
    "ELU": sp.layers.ELU,
    "GELU": sp.layers.GELU,
    "layer normalisation": lambda: sp.layers.LayerNormalization(4, eps=0.01),
    "residual": lambda: sp.Residual(sp.NetworkInNetwork(4, 4, rng=0)),
    "checkpointed": lambda: sp.layers.Checkpointed(sp.NetworkInNetwork(4, 4, rng=0), sp.layers.Tanh()),
    "concatenate": lambda: sp.Concatenate(sp.NetworkInNetwork(4, 3, rng=0), sp.NetworkInNetwork(4, 2, rng=1)),
}
GOING_BACK = {
    "deconvolution": lambda: sp.Deconvolution(2, 4, 3, 2, 2, rng=0),
    "deconvolution in groups": lambda: sp.Deconvolution(2, 4, 6, 2, 2, groups=2, bias=False, rng=0),
    "un-pooling": lambda: sp.UnPooling(2, 2),
    "un-pooling of whatever pooled": lambda: sp.UnPooling(2),
}


@pytest.mark.parametrize("name, family", [(name, family) for name in ON_SITES for family in ON_SITES[name][1]])
def test_a_layer_keeps_the_contract(name, family):
    make, inputs = ON_SITES[name]
    check_layer(make, inputs[family])


@pytest.mark.parametrize("name, family", [(name, family) for name in DRAWN for family in DRAWN[name][1]])
def test_a_layer_that_draws_for_each_sample_keeps_the_contract(name, family):
    make, inputs = DRAWN[name]
    check_layer(make, inputs[family], alike=False)


@pytest.mark.parametrize("name, family", [(name, family) for name in TO_POINTS for family in TO_POINTS[name][1]])
def test_a_layer_that_answers_at_points_keeps_the_contract(name, family):
    make, inputs = TO_POINTS[name]
    check_layer(make, inputs[family], alike=False)


@pytest.mark.parametrize("name", ON_ROWS)
def test_a_layer_on_plain_rows_keeps_the_contract(name):
    check_layer(ON_ROWS[name], rows(4))


@pytest.mark.parametrize("name", GOING_BACK)
def test_a_layer_that_goes_back_keeps_the_contract(name):
    check_layer(GOING_BACK[name], coarse(PLANE[None], sp.MaxPooling(2, 2)))


def test_every_public_layer_is_in_a_list():
    listed = {type(make()) for make, _ in (ON_SITES | DRAWN | TO_POINTS).values()}
    listed |= {type(make()) for make in GOING_BACK.values()}
    public = {value for value in NAMES.values() if isinstance(value, type) and issubclass(value, sp.Layer)}
    assert public - listed == {sp.Layer, sp.DenseToSparse, sp.models.Autoencoder}, "a new layer: add it to a list above"


# Max-pooling over a zero background: max(0, active sites), whatever is active


def test_pooling_over_zeros_is_the_maximum_of_zero_and_the_active_sites(ops):
    sites = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 2, 0], [0, 2, 3], [1, 3, 3]]
    values = np.array([[-1, 2], [-2, 1], [-3, 2], [-4, 0], [-5, 0], [3, -1], [-7, 7]])
    leaf = sp.Tensor(values, requires_grad=True)
    x = sp.SparseTensor.from_sites(sites, leaf, 4, 3, ground=None)
    y = sp.MaxPooling(2, 2, background="zero")(x)
    assert y.sites.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 1, 1]]
    assert y.features.data.tolist() == [[0, 2], [0, 0], [3, 0], [0, 7]] and y.ground is None
    y.features.backward([[1, 2], [3, 4], [5, 6], [7, 8]])
    assert leaf.grad.tolist() == [[0, 2], [0, 0], [0, 0], [0, 0], [0, 0], [5, 0], [0, 8]]


def test_the_default_background_is_the_ground_state_and_an_active_site_beats_an_equal_ground(ops):
    sites, values = [[0, 0, 0], [0, 0, 1], [0, 2, 0]], np.array([[-3.0, 1], [-3, 1], [-2, 4]])
    x = sp.SparseTensor.from_sites(sites, values, 4)
    leaf, ground = sp.Tensor(values, requires_grad=True), sp.Tensor([[-2.0, 5]], requires_grad=True)
    y = sp.MaxPooling(2, 2)(x.with_features(leaf, ground))
    assert y.features.data.tolist() == [[-2, 5], [-2, 5]]
    y.features.backward([[1, 2], [4, 8]])
    assert leaf.grad.tolist() == [[0, 0], [0, 0], [4, 0]] and ground.grad.tolist() == [[1, 10]]
    alone = sp.MaxPooling(2, 2)(sp.SparseTensor.from_sites(sites, values, 4, ground=None))
    assert alone.features.data.tolist() == [[-3, 1], [-2, 4]]


def test_the_first_of_equals_in_offset_order_gets_the_whole_gradient(ops):
    leaf = sp.Tensor(np.full((4, 1), 2.0), requires_grad=True)
    x = sp.SparseTensor.from_sites([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]], leaf, 2)
    sp.MaxPooling(2, 2)(x).features.backward([[6.0]])
    assert leaf.grad.tolist() == [[6], [0], [0], [0]]


# Batch normalisation


def test_batch_normalisation_takes_statistics_of_active_rows_alone(ops, rng):
    values = rng.normal(3, 2, (16, 4))
    x = PLANE["drawn"]((9, 0, 7)).with_features(sp.Tensor(values), sp.Tensor([[100.0, 0, -5, 3]]))
    layer = sp.BatchNormalization(4, eps=1e-3)
    layer.weight.data[...], layer.bias.data[...] = [[1, 2, 3, -1]], [[0, 1, 0, 5]]
    mean, variance = values.mean(0), values.var(0)
    y = layer(x)
    for found, given in ((y.features, values), (y.ground, np.array([[100.0, 0, -5, 3]]))):
        expected = (given - mean) / np.sqrt(variance + 1e-3) * [1, 2, 3, -1] + [0, 1, 0, 5]
        assert_allclose(found.data, expected, rtol=1e-5, atol=1e-5)
    assert_allclose(layer.running_mean, 0.01 * mean[None], rtol=1e-5)
    assert_allclose(layer.running_variance, 0.99 + 0.01 * variance[None] * 16 / 15, rtol=1e-5)


def test_batch_normalisation_evaluates_with_running_statistics_and_leaves_them(ops, rng):
    layer = sp.BatchNormalization(4, momentum=0.5)
    for _ in range(40):
        layer(sp.Tensor(rng.normal([1, -2, 0, 30], [1, 2, 3, 0.1], (500, 4))))
    assert_allclose(layer.running_mean, [[1, -2, 0, 30]], atol=0.3)
    assert_allclose(layer.running_variance, [[1, 4, 9, 0.01]], rtol=0.2)
    before = {name: array.copy() for name, array in layer.state().items()}
    x = rng.normal(size=(3, 4))
    expected = (x - before["running_mean"]) / np.sqrt(before["running_variance"] + 1e-4)
    assert_allclose(layer.eval()(sp.Tensor(x)).data, expected, rtol=1e-4, atol=1e-4)
    layer.train().freeze()(sp.Tensor(x))
    assert all(np.array_equal(layer.state()[name], array) for name, array in before.items())


def test_batch_normalisation_of_one_row_and_of_none(ops):
    layer = sp.BatchNormalization(4)
    before = {name: array.copy() for name, array in layer.state().items()}
    empty = layer(PLANE["zero"]((0, 0)))
    assert empty.features.shape == (0, 4) and np.array_equal(empty.ground.data, np.zeros((1, 4)))
    assert all(np.array_equal(layer.state()[name], array) for name, array in before.items())
    one = layer(sp.Tensor([[5.0, -6, 0, 1e6]]))
    assert np.array_equal(one.data, np.zeros((1, 4)))  # the row is its own mean
    assert_allclose(layer.running_mean, [[0.05, -0.06, 0, 1e4]], rtol=1e-5)
    assert_allclose(layer.running_variance, 0.99)  # of one row the variance is 0


def test_batch_normalisation_is_exact_where_columns_lie_far_from_zero(ops, rng):
    values = np.float32(rng.normal(500, 1, (2000, 3))).astype(np.float64)
    y = sp.BatchNormalization(3)(sp.Tensor(values))
    assert_allclose(y.data, (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-4), atol=2e-5)
    leaf = sp.Tensor(values, requires_grad=True)
    sp.BatchNormalization(3)(leaf).backward(rng.normal(size=(2000, 3)))
    assert np.abs(leaf.grad.sum(0)).max() < 2e-4  # all rows moved alike change nothing


# Global pooling


@pytest.mark.parametrize("ground", [[[2.0, -3.0]], None])
def test_global_pooling_over_the_field_counts_the_ground_state_at_inactive_sites(ground, ops):
    full = [[3, i, j] for i, j in np.ndindex(2, 3)]  # no site is left for the ground state
    sites, values = [[0, 0, 0], [0, 1, 2], [2, 1, 1], *full], np.array([[1.0, -9], [5, -8], [-4, -2], *[[-7, -5]] * 6])
    x = sp.SparseTensor.from_sites(sites, values, (2, 3), 4, ground=None)
    x = x.with_features(x.features, None if ground is None else sp.Tensor(ground))
    dense = np.moveaxis(x.to_dense(), 1, -1).reshape(4, 6, 2)
    for kind, reduce in (("average", np.mean), ("sum", np.sum), ("max", np.max)):
        assert_allclose(sp.GlobalPooling(kind, over="field")(x).data, reduce(dense, axis=1), rtol=1e-6)


def test_global_pooling_over_active_sites_counts_no_other_and_an_empty_sample_gives_the_ground(ops):
    sites, values = [[0, 0, 0], [0, 1, 2], [2, 1, 1]], np.array([[1.0, -9], [5, -8], [-4, -2]])
    x = sp.SparseTensor.from_sites(sites, values, (2, 3), 3)
    given = x.with_features(x.features, sp.Tensor([[7.0, 6.0]]))
    for kind, first in (("average", [3, -8.5]), ("sum", [6, -17]), ("max", [5, -8])):
        assert sp.GlobalPooling(kind)(given).data.tolist() == [first, [7, 6], [-4, -2]]
        assert sp.GlobalPooling(kind)(x.with_features(x.features)).data.tolist() == [first, [0, 0], [-4, -2]]
    unbounded = sp.SparseTensor.from_sites(sites, values)
    with pytest.raises(ShapeError, match="size"):
        sp.GlobalPooling(over="field")(unbounded)
    with pytest.raises(ShapeError, match="'median'"):
        sp.GlobalPooling("median")


# Edges, joins


def test_a_dense_array_becomes_sparse_and_dense_again(ops, rng):
    dense = rng.normal(size=(3, 2, 5, 4)) * (rng.random((3, 1, 5, 4)) < 0.3)
    dense[1] = 0
    dense[0, :, 0, 0] = 0, 3  # one channel of two is enough
    leaf = sp.Tensor(dense, requires_grad=True)
    x = sp.DenseToSparse(2)(leaf)
    assert x.sites.tolist() == np.argwhere((dense != 0).any(1)).tolist() and x.grid.samples == 3
    back = sp.SparseToDense(2)(x)
    assert np.array_equal(back.data, leaf.data)
    dy = rng.normal(size=dense.shape)
    back.backward(dy)
    assert_allclose(leaf.grad, np.where((dense != 0).any(1)[:, None], dy, 0), rtol=1e-6)
    assert sp.DenseToSparse(2, ground=None)(dense).ground is None
    flat = sp.SparseToDense(2, flat=True)(x)
    assert np.array_equal(flat.data, leaf.data.reshape(3, -1))
    strong, loud = sp.DenseToSparse(2, threshold=0.8)(leaf), (np.abs(dense) > 0.8).any(1)
    assert strong.sites.tolist() == np.argwhere(loud).tolist() and 0 < strong.grid.n < x.grid.n
    assert np.array_equal(strong.features.data, sp.SparseTensor.from_dense(dense, threshold=0.8).features.data)
    with pytest.raises(ShapeError, match="expected threshold to be a number from 0 up, got -1"):
        sp.DenseToSparse(2, threshold=-1)
    with pytest.raises(ShapeError, match="2 axes of sites"):
        sp.DenseToSparse(2)(dense[0])


def test_dense_arrays_without_samples_or_active_sites_are_a_case_too(ops):
    for shape in ((0, 2, 5, 4), (3, 2, 5, 4)):
        x = sp.DenseToSparse(2)(np.zeros(shape))
        assert (x.grid.n, x.grid.samples, x.channels) == (0, shape[0], 2)
        assert sp.SparseToDense(2)(x).shape == shape


def test_the_sum_and_the_join_of_branches_are_those_of_their_rows(ops):
    x = PLANE["drawn"]((5, 0, 4))
    a, b = sp.NetworkInNetwork(4, 4, rng=0), sp.SubmanifoldConvolution(2, 4, 4, rng=1)
    both, plain = sp.Residual(a, b), sp.Residual(a)
    for part in (0, 1):
        mine = [parts(layer(x))[part].data for layer in (both, plain, sp.Concatenate(a, b, sp.Sequential()))]
        ab, only_a, only_b = (parts(y)[part].data for y in (b(a(x)), a(x), b(x)))
        start = parts(x)[part].data
        assert np.array_equal(mine[0], start + ab) and np.array_equal(mine[1], start + only_a)
        assert np.array_equal(mine[2], np.concatenate([only_a, only_b, start], 1))


def test_branches_on_different_sites_are_refused():
    x = PLANE["zero"]((5,))
    with pytest.raises(ShapeError, match="same grid"):
        sp.Concatenate(sp.Sequential(), sp.MaxPooling(2, 2))(x)
    with pytest.raises(ShapeError, match="same grid"):
        sp.Residual(sp.Convolution(2, 4, 4, 3))(x)
    with pytest.raises(ShapeError, match="channels"):
        sp.Residual(sp.NetworkInNetwork(4, 3))(x)
    with pytest.raises(ShapeError, match="expected at least one branch, got none"):
        sp.Concatenate()
    with pytest.raises(TypeError, match="expected layers, got the class ReLU"):
        sp.Sequential(sp.ReLU)
