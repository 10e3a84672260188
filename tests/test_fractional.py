"""Drawn regions: published facts of the sequences, rules against sets, whole networks against dense ones."""

import copy
from itertools import product
from math import comb

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_array_equal
from strategies import random_sites
from test_dense_equivalence import check_network

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.sites import fractional, regions
from spconv_cy.sites.regions import Regions

KINDS = list(product(fractional.SEQUENCES, fractional.OVERLAPS))


class Given:
    """A generator whose numbers all are u."""

    def __init__(self, u):
        self.u = u

    def random(self, shape):
        return np.full(shape, self.u)


def line(rng, n, m, sequence, overlap, samples=1):
    """Draw regions on one axis: low, high (samples, m)."""
    drawn = fractional.draw(rng, sp.Lattice.cubic(1), samples, (n,), (m,), sequence, overlap)
    return drawn.low[0], drawn.high[0]


# Sequences, against the published facts


@pytest.mark.parametrize("sequence, overlap", KINDS)
def test_regions_begin_at_0_end_at_the_field_leave_no_gap_and_step_by_1_or_2(sequence, overlap, rng):
    lengths = {"disjoint": {1, 2}, "fixed": {2}, "shared": {2, 3}}[overlap]
    for n in range(2, 60):
        for m in range(-(-n // 2), n):
            low, high = line(rng, n, m, sequence, overlap, samples=5)
            assert (low[:, 0] == 0).all() and (high[:, -1] == n).all() and low.shape == (5, m)
            assert set(np.diff(low).ravel()) <= {1, 2} and set((high - low).ravel()) <= lengths
            assert (low[:, 1:] == high[:, :-1] - (overlap == "shared")).all() or overlap == "fixed"
            assert (low[:, 1:] <= high[:, :-1]).all()


def test_pseudorandom_sequences_are_the_published_ones():
    first = [0, 1, 2, 4, 5, 6, 8, 9, 11, 12, 13, 15, 16, 18, 19, 20, 22, 23]
    half = [0, 2, 3, 4, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 20, 21, 22, 24]
    for u, expected in ((0, first), (0.5, half)):
        low, high = line(Given(u), 25, 18, "pseudorandom", "disjoint")
        assert low[0].tolist() == expected and high[0].tolist() == [*expected[1:], 25]
    low, high = line(Given(0), 10, 7, "pseudorandom", "fixed")
    assert low[0].tolist() == [0, 1, 2, 4, 5, 6, 8] and (high - low == 2).all()


@pytest.mark.parametrize("u", [0, 1 / 3, 0.5, 0.9999999, np.nextafter(1, 0)])
def test_pseudorandom_starts_are_floors_of_multiples_of_the_ratio(u):
    for n, m in ((25, 18), (94, 74), (7, 4), (8, 4), (1000, 501)):
        low, _ = line(Given(u), n, m, "pseudorandom", "disjoint")
        exact = [(j * n + int(u * n)) // m - int(u * n) // m for j in range(m)]  # whole numbers have no rounding
        assert low[0].tolist() == exact


def test_random_sequences_are_all_that_there_are(rng):
    for overlap, count in (("disjoint", comb(7, 3)), ("fixed", comb(6, 2))):
        low, _ = line(rng, 10, 7, "random", overlap, samples=3000)
        assert len(np.unique(low, axis=0)) == count == {"disjoint": 35, "fixed": 15}[overlap]


@pytest.mark.parametrize("sequence, overlap", KINDS)
def test_every_sample_and_axis_draws_for_itself_and_a_batch_cut_in_two_draws_the_same(sequence, overlap):
    sizes = (36, 25, 36), (25, 18, 25)
    whole = fractional.draw(np.random.default_rng(3), sp.Lattice.cubic(3), 6, *sizes, sequence, overlap)
    generator = np.random.default_rng(3)
    parts = [fractional.draw(generator, sp.Lattice.cubic(3), n, *sizes, sequence, overlap) for n in (2, 4)]
    for axis in range(3):
        assert_array_equal(whole.low[axis], np.concatenate([part.low[axis] for part in parts]))
        assert len(np.unique(whole.low[axis], axis=0)) > 1
    assert (whole.low[0] != whole.low[2]).any()


LADDERS = {
    (2**0.5, 6): "1 2 3 4 6 7 10 11 16 17 24 25 35 36",
    (2 ** (1 / 3), 12): "1 2 3 4 5 6 8 9 11 12 15 16 20 21 26 27 34 35 44 45 57 58 73 74 93 94",
    (2 ** (2 / 3), 7): "1 2 3 4 6 7 11 12 19 20 32 33 52 53 84 85",
}


@pytest.mark.parametrize("ratio, levels", LADDERS)
def test_sizes_built_from_the_top_are_the_published_ones_and_lead_down_again(ratio, levels):
    net = sp.models.fractional_cnn(levels, 1, ratio, rng=0)
    sizes, steps = [1, 2], [2]
    for layer in reversed([layer for layer in net.layers if isinstance(layer, sp.FractionalMaxPooling)]):
        sizes += [layer.in_size(sizes[-1])[0], layer.in_size(sizes[-1])[0] + 1]
        steps.append(layer.out_size((sizes[-2],) * 2)[0])
    assert " ".join(map(str, sizes)) == LADDERS[ratio, levels]
    assert steps[1:] == sizes[1:-2:2] and net.input_size() == (sizes[-1],) * 2


def test_fields_of_the_other_published_networks():
    assert sp.models.fractional_cnn(10, 1, rng=0).input_size() == (152, 152)
    assert sp.models.fractional_cnn(6, 1, 2 ** (2 / 3), d=3, rng=0).input_size() == (53,) * 3
    assert sp.models.fractional_cnn(12, 1, rng=0).input_size() == (306, 306)


@pytest.mark.parametrize(
    "arguments, count",
    [((6, 32), 519_946), ((12, 32, 2 ** (1 / 3), 3), 3_176_490), ((10, 32, 2**0.5, 7, 183), 2_011_255)],
)
def test_parameter_counts_are_the_published_ones(arguments, count):
    assert sp.models.fractional_cnn(*arguments, rng=0).n_parameters() == count


def test_dropout_rises_by_level_to_p_after_the_last_convolution_or_is_what_is_given():
    def shares(dropout):
        net = sp.models.fractional_cnn(3, 2, dropout=dropout, rng=0)
        return [layer.p for layer in net.layers if isinstance(layer, sp.Dropout)]

    assert shares(0.5) == [0.125, 0.25, 0.375, 0.5] and shares(0) == []
    assert shares([0, 0, 0.1, 0, 0.2]) == [0.1, 0.2]
    with pytest.raises(ShapeError, match="a list of 5 numbers"):
        shares([0.1])


# Walks of a random stride


def test_a_third_of_the_steps_is_shorter_and_a_third_longer_and_the_last_window_is_flush(rng):
    for n, stride, size in product((1, 2, 3, 4, 7, 12), (2, 3), (2, 3, 5)):
        field = (n - 1) * stride + size
        walks = fractional.draw_steps(rng, sp.Lattice.cubic(1), 4, (field,), (n,), (size,), (stride,))
        assert (walks.high[0] - walks.low[0] == size).all() and (walks.high[0][:, -1] == field).all()
        steps = np.diff(walks.low[0])
        assert ((steps == stride - 1).sum(1) == n // 3).all() and ((steps == stride + 1).sum(1) == n // 3).all()
        assert (steps.sum(1) == stride * (n - 1)).all()


def test_a_random_stride_is_regular_in_evaluation_and_on_axes_of_stride_1(rng):
    x = tensor(rng, 2, (13, 13), 30)
    walk, plain = sp.layers.RandomizedStrideMaxPooling(2, 3, 2, rng=0), sp.MaxPooling(2, 3, 2)
    assert_array_equal(walk.eval()(x).to_dense(), plain(x).to_dense())
    assert walk(x).grid is plain(x).grid or walk(x).grid.source.rulebook == plain(x).grid.source.rulebook
    drawn = [walk.train()(x).to_dense() for _ in range(3)]
    assert (drawn[0] != drawn[1]).any() and drawn[0].shape == plain(x).to_dense().shape
    still = sp.layers.RandomizedStrideMaxPooling(2, 3, 1, rng=0)
    assert_array_equal(still(x).to_dense(), sp.MaxPooling(2, 3, 1)(x).to_dense())
    back = sp.UnPooling(2, 3, 2)(walk(tensor(rng, 2, (13, 13), 30, ground=None)))
    assert back.grid.size == (13, 13)


# Rules


def tensor(rng, d, size, n, ground="zero", samples=3):
    """Make a tensor whose middle sample is empty."""
    sites = random_sites(rng, n, d, 0, min(size), samples - 1)
    sites[:, 0] *= 2
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 2)), size, samples, ground=ground)


def regions_of(rng, d, sequence, overlap, samples=3):
    """Draw regions on a field whose axes differ."""
    out = tuple(int(m) for m in rng.integers(1, 6, d))
    return fractional.draw(
        rng,
        sp.Lattice.cubic(d),
        samples,
        tuple(fractional.in_size(m, 1.6) for m in out),
        out,
        sequence,
        overlap,
    )


def pairs_by_sets(grid, drawn):
    """Find {(tap, in site, out site)} and each output's volume by looking into every region."""
    pairs = set()
    for b, *x in grid.sites.tolist():
        each = []
        for a, place in enumerate(x):
            low, high = drawn.low[a][b], drawn.high[a][b]
            each.append([(j, place - low[j]) for j in range(len(low)) if low[j] <= place < high[j]])
        for choice in product(*each):
            tap = int(np.ravel_multi_index([t for _, t in choice], drawn.span))
            pairs.add((tap, (b, *x), (b, *(j for j, _ in choice))))
    volumes = {
        out: int(np.prod([drawn.high[a][out[0], j] - drawn.low[a][out[0], j] for a, j in enumerate(out[1:])]))
        for _, _, out in pairs
    }
    return pairs, volumes


@each("sequence, overlap", KINDS)
@each("d", range(1, 9))
def test_rules_are_those_of_sets_compiled_and_in_numpy(d, sequence, overlap, rng, monkeypatch):
    drawn = regions_of(rng, d, sequence, overlap)
    sites = np.unique(
        np.column_stack([2 * rng.integers(0, 2, 25), *(rng.integers(0, n, 25) for n in drawn.size)]), axis=0
    )
    grid = sp.Grid.from_sites(sites, drawn.size, 3)
    pairs, volumes = pairs_by_sets(grid, drawn)
    child, rulebook = drawn.rules(grid)
    taps = np.repeat(np.arange(rulebook.n_offsets), np.diff(rulebook.offset_ptr))
    ins, outs = grid.sites[rulebook.in_rows].tolist(), child.sites[rulebook.out_rows].tolist()
    found = {(int(k), tuple(i), tuple(o)) for k, i, o in zip(taps, ins, outs, strict=True)}
    assert found == pairs and len(pairs) == rulebook.n_pairs and rulebook.n_offsets == np.prod(drawn.span)
    assert child.sites.tolist() == sorted(map(list, volumes)) and child.size == drawn.out_size
    expected = [volumes[tuple(site)] for site in child.sites.tolist()]
    assert np.broadcast_to(rulebook.volume, child.n).tolist() == expected
    again = sp.sites.Rulebook(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr, grid.n, child.n)
    assert again == rulebook  # the constructor checks what every rulebook promises
    monkeypatch.setattr(regions, "compiled", None)
    plain, other = drawn.rules(grid)
    assert_array_equal(plain.sites, child.sites)
    assert other == rulebook


@pytest.mark.parametrize("overlap", fractional.OVERLAPS)
def test_rules_of_many_sites_are_those_of_numpy_for_any_thread_count(overlap, rng, monkeypatch):
    sites = random_sites(rng, 30_000, 3, 0, 96, samples=3)
    grid = sp.Grid.from_sites(sites, 96, 3)
    drawn = fractional.draw(rng, grid.lattice, 3, (96,) * 3, (68,) * 3, "random", overlap)
    made = []
    for n_threads in (1, 2, 3):
        sp.set_threads(n_threads)
        made.append(drawn.rules(grid))
    sp.set_threads(None)
    monkeypatch.setattr(regions, "compiled", None)
    child, rulebook = drawn.rules(grid)
    for mine, other in made:
        assert_array_equal(mine.sites, child.sites)
        assert other == rulebook


def test_sites_of_a_field_whose_keys_pass_63_bits_get_the_same_rules(rng):
    far, m = 3000, 2000
    sites = np.unique(rng.integers(0, far, (40, 6)), axis=0)
    grid = sp.Grid.from_sites(np.column_stack([np.zeros(len(sites), int), sites]), far)
    drawn = fractional.draw(rng, grid.lattice, 1, (far,) * 6, (m,) * 6, "random", "fixed")
    pairs, volumes = pairs_by_sets(grid, drawn)
    child, rulebook = drawn.rules(grid)
    assert rulebook.n_pairs == len(pairs) and child.sites.tolist() == sorted(map(list, volumes))


def test_rules_are_drawn_anew_and_not_kept_and_the_child_remembers_its_source(rng):
    x = tensor(rng, 2, (8, 8), 20, ground=None)
    layer = sp.FractionalMaxPooling(2, 1.6, overlap="disjoint", rng=0)
    first, second = layer(x), layer(x)
    assert first.grid is not second.grid and first.grid.source.parent is x.grid
    back = sp.UnPooling(2)(first)
    assert back.grid is x.grid
    rulebook = first.grid.source.rulebook  # disjoint: every site has one region
    assert_array_equal(back.features.data[rulebook.in_rows], first.features.data[rulebook.out_rows])
    with pytest.raises(ShapeError, match="Regions"):
        sp.UnPooling(2, 2)(first)


def test_a_batch_gives_a_sample_what_its_own_regions_give(rng, ops):
    x = tensor(rng, 2, (12, 12), 40)
    layer = sp.FractionalMaxPooling(2, 2**0.5, sequence="random", size_rule="nearest", rng=0)
    drawn = layer.draw(x.grid)
    grid, rulebook = drawn.rules(x.grid)
    for b in range(3):
        mine = x.sites[:, 0] == b
        alone = sp.Grid.from_sites(x.sites[mine] * [0, 1, 1], (12, 12), 1)
        own = Regions(drawn.lattice, drawn.size, [a[b : b + 1] for a in drawn.low], [a[b : b + 1] for a in drawn.high])
        child, rules = own.rules(alone)
        assert_array_equal(child.sites[:, 1:], grid.sites[grid.sites[:, 0] == b][:, 1:])
        assert rules.n_pairs == np.isin(rulebook.in_rows, np.flatnonzero(mine)).sum()


# Whole networks against dense ones

NETWORKS = {
    "1-D, a fractional network": lambda: [
        sp.Convolution(1, 2, 3, 2),
        sp.VeryLeakyReLU(),
        sp.FractionalMaxPooling(1, 2**0.5, size_rule="nearest", rng=1),
        sp.Convolution(1, 3, 4, 2),
        sp.LeakyReLU(0.2),
        sp.FractionalMaxPooling(1, 1.3, sequence="random", overlap="shared", size_rule="nearest", rng=2),
        sp.NetworkInNetwork(4, 3),
    ],
    "2-D, a fractional network": lambda: [
        sp.Convolution(2, 2, 3, 2),
        sp.VeryLeakyReLU(),
        sp.FractionalMaxPooling(2, 2**0.5, size_rule="nearest", rng=1),
        sp.Convolution(2, 3, 4, 2),
        sp.VeryLeakyReLU(),
        sp.FractionalMaxPooling(2, 1.5, sequence="random", overlap="disjoint", size_rule="nearest", rng=2),
        sp.Convolution(2, 4, 3, 2),
    ],
    "2-D, unequal ratios, strides and zeros": lambda: [
        sp.FractionalMaxPooling(2, (1, 1.6), overlap="shared", size_rule="nearest", rng=1),
        sp.Convolution(2, 2, 3, 2, (2, 1)),
        sp.LeakyReLU(0.3),
        sp.FractionalMaxPooling(2, 1.4, sequence="random", background="zero", size_rule="nearest", rng=2),
    ],
    "2-D, random strides": lambda: [
        sp.layers.RandomizedStrideConvolution(2, 2, 3, 3, (2, 1), size_rule="floor", rng=1),
        sp.LeakyReLU(0.2),
        sp.layers.RandomizedStrideMaxPooling(2, 2, size_rule="floor", rng=2),
        sp.Convolution(2, 3, 2, 2, bias=False),
    ],
    "2-D, sums and averages of active sites": lambda: [
        sp.layers.SumPooling(2, 2, 1, padding=1),
        sp.NetworkInNetwork(2, 3),
        sp.AveragePooling(2, 3, 2, over="active", size_rule="floor"),
        sp.Convolution(2, 3, 2, 2),
    ],
    "3-D, a fractional network": lambda: [
        sp.Convolution(3, 2, 3, 2),
        sp.VeryLeakyReLU(),
        sp.FractionalMaxPooling(3, 2 ** (2 / 3), size_rule="nearest", rng=1),
        sp.Convolution(3, 3, 2, 2),
    ],
}


@pytest.mark.parametrize("family", ["drawn", "zero", None])
@each("name", NETWORKS)
def test_a_network_with_drawn_regions_equals_the_dense_one_in_values_and_gradients(name, family, rng, ops):
    check_network(rng, ops, NETWORKS[name], int(name[0]), family)


@pytest.mark.parametrize("share", [0.02, 2.0], ids=["almost empty", "full"])
def test_equality_does_not_depend_on_how_many_sites_are_active(share, rng, ops):
    check_network(rng, ops, NETWORKS["2-D, a fractional network"], 2, "drawn", share)


# Test averaging


def test_evaluate_draws_from_its_seed_alone_whatever_the_batches_and_the_calls_before(rng):
    net = sp.models.fractional_cnn(2, 3, channels_in=2, classes=4, rng=0)
    size = net.input_size()
    sites = [random_sites(rng, 10, 2, 0, size[0]) for _ in range(6)]
    x = [sp.SparseTensor.from_sites(each, rng.normal(size=(10, 2)), size, 1) for each in sites]
    labels = np.arange(6) % 4
    found = sp.evaluate(net, sp.data.TensorBatches(x, labels, batch=6), repeats=3)
    net(x[0])
    again = sp.evaluate(net, sp.data.TensorBatches(x, labels, batch=6), repeats=3)
    assert_array_equal(found.outputs, again.outputs)
    cut = sp.evaluate(net, sp.data.TensorBatches(x, labels, batch=4), repeats=3)
    assert np.allclose(cut.outputs, found.outputs, rtol=1e-5)
    assert (sp.evaluate(net, sp.data.TensorBatches(x, labels, batch=6), repeats=3,
                        rng=1).outputs != found.outputs).any()
    single = sp.evaluate(net, sp.data.TensorBatches(x, labels, batch=6))
    assert np.allclose(found.outputs.sum(1), 1, rtol=1e-5) and (single.outputs != found.outputs).any()
    state = copy.deepcopy([g.bit_generator.state for g in net.generators().values()])
    sp.evaluate(net, sp.data.TensorBatches(x, labels, batch=6), repeats=2)
    assert state == [g.bit_generator.state for g in net.generators().values()]


# What is refused


def test_what_does_not_fit_is_refused_with_what_does(rng):
    x = tensor(rng, 2, (9, 9), 10)
    for wrong in (0.9, 2, 2.5, (1.5,), "1.5", None, float("nan")):
        with pytest.raises(ShapeError, match="1 to below 2"):
            sp.FractionalMaxPooling(2, wrong)
    for name, wrong in (("sequence", "pseudo"), ("overlap", True), ("size_rule", "floor"), ("background", None)):
        with pytest.raises(ShapeError, match=name):
            sp.FractionalMaxPooling(2, 1.5, **{name: wrong})
    with pytest.raises(ShapeError,
                       match=r"8 or 10 sites along axis 0 for a ratio of 1\.6, got a field of size \(9, 9\)"):
        sp.FractionalMaxPooling(2, 1.6)(x)
    with pytest.raises(ShapeError, match="2 or more sites along each axis"):
        sp.FractionalMaxPooling(2, 1.6, size_rule="nearest")(tensor(rng, 2, (1, 1), 1))
    with pytest.raises(ShapeError, match="give the input a size"):
        sp.FractionalMaxPooling(1, 1.5)(sp.SparseTensor.from_sites([[0, 1]], [[1.0]]))
    with pytest.raises(ShapeError, match="give the input a size"):
        sp.layers.RandomizedStrideConvolution(1, 1, 1, 2, 2)(sp.SparseTensor.from_sites([[0, 1]], [[1.0]]))
    with pytest.raises(ShapeError, match="cubic"):
        sp.FractionalMaxPooling(sp.Lattice.simplex(2), 1.5)
    with pytest.raises(ShapeError, match="cubic"):
        sp.layers.RandomizedStrideMaxPooling(sp.Lattice.simplex(2), 2)
    with pytest.raises(ShapeError, match="expected"):
        sp.FractionalMaxPooling(3, 1.5)(x)
    with pytest.raises(ShapeError, match="low strictly"):
        Regions(sp.Lattice.cubic(1), (4,), [[[0, 0]]], [[[1, 2]]])
    with pytest.raises(ShapeError, match="3 samples"):
        regions_of(rng, 2, "random", "fixed").rules(x.grid)
