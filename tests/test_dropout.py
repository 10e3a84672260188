"""Dropout: what is drawn, what is kept, and that what is dropped is not multiplied."""

import copy

import numpy as np
import pytest
from contract import bits, outcome, parts, places_of, rows, sparse
from in_turn import each
from numpy.testing import assert_allclose

import spconv_cy as sp
from spconv_cy.backend.cpu import CpuOps
from spconv_cy.errors import ShapeError


def test_dropout_keeps_the_same_channels_for_all_rows_and_the_ground(ops):
    x = sparse(2, 4, 8, "drawn")((9, 0, 7))
    for p, kept in ((0.5, 2), (0.25, 3), (0.7, 1), (0.99, 1), (0.0, 4)):
        layer = sp.Dropout(p, rng=3)
        drawn = set()
        for _ in range(20):
            y = layer(x)
            alive = (y.features.data != 0).all(0)
            assert alive.sum() == kept and np.array_equal(alive, (y.features.data != 0).any(0))
            assert np.array_equal(alive, y.ground.data[0] != 0)
            assert np.array_equal(y.features.data[:, alive], x.features.data[:, alive])  # not scaled while training
            drawn.add(tuple(alive))
        assert len(drawn) > 1 or p == 0


def test_dropout_in_evaluation_multiplies_all_channels_by_the_share_that_is_kept(ops):
    x = sparse(2, 4, 8, "drawn")((9, 0, 7))
    y = sp.Dropout(0.25, rng=3).eval()(x)
    for found, given in zip(parts(y), parts(x), strict=True):
        assert_allclose(found.data, given.data * 0.75, rtol=1e-6)


def test_dropout_draws_from_its_own_generator(ops):
    x = sparse(2, 4, 8, "zero")((9,))
    a, b, other = (sp.Dropout(0.5, rng=seed) for seed in (5, 5, 6))
    same = [bits(a(x)) == bits(b(x)) for _ in range(10)]
    np.random.seed(0)
    assert all(same) and not all(bits(a(x)) == bits(other(x)) for _ in range(10))
    for wrong in (-0.1, 1, 1.5):
        with pytest.raises(ShapeError, match=r"expected p to be a number from 0 to below 1"):
            sp.Dropout(wrong)


def test_the_schedule_of_dropout_rises_by_level_from_nothing_to_p():
    drops = [layer.p for layer in sp.models.deepcnin(4, 3, dropout=0.5, rng=0).layers if isinstance(layer, sp.Dropout)]
    assert drops == [0.125, 0.125, 0.25, 0.25, 0.375, 0.375, 0.5, 0.5]  # p i / l, the convolution and its partner
    drops = [layer.p for layer in sp.models.deepcnet(2, 3, dropout=0.4, rng=0).layers if isinstance(layer, sp.Dropout)]
    assert drops == [0.2, 0.4]


# Elements, and channels by themselves


@pytest.mark.parametrize("inverted", [False, True])
def test_elements_are_dropped_one_by_one(inverted, ops):
    x = sp.Tensor(np.ones((400, 25)), requires_grad=True)
    layer = sp.Dropout(0.3, kind="elements", inverted=inverted, rng=3)
    y = layer(x)
    kept = y.data != 0
    assert abs(kept.mean() - 0.7) < 0.02 and 0 < kept.mean(0).min() < kept.mean(0).max() < 1
    assert_allclose(y.data[kept], 1 / 0.7 if inverted else 1, rtol=1e-6)
    y.backward(np.ones((400, 25)))
    assert np.array_equal(x.grad, y.data) and not np.array_equal(layer(x).data, y.data)
    assert_allclose(layer.eval()(x).data, 1 if inverted else 0.7, rtol=1e-6)


