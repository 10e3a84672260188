"""Rulebooks of frozen networks after few sites have changed: the same rows as if they were found afresh."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from strategies import distinct

import spconv_cy as sp
from spconv_cy.deploy.rules import Link, Rules
from spconv_cy.sites import Grid, Window, as_lattice, changes

pytest.importorskip("spconv_cy.compiled.changes")
ROWS = ("in_rows", "out_rows", "offset_ptr", "tile_ptr")


@pytest.fixture
def always(monkeypatch):
    """Update rulebooks however many sites have changed, and of however few."""
    monkeypatch.setattr(changes, "SHARE", 3.0)
    monkeypatch.setattr(changes, "SHARE_OF_MAPS", 3.0)
    monkeypatch.setattr(changes, "ROOM", 10**6)
    monkeypatch.setattr(changes, "MOST_SITES", 0)


def scattered(n, d=3, size=24, samples=2, seed=0):
    """Return about n canonical random sites."""
    rng = np.random.default_rng(seed)
    return distinct(np.column_stack([rng.integers(0, samples, n), rng.integers(0, size, (n, d))]))


def altered(sites, n, size=24, samples=2, seed=1):
    """Return canonical sites: n of these taken away, and about n new ones added."""
    rng = np.random.default_rng(seed)
    kept = np.delete(sites, rng.choice(len(sites), min(n, len(sites)), replace=False), axis=0)
    return distinct(np.concatenate([kept, scattered(n, sites.shape[1] - 1, size, samples, seed)]))


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


def test_windows_whose_pairs_do_not_tell_the_outputs_are_found_afresh(always):
    links = [Link(0, Window(3, 3, stride=2, kind="cell", origin=1)), Link(1, Window(3, 3, kind="submanifold")),
             Link(0, Window(3, 2, stride=2, min_active=3, size_rule="floor"))]
    sites = scattered(400)
    rules = compared(links, sites, [altered(sites, 5), altered(sites, 60)], size=24)
    assert rules.updated == 2                                            # the submanifold window alone


def test_extents_that_packed_keys_do_not_hold(always):
    sites = scattered(60)
    far = np.concatenate([sites, sites[-1:] + [1, 2**30, -(2**30), 5], sites[-1:] + [2, -(2**30), 2**30, 5]])
    compared([Link(0, Window(3, 3, kind="submanifold"))], far, [np.delete(far, 7, 0)], size=None, samples=9)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_any_number_of_threads_and_changes_that_leave_little(always, n_threads):
    links, sites = links_of(3), scattered(3000)
    sp.set_threads(n_threads)
    try:
        rules = compared(links, sites, [altered(sites, 40), sites[::2], sites[-1:], sites, sites[:0], sites])
    finally:
        sp.set_threads(None)
    assert rules.made == 7


@pytest.mark.parametrize("size, share, updated", [(40, 0.004, True), (40, 0.05, False), (400, 0.004, True),
                                                  (400, 0.05, True), (400, 0.3, False)])
def test_rulebooks_are_updated_up_to_the_break_even_and_made_afresh_above(size, share, updated):
    sites = scattered(20_000, size=size, samples=1)                      # there is a map of 40^3 alone
    count = int(share * len(sites) / 2)
    links = [Link(0, Window(3, 3, kind="submanifold")), Link(0, Window(3, 2, stride=2))]
    rules = compared(links, sites, [altered(sites, count, size=size, samples=1)], size=None, samples=1)
    assert (rules.updated > 0) == updated and (changes.SHARE, changes.SHARE_OF_MAPS) == (0.1, 0.01)
    assert changes.share_of(np.ascontiguousarray(sites, np.int32)) == (0.01 if size == 40 else 0.1)


def test_levels_with_a_map_are_made_afresh_below_one_that_is_updated(monkeypatch):
    patched, offsets = changes.compiled.patched, []
    monkeypatch.setattr(changes.compiled, "patched",
                        lambda *given: offsets.append(len(given[2]) - 1) or patched(*given))
    sites = scattered(30_000, size=160, samples=1)
    links = [Link(0, Window(3, 4, stride=4)), Link(1, Window(3, 3, kind="submanifold")),
             Link(0, Window(3, 3, kind="submanifold"))]
    compared(links, sites, [altered(sites, 600, size=160, samples=1)], size=None, samples=1)
    assert offsets == [64, 27]                                           # the window at stride 4 and the last one


def test_rulebooks_of_places_where_nothing_changes_are_the_same_objects(always):
    links = [Link(0, Window(3, 2, stride=2, size_rule="floor")), Link(1, Window(3, 3, kind="submanifold"))]
    sites, rules = scattered(500), Rules(links)
    spare = sites[0] ^ [0, 0, 0, 1]                                      # another site of the same cell
    more = np.unique(np.concatenate([sites, spare[None]]), axis=0)
    books = [rules.find(Grid(np.ascontiguousarray(some, np.int32), (24,) * 3, 2, as_lattice(3))).books
             for some in (sites, more)]
    assert (len(more) > len(sites)) and books[0][1] is books[1][1] and books[0][0] is not books[1][0]


@pytest.mark.parametrize("name", ["uresnet", "pools"])
def test_a_frozen_network_gives_the_bits_of_the_network_frame_by_frame(name):
    if name == "uresnet":
        net = sp.models.uresnet(filters=4, rng=0)
    else:
        net = sp.Sequential(
            sp.SubmanifoldConvolution(3, 1, 4, rng=0), sp.AveragePooling(3, 2, 2), sp.MaxPooling(3, 2, 2),
            sp.SubmanifoldConvolution(3, 4, 4, rng=1), sp.UnPooling(3, 2, 2), sp.UnPooling(3, 2, 2))
    frozen, sites = sp.freeze(net.eval()), scattered(12_000, size=32, samples=1)
    rules, rng = frozen.parts[0].rules, np.random.default_rng(0)
    for i in range(4):
        x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 1)), 32, 1, ground=None)
        y, z = frozen(x), None
        with sp.no_grad():
            z = net(x)
        assert np.array_equal(y.features.numpy(), z.features.numpy()) and np.array_equal(y.sites, z.sites)
        assert (rules.updated > 0) == (i > 0)
        sites = altered(sites, 100, 32, 1, seed=i)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("ground", [None, "zero"])
def test_updated_networks_give_the_bits_of_new_ones_in_eight_threads(always, precision, ground):
    layer, rng = sp.SubmanifoldConvolution, np.random.default_rng(4)
    net = sp.Sequential(layer(3, 2, 5, rng=0), sp.layers.BatchNormalization(5), sp.layers.ReLU(),
                        sp.Convolution(3, 5, 6, 2, 2, rng=1), sp.layers.Residual(layer(3, 6, 6, rng=2)),
                        sp.MaxPooling(3, 2, 2), layer(3, 6, 3, rng=3)).eval()
    sites = scattered(400, size=16, samples=3)
    lists = [sites, altered(sites, 9, 16, 3), sites[sites[:, 0] != 1], sites[:0], sites[:1], altered(sites, 90, 16, 3),
             scattered(400, size=16, samples=3, seed=8), sites[1:]]
    inputs = [sp.SparseTensor.from_sites(some, rng.normal(size=(len(some), 2)), 16, 3, ground=ground) for some in lists]

    def frozen():
        return sp.freeze(net, precision=precision, calibrate=inputs, float_ends=False)

    wanted, one = [frozen()(x).features.numpy() for x in inputs], frozen()

    def same(seed):
        order = np.random.default_rng(seed).permutation(8)
        return all(np.array_equal(one(inputs[i]).features.numpy(), wanted[i]) for i in [*order, *order[::-1]])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, range(8))) and one.parts[0].rules.updated > 0


def test_an_update_takes_no_more_memory_than_finding_all_afresh():
    for f in (3, 5):
        made = Window(3, 3, stride=2, origin=1, size_rule="floor")
        rules = Rules([Link(0, Window(3, f, kind="submanifold")), Link(0, made),
                       Link(1, Window(3, 3, kind="submanifold"))])
        sites = scattered(40_000, size=60, samples=1)
        for n in (0, 200, 900):
            some = altered(sites, n, 60, 1) if n else sites
            assert_told(rules, some)
        assert rules.updated > 0


def test_changes_of_many_places_are_not_held_all_at_once(always):
    rng = np.random.default_rng(0)
    sites = distinct(np.column_stack([np.zeros(30_000, int), rng.integers(0, 4096, (30_000, 3))]))
    ones, halves = Window(3, 1), Window(3, 2, stride=2, size_rule="floor")
    for links in ([Link(i, ones) for i in range(12)], [Link(0, ones) for _ in range(12)],
                  [Link(i, halves) for i in range(5)]):
        rules = Rules(links)
        for some in (sites, np.delete(sites, np.arange(0, len(sites), 60), axis=0)):
            assert_told(rules, some)
        assert rules.updated == len(links)


@pytest.mark.parametrize("field", [40, 600])
@pytest.mark.parametrize("d, options", [
    (3, {"size": 2, "stride": 2, "kind": "transposed"}), (3, {"size": 3}), (3, {"size": 3, "stride": 2}),
    (3, {"size": 2, "stride": 2}), (3, {"size": 3, "stride": 2, "kind": "cell"}), (3, {"size": 3, "shape": "cross"}),
    (4, {"size": 3}), (4, {"size": 2, "stride": 2, "kind": "transposed"}), (2, {"size": 3, "dilation": 2})])
def test_finding_the_outputs_of_a_window_takes_no_more_memory_than_is_told(d, options, field):
    sp.set_threads(7)
    try:
        for n in (5000, 20_000):
            assert_told(Rules([Link(0, Window(d, **options))]), scattered(n, d, field, samples=1))
    finally:
        sp.set_threads(None)


def test_wrong_changes_are_refused():
    compiled, rows = changes.compiled, np.zeros((3, 4), np.int32)
    rows[:, 3] = range(3)
    with pytest.raises(sp.errors.ShapeError, match="dimension"):
        compiled.change(rows, rows[:, :3].copy(), 3)
    assert compiled.change(rows, rows[:0], 9) is None and compiled.change(rows, rows + 5, 5) is None
    change = compiled.change(rows, rows[1:].copy(), 3)
    assert (change.n, change.m, change.added, change.gone, change.rows_added.tolist()) == (3, 2, 0, 1, [])
    with pytest.raises(sp.errors.ShapeError, match="changes that lead to the sites"):
        compiled.patched(rows[0], rows[0], np.zeros(2, np.int64), change, change, rows, rows,
                         np.zeros((1, 3), np.int32), (1, 1, 1))
    with pytest.raises(sp.errors.ShapeError, match="outputs"):
        compiled.grown(rows[:0], rows[0], rows[0], change, rows)


def assert_told(rules, sites):
    """Assert that finding the rules of sites takes no more memory than is told."""
    memory = pytest.importorskip("spconv_cy.compiled.memory")
    grid = Grid(np.ascontiguousarray(sites, np.int32), None, 1, as_lattice(sites.shape[1] - 1))
    sp.release_memory()
    memory.peak()
    before = memory.in_use()[0]
    found = rules.find(grid)
    assert memory.peak() - before <= rules.finding_bytes(found)
