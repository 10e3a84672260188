"""Pairs that are found in a map of places: those of the numpy builder, with every instruction set and team."""

import numpy as np
import pytest
from strategies import distinct

from spconv_cy.sites import Grid, Window, build, rules

windows = pytest.importorskip("spconv_cy.compiled.windows")
cells = pytest.importorskip("spconv_cy.compiled.cells")

FAR = 2**19                             # a site so far away that no map holds it


def surface(rng, n=6000, d=3):
    """Return canonical sites of two samples around the origin, in lines of one or a few."""
    places = rng.integers(-14, 15, (n, d))
    places[:, -1] = places[:, 0] // 3 + rng.integers(0, 40, n)
    return np.ascontiguousarray(distinct(np.column_stack([np.arange(n) * 2 // n, places])), np.int32)


@pytest.mark.parametrize("options", [{"size": 5, "kind": "submanifold"}, {"size": (3, 2, 6), "stride": (1, 2, 3)},
                                     {"size": 3, "dilation": 2, "kind": "submanifold"},
                                     {"size": 2, "dilation": (1, 1, 4)},
                                     {"taps": [(0, 0, 0), (0, 0, 3), (1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 0, 3)]}])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_pairs_are_those_of_the_numpy_builder(isa, options, n_threads, rng):
    window, near = Window(3, **options), surface(rng)
    targets = near if window.keeps_sites else build.reached(near, window, None)
    far = np.concatenate([near, np.array([[1, FAR, FAR, FAR]], np.int32)])
    for sites in (near, far, near[:1], near[:200]):
        outs = sites if window.keeps_sites else targets
        expected = build.pairs(sites, outs, window)
        found = windows.pairs(sites, outs, window.offsets, window.stride, n_threads)
        assert all(np.array_equal(a, b) for a, b in zip(found[:3], expected, strict=True))
        assert np.array_equal(found[3], rules.tile_pointers(found[1], found[2], len(outs)))


@pytest.mark.parametrize("stride, origin", [((2, 2, 2), (0, 0, 0)), ((3, 1, 2), (1, 0, 1)), ((4, 7, 5), (-3, 2, 0))])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_adjacent_cubes_have_the_sites_and_pairs_of_the_numpy_builder(stride, origin, n_threads, rng):
    window, sites = Window(3, stride, stride, origin=origin), surface(rng)
    assert window.is_tiling
    for some in (sites, sites[:1], sites[sites[:, 0] == 1]):
        found = cells.cells(some, stride, origin, None, n_threads)
        outs = build.reached(some, window, None)
        assert np.array_equal(found[0], outs)
        assert all(np.array_equal(a, b) for a, b in zip(found[1:4], build.pairs(some, outs, window), strict=True))
        assert np.array_equal(found[4], rules.tile_pointers(found[2], found[3], len(outs)))


def test_adjacent_cubes_outside_a_field_or_far_apart_are_left_to_others(rng):
    sites = surface(rng)
    assert cells.cells(sites, (2, 2, 2), (0, 0, 0), (9, 9, 9)) is None, "negative sites"
    assert cells.cells(sites, (17, 17, 17), (0, 0, 0), None) is None, "too many taps"
    far = np.concatenate([sites[:20], np.array([[1, FAR, FAR, FAR]], np.int32)])
    assert cells.cells(far, (2, 2, 2), (0, 0, 0), None) is None
    child, book = Grid.from_sites(far).rules(Window(3, 2, 2, kind="cell"))
    assert child.n == len(np.unique(far // (1, 2, 2, 2), axis=0)) and book.n_pairs == len(far)


@pytest.mark.parametrize("n", [40, 6000])
def test_a_cell_window_that_tiles_is_found_as_a_valid_one(n, rng):
    sites = surface(rng)[:n]
    (child, book), (other, same) = (Grid.from_sites(sites).rules(Window(3, 2, 2, kind=kind))
                                    for kind in ("cell", "valid"))
    assert np.array_equal(child.sites, other.sites) and book == same
    assert not Window(3, 3, 2, kind="cell").is_tiling and not Window(3, 2, 2, origin=1, kind="cell").is_tiling
