"""Loss scaling: the same steps where nothing vanishes, steps left out where something overflows, runs that go on."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy.train import loss_scale

CHARACTERS = [[[(0, 0), (9, i % 4)]] if i % 2 else [[(0, 0), (i % 3, 9)]] for i in range(20)]
LABELS = np.arange(20) % 2


def trained(epochs, path=None, **options):
    net = sp.models.from_spec("3C3-MP2-D0.4-4C2-output", 8, classes=2, rng=0)
    data = sp.data.StrokeBatches(CHARACTERS, LABELS, sp.data.StrokeEncoder(size=8, scale=3), batch=6)
    history = sp.fit(net, data, sp.Adam(net.parameters(), 0.02), epochs, rng=7, progress=False, checkpoint=path,
                     **options)
    return net, history


def same(a, b):
    pairs = zip(a.state().values(), b.state().values(), strict=True)
    return all(np.array_equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("scale", [1024, 0.25, "dynamic"])
def test_a_power_of_two_changes_no_bit_of_a_run_in_float32(scale):
    plain, scaled = trained(2), trained(2, loss_scale=scale)
    assert same(plain[0], scaled[0]) and plain[1].losses == scaled[1].losses


def test_gradients_that_float16_does_not_hold_come_through_scaled():
    with sp.use("reference"), sp.precision("float16"):
        found = []
        for scale in (1, 2**20):
            net = sp.Sequential(sp.NetworkInNetwork(3, 2, rng=0), sp.NetworkInNetwork(2, 1, rng=1))
            optimizer, scaler = sp.SGD(net.parameters(), 1.0), sp.train.LossScale(scale)
            scaler.backward((net(np.ones((4, 3))) * 1e-9).sum())
            assert scaler.step(optimizer)
            found.append(net.layers[0].weight.grad)
    assert not found[0].any() and 1e-10 < np.abs(found[1]).max() < 1e-8


def step(scale, gradient):
    """Take a step with a gradient; return (whether it was taken, the weight, which began with 1)."""
    w = sp.Tensor([1.0], requires_grad=True)
    w.grad = np.array([gradient * scale.scale], np.float32)
    return scale.step(sp.SGD([w], 0.5)), float(w.data[0])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_gradient_that_is_no_number_leaves_the_step_out_and_halves_the_scale(bad):
    scale = sp.train.LossScale("dynamic")
    assert step(scale, 1) == (True, 0.5) and scale.steps == 1
    assert step(scale, bad) == (False, 1) and scale.state() == {"scale": 2.0**15, "steps": 0}
    assert step(scale, 1) == (True, 0.5) and repr(scale) == "LossScale(dynamic, 32768)"


def test_good_steps_in_a_row_double_the_scale_up_to_a_most(monkeypatch):
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    monkeypatch.setattr(loss_scale, "MOST", 2.0**17)
    scale, seen = sp.train.LossScale(), []
    for gradient in (1, 1, np.nan, 1, 1, 1, 1, 1, 1, 1, 1, 1):
        step(scale, gradient)
        seen.append(int(np.log2(scale.scale)))
    assert seen == [16, 16, 15, 15, 15, 16, 16, 16, 17, 17, 17, 17]


def test_what_no_scale_helps_is_an_error(monkeypatch):
    with pytest.raises(FloatingPointError, match='scale 1024, got NaN .*; give a smaller scale, or loss_sc'):
        step(sp.train.LossScale(1024), np.inf)
    scale = sp.train.LossScale()
    with pytest.raises(FloatingPointError, match="scale 1.52588e-05, got NaN or infinity; lower the rate"):
        for _ in range(33):
            step(scale, np.nan)
    fixed = sp.train.LossScale(8)
    fixed.load_state({"scale": 2.0, "steps": 5})
    assert fixed.scale == 8 and repr(fixed) == "LossScale(fixed, 8)"


@pytest.mark.parametrize("wrong", [0, -1, "static", True, np.inf, np.nan])
def test_other_scales_are_refused(wrong):
    with pytest.raises(ValueError, match='LossScale: expected scale to be "dynamic" or a number above 0, such as 1'):
        trained(1, loss_scale=wrong)


def test_frozen_parameters_and_those_without_gradients_are_left_alone():
    w, frozen = sp.Tensor([1.0], requires_grad=True), sp.Tensor([1.0])
    frozen.grad = np.array([np.nan], np.float32)
    assert sp.train.LossScale(2).step(sp.SGD([w, frozen], 0.5))
    assert w.data == frozen.data == 1


def test_a_run_that_was_stopped_goes_on_with_its_scale_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(loss_scale, "FIRST", 2.0**24)                    # too much: the first steps are left out
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    options, path = {"loss_scale": "dynamic"}, tmp_path / "run.safetensors"
    with sp.use("reference"), sp.precision("float16"), np.errstate(invalid="ignore"):
        whole, history = trained(6, **options)
        trained(3, path, **options)
        stopped, again = trained(6, path, **options)
        other, _ = trained(6, loss_scale=1.0)
    assert same(whole, stopped) and history.losses == again.losses
    assert not same(whole, other)                                        # steps were left out


def test_a_checkpoint_of_a_run_without_a_scale_goes_on_with_one(tmp_path):
    path = tmp_path / "run.safetensors"
    whole, _ = trained(4)
    trained(2, path)
    stopped, _ = trained(4, path, loss_scale="dynamic")
    assert same(whole, stopped)
    assert_array_equal(trained(4, path)[1].losses, trained(4)[1].losses)
