"""Deconvolution and un-pooling against loops over sets of sites, their gradients, and what they refuse."""

import numpy as np
import pytest
from in_turn import each
from oracles import window_pairs
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError

WINDOWS = {  # dimension, size, stride, dilation, padding, field
    "1-D, touching": (1, (2,), (2,), (1,), (0,), None),
    "1-D, gaps": (1, (2,), (3,), (1,), (0,), None),
    "2-D, overlapping": (2, (3, 3), (2, 2), (1, 1), (0, 0), (11, 13)),
    "2-D, unequal, dilated, padded": (2, (3, 2), (1, 2), (2, 1), (2, 1), (9, 10)),
    "3-D, touching": (3, (2, 2, 2), (2, 2, 2), (1, 1, 1), (0, 0, 0), (10, 10, 10)),
    "3-D, unbounded": (3, (2, 2, 2), (2, 2, 2), (1, 1, 1), (0, 0, 0), None),
}


def coarse_and_fine(rng, d, size, stride, dilation, padding, field, groups=1):
    """Make a fine tensor, its coarse output, and the pairs {(k, fine site, coarse site)} by sets."""
    low, high = (-6, 7) if field is None else (0, min(field))
    sites = random_sites(rng, 12 if d == 1 else 40, d, low, high, samples=2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 4)), field, ground=None, samples=2)
    down = sp.Convolution(d, 4, 6, size, stride, dilation=dilation, padding=padding, rng=rng)
    size_out = None if field is None else down.window.out_size(field)
    _, pairs = window_pairs(x.sites, size, stride, dilation, padding, size_out=size_out)
    return x, down(x), pairs


def rows(sites):
    """Map each site to its row."""
    return {tuple(int(v) for v in site): row for row, site in enumerate(sites)}


@each("window", WINDOWS.values(), ids=WINDOWS)
@each("groups", [1, 2])
def test_deconvolution_sums_over_the_pairs_of_the_earlier_window(window, groups, rng, ops):
    d, size, stride, dilation, padding, _ = window
    x, coarse, pairs = coarse_and_fine(rng, *window)
    up = sp.Deconvolution(d, 6, 4, size, stride, dilation=dilation, padding=padding, groups=groups, rng=rng)
    up.bias.data[...] = rng.normal(size=(1, 4))
    y = up(coarse)
    assert y.grid is x.grid and y.ground is None and pairs
    fine, below = rows(x.sites), rows(coarse.sites)
    weight = up.weight.numpy().astype(float).reshape(-1, groups, 6 // groups, 4 // groups)
    given = coarse.features.numpy().astype(float)
    expected = np.repeat(up.bias.numpy().astype(float), len(fine), 0)
    for k, site, coarse_site in pairs:
        for g in range(groups):
            into = slice(g * 4 // groups, (g + 1) * 4 // groups)
            out_of = slice(g * 6 // groups, (g + 1) * 6 // groups)
            expected[fine[site], into] += given[below[coarse_site], out_of] @ weight[k, g]
    tolerance = 1e-12 if ops == "reference" else 1e-5
    np.testing.assert_allclose(y.features.numpy(), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@each("window", [window for window in WINDOWS.values() if set(window[3]) == {1}])
def test_unpooling_adds_each_coarse_row_to_the_sites_that_it_came_from(window, rng, ops):
    d, size, stride, dilation, padding, _ = window
    x, _, _ = coarse_and_fine(rng, *window)
    coarse = sp.AveragePooling(d, size, stride, padding=padding, size_rule="floor")(x)
    _, pairs = window_pairs(x.sites, size, stride, dilation, padding, size_out=coarse.grid.size)
    y = sp.UnPooling(d, size, stride, padding=padding)(coarse)
    fine, below = rows(x.sites), rows(coarse.sites)
    expected = np.zeros((len(fine), 4))
    for _, site, coarse_site in pairs:
        expected[fine[site]] += coarse.features.numpy()[below[coarse_site]]
    assert y.grid is x.grid
    np.testing.assert_allclose(y.features.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_submanifold_layers_between_keep_the_way_back_and_pooling_opens_it_too(rng):
    x, _, _ = coarse_and_fine(rng, *WINDOWS["3-D, touching"])
    between = sp.Sequential(sp.MaxPooling(3, 2), sp.SubmanifoldConvolution(3, 4, 5, rng=rng), sp.ReLU())
    assert sp.Deconvolution(3, 5, 2, 2, 2, rng=rng)(between(x)).grid is x.grid


@pytest.mark.parametrize("window", ["1-D, gaps", "2-D, unequal, dilated, padded", "3-D, touching"])
def test_gradients(window, rng):
    d, size, stride, dilation, padding, _ = window = WINDOWS[window]
    _, coarse, _ = coarse_and_fine(rng, *window)
    up = sp.Deconvolution(d, 6, 2, size, stride, dilation=dilation, padding=padding, rng=rng)

    def restore(features, weight, bias):
        up.weight, up.bias = weight, bias
        return up(coarse.with_features(features)).features

    sp.check_gradient(restore, coarse.features.numpy(), up.weight.numpy(), rng.normal(size=(1, 2)))


def test_gradient_of_unpooling(rng):
    x, _, _ = coarse_and_fine(rng, *WINDOWS["2-D, overlapping"])
    coarse = sp.MaxPooling(2, 3, 2)(x)
    up = sp.UnPooling(2, 3, 2)
    sp.check_gradient(lambda features: up(coarse.with_features(features)).features, coarse.features.numpy())


def test_no_sites(ops):
    x = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 4)), 8, samples=1, ground=None)
    y = sp.Deconvolution(2, 4, 3, 2, 2)(sp.MaxPooling(2, 2)(x))
    assert y.features.shape == (0, 3) and y.grid is x.grid


def test_what_does_not_fit_is_refused_with_the_remedy(rng):
    x, coarse, _ = coarse_and_fine(rng, *WINDOWS["3-D, touching"])
    with pytest.raises(ShapeError,
                       match=r"sites that a strided convolution or a pooling made, got Spa.*give it the output"):
        sp.Deconvolution(3, 4, 4, 2, 2)(x)
    with pytest.raises(ShapeError, match=r"size \(2, 2, 2\), .* got .*size \(3, 3, 3\), .* same window"):
        sp.Deconvolution(3, 6, 4, 3, 2)(coarse)
    with pytest.raises(ShapeError, match=r"expected features with 5 channels, got 6"):
        sp.Deconvolution(3, 5, 4, 2, 2)(coarse)
    with_ground = sp.MaxPooling(3, 2)(sp.SparseTensor.from_sites(x.sites, x.features.numpy(), 10))
    for layer in (sp.Deconvolution(3, 4, 4, 2, 2), sp.UnPooling(3, 2)):
        with pytest.raises(ShapeError, match=r"ground=None"):
            layer(with_ground)
        assert layer(with_ground.with_features(with_ground.features, ground=None)).grid.n == x.grid.n
