"""Set algebra of sites against Python's sets; joins of tensors against dense arrays; pruning and the top k."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.sites import algebra, order, rules

CASES = [
    dict(d=1, n=9, m=5, high=12),
    dict(d=2, n=40, m=30, high=8),
    dict(d=3, n=60, m=0, high=6),
    dict(d=2, n=0, m=0, high=6),
    dict(d=2, n=1, m=1, high=1),
    dict(d=8, n=50, m=40, high=2),
]


def drawn(rng, n, d, high, size=None, samples=3):
    if n == 0:
        return sp.Grid.from_sites(np.zeros((0, 1 + d), int), size, samples)
    return sp.Grid.from_sites(random_sites(rng, n, d, 0, high, 1 if high == 1 else samples), size, samples)


def rows_of(grid):
    return {tuple(site): row for row, site in enumerate(grid.sites.tolist())}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_grids_join_as_sets_do_and_rows_say_where_each_site_was(case, rng):
    d, n, m, high = case.values()
    a, b = drawn(rng, n, d, high), drawn(rng, m, d, high)
    mine, other = rows_of(a), rows_of(b)
    for found, truth in (
        (a.union(b), set(mine) | set(other)),
        (a.intersection(b), set(mine) & set(other)),
        (algebra.join(a, b, "left"), set(mine)),
    ):
        assert [tuple(site) for site in found.grid.sites.tolist()] == sorted(truth)
        assert found.left.tolist() == [mine.get(site, -1) for site in sorted(truth)]
        assert found.right.tolist() == [other.get(site, -1) for site in sorted(truth)]
        assert found.left.dtype == found.right.dtype == found.grid.sites.dtype == np.int32
        assert (found.grid.samples, found.grid.size) == (3, None)
    less = a.difference(b)
    assert [tuple(site) for site in less.grid.sites.tolist()] == sorted(set(mine) - set(other))
    assert np.array_equal(a.sites[less.rows], less.grid.sites)
    assert [(g.sites.tolist()) for g in (a | b, a & b, a - b)] == [
        found.grid.sites.tolist() for found in (a.union(b), a.intersection(b), less)
    ]


def test_the_compiled_merge_is_the_one_in_numpy_at_a_hundred_thousand_sites_of_any_extent(rng):
    for d, low, high in ((3, 0, 60), (2, -(2**31), 2**31), (5, -(2**31), 2**31)):
        both = random_sites(rng, 150_000, d, low, high, samples=2)
        a, b = (order.arrange(part)[0] for part in (both[:100_000], both[50_000:]))
        left, right = rules.merged(a, b)
        for found, expected in zip((left, right), order.merged(a, b), strict=True):
            assert np.array_equal(found, expected)
        assert len(left) == 150_000 and ((left >= 0) & (right >= 0)).sum() == 50_000
        assert np.array_equal(a[left[left >= 0]], a) and np.array_equal(b[right[right >= 0]], b)


def test_a_grid_that_loses_and_wins_nothing_is_the_very_same_object(rng):
    a = drawn(rng, 40, 2, 8)
    some = a.mask(np.arange(40) % 2 == 0).grid
    twin = sp.Grid.from_sites(a.sites, None, 3)
    assert (a | some) is a and (some | a) is a and (a & some) is some and (some & a) is some
    assert (a | twin) is a and (a & twin) is a and a.mask(np.ones(40, bool)).grid is a
    assert a.crop(0, 8).grid is a and (a - some).n == 20 and (a - a).n == 0


def test_crops_and_masks_keep_what_they_say(rng):
    a = drawn(rng, 60, 3, 9, size=9)
    for moved in (False, True):
        part = a.crop((2, 0, 3), (7, 5, 9), moved=moved)
        inside = [row for row, (_, x, y, z) in enumerate(a.sites.tolist()) if 2 <= x < 7 and y < 5 and 3 <= z]
        assert part.rows.tolist() == inside
        shift = [0, 2, 0, 3] if moved else 0
        assert np.array_equal(part.grid.sites, a.sites[inside] - shift)
        assert (part.grid.size, part.grid.samples) == ((5, 5, 6) if moved else (9, 9, 9), 3)
    keep = rng.random(60) < 0.5
    assert np.array_equal(a.mask(keep).grid.sites, a.sites[keep])
    far = sp.Grid.from_sites([[0, -(2**31)], [0, 2**31 - 1]])
    assert far.crop(2**31 - 1 - 5, 2**31 - 1, moved=True).grid.n == 0
    assert far.crop(-(2**31) + 1, 2**31 - 1).rows.tolist() == []


def test_grids_that_do_not_fit_are_refused_with_a_remedy(rng):
    a = drawn(rng, 5, 2, 8, size=8)
    with pytest.raises(ShapeError, match=r"size \(8, 8\) and \(9, 9\).*give both the same size"):
        a | drawn(rng, 5, 2, 8, size=9)
    with pytest.raises(ShapeError, match="samples 3 and 4"):
        a - drawn(rng, 5, 2, 8, size=8, samples=4)
    with pytest.raises(ShapeError, match="lattice"):
        a.union(drawn(rng, 5, 3, 8, size=8))
    for wrong in (np.ones(5), np.ones(4, bool), [0, 1, 2]):
        with pytest.raises(ShapeError, match=r"\(5,\) booleans fit"):
            a.mask(wrong)
    with pytest.raises(ShapeError, match="high must be above low"):
        a.crop(3, (4, 3))
    with pytest.raises(TypeError):
        a | 3
    with pytest.raises(ShapeError, match="'right' came; 'inner', 'outer', 'left' fit"):
        algebra.join(a, a, "right")
