"""What a plan computes together has the values and the gradients of layers called one by one."""

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal
from strategies import random_sites

import spconv_cy as sp
from spconv_cy import _core
from spconv_cy.backend.switch import ops_named
from spconv_cy.errors import ShapeError
from spconv_cy.layers import plan


def tensor(ground, channels=4, n=60, size=12):
    rng = np.random.default_rng(0)
    sites = random_sites(rng, n, 2, 0, size, 2)
    features = rng.normal(size=(len(sites), channels))
    x = sp.SparseTensor.from_sites(sites, features, size, 2, ground=ground)
    x.features.requires_grad = True
    if ground == "zero":
        x = x.with_features(x.features, sp.Tensor(rng.normal(size=(1, channels)), requires_grad=True))
    return x


def conv(c=4, o=4, **options):
    return sp.SubmanifoldConvolution(2, c, o, 3, rng=c + o, **options)


def settled(net):
    """Give running statistics and parameters of normalisations other values than those they begin with."""
    rng = np.random.default_rng(1)
    for layer in net.layers if hasattr(net, "layers") else []:
        settled(layer)
    if isinstance(net, sp.BatchNormalization):
        for array in (net.running_mean, net.running_variance, net.weight, net.bias):
            if array is not None:
                array = array.data if isinstance(array, sp.Tensor) else array
                array[...] = rng.random(array.shape) + 0.5
    return net


NETS = {
    "conv, norm": lambda: sp.Sequential(conv(), sp.BatchNormalization(4)),
    "conv, norm, leaky": lambda: sp.Sequential(conv(bias=False), sp.BatchNormalization(4), sp.LeakyReLU(0.1)),
    "norm with a slope": lambda: sp.Sequential(conv(), sp.BatchNormalization(4, slope=0.5), sp.LeakyReLU(0.1)),
    "norm of means": lambda: sp.Sequential(conv(), sp.BatchNormalization(4, mean_only=True), sp.ReLU()),
    "norm without affine": lambda: sp.Sequential(conv(), sp.BatchNormalization(4, affine=False), sp.ReLU()),
    "groups": lambda: sp.Sequential(conv(groups=2), sp.BatchNormalization(4), sp.ReLU()),
    "linear": lambda: sp.Sequential(sp.NetworkInNetwork(4, 3, rng=0), sp.BatchNormalization(3), sp.ReLU()),
    "residual": lambda: sp.Sequential(sp.Residual(conv(), sp.BatchNormalization(4), sp.ReLU(), conv(o=4)), sp.ReLU()),
    "residual of norm": lambda: sp.Sequential(sp.Residual(conv(), sp.BatchNormalization(4)), sp.LeakyReLU(0.2)),
    "residual, slope": lambda: sp.Residual(conv(), sp.BatchNormalization(4, slope=0.3)),
    "residual of a row layer": lambda: sp.Sequential(sp.Residual(sp.layers.ELU(), sp.BatchNormalization(4)), sp.ReLU()),
    "shortcut": lambda: sp.Sequential(sp.Residual(
        conv(o=6), sp.BatchNormalization(6), shortcut=sp.Sequential(sp.NetworkInNetwork(4, 6, rng=0),
                                                                    sp.BatchNormalization(6))), sp.ReLU()),
    "pooled": lambda: sp.Sequential(sp.Convolution(2, 4, 5, 3, rng=0), sp.LeakyReLU(0.3), sp.MaxPooling(2, 2),
                                    sp.NetworkInNetwork(5, 2, rng=0)),
    "pooled zeros": lambda: sp.Sequential(conv(), sp.ReLU(), sp.MaxPooling(2, 2, background="zero")),
}


def run(net, x, monkeypatch, fuse):
    with monkeypatch.context() as patch:
        patch.setattr("spconv_cy.layers.container.listens", lambda: not fuse)
        for p in net.parameters():
            p.grad = None
        x.features.grad = None
        y = net(x)
        loss = (y.features * y.features).sum()
        loss = loss if y.ground is None else loss + (y.ground * y.ground).sum()
        if loss.requires_grad:
            loss.backward()
    grounds = [] if y.ground is None else [y.ground.data]
    return [y.features.data, *grounds, x.features.grad, *(p.grad for p in net.parameters()), *net.state().values()]


@each("training", [True, False], ids=["training", "evaluation"])
@each("ground", ["zero", None])
@each("name", NETS)
def test_values_gradients_and_statistics_are_those_of_single_layers(name, ground, training, monkeypatch):
    x = tensor(ground, size=14 if name == "pooled" else 12)
    nets = [settled(NETS[name]()).train(training) for _ in range(2)]
    assert any(step.norm or step.adds or step.activation for step in nets[0].plan())
    found, expected = (run(net, x, monkeypatch, fuse) for net, fuse in zip(nets, (True, False), strict=True))
    for mine, truth in zip(found, expected, strict=True):
        assert (mine is None) == (truth is None)
        if truth is not None:
            assert_allclose(mine, truth, rtol=1e-6, atol=1e-6 * np.abs(truth).max(initial=0.1))


@each("name", NETS)
def test_gradients_of_fused_steps_are_those_of_differences(name):
    with sp.use("reference"):
        net, x = settled(NETS[name]()), tensor(None, n=8, size=14 if name == "pooled" else 12)

        def loss(features):
            y = net(x.with_features(features))
            return (y.features * y.features).sum()

        sp.check_gradient(loss, sp.Tensor(x.features.data))


