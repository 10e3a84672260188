"""The plan of a network: what is computed together, found from layers and mode without running anything."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.layers.plan import Step, steps
from spconv_cy.layers.role import Role


def shown(layers, **options):
    """Each step as (name, action, activation's class, has a dropout, takes a selection, restores)."""
    return [(step.name, step.action, type(step.activation).__name__ if step.activation else None,
             step.dropout is not None, step.selected, step.restore) for step in steps(layers, **options)]


def nin(c=4, o=4):
    return sp.NetworkInNetwork(c, o, rng=0)


def call(i, activation=None, dropout=False, selected=False, restore=False):
    return (f"layers[{i}]", "call", activation, dropout, selected, restore)


@pytest.mark.parametrize("first", [nin(), sp.BatchNormalization(4), sp.Convolution(2, 4, 4, 3),
                                   sp.Deconvolution(2, 4, 4, 2),
                                   sp.layers.TransposedConvolution(2, 4, 4, 2), sp.Convolution(2, 4, 4, 3, groups=2)],
                         ids=repr)
def test_a_leaky_relu_joins_the_layer_before_it(first):
    assert shown([first, sp.ReLU(), sp.ReLU()]) == [call(0, "ReLU"), call(2)]
    assert shown([first, sp.ReLU()], fuse=False) == [call(0), call(1)]


@pytest.mark.parametrize("first, follows", [(sp.MaxPooling(2, 2), sp.ReLU()), (nin(), sp.layers.ELU()),
                                            (sp.Residual(nin()), sp.layers.ELU()), (sp.Dropout(0.5), sp.ReLU())])
def test_nothing_else_is_joined(first, follows):
    assert shown([first, follows]) == [call(0), call(1)]


class Doubled(sp.NetworkInNetwork):
    """Computes in another way than its base, and says nothing about itself."""

    def __call__(self, x):
        return super().__call__(x) * 2.0


class Halved(sp.ReLU):
    def __call__(self, x):
        return super().__call__(x) * 0.5


class Told(sp.NetworkInNetwork):
    """Computes in another way than its base, and says what stays true."""

    role = Role.ACTIVATES

    def activated(self, x, slope=None):
        return super().activated(x, slope)


def test_a_class_of_ones_own_needs_no_flag_to_be_right():
    assert Doubled(4, 4).role == Halved().role == Role.NONE and Told(4, 4).role == Role.ACTIVATES
    assert shown([Doubled(4, 4), sp.ReLU()]) == shown([nin(), Halved()]) == [call(0), call(1)]
    assert shown([Told(4, 4), sp.ReLU()]) == [call(0, "ReLU")]
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    layers = [Doubled(4, 4, rng=0), Halved(), sp.Dropout(0.5, rng=1), Doubled(4, 2, rng=2)]
    mine, x = sp.Sequential(*copy.deepcopy(layers)), sp.Tensor(rows)
    for layer in layers:
        x = layer(x)
    assert_array_equal(mine(rows).data, x.data)


def test_dropout_between_weights_becomes_sub_matrices():
    layers = [nin(), sp.ReLU(), sp.MaxPooling(2, 2), sp.Dropout(0.5), nin(), sp.Dropout(0.5), sp.layers.Softmax(),
              nin()]
    assert shown(layers) == [
        call(0, dropout=True), call(2, "ReLU"), ("layers[3]", "scale", None, False, False, False),
        call(4, dropout=True, selected=True), ("layers[5]", "scale", None, False, False, False),
        call(6, restore=True), call(7)]
    assert shown(layers, training=False) == [call(0, "ReLU"), call(2), call(3), call(4), call(5), call(6), call(7)]
    assert shown([sp.Dropout(0.5), nin()]) == [("layers[0]", "select", None, False, False, False),
                                               call(1, selected=True)]
    assert shown([sp.Dropout(0.5), sp.ReLU()]) == [call(0), call(1)]
    assert shown([sp.Dropout(0.5, kind="elements"), nin()]) == shown([sp.Dropout(0), nin()]) == [call(0), call(1)]


def test_a_draw_does_not_pass_one_of_the_same_generator_before_it():
    rng = np.random.default_rng(0)
    pool = sp.FractionalMaxPooling(2, 1.5, rng=rng)
    assert shown([nin(), pool, sp.Dropout(0.5, rng=rng), nin()]) == [
        call(0), call(1), ("layers[2]", "select", None, False, False, False), call(3, selected=True)]
    assert shown([nin(), pool, sp.Dropout(0.5, rng=1), nin()])[0] == call(0, dropout=True)


def net():
    return sp.Sequential(sp.Convolution(2, 1, 4, 3, rng=0), sp.ReLU(), sp.Dropout(0.5, rng=1), sp.Residual(
        sp.SubmanifoldConvolution(2, 4, 4, rng=2), sp.BatchNormalization(4), sp.LeakyReLU(0.1)), sp.GlobalPooling())


def test_a_plan_prints_as_the_list_of_its_steps():
    assert str(net().eval().plan()) == """layers[0]: Convolution(2, 1, 4, 3) + ReLU()
layers[2]: Dropout(0.5)
layers[3]: Residual
    layers[0]: SubmanifoldConvolution(2, 4, 4) + BatchNormalization(4) + LeakyReLU(0.1)
    add
layers[4]: GlobalPooling()"""
    joined = sp.Concatenate(nin(), sp.Sequential(nin(), sp.ReLU())).plan()
    assert str(joined).splitlines()[-1] == "concatenate" and len(joined) == 2
    leaves = [step.name for step in net().plan().walk()]
    assert leaves == ["layers[0]", "layers[2]", "layers[0]", "layers[4]"]
    assert nin().plan().steps[0].layer.role == nin().role and len(nin().plan()) == 1
    assert "rows and columns" in str(sp.Sequential(sp.Dropout(0.5), nin(), sp.Dropout(0.5), nin()).plan())


def test_planning_runs_nothing_and_draws_nothing(monkeypatch):
    made, states = net(), []
    for layer in made.layers:
        monkeypatch.setattr(type(layer), "__call__", None)
    states = [rng.bit_generator.state for rng in made.generators().values()]
    assert len(made.plan()) == 4 and all(isinstance(step, Step) for step in made.plan())
    assert states == [rng.bit_generator.state for rng in made.generators().values()]


def test_a_plan_is_made_once_for_each_mode_and_anew_where_layers_change():
    made = net()
    training = made.plan().steps
    assert made.plan().steps is training
    evaluating = made.eval().plan().steps
    assert evaluating is not training and made.plan().steps is evaluating and made.train().plan().steps is training
    made.layers[2].p = 0.0
    assert made.plan().steps is not training
    made.layers[1] = sp.layers.ELU()
    assert made.plan().steps[0].activation is None
    made.layers.append(sp.layers.Softmax())
    assert made.plan().steps[-1].layer is made.layers[-1]
    made.layers[2] = sp.Dropout(0.5)
    made.layers[2].eval()                                                # one layer alone
    assert not any(step.dropout for step in made.plan())


def test_copies_and_pickles_of_a_network_plan_for_their_own_layers():
    made = net()
    made.plan()
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert [step.layer for step in other.plan()] == [other[0], other[2], other[3], other[4]]
        x = sp.SparseTensor.from_sites(random_sites(np.random.default_rng(0), 20, 2, 0, 8, 1), np.ones((20, 1)), 8, 1)
        assert_array_equal(other.eval()(x).data, made.eval()(x).data)