def test_elements_of_an_input_with_a_ground_state_are_refused():
    with pytest.raises(ShapeError, match="make the input with ground=None, or drop whole channels: kind='channels'"):
        sp.Dropout(kind="elements")(sparse(2, 4, 8, "zero")((9,)))
    with pytest.raises(ShapeError, match="expected kind to be 'channels', 'bernoulli' or 'elements', got 'rows'"):
        sp.Dropout(kind="rows")


def test_channels_are_dropped_each_by_itself_with_probability_p(ops):
    layer, x = sp.Dropout(0.25, kind="bernoulli", rng=1), sp.Tensor(np.ones((2, 40)))
    kept = np.array([layer(x).data for _ in range(200)])
    assert np.array_equal(kept[:, 0], kept[:, 1]) and set(np.unique(kept)) == {0, 1}
    assert abs(kept.mean() - 0.75) < 0.02 and len({int(k.sum()) for k in kept[:, 0]}) > 5
    assert_allclose(layer.eval()(x).data, 0.75)


# Sub-matrices: what they give is what the masks give


class Named(sp.LeakyReLU):
    """A user's activation that tells channels apart, so that it must get them all."""

    def __call__(self, x):
        return x.with_features(x.features * np.arange(1.0, x.channels + 1)[None], x.ground)


class Shifted(sp.SubmanifoldConvolution):
    """A user's convolution that does more with its channels."""

    def activated(self, x, slope=None):
        y = super().activated(x, slope)
        return y.with_features(y.features + np.arange(float(self.channels_out))[None], y.ground)


def drop(p, seed, **options):
    return sp.Dropout(p, rng=seed, **options)


NETS = {
    "convolutions and pools": lambda: [
        sp.Convolution(2, 4, 8, 3, rng=0), sp.VeryLeakyReLU(), sp.MaxPooling(2, 2), drop(0.5, 1),
        sp.Convolution(2, 8, 7, 2, rng=2), sp.layers.Tanh(), drop(0.3, 3), sp.NetworkInNetwork(7, 6, rng=4), sp.ReLU(),
        drop(0.5, 5), sp.GlobalPooling(), sp.NetworkInNetwork(6, 3, rng=6)],
    "random windows": lambda: [
        sp.layers.RandomizedStrideConvolution(2, 4, 8, 2, rng=0), drop(0.5, 1), sp.ReLU(),
        sp.FractionalMaxPooling(2, 1.4, size_rule="nearest", rng=2), sp.Convolution(2, 8, 6, 2, rng=3),
        sp.FractionalMaxPooling(2, 1.3, size_rule="nearest", rng=4), drop(0.5, 5), sp.NetworkInNetwork(6, 4, rng=6)],
    "a dropout first, and last": lambda: [drop(0.5, 1), sp.SubmanifoldConvolution(2, 4, 5, bias=False, rng=0),
                                          drop(0.5, 2)],
    "inverted": lambda: [sp.NetworkInNetwork(4, 6, rng=0), drop(0.5, 1, inverted=True), sp.layers.ELU(),
                         sp.NetworkInNetwork(6, 5, rng=2), sp.layers.GELU(), drop(0.2, 3, inverted=True,
                                                                                  kind="bernoulli")],
    "everything dropped": lambda: [sp.Convolution(2, 4, 3, 2, rng=0), drop(0.999, 1, kind="bernoulli"),
                                   sp.MaxPooling(2, 2, size_rule="floor"), sp.Convolution(2, 3, 5, 2, rng=2)],
    "two in a row": lambda: [sp.NetworkInNetwork(4, 8, rng=0), drop(0.5, 1), drop(0.5, 2), sp.ReLU(),
                             sp.NetworkInNetwork(8, 3, rng=3)],
    "layers that need all channels": lambda: [
        sp.Convolution(2, 4, 6, 2, rng=0), drop(0.5, 1), sp.layers.Sigmoid(), sp.Convolution(2, 6, 6, 2, groups=2,
                                                                                             rng=2),
        drop(0.5, 3), sp.BatchNormalization(6), sp.ReLU(), drop(0.5, 4), sp.Residual(
            sp.SubmanifoldConvolution(2, 6, 6, rng=5), drop(0.5, 6), sp.SubmanifoldConvolution(2, 6, 6, rng=7)),
        sp.layers.LayerNormalization(6), drop(0.5, 8)],
    "a user's layers": lambda: [sp.NetworkInNetwork(4, 6, rng=0), drop(0.5, 1), Named(0.5), Shifted(2, 6, 5, rng=2),
                                drop(0.5, 3), sp.NetworkInNetwork(5, 2, rng=4)],
}