def test_a_frozen_normalisation_is_a_map_of_the_convolution_before_it_which_trains(monkeypatch):
    nets = [settled(NETS["conv, norm, leaky"]()) for _ in range(2)]
    for net in nets:
        net.layers[1].freeze()
    found, expected = (run(net, tensor("zero"), monkeypatch, fuse) for net, fuse in zip(nets, (True, False),
                                                                                      strict=True))
    for mine, truth in zip(found, expected, strict=True):
        assert (mine is None) == (truth is None)
        if truth is not None:
            assert_allclose(mine, truth, rtol=1e-6, atol=1e-6 * np.abs(truth).max(initial=0.1))


def calls(monkeypatch, net, x):
    """Return the names of the backend operations that a call makes, in order."""
    made, ops = [], ops_named("cpu")
    with monkeypatch.context() as patch:
        for name in ("conv", "conv_after", "moments", "affine", "leaky_relu", "max_pool"):
            patch.setattr(type(ops), name, spied(made, name, getattr(type(ops), name)))
        patch.setattr(ops.joint, "max_pool", spied(made, "joint.max_pool", ops.joint.max_pool))
        net(x)
    return made


def spied(made, name, function):
    def counted(self, *arguments, **options):
        made.append(name)
        return function(self, *arguments, **options)

    return counted


def test_a_residual_block_is_two_passes_in_evaluation_and_has_no_pass_for_moments(monkeypatch):
    block = sp.Sequential(sp.Residual(conv(), sp.BatchNormalization(4), sp.ReLU(), conv(), sp.BatchNormalization(4)),
                          sp.ReLU())
    x = tensor(None)
    assert calls(monkeypatch, block.train(), x) == ["conv_after", "affine"] * 2
    assert calls(monkeypatch, block.eval(), x) == ["conv_after"] * 2
    pooled = sp.Sequential(conv(), sp.ReLU(), sp.MaxPooling(2, 2))
    assert calls(monkeypatch, pooled.train(), x) == ["conv", "joint.max_pool"]
    assert calls(monkeypatch, pooled.eval(), x) == ["conv", "max_pool"]


def test_a_sum_that_cannot_be_fused_is_the_sum_or_its_error():
    x = tensor(None)
    with pytest.raises(ShapeError, match=r"SparseTensor \+"):
        sp.Residual(conv(o=5))(x)
    wider = sp.Residual(sp.Convolution(2, 4, 4, 3, padding=1, rng=0), sp.BatchNormalization(4), how="outer")
    assert not any(step.adds for step in wider.plan()) and wider(x).grid.n > x.grid.n
    rows = sp.Tensor(np.random.default_rng(0).normal(size=(7, 4)))
    linear = sp.NetworkInNetwork(4, 4, rng=0)
    assert_array_equal(sp.Residual(linear)(rows).data, (linear(rows) + rows).data)


def test_a_layer_that_computes_in_its_own_way_is_called_by_itself():
    class Own(sp.SubmanifoldConvolution):
        role = sp.SubmanifoldConvolution.role

        def activated(self, x, slope=None, grid=None):
            return super().activated(x, slope, grid)

    class OwnNorm(sp.BatchNormalization):
        role = sp.BatchNormalization.role

        def activated(self, x, slope=None):
            return super().activated(x, slope)

    assert not Own.fuses and not OwnNorm.fuses
    assert all(step.norm is None for step in plan.steps([Own(2, 4, 4), sp.BatchNormalization(4)]))
    assert all(step.norm is None for step in plan.steps([conv(), OwnNorm(4)]))
    assert all(step.norm is None for step in plan.steps([conv(), sp.BatchNormalization(5)]))


@pytest.mark.parametrize("n, c", [(1, 3), (15, 17), (129, 64), (3000, 100), (70_000, 8)])
@each("mean, spread", [(0, 1), (1e4, 1), (-100, 1e-3)])
def test_moments_are_those_of_float64_far_from_zero_and_with_an_outlier(n, c, mean, spread):
    x = (np.random.default_rng(n).normal(size=(n, c)) * spread + mean).astype(np.float32)
    x[0] += 100 * spread * (n > 20)
    truth, before = x.astype(np.float64), _core.isa()
    deviation = truth.std(0).max() + spread
    try:
        for isa in _core.isas():
            _core.select_isa(isa)
            found = ops_named("cpu").moments(x).astype(np.float64)
            assert_allclose(found[0] + found[1], truth.mean(0), rtol=1e-7, atol=3e-7 * deviation)
            assert_allclose(found[2], truth.var(0), rtol=1e-5, atol=1e-9 * spread**2)
    finally:
        _core.select_isa(before)


@pytest.mark.parametrize("o", [5, 16, 70])
def test_moments_of_a_convolution_have_the_same_bits_for_any_number_of_threads(o):
    x = tensor(None, n=4000, size=128)
    layer, ops, found = conv(o=o), ops_named("cpu"), []
    _, rules = layer.rules(x)
    try:
        for n in (1, 2, 3):
            sp.set_threads(n)
            found.append(ops.conv_after(x.features.data, layer.weight.data, rules, measure=True))
    finally:
        sp.set_threads(None)
    for y, moments in found:
        assert_array_equal(y, found[0][0])
        assert_array_equal(moments, found[0][1])
        assert_allclose(moments[2], y.astype(np.float64).var(0), rtol=1e-5)
