"""Attention among the sites of a window, against loops over windows, heads and sites in float64."""

import numpy as np
import pytest
from contract import apart, sparse
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional import attention
from spconv_cy.functional.attention import attend
from spconv_cy.sites.partition import differences, partition


def windows_of(sites, size, shift):
    """Group row numbers by (sample, floor((x + shift) / size)), in Python's whole numbers."""
    found = {}
    for row, (sample, *place) in enumerate(np.asarray(sites).tolist()):
        key = (sample, *((x + s) // n for x, s, n in zip(place, shift, size, strict=True)))
        found.setdefault(key, []).append(row)
    return found


def expected(layer, x):
    """Attend in loops; positions are looked up by the difference's digits."""
    w, out = layer.weight.numpy()[0].astype(float), layer.weight_out.numpy()[0].astype(float)
    rows = x.features.numpy().astype(float) @ w + (0 if layer.bias is None else layer.bias.numpy())
    c, each = layer.channels, layer.channels // layer.heads
    y = np.zeros((x.grid.n, c))
    for members in windows_of(x.sites, layer.size, layer.shift).values():
        for head in range(layer.heads):
            part = slice(head * each, (head + 1) * each)
            query, key, value = rows[:, :c][:, part], rows[:, c:2 * c][:, part], rows[:, 2 * c:][:, part]
            for i in members:
                products = []
                for j in members:
                    products.append(query[i] @ key[j] / np.sqrt(each))
                    if layer.positions is not None:
                        place = tuple(x.sites[i, 1:] - x.sites[j, 1:] + np.array(layer.size) - 1)
                        table = layer.positions.numpy()[:, head].reshape([2 * n - 1 for n in layer.size])
                        products[-1] += table[place]
                weights = np.exp(products) / np.exp(products).sum()
                y[i, part] = sum(weight * value[j] for weight, j in zip(weights, members, strict=True))
    return y @ out + (0 if layer.bias_out is None else layer.bias_out.numpy())


def begun(layer, rng):
    for parameter in layer.parameters():
        parameter.data[...] = rng.normal(0, 0.5, parameter.shape)
    return layer


@each("d, options", [
    (1, {"heads": 3, "size": 4}),
    (2, {"heads": 2, "size": (3, 4), "shift": (1, 2)}),
    (2, {"heads": 1, "size": 50}),                                       # a sample is a window
    (3, {"heads": 6, "size": 2, "positions": False, "bias": False}),
    (4, {"heads": 2, "size": (1, 3, 2, 8), "shift": -5}),
])
def test_attention_is_that_of_loops(d, options, ops, rng):
    sites = random_sites(rng, 45, d, -9, 9, samples=3)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 6)), ground=None, samples=3)
    layer = begun(sp.layers.WindowAttention(d, 6, **options), rng)
    y = layer(x)
    assert y.grid is x.grid and y.ground is None and np.array_equal(y.point_rows, x.point_rows)
    assert_allclose(y.features.data, expected(layer, x), rtol=2e-5, atol=1e-5)


def test_on_the_simplex_lattice_windows_are_blocks_of_coordinates(ops, rng):
    lattice = sp.Lattice.simplex(3)
    sites = [[b, *place] for b in (0, 1) for place in lattice.taps((5,) * 3).tolist()]
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(70, 4)), 5, ground=None, lattice=lattice)
    layer = begun(sp.layers.WindowAttention(lattice, 4, 2, (2, 3, 2), shift=1), rng)
    assert_allclose(layer(x).features.data, expected(layer, x), rtol=2e-5, atol=1e-5)
    coordinates = sp.layers.AddCoordinates(lattice)(x).features.data[:, 4:]
    assert_allclose(coordinates, x.sites[:, 1:] / 2 - 1)


def test_a_site_alone_in_its_window_gets_its_own_value(ops, rng):
    layer = begun(sp.layers.WindowAttention(1, 2, 2, 3), rng)
    x = sp.SparseTensor.from_sites([[0, 0], [0, 3], [1, 1]], rng.normal(size=(3, 2)), ground=None, samples=2)
    value = x.features.numpy() @ layer.weight.numpy()[0, :, 4:] + layer.bias.numpy()[:, 4:]
    assert_allclose(layer(x).features.data, value @ layer.weight_out.numpy()[0] + layer.bias_out.numpy(), rtol=1e-5)


