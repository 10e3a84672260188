"""Rules: each pair there is, each once, in order; at small size against sets, at real size as invariants."""

import itertools
import tracemalloc

import numpy as np
import pytest
from in_turn import each
from oracles import circle, pairs_of, window_pairs
from strategies import WINDOWS, distinct, random_rulebook, random_sites

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites import build, rules
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window


def axes(value, d):
    """Spread an int over d axes."""
    return (value,) * d if isinstance(value, int) else value


def found_pairs(grid, child, rulebook):
    """Spell a rulebook's pairs out with the sites in place of their rows."""
    listed = [
        (k, tuple(grid.sites[i].tolist()), tuple(child.sites[j].tolist()))
        for k, i, j in pairs_of(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr)
    ]
    assert len(listed) == len(set(listed)), "a pair came twice"
    return set(listed)


@each("sized", [True, False])
@each("d, size, stride, dilation, origin", WINDOWS)
def test_a_window_has_the_pairs_that_set_arithmetic_finds(d, size, stride, dilation, origin, sized, rng):
    size, stride, dilation, origin = (axes(v, d) for v in (size, stride, dilation, origin))
    low, high = (0, 9) if sized else (-5, 5)
    for n in (0, 1, 12 if d == 1 else 40):
        sites = random_sites(rng, n, d, low, high, samples=2) if n else np.zeros((0, 1 + d), int)
        window = Window(d, size, stride, dilation, origin, size_rule="floor")
        grid = Grid.from_sites(sites, size=9 if sized else None, samples=2)
        child, rulebook = grid.rules(window)
        out_size = window.out_size((9,) * d) if sized else None
        outs, pairs = window_pairs(sites, size, stride, dilation, origin, size_out=out_size)
        assert [tuple(site) for site in child.sites.tolist()] == outs
        assert found_pairs(grid, child, rulebook) == pairs
        assert (child.size, child.samples) == (out_size, 2)
        check_form(rulebook)


