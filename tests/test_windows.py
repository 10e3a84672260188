"""Windows of every shape, lattice and site rule, against definitions by sets; what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_turn import each
from oracles import pairs_of, rule_pairs, shape_taps
from strategies import distinct, random_sites

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites import rules
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import Lattice
from spconv_cy.sites.window import Window

INT32 = np.iinfo(np.int32)
MADE = ("cell", "centre")  # whose pairs are made as those of given sites
KINDS = ("valid", "submanifold", "cell", "centre", "transposed")


def spelt(grid, child, rulebook):
    """Spell a rulebook's pairs out with the sites in place of their rows."""
    listed = [
        (k, tuple(grid.sites[i].tolist()), tuple(child.sites[j].tolist()))
        for k, i, j in pairs_of(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr)
    ]
    assert len(listed) == len(set(listed)), "a pair came twice"
    assert [(k, j) for k, _, j in listed] == sorted((k, j) for k, _, j in listed), "out_rows ascend in each offset"
    return set(listed)


@st.composite
def windows(draw):
    """Draw a window of any kind, shape, stride, dilation and origin that fits."""
    d, kind = draw(st.integers(1, 4)), draw(st.sampled_from(KINDS))
    simplex = draw(st.booleans())
    lattice = Lattice.simplex(d) if simplex else Lattice.cubic(d)
    shape = draw(st.sampled_from(["full", "nearest", "taps"] if simplex else ["full", "cross", "ball", "taps"]))

    def axes(low, high):
        one = draw(st.integers(low, high))
        return one if simplex else tuple(draw(st.integers(low, high)) for _ in range(d))

    options = dict(dilation=axes(1, 2), kind=kind, size_rule="floor")
    if kind != "submanifold":
        options.update(stride=axes(1, 3), origin=axes(-1, 2))
    if shape == "taps":
        lowest = -2 if kind == "submanifold" else 0
        place = st.tuples(*[st.integers(lowest, 3)] * d)
        options["taps"] = draw(st.lists(place, min_size=1, max_size=6, unique=True))
    else:
        options.update(shape=shape, size=3 if shape == "nearest" else axes(1, 3))
    if kind == "valid":
        options["min_active"] = draw(st.integers(1, 2))
    try:
        return Window(lattice, **options)
    except ShapeError as refused:
        assert any(word in str(refused) for word in ("centre window", "min_active", "ball"))
        return Window(lattice, 3, kind="valid")


