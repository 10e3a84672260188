"""Activation checkpointing: the bits are those of the same layers without it, and nothing is kept on the way."""

import copy
import gc
import weakref

import numpy as np
import pytest
from contract import bits, leaves_of, outcome, sparse, whole
from in_turn import each

import spconv_cy as sp
from spconv_cy.backend.cpu import CpuOps


class Noise(sp.Layer):
    """Add a random number, and count the calls in its state."""

    def __init__(self, rng=None):
        self.rng, self.calls = np.random.default_rng(rng), np.zeros(1)

    def __call__(self, x):
        self.calls += self.training
        noise = float(self.rng.normal())
        return x.with_features(x.features + noise, None if x.ground is None else x.ground + noise)


class Probe(sp.Layer):
    """Pass a copy on, and remember it weakly."""

    def __init__(self):
        self.seen = []

    def __call__(self, x):
        y = x.with_features(x.features * 1.0, x.ground)
        self.seen.append(weakref.ref(y.features.data))
        return y


def blocks():
    """Make layers of every kind that remembers or draws something, in three parts."""
    return [
        [sp.Convolution(2, 4, 8, 3, rng=0), sp.BatchNormalization(8), sp.ReLU(), Noise(1), sp.Dropout(0.5, rng=2)],
        [sp.Residual(sp.SubmanifoldConvolution(2, 8, 8, rng=3), sp.BatchNormalization(8), sp.Dropout(0.25, rng=4)),
         sp.FractionalMaxPooling(2, 1.4, size_rule="nearest", rng=9),
         sp.Concatenate(sp.Sequential(), sp.NetworkInNetwork(8, 2, rng=5)), sp.layers.Tanh()],
        [sp.layers.RandomizedStrideConvolution(2, 10, 6, 2, rng=6), sp.BatchNormalization(6, mean_only=True), Noise(7),
         sp.GlobalPooling(), sp.NetworkInNetwork(6, 3, rng=8)],
    ]


def plain():
    return sp.Sequential(*(layer for block in blocks() for layer in block))


def checkpointed():
    return sp.Sequential(*(sp.layers.Checkpointed(*block) for block in blocks()))


def nested():
    first, second, third = blocks()
    return sp.layers.Checkpointed(*first, sp.layers.Checkpointed(*second),
                                  sp.layers.Checkpointed(sp.layers.Checkpointed(*third)))


def run(net, inputs):
    """Train three steps; return the bytes of outputs, gradients, statistics and the generators' states."""
    optimizer, found = sp.Adam(net.parameters(), 0.01), []
    for step in range(3):
        x = inputs((9 + step, 0, 7))
        leaves = [sp.Tensor(array, requires_grad=True) for array in leaves_of(x)]
        y = net(whole(x, leaves))
        sp.softmax_cross_entropy(y, [0, 2, 1]).backward()
        found += [y.data, *(leaf.grad for leaf in leaves), *(p.grad for p in net.parameters())]
        optimizer.step()
        optimizer.zero_grad()
    found += net.state().values()
    return [array.tobytes() for array in found], [g.bit_generator.state for g in net.generators().values()]


@pytest.mark.parametrize("make", [checkpointed, nested])
@each("family", ["drawn", "zero", None])
def test_training_has_the_bits_of_the_plain_net(make, family, ops):
    inputs = sparse(2, 4, 8, family)
    assert run(make(), inputs) == run(plain(), inputs)


@pytest.mark.parametrize("family", ["drawn", "zero", None])
def test_all_outputs_of_a_part_have_their_gradients(family, ops):
    first, second, _ = blocks()
    for counts in ((9, 0, 7), (1,), (0, 0)):
        x = sparse(2, 4, 8, family)
        found = outcome(sp.layers.Checkpointed(*copy.deepcopy(first), *copy.deepcopy(second)), x(counts))
        expected = outcome(sp.Sequential(*copy.deepcopy(first), *copy.deepcopy(second)), x(counts))
        assert [(what, a.tobytes()) for what, a in found] == [(what, a.tobytes()) for what, a in expected]


