"""Distortions of a digit in training.

Each epoch sees every character in another affine distortion; here those with the name "affine", of Graham's runs.
Of each epoch the active sites are shown, the brighter the more active.
"""

import sys

import numpy as np

import spconv_cy as sp

characters, labels = sp.data.digits()
digit = int(np.flatnonzero(labels == 3)[0])
data = sp.data.StrokeBatches(characters[digit:digit + 1], labels[digit:digit + 1],
                             sp.data.StrokeEncoder("octogram", size=48, scale=16), augment="affine")
figure = sp.plot.figure(10, 2.3)
axes = figure.subplots(1, 6)
sp.plot.strokes(axes[0], characters[digit])
axes[0].set_title("as drawn", fontsize=9)
for epoch, place in enumerate(axes[1:]):
    ((x, _),) = data.epoch(epoch, training=True)
    sp.plot.active_sites(place, x)
    place.set_title(f"epoch {epoch}", fontsize=9)
figure.savefig(sys.argv[1], dpi=110)
