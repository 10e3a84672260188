"""A first network: build it, train it, test it. It tells rings, crosses and lines apart in a field of 24 x 24 sites."""

import numpy as np

import spconv_cy as sp

rng = np.random.default_rng(0)
KINDS = ("ring", "cross", "line")


def drawing(kind):
    """Return the sites (n, 2) of a small drawing, anywhere in the field."""
    t = np.linspace(-1, 1, 40)
    if kind == "ring":
        points = np.column_stack([np.cos(np.pi * t), np.sin(np.pi * t)])
    elif kind == "cross":
        points = np.concatenate([np.column_stack([t, t]), np.column_stack([t, -t])])
    else:
        points = np.column_stack([t, t * rng.uniform(-1, 1)])
    return np.floor(points * rng.uniform(4, 8) + rng.uniform(8, 16, 2)).astype(int)


def samples(n):
    """Return n SparseTensors of one sample each, and their class numbers (n,)."""
    labels = rng.integers(len(KINDS), size=n)
    tensors = []
    for label in labels:
        sites = drawing(KINDS[label])
        sites = np.column_stack([np.zeros(len(sites), int), sites])      # the number of the sample comes first
        tensors.append(sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), size=(24, 24), reduce="max"))
    return tensors, labels


train = sp.data.TensorBatches(*samples(600), batch=50)
test = sp.data.TensorBatches(*samples(200), batch=50)

# Two dimensions, one channel in, three classes out.
net = sp.Sequential(
    sp.Convolution(2, 1, 8, 3, rng=1), sp.ReLU(), sp.MaxPooling(2, 2),
    sp.Convolution(2, 8, 16, 2, rng=2), sp.ReLU(), sp.MaxPooling(2, 2),
    sp.Convolution(2, 16, 32, 2, rng=3), sp.ReLU(),
    sp.GlobalPooling("average"), sp.NetworkInNetwork(32, len(KINDS), rng=4))

history = sp.fit(net, train, sp.Adam(net.parameters(), rate=0.01), epochs=8, rng=5, progress=False)
accuracy = 1 - sp.evaluate(net, test).error

x, labels = next(test.epoch(0, training=False))
print(f"a batch of the test: {x}")
print(f"training loss: {history.losses[0]:.2f} in the first epoch, {history.losses[-1]:.2f} in the last")
print(f"test accuracy: {100 * accuracy:.1f} %")
