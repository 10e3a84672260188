"""Hits of a detector, each with a class.

A U-Net tells the hits of curved tracks from noise, in an event that it was not trained on.
[Segment your own hits](../own_hits.md) has the same step by step.
"""

import sys

import numpy as np

import spconv_cy as sp


def event(seed):
    """Return hits (n, 3) and classes (n,): 1 on one of six helices, 0 for noise."""
    rng = np.random.default_rng(seed)
    hits, labels = [rng.uniform(-8, 8, (300, 3))], [np.zeros(300, int)]
    t = np.linspace(0, 1, 60)
    for start, turn, climb in rng.uniform([0, -2, -7], [6.28, 2, 7], (6, 3)):
        angle = start + turn * t
        track = np.column_stack([8 * t * np.cos(angle), 8 * t * np.sin(angle), climb * t])
        hits.append(track + rng.normal(0, 0.05, track.shape))
        labels.append(np.ones(60, int))
    return np.concatenate(hits), np.concatenate(labels)


def batches(seeds, **options):
    """Return events as batches."""
    hits, labels = zip(*map(event, seeds), strict=True)
    return sp.data.PointBatches(list(hits), None, list(labels), cell=0.5, **options)


net = sp.layers.ToPoints(*sp.models.unet(levels=3, base=8, classes=2, d=3, rng=0))
sp.fit(net, batches(range(20), batch=5), sp.Adam(net.parameters(), 0.01), 8, schedule="cosine", rng=0, progress=False)
result = sp.evaluate(net, batches([100]))
hits, labels = event(100)
figure = sp.plot.figure(10, 4)
for place, (name, classes) in enumerate([("truth", labels), ("U-Net", result.outputs.argmax(1))]):
    axes = figure.add_subplot(1, 2, place + 1, projection="3d")
    for number, (word, colour) in enumerate([("noise", "0.7"), ("track", "tab:blue")]):
        axes.scatter(*hits[classes == number].T, s=4, color=colour, label=word)
    axes.set(xlabel="x, cm", ylabel="y, cm", zlabel="z, cm",
             title=name if not place else f"{name}: {100 * (classes == labels).mean():.1f} % of hits right")
    axes.legend(frameon=False, loc="upper left")
figure.savefig(sys.argv[1], dpi=110)
