"""Rules of all windows of a network in one call: the same as one by one, at the same layers, without cycles."""

import copy
import gc
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import distinct
from test_windows import windows

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.layers.ahead import course_of
from spconv_cy.sites import Grid, Window, chains, rules

pytestmark = pytest.mark.skipif(chains.compiled is None, reason="without the compiled core there are no chains")


@pytest.fixture
def runs(monkeypatch):
    """List the courses that are run, as lists of windows."""
    found, run = [], chains.run

    def counted(course, sites, size):
        found.append([window for _, window in course.windows])
        return run(course, sites, size)

    monkeypatch.setattr(chains, "run", counted)
    return found


def one_by_one(grid, window):
    """Return (sites, rulebook) by the threaded code for many sites."""
    most, chains.MOST_SITES = chains.MOST_SITES, 0
    try:
        child, rulebook = Grid.from_sites(grid.sites, grid.size, grid.samples, grid.lattice).rules(window)
        return child.sites, rulebook
    finally:
        chains.MOST_SITES = most


def assert_same(rulebook, other):
    assert rulebook == other
    for a, b in ((rulebook, other), (rulebook.T, other.T), (rulebook.T.T, other)):
        assert a == b and a.volume == b.volume
        for name in ("in_rows", "out_rows", "offset_ptr", "tile_ptr"):
            mine, theirs = getattr(a, name), getattr(b, name)
            assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
            assert not mine.flags.writeable
    assert np.array_equal(rulebook.fan_in, other.fan_in)


def glyph(rng, n=60, size=96, d=2):
    return distinct(np.column_stack([np.zeros(n, int), rng.integers(20, 60, (n, d))])), size


@settings(max_examples=60, deadline=None)
@given(windows(), st.integers(0, 2**32), st.sampled_from([3, 60, 700]), st.booleans())
def test_few_sites_have_the_same_rules_as_many(window, seed, n, bounded):
    rng = np.random.default_rng(seed)
    d, bounded = window.lattice.d, bounded and window.lattice.is_cubic
    sites = distinct(np.column_stack([rng.integers(0, 2, (n, 1)), rng.integers(0, 12, (n, d))]))
    sites[:, 1:] -= 0 if bounded else 5
    grid = Grid.from_sites(sites, 20 if bounded else None, lattice=window.lattice)
    try:
        child, rulebook = grid.rules(window)
    except ShapeError:
        return
    sites, other = one_by_one(grid, window)
    assert np.array_equal(child.sites, sites)
    assert_same(rulebook, other)
    assert np.array_equal(child.batch_starts, np.searchsorted(sites[:, 0], np.arange(grid.samples + 1)))


def test_a_network_asks_once_for_all_its_rules(rng, runs):
    net = sp.models.deepcnet(5, 4, classes=3, rng=0).eval()
    sites, size = glyph(rng)
    x = sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), size)
    y = net(x)
    assert runs == [[layer.window for layer in net.layers if hasattr(layer, "window")]] and len(runs[0]) == 11
    grid = x.grid
    for window in runs[0]:
        _, other = one_by_one(grid, window)
        grid, rulebook = grid.rules(window)
        assert_same(rulebook, other)
    for layer in net.layers:
        x = layer(x)
    assert np.array_equal(x.data, y.data)


def test_a_unet_asks_once_for_all_its_rules_and_equal_windows_are_found_once(rng, runs):
    net = sp.models.unet(3, 4, 1, 2, d=2, rng=0).eval()
    sites, size = glyph(rng)
    x = sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), size, ground=None)
    y = net(x)
    assert len(runs) == 1 and len(set(runs[0])) == 2 and len(runs[0]) > 5
    found = chains.Course(course_of(net.layers).windows).prepared((96, 96))[1]
    assert sum(map(len, found.values())) == 5                            # three levels, two ways down
    most, chains.MOST_SITES = chains.MOST_SITES, 0
    try:
        other = net(sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), size, ground=None))
    finally:
        chains.MOST_SITES = most
    assert np.array_equal(y.features.data, other.features.data)


def test_the_same_grid_asked_again_finds_all_again(rng, runs):
    net = sp.models.deepcnet(2, 4, classes=3, rng=0).eval()
    sites, _ = glyph(rng)
    x = sp.SparseTensor.from_sites(sites % 12, np.ones((len(sites), 1)), 12, reduce="first")
    with sp.no_grad():
        first, again = net(x), net(x)
    assert len(runs) == 2 and np.array_equal(first.data, again.data)


def test_layers_of_ones_own_end_the_course(rng, runs):
    class Own(sp.layers.Layer):
        def __call__(self, x):
            return x

    conv, pool = sp.layers.Convolution(2, 1, 2, 3, rng=0), sp.layers.MaxPooling(2, 2)
    sites, size = glyph(rng)
    sp.layers.Sequential(conv, Own(), pool)(sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), size))
    assert runs == [[conv.window], [pool.window]]


def test_what_does_not_fit_is_refused_by_its_layer(rng):
    net = sp.models.deepcnet(3, 4, classes=3, rng=0)
    sites, _ = glyph(rng)
    told = []
    for most in (chains.MOST_SITES, 0):
        with pytest.raises(ShapeError) as error, pytest.MonkeyPatch.context() as patch:
            patch.setattr(chains, "MOST_SITES", most)
            net(sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), 97))
        told.append(str(error.value))
    assert told[0] == told[1] and "layers[" in told[0]


