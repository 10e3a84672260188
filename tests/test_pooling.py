"""Pools by every rule of output sites, dilated and not, against loops over the pairs that sets find."""

import numpy as np
import pytest
from in_turn import each
from oracles import rule_pairs
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError

OPTIONS = {
    "dilated": dict(size=3, stride=2, dilation=2, padding=1, size_rule="floor"),
    "dilated, unequal": dict(size=(2, 3), stride=(1, 2), dilation=(3, 1), size_rule="floor"),
    "at cells": dict(size=2, sites="cell"),
    "at cells, around them": dict(size=3, stride=2, padding=1, sites="cell"),
    "at cells, beside them": dict(size=2, stride=3, dilation=2, sites="cell"),
    "at centres": dict(size=3, stride=2, sites="centre", size_rule="floor"),
}
POOLS = {
    "maximum": lambda options: sp.MaxPooling(2, **options),
    "maximum over zeros": lambda options: sp.MaxPooling(2, background="zero", **options),
    "average": lambda options: sp.AveragePooling(2, **options),
    "average of active sites": lambda options: sp.AveragePooling(2, over="active", **options),
    "sum": lambda options: sp.layers.SumPooling(2, **options),
}


def pooled(kind, rows, ground, volume):
    """Pool the active rows of one window, a list of (c,), by the definition; the ground is (c,) or None."""
    missing = volume - len(rows)
    absent = np.zeros(2) if ground is None else ground
    if kind == "maximum":
        held = rows + ([] if ground is None or not missing else [ground])
        return np.max(held, axis=0) if held else absent
    if kind == "maximum over zeros":
        return np.max([*rows, np.zeros(2)], axis=0)
    if kind == "average of active sites":
        return np.mean(rows, axis=0) if rows else absent
    total = np.sum([np.zeros(2), *rows], axis=0) + missing * absent
    return total / volume if kind == "average" else total


@each("ground", [[0.5, -1.0], None])
@each("options", OPTIONS.values(), ids=OPTIONS)
@each("kind", POOLS)
def test_a_pool_is_that_of_its_windows_by_sets(kind, options, ground, rng, ops):
    sites = random_sites(rng, 25, 2, 0, 9, samples=2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(25, 2)), 9, 2, ground=None)
    x = x.with_features(x.features, None if ground is None else sp.Tensor([ground]))
    layer = POOLS[kind](options)
    y, window = layer(x), layer.window
    outs, pairs = rule_pairs(sites, [tuple(t) for t in np.ndindex(*window.size)], window.stride, window.dilation,
                             window.origin, window.kind, middle=tuple(f // 2 for f in window.size),
                             inside=lambda place: all(0 <= v < n for v, n in zip(place, y.grid.size, strict=True)))
    given = {tuple(site): row for site, row in zip(x.sites.tolist(), x.features.numpy().astype(float), strict=True)}
    windows = {out: [given[site] for _, site, there in sorted(pairs) if there == out] for out in outs}
    truth = [pooled(kind, windows[out], None if ground is None else np.array(ground), window.volume) for out in outs]
    assert [tuple(site) for site in y.sites.tolist()] == outs and len(outs) > 3
    np.testing.assert_allclose(y.features.numpy(), truth, rtol=1e-5, atol=1e-6)
    assert (y.ground is None) == (ground is None)
    if ground is not None:
        empty = {"maximum over zeros": np.maximum(ground, 0), "sum": np.multiply(ground, window.volume)}
        np.testing.assert_allclose(y.ground.numpy()[0], empty.get(kind, ground), rtol=1e-6)


@pytest.mark.parametrize("kind", POOLS)
def test_gradients_of_dilated_pools_and_of_pools_at_cells(kind, rng):
    with sp.use("reference"):
        x = sp.SparseTensor.from_sites(random_sites(rng, 12, 2, 0, 7), rng.permutation(24).reshape(12, 2) - 11.5, 7,
                                       ground=None)
        for name in ("dilated", "at cells, around them", "at cells, beside them"):
            layer = POOLS[kind](OPTIONS[name])
            sp.check_gradient(lambda f, layer=layer: layer(x.with_features(f)).features, x.features.data)


def test_a_coordinate_of_a_pool_at_cells_is_that_of_its_cell():
    x = sp.SparseTensor.from_sites([[0, -1], [0, 0], [0, 3]], [[1.0], [2.0], [4.0]], ground=None)
    y = sp.MaxPooling(1, 3, 2, padding=1, sites="cell")(x)
    assert y.sites[:, 1].tolist() == [-1, 0, 1] and y.features.numpy()[:, 0].tolist() == [1, 2, 4]
    assert sp.MaxPooling(1, 2, 2, sites="cell").in_size(4) == (7,)


@pytest.mark.parametrize("layer", [sp.MaxPooling, sp.AveragePooling, sp.layers.SumPooling])
def test_no_sites_and_bad_rules(layer):
    none = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 4)), 8, samples=2)
    y = layer(2, 3, 2, dilation=2, padding=1, sites="cell")(none)
    assert y.grid.size == (4, 4) and y.features.shape == (0, 4)
    with pytest.raises(ShapeError, match=f"^{layer.__name__}: expected sites to be 'valid', 'cell' or"):
        layer(2, 2, sites="submanifold")
    with pytest.raises(ShapeError, match="dilation.*0"):
        layer(2, 2, dilation=0)


def test_unpooling_goes_back_through_dilated_windows_and_cells(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 20, 2, 0, 9), rng.normal(size=(20, 2)), 9, ground=None)
    dilated = dict(size=3, stride=2, dilation=2)
    assert sp.UnPooling(2, **dilated)(sp.MaxPooling(2, **dilated)(x)).grid is x.grid
    assert sp.UnPooling(2, 2)(sp.MaxPooling(2, 2, sites="cell")(x)).grid is x.grid
    with pytest.raises(ShapeError, match="the same window"):
        sp.UnPooling(2, 3, 2)(sp.MaxPooling(2, **dilated)(x))


def test_the_notation_says_only_what_it_can():
    assert [sp.MaxPooling(2, 2, **more).notation() for more in ({}, dict(dilation=2), dict(sites="cell"))] == [
        "MP2", "", ""]
