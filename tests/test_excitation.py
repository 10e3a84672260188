"""Channel attention and generalised means against formulas in plain numpy, sample by sample."""

import numpy as np
import pytest
from in_turn import each
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import at_least


def batch(rng, channels=6, n=25):
    """Make a batch of 4 samples, of which the third is empty."""
    sites = random_sites(rng, n, 2, 0, 9, samples=3)
    sites[:, 0] += sites[:, 0] == 2
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(n, channels)), 9, 4, ground=None)


def by_sample(x):
    """List the rows of each sample, in float64."""
    rows = x.features.numpy().astype(float)
    return [rows[low:high] for low, high in zip(x.grid.batch_starts[:-1], x.grid.batch_starts[1:], strict=True)]


def mean_of(rows):
    return rows.mean(0) if len(rows) else np.zeros(rows.shape[1])


def near(y, truth):
    np.testing.assert_allclose(y.features.numpy(), np.concatenate(truth), rtol=1e-5, atol=1e-6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_each_sample_is_multiplied_by_its_own_row(rng, ops):
    x, linear = batch(rng), sp.NetworkInNetwork(6, 6, rng=rng)
    y = sp.layers.SampleScale(sp.GlobalPooling("max"), linear, sp.layers.Sigmoid())(x)
    w = linear.weight.numpy()[0]
    near(y, [rows * sigmoid(rows.max(0, initial=-np.inf) @ w) if len(rows) else rows for rows in by_sample(x)])
    assert y.grid is x.grid and y.ground is None
    one = sp.NetworkInNetwork(6, 1, rng=rng)
    near(sp.layers.SampleScale(sp.GlobalPooling(), one)(x),
         [rows * (mean_of(rows) @ one.weight.numpy()[0]) for rows in by_sample(x)])


def test_squeeze_and_excitation_is_that_of_the_formula(rng, ops):
    x, layer = batch(rng), sp.layers.SqueezeExcitation(6, 2, rng=rng)
    first, second = layer.gate[1], layer.gate[3]
    first.bias.data[...], second.bias.data[...] = rng.normal(size=(1, 3)), rng.normal(size=(1, 6))
    assert first.weight.shape == (1, 6, 3) and sp.layers.SqueezeExcitation(4).gate[1].channels_out == 1

    def factors(rows):
        inner = np.maximum(mean_of(rows) @ first.weight.numpy()[0] + first.bias.numpy(), 0)
        return sigmoid(inner @ second.weight.numpy()[0] + second.bias.numpy())

    near(layer(x), [rows * factors(rows) for rows in by_sample(x)])


@each("size", [1, 3, 5, 13])
def test_channel_attention_is_a_convolution_along_the_channels(size, rng, ops):
    x, layer = batch(rng), sp.layers.EfficientChannelAttention(6, size, rng=rng)
    filter_ = layer.weight.numpy()[:, 0, 0]
    near(layer(x), [rows * sigmoid(np.correlate(np.pad(mean_of(rows), size // 2), filter_, "valid"))
                    for rows in by_sample(x)])


@each("p", [1, 2.5, 6.0])
@each("ground", [[[-1.0, 0.5, 2, 0, 1e-9, 3]], None])
def test_a_generalised_mean_is_that_of_the_formula(p, ground, rng, ops):
    x, layer = batch(rng), sp.layers.GeneralizedMeanPooling(p, eps=1e-3)
    x = x.with_features(x.features, None if ground is None else sp.Tensor(ground))
    empty = np.maximum(np.zeros(6) if ground is None else np.ravel(ground), 1e-3)
    truth = [(np.maximum(rows, 1e-3) ** p).mean(0) ** (1 / p) if len(rows) else empty for rows in by_sample(x)]
    np.testing.assert_allclose(layer(x).numpy(), truth, rtol=2e-5)
    if p == 6:
        assert (layer(x).numpy() > sp.GlobalPooling()(x).numpy() - 1e-6).all()


def test_a_generalised_mean_has_finite_gradients_for_negative_numbers_and_empty_samples(rng):
    with np.errstate(all="raise"), sp.use("cpu"):
        leaf = sp.Tensor(-np.abs(rng.normal(size=(25, 6))), requires_grad=True)
        layer, x = sp.layers.GeneralizedMeanPooling(), batch(rng)
        layer(x.with_features(leaf)).sum().backward()
        assert not leaf.grad.any() and np.isfinite(layer.p.grad).all()


def test_gradients_of_a_lower_bound():
    sp.check_gradient(lambda x: at_least(x, 0.5), np.array([[-1.0, 0.2, 0.7, 3]]))


@pytest.mark.parametrize("make", [
    lambda: sp.layers.SampleScale(sp.GlobalPooling()), lambda: sp.layers.SqueezeExcitation(6),
    lambda: sp.layers.EfficientChannelAttention(6)])
def test_no_sites_and_a_ground_state(make, rng):
    none = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 6)), 8, samples=0, ground=None)
    assert make()(none).shape == (0, 6)
    x = batch(rng)
    with pytest.raises(ShapeError, match="ground=None .each sample has factors of its own."):
        make()(x.with_features(x.features, sp.Tensor(np.zeros((1, 6)))))
    with pytest.raises(TypeError, match="expected a SparseTensor, got a Tensor"):
        make()(x.features)


def test_what_does_not_fit_is_refused(rng):
    x = batch(rng)
    for layers in ([], [sp.GlobalPooling(), sp.NetworkInNetwork(6, 2)]):
        with pytest.raises(ShapeError, match=r"expected layers that give a Tensor \(4, 1 or 6\), .* GlobalPooling"):
            sp.layers.SampleScale(*layers)(x)
    with pytest.raises(ShapeError, match=r"in gate.layers\[1\].* 5 channels, got 6"):
        sp.layers.SampleScale(sp.GlobalPooling(), sp.NetworkInNetwork(5, 5))(x)
    with pytest.raises(ShapeError, match="expected features with 5 channels, got 6"):
        sp.layers.EfficientChannelAttention(5)(x)
    for size in (2, 0, -1, 1.5, True):
        with pytest.raises(ShapeError, match="EfficientChannelAttention: expected size to be an odd number"):
            sp.layers.EfficientChannelAttention(6, size)
    for options in (dict(p=0), dict(p=-1), dict(p="3"), dict(eps=0), dict(p=np.nan)):
        with pytest.raises(ShapeError, match="GeneralizedMeanPooling: expected .* to be a number above 0"):
            sp.layers.GeneralizedMeanPooling(**options)
    with pytest.raises(ShapeError, match="expected reduction to be a whole number"):
        sp.layers.SqueezeExcitation(6, 0)