def test_rules_that_nobody_asks_for_keep_no_batch_alive(rng):
    sites, size = glyph(rng)
    conv, pool = Window(2, 3), Window(2, 2, 2)
    gc.collect()
    gc.disable()
    try:
        grid = Grid.from_sites(sites, size)
        grid.expect(chains.Course([(-1, conv), (0, pool), (1, conv), (-1, pool)]))
        child, rulebook = grid.rules(conv)
        gone, rows = weakref.ref(grid), rulebook.in_rows
        del grid, child, rulebook
        assert gone() is None and rows.max() < len(sites)                # the array holds its memory
    finally:
        gc.enable()


def test_equal_windows_give_the_same_objects(rng):
    sites, size = glyph(rng)
    grid = Grid.from_sites(sites, size)
    grid.expect(chains.Course([(-1, Window(2, 3)), (-1, Window(2, 3, kind="submanifold"))]))
    child, rulebook = grid.rules(Window(2, 3))
    assert grid.rules(Window(2, 3))[0] is child and child.source.rulebook is rulebook
    assert grid.rules(Window(2, 3, kind="submanifold"))[1] is grid.rules(Window(2, 3, kind="submanifold"))[1]


def test_no_sites_one_site_and_sites_far_apart(rng):
    for sites in (np.zeros((0, 3), int), [[0, 1, 1]], [[0, -2**31, 5], [0, 2**31 - 1, -7]]):
        grid = Grid.from_sites(sites, samples=1)
        for window in (Window(2, 3), Window(2, 3, 2), Window(2, 3, kind="submanifold"), Window(2, 2, 2, origin=5)):
            try:
                child, rulebook = grid.rules(window)
            except (ShapeError, GridError) as error:
                with pytest.raises(type(error)):
                    one_by_one(grid, window)
                continue
            there, other = one_by_one(grid, window)
            assert np.array_equal(child.sites, there)
            assert_same(rulebook, other)


def test_networks_and_windows_are_copied_and_pickled_after_a_call(rng):
    net = sp.models.deepcnet(2, 4, classes=3, rng=0).eval()
    sites, _ = glyph(rng)
    x = sp.SparseTensor.from_sites(sites % 12, np.ones((len(sites), 1)), 12, reduce="first")
    y = net(x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(other(x).data, y.data)
    window = pickle.dumps(net.layers[0].window)
    code = (f"import pickle; from spconv_cy.sites import Window; w = pickle.loads({window!r}); "
            "assert w == Window(2, 3) and hash(w) == hash(Window(2, 3))")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bad_links_are_refused():
    shape = chains.shape_of(Window(2, 3))
    with pytest.raises(ShapeError, match="Chain"):
        chains.compiled.Chain([(0, shape, None)])
    with pytest.raises(ShapeError, match="Chain"):
        chains.compiled.Chain([(-1, shape, None), (-1, chains.shape_of(Window(3, 3)), None)])
    with pytest.raises(ShapeError, match="Chain"):
        chains.compiled.Chain([(-1, shape, None)])(np.zeros((0, 3), np.int32), 10)
    with pytest.raises(ShapeError, match="Shape"):
        chains.compiled.Shape(np.zeros((0, 2), np.int32), (3, 3), (1, 1), (1, 1), (0, 0), False)
    with pytest.raises(ShapeError, match="Shape"):
        chains.compiled.Shape(np.zeros((4, 2), np.int32), (2, 2), (1, 1), (1, 1), (0, 0), False,
                              [np.zeros((3, 2), np.int32)])


@pytest.mark.parametrize("options", [
    {}, {"size": 3}, {"size": 3, "padding": 1}, {"size": (4, 3), "dilation": 2, "padding": 2, "output_padding": 1},
    {"size": None, "taps": [(0, 0), (0, 5), (3, 1)]}, {"size": 3, "shape": "cross"}])
def test_transposed_windows_over_few_sites_take_one_compiled_call(rng, monkeypatch, options):
    layer = sp.layers.TransposedConvolution(2, 3, 4, **{"size": 2, "stride": 2, **options}, rng=0)
    sites, size = glyph(rng)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 3)), size, ground=None)
    others, other = one_by_one(x.grid, layer.window)
    monkeypatch.setattr(chains, "run", lambda *given, run=chains.run: calls.append(given) or run(*given))
    for name in ("made", "given", "swapped"):
        monkeypatch.setattr(rules, name, None)
    calls = []
    y = layer(x)
    assert len(calls) == 1 and np.array_equal(y.sites, others)
    assert_same(y.grid.source.rulebook, other)


def test_a_decoder_asks_once_for_all_its_rules(rng, runs):
    same = sp.layers.SubmanifoldConvolution
    net = sp.layers.Sequential(sp.layers.TransposedConvolution(2, 1, 4, 3, 2, rng=0), same(2, 4, 4, rng=0),
                               sp.layers.TransposedConvolution(2, 4, 4, 2, 2, rng=0), same(2, 4, 2, rng=0))
    sites, size = glyph(rng)
    x = sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), size, ground=None)
    y = net(x)
    assert runs == [[layer.window for layer in net.layers]]
    x = sp.SparseTensor.from_sites(sites, x.features, size, ground=None)
    for layer in net.layers:
        x = layer(x)
    assert len(runs) == 5 and np.array_equal(x.sites, y.sites) and np.array_equal(x.features.data, y.features.data)