@pytest.mark.parametrize(
    "d, size, dilation", [(1, 3, 1), (2, 3, 1), (2, 2, 1), (2, (3, 4), (2, 1)), (3, 3, 1), (4, 2, 2)]
)
def test_a_submanifold_window_keeps_the_sites(d, size, dilation, rng):
    size, dilation = axes(size, d), axes(dilation, d)
    sites = random_sites(rng, 12 if d == 1 else 60, d, -3, 5, samples=2)
    grid = Grid.from_sites(sites)
    child, rulebook = grid.rules(Window(d, size, dilation=dilation, kind="submanifold"))
    origin = tuple(g * (f // 2) for g, f in zip(dilation, size, strict=True))
    _, pairs = window_pairs(sites, size, (1,) * d, dilation, origin, keeps_sites=True)
    assert child is grid and found_pairs(grid, grid, rulebook) == pairs
    check_form(rulebook)


def check_form(rulebook):
    """Check what every rulebook promises: dtypes, ascending outputs, tiles, fan-in, the transposed one."""
    assert (rulebook.in_rows.dtype, rulebook.out_rows.dtype) == (np.int32, np.int32)
    assert rulebook.offset_ptr.dtype == np.int64 and rulebook.fan_in.dtype == np.int32
    for book in (rulebook, rulebook.T):
        listed = pairs_of(book.in_rows, book.out_rows, book.offset_ptr)
        assert [(k, j) for k, _, j in listed] == sorted({(k, j) for k, _, j in listed})
        tiles = book.tile_ptr
        assert tiles.dtype == np.int64 and tiles.shape == (len(book.offset_ptr) - 1, -(-book.n_out // 128) + 1)
        for k, tile in itertools.product(range(tiles.shape[0]), range(tiles.shape[1] - 1)):
            rows = book.out_rows[tiles[k, tile] : tiles[k, tile + 1]]
            assert ((rows >= 128 * tile) & (rows < 128 * tile + 128)).all()
        assert (tiles[:, 0] == book.offset_ptr[:-1]).all() and (tiles[:, -1] == book.offset_ptr[1:]).all()
    forward = pairs_of(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr)
    swapped = pairs_of(rulebook.T.in_rows, rulebook.T.out_rows, rulebook.T.offset_ptr)
    assert {(k, j, i) for k, i, j in swapped} == set(forward) and len(swapped) == len(forward)
    assert (rulebook.T.n_in, rulebook.T.n_out) == (rulebook.n_out, rulebook.n_in)
    assert rulebook.T.T == rulebook and rulebook.T is rulebook.T
    fan_in = np.zeros(rulebook.n_out, int)
    for _, _, j in forward:
        fan_in[j] += 1
    assert rulebook.fan_in.tolist() == fan_in.tolist()


def test_random_rulebooks_keep_the_form(rng):
    for n_in, n_out, k in [(0, 0, 1), (5, 0, 2), (0, 5, 2), (300, 257, 5), (128, 128, 3), (129, 129, 1)]:
        check_form(random_rulebook(rng, n_in, n_out, k))
    check_form(Rulebook.identity(0))
    check_form(Rulebook.identity(130))


def test_identity_pairs_every_row_with_itself():
    assert pairs_of(*(getattr(Rulebook.identity(3), n) for n in ("in_rows", "out_rows", "offset_ptr"))) == [
        (0, 0, 0),
        (0, 1, 1),
        (0, 2, 2),
    ]


def active_rows(sites, field, convolution, pooling):
    """Count the active rows of DeepCNet(5)'s layers: C3, then pooling and C2 by turns."""
    grid = Grid.from_sites(np.insert(sites, 0, 0, axis=1), size=field)
    counts = [grid.n]
    for size, stride in [(3, 1), pooling] + [(convolution, 1), pooling] * 4 + [(convolution, 1)]:
        grid, _ = grid.rules(Window(2, size, stride))
        counts.append(grid.n)
    return counts


SQUARE = np.array(list(itertools.product(range(32, 64), repeat=2)))


@pytest.mark.parametrize(
    "sites, field, pooling, counts",
    [
        (circle(36, 96), 96, (2, 2), [142, 426, 140, 210, 72, 108, 40, 60, 21, 16, 4, 1]),
        (circle(36, 126), 127, (3, 2), [142, 426, 175, 245, 101, 137, 54, 71, 32, 25, 4, 1]),
        (circle(36, 127), 127, (3, 2), [144, 432, 180, 252, 100, 136, 52, 69, 32, 25, 4, 1]),
        (SQUARE, 96, (2, 2), [1024, 1156, 289, 324, 81, 100, 25, 36, 9, 16, 4, 1]),
    ],
    ids=["circle", "circle under MP3/2", "circle off the corner", "square"],
)
def test_active_rows_of_the_worked_examples_are_as_published(sites, field, pooling, counts):
    assert active_rows(sites, field, 2, pooling) == counts


@pytest.mark.parametrize("diameter, sites", [(8, 30), (16, 62), (32, 126), (36, 142), (64, 254), (256, 1022), (10, 34)])
def test_a_circle_has_its_published_number_of_sites(diameter, sites):
    assert len(circle(diameter, 384)) == sites


@pytest.mark.parametrize(
    "window",
    [Window(3, 3, kind="submanifold"), Window(3, 2, stride=2), Window(3, 3, stride=1, origin=1, dilation=2)],
    ids=["submanifold", "strided", "dilated"],
)
def test_invariants_hold_at_real_size(window, rng):
    n = 30_000 if window.stride != (1, 1, 1) or window.keeps_sites else 8_000
    walk = np.cumsum(rng.integers(-1, 2, (n, 3)), axis=0)
    sites = distinct(np.column_stack([np.arange(n) * 3 // n, walk]))
    grid = Grid.from_sites(sites)
    child, rulebook = grid.rules(window)
    k = np.repeat(np.arange(window.volume), np.diff(rulebook.offset_ptr))
    ins, outs = grid.sites[rulebook.in_rows].astype(int), child.sites[rulebook.out_rows].astype(int)
    assert (ins[:, 0] == outs[:, 0]).all()
    assert (ins[:, 1:] == np.array(window.stride) * outs[:, 1:] + window.offsets[k]).all()
    step = np.diff(rulebook.out_rows.astype(np.int64) + k * rulebook.n_out)
    assert (step > 0).all(), "out_rows ascend inside an offset, none twice"
    assert (rulebook.fan_in >= 1).all() and len(np.unique(rulebook.in_rows)) == grid.n
    assert rulebook.T.T == rulebook
    # None is missing: the pairs of the compiled builder are those of the numpy one.
    assert Rulebook(*build.pairs(grid.sites, child.sites, window), grid.n, child.n) == rulebook
    assert child is grid or np.array_equal(build.reached(grid.sites, window, None), child.sites)


@each("d, size, stride, dilation, origin", WINDOWS)
def test_the_rules_equal_those_of_the_numpy_builder(d, size, stride, dilation, origin, rng):
    low, high = -(2**31), 2**31
    spread = random_sites(rng, 15, d, low, high, samples=3)
    spread = np.concatenate([spread, np.clip(spread.astype(np.int64) + 1, low, high - 1)]) // 4 * 2
    spread[:, 0] %= 3
    for sites in (random_sites(rng, 18, d, -9, 9, samples=3), np.unique(spread, axis=0)):
        window = Window(d, size, stride, dilation, origin)
        grid = Grid.from_sites(sites)
        child, rulebook = grid.rules(window)
        assert np.array_equal(build.reached(grid.sites, window, None), child.sites)
        assert Rulebook(*build.pairs(grid.sites, child.sites, window), grid.n, child.n) == rulebook


RUNS = [  # where runs of consecutive sites end on the last axis: at tiles of 128 rows, at chunks of 4 tiles, in holes
    np.arange(129),
    np.arange(513),
    np.delete(np.arange(1100), [126, 127, 254, 256, 510, 511, 512, 1024]),
    np.arange(0, 1040, 2),
]


@pytest.mark.parametrize("places", RUNS, ids=lambda places: f"{len(places)} of {places[-1] + 1}")
@each(
    "size, stride, dilation, origin",
    [(3, 1, 1, 1), (2, 1, 1, 0), (5, 1, 1, 2), (3, 2, 1, 1), (2, 2, 1, 0), (5, 3, 1, 0), (3, 1, 3, 4), (7, 4, 2, 3)],
)
def test_runs_of_sites_have_the_pairs_of_single_ones(size, stride, dilation, origin, places):
    sites = np.concatenate([np.column_stack([np.full(len(places), b), places - 9]) for b in (0, 2)])
    grid = Grid.from_sites(sites)
    for kind in ("valid", "submanifold") if stride == 1 else ("valid",):
        window = Window(1, size, stride, dilation, origin if kind == "valid" else 0, kind=kind)
        child, rulebook = grid.rules(window)
        _, pairs = window_pairs(
            sites, (size,), (stride,), (dilation,), window.origin, keeps_sites=window.keeps_sites
        )
        assert found_pairs(grid, child, rulebook) == pairs
        assert np.array_equal(rulebook.tile_ptr, build.tile_pointers(rulebook.out_rows, rulebook.offset_ptr, child.n,
                                                                     rules.TILE_ROWS))


@pytest.mark.parametrize("n", [1, 127, 128, 129, 511, 512, 513, 1500])
def test_lines_of_every_thickness_meet_their_neighbours(n, rng):
    line = np.column_stack([np.zeros(n, int), np.arange(n) // 40, np.arange(n) % 40 * 2 + rng.integers(0, 2, n)])
    sites = distinct(line)
    grid = Grid.from_sites(sites)
    for window in (Window(2, 3, kind="submanifold"), Window(2, (3, 4), (1, 2)), Window(2, 2, 2)):
        child, rulebook = grid.rules(window)
        shape = window.size, window.stride, window.dilation, window.origin
        outs, pairs = window_pairs(sites, *shape, keeps_sites=window.keeps_sites)
        assert [tuple(site) for site in child.sites.tolist()] == outs
        assert found_pairs(grid, child, rulebook) == pairs


@pytest.mark.parametrize(
    "window",
    [
        Window(3, 3, kind="submanifold"),
        Window(3, 3, stride=2, origin=1),
        Window(3, 2, dilation=4),
        Window(3, 3, shape="ball"),
        Window(3, 5, stride=2, shape="cross"),
        Window(3, 3, stride=2, kind="transposed"),
        Window(3, 3, shape="cross", kind="transposed"),
    ],
    ids=["submanifold", "strided", "dilated", "ball", "strided cross", "transposed", "transposed cross"],
)
def test_any_number_of_threads_gives_the_same_arrays(window, rng):
    sites = random_sites(rng, 9000, 3, -15, 15, samples=2)
    found = []
    for n_threads in (1, 2, 3, 8):
        sp.set_threads(n_threads)
        try:
            grid, rows = Grid.arrange(sites)
            child, book = grid.rules(window)
            tiles = book.tile_ptr, book.T.tile_ptr
            pairs = book.in_rows, book.out_rows, book.offset_ptr
            found.append([grid.sites, rows, child.sites, *pairs, *tiles, book.fan_in])
        finally:
            sp.set_threads(None)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_transpose_is_sorted_where_the_inputs_do_not_ascend(rng, threads):
    for n_in, n_out, k in [(900, 700, 27), (3000, 2500, 9), (40, 4000, 3)]:
        book = random_rulebook(rng, n_in, n_out, k, share=0.8)
        rows = build.transpose(book.in_rows, book.out_rows, book.offset_ptr)
        assert np.array_equal(book.T.in_rows, rows[0]) and np.array_equal(book.T.out_rows, rows[1])
        assert np.array_equal(book.T.tile_ptr, build.tile_pointers(rows[1], book.offset_ptr, n_in, rules.TILE_ROWS))
        assert np.array_equal(book.fan_in, np.bincount(book.out_rows, minlength=n_out))


def test_the_numpy_builder_alone_makes_the_same_rulebooks(rng, monkeypatch):
    sites = random_sites(rng, 400, 2, -12, 12, samples=2)
    loose = random_rulebook(rng, 300, 280, 5)
    for window in (Window(2, 3, kind="submanifold"), Window(2, 3, 2, origin=1), Window(2, 2, dilation=3)):
        made = []
        for compiled in (rules.compiled, None):
            monkeypatch.setattr(rules, "compiled", compiled)
            child, book = Grid.from_sites(sites).rules(window)
            again = Rulebook(loose.in_rows, loose.out_rows, loose.offset_ptr, 300, 280)
            made.append([child.sites])
            for b in (book, book.T, again, again.T):
                made[-1] += [b.in_rows, b.out_rows, b.offset_ptr, b.tile_ptr, b.fan_in]
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(*made, strict=True))


def test_building_holds_little_more_than_its_result(rng, monkeypatch):
    for module in ("cells", "pairs", "sites", "windows"):  # tracemalloc sees no memory that is kept
        monkeypatch.setattr(f"spconv_cy.compiled.{module}.empty", np.empty)
    for module in ("cells", "windows"):
        monkeypatch.setattr(f"spconv_cy.compiled.{module}.exact", np.empty)
    n = 20_000
    walk = np.cumsum(rng.integers(-1, 2, (n, 3)), axis=0)
    for window, most in [(Window(3, 3, kind="submanifold"), 1.5), (Window(3, 2, stride=2), 6), (Window(3, 3), 2.5)]:
        grid = Grid.from_sites(distinct(np.column_stack([np.zeros(n, int), walk])))
        tracemalloc.start()
        try:
            child, book = grid.rules(window)
            held = sum(a.nbytes for a in (book.in_rows, book.out_rows, book.tile_ptr, child.sites))
            assert book.in_rows.nbytes + book.out_rows.nbytes + book.tile_ptr.nbytes <= 9 * book.n_pairs
            assert held <= tracemalloc.get_traced_memory()[1] <= most * held
        finally:
            tracemalloc.stop()


def test_shifting_the_sites_shifts_the_outputs_and_keeps_the_pairs(rng):
    sites = random_sites(rng, 60, 3, -6, 6)
    window = Window(3, 3, stride=2)
    child, rulebook = Grid.from_sites(sites).rules(window)
    moved_child, moved = Grid.from_sites(sites + [0, 8, -4, 6]).rules(window)
    assert moved == rulebook and (moved_child.sites == child.sites + [0, 4, -2, 3]).all()


def test_samples_do_not_meet(rng):
    samples = [random_sites(rng, n, 2, -5, 5) for n in (20, 1, 35)]
    together = np.concatenate([s + [b, 0, 0] for s, b in zip(samples, (0, 1, 3), strict=True)])
    child, _ = Grid.from_sites(together, samples=5).rules(Window(2, 3))
    for alone, b in zip(samples, (0, 1, 3), strict=True):
        rows = child.sites[child.batch_starts[b] : child.batch_starts[b + 1]]
        assert np.array_equal(rows[:, 1:], Grid.from_sites(alone).rules(Window(2, 3))[0].sites[:, 1:])
    assert child.batch_starts[2] == child.batch_starts[3] and child.batch_starts[4] == child.batch_starts[5]


@each(
    "changed, said",
    [
        ({"in_rows": [0, 3]}, "in_rows from 0 to 2, got .*3"),
        ({"in_rows": [-1, 0]}, "in_rows"),
        ({"out_rows": [0, 2]}, "out_rows.*0 to 1"),
        ({"out_rows": [1, 0]}, "ascend"),
        ({"out_rows": [1, 1]}, "ascend"),
        ({"in_rows": [1, 1]}, "in_rows"),
        ({"offset_ptr": [0, 1]}, "offset_ptr"),
        ({"offset_ptr": [0, 3, 2]}, "offset_ptr"),
        ({"offset_ptr": [1, 2]}, "offset_ptr"),
        ({"in_rows": [0]}, "in_rows"),
    ],
)
def test_a_rulebook_that_would_make_the_unchecked_loops_stray_is_refused(changed, said):
    sound = {"in_rows": [0, 2], "out_rows": [0, 1], "offset_ptr": [0, 2], "n_in": 3, "n_out": 2}
    Rulebook(**sound)
    with pytest.raises(ShapeError, match=said):
        Rulebook(**sound | changed)


def test_outputs_past_the_integers_are_an_error_in_plain_words():
    grid = Grid.from_sites(np.array([[0, 2**31 - 1]]))
    with pytest.raises(GridError, match="int32"):
        grid.rules(Window(1, 2, origin=1))
