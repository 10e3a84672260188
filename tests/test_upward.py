"""Transposed convolutions that end at the sites before coarser ones, as in MinkowskiEngine's U-Nets, against loops."""

import numpy as np
import pytest
from in_turn import each
from oracles import rule_pairs
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError

WAYS_DOWN = {  # layers whose strides multiply to that of the layer up, its options
    "another size": (lambda: [sp.Convolution(2, 4, 4, 2, 2)], dict(size=3, stride=2, padding=1)),
    "cells": (lambda: [sp.Convolution(2, 4, 4, 3, 2, padding=1, sites="cell")], dict(size=2, stride=2)),
    "two steps": (lambda: [sp.MaxPooling(2, 2), sp.ReLU(), sp.Convolution(2, 4, 4, 2, 2)], dict(size=5, stride=4)),
    "unequal": (lambda: [sp.Convolution(2, 4, 4, (1, 2), (1, 2)), sp.MaxPooling(2, (2, 1))], dict(size=2, stride=2)),
    "a window that dilates": (lambda: [sp.MaxPooling(2, 2), sp.Convolution(2, 4, 4, 2)], dict(size=3, stride=2)),
    "the sites themselves": (lambda: [sp.MaxPooling(2, 2)], dict(size=3, stride=1, padding=1)),
}


def start(rng, field=9):
    sites = random_sites(rng, 30, 2, 0, field or 9, samples=2)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(30, 4)), field, 2, ground=None)


@each("field", [16, None])
@each("name", WAYS_DOWN)
def test_outputs_are_at_the_sites_before_whatever_windows_made_the_coarse_ones(name, field, rng, ops):
    layers, options = WAYS_DOWN[name]
    x = start(rng, field)
    below = sp.Sequential(*layers())(x)
    up = sp.layers.TransposedConvolution(2, 4, 3, sites="source", rng=rng, **options)
    y, w = up(below), up.window
    assert y.grid is (below.grid if w.stride == (1, 1) else x.grid)
    _, pairs = rule_pairs(below.sites, [tuple(t) for t in np.ndindex(*w.size)], w.stride, w.dilation, w.origin,
                          "given transposed", targets=y.sites)
    fine = {tuple(site): row for row, site in enumerate(y.sites.tolist())}
    coarse = {tuple(site): row for row, site in enumerate(below.sites.tolist())}
    given, weight = below.features.numpy().astype(float), up.weight.numpy().astype(float)
    truth = np.repeat(up.bias.numpy().astype(float), y.grid.n, 0)
    for k, site, out in pairs:
        truth[fine[out]] += given[coarse[site]] @ weight[k]
    np.testing.assert_allclose(y.features.numpy(), truth, rtol=1e-5, atol=1e-5)
    assert up.multiply_adds(below, y)[1] == len(pairs) * 12


def unet(rng=0):
    inside = [sp.Convolution(2, 6, 5, 2, 2, rng=rng), sp.layers.TransposedConvolution(2, 5, 6, 3, 2, padding=1,
                                                                                sites="source", rng=rng)]
    return sp.Sequential(
        sp.Convolution(2, 4, 6, 2, 2, rng=rng), sp.Concatenate(sp.Sequential(*inside), sp.Sequential()), sp.ReLU(),
        sp.layers.TransposedConvolution(2, 12, 3, 3, 2, padding=1, sites="source", rng=rng))


def test_a_u_net_of_them_in_a_sequential_is_that_by_hand_and_comes_back_from_a_file(rng, tmp_path):
    net, x = unet(), start(rng, 8)
    down, joined, relu, up = net.layers
    one = down(x)
    two = joined.branches[0].layers[0](one)
    inner = joined.branches[0].layers[1](two, one.grid)
    expected = up(relu(inner.concatenate(one)), x.grid)
    y = net(x)
    assert y.grid is x.grid and np.allclose(y.features.numpy(), expected.features.numpy(), atol=1e-6)
    sp.save(tmp_path / "net.safetensors", net)
    again = sp.load(tmp_path / "net.safetensors")
    assert np.array_equal(again(x).features.numpy(), y.features.numpy()) and "sites='source'" in repr(net)
    assert net.input_size(8) == (8, 8)
    none = net(sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 4)), 8, samples=1, ground=None))
    assert none.features.shape == (0, 3) and none.grid.size == (8, 8)


def test_gradients_reach_all_weights(rng):
    with sp.use("reference"):
        up, x = sp.layers.TransposedConvolution(2, 4, 2, 3, 2, padding=1, sites="source", rng=rng), start(rng)
        below = sp.MaxPooling(2, 2, sites="cell")(x)

        def restore(features, weight, bias):
            up.weight, up.bias = weight, bias
            return up(below.with_features(features)).features

        sp.check_gradient(restore, below.features.numpy(), up.weight.numpy(), rng.normal(size=(1, 2)))


def test_sites_that_no_such_windows_made_are_refused(rng):
    x = start(rng)
    up = sp.layers.TransposedConvolution(2, 4, 3, 2, 2, sites="source")
    for given, made in ((x, 1), (sp.MaxPooling(2, 3)(x), 3), (sp.MaxPooling(2, 1, 1)(x), 1),
                        (sp.FractionalMaxPooling(2, 1.5)(x), 1)):
        with pytest.raises(ShapeError, match=r"^TransposedConvolution: expected sites that convolutions or pools made "
                                             rf"with strides whose product is \(2, 2\), got .* with \({made}, "):
            up(given)
    with pytest.raises(ShapeError, match="expected sites to be 'reached' or 'source', got 'valid'"):
        sp.layers.TransposedConvolution(2, 4, 3, 2, 2, sites="valid")
    with pytest.raises(ShapeError, match="ground=None"):
        up(sp.MaxPooling(2, 3, 2)(x.with_features(x.features, sp.Tensor(np.zeros((1, 4))))))


def test_sizes_that_fit_are_found_through_it():
    net = sp.Sequential(*unet().layers, sp.MaxPooling(2, 3))
    x = sp.SparseTensor.from_sites([[0, 1, 1]], np.ones((1, 4)), 8, ground=None)
    with pytest.raises(ShapeError, match="; 12 sites per axis would fit"):
        net(x)
