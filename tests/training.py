"""A short training run, whose losses two backends, or two precisions, must agree on."""

import numpy as np

import spconv_cy as sp


def losses(backend, steps=20, precision="float32"):
    """Train a DeepCNet(2, 4) on 8 of the digits that come with the library; return the loss of each step."""
    characters, labels = (part[:8] for part in sp.data.digits())
    with sp.use(backend), sp.precision(precision):
        encoder = sp.data.StrokeEncoder("octogram", size=12, scale=8).fit(characters)
        x, labels = next(sp.data.StrokeBatches(characters, labels, encoder, batch=8).epoch(0, training=False))
        net = sp.models.deepcnet(2, 4, channels_in=encoder.planes, rng=0)
        optimizer, scale, found = sp.Adam(net.parameters(), rate=0.01), sp.train.LossScale("dynamic"), []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = sp.softmax_cross_entropy(net(x), labels)
            scale.backward(loss)
            assert scale.step(optimizer)
            found.append(float(loss.numpy()))
    return np.array(found)
