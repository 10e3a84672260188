"""A sphere on two lattices.

The same points at the sites of the cubic lattice, and at those of the tetrahedral one, whose windows of size 2
have 4 offsets in place of 8. A ball is a site, the nearer the brighter.
"""

import sys

import numpy as np

import spconv_cy as sp

rng = np.random.default_rng(0)
points = rng.normal(size=(20000, 3))
points *= 9 / np.linalg.norm(points, axis=1, keepdims=True)
figure = sp.plot.figure(8, 4)
lattices = [("cubic", sp.Lattice.cubic(3)), ("tetrahedral", sp.Lattice.simplex(3))]
for axes, (name, lattice) in zip(figure.subplots(1, 2), lattices, strict=True):
    x = sp.SparseTensor.from_points(points, np.ones((len(points), 1)), cell=1, batch=0, ground=None, lattice=lattice)
    sp.plot.in_space(axes, x, ruler=5)
    window = sp.sites.Window(lattice, 2)
    axes.set_title(f"{name}: {x.grid.n:,} sites, windows of {window.volume} offsets", fontsize=10)
figure.savefig(sys.argv[1], dpi=110)
