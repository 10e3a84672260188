"""Points as people have them: without a batch index, around an origin, partly outside the range; hard voxels."""

import warnings

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError

T = sp.SparseTensor
ONES = np.ones((4, 1))
WHOLE = np.array([[1, 2, 3], [4, 5, 6], [4, 7, 0], [0, 1, 2]])


@each("take", [T.from_sites, T.from_points])
@each("points", [WHOLE, WHOLE.astype(float), WHOLE[:, :2], WHOLE.tolist()])
@each("size", [None, 16])
def test_whole_numbers_that_may_or_may_not_begin_with_a_batch_index_are_not_taken_silently(take, points, size):
    if take == T.from_sites and np.asarray(points).dtype == float:
        points = points.astype(np.int16)
    n = np.shape(points)[1]
    with pytest.warns(UserWarning, match=rf"\(4, {n}\).*give samples=5; .* in {n} dimensions, give batch=0") as found:
        take(points, ONES, size=size)
    assert len(found) == 1 and found[0].filename == __file__


@each("told", [{"samples": 5}, {"size": (16, 16)}, {"batch": 0}, {"batch": [1, 1, 0, 2]},
               {"lattice": sp.Lattice.cubic(2)}, {"size": np.array([16, 16])}])
@each("take", [T.from_sites, T.from_points])
def test_what_is_told_is_not_asked_for(take, told):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = take(WHOLE, ONES, **told)
        take(np.column_stack([np.zeros(4, int), WHOLE]), ONES)           # 3-d with a batch index, the usual form
        take(WHOLE * (0, 1, 1), ONES, reduce="sum")                      # one sample
    assert x.grid.d == (3 if "batch" in told else 2)
    if take == T.from_points:
        T.from_points(WHOLE + 0.5 * (np.arange(3) > 0), ONES)            # reals after a whole number: the batch index


def test_points_without_a_batch_index_are_those_with_one(rng):
    points, features, batch = rng.uniform(-9, 9, (50, 3)), rng.normal(size=(50, 2)), rng.integers(0, 4, 50)
    for index in (batch, batch.tolist(), batch.astype(np.uint8), 2, np.int8(2)):
        x = T.from_points(points, features, cell=0.5, batch=index, samples=7)
        y = T.from_points(np.column_stack([np.broadcast_to(index, 50), points]), features, cell=0.5, samples=7)
        assert_array_equal(x.sites, y.sites)
        assert_array_equal(x.features.data, y.features.data)
        assert_array_equal(x.point_rows, y.point_rows)
    sites = np.unique(np.floor(points).astype(np.uint64) % 64, axis=0)
    assert_array_equal(T.from_sites(sites, sites, batch=3).sites[:, 1:], sites)
    assert T.from_sites(np.zeros((0, 3), int), np.zeros((0, 1)), batch=0, samples=2).grid.samples == 2
    assert T.from_points([], np.zeros((0, 1)), batch=[]).grid.n == 0
    net = sp.SubmanifoldConvolution(3, 2, 2, rng=0)
    columns = np.column_stack([batch, points])
    for function in (lambda p, **b: sp.layers.interpolate(x, p, **b).data,
                     lambda p, **b: sp.layers.splat(p, features, samples=4, **b).features.data,
                     lambda p, **b: sp.layers.apply_to_points(net, p, features, **b).data):
        assert_array_equal(function(points, batch=batch), function(columns))


@each("change, kind, message", [
    ({"batch": [0, 1]}, ShapeError, r"batch to be a whole number, or \(4,\) of them.*got shape \(2,\) of int64"),
    ({"batch": 0.5}, ShapeError, "batch to be a whole number.*got 0.5"),
    ({"batch": True}, ShapeError, "batch to be a whole number.*got True"),
    ({"batch": "0"}, ShapeError, "batch to be a whole number.*got '0'"),
    ({"batch": -1}, GridError, "batch indices from 0 to .*got -1"),
    ({"batch": [0, 1, 2, 2**40]}, GridError, "batch indices from 0 to .*got 0 to 1099511627776"),
    ({"batch": 3, "samples": 2}, GridError, "batch indices from 0 to 1 with samples=2, got 3"),
    ({"points": np.zeros(4), "batch": 0}, ShapeError, r"with batch=, numbers \(n, d\).*got shape \(4,\)"),
    ({"points": WHOLE + 0.5}, ShapeError, "whole numbers in column 0.*give batch=0 for points of one sample"),
    ({"points": WHOLE - 2}, GridError, "from 0 up in column 0 of sites, got -2; give batch=0"),
    ({"batch": 0, "origin": (1, 2)}, ShapeError, r"origin to be a finite number, or 3.*got \(1, 2\)"),
    ({"batch": 0, "origin": np.nan}, ShapeError, "origin to be a finite number.*got nan"),
    ({"batch": 0, "outside": "drop"}, ShapeError, "with outside='drop', a size .*got size None"),
    ({"batch": 0, "outside": "clip", "size": 4}, ShapeError, "outside to be 'error' or 'drop', got 'clip'"),
    ({"batch": 0, "outside": None, "size": 4}, ShapeError, "outside to be 'error' or 'drop', got None"),
    ({"size": (9, 9, 9)}, ShapeError, "and a size of 2 axes, got a size of 3; .* without a batch index give batch=0"),
    ({"batch": 0, "outside": "drop", "size": (4, 4)}, ShapeError, r"an int or 3 ints.*got \(4, 4\)"),
    ({"batch": 0, "outside": "drop", "size": 4, "features": np.ones((3, 1))}, ShapeError, r"\(4, channels\)"),
    ({"batch": 0, "size": 4}, GridError, "2 of 4 outside, the first at row")])
