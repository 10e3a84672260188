"""Set algebra of sites against Python's sets; joins of tensors against dense arrays; pruning and the top k."""

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose
from strategies import every, random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.sites import algebra, order, rules
from spconv_cy.sites.grid import Join

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
        (Join(*algebra.join(a, b, "left")), set(mine)),
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
        sites = np.column_stack([rng.integers(0, 2, 150_000), rng.integers(low, high, (150_000, d))]).astype(np.int32)
        both = order.arrange(sites)[0]
        mine, other = (rng.random(len(both)) < 0.6 for _ in range(2))
        left, right = rules.merged(both[mine], both[other])
        either = mine | other
        assert np.array_equal(left, np.where(mine, np.cumsum(mine) - 1, -1)[either])
        assert np.array_equal(right, np.where(other, np.cumsum(other) - 1, -1)[either])
        for found, expected in zip((left, right), order.merged(both[mine], both[other]), strict=True):
            assert np.array_equal(found, expected)


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
    with pytest.raises(ShapeError, match=r"same size, got \(8, 8\) and \(9, 9\); give both the same size"):
        a | drawn(rng, 5, 2, 8, size=9)
    with pytest.raises(ShapeError, match="same samples, got 3 and 4"):
        a - drawn(rng, 5, 2, 8, size=8, samples=4)
    with pytest.raises(ShapeError, match="lattice"):
        a.union(drawn(rng, 5, 3, 8, size=8))
    for wrong in (np.ones(5), np.ones(4, bool), [0, 1, 2]):
        with pytest.raises(ShapeError, match=r"expected \(5,\) booleans"):
            a.mask(wrong)
    with pytest.raises(ShapeError, match="high above low on every axis"):
        a.crop(3, (4, 3))
    with pytest.raises(TypeError):
        a | 3
    with pytest.raises(ShapeError, match="how to be one of 'inner', 'outer', 'left', got 'right'"):
        algebra.join(a, a, "right")


# Tensors

HOWS = ["inner", "outer", "left"]
JOINS = {
    "add": np.add,
    "multiply": np.multiply,
    "concatenate": lambda a, b: np.concatenate([a, b], axis=1),
}
KEPT = {"inner": np.logical_and, "outer": np.logical_or, "left": lambda a, b: a}


def tensor(rng, n, channels=2, ground=None, samples=3, size=6):
    """Draw a tensor; ground None, "zero", or "drawn"."""
    sites = random_sites(rng, n, 2, 0, size, samples) if n else np.zeros((0, 3), int)
    x = sp.SparseTensor.from_sites(
        sites, rng.normal(size=(n, channels)), size, samples, ground=None if ground is None else "zero"
    )
    return x if ground != "drawn" else x.with_features(x.features, sp.Tensor(rng.normal(size=(1, channels))))


def active(x):
    """Give (b, 1, *size) bool: where a tensor has a row."""
    ones = np.ones((x.grid.n, 1))
    return x.with_features(sp.Tensor(ones)).to_dense() > 0


@each("name", JOINS)
@each("ground", ["drawn", "zero"])
def test_an_outer_join_with_a_ground_state_is_the_dense_one(name, ground, rng, ops):
    for n, m in ((40, 30), (0, 5), (5, 0), (0, 0)):
        a, b = tensor(rng, n, ground=ground), tensor(rng, m, ground=ground)
        y = getattr(a, name)(b)
        assert_allclose(y.to_dense(), JOINS[name](a.to_dense(), b.to_dense()), rtol=1e-5, atol=1e-6)
        assert np.array_equal(active(y), active(a) | active(b))


@each("name, how", [(name, how) for name in JOINS for how in HOWS])
def test_joins_without_a_ground_state_are_those_of_zero_padded_arrays_where_they_keep_sites(name, how, rng, ops):
    for n, m in ((40, 30), (0, 5), (5, 0), (1, 1)):
        a, b = tensor(rng, n), tensor(rng, m)
        y, kept = getattr(a, name)(b, how=how), KEPT[how](active(a), active(b))
        assert np.array_equal(active(y), kept) and y.ground is None
        truth = np.where(kept, JOINS[name](a.to_dense(), b.to_dense()), 0)
        assert_allclose(y.to_dense(), truth, rtol=1e-5, atol=1e-6)
    three = tensor(rng, 20).concatenate(tensor(rng, 20), tensor(rng, 20, 3), how=how)
    assert three.channels == 7


def test_a_row_of_one_channel_multiplies_all_and_columns_may_differ_in_number(rng, ops):
    a, b = tensor(rng, 40, 3, "drawn"), tensor(rng, 30, 1, "drawn")
    assert_allclose(a.multiply(b).to_dense(), a.to_dense() * b.to_dense(), rtol=1e-5, atol=1e-6)
    assert_allclose(a.concatenate(b).to_dense(), np.concatenate([a.to_dense(), b.to_dense()], 1), rtol=1e-6)
    assert np.array_equal(a.concatenate().features.data, a.features.data)


