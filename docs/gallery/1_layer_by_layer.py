"""A digit through a network.

The strokes of a digit, and the active sites of the input and of each pooling layer, coloured by activity. The network
computes a row of features for these sites and one for all others, however large the field is.
"""

import sys

import spconv_cy as sp

characters, labels = sp.data.digits()
digit = int((labels == 8).nonzero()[0][0])
encoder = sp.data.StrokeEncoder("octogram", size=48, scale=16)
x = sp.SparseTensor.from_sites(*encoder.sites(characters[digit:digit + 1]), size=(48, 48), samples=1)
net = sp.models.deepcnet(l=4, k=10, channels_in=8, classes=10, rng=0).eval()
figure = sp.plot.figure(10, 2.4)
axes = figure.subplots(1, 5)
sp.plot.strokes(axes[0], characters[digit])
axes[0].set_title("strokes")
shown = [("input", x)]
for layer in net.layers:
    x = layer(x)
    if isinstance(layer, sp.MaxPooling):
        shown.append(("pooled", x))
for place, (name, tensor) in zip(axes[1:], shown, strict=False):
    sp.plot.active_sites(place, tensor)
    height, width = tensor.grid.size
    place.set_title(f"{name}: {tensor.grid.n} of {height * width:,} sites", fontsize=9)
figure.savefig(sys.argv[1], dpi=110)