def test_points_that_do_not_fit_are_refused(change, kind, message):
    arguments = {"points": WHOLE, "features": ONES} | change
    with pytest.raises(kind, match=message):
        T.from_points(**arguments)


def test_points_outside_the_range_are_left_out_and_those_inside_are_at_their_distance_from_the_origin(rng):
    low, cell, size = np.array([-3.0, -40.0, 0.0]), np.array([0.05, 0.1, 4.0]), (140, 800, 1)
    points = np.concatenate([rng.uniform(-5, 5, (300, 3)) * (1, 9, 1), [low, low + cell * size, [1e30, 0, 0]]])
    features, batch = rng.normal(size=(303, 2)), rng.integers(0, 3, 303)
    x = T.from_points(points, features, cell=cell, size=size, batch=batch, samples=4, origin=low, outside="drop")
    sites = np.floor((points - low) / cell)
    there = ((sites >= 0) & (sites < size)).all(1)
    assert there[300] and not there[301:].any() and 0 < there.sum() < 200
    assert_array_equal(x.point_rows < 0, ~there)
    assert_array_equal(x.sites[x.point_rows[there]], np.column_stack([batch, sites])[there])
    assert x.grid.samples == 4
    back = x.to_points().data
    assert not back[~there].any() and back[there].any(1).all()
    assert_array_equal(sp.collate([x, x]).point_rows, [*x.point_rows,
                                                       *np.where(x.point_rows < 0, -1, x.point_rows + x.grid.n)])
    for kept in ("first", "last"):
        chosen = x.to_points(kept=kept).data
        assert chosen.any(1).sum() == x.grid.n and not chosen[~there].any()
    y = T.from_points(points[there], features[there], cell=cell, size=size, batch=batch[there], origin=low)
    assert_array_equal(x.features.data, y.features.data)
    assert T.from_points(points + 1e6, features, batch=2, size=4, outside="drop").grid.samples == 3
    assert T.from_points(points[:0], features[:0], batch=0, size=4, outside="drop").grid.n == 0


def test_gradients_reach_the_points_inside_and_no_others(rng):
    points = rng.uniform(-1, 3, (8, 2))
    sp.check_gradient(lambda rows: T.from_points(points, rows, batch=0, size=3, outside="drop").features,
                      rng.normal(size=(8, 2)))
    simplex = T.from_points(points, np.ones((8, 1)), batch=0, size=3, outside="drop", lattice=sp.Lattice.simplex(2))
    assert (simplex.sites[:, 1:].sum(1) < 3).all() and 0 < simplex.grid.n < 8


def voxels_by_a_loop(points, cell, low, high, most_points, most_voxels):
    """SECOND's generator as its documentation tells it: a loop over the points of one sample."""
    size = np.round((np.array(high) - low) / cell).astype(int)
    numbers, found, counts, sites = {}, [], [], []
    for point in points:
        site = np.floor((point[:len(low)] - low) / cell).astype(int)
        if (site < 0).any() or (site >= size).any():
            continue
        if tuple(site) not in numbers:
            if len(found) >= most_voxels:
                continue
            numbers[tuple(site)] = len(found)
            found.append(np.zeros((most_points, len(point))))
            counts.append(0)
            sites.append(site)
        voxel = numbers[tuple(site)]
        if counts[voxel] < most_points:
            found[voxel][counts[voxel]] = point
            counts[voxel] += 1
    return np.array(found), np.array(counts), np.array(sites)


