"""A training run and its errors.

The history that `sp.fit` returns, and what the network takes for what: 300 pen digits to train on, 300 others to test.
"""

import sys

import numpy as np

import spconv_cy as sp

characters, labels = sp.data.digits()
chosen = np.random.default_rng(0).permutation(len(characters))[:600]
encoder = sp.data.StrokeEncoder("octogram", size=24, scale=8)
train, test = (sp.data.StrokeBatches([characters[i] for i in part], labels[part], encoder, batch=50, augment=augment)
               for part, augment in [(chosen[:300], "mild"), (chosen[300:], "none")])
net = sp.models.deepcnet(l=3, k=10, channels_in=8, classes=10, rng=0)
history = sp.fit(net, train, sp.Adam(net.parameters(), 0.005), 15, validation=test, schedule="cosine", rng=0,
                 progress=False)
result = sp.evaluate(net, test)
figure = sp.plot.figure(10, 4.2)
left, right = figure.subplots(1, 2)
sp.plot.training_curve(left, history)
sp.plot.confusion(right, result.confusion, [str(digit) for digit in range(10)])
left.set_title("training")
right.set_title(f"{100 * result.error:.1f} % of the test digits misread")
figure.savefig(sys.argv[1], dpi=110)
