"""Lattice, window and grid: canonical rows, exact keys, look-up, lifetime."""

import copy
import gc
import itertools
import pickle
import weakref

import numpy as np
import pytest
from in_turn import each
from strategies import layouts, random_sites

from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites import order
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import Lattice
from spconv_cy.sites.window import Window

INT32 = np.iinfo(np.int32)


@each("d", range(1, 9))
def test_rows_stand_in_lexicographic_order_of_signed_sites(d, rng):
    sites = random_sites(rng, 60, d, -4, 5, samples=3) if d > 1 else random_sites(rng, 15, 1, -4, 5, samples=3)
    grid = Grid.from_sites(sites)
    assert [tuple(site) for site in grid.sites.tolist()] == sorted(map(tuple, sites.tolist()))
    assert grid.sites.dtype == np.int32 and grid.sites.flags.c_contiguous
    assert (grid.n, grid.d) == (len(sites), d)


def test_order_of_two_sites_depends_on_nothing_else(rng):
    few = np.array([[0, 3, -2], [0, -1, 7], [0, 3, 5]])
    far = np.array([[0, INT32.max, INT32.min], [0, INT32.min, INT32.max]])
    alone = Grid.from_sites(few).sites
    for others in (far, random_sites(rng, 40, 2, 10, 90), np.array([[7, -5, 5]])):
        crowd = Grid.from_sites(rng.permutation(np.concatenate([few, others])))
        rows = crowd.rows_of(alone)
        assert (np.diff(rows) > 0).all() and rows[0] >= 0


@pytest.mark.parametrize("d", [2, 3, 8])
def test_extents_that_pass_64_bits_keep_every_site_apart(d, rng):
    corners = np.array(list(itertools.product([0, 3], *[[INT32.min, -1, 0, INT32.max]] * min(d, 3))))
    sites = np.zeros((len(corners), 1 + d), np.int64)
    sites[:, : corners.shape[1]] = corners
    sites[:, -1] += np.arange(len(sites)) % 2 if d > 3 else 0
    assert not order.fits(order.box(sites)[1])
    grid = Grid.from_sites(rng.permutation(sites))
    assert [tuple(site) for site in grid.sites.tolist()] == sorted(map(tuple, sites.tolist()))
    assert grid.rows_of(sites).tolist() == [sorted(map(tuple, sites.tolist())).index(tuple(s)) for s in sites.tolist()]
    near = sites.copy()
    near[:, 1] += np.where(near[:, 1] < 0, 1, -1) * 3
    assert (grid.rows_of(near) == -1).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, np.uint8, np.uint32, np.uint64])
def test_every_integer_dtype_gives_the_same_grid(dtype, rng):
    sites = random_sites(rng, 30, 2)
    assert np.array_equal(Grid.from_sites(sites.astype(dtype)).sites, Grid.from_sites(sites).sites)


def test_every_layout_gives_the_same_grid(rng):
    sites = random_sites(rng, 30, 2, samples=2)
    for name, laid_out in layouts(sites):
        assert np.array_equal(Grid.from_sites(laid_out).sites, Grid.from_sites(sites).sites), name


def test_a_grid_forgets_the_array_it_was_made_from():
    sites = np.array([[0, 1, 1], [0, 2, 2]], np.int32)
    view = sites[:]
    view.flags.writeable = False
    grids = Grid.from_sites(sites), Grid.from_sites(view)
    sites[:] = 9
    for grid in grids:
        assert grid.sites.tolist() == [[0, 1, 1], [0, 2, 2]]
    sites[0, 0] = 0  # the user's array stays the user's


