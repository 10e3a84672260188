"""Transposed convolution against dense arrays, as an adjoint, at given sites; convolutions by the other site rules."""

import numpy as np
import pytest
from in_turn import each
from oracles import rule_pairs
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError

WINDOWS = {  # lattice, options of the layer, field
    "1-D, touching": (sp.Lattice(1), dict(size=2, stride=2), 9),
    "2-D, overlapping": (sp.Lattice(2), dict(size=3, stride=2), 6),
    "2-D, gaps": (sp.Lattice(2), dict(size=2, stride=3), 5),
    "2-D, unequal, dilated, padded": (sp.Lattice(2), dict(size=(3, 2), stride=(1, 2), dilation=(2, 1), padding=1), 6),
    "2-D, a cross": (sp.Lattice(2), dict(size=3, stride=2, shape="cross"), 6),
    "2-D, taps": (sp.Lattice(2), dict(taps=[(0, 0), (1, 3)], stride=2), 6),
    "3-D, unbounded": (sp.Lattice(3), dict(size=2, stride=2), None),
    "triangles": (sp.Lattice.simplex(2), dict(size=3, stride=2), 7),
    "tetrahedra, padded": (sp.Lattice.simplex(3), dict(size=3, stride=2, padding=1), 7),
}


def made(rng, name, groups=1):
    """Make a layer of a window with 4 channels in and 6 out, and an input of two samples for it."""
    lattice, options, field = WINDOWS[name]
    sites = random_sites(rng, 8 if lattice.d == 1 else 12, lattice.d, *((-4, 5) if field is None else (0, field)), 2)
    if field is not None:
        sites = sites[lattice.inside(sites[:, 1:], (field,) * lattice.d)]
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 4)), field, 2, ground=None, lattice=lattice)
    layer = sp.layers.TransposedConvolution(lattice, 4, 6, groups=groups, rng=rng, **options)
    layer.bias.data[...] = rng.normal(size=(1, 6))
    return layer, x


