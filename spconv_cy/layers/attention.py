"""Attention among the active sites of a window."""

import numpy as np

from spconv_cy.checks import checked_flags, generator
from spconv_cy.errors import ShapeError
from spconv_cy.functional.attention import attend
from spconv_cy.functional.initial import glorot, zeros
from spconv_cy.functional.sparse import conv
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.lattice import as_lattice, per_axis
from spconv_cy.sites.partition import differences
from spconv_cy.sites.rulebook import Rulebook

MOST_POSITIONS = 2**24


class WindowAttention(Layer):
    """Let each active site attend to the active sites of its window, with several heads.

    Windows are blocks of the lattice that lie side by side: site x belongs to window floor((x + shift) / size). Each
    sample has its own. The cost is linear in the pairs of sites that share a window, whatever the window's volume.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        channels: of the input, and of the output.
        heads: number of heads, which must divide the channels.
        size: of a window, an int or d ints.
        shift: by which the windows are moved, an int or d ints; half the size in every second layer lets neighbouring
            windows meet.
        positions: whether each head learns a number for each difference of two sites, which is added to their product.
        bias: whether biases are added to queries, keys, values and output.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight, bias: Tensors (1, c, 3c) and (1, 3c) or None: queries, keys and values, c channels each, the heads one
            after the other.
        weight_out, bias_out: Tensors (1, c, c) and (1, c) or None.
        positions: Tensor (prod(2 * size - 1), heads), by x_i - x_j in lexicographic order; or None.

    Raises:
        ShapeError: at the call, for an input with a ground state, another lattice, other channels.

    Source: Vaswani et al. 2017, arXiv:1706.03762; shifted windows and positions: Liu et al. 2021, arXiv:2103.14030.

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 1], [0, 3], [0, 9]], np.eye(3, 4), ground=None)
    >>> WindowAttention(1, 4, 2, size=4, shift=2, rng=0)(x).features.shape
    (3, 4)
    """

    def __init__(self, lattice, channels, heads, size, *, shift=0, positions=True, bias=True, rng=None):
        channels, heads = checked_counts(self, channels=channels, heads=heads)
        if channels % heads:
            raise ShapeError(f"WindowAttention: {channels} channels and {heads} heads came; the heads must divide the "
                             "channels")
        self.lattice, self.channels, self.heads = as_lattice(lattice), channels, heads
        self.size = per_axis(size, self.lattice.d, "WindowAttention size", 1)
        self.shift = per_axis(shift, self.lattice.d, "WindowAttention shift", None)
        rng = generator("WindowAttention", rng)
        checked_flags("WindowAttention", bias=bias, positions=positions)
        self.weight, self.weight_out = glorot((1, channels, 3 * channels), rng), glorot((1, channels, channels), rng)
        self.bias, self.bias_out = (zeros((1, 3 * channels)), zeros((1, channels))) if bias else (None, None)
        self.positions = zeros((self._n_positions(), heads)) if positions else None

    def _n_positions(self):
        n = int(np.prod([2 * side - 1 for side in self.size], dtype=object))
        if n * self.heads > MOST_POSITIONS:
            raise ShapeError(f"WindowAttention: a window of size {self.size} has {n} differences of sites; at most "
                             f"{MOST_POSITIONS // self.heads} fit {self.heads} heads: use a smaller window, or "
                             "positions=False")
        return n

    def __call__(self, x):
        checked_lattice(self, x, self.lattice)
        if x.ground is not None:
            raise ShapeError(f"{self}: an input with a ground state came, but inactive sites, which attend to nothing, "
                             "would not stay alike; make the input with ground=None")
        checked_channels(self, x.channels, self.channels)
        windows, identity = x.grid.partition(self.size, self.shift), Rulebook.identity(x.grid.n)
        places = None if self.positions is None else [differences(x.sites, rows, self.size) for rows in windows]
        rows = conv(x.features, self.weight, identity, self.bias)
        mixed = attend(rows, self.positions, self.heads, windows, places)
        return x.with_features(conv(mixed, self.weight_out, identity, self.bias_out))

    def multiply_adds(self, x, y):
        """Count by rows and volume, by pairs, and dense."""
        row, pair = 4 * self.channels**2, 2 * self.channels
        volume = int(np.prod(self.size, dtype=object))
        pairs = sum(rows.size * rows.shape[1] for rows in x.grid.partition(self.size, self.shift))
        dense = None if x.grid.size is None else x.grid.samples * x.grid.field * (row + volume * pair)
        return x.grid.n * (row + volume * pair), x.grid.n * row + pairs * pair, dense
