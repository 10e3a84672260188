"""Where the two families have sites.

One stroke through two convolutions; the brighter a site, the more active it is. With a ground state the sites spread,
as they do in a dense network, and all other sites share one row that is computed, too. A submanifold convolution keeps
the sites of its input.
[Which of the two families do I want](../families.md) tells when to take which.
"""

import sys

import numpy as np

import spconv_cy as sp

t = np.linspace(0, 1, 60)
points = np.column_stack([2 + 20 * t, 12 + 8 * np.sin(6 * t)])
columns = [("ground state", "zero", sp.Convolution), ("submanifold, ground=None", None, sp.SubmanifoldConvolution)]
figure = sp.plot.figure(8, 5.2)
axes = figure.subplots(2, 3)
for row, (name, ground, layer) in zip(axes, columns, strict=True):
    x = sp.SparseTensor.from_points(points, np.ones((60, 1)), cell=1, batch=0, size=(24, 24), ground=ground)
    for step, place in enumerate(row):
        sp.plot.active_sites(place, x)
        place.set_title(f"{name}\n{x.grid.n} sites after {step} layer{'s' * (step != 1)}", fontsize=9)
        x = layer(2, x.features.shape[1], 4, 3, rng=step)(x)
figure.savefig(sys.argv[1], dpi=110)
