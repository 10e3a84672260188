"""The sparse autoencoder: what its decoder is told and what not, its loss, its gradients; it learns to bring back."""

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.errors import ShapeError


def drawn(rng, samples=3, field=16, channels=1, ground=None):
    """A few short lines in each sample, with values; the last sample is empty."""
    sites = [[s, *np.clip(start + step * t, 0, field - 1)] for s in range(samples - 1)
             for start, step in zip(rng.integers(0, field, (3, 2)), rng.integers(-1, 2, (3, 2)), strict=True)
             for t in range(6)]
    sites = np.unique(sites, axis=0)
    return sp.SparseTensor.from_sites(sites, rng.uniform(0.2, 1, (len(sites), channels)), field, samples, ground=ground)


def test_the_truth_of_a_level_is_the_occupancy_of_its_boxes(rng, ops):
    x, net = drawn(rng), sp.models.Autoencoder(2, 4, 8, rng=0).to(ops)
    found = net(x)
    occupied = x.to_dense()[:, 0] > 0
    for level, truth in enumerate(found.truths):                        # fields of 4, 8 and 16 sites an axis
        box = 4 >> level
        coarse = occupied.reshape(3, 16 // box, box, 16 // box, box).any((2, 4))
        assert truth.sum() == coarse.sum()                              # in training every true site is created
        if level == 0:                                                  # where all sites are, in their order
            assert np.array_equal(truth, coarse.reshape(-1))
    assert [score.shape for score in found.scores] == [(len(truth), 2) for truth in found.truths]


def test_in_training_the_true_sites_stay_and_in_use_the_decoder_knows_the_code_alone(rng, ops):
    x, net = drawn(rng), sp.models.Autoencoder(2, 4, 8, rng=0).to(ops)
    assert len((x.grid - net(x).y.grid).sites) == 0
    net.eval()
    found = net(x)
    again = net.decode(net.encode(x))
    assert np.array_equal(found.y.sites, again.sites)
    assert np.array_equal(found.y.features.numpy(), again.features.numpy())
    assert np.array_equal(net.decode(found.code.numpy()).sites, again.sites)
    keep = [score.numpy()[:, 1] > score.numpy()[:, 0] for score in found.scores]
    assert found.y.grid.n == keep[-1].sum() and len(keep[1]) == 4 * keep[0].sum() and len(keep[2]) == 4 * keep[1].sum()


def test_the_loss_is_that_of_its_definition(rng):
    x, net = drawn(rng, channels=2), sp.models.Autoencoder(2, 4, 8, 2, rng=0)
    found = net(x)
    expected = np.mean((found.y.to_dense() - x.to_dense())[np.broadcast_to(x.to_dense() > 0, (3, 2, 16, 16))] ** 2)
    for score, truth in zip(found.scores, found.truths, strict=True):
        apart = score.numpy()[:, 1] - score.numpy()[:, 0]               # a logistic regression on the difference
        expected += np.mean(np.log1p(np.exp(np.where(truth, -apart, apart))))
    assert float(sp.models.reconstruction_loss(found).data) == pytest.approx(expected, rel=1e-5)


def test_its_gradient_is_that_of_differences(rng):
    with sp.use("reference"):
        x, net = drawn(rng), sp.models.Autoencoder(1, 3, 5, size=8, rng=0)
        for parameter in net.parameters():
            parameter.data = parameter.data.astype(np.float64)
        for layer in net.occupied:
            layer.bias.data[:] = [[4, -4]]                              # far from where a small step changes the sites
        sp.models.reconstruction_loss(net(x)).backward()
        assert all(np.any(p.grad) for p in net.parameters() if p.data.shape[0] > 1)
        moves = [rng.normal(size=p.data.shape) for p in net.parameters()]
        slope, values = sum(float((p.grad * v).sum()) for p, v in zip(net.parameters(), moves, strict=True)), []
        for step in (1e-6, -2e-6):
            for parameter, move in zip(net.parameters(), moves, strict=True):
                parameter.data = parameter.data + step * move
            values.append(float(sp.models.reconstruction_loss(net(x)).data))
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(slope, rel=1e-4)


def test_it_learns_to_bring_back_a_few_drawings(rng):
    x, net = drawn(rng, samples=9), sp.models.Autoencoder(2, 8, 16, rng=0)
    optimizer, first = sp.Adam(net.parameters(), 0.01), None
    for _ in range(150):
        optimizer.zero_grad()
        loss = sp.models.reconstruction_loss(net(x))
        loss.backward()
        optimizer.step()
        first = first or float(loss.data)
    found = net.eval()(x)
    assert (found.y.grid & x.grid).n >= 0.9 * (found.y.grid | x.grid).n and float(loss.data) < first / 10


def test_it_takes_other_dimensions_a_ground_state_and_nothing(rng, tmp_path):
    solid = sp.SparseTensor.from_sites([[0, 1, 2, 3], [1, 7, 0, 5]], [[1.0], [2.0]], 8)
    net = sp.models.Autoencoder(1, 4, 6, d=3, rng=0)
    assert net(solid).y.grid.size == (8, 8, 8) and net.encode(solid).shape == (2, 6)
    sp.save(tmp_path / "net.safetensors", net.eval())
    again = sp.load(tmp_path / "net.safetensors").eval()
    assert np.array_equal(again.encode(solid).numpy(), net.encode(solid).numpy())
    plane = sp.models.Autoencoder(2, 4, 8, rng=0).eval()
    grounded, bare = drawn(np.random.default_rng(1), ground="zero"), drawn(np.random.default_rng(1))
    assert np.array_equal(plane.encode(grounded).numpy(), plane.encode(bare).numpy())
    assert not plane.encode(bare).numpy()[-1].any()                     # the sample without sites
    for training in (True, False):
        plane.train(training)
        for samples in (0, 2):
            nothing = sp.SparseTensor.from_sites(np.empty((0, 3), int), np.empty((0, 1)), 16, samples)
            found = plane(nothing)
            assert found.code.shape == (samples, 8) and np.isfinite(float(sp.models.reconstruction_loss(found).data))


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(ShapeError, match="levels to be a whole number from 1"):
        sp.models.Autoencoder(0, 4, 8)
    net = sp.models.Autoencoder(2, 4, 8, rng=0)
    with pytest.raises(ShapeError, match=r"expected a field of size \(16, 16\), got"):
        net(drawn(rng, field=18))
    with pytest.raises(ShapeError, match=r"codes \(b, 8\), got \(2, 7\)"):
        net.decode(np.zeros((2, 7)))