def test_a_shift_lets_neighbours_on_either_side_of_a_border_meet(ops, rng):
    x = sp.SparseTensor.from_sites([[0, 3], [0, 4], [1, 4]], rng.normal(size=(3, 2)), ground=None, samples=2)
    leaf = sp.Tensor(x.features.data, requires_grad=True)
    for shift, met in ((0, False), (2, True), (4, False)):
        layer, leaf.grad = sp.layers.WindowAttention(1, 2, 1, 4, shift=shift, rng=0), None
        layer(x.with_features(leaf)).features.backward([[1.0, 1], [0, 0], [0, 0]])
        assert bool(leaf.grad[1].any()) == met and not leaf.grad[2].any() and leaf.grad[0].any()


def test_large_products_do_not_overflow(ops):
    rows = np.zeros((3, 6))
    rows[:, :2], rows[:, 2:4], rows[:, 4:] = 1e4, [[1e4, 1e4], [-1e4, -1e4], [9999, 1e4]], [[1, 2], [3, 4], [5, 6]]
    leaf = sp.Tensor(rows, requires_grad=True)
    y = attend(leaf, None, 1, [np.array([[0, 1, 2]])], None)
    assert_allclose(y.data, [[1, 2]] * 3)
    y.backward(np.ones((3, 2)))
    assert_allclose(leaf.grad[:, 4:], [[3, 3], [0, 0], [0, 0]])
    assert np.isfinite(leaf.grad).all()


def test_gradients_of_attention(rng):
    sites = random_sites(rng, 14, 2, 0, 6, samples=2)
    windows = partition(sp.Grid.from_sites(sites).sites, (3, 4), (1, 0))
    assert len({rows.shape[1] for rows in windows}) > 2
    places = [differences(sp.Grid.from_sites(sites).sites, rows, (3, 4)) for rows in windows]
    sp.check_gradient(lambda rows, table: attend(rows, table, 2, windows, places),
                      rng.normal(size=(14, 12)), rng.normal(size=(35, 2)))
    sp.check_gradient(lambda rows: attend(rows, None, 4, windows, None), rng.normal(size=(14, 12)))
    sp.check_gradient(lambda rows, table: attend(rows, table, 2, [], []), np.zeros((0, 6)), np.zeros((35, 2)))


def test_bits_do_not_depend_on_the_threads(rng):
    sites = random_sites(rng, 3000, 3, 0, 24, samples=2)
    x = sp.SparseTensor.from_sites(sites, apart(rng, 3000, 16), ground=None)

    def bits():
        layer, leaf = sp.layers.WindowAttention(3, 16, 4, 5, shift=2, rng=0), sp.Tensor(x.features.data,
                                                                                        requires_grad=True)
        y = layer(x.with_features(leaf)).features
        (y * y).sum().backward()
        return [array.tobytes() for array in (y.data, leaf.grad, *(p.grad for p in layer.parameters()))]

    found = []
    for n_threads in (1, 2, 3):
        sp.set_threads(n_threads)
        found.append(bits())
    sp.set_threads(None)
    assert found[0] == found[1] == found[2]


# The partition


@pytest.mark.parametrize("d, low, high", [(1, -40, 40), (3, -5, 6), (2, -2**31, 2**31)])
def test_windows_are_those_of_sets(d, low, high, rng):
    sites = random_sites(rng, 200, d, low, high, samples=3)
    grid = sp.Grid.from_sites(sites)
    size, shift = (4, 3, 2)[:d], (2**31 - 1, -2, 1)[:d]
    found = [tuple(rows) for group in grid.partition(size, shift) for rows in group.tolist()]
    assert sorted(found) == sorted(map(tuple, windows_of(grid.sites, size, shift).values()))
    assert [g.shape[1] for g in grid.partition(size, shift)] == sorted({len(rows) for rows in found})
    assert grid.partition(size, shift) is grid.partition(size, shift)
    assert sp.Grid.from_sites(sites[:0]).partition(size, shift) == []


def test_differences_are_counted_in_lexicographic_order():
    sites = np.array([[0, 0, 0], [0, 0, 2], [0, 1, 0], [0, 1, 1]], np.int32)
    places = differences(sites, np.array([[0, 1, 2, 3]]), (2, 3))
    table = {pair: i for i, pair in enumerate((a, b) for a in range(-1, 2) for b in range(-2, 3))}
    assert_array_equal(places[0], [[table[tuple((a - b)[1:].tolist())] for b in sites] for a in sites])


def test_the_cost_is_counted_by_the_pairs_that_meet():
    x = sparse(2, 4, 8, None)((9, 0, 7))
    layer = sp.layers.WindowAttention(2, 4, 2, 3, rng=0)
    pairs = sum(len(rows) ** 2 for rows in windows_of(x.sites, (3, 3), (0, 0)).values())
    assert layer.multiply_adds(x, x) == (16 * (64 + 9 * 8), 16 * 64 + pairs * 8, 3 * 64 * (64 + 9 * 8))


