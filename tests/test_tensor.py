"""SparseTensor: rows of points, merged duplicates, dense arrays and back, batches; and what moves with the sites."""

import numpy as np
import oracles
import pytest
from in_turn import each
from numpy.testing import assert_allclose
from strategies import every, random_sites

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError

REDUCTIONS = {
    "sum": lambda rows: np.sum(rows, axis=0),
    "mean": lambda rows: np.mean(rows, axis=0),
    "max": lambda rows: np.max(rows, axis=0),
    "first": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
}


def crowded(rng, n=60, samples=3, d=2, high=5):
    """Draw sites that repeat, in random order, and features."""
    sites = rng.integers(0, high, (n, 1 + d))
    sites[:, 0] %= samples
    return sites, np.float32(rng.normal(size=(n, 4))).astype(np.float64)


@each("reduce", REDUCTIONS)
def test_duplicates_are_merged_as_loops_merge_them(reduce, rng, ops):
    sites, features = crowded(rng)
    x = sp.SparseTensor.from_sites(sites, features, 5, 3, reduce=reduce)
    groups = {}
    for site, row in zip(map(tuple, sites.tolist()), features, strict=True):
        groups.setdefault(site, []).append(row)
    assert [tuple(site) for site in x.sites.tolist()] == sorted(groups)
    truths = [REDUCTIONS[reduce](groups[site]) for site in sorted(groups)]
    assert_allclose(x.features.data, truths, rtol=1e-5, atol=1e-6)
    assert np.array_equal(x.sites[x.point_rows], sites) and x.point_rows.dtype == np.int32


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_merging_hands_gradients_to_the_points(reduce, rng):
    sites, features = crowded(rng, n=12, samples=1, high=2)
    sp.check_gradient(lambda rows: sp.SparseTensor.from_sites(sites, rows, reduce=reduce).features, features)


def test_the_four_ways_to_merge_two_rows():
    for reduce, expected in (("last", 2), ("first", 1), ("sum", 3), ("mean", 1.5), ("max", 2)):
        x = sp.SparseTensor.from_sites([[0, 0, 0], [0, 0, 0]], [[1.0], [2.0]], reduce=reduce)
        assert x.features.data.tolist() == [[expected]]


def test_points_are_floored_to_cells_negative_ones_too(rng, ops):
    points = np.column_stack([rng.integers(0, 2, 40), rng.uniform(-3, 3, (40, 3))])
    features = rng.normal(size=(40, 2))
    for cell in (1.0, 0.25, (0.5, 1, 2)):
        x = sp.SparseTensor.from_points(points, features, cell=cell)
        expected = np.column_stack([points[:, 0], np.floor(points[:, 1:] / cell)]).astype(int)
        assert np.array_equal(x.sites[x.point_rows], expected) and x.grid.size is None
        rows = [features[(expected == site).all(1)].mean(0) for site in x.sites]
        assert_allclose(x.features.data, rows, rtol=1e-5, atol=1e-6)  # the mean, unless told otherwise


def test_an_output_in_the_order_of_the_points(rng, ops):
    sites = random_sites(rng, 30, 2, samples=2)
    features = rng.normal(size=(30, 3))
    layer = sp.SubmanifoldConvolution(2, 3, 4, rng=0)
    x = sp.SparseTensor.from_sites(sites, features, samples=2)
    shuffle = rng.permutation(30)
    other = sp.SparseTensor.from_sites(sites[shuffle], features[shuffle], samples=2)
    y, z = layer(x), layer(other)
    assert np.array_equal(y.features.data, z.features.data) and np.array_equal(y.sites, z.sites)
    assert np.array_equal(y.features.data[y.point_rows][shuffle], z.features.data[z.point_rows])
    assert sp.Convolution(2, 3, 4, 2, rng=0)(x).point_rows is None  # other sites


