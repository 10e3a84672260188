"""Sites in canonical order, and points to sites: by bits, by sorting and in numpy, for any number of threads."""

import math

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites import order, rules
from spconv_cy.sites.points import floored

needs_core = pytest.mark.skipif(rules.compiled is None, reason="compiled modules")


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    """Numbers of threads; several of them share the work only from 8192 rows on."""
    sp.set_threads(request.param)
    yield request.param
    sp.set_threads(None)


def check_arranged(sites):
    """Compare with numpy's own sorting of rows."""
    unique, rows = rules.arrange(sites)
    truth, places = np.unique(sites, axis=0, return_inverse=True)
    assert_array_equal(unique, truth)
    assert_array_equal(rows, places.reshape(-1))
    assert unique.dtype == rows.dtype == np.int32


@each("n, d", [*((63, d) for d in range(1, 9)), (1, 3), (2, 1), (9000, 3)])
def test_sites_of_any_box_are_put_in_order(n, d, threads, rng):
    """Boxes with a few places for each site, with too many for bits, and with more than keys of 62 bits tell apart."""
    for side in (max(2, round((4 * n) ** (1 / (d + 1)))), 5000, 2**31 - 1):
        sites = rng.integers(-side, side, (n, 1 + d)).astype(np.int32)
        sites[:, 0] = abs(sites[:, 0]) % 7
        check_arranged(sites)
        check_arranged(sites[rng.integers(0, n, 2 * n)])
        check_arranged(np.unique(sites, axis=0))
        check_arranged(np.unique(sites, axis=0)[::-1].copy())
        assert_array_equal(rules.bounds(sites), [sites.min(0), sites.max(0)])


@needs_core
def test_a_full_box_and_one_site_many_times(threads):
    full = np.indices((3, 40, 80)).reshape(3, -1).T.astype(np.int32) - 7
    check_arranged(full[::-1].copy())
    check_arranged(np.repeat(full[:1], 10_000, 0))
    check_arranged(np.tile(full, (2, 1)))


@needs_core
def test_only_sites_in_order_are_returned_as_they_are(rng):
    sites = np.array([[0, 5], [0, 9], [1, -3]], np.int32)
    assert np.may_share_memory(rules.arrange(sites)[0], sites)
    for wrong in (sites[::-1].copy(), np.repeat(sites, 2, 0)):
        assert not np.may_share_memory(rules.arrange(wrong)[0], wrong)


ODD = [np.nan, np.inf, -np.inf, 2.0**31, -2.0**31, -2.0**31 + 1, 2.0**31 - 0.5, 0.5, -0.0, -1e-300, 1e300, -7.25]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_are_floored_as_python_floors_them(dtype, threads, rng):
    for n, d in ((0, 2), (5, 1), (300, 8), (9000, 1)):
        points = (rng.normal(size=(n, 1 + d)) * 100).astype(dtype)
        points[:, 0] = rng.integers(0, 4, n)
        cell = rng.uniform(0.01, 3, d)
        found = floored(points, cell)
        assert found.dtype == (np.int32 if rules.compiled else np.int64)
        assert_array_equal(found, np.reshape([[int(p[0]), *(math.floor(float(v) / c) for v, c in
                                                            zip(p[1:], cell, strict=True))] for p in points],
                                             (-1, 1 + d)))


@each("column", [0, 2])
@each("odd", ODD)
def test_odd_points_give_what_they_give_without_the_compiled_core(odd, column, rng, monkeypatch):
    points = rng.normal(size=(6, 3))
    points[:, 0] = 0
    points[3, column] = odd

    def outcome():
        try:
            return floored(points, 0.5).tolist()
        except (ShapeError, GridError) as error:
            return str(error)

    found = outcome()
    monkeypatch.setattr(rules, "compiled", None)
    assert found == outcome()


@needs_core
def test_whole_extents_beyond_62_bits_are_left_to_numpy(rng, monkeypatch):
    asked = []
    plain = order.arrange
    monkeypatch.setattr(order, "arrange", lambda sites: asked.append(len(sites)) or plain(sites))
    rules.arrange(rng.integers(-2**31, 2**31, (9, 4)).astype(np.int32))
    rules.arrange(rng.integers(0, 9, (9, 4)).astype(np.int32))
    assert asked == [9]


@needs_core
@pytest.mark.parametrize("reduce", ["error", "sum", "mean", "max", "first", "last"])
def test_making_a_tensor_sorts_and_gathers_nothing_in_numpy(reduce, rng, monkeypatch):
    sites = rng.permutation(np.unique(rng.integers(0, 30, (9000, 4)).astype(np.int32) % [2, 30, 30, 30], axis=0))
    sites = sites.astype(np.int32) if reduce == "error" else np.concatenate([sites, sites[::3]]).astype(np.int32)
    features = rng.normal(size=(len(sites), 4)).astype(np.float32)

    def refuse(*_, **__):
        raise AssertionError("numpy does what the compiled core is for")

    for name in ("argsort", "lexsort", "unique", "bincount"):
        monkeypatch.setattr(np, name, refuse)
    x = sp.SparseTensor.from_sites(sites, features, reduce=reduce)
    monkeypatch.undo()
    chosen = {"first": 0, "last": -1}
    for row in rng.integers(0, x.grid.n, 40):
        mine = features[(sites == x.sites[row]).all(1)]
        truth = mine[chosen[reduce]] if reduce in chosen else getattr(mine, "sum" if reduce == "error" else reduce)(0)
        np.testing.assert_allclose(x.features.data[row], truth, rtol=1e-6, atol=1e-6)
