"""Pruning by a score that layers predict, and generative decoders made of it, against loops over sites."""

import numpy as np
import pytest
from in_turn import each
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError


def start(rng, n=30, channels=4, field=8):
    sites = random_sites(rng, n, 2, 0, field, samples=2)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(n, channels)), field, 3, ground=None)


@each("k", [None, 0, 4, [3, 99, 2]])
def test_the_scores_of_layers_say_which_sites_stay(k, rng, ops):
    x, scorer = start(rng), sp.SubmanifoldConvolution(2, 4, 1, rng=rng)
    layer = sp.layers.ScorePruning(scorer, threshold=0.2)
    scores, true = scorer(x).features.numpy()[:, 0], sp.Grid.from_sites([[0, 0, 0], *x.sites[::7].tolist()], 8, 3) \
        if not (x.sites == [0, 0, 0]).all(1).any() else sp.Grid.from_sites(x.sites[::7], 8, 3)
    kept = scores > 0.2
    if k is not None:
        kept[:] = False
        for sample, most in enumerate([k] * 3 if isinstance(k, int) else k):
            rows = np.flatnonzero(x.sites[:, 0] == sample)
            kept[rows[np.argsort(-scores[rows], kind="stable")[:most]]] = True
    y, found = layer.scored(x, k=k)
    assert np.array_equal(y.sites, x.sites[kept]) and np.array_equal(y.features.numpy(), x.features.numpy()[kept])
    assert found.grid is x.grid and np.array_equal(found.features.numpy()[:, 0], scores)
    both = kept | (true.rows_of(x.sites) >= 0)
    assert np.array_equal(layer(x, k=k, keep=true).sites, x.sites[both])


def decoder(rng):
    """Make a decoder of two levels, each of which makes sites, predicts their scores and prunes them."""
    return sp.Sequential(*(layer for c_in, c in ((4, 3), (3, 2)) for layer in (
        sp.layers.TransposedConvolution(2, c_in, c, 2, 2, rng=rng), sp.ReLU(),
        sp.SubmanifoldConvolution(2, c, c, rng=rng), sp.ReLU(),
        sp.layers.ScorePruning(sp.SubmanifoldConvolution(2, c, 1, rng=rng)))))


def test_a_decoder_makes_the_sites_that_a_loop_makes(rng, tmp_path):
    net, x = decoder(rng), start(rng, 5, 4, 4)
    y, sites = net(x), {tuple(site) for site in x.sites.tolist()}
    step = x
    for i in (0, 5):
        step = sp.Sequential(*net.layers[i:i + 4])(step)
        created = {(b, 2 * u + i, 2 * v + j) for b, u, v in sites for i in (0, 1) for j in (0, 1)}
        assert {tuple(site) for site in step.sites.tolist()} == created
        scores = net[i + 4].scorer(step).features.numpy()[:, 0]
        step = step.prune(scores > 0)
        sites = {tuple(site) for site in step.sites.tolist()}
    assert np.array_equal(y.sites, step.sites) and np.allclose(y.features.numpy(), step.features.numpy(), atol=1e-6)
    assert y.grid.size == (16, 16)
    sp.save(tmp_path / "decoder.safetensors", net)
    assert np.array_equal(sp.load(tmp_path / "decoder.safetensors")(x).features.numpy(), y.features.numpy())


def test_a_decoder_learns_the_sites_of_its_targets(rng):
    truth = sp.Grid.from_sites([[0, v, v] for v in range(16)] + [[1, v, 15 - v] for v in range(16)], 16)
    targets = [truth.rules(sp.sites.Window(2, 2, 2, kind="cell"))[0], truth]
    x = sp.SparseTensor.from_sites([[b, i, j] for b in (0, 1) for i in range(4) for j in range(4)],
                                   np.eye(32), 4, ground=None, samples=2)
    rng = np.random.default_rng(0)
    net = sp.Sequential(sp.layers.TransposedConvolution(2, 32, 8, 2, 2, rng=rng), sp.ReLU(),
                        sp.layers.ScorePruning(sp.NetworkInNetwork(8, 1, rng=rng)),
                        sp.layers.TransposedConvolution(2, 8, 8, 2, 2, rng=rng), sp.ReLU(),
                        sp.layers.ScorePruning(sp.NetworkInNetwork(8, 1, rng=rng)))
    optimizer = sp.Adam(net.parameters(), 0.03)
    for _ in range(150):
        step, loss = x, 0
        for level, target in zip((net[:3], net[3:]), targets, strict=True):
            step, scores = level[2].scored(level[1](level[0](step)), keep=target)
            logits = sp.functional.concatenate(scores.features * 0, scores.features)
            loss = loss + sp.softmax_cross_entropy(logits, (target.rows_of(scores.sites) >= 0).astype(int))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = net.eval()(x).grid
    assert (found & truth).n / (found | truth).n > 0.95


def test_no_sites_and_what_does_not_fit(rng):
    layer = sp.layers.ScorePruning(sp.NetworkInNetwork(4, 1))
    none = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 4)), 8, samples=2, ground=None)
    assert layer(none).grid.n == 0 and layer(none, k=3).shape == (0, 4)
    x = start(rng)
    for layers in ([sp.NetworkInNetwork(4, 2)], [sp.MaxPooling(2, 2), sp.NetworkInNetwork(4, 1)], [sp.GlobalPooling()]):
        with pytest.raises(ShapeError, match="expected layers that keep the sites and give one channel, got"):
            sp.layers.ScorePruning(*layers)(x)
    with pytest.raises(ShapeError, match="ground=None|ground state"):
        layer(x.with_features(x.features, sp.Tensor(np.zeros((1, 4)))))
    with pytest.raises(TypeError, match="expected keep to be a Grid, got a list"):
        layer(x, keep=[[0, 1, 1]])
    with pytest.raises(ShapeError, match="k to be a whole number"):
        layer(x, k=-1)
    with pytest.raises(ShapeError, match="ScorePruning: expected threshold to be a number, got 'high'"):
        sp.layers.ScorePruning(sp.ReLU(), threshold="high")
