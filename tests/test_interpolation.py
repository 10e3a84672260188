"""Interpolation between sites and points against scipy and brute force, its adjoint, gradients, and what is refused."""

from itertools import product

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import RegularGridInterpolator
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError


def tensor(rng, d, size=5, n=30, ground="drawn"):
    """Make a tensor of two samples, the first empty."""
    sites = random_sites(rng, min(n, size**d // 2), d, 0, size, samples=1)
    sites[:, 0] = 1
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 3)), size, 2, ground=None)
    return x.with_features(x.features, sp.Tensor(rng.normal(size=(1, 3))) if ground == "drawn" else None)


def inside(rng, d, n, size=5, samples=2):
    """Draw points whose neighbours all lie in the field."""
    return np.column_stack([rng.integers(0, samples, n), rng.uniform(0.5, size - 0.5, (n, d))])


@pytest.mark.parametrize("ground", ["drawn", None])
@each("d", [1, 2, 3, 4])
def test_linear_interpolation_is_scipys_of_the_painted_array(d, ground, rng, ops):
    x, points = tensor(rng, d, ground=ground), inside(rng, d, 40)
    dense = np.moveaxis(x.to_dense(), 1, -1)
    for centre in (0.5, 0.0):
        axes = [np.arange(5) + centre] * d
        points[:, 1:] = np.clip(points[:, 1:], centre, 4 + centre)
        truth = [RegularGridInterpolator(axes, dense[int(b)])(p)[0] for b, *p in points]
        cells = [0.5 + i for i in range(d)]  # a unit of its own for each axis
        found = sp.layers.interpolate(x, points * [1, *cells], cell=cells, centre=centre)
        assert_allclose(found.data, truth, rtol=1e-5, atol=1e-6)


@each("d", range(1, 9))
def test_a_linear_function_comes_back_exactly_and_the_adjoint_is_one(d, rng):
    with sp.use("reference"):
        corner = np.array(list(product((0, 1), repeat=d)))
        sites = np.column_stack([np.zeros(len(corner), int), corner])
        slope = rng.normal(size=d)
        x = sp.SparseTensor.from_sites(sites, (corner + 0.5) @ slope[:, None], 2, ground=None)
        points = np.column_stack([np.zeros(9), rng.uniform(0.5, 1.5, (9, d))])
        assert_allclose(sp.layers.interpolate(x, points).data[:, 0], points[:, 1:] @ slope, rtol=1e-10)
        dy = rng.normal(size=(9, 1))
        laid = sp.layers.splat(points, dy, grid=x.grid)
        assert np.isclose((sp.layers.interpolate(x, points).data * dy).sum(),
                          (laid.features.data * x.features.data).sum())