def truth(window, sites, **options):
    """Ask the oracle about a window of ours, by its taps alone."""
    taps = [tuple(tap) for tap in ((window.offsets.astype(int) + window.origin) // window.dilation).tolist()]
    middle = tuple(f // 2 for f in window.size)
    options.setdefault("kind", window.kind)
    return rule_pairs(sites, taps, window.stride, window.dilation, window.origin, middle=middle,
                      min_active=window.min_active, **options)


@settings(max_examples=150, deadline=None)
@given(windows(), st.integers(0, 2**32 - 1), st.booleans())
def test_any_window_has_the_outputs_and_pairs_that_set_arithmetic_finds(window, seed, sized):
    rng, d, lattice = np.random.default_rng(seed), window.lattice.d, window.lattice
    n = int(rng.integers(0, 12 if d == 1 else 30))
    sites = random_sites(rng, n, d, *((0, 9) if sized else (-5, 5)), samples=2) if n else np.zeros((0, 1 + d), int)
    if sized:
        sites = sites[lattice.inside(sites[:, 1:], (9,) * d)]
    try:
        out_size = window.out_size((9,) * d if sized else None)
    except ShapeError as refused:
        assert "larger field" in str(refused) or "output field" in str(refused)
        return
    grid = Grid.from_sites(sites, 9 if sized else None, 2, lattice)

    def inside(place):
        held = min(place) >= 0 and max(x - n for x, n in zip(place, out_size, strict=True)) < 0
        return held and (lattice.kind == "cubic" or sum(place) < out_size[0])

    outs, pairs = truth(window, sites, inside=inside if sized and not window.keeps_sites else None)
    compiled, tried = rules.compiled, [rules.compiled, None]
    try:
        for rules.compiled in tried:
            fresh = Grid(grid.sites, grid.size, grid.samples, grid.lattice)
            child, rulebook = fresh.rules(window)
            assert [tuple(site) for site in child.sites.tolist()] == outs
            assert spelt(fresh, child, rulebook) == pairs
            assert child.sites.dtype == np.int32 and child.size == out_size and child.lattice == lattice
            assert rulebook.T.T == rulebook and rulebook.n_offsets == window.volume
    finally:
        rules.compiled = compiled


@settings(max_examples=60, deadline=None)
@given(windows(), st.integers(0, 2**32 - 1))
def test_any_grid_may_be_the_target(window, seed):
    rng, d = np.random.default_rng(seed), window.lattice.d
    sites, targets = (random_sites(rng, 10, d, -6, 6, samples=2) for _ in range(2))
    grid, target = (Grid.from_sites(s, None, 2, window.lattice) for s in (sites, targets))
    kind = "given transposed" if window.kind == "transposed" else "given"
    window = Window(window.lattice, None if window.taps else window.size, window.stride, window.dilation, window.origin,
                    window.kind, window.size_rule, window.shape, window.taps)
    _, pairs = truth(window, sites, kind=kind, targets=targets)
    rulebook = grid.rules_to(window, target)
    assert spelt(grid, target, rulebook) == pairs
    assert (rulebook.n_in, rulebook.n_out) == (grid.n, target.n) and grid.rules_to(window, target) is rulebook


@each("kind, d", [(kind, d) for kind in KINDS for d in range(1, 7) if kind not in MADE or d % 2])
def test_invariants_hold_at_real_size(kind, d, rng, monkeypatch):
    n = 30_000 if kind != "transposed" or d < 4 else 8_000              # of those 20 times as many outputs
    walk = np.cumsum(rng.integers(-1, 2, (n, d)) * rng.integers(0, 2, (n, 1)), axis=0)
    lattice = Lattice.simplex(d) if d % 2 else Lattice.cubic(d)
    shape = ("nearest" if kind == "centre" else "full") if d % 2 else "full" if d == 2 else "cross"
    window = Window(lattice, 3, 1 if kind == "submanifold" else 2, kind=kind, shape=shape)
    grid = Grid.from_sites(distinct(np.column_stack([np.arange(n) * 3 // n, walk])), lattice=lattice)
    child, book = grid.rules(window)
    k = np.repeat(np.arange(window.volume), np.diff(book.offset_ptr))
    ins, outs = grid.sites[book.in_rows].astype(int), child.sites[book.out_rows].astype(int)
    assert (ins[:, 0] == outs[:, 0]).all()
    fine, coarse = (outs, ins) if kind == "transposed" else (ins, outs)
    assert (fine[:, 1:] == window.stride[0] * coarse[:, 1:] + window.offsets[k]).all()
    assert (np.diff(book.out_rows.astype(np.int64) + k * book.n_out) > 0).all(), "ascending, none twice"
    if kind == "transposed":
        assert book.n_pairs == grid.n * window.volume and (book.fan_in >= 1).all()
    if d < 3:                                                            # none is missing: those of the numpy builder
        monkeypatch.setattr(rules, "compiled", None)
        other, truth_book = Grid(grid.sites, None, grid.samples, lattice).rules(window)
        assert np.array_equal(other.sites, child.sites) and truth_book == book
    x, dy = rng.integers(-9, 9, grid.n), rng.integers(-9, 9, child.n)
    w = rng.integers(-9, 9, window.volume)
    forward = np.bincount(book.out_rows, x[book.in_rows] * w[k], child.n) @ dy
    back = np.bincount(book.T.out_rows, dy[book.T.in_rows] * w[k], grid.n) @ x
    assert forward == back, "<conv(x), dy> = <x, conv_T(dy)>, exact in whole numbers"


def test_extents_of_int32_and_all_dimensions_give_what_sets_do(rng):
    for d, kind in [(1, "valid"), (3, "transposed"), (8, "valid"), (8, "submanifold"), (5, "cell"), (8, "transposed")]:
        for lattice in (Lattice.cubic(d), Lattice.simplex(d)):
            far = random_sites(rng, 9, d, INT32.min // 4, INT32.max // 4)
            sites = np.unique(np.concatenate([far, far + np.array([0] * d + [1], np.int32)]), axis=0)
            stride = 1 if kind == "submanifold" else 2
            window = Window(lattice, 3 if d < 5 else 2, stride, kind=kind)
            grid = Grid.from_sites(sites, lattice=lattice)
            child, book = grid.rules(window)
            outs, pairs = truth(window, sites)
            assert [tuple(site) for site in child.sites.tolist()] == outs and spelt(grid, child, book) == pairs


def test_outputs_beyond_int32_are_refused_or_cut_off():
    edge = Grid.from_sites([[0, INT32.max - 1]])
    with pytest.raises(GridError, match="int32"):
        edge.rules(Window(1, 2, 2, kind="transposed"))
    sized = Grid.from_sites([[0, 2**30 - 1]], size=2**30)
    assert sized.rules(Window(1, 2, 2, kind="transposed", origin=1))[0].sites.tolist() == [[0, 2**31 - 3]]
    with pytest.raises(ShapeError, match=r"sites on each axis, got .2147483648.*transposed"):
        sized.rules(Window(1, 2, 2, kind="transposed"))


# Shapes and lattices, by definition


@pytest.mark.parametrize("d", range(1, 6))
def test_shapes_have_the_taps_of_their_definitions(d):
    for f in [*range(1, 5 if d < 5 else 4), (2, 5, 1, 3, 4)[:d]]:
        for shape in ("full", "cross", "ball"):
            taps = shape_taps(shape, (f,) * d if isinstance(f, int) else f)
            if not taps:
                with pytest.raises(ShapeError, match="a ball that has a tap, got none"):
                    Window(d, f, shape=shape)
                continue
            window = Window(d, f, shape=shape, dilation=2, origin=1)
            assert window.offsets.tolist() == [[2 * t - 1 for t in tap] for tap in taps] and window.volume == len(taps)
    for f in range(1, 5):
        simplex = Window(Lattice.simplex(d), f)
        assert simplex.offsets.tolist() == [list(t) for t in shape_taps("full", (f,) * d, True)]
        assert simplex.volume == len(simplex.offsets) == math.comb(f + d - 1, d)
    assert [Window(3, f, shape="ball").volume for f in (1, 2, 3, 4, 5)] == [1, 8, 19, 32, 81]


def test_simplex_counts_window_orders_and_neighbours_are_as_published():
    counts = {
        2: [1, 3, 6, 10, 15, 21, 28, 36],
        3: [1, 4, 10, 20, 35, 56, 84, 120],
        4: [1, 5, 15, 35, 70, 126, 210, 330],
    }
    for d, row in counts.items():
        lattice = Lattice.simplex(d)
        assert [lattice.field((n,) * d) for n in range(1, 9)] == row
        assert [Window(lattice, f).volume for f in range(1, 9)] == row
        assert Grid.from_sites(np.zeros((0, 1 + d), int), 8, 1, lattice).field == row[-1]
    plane, space = Lattice.simplex(2), Lattice.simplex(3)
    assert Window(plane, 2).offsets.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert Window(plane, 3).offsets.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0]]
    assert Window(space, 2).offsets.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    near = Window(plane, 3, shape="nearest", kind="submanifold").offsets
    published = [(0, -1), (1, -1), (-1, 0), (0, 0), (1, 0), (-1, 1), (0, 1)]
    assert [tuple(t) for t in near.tolist()] == sorted(published)
    for d in range(2, 6):
        lattice = Lattice.simplex(d)
        near = Window(lattice, 3, shape="nearest", kind="submanifold").offsets
        assert len(near) == d * d + d + 1
        lengths = np.linalg.norm(near @ lattice.basis, axis=1)
        assert np.allclose(np.sort(lengths), [0] + [1] * (d * d + d))


@pytest.mark.parametrize(
    "d, size, share",
    [(2, 2, 3 / 4), (3, 2, 4 / 8), (4, 2, 5 / 16), (2, 3, 1), (3, 3, 7 / 8), (4, 3, 11 / 16), (5, 3, 16 / 32)],
)
def test_strided_simplex_windows_see_the_published_share_of_the_sites(d, size, share):
    lattice = Lattice.simplex(d)
    window = Window(lattice, size, 2)
    grids = [Grid.from_sites([[0, *place]], lattice=lattice) for place in np.ndindex(*[2] * d)]
    seen = [grid.rules(window)[0].n > 0 for grid in grids]
    assert np.mean(seen) == share
    if (d, size) == (3, 3):
        assert seen == [True] * 7 + [False], "those with all coordinates odd are the unseen"


def test_the_simplex_basis_and_its_inverse_are_as_published(rng):
    rows = [[1, 0, 0, 0], [0.5, 0.86603, 0, 0], [0.5, 0.28868, 0.81650, 0], [0.5, 0.28868, 0.20412, 0.79057]]
    inverse = [[1, 0, 0, 0], [-0.57735, 1.1547, 0, 0], [-0.40825, -0.40825, 1.22474, 0],
               [-0.31623, -0.31623, -0.31623, 1.26491]]
    for d, volume in ((2, 0.86603), (3, 0.70711), (4, 0.55902)):
        basis = Lattice.simplex(d).basis
        assert np.allclose(basis, np.array(rows)[:d, :d], atol=1e-5)
        assert np.isclose(np.linalg.det(basis), volume, atol=1e-5)
        places = rng.normal(size=(20, d))
        found = Lattice.simplex(d).coordinates(places)
        assert np.allclose(found, places @ np.array(inverse)[:d, :d], atol=1e-4)
        assert np.allclose(found @ basis, places)
    assert np.array_equal(Lattice.cubic(3).basis, np.eye(3))


def test_points_come_to_the_simplex_cell_that_holds_them(rng):
    lattice, size = Lattice.simplex(3), 30
    cloud = rng.normal(size=(200, 3))
    points = cloud / 0.5 + np.full(3, size / 4) @ lattice.basis         # in cells, around the middle of the field
    given = np.column_stack([np.zeros(200), points * 0.5])
    x = sp.SparseTensor.from_points(given, np.ones((200, 1)), cell=0.5, size=size, lattice=lattice, reduce="sum")
    assert x.grid.lattice == lattice and x.features.data.sum() == 200
    rest = points - x.sites[x.point_rows, 1:] @ lattice.basis
    inside = rest @ np.linalg.inv(lattice.basis)
    assert (inside > -1e-9).all() and (inside < 1 + 1e-9).all()


def through_deepc2(lattice, place):
    """Count the active sites of DeepC2(4) for one site in the field: input, then C2, MP3/2 by turns, C2 at the end."""
    grid, counts = Grid.from_sites([[0, *place]], 62, lattice=lattice), [1]
    for size, stride in [(2, 1)] + [(3, 2), (2, 1)] * 4:
        grid, _ = grid.rules(Window(lattice, size, stride))
        counts.append(grid.n)
    assert grid.size == (1,) * lattice.d
    return counts


@pytest.mark.parametrize(
    "lattice, place, counts",
    [
        (Lattice.cubic(2), (31, 31), [1, 4, 4, 9, 4, 9, 4, 9, 4, 1]),
        (Lattice.simplex(2), (20, 20), [1, 3, 3, 6, 6, 10, 3, 6, 3, 1]),
        (Lattice.cubic(3), (31, 31, 31), [1, 8, 8, 27, 8, 27, 8, 27, 8, 1]),
        (Lattice.simplex(3), (15, 15, 15), [1, 4, 1, 4, 1, 4, 1, 4, 1, 1]),
        (Lattice.cubic(4), (31, 31, 31, 31), [1, 16, 16, 81, 16, 81, 16, 81, 16, 1]),
    ],
    ids=["square", "triangular", "cubic", "tetrahedral", "4-cubic"],
)
def test_one_site_through_deepc2_has_the_published_active_sites(lattice, place, counts):
    assert through_deepc2(lattice, place) == counts


# What does not fit


@each(
    "make, said",
    [
        (lambda: Window(2), "size or taps, got neither"),
        (lambda: Window(2, 3, shape="star"), "'full' or 'cross' or 'ball' on .*, got 'star'"),
        (lambda: Window(2, 3, shape="nearest"), "got 'nearest'; use 'cross', which has the nearest"),
        (lambda: Window(Lattice.simplex(2), 3, shape="cross"), "'full' or 'nearest'"),
        (lambda: Window(Lattice.simplex(2), 5, shape="nearest"), r"size 3 with .*, got \(5, 5\)"),
        (lambda: Window(Lattice.simplex(2), (2, 3)), "one number for all axes"),
        (lambda: Window(2, taps=[]), "got 0 taps"),
        (lambda: Window(2, taps=[(0, 0), (0, 0)]), "got 2 taps, 1 of them different"),
        (lambda: Window(2, taps=[(0, 0, 1)]), r"taps of 2 int32 numbers, .*got \(0, 0, 1\)"),
        (lambda: Window(2, taps=[(0, -1)]), r"got taps from \(0, -1\) on.*padding="),
        (lambda: Window(2, taps=7), "a list of taps"),
        (lambda: Window(2, 3, shape=["cross"]), r"got \['cross'\]"),
        (lambda: Window(2, 2, taps=[(0, 0)]), "taps without size and shape"),
        (lambda: Window(2, 2, min_active=5), "min_active from 1 to 4"),
        (lambda: Window(2, 2, kind="cell", min_active=2), "min_active 1 for a cell window, got 2"),
        (lambda: Window(2, 2, kind="centre", shape="full", taps=None, dilation=0), "dilation"),
        (lambda: Window(2, taps=[(0, 0), (2, 2)], kind="centre"), "in a centre window, got taps without it"),
        (lambda: Window(2, 2, kind="same"), "'valid', .* got 'same'"),
        (lambda: Lattice(2, "hexagonal"), "'cubic' or 'simplex'"),
        (lambda: Lattice.simplex(2).coordinates(np.zeros((3, 3))), r"\(n, 2\), got shape \(3, 3\)"),
        (lambda: Grid.from_sites([[0, 1, 1]], (4, 5), lattice=Lattice.simplex(2)), "one number"),
    ],
)
def test_a_window_that_does_not_fit_is_refused_with_the_remedy(make, said):
    with pytest.raises(ShapeError, match=said):
        make()


def test_a_stride_of_none_is_the_size():
    assert Window(2, (3, 2), None).stride == (3, 2) and Window(2, taps=[(0, 0), (0, 3)], stride=None).stride == (1, 4)
    assert Window(Lattice.simplex(2), taps=[(0, 0), (1, 0)], stride=None).stride == (2, 2)
    assert sp.MaxPooling(Lattice.simplex(2), taps=[(0, 0), (1, 0)]).window.stride == (2, 2)


def test_sites_outside_a_simplex_are_refused_and_named():
    with pytest.raises(GridError, match=r"inside size 4 .* sum\(x\) < 4, got 1 of 2 outside, .* row 1: \[2, 2\]"):
        Grid.from_sites([[0, 1, 2], [0, 2, 2]], 4, lattice=Lattice.simplex(2))


def test_targets_must_share_lattice_and_samples():
    grid = Grid.from_sites([[0, 1, 2]])
    with pytest.raises(ShapeError, match="target of 1 samples .* and 3 samples"):
        grid.rules_to(Window(2, 2), Grid.from_sites([[0, 1, 1]], samples=3))
    with pytest.raises(TypeError, match="a Window and a list"):
        grid.rules_to(Window(2, 2), [[0, 1, 1]])
