"""Rulebooks of frozen networks after few sites have changed: the same rows as if they were found afresh."""

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.deploy.rules import Link, Rules
from spconv_cy.sites import Grid, Window, as_lattice, changes

pytest.importorskip("spconv_cy.compiled.changes")
ROWS = ("in_rows", "out_rows", "offset_ptr", "tile_ptr")


@pytest.fixture
def always(monkeypatch):
    """Update rulebooks however many sites have changed, and of however few."""
    monkeypatch.setattr(changes, "SHARE", 3.0)
    monkeypatch.setattr(changes, "ROOM", 10**6)
    monkeypatch.setattr(changes, "MOST_SITES", 0)


def scattered(n, d=3, size=24, samples=2, seed=0):
    """Return about n canonical random sites."""
    rng = np.random.default_rng(seed)
    return np.unique(np.column_stack([rng.integers(0, samples, n), rng.integers(0, size, (n, d))]), axis=0)


def altered(sites, n, size=24, samples=2, seed=1):
    """Return canonical sites: n of these taken away, and about n new ones added."""
    rng = np.random.default_rng(seed)
    kept = np.delete(sites, rng.choice(len(sites), min(n, len(sites)), replace=False), axis=0)
    return np.unique(np.concatenate([kept, scattered(n, sites.shape[1] - 1, size, samples, seed)]), axis=0)


def assert_same(found, wanted):
    """Compare two Found, array by array."""
    for a, b in zip(found.grids, wanted.grids, strict=True):
        assert np.array_equal(a.sites, b.sites) and (a.size, a.samples) == (b.size, b.samples)
        assert not a.sites.flags.writeable
    for a, b in zip(found.books, wanted.books, strict=True):
        assert (a.n_in, a.n_out) == (b.n_in, b.n_out)
        for name in ROWS:
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
            assert getattr(a, name).dtype == getattr(b, name).dtype
    assert found.identities.keys() == wanted.identities.keys()


def links_of(d, lattice=None):
    """Return links with windows of every kind: over the input's sites, over made ones, and between given ones."""
    lattice = d if lattice is None else lattice
    made = [Link(0, Window(lattice, 2, stride=2, size_rule="floor")),                            # place 1
            Link(0, Window(lattice, 3, stride=2, origin=1, size_rule="floor")),                  # place 2
            Link(1, Window(lattice, 3, stride=1, size_rule="floor")),                            # place 3
            Link(1, Window(lattice, 2, stride=2, kind="transposed")),                            # place 4
            Link(0, Window(lattice, 2, stride=2, kind="cell"))]                                  # place 5
    if d == 3 and isinstance(lattice, int):
        made += [Link(0, Window(3, 3, kind="centre", origin=1)),                                 # place 6
                 Link(0, Window(3, 2, stride=2, size_rule="floor", min_active=2)),               # place 7
                 Link(6, Window(3, shape="cross", size=3, origin=1))]                            # place 8
    kept = [Link(place, Window(lattice, 3, kind="submanifold")) for place in range(len(made) + 1)]
    kept += [Link(0, Window(lattice, taps=[(0,) * d, (1,) + (0,) * (d - 1), (0,) * (d - 1) + (-3,)],
                            kind="submanifold")),
             Link(0, Window(lattice, 2, kind="submanifold")),
             Link(1, Window(lattice, 2, stride=2, kind="transposed"), target=0),
             Link(0, Window(lattice, 2, stride=2), target=2)]
    return made + kept


def compared(links, sites, others, size=25, lattice=None, samples=2):
    """Find the rules of sites and of others after them; compare these with fresh ones; return the Rules."""
    lattice = as_lattice(sites.shape[1] - 1 if lattice is None else lattice)
    rules = Rules(links, turned=[0])
    for some in (sites, *others):
        array = np.ascontiguousarray(some, np.int32)
        found = rules.find(Grid(array, lattice.per_axis(size, "size", 1) if size else None, samples, lattice))
        fresh = Rules(links, turned=[0]).find(Grid(array.copy(), found.grids[0].size, samples, lattice))
        assert_same(found, fresh)
        for grid in found.grids[1:]:
            assert grid.source.parent in found.grids
    return rules


@pytest.mark.parametrize("d, lattice, size", [(3, None, 25), (3, None, None), (2, None, 25), (1, None, 25),
                                              (4, None, None), (3, "simplex", 25)])
def test_rows_are_those_of_rulebooks_made_afresh_for_windows_of_every_kind(always, d, lattice, size):
    lattice = None if lattice is None else sp.Lattice.simplex(d)
    links, n = links_of(d, lattice), 300 if d > 1 else 30
    limit = size - 1 if lattice is None and size else 8
    sites = scattered(n, d, limit)
    chain = [altered(sites, n // 100, limit), altered(sites, n // 20, limit, seed=2), altered(sites, n // 2, limit),
             scattered(n, d, limit, seed=9), scattered(1, d, limit), scattered(n, d, limit, seed=3)]
    if not size:
        chain = [some + ([0] + [-7] * d) for some in chain]
    rules = compared(links, sites, chain, size, lattice)
    assert rules.updated >= 3 * len(links)