@each("case", every(name=JOINS, how=HOWS, ground=["drawn", None]), ids=str)
def test_joins_hand_gradients_to_both_and_to_their_grounds(case, rng):
    name, how, ground = case.values()
    a, b = tensor(rng, 9, size=3, ground=ground), tensor(rng, 8, size=3, ground=ground)
    if ground and how != "outer":
        part = a.grid.mask(np.arange(9) % 2 == 0).grid  # nothing may be left out
        features, grid = (b.features[:5], part) if how == "left" else (a.features, a.grid)
        b = sp.SparseTensor(features, grid, sp.Tensor(rng.normal(size=(1, 2))))

    def function(mine, other, *grounds):
        x, y = (
            t.with_features(rows, row)
            for t, rows, row in zip((a, b), (mine, other), grounds or (None, None), strict=True)
        )
        return getattr(x, name)(y, how=how).dense()

    grounds = [rng.normal(size=(1, 2)) for _ in range(2)] if ground else []
    sp.check_gradient(function, rng.normal(size=(a.grid.n, 2)), rng.normal(size=(b.grid.n, 2)), *grounds)


def test_a_join_that_would_leave_out_sites_of_a_dense_exact_tensor_is_refused(rng):
    a, b = tensor(rng, 40, ground="drawn"), tensor(rng, 30, ground="drawn")
    lost = len({*map(tuple, b.sites.tolist())} - {*map(tuple, a.sites.tolist())})
    with pytest.raises(ShapeError, match=f"'left', which leaves out {lost} active sites.*use how='outer'"):
        a.add(b, how="left")
    with pytest.raises(ShapeError, match="'inner', which leaves out"):
        a.multiply(b, how="inner")
    with pytest.raises(ShapeError, match="same channels, both"):
        a.add(tensor(rng, 30))
    with pytest.raises(ShapeError, match="same channels"):
        a.add(tensor(rng, 30, 3, "drawn"))
    with pytest.raises(ShapeError, match="how to be .*, got 'union'"):
        a.add(b, how="union")
    with pytest.raises(ShapeError, match=r"a\.add\(b, how=\.\.\.\) joins tensors with different sites"):
        a + b
    with pytest.raises(TypeError, match="expected a SparseTensor, got an ndarray"):
        a.concatenate(np.zeros((40, 2)))


def test_rows_keep_their_points_where_a_join_keeps_the_grid(rng):
    a, b = tensor(rng, 40), tensor(rng, 30)
    assert a.add(b, how="left").point_rows is a.point_rows and a.add(b).point_rows is None


@pytest.mark.parametrize("ground", ["drawn", "zero", None])
def test_aligned_rows_are_those_of_the_other_tensor_at_the_sites_of_the_first(ground, rng, ops):
    a, b = tensor(rng, 40), tensor(rng, 30, 3, ground)
    features, rows = a.align(b)
    batch, *places = a.sites.T
    assert_allclose(features.data, b.to_dense()[batch, :, places[0], places[1]], rtol=1e-6)
    assert np.array_equal(rows, b.grid.rows_of(a.sites)) and (rows < 0).any()
    both = [rng.normal(size=(30, 3)), rng.normal(size=(1, 3))][: 1 if ground is None else 2]
    sp.check_gradient(lambda mine, row=None: a.align(b.with_features(mine, row)).features, *both)


# Pruning


def test_pruning_keeps_what_the_mask_says_and_its_gradients(rng, ops):
    x, keep = tensor(rng, 40), rng.random(40) < 0.4
    y = x.prune(keep)
    assert np.array_equal(y.sites, x.sites[keep]) and np.array_equal(y.features.data, x.features.data[keep])
    assert (y.grid.samples, y.grid.size, y.point_rows) == (3, (6, 6), None)
    assert x.prune(np.ones(40, bool)) is x and x.prune(np.zeros(40, bool)).grid.n == 0
    sp.check_gradient(lambda rows: x.with_features(rows).prune(keep).features, rng.normal(size=(40, 2)))


def test_the_top_k_of_each_sample_are_those_that_sorting_finds(rng, ops):
    x = tensor(rng, 60, samples=4, size=8)
    x = sp.SparseTensor(x.features, sp.Grid(x.sites.copy(), (8, 8), 6, x.grid.lattice))  # two empty samples
    scores = np.round(rng.normal(size=60), 1)  # many draws
    scores[[3, 20]] = np.nan
    for k in (0, 1, 5, 100, [3, 0, 2, 1, 4, 5]):
        kept = []
        for sample, count in enumerate(np.broadcast_to(k, 6)):
            rows = [row for row in range(60) if x.sites[row, 0] == sample]
            rows.sort(key=lambda row: (np.isnan(scores[row]), -np.nan_to_num(scores[row]), row))
            kept += rows[:count]
        for given in (scores, scores[:, None], sp.Tensor(scores)):
            y = x.keep_top(given, k)
            assert np.array_equal(y.sites, x.sites[sorted(kept)])
            assert np.array_equal(y.features.data, x.features.data[sorted(kept)])


