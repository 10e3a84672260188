"""Layers: the contract of all, and the truths that equality with dense networks does not cover."""

import numpy as np
import pytest
from contract import check_layer, coarse, parts, rows
from in_turn import each
from layer_list import DRAWN, FAMILIES, GOING_BACK, ON_ROWS, ON_SITES, PLANE, TO_POINTS
from numpy.testing import assert_allclose
from public import NAMES

import spconv_cy as sp
from spconv_cy.errors import ShapeError


@pytest.mark.parametrize("name", ON_SITES)
@each("family", FAMILIES)
def test_a_layer_keeps_the_contract(name, family):
    make, inputs = ON_SITES[name]
    assert inputs.keys() <= set(FAMILIES)
    if family in inputs:
        check_layer(make, inputs[family])


@each("name, family", [(name, family) for name in DRAWN for family in DRAWN[name][1]])
def test_a_layer_that_draws_for_each_sample_keeps_the_contract(name, family):
    make, inputs = DRAWN[name]
    check_layer(make, inputs[family], alike=False)


@pytest.mark.parametrize("name, family", [(name, family) for name in TO_POINTS for family in TO_POINTS[name][1]])
def test_a_layer_that_answers_at_points_keeps_the_contract(name, family):
    make, inputs = TO_POINTS[name]
    check_layer(make, inputs[family], alike=False)


@each("name", ON_ROWS)
def test_a_layer_on_plain_rows_keeps_the_contract(name):
    check_layer(ON_ROWS[name], rows(4))


@pytest.mark.parametrize("name", GOING_BACK)
def test_a_layer_that_goes_back_keeps_the_contract(name):
    check_layer(GOING_BACK[name], coarse(PLANE[None], sp.MaxPooling(2, 2)))


def test_every_public_layer_is_in_a_list():
    listed = {type(make()) for make, _ in (ON_SITES | DRAWN | TO_POINTS).values()}
    listed |= {type(make()) for make in GOING_BACK.values()}
    public = {value for value in NAMES.values() if isinstance(value, type) and issubclass(value, sp.Layer)}
    networks = {sp.models.Autoencoder, sp.models.SPVCNN, sp.models.PCGCDecoder, sp.models.PointTransformerParts}
    assert public - listed == {sp.Layer, sp.DenseToSparse} | networks, "add it to tests/layer_list.py"


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
    layer = sp.BatchNormalization(4, eps=1e-3, debias=False)
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
    layer = sp.BatchNormalization(4, debias=False)
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
    unbounded = sp.SparseTensor.from_sites(sites, values, samples=3)
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