@each("make, message", [
    (lambda x: sp.layers.WindowAttention(2, 4, 3, 4),
     "expected heads to divide the channels, got 4 channels and 3 heads"),
    (lambda x: sp.layers.WindowAttention(2, 4, 0, 4), "expected heads to be a whole number from 1 to 1048576, got 0"),
    (lambda x: sp.layers.WindowAttention(2, 4, 2, (4,)), "WindowAttention size: .* 2 ints"),
    (lambda x: sp.layers.WindowAttention(2, 4, 2, 0), "at least 1"),
    (lambda x: sp.layers.WindowAttention(2, 4, 2, 4, shift=0.5), "shift: expected an int .* got 0.5"),
    (lambda x: sp.layers.WindowAttention(3, 4, 2, 200), "use a smaller window, or positions=False"),
    (lambda x: sp.layers.WindowAttention(2, 4, 2, 4)(x.with_features(x.features, sp.Tensor(np.zeros((1, 4))))),
     "ground=None"),
    (lambda x: sp.layers.WindowAttention(2, 6, 2, 4)(x), "expected features with 6 channels, got 4"),
    (lambda x: sp.layers.WindowAttention(3, 4, 2, 4)(x), "cubic"),
])
def test_what_does_not_fit_is_told(make, message):
    with pytest.raises(ShapeError, match=message):
        make(sparse(2, 4, 8, None)((3,)))


# Coordinates


def test_coordinates_go_from_minus_one_to_one(ops):
    sites = [[0, 0, 0, 0], [0, 8, 3, 0], [1, 4, 1, 0], [1, 2, 0, 0]]
    x = sp.SparseTensor.from_sites(sites, np.ones((4, 2)), (9, 4, 1), ground=None)
    y = sp.layers.AddCoordinates(3)(x).features.data[x.point_rows]
    assert_allclose(y, [[1, 1, -1, -1, 0], [1, 1, 1, 1, 0], [1, 1, 0, -1 / 3, 0], [1, 1, -0.5, -1, 0]], atol=1e-7)
    free = sp.SparseTensor.from_sites([[0, -4, 1, 0]], np.ones((1, 1)), ground=None)
    assert_allclose(sp.layers.AddCoordinates(3, size=(9, 3, 5))(free).features.data, [[1, -2, 0, -1]])
    with pytest.raises(ShapeError, match="expected a grid with a size, got an unbounded grid"):
        sp.layers.AddCoordinates(3)(free)
    with pytest.raises(ShapeError, match="make the input with ground=None"):
        sp.layers.AddCoordinates(3)(sp.SparseTensor.from_sites(sites, np.ones((4, 2)), (9, 4, 1)))
    with pytest.raises(ShapeError, match="cubic"):
        sp.layers.AddCoordinates(2)(x)


def both_ways(layer, x, dy):
    """Return the result of a layer and the gradients of its parameters."""
    for parameter in layer.parameters():
        parameter.grad = None
    y = layer(x).features
    (y * dy).sum().backward()
    return [y.data, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.skipif(attention.compiled is None, reason="without the compiled core there is numpy only")
@pytest.mark.parametrize("positions", [True, False])
def test_the_compiled_core_gives_what_numpy_gives_for_any_number_of_threads(rng, monkeypatch, positions):
    sites = np.unique(np.column_stack([rng.integers(0, 3, 400), *rng.integers(0, 20, (2, 400))]), axis=0)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 12)), ground=None, samples=3)
    layer = sp.layers.WindowAttention(2, 12, 3, 6, shift=2, positions=positions, rng=0)
    dy = rng.normal(size=(len(sites), 12))
    if positions:
        layer.positions.data[...] = rng.normal(size=layer.positions.data.shape)
    found = []
    for n_threads in (1, 2, 3):
        sp.set_threads(n_threads)
        found.append(both_ways(layer, x, dy))
    sp.set_threads(None)
    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
    monkeypatch.setattr(attention, "compiled", None)
    for a, b in zip(found[0], both_ways(layer, x, dy), strict=True):
        assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.skipif(attention.compiled is None, reason="without the compiled core there is numpy only")
def test_rows_that_are_not_there_are_refused(rng):
    rows, table = rng.normal(size=(3, 6)), rng.normal(size=(5, 1))
    for window, place in (([[0, 3]], 4), ([[-1, 0]], 4), ([[0, 1]], 5)):
        with pytest.raises(IndexError, match="attend"):
            attend(sp.Tensor(rows), sp.Tensor(table), 1, [np.array(window)], [np.full((1, 2, 2), place)])