def test_a_crop_of_a_tensor_is_that_of_its_dense_array(rng, ops):
    for ground in ("drawn", None):
        x = tensor(rng, 50, ground=ground)
        y = x.crop((1, 2), (5, 4), moved=True)
        assert_allclose(y.to_dense(), x.to_dense()[:, :, 1:5, 2:4], rtol=1e-6)
    truth = np.zeros((3, 2, 6, 6))
    truth[:, :, 1:5, 2:4] = x.to_dense()[:, :, 1:5, 2:4]
    assert_allclose(x.crop((1, 2), (5, 4)).to_dense(), truth)
    sp.check_gradient(lambda rows: x.with_features(rows).crop(1, 4, moved=True).features, rng.normal(size=(50, 2)))


def test_what_leaves_out_sites_needs_a_tensor_without_a_ground_state_and_says_how_to_get_one(rng):
    x, plain = tensor(rng, 9, ground="zero"), tensor(rng, 9)
    for call in (lambda: x.prune(np.ones(9, bool)), lambda: x.keep_top(np.ones(9), 2), lambda: x.crop(0, 3)):
        with pytest.raises(ShapeError, match="make it with ground=None"):
            call()
    with pytest.raises(ShapeError, match="give moved=True"):
        x.crop(0, 3)
    for wrong in (np.ones(8), np.ones((9, 2)), np.array(["a"] * 9)):
        with pytest.raises(ShapeError, match=r"\(9,\) numbers, one for each site, got"):
            plain.keep_top(wrong, 2)
    for wrong in (-1, 1.5, [1, 2], None):
        with pytest.raises(ShapeError, match="a whole number from 0 up, or 3 of them, one for each sample"):
            plain.keep_top(np.ones(9), wrong)


# Layers


def test_a_residual_of_a_dilating_convolution_is_the_dense_one(rng, ops):
    x = tensor(rng, 12, 3, "drawn")
    inner = sp.Convolution(2, 3, 3, 3, padding=1, rng=0)
    whole, left = sp.Residual(inner, how="outer"), sp.Residual(inner, how="left")
    assert_allclose(whole(x).to_dense(), x.to_dense() + inner(x).to_dense(), rtol=1e-4, atol=1e-5)
    assert whole(x).grid.n > x.grid.n
    both = sp.Concatenate(sp.Sequential(), inner, how="outer")(x)
    assert_allclose(both.to_dense(), np.concatenate([x.to_dense(), inner(x).to_dense()], 1), rtol=1e-4, atol=1e-5)
    plain = x.with_features(x.features)
    assert left(plain).grid is x.grid
    with pytest.raises(ShapeError, match="'left', which leaves out"):
        left(x)
    with pytest.raises(ShapeError, match="expected how to be None, 'inner', 'outer', 'left', got 'all'"):
        sp.Residual(inner, how="all")


def test_sparsify_keeps_the_sites_whose_score_is_above_the_threshold(rng, ops):
    x = tensor(rng, 50)
    for activation, threshold in ((None, 0), ("sigmoid", 0.5)):
        layer = sp.layers.Sparsify(2, activation=activation, rng=0)
        layer.bias.data[...] = 0.3
        scores = x.features.data @ layer.weight.data[0] + 0.3
        scores = scores if activation is None else 1 / (1 + np.exp(-scores))
        assert_allclose(layer.score(x).data, scores, rtol=1e-4, atol=1e-5)
        keep, y = scores[:, 0] > threshold, layer(x)
        assert 0 < keep.sum() < 50 and np.array_equal(y.sites, x.sites[keep])
        assert_allclose(y.features.data, (x.features.data * scores)[keep], rtol=1e-4, atol=1e-5)
        bare = sp.layers.Sparsify(2, activation=activation, gate=False, rng=0)
        bare.load_state(layer.state())
        assert np.array_equal(bare(x).features.data, x.features.data[keep])
    with pytest.raises(ShapeError, match="make it with ground=None"):
        layer(tensor(rng, 50, ground="zero"))


def test_keep_top_keeps_k_of_each_sample_and_learns_which(rng, ops):
    sites = random_sites(rng, 60, 2, 0, 30, 4)
    sites = sites[np.argsort(sites[:, 0], kind="stable")]
    marked = rng.random(60) < 0.3
    x = sp.SparseTensor.from_sites(sites, np.c_[marked, ~marked] * 1.0, ground=None, samples=4)
    layer = sp.layers.KeepTop(2, 3, rng=0)
    optimizer = sp.SGD(layer.parameters(), 1.0)
    for _ in range(40):  # what stays should be large in column 0
        ((layer(x).features * sp.Tensor([[-1.0, 1.0]])).sum() * (1 / 12)).backward()
        optimizer.step()
        optimizer.zero_grad()
    y = layer(x)
    assert np.diff(y.grid.batch_starts).tolist() == np.minimum(np.diff(x.grid.batch_starts), 3).tolist()
    for sample in range(4):
        mine, there = (t.features.data[t.sites[:, 0] == sample][:, 0] > 0 for t in (y, x))
        assert mine.sum() == min(3, there.sum())
    for wrong in (-1, 1.5, True, None):
        with pytest.raises(ShapeError, match="a whole number from 0 up"):
            sp.layers.KeepTop(2, wrong)