def test_dense_arrays_come_back_with_the_ground_painted_in(rng, ops):
    dense = rng.normal(size=(2, 3, 5, 4)) * (rng.random((2, 1, 5, 4)) < 0.4)
    x = sp.SparseTensor.from_dense(dense)
    assert_allclose(x.to_dense(), dense, rtol=1e-6)
    painted = x.with_features(x.features, sp.Tensor([[1.0, 2, 3]])).to_dense()
    active = (dense != 0).any(1, keepdims=True)
    assert_allclose(painted, np.where(active, dense, np.reshape([1, 2, 3], (1, 3, 1, 1))), rtol=1e-6)
    strong = sp.SparseTensor.from_dense(dense, threshold=1.0)
    assert strong.sites.tolist() == np.argwhere((np.abs(dense) > 1).any(1)).tolist()
    assert strong.features.shape[1] == 3 and sp.SparseTensor.from_dense(dense, ground=None).ground is None


def test_an_unbounded_grid_is_painted_into_a_box():
    x = sp.SparseTensor.from_sites([[0, -2, 1], [1, 0, 3]], [[5.0], [6.0]], samples=2)
    dense = x.to_dense(origin=(-2, 1), size=(3, 4))
    assert dense.shape == (2, 1, 3, 4) and dense[0, 0, 0, 0] == 5 and dense[1, 0, 2, 2] == 6 and dense.sum() == 11
    for options in ({}, {"size": 3}, {"origin": -2}):
        with pytest.raises(ShapeError, match="origin= and size="):
            x.to_dense(**options)
    with pytest.raises(GridError, match="1 of 2 outside"):
        x.to_dense(origin=(-2, 1), size=(3, 2))


def test_painting_hands_gradients_to_features_and_ground(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 7, 2, 0, 4, samples=2), rng.normal(size=(7, 2)), 4, 3)
    sp.check_gradient(
        lambda rows, ground: x.with_features(rows, ground).dense(), rng.normal(size=(7, 2)), rng.normal(size=(1, 2))
    )


def test_a_batch_of_tensors_is_their_samples_in_turn(rng, ops):
    ones = [
        sp.SparseTensor.from_sites(random_sites(rng, n, 2, 0, 6, samples), rng.normal(size=(n, 2)), 6, samples)
        if n
        else sp.SparseTensor.from_sites(np.zeros((0, 3), int), np.zeros((0, 2)), 6, samples)
        for n, samples in ((5, 1), (0, 2), (8, 3), (1, 1))
    ]
    batch = sp.collate(ones)
    assert batch.grid.samples == 7 and np.array_equal(batch.to_dense(), np.concatenate([x.to_dense() for x in ones]))
    assert batch.grid.batch_starts.tolist() == [0, 5, 5, 5, *np.cumsum(np.diff(ones[2].grid.batch_starts)) + 5, 14]
    features = np.concatenate([x.features.data for x in ones])
    assert np.array_equal(batch.features.data, features)
    assert np.array_equal(
        batch.features.data[batch.point_rows], np.concatenate([x.features.data[x.point_rows] for x in ones])
    )


# What moves with the sites


def network(ground=True):
    """Make a network with strides 2 and 3."""
    middle = [sp.SubmanifoldConvolution(2, 4, 4, rng=1)] if not ground else []
    first, last = sp.Convolution(2, 2, 4, 2, 2, rng=0), sp.Convolution(2, 4, 3, 2, rng=2)
    return sp.Sequential(first, sp.VeryLeakyReLU(), *middle, sp.MaxPooling(2, 3), last)