@pytest.mark.parametrize("most_points, most_voxels", [(1, 10**6), (5, 10**6), (3, 20), (1, 1), (100, 7)])
def test_hard_voxels_are_those_of_a_loop_over_the_points(rng, most_points, most_voxels):
    low, high, cell = np.array([0.0, -4, -3]), np.array([7.0, 4, 1]), np.array([0.5, 0.5, 4])
    clouds = [rng.normal(size=(400, 5)) * (4, 3, 1, 1, 1), rng.normal(size=(150, 5))]
    cloud, batch = np.concatenate(clouds).astype(np.float32), np.repeat([0, 2], [400, 150])
    voxels = sp.data.voxelize(cloud, cell, low, high, most_points, most_voxels=most_voxels, batch=batch)
    assert voxels.size == (14, 16, 1) and voxels.samples == 3
    for sample in (0, 2):
        points, counts, sites = voxels_by_a_loop(cloud[batch == sample].astype(np.float64), cell, low, high,
                                                 most_points, most_voxels)
        mine = voxels.sites[:, 0] == sample
        assert_array_equal(voxels.sites[mine, 1:], sites)
        assert_array_equal(voxels.counts[mine], counts)
        assert_array_equal(voxels.points[mine], np.float32(points))
    there = voxels.rows >= 0
    assert_array_equal(voxels.sites[voxels.rows[there], 0], batch[there])
    first = np.unique(voxels.rows, return_index=True)[1][int((~there).any()):]
    assert_array_equal(voxels.points[:, 0], cloud[first])
    assert (np.diff(first) > 0).all()                                    # in the order of their first points
    x = voxels.tensor()
    assert_allclose(x.features.data[x.point_rows], voxels.points.sum(1) / voxels.counts[:, None], rtol=1e-6, atol=1e-6)
    assert x.ground is None and x.grid.size == voxels.size
    reverse = sp.data.voxelize(cloud, cell, low, high, most_points, most_voxels=most_voxels, batch=batch, reverse=True)
    assert_array_equal(reverse.sites, voxels.sites[:, [0, 3, 2, 1]])
    assert reverse.size == (1, 16, 14) and np.array_equal(reverse.points, voxels.points)


def test_voxels_of_all_points_are_the_mean_that_from_points_gives(rng):
    cloud = rng.uniform(-5, 5, (300, 4))
    voxels = sp.data.voxelize(cloud, 1, (-4, -4, -4), (4, 4, 4), 300)
    x = T.from_points(cloud[:, :3], cloud, cell=1, size=8, batch=0, origin=-4, outside="drop", ground=None)
    y = voxels.tensor()
    assert_array_equal(x.sites, y.sites)
    assert_allclose(x.features.data, y.features.data, rtol=1e-5, atol=1e-6)
    assert "300 points, 4 channels, size (8, 8, 8)" in repr(voxels)


def test_no_points_are_no_voxels_and_what_does_not_fit_is_refused():
    voxels = sp.data.voxelize(np.zeros((0, 4)), 1, (0, 0, 0), (2, 2, 2), 5, samples=2)
    assert voxels.points.shape == (0, 5, 4) and voxels.tensor().grid.samples == 2 and len(voxels) == 0
    assert len(sp.data.voxelize([[9, 9, 9]], 1, (0, 0, 0), (2, 2, 2), 5)) == 0
    fits = {"points": [[0.5, 0.5, 0.5]], "cell": 1, "low": (0, 0, 0), "high": (2, 2, 2), "most_points": 2}
    for change, message in (
            ({"points": [[1.0, 2.0]]}, "points .n, 3 or more. of finite numbers"),
            ({"points": [[1.0, 2, 3], [1, np.nan, 3], [np.inf, 2, 3]]}, "got 2 of 3 points .* in row 1; remove"),
            ({"low": (0, 0, 2)}, "low < high"), ({"low": 0}, "d finite numbers each"),
            ({"high": (1, 1)}, "low and high"),
            ({"cell": 0}, "cell to be a positive number, or 3"), ({"cell": (1, 1)}, "cell to be a positive"),
            ({"cell": 9}, "a range of 1 to"), ({"most_points": 0}, "most_points to be a whole number from 1"),
            ({"most_points": 2.5}, "most_points"), ({"most_voxels": 0}, "most_voxels"), ({"reverse": 1}, "reverse")):
        with pytest.raises(ShapeError, match=f"voxelize: expected .*{message}"):
            sp.data.voxelize(**fits | change)


def test_no_points_with_one_batch_index_are_one_sample():
    for make in (lambda: sp.SparseTensor.from_sites(np.zeros((0, 2)), np.zeros((0, 1)), 4, batch=0),
                 lambda: sp.SparseTensor.from_points(np.zeros((0, 2)), np.zeros((0, 1)), cell=1, batch=0)):
        assert make().grid.samples == 1 and make().grid.n == 0
    assert sp.SparseTensor.from_sites([[1, 2]], [[1.0]], batch=2).grid.samples == 3