class Masked(sp.Layer):
    """The layers one by one, so that each dropout multiplies by its mask."""

    def __init__(self, layers):
        self.layers = layers

    def __call__(self, x):
        for layer in self.layers:
            x = Masked(layer.layers)(x) + x if isinstance(layer, sp.Residual) else layer(x)
        return x


@pytest.mark.parametrize("family", ["drawn", "zero", None])
@each("name", NETS)
def test_sub_matrices_give_what_masks_give(name, family, ops):
    layers, x = NETS[name](), sparse(2, 4, 8, family)
    for counts in ((9, 0, 7), (1,), (0, 0)):
        found = outcome(sp.Sequential(*copy.deepcopy(layers)), x(counts))
        expected = outcome(Masked(copy.deepcopy(layers)), x(counts))
        for (what, mine), (_, truth) in zip(found, expected, strict=True):
            assert_allclose(mine, truth, rtol=0, atol=(1e-13 if ops == "reference" else 1e-5) * max(
                1, np.abs(truth).max(initial=0)), err_msg=what)


def test_sub_matrices_restore_the_remembered_sites(ops):
    x = sparse(2, 4, 8, None)((9, 0, 7))
    layers = [sp.Convolution(2, 4, 6, 2, 2, rng=0), drop(0.5, 1), sp.Deconvolution(2, 6, 5, 2, 2, rng=2), drop(0.5, 3),
              sp.SubmanifoldConvolution(2, 5, 2, rng=4)]
    expected = Masked(copy.deepcopy(layers))(x)
    assert_allclose(sp.Sequential(*layers)(x).features.data, expected.features.data, atol=1e-6)


def test_plain_rows_go_through_sub_matrices_too(ops):
    layers = [drop(0.5, 1), sp.NetworkInNetwork(4, 6, rng=0), drop(0.5, 2), sp.NetworkInNetwork(6, 2, rng=3)]
    x = rows(4)((1, 1, 1))
    expected = Masked(copy.deepcopy(layers))(x)
    assert_allclose(sp.Sequential(*layers)(x).data, expected.data, atol=1e-6)
    listed = sp.Sequential(drop(0.5, 1), sp.NetworkInNetwork(2, 2, rng=0))([[1.0, 2.0]])
    assert listed.shape == (1, 2)
    with pytest.raises(ShapeError, match="expected features with 5 channels, got 4"):
        sp.Sequential(drop(0.5, 1), sp.NetworkInNetwork(5, 2))(x)
    with pytest.raises(ShapeError, match="expected features with 5 channels, got 6"):
        sp.Sequential(sp.NetworkInNetwork(4, 6), drop(0.5, 1), sp.NetworkInNetwork(5, 2))(x)
    with pytest.raises(ShapeError, match=r"expected rows of shape \(n, c\), got shape \(2, 2, 2\)"):
        sp.Sequential(drop(0.5, 1), sp.NetworkInNetwork(5, 2))(np.zeros((2, 2, 2)))