def test_a_grid_cannot_be_changed():
    grid = Grid.from_sites(np.array([[0, 1, 1], [0, 2, 2]]))
    for array in (grid.sites, grid.batch_starts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_rows_of_agrees_with_a_dict(rng):
    sites = random_sites(rng, 300, 3, -6, 7, samples=3)
    grid = Grid.from_sites(sites)
    rows = {tuple(site): row for row, site in enumerate(grid.sites.tolist())}
    asked = np.concatenate([sites, random_sites(rng, 300, 3, -9, 10, samples=4)])
    found = grid.rows_of(asked)
    assert found.dtype == np.int32
    assert found.tolist() == [rows.get(tuple(site), -1) for site in asked.tolist()]
    assert grid.rows_of(np.zeros((0, 4), int)).shape == (0,)


def test_batch_starts_count_the_empty_samples_too():
    grid = Grid.from_sites(np.array([[3, 1], [1, 1], [1, 0]]), samples=6)
    assert grid.batch_starts.tolist() == [0, 0, 2, 2, 3, 3, 3] and grid.samples == 6
    assert Grid.from_sites(np.zeros((0, 3), int)).samples == 0
    assert Grid.from_sites(np.zeros((0, 3), int), samples=2).batch_starts.tolist() == [0, 0, 0]


def test_duplicates_are_refused_and_counted():
    with pytest.raises(GridError, match=r"3 duplicates of 5; .*reduce"):
        Grid.from_sites(np.array([[0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 2, 2], [0, 2, 2]]))


@each("d", range(1, 9))
def test_offsets_of_a_window_are_lexicographic_the_last_axis_fastest(d):
    size = (2, 3, 2, 1, 2, 1, 1, 2)[:d]
    window = Window(Lattice.cubic(d), size, dilation=2, origin=1)
    assert window.offsets.tolist() == [[2 * t - 1 for t in tap] for tap in itertools.product(*map(range, size))]
    assert window.volume == np.prod(size) and window.offsets.dtype == np.int32


@pytest.mark.parametrize("size, dilation", [(1, 1), (2, 1), (3, 1), (4, 3), (5, 2)])
def test_a_submanifold_window_is_centred_with_the_longer_side_low(size, dilation):
    offsets = Window(Lattice.cubic(1), size, dilation=dilation, kind="submanifold").offsets.ravel()
    assert offsets.tolist() == [dilation * (tap - size // 2) for tap in range(size)]


def test_equal_windows_are_one_key():
    one, other = Window(Lattice.cubic(2), 3, stride=2), Window(2, (3, 3), (2, 2), 1, 0)
    assert one == other and hash(one) == hash(other) and one != Window(2, 3)
    with pytest.raises(AttributeError):
        one.stride = (1, 1)


@each("size", range(1, 6))
@each("stride, dilation, pad", [(1, 1, 0), (2, 1, 0), (2, 1, 1), (3, 2, 0), (1, 2, 2)])
def test_output_size_counts_the_places_where_the_window_fits(size, stride, dilation, pad):
    span = dilation * (size - 1) + 1
    for n in range(span, 20):
        places = [p for p in range(-pad, n + pad) if p + span <= n + pad and (p + pad) % stride == 0]
        floor = Window(Lattice.cubic(1), size, stride, dilation, pad, size_rule="floor")
        exact = Window(Lattice.cubic(1), size, stride, dilation, pad)
        if n + 2 * pad < span:
            continue
        assert floor.out_size((n,)) == (len(places),)
        if (n + 2 * pad - span) % stride:
            with pytest.raises(ShapeError, match="stride"):
                exact.out_size((n,))
        else:
            assert exact.out_size((n,)) == (len(places),) and exact.in_size(len(places)) == (n,)


def test_sizes_named_by_the_error_fit():
    window = Window(Lattice.cubic(2), 3, stride=4, origin=1)
    with pytest.raises(ShapeError) as caught:
        Grid.from_sites(np.array([[0, 1, 1]]), size=(9, 12)).rules(window)
    said = str(caught.value)
    assert "axis 1" in said and "floor" in said
    for n in (9, 13):
        assert str(n) in said and window.out_size((9, n))
    with pytest.raises(ShapeError):
        window.out_size((9, 12))


def test_equal_windows_over_one_grid_share_grid_and_rulebook(rng):
    grid = Grid.from_sites(random_sites(rng, 40, 2), size=10)
    child, rulebook = grid.rules(Window(2, 2, stride=2))
    again, rules = grid.rules(Window(2, (2, 2), (2, 2)))
    assert again is child and rules is rulebook
    assert child.source.parent is grid and child.source.rulebook is rulebook
    assert child.source.window == Window(2, 2, stride=2) and grid.source is None
    same, kept = grid.rules(Window(2, 3, kind="submanifold"))
    assert same is grid and grid.rules(Window(2, 3, kind="submanifold"))[1] is kept


def test_a_batch_is_freed_with_its_last_reference_without_the_collector(rng):
    gc.disable()
    try:
        grid = Grid.from_sites(random_sites(rng, 40, 2), size=10)
        child, rulebook = grid.rules(Window(2, 2))
        grid.rules(Window(2, 3, kind="submanifold"))
        child.rules(Window(2, 3))
        rulebook.T.T  # noqa: B018
        dead = [weakref.ref(grid), weakref.ref(child)]
        del grid
        assert dead[0]() is not None, "a child keeps its parent"
        del child
        assert dead[1]() is None, "a parent must not keep its child"
        assert dead[0]() is None
    finally:
        gc.enable()


def test_dimension_is_1_to_8():
    for d in (0, 9, 2.5):
        with pytest.raises(ShapeError, match="1 to 8"):
            Lattice.cubic(d)


@pytest.mark.parametrize("copied", [lambda grid: pickle.loads(pickle.dumps(grid)), copy.deepcopy],
                         ids=["pickle", "deepcopy"])
def test_a_grid_and_what_it_came_from_are_pickled(copied, rng):
    grid = Grid.from_sites(random_sites(rng, 40, 2), size=10)
    child, rulebook = grid.rules(Window(2, 2, stride=2))
    twin = copied(child)
    np.testing.assert_array_equal(twin.sites, child.sites)
    np.testing.assert_array_equal(twin.source.parent.sites, grid.sites)
    np.testing.assert_array_equal(twin.source.rulebook.in_rows, rulebook.in_rows)
    assert (twin.size, twin.samples, twin.lattice) == (child.size, child.samples, child.lattice)
    assert not twin.sites.flags.writeable and not twin.source.parent.sites.flags.writeable
    assert twin.source.parent.rules(twin.source.window)[1].n_pairs == rulebook.n_pairs
