"""A layer of your own: a new function with its gradient, checked; a layer that uses it; trained, saved and loaded."""

import tempfile
from pathlib import Path

import numpy as np

import spconv_cy as sp


@sp.differentiable
def soft_threshold(x, t):
    """Return x moved towards zero by t (1, c), or zero where |x| is at most t."""
    outside = abs(x) > t

    def backward(dy):
        """Return the gradients of x and t, given dy, the gradient of the result."""
        return dy * outside, (-dy * outside * np.sign(x)).sum(0, keepdims=True)

    return outside * (x - np.sign(x) * t), backward


class SoftThreshold(sp.Layer):
    """Move every channel towards zero by a threshold that is learnt."""

    def __init__(self, channels):
        self.threshold = sp.Tensor(np.full((1, channels), 0.1), requires_grad=True)

    def __call__(self, x):
        """Return x with its features, and its ground state where it has one, moved towards zero."""
        ground = None if x.ground is None else soft_threshold(x.ground, self.threshold)
        return x.with_features(soft_threshold(x.features, self.threshold), ground)


# The gradient agrees with differences, or this raises an AssertionError that says where it does not.
rng = np.random.default_rng(0)
sp.check_gradient(soft_threshold, rng.normal(size=(6, 3)), np.array([[0.1, 0.5, 0.9]]))
print("the gradient is right")

# Learn to remove noise from a line of sites.
clean = np.where(rng.random((500, 4)) < 0.2, rng.normal(0, 3, (500, 4)), 0).astype(np.float32)
sites = np.column_stack([np.zeros(500, int), np.arange(500)])
x = sp.SparseTensor.from_sites(sites, clean + rng.normal(0, 0.3, clean.shape), size=500, ground=None)
net = sp.Sequential(SoftThreshold(4))
optimizer, losses = sp.Adam(net.parameters(), rate=0.02), []
for _ in range(60):
    loss = sp.mse(net(x).features, clean)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
print(f"squared error: {losses[0]:.4f}, after training {losses[-1]:.4f}")
print(f"thresholds: {net[0].threshold.numpy().round(2)}")

with tempfile.TemporaryDirectory() as folder:
    sp.save(Path(folder, "net.safetensors"), net)
    again = sp.load(Path(folder, "net.safetensors"), layers=[SoftThreshold])
same = np.array_equal(again(x).features.numpy(), net(x).features.numpy())
print(f"the loaded network gives the same bits: {same}")