def test_draws_before_a_dropout_stay_before_it(ops):
    class Noisy(sp.Layer):
        role = sp.layers.Role.CHANNELWISE

        def __init__(self, rng):
            self.rng = rng

        def __call__(self, x):
            return x.with_features(x.features * float(self.rng.random()), x.ground)

    class Shaken(sp.NetworkInNetwork):
        role = sp.NetworkInNetwork.role

        def activated(self, x, slope=None):
            return super().activated(x, slope).with_features(super().activated(x, slope).features * self.rng.random())

    def between(rng):
        return [sp.NetworkInNetwork(4, 8, rng=0), Noisy(rng), sp.Dropout(0.5, rng=rng),
                sp.NetworkInNetwork(8, 3, rng=1)]

    def within(rng):
        first = Shaken(4, 8, rng=0)
        first.rng = rng
        return [first, sp.Dropout(0.5, rng=rng), sp.NetworkInNetwork(8, 3, rng=1)]

    x = sparse(2, 4, 8, None)((9,))
    for net in (between, within):                                        # one generator for both
        mine, masked = (kind(*net(np.random.default_rng(5))) for kind in (sp.Sequential, lambda *each: Masked(each)))
        assert_allclose(mine(x).features.data, masked(x).features.data, atol=1e-6)


def test_what_is_dropped_is_not_multiplied(monkeypatch):
    counts = {"conv": 0, "conv_dw": 0}

    def counting(name, verb):
        def counted(self, x, other, rulebook, *arguments, **options):
            if len(x) > 1:                                               # the ground's one row is not counted
                counts[name] += rulebook.n_pairs * x.shape[1] * other.shape[-1]
            return verb(self, x, other, rulebook, *arguments, **options)
        return counted

    for name in counts:
        monkeypatch.setattr(CpuOps, name, counting(name, getattr(CpuOps, name)))
    monkeypatch.setattr(CpuOps, "joint", None)                           # so that each gradient is an operation
    widths, kept = (3, 16, 24, 20, 8), (3, 8, 18, 10, 8)

    def step(p):
        layers = [sp.Convolution(2, 3, 16, 3, rng=0), sp.VeryLeakyReLU(), sp.MaxPooling(2, 2), drop(p[0], 1),
                  sp.Convolution(2, 16, 24, 2, rng=1), sp.VeryLeakyReLU(), drop(p[1], 2), sp.MaxPooling(2, 2),
                  sp.SubmanifoldConvolution(2, 24, 20, rng=2), sp.VeryLeakyReLU(), drop(p[2], 3),
                  sp.Convolution(2, 20, 8, 2, rng=3)]
        x = sparse(2, 3, 20, "zero")((40, 0, 30))
        grid, pairs = x.grid, []
        for layer in layers:
            if hasattr(layer, "window"):
                grid, rulebook = grid.rules(layer.window)
                pairs += [rulebook.n_pairs] if hasattr(layer, "weight") else []
        counts.update(conv=0, conv_dw=0)
        y = sp.Sequential(*layers)(x).features
        y.backward(np.ones(y.shape))
        return pairs

    for p, channels in (((0, 0, 0), widths), ((0.5, 0.25, 0.5), kept)):
        pairs = step(p)
        each = [n * c * o for n, c, o in zip(pairs, channels[:-1], channels[1:], strict=True)]
        assert counts == {"conv": 2 * sum(each) - each[0], "conv_dw": sum(each)}  # the first layer's input needs none


def test_gradients_of_what_is_dropped_are_zero():
    layer = sp.NetworkInNetwork(6, 8, rng=0)
    net = sp.Sequential(drop(0.5, 1), layer, drop(0.5, 2))
    y = net(sp.Tensor(np.random.default_rng(0).normal(size=(5, 6))))
    y.backward(np.ones((5, 8)))
    columns = y.data.any(0)
    assert columns.sum() == 4 and np.array_equal(layer.bias.grad[0] != 0, columns)
    assert (layer.weight.grad[0] != 0).sum() == 3 * 4 and not layer.weight.grad[0][:, ~columns].any()
    assert [owner for owner, _ in places_of(net)] == [layer, layer] and layer.weight.shape == (1, 6, 8)