@each("missing", ["ground", "skip"])
@each("kind", ["linear", "nearest"])
def test_what_is_missing_counts_as_the_ground_or_not_at_all(kind, missing, rng, ops):
    x = tensor(rng, 2, n=12)
    points = np.column_stack([rng.integers(0, 2, 60), rng.uniform(-2, 8, (60, 2))])
    rows, ground = {tuple(site): f for site, f in zip(x.sites.tolist(), x.features.data, strict=True)}, x.ground.data[0]
    truth = []
    for b, *place in points:
        terms = []
        for near in product(*(range(int(np.floor(p - 0.5)), int(np.floor(p - 0.5)) + 2) for p in place)):
            weight = np.prod([1 - abs(p - 0.5 - i) for p, i in zip(place, near, strict=True)])
            if kind == "nearest":
                weight = float(near == tuple(int(np.floor(p)) for p in place))
            row = rows.get((int(b), *near))
            terms += [(weight, ground if row is None else row)] if missing == "ground" or row is not None else []
        total = sum(weight for weight, _ in terms)
        truth.append(sum(w * row for w, row in terms) / total if total else ground)
    found = sp.layers.interpolate(x, points, kind=kind, missing=missing).data
    assert_allclose(found, truth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_splat_shares_a_point_among_the_sites_around_it(kind, rng, ops):
    points, features = inside(rng, 2, 30), rng.normal(size=(30, 2))
    for reduce in ("sum", "mean"):
        x = sp.layers.splat(points, features, kind=kind, reduce=reduce, size=5, samples=3)
        total, shares = np.zeros((3, 5, 5, 2)), np.zeros((3, 5, 5, 1))
        for (b, *place), row in zip(points, features, strict=True):
            for at in product(range(5), repeat=2):
                weight = np.prod([max(0, 1 - abs(p - 0.5 - i)) for p, i in zip(place, at, strict=True)])
                if kind == "nearest":
                    weight = float(at == tuple(int(np.floor(p)) for p in place))
                total[(int(b), *at)] += weight * row
                shares[(int(b), *at)] += weight
        truth = total / np.where(shares > 0, shares, 1) if reduce == "mean" else total
        assert_array_equal(x.sites, np.argwhere(shares[..., 0] > 0))
        assert_allclose(np.moveaxis(x.to_dense(), 1, -1), truth, rtol=1e-4, atol=1e-5)
    if kind == "nearest":
        merged = sp.SparseTensor.from_points(points, features, size=5, samples=3)
        assert_array_equal(merged.sites, x.sites)
        assert_allclose(merged.features.data, x.features.data, rtol=1e-5, atol=1e-6)
        assert_array_equal(sp.layers.interpolate(merged, points, kind="nearest").data, merged.to_points().data)


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_gradients_are_those_of_differences(d, rng):
    n = 3 if d == 8 else 10
    with sp.use("reference"):
        x = tensor(rng, d, size=3, n=n)
        points = np.column_stack([rng.integers(0, 2, 6), rng.uniform(0, 3, (6, d))])
        features = rng.normal(size=(6, 2))
        for kind, missing in product(("linear", "nearest"), ("ground", "skip")):

            def read(rows, ground, kind=kind, missing=missing):
                return sp.layers.interpolate(x.with_features(rows, ground), points, kind=kind, missing=missing)

            sp.check_gradient(read, x.features.data, x.ground.data, directions=3)
        for kind, reduce in product(("linear", "nearest"), ("sum", "mean")):

            def lay(rows, kind=kind, reduce=reduce):
                return sp.layers.splat(points, rows, kind=kind, reduce=reduce, size=3, grid=None).features

            sp.check_gradient(lay, features, directions=3)
        sp.check_gradient(lambda rows: sp.layers.splat(points, rows, grid=x.grid, reduce="mean").features, features)


def test_no_points_no_sites_and_empty_samples_are_cases(ops):
    empty = sp.SparseTensor.from_sites(np.zeros((0, 3), int), np.zeros((0, 2)), 4, 2)
    assert sp.layers.interpolate(empty, np.zeros((0, 3))).shape == (0, 2)
    assert sp.layers.interpolate(empty, [[1, 0.5, 3.0]], missing="skip").data.tolist() == [[0, 0]]
    x = sp.layers.splat(np.zeros((0, 3)), np.zeros((0, 2)), size=4, samples=2, reduce="mean")
    assert (x.grid.n, x.grid.samples, x.channels) == (0, 2, 2)
    assert sp.layers.splat([[1, 0.5, 3.0]], [[1.0, 2.0]], grid=empty.grid, reduce="mean").features.shape == (0, 2)


def test_a_network_of_points_trains_through_its_sites(rng):
    class PointAndSite(sp.Layer):
        """A branch of points beside a branch of sites."""

        def __init__(self, channels_in, channels_out, cell):
            self.cell = cell
            self.sites = sp.Sequential(sp.SubmanifoldConvolution(2, channels_in, channels_out, 3, rng=0), sp.ReLU())
            self.points = sp.NetworkInNetwork(channels_in, channels_out, rng=1)

        def __call__(self, points, rows):
            return self.points(rows) + sp.layers.apply_to_points(self.sites, points, rows, cell=self.cell)

    # Whether a point is one of many near to it: no layer of points alone can tell.
    centres = rng.uniform(0, 20, (12, 2))
    many = np.concatenate([c + rng.normal(0, 0.5, (10, 2)) for c in centres])
    places = np.concatenate([many, rng.uniform(0, 20, (60, 2))])
    points, labels = np.column_stack([np.zeros(180), places]), np.repeat([1, 0], [120, 60])
    rows = np.column_stack([np.ones(180), places % 1])
    first, second = PointAndSite(3, 8, 1.0), PointAndSite(8, 2, 2.0)
    optimizer = sp.Adam([*first.parameters(), *second.parameters()], 0.02)
    losses = []
    for _ in range(30):
        loss = sp.softmax_cross_entropy(second(points, first(points, sp.Tensor(rows))), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.data))
    assert losses[-1] < 0.7 * losses[0] and all(np.isfinite(losses))


def test_what_does_not_fit_is_refused_with_what_does(rng):
    x = tensor(rng, 2)
    for options, words in (
        ({"kind": "cubic"}, "'linear' or 'nearest'"),
        ({"missing": "zero"}, "'ground' or 'skip'"),
        ({"centre": 1}, "0 to below 1"),
        ({"cell": 0}, "interpolate: expected cell to be a positive number"),
    ):
        with pytest.raises(ShapeError, match=words):
            sp.layers.interpolate(x, [[0, 1.0, 1.0]], **options)
    with pytest.raises(GridError, match="expected batch indices from 0 to 1, got 2 to 2"):
        sp.layers.interpolate(x, [[2, 1.0, 1.0]])
    with pytest.raises(GridError, match="int32"):
        sp.layers.interpolate(x, [[0, 1.0, 1e12]])
    with pytest.raises(ShapeError, match=r"\(n, 3\)"):
        sp.layers.interpolate(x, [[0, 1.0]])
    with pytest.raises(ShapeError, match="NaN"):
        sp.layers.interpolate(x, [[0, 1.0, np.nan]])
    with pytest.raises(TypeError, match="SparseTensor"):
        sp.layers.interpolate(x.features, [[0, 1.0, 1.0]])
    with pytest.raises(ShapeError, match="one row for each"):
        sp.layers.splat([[0, 1.0]], [[1.0], [2.0]])
    with pytest.raises(GridError, match="inside size"):
        sp.layers.splat([[0, 5.0]], [[1.0]], size=4)
    with pytest.raises(ShapeError, match="one of them"):
        sp.layers.splat([[0, 1.0, 1.0]], [[1.0]], grid=x.grid, size=4)
    with pytest.raises(ShapeError, match="'sum' or 'mean'"):
        sp.layers.splat([[0, 1.0]], [[1.0]], reduce="max")
    with pytest.raises(ShapeError, match="keeps the sites"):
        sp.layers.apply_to_points(sp.MaxPooling(2, 2), [[0, 1.0, 1.0]], [[1.0]], size=4)
    simplex = sp.SparseTensor.from_sites([[0, 1, 1]], [[1.0]], 4, lattice=sp.Lattice.simplex(2))
    with pytest.raises(ShapeError, match="cubic"):
        sp.layers.interpolate(simplex, [[0, 1.0, 1.0]])
