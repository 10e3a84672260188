"""The U-Net: published sizes, the same arithmetic by loops, gradients by differences, files."""

import numpy as np
import pytest
from oracles import conv, slope_by_differences, window_pairs
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.io.file import load, save


@pytest.fixture
def x(rng, ops):
    """Two samples of 60 sites in an unbounded space, negative ones among them."""
    sites = random_sites(rng, 60, 2, -9, 9, samples=2)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(60, 3)), ground=None, samples=2)


@pytest.mark.parametrize(
    "levels, base, options, core",
    [
        (2, 8, dict(d=2), 5_184),
        (2, 8, dict(d=2, residual=True), 8_832),
        (3, 8, dict(d=3), 49_984),
        (5, 32, dict(d=3), 3_838_656),
        (7, 16, dict(d=3), 2_688_192),
        (7, 32, dict(d=3, reps=2, residual=True), 30_101_056),
    ],
)
def test_parameters_of_the_published_networks(levels, base, options, core):
    stem, last, head = 3 ** options["d"] * 3 * base, 2 * base, base * 20 + 20
    assert sp.models.unet(levels, base, 3, 20, **options, rng=0).n_parameters() == stem + core + last + head


def brute_force(net, x, levels, reps):
    """Compute the plain U-Net by loops over pairs, taking the weights in the order of net.parameters()."""
    weights = iter(np.asarray(p.numpy(), float) for p in net.parameters())

    def activated(rows):
        rows = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-4)
        return np.maximum(rows * next(weights) + next(weights), 0)

    def convolved(rows, sites, stride=1):
        d = len(sites[0]) - 1
        size, origin = ((3,) * d, (1,) * d) if stride == 1 else ((2,) * d, (0,) * d)
        outs, pairs = window_pairs(sites, size, (stride,) * d, (1,) * d, origin, keeps_sites=stride == 1)
        at, to = {s: i for i, s in enumerate(sites)}, {s: i for i, s in enumerate(outs)}
        found = [(k, at[a], to[b]) for k, a, b in pairs]
        return conv(rows, next(weights), found, len(outs)), outs, found

    def blocks(rows, sites):
        for _ in range(reps):
            rows = convolved(activated(rows), sites)[0]
        return rows

    def level(rows, sites, left):
        rows = blocks(rows, sites)
        if left == 1:
            return rows
        below, coarse, pairs = convolved(activated(rows), sites, stride=2)
        below = activated(level(below, coarse, left - 1))
        restored = conv(below, next(weights), [(k, b, a) for k, a, b in pairs], len(sites))
        return blocks(np.hstack([rows, restored]), sites)

    sites = sorted(tuple(int(v) for v in site) for site in x.sites)
    rows = convolved(np.asarray(x.features.numpy(), float), sites)[0]
    return activated(level(rows, sites, levels)) @ next(weights)[0] + next(weights)


@pytest.mark.parametrize("levels, reps", [(1, 1), (3, 1), (2, 2)])
def test_equals_loops_over_pairs(levels, reps, x, rng, ops):
    net = sp.models.unet(levels, 4, 3, 5, d=2, reps=reps, rng=rng)
    for p in net.parameters():
        p.data += 0.1 * rng.standard_normal(p.shape).astype(p.dtype)
    y = net(x)
    expected = brute_force(net, x, levels, reps)
    assert y.grid is x.grid and y.features.shape == (60, 5)
    tolerance = 1e-10 if ops == "reference" else 1e-5
    np.testing.assert_allclose(y.features.numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("residual", [False, True])
def test_gradients(residual, rng):
    with sp.use("reference"):
        sites = random_sites(rng, 40, 3, 0, 8, samples=2)
        order = np.lexsort(sites.T[::-1])                                # that of a grid's rows
        sites, features = sites[order], sp.Tensor(rng.normal(size=(40, 2))[order], requires_grad=True)
        x = sp.SparseTensor.from_sites(sites, features, 8, ground=None)
        net = sp.models.unet(3, 2, 2, 3, residual=residual, slope=0.1, rng=rng)
        weights = rng.normal(size=(40, 3))
        y = net(x)                                                       # the grids of its levels keep their rules
        y.features.backward(weights)
        for leaf in (features, *net.parameters()):
            direction = rng.normal(size=leaf.shape)

            def loss(array, leaf=leaf):
                kept, leaf.data = leaf.data, array
                again = x.with_features(features)
                value = float((net(again).features.data * weights).sum())
                leaf.data = kept
                return value

            expected = slope_by_differences(loss, leaf.data, direction)
            assert abs((leaf.grad * direction).sum() - expected) <= 1e-6 * max(1, abs(expected))


def test_a_shift_by_the_coarsest_site_shifts_the_result_and_a_smaller_one_does_not(x, rng):
    net = sp.models.unet(3, 4, 3, 2, d=2, rng=rng).eval()
    y = net(x).features.numpy()

    def shifted(by):
        sites = x.sites + np.array([0, by, -by], np.int32)
        return net(sp.SparseTensor.from_sites(sites, x.features, ground=None, samples=2))

    assert (shifted(4).features.numpy() == y).all()
    assert (shifted(1).features.numpy() != y).any()


def test_a_saved_network_gives_the_same_bits(x, rng, tmp_path):
    net = sp.models.unet(2, 4, 3, 5, d=2, residual=True, slope=0.1, rng=rng)
    net(x)
    save(tmp_path / "net.safetensors", net)
    again = load(tmp_path / "net.safetensors")
    assert (again.eval()(x).features.numpy() == net.eval()(x).features.numpy()).all()
    assert repr(again) == repr(net)


def test_unpooling_is_saved(tmp_path):
    save(tmp_path / "net.safetensors", sp.Sequential(sp.MaxPooling(2, 2), sp.UnPooling(2, 2)))
    assert repr(load(tmp_path / "net.safetensors")[1]) == "UnPooling(2, 2)"


def test_the_summary_counts_the_pairs_of_the_way_back(rng):
    sites = np.argwhere(np.ones((1, 4, 4, 4))).astype(np.int32)
    x = sp.SparseTensor.from_sites(sites, np.ones((64, 1)), 4, ground=None)
    row = next(row for row in sp.models.unet(2, 4, rng=rng).summary(x) if row.name == "Deconvolution")
    assert row.rows == 64 and {row.multiply_adds, row.pair_multiply_adds, row.dense_multiply_adds} == {64 * 8 * 4}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"unet: expected levels to be a whole number from 1"):
        sp.models.unet(0, 8)
    x = sp.SparseTensor.from_sites([[0, 1, 1, 1]], [[1.0]], 8)
    with pytest.raises(ShapeError, match=r"Deconvolution: .*ground=None"):
        sp.models.unet(2, 4, 1)(x)