def test_nothing_is_kept_on_the_way_and_all_is_made_once_more():
    x = sparse(2, 4, 8, None)((9, 0, 7))
    for kind, alive in ((sp.Sequential, [True] * 2), (sp.layers.Checkpointed, [False] * 2)):
        a, b = Probe(), Probe()
        net = kind(sp.NetworkInNetwork(4, 4, rng=0), a, sp.layers.Tanh(), b, sp.layers.Tanh())
        gc.disable()
        try:
            y = net(x)
            assert [probe.seen[0]() is not None for probe in (a, b)] == alive
            y.features.backward(np.ones(y.features.shape))
            assert [len(probe.seen) for probe in (a, b)] == [2 - alive[0]] * 2
            assert alive[0] or not any(ref() is not None for probe in (a, b) for ref in probe.seen)
        finally:
            gc.enable()


def test_running_statistics_follow_once_and_draws_are_made_once(ops):
    x, net = sparse(2, 4, 8, None)((9, 0, 7)), sp.layers.Checkpointed(sp.BatchNormalization(4, momentum=0.5), Noise(3))
    noise, twin = net[1], np.random.default_rng(3)
    y = net(x)
    twin.normal()
    state = {name: array.copy() for name, array in net.state().items()}
    y.features.backward(np.ones(y.features.shape))
    assert noise.calls[0] == 1 and all(np.array_equal(net.state()[name], array) for name, array in state.items())
    assert noise.rng.bit_generator.state == twin.bit_generator.state


def test_the_second_pass_is_that_of_the_time_of_the_first(ops):
    """Two calls before either goes back, modes and statistics that change between."""
    x = sparse(2, 4, 8, None)((9, 0, 7))

    def gradients(kind):
        net = kind(sp.BatchNormalization(4), sp.NetworkInNetwork(4, 4, rng=0), Noise(1), sp.Dropout(0.5, rng=2),
                   sp.layers.Tanh())
        leaf = sp.Tensor(x.features.data, requires_grad=True)
        first, second = net(x.with_features(leaf)).features, net(x.with_features(leaf * 2)).features
        net.eval()
        with sp.no_grad():
            first.backward(np.ones(first.shape))
            net.train()
            second.backward(np.ones(first.shape))
            first.backward(np.ones(first.shape))
        return [leaf.grad.tobytes(), *(p.grad.tobytes() for p in net.parameters())]

    assert gradients(sp.layers.Checkpointed) == gradients(sp.Sequential)


def test_a_weight_may_stand_inside_and_outside(ops):
    x = sparse(2, 4, 8, None)((9, 0, 7))

    def gradient(kind):
        layer = sp.NetworkInNetwork(4, 4, rng=0)
        y = sp.Sequential(kind(layer, sp.layers.Tanh()), layer)(x).features
        y.backward(np.ones(y.shape))
        return layer.weight.grad.tobytes()

    assert gradient(sp.layers.Checkpointed) == gradient(sp.Sequential)


def test_frozen_parts_and_evaluation_keep_no_tape(ops):
    x, net = sparse(2, 4, 8, "drawn")((9, 0, 7)), checkpointed()
    net[0].freeze()
    loss = net(x).sum()
    loss.backward()
    assert all(p.grad is None for p in net[0].parameters()) and all(p.grad is not None for p in net[2].parameters())
    expected = bits(sp.Sequential(*(copy.deepcopy(layer) for part in net for layer in part)).eval()(x))
    y = net.eval()(x)
    assert not y.requires_grad and bits(y) == expected
    leaf = sp.Tensor(x.features.data, requires_grad=True)                # a picture of what the input did
    net(x.with_features(leaf, x.ground)).sum().backward()
    assert leaf.grad.any()


def test_rulebooks_are_not_made_twice_and_a_forward_pass_is_added(monkeypatch):
    x, counts = sparse(2, 4, 8, None)((9, 0, 7)), []
    conv, rules = CpuOps.conv, sp.Grid.rules
    monkeypatch.setattr(CpuOps, "conv", lambda *given, **options: counts.append("conv") or conv(*given, **options))
    monkeypatch.setattr(CpuOps, "joint", None)                           # so that each gradient is an operation
    made = []

    def watched(*given):
        made.append(rules(*given))
        return made[-1]

    monkeypatch.setattr(sp.Grid, "rules", watched)
    net = sp.layers.Checkpointed(sp.Convolution(2, 4, 4, 2, rng=0), sp.Convolution(2, 4, 4, 3, rng=1))
    y = net(x).features
    made[:] = [(None, rulebook) for _, rulebook in made]  # the test keeps no grid
    forward = len(counts)
    y.backward(np.ones(y.shape))
    assert len(made) == 4 and all(a[1] is b[1] for a, b in zip(made[:2], made[2:], strict=True))
    assert len(counts) == 2 * forward + 1  # forward again, and the gradient of the second layer's input
