"""Layers that choose at each call: one compiled call for what is chosen, and the same as the functions one by one."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy import layers
from spconv_cy.errors import ShapeError
from spconv_cy.functional import attention, selection, sparse
from spconv_cy.functional.selection import best_of_segments
from spconv_cy.sites import Rulebook

pytestmark = pytest.mark.skipif(selection.compiled is None, reason="without the compiled core there is numpy only")
CALLS = {"Sparsify": 120, "KeepTop": 125, "AddCoordinates": 55, "WindowAttention": 220, "TransposedConvolution": 175}


def tensor(rng, n=100, channels=16, samples=1):
    sites = np.unique(np.column_stack([rng.integers(0, samples, n), *rng.integers(0, 24, (2, n))]), axis=0)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), channels)), 24, samples, ground=None)


def made(name):
    return {"Sparsify": lambda: layers.Sparsify(16, rng=0), "KeepTop": lambda: layers.KeepTop(16, 20, rng=0),
            "AddCoordinates": lambda: layers.AddCoordinates(2),
            "WindowAttention": lambda: layers.WindowAttention(2, 16, 4, 4, shift=1, rng=0),
            "TransposedConvolution": lambda: layers.TransposedConvolution(2, 16, 8, 2, 2, rng=0)}[name]()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_few_calls_of_python_and_numpy(rng, name):
    layer, found = made(name), []
    for _ in range(2):                                                   # the first one imports, and makes what is kept
        x = tensor(rng)
        found.clear()
        sys.setprofile(lambda frame, event, arg: found.append(event) if event in ("call", "c_call") else None)
        try:
            layer(x)
        finally:
            sys.setprofile(None)
    assert 10 < len(found) <= CALLS[name]


def test_a_second_call_on_the_same_sites_groups_them_no_more(rng, monkeypatch):
    layer, x, calls = made("WindowAttention"), tensor(rng), []
    for name in ("partition", "attend_all", "attend_all_dx", "attend", "attend_dx"):
        of = getattr(attention.compiled, name)
        monkeypatch.setattr(attention.compiled, name,
                            lambda *given, name=name, of=of: calls.append(name) or of(*given))
    layer(x).features.backward(np.ones((x.grid.n, 16)))
    layer(x)
    assert calls == ["partition", "attend_all", "attend_all_dx", "attend_all"]


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("k", [None, 0, 7, 1000])
def test_layers_that_remove_sites_are_their_functions_one_by_one(rng, monkeypatch, samples, gate, k):
    make = layers.Sparsify if k is None else lambda *given, **options: layers.KeepTop(given[0], k, **options)
    x = tensor(rng, 90, 5, samples)
    x.features.data[3] = np.nan
    for activation in (None, "sigmoid"):
        layer, found = make(5, activation=activation, gate=gate, rng=1), []
        for one_call in (True, False):
            if not one_call:
                monkeypatch.setattr("spconv_cy.layers.pruning.takes_one_call", lambda *given: False)
            leaf = sp.Tensor(x.features.data, requires_grad=True)
            for p in layer.parameters():
                p.grad = None
            y = layer(x.with_features(leaf))
            y.features.backward(np.arange(y.features.data.size, dtype=float).reshape(y.features.shape))
            found.append([y.sites, y.features.data, leaf.grad, *(p.grad for p in layer.parameters())])
        monkeypatch.undo()
        for a, b in zip(*found, strict=True):
            assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["Sparsify", "KeepTop"])
def test_a_tensor_of_which_all_or_no_sites_are_left(rng, name):
    x, layer = tensor(rng), made(name)
    layer.bias.data[...] = 1e6
    if name == "KeepTop":
        layer.k = 10**30
    y = layer(x)
    assert y.grid is x.grid and y.point_rows is not None and y.features.shape == (x.grid.n, 16)
    layer.bias.data[...], layer.k = -1e6, 0
    assert layer(x).grid.n == 0 and layer(x).features.shape == (0, 16)
    empty = sp.SparseTensor.from_sites(np.zeros((0, 3), int), np.zeros((0, 16)), 24, ground=None)
    assert layer(empty).grid.n == 0
    with pytest.raises(ShapeError, match="without a ground state"):
        layer(x.with_features(x.features, np.zeros((1, 16))))


def test_the_best_rows_are_those_of_a_stable_sort(rng):
    scores, starts = rng.integers(0, 4, 200).astype(float), np.array([0, 0, 60, 61, 200])
    scores[rng.integers(0, 200, 30)] = np.nan
    scores[::17] *= -0.0
    for k in (0, 1, 13, [5, 70, 0, 10**12]):
        ks = np.broadcast_to(k, 4)
        wanted = np.zeros(200, bool)
        for low, high, each in zip(starts, starts[1:], ks, strict=False):
            rows = sorted(range(low, high), key=lambda i: (np.isnan(scores[i]), -scores[i] if scores[i] == scores[i]
                                                           else 0, i))
            wanted[rows[:each]] = True
        assert_array_equal(best_of_segments(scores, starts, k), wanted)


def test_what_does_not_fit_the_compiled_calls_is_refused():
    ones, sites = np.ones((3, 2), np.float32), np.zeros((3, 2), np.int32)
    with pytest.raises(ShapeError, match="kept"):
        selection.compiled.kept(ones, ones, sites, 0.0, 1, True)
    with pytest.raises(ShapeError, match="best"):
        selection.compiled.best(np.zeros(3), np.array([0, 4]), np.array([1]))
    with pytest.raises(ShapeError, match="with_coordinates"):
        selection.compiled.with_coordinates(ones, sites, np.zeros(2), np.ones(2))
    with pytest.raises(ShapeError, match="partition"):
        attention.compiled.partition(sites, (2, 2), (0, 0))
    with pytest.raises(ShapeError, match="partition: expected sizes of at least 1"):
        attention.compiled.partition(sites, (0,), (0,))
    windows = attention.compiled.partition(np.array([[0, 1], [0, 2], [0, 7]], np.int32), (3,), (0,))
    with pytest.raises(ShapeError, match="attend: expected 3 rows"):
        attention.compiled.attend_all(np.zeros((2, 6), np.float32), None, 1, windows)
    with pytest.raises(ShapeError, match="positions"):
        attention.compiled.attend_all(np.zeros((3, 6), np.float32), np.zeros((4, 1), np.float32), 1, windows)


@pytest.mark.parametrize("groups, state", [(1, 0.0), (1, 0.5), (2, -0.5)])
def test_without_gradients_a_convolution_takes_its_ground_state_along(rng, monkeypatch, groups, state):
    net = sp.Sequential(layers.Convolution(2, 16, 6, 3, padding=1, groups=groups, rng=0), layers.VeryLeakyReLU(),
                        layers.MaxPooling(2, 2), layers.Convolution(2, 6, 4, 2, 2, bias=False, rng=1)).eval()
    x = tensor(rng, samples=2)
    x = x.with_features(x.features, np.full((1, 16), state))
    calls, found = [], []
    monkeypatch.setattr(sparse.compiled, "conv", lambda *given, of=sparse.compiled.conv, **options:
                        calls.append(0) or of(*given, **options))
    for n_threads in (1, 2):
        sp.set_threads(n_threads)
        found.append(net(x))
    sp.set_threads(None)
    assert len(calls) == 4
    y = net.train()(x)                                                   # with a tape each function is recorded
    assert len(calls) == 4 and y.features.requires_grad
    for other in found:
        assert_array_equal(other.features.data, y.features.data)
        assert_array_equal(other.ground.data, y.ground.data)
        assert_array_equal(other.sites, y.sites)
    with sp.no_grad():
        assert_array_equal(net(x).features.data, y.features.data)
    assert len(calls) == 6


def test_a_ground_state_of_other_channels_is_refused_as_before(rng):
    layer = layers.Convolution(2, 4, 5, 2, rng=0).eval()
    x = tensor(rng, channels=3)
    with pytest.raises(ShapeError, match="expected features with 4 channels, got 3"):
        layer(x.with_features(x.features, np.zeros((1, 3))))
    with pytest.raises(ShapeError, match="of one row"):
        sparse.compiled.conv(*[np.zeros((1, 2), np.float32)] * 2, np.zeros((1, 2, 0), np.float32),
                             *[Rulebook.identity(1).pairs] * 2)