@each("groups", [1, 2])
@each("name", WINDOWS)
def test_every_active_site_is_spread_over_its_window(name, groups, rng, ops):
    layer, x = made(rng, name, groups)
    y, window = layer(x), layer.window
    given, bias = x.features.numpy().astype(float), layer.bias.numpy().astype(float)[0]
    weight = layer.weight.numpy().astype(float).reshape(-1, groups, 4 // groups, 6 // groups)
    expected = {}
    for row, site in enumerate(x.sites):
        for k, offset in enumerate(window.offsets):
            place = (int(site[0]), *(np.array(window.stride) * site[1:] + offset).tolist())
            if y.grid.size is None or window.lattice.inside([place[1:]], y.grid.size)[0]:
                parts = [given[row, g * 4 // groups:(g + 1) * 4 // groups] @ weight[k, g] for g in range(groups)]
                expected[place] = expected.get(place, bias) + np.concatenate(parts)
    assert [tuple(site) for site in y.sites.tolist()] == sorted(expected)
    truth = np.array([expected[place] for place in sorted(expected)])
    tolerance = 1e-12 if ops == "reference" else 1e-5
    np.testing.assert_allclose(y.features.numpy(), truth, rtol=tolerance, atol=tolerance * np.abs(truth).max())
    assert y.ground is None and (x.grid.size is None or layer.in_size(y.grid.size) == x.grid.size)


@each("name", WINDOWS)
def test_it_is_the_adjoint_of_the_convolution_with_its_window(name, rng):
    with sp.use("reference"):
        layer, x = made(rng, name)
        layer.bias.data[...] = 0
        y = layer(x)
        options = {**WINDOWS[name][1]}
        down = sp.Convolution(x.grid.lattice, 6, 4, bias=False, **options)
        down.weight.data[...] = np.swapaxes(layer.weight.data, 1, 2)
        dy = y.with_features(sp.Tensor(rng.normal(size=y.features.shape)))
        back = down(dy, x.grid)                                          # at the sites that came
        assert back.grid is x.grid
        assert np.isclose((y.features.data * dy.features.data).sum(), (x.features.data * back.features.data).sum())


@each("name", WINDOWS)
def test_deconvolution_goes_back_through_windows_of_any_shape(name, rng):
    with sp.use("reference"):
        _, x = made(rng, name)
        lattice, options, _ = WINDOWS[name]
        y = sp.Convolution(lattice, 4, 6, bias=False, size_rule="floor", rng=rng, **options)(x)
        up = sp.Deconvolution(lattice, 6, 4, bias=False, rng=rng, **options)
        down = sp.Convolution(lattice, 4, 6, bias=False, size_rule="floor", **options)
        down.weight.data[...] = np.swapaxes(up.weight.data, 1, 2)
        z = up(y)
        assert z.grid is x.grid
        assert np.isclose((z.features.data * x.features.data).sum(), (y.features.data * down(x).features.data).sum())


def test_a_full_field_gives_the_dense_transposed_convolution(rng):
    with sp.use("reference"):
        field = rng.normal(size=(2, 3, 4, 5))
        x = sp.SparseTensor.from_dense(field, ground=None)
        layer = sp.layers.TransposedConvolution(2, 3, 2, 3, 2, padding=1, rng=rng)
        dense = np.zeros((2, 2, 9, 11))
        for k, (a, b) in enumerate(np.ndindex(3, 3)):
            dense[:, :, a:a + 7:2, b:b + 9:2] += np.einsum("bcxy,co->boxy", field, layer.weight.data[k])
        y = layer(x)
        np.testing.assert_allclose(y.to_dense(), dense[:, :, 1:-1, 1:-1], rtol=1e-12, atol=1e-12)


@each("field", [7, None])
@each("rule, more, size", [("exact", 0, 15), ("exact", (1, 0), (16, 15)), ("undilated", 0, 13),
                           ("undilated", (2, 1), (15, 14))])
def test_output_padding_and_the_undilated_rule_change_the_field_alone(rule, more, size, field, rng, ops):
    sites = random_sites(rng, 15, 2, 0, 7, 2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(15, 4)), field, 2, ground=None)
    layer = sp.layers.TransposedConvolution(2, 4, 3, 3, 2, dilation=2, padding=1, output_padding=more, size_rule=rule,
                                            rng=rng)
    y = layer(x)
    dense = np.zeros((2, 3, 20, 20))                                     # origin at -1
    for site, row in zip(x.sites, x.features.numpy(), strict=True):
        for k, tap in enumerate(np.ndindex(3, 3)):
            dense[(site[0], slice(None), *(2 * site[1:] + 2 * np.array(tap)))] += row @ layer.weight.numpy()[k]
    size = (size, size) if isinstance(size, int) else size
    assert y.grid.size == (size if field else None)
    if field:
        assert layer.in_size(size) == (7, 7)
        np.testing.assert_allclose(y.to_dense(), dense[:, :, 1:1 + size[0], 1:1 + size[1]], rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_allclose(y.dense(-1, 20).data, dense, rtol=1e-5, atol=1e-5)


def test_at_given_sites_it_creates_none(rng):
    layer, x = made(rng, "2-D, overlapping")
    whole = layer(x)
    some = whole.grid.mask(rng.random(whole.grid.n) < 0.4)
    y = layer(x, some.grid)
    assert y.grid is some.grid
    np.testing.assert_allclose(y.features.numpy(), whole.features.numpy()[some.rows], rtol=1e-5, atol=1e-6)
    elsewhere = sp.Grid.from_sites([[1, 90, 90]], samples=2)
    assert np.array_equal(layer(x, elsewhere).features.numpy(), layer.bias.numpy())


def test_what_does_not_fit_is_refused_with_the_remedy(rng):
    x = sp.SparseTensor.from_sites([[0, 1, 1]], [[1.0]], 4)
    layer = sp.layers.TransposedConvolution(2, 1, 1, 2, 2)
    with pytest.raises(ShapeError,
                       match="ground=None .new sites.*different weights.*with a ground state; begin with ground=None"):
        layer(x)
    bare = x.with_features(x.features)
    with pytest.raises(ShapeError, match="made the sites, a transposed .*give the Deconvolution"):
        sp.Deconvolution(2, 1, 1, 2, 2)(layer(bare))
    with pytest.raises(ShapeError, match="a transposed window of span"):
        sp.layers.TransposedConvolution(2, 1, 1, 1, padding=3)(bare)
    with pytest.raises(ShapeError, match="expected size_rule to be 'exact' or 'undilated', got 'floor'"):
        sp.layers.TransposedConvolution(2, 1, 1, 2, 2, size_rule="floor")
    with pytest.raises(ShapeError, match="output_padding.*-1"):
        sp.layers.TransposedConvolution(2, 1, 1, 2, 2, output_padding=-1)
    with pytest.raises(ShapeError, match="output_padding 0 for a valid window, got .1, 1."):
        sp.sites.Window(2, 3, output_padding=1)
    with pytest.raises(ShapeError, match="size_rule 'exact' or 'floor', got 'undilated'"):
        sp.Convolution(2, 1, 1, 2, size_rule="undilated")
    with pytest.raises(ShapeError, match="'valid', 'cell' or 'centre', got 'everywhere'"):
        sp.Convolution(2, 1, 1, 2, sites="everywhere")


# Convolutions by other rules: the expression is the same at every output, and the ground elsewhere


@each("ground", [[[0.5, -1.0]], None])
@each(
    "options", [dict(sites="cell", padding=1), dict(sites="centre"), dict(min_active=3), dict()], ids=repr
)
def test_every_output_has_the_dense_value_and_all_others_the_ground(options, ground, rng):
    with sp.use("reference"):
        sites = random_sites(rng, 30, 2, 0, 9)
        x = sp.SparseTensor.from_sites(sites, rng.normal(size=(30, 2)), 9, ground=None)
        x = x.with_features(x.features, None if ground is None else sp.Tensor(ground))
        layer = sp.Convolution(2, 2, 3, 3, 2, rng=rng, **options)
        target = sp.Grid.from_sites(random_sites(rng, 12, 2, 0, 4), 5 if "padding" in options else 4)
        padded = np.zeros((1, 2, 13, 13)) + (0 if ground is None else np.reshape(ground, (1, 2, 1, 1)))
        padded[:, :, 1:10, 1:10] = x.to_dense()
        start = 1 - layer.window.origin[0]
        outs, _ = rule_pairs(sites, [tuple(t) for t in np.ndindex(3, 3)], (2, 2), (1, 1), layer.window.origin,
                             layer.window.kind, middle=(1, 1), min_active=layer.window.min_active)
        for y in (layer(x), layer(x, target)):
            if y.grid is not target:
                held = [site for site in outs if min(site) >= 0 and max(site) < y.grid.size[0]]
                assert [tuple(site) for site in y.sites.tolist()] == held
            for site, row in zip(y.sites, y.features.data, strict=True):
                a, b = start + 2 * site[1:]
                seen = padded[0, :, a:a + 3, b:b + 3].reshape(2, 9)
                np.testing.assert_allclose(row, np.einsum("ck,kco->o", seen, layer.weight.data) + layer.bias.data[0])
            if ground is not None:
                expected = np.array(ground) @ layer.weight.data.sum(0) + layer.bias.data
                np.testing.assert_allclose(y.ground.data, expected)


def test_pooling_at_given_sites(rng):
    x = sp.SparseTensor.from_sites([[0, 0], [0, 3]], [[1.0], [5.0]], 8)
    target = sp.Grid.from_sites([[0, 1], [0, 3]], 4)
    assert sp.MaxPooling(1, 2)(x, target).features.numpy().tolist() == [[5], [0]]
    assert sp.AveragePooling(1, 2)(x, target).features.numpy().tolist() == [[2.5], [0]]