@pytest.mark.parametrize("family", ["zero", None])
def test_moving_sites_by_a_multiple_of_all_strides_moves_the_output(family, rng, ops):
    sites, features = random_sites(rng, 50, 2, -20, 20, samples=2), rng.normal(size=(50, 2))
    net = network(family == "zero")
    for shift in ((6, 0), (-12, 18), (600_000, -6)):
        y = net(sp.SparseTensor.from_sites(sites, features, ground=family, samples=2))
        z = net(sp.SparseTensor.from_sites(sites + np.array([0, *shift]), features, ground=family, samples=2))
        assert np.array_equal(z.sites - y.sites, np.broadcast_to([0, shift[0] // 6, shift[1] // 6], y.sites.shape))
        assert np.array_equal(y.features.data, z.features.data)


def test_the_field_around_the_sites_changes_nothing_but_where_it_ends(rng, ops):
    sites, features = random_sites(rng, 50, 2, 12, 36, samples=2), rng.normal(size=(50, 2))
    free = network()(sp.SparseTensor.from_sites(sites, features, samples=2))
    sized = network()(sp.SparseTensor.from_sites(sites, features, 60, samples=2))
    assert np.array_equal(free.sites, sized.sites) and np.array_equal(free.features.data, sized.features.data)


def test_a_submanifold_convolution_of_a_full_field_is_the_dense_one_padded_with_zeros(rng, ops):
    dense = rng.normal(size=(1, 2, 6, 5)) + 3
    layer = sp.SubmanifoldConvolution(2, 2, 3, rng=0)
    y = layer(sp.SparseTensor.from_dense(dense, ground=None)).to_dense()
    padded, w = np.pad(dense, [(0, 0), (0, 0), (1, 1), (1, 1)]), layer.weight.data.reshape(3, 3, 2, 3)
    expected = sum(
        np.einsum("bcij,co->boij", padded[:, :, i : i + 6, j : j + 5], w[i, j]) for i, j in np.ndindex(3, 3)
    )
    assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@each("d", range(1, 9))
def test_convolution_and_pooling_in_one_to_eight_dimensions_equal_loops_over_sets(d, rng, ops):
    n = 8 if d == 1 or d > 6 else 14
    sites, features = random_sites(rng, n, d, -3, 4 + (d == 1) * 8, samples=2), rng.normal(size=(n, 2))
    x = sp.SparseTensor.from_sites(sites, features, ground=None, samples=2)
    features = x.features.data.astype(float)
    for options in every(size=[2] if d > 4 else [2, 3], stride=[1, 2], keeps=[False, True]):
        size, stride, keeps = options.values()
        if keeps and stride > 1:
            continue
        layer = sp.SubmanifoldConvolution(d, 2, 3, size) if keeps else sp.Convolution(d, 2, 3, size, stride)
        layer.bias.data[...] = [[1, -2, 3]]
        origin = (size // 2 if keeps else 0,) * d
        outs, pairs = oracles.window_pairs(x.sites, (size,) * d, (stride,) * d, (1,) * d, origin, keeps_sites=keeps)
        row, to = ({tuple(s): i for i, s in enumerate(rows)} for rows in (x.sites.tolist(), outs))
        pairs = [(k, row[i], to[j]) for k, i, j in sorted(pairs)]
        y, truth = layer(x), oracles.conv(features, layer.weight.data.astype(float), pairs, len(outs), [[1, -2, 3]])
        assert [tuple(site) for site in y.sites.tolist()] == outs
        assert_allclose(y.features.data, truth, rtol=1e-4, atol=1e-5)
        if not keeps:
            pooled, truth = sp.MaxPooling(d, size, stride)(x), oracles.max_pool(features, pairs, len(outs), size**d)[0]
            assert_allclose(pooled.features.data, truth, rtol=1e-6)


@pytest.mark.parametrize("features, ground, wanted", [
    (np.ones((3, 2)), None, r"features \(2, channels\), a row for each site, got Tensor\(\(3, 2\)"),
    (np.ones(2), None, r"features \(2, channels\)"),
    (np.ones((2, 2)), np.ones((1, 3)), r"a ground state \(1, 2\) or None, got Tensor\(\(1, 3\)"),
    (np.ones((2, 2)), np.ones(2), r"a ground state \(1, 2\)"),
])
def test_features_and_ground_state_that_do_not_fit_the_sites_are_refused(features, ground, wanted):
    x = sp.SparseTensor.from_sites([[0, 1], [0, 0]], [[1.0], [2.0]])
    with pytest.raises(ShapeError, match=f"^SparseTensor: expected {wanted}"):
        x.with_features(features, ground)
