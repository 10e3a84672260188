"""Attention among the active sites of a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spconv_cy.checks import checked_flags, generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.attention import attend, takes_grouped
from spconv_cy.functional.initial import glorot_uniform, zeros
from spconv_cy.functional.sparse import conv
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_lattice
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.lattice import LatticeLike, as_lattice, per_axis
from spconv_cy.sites.partition import differences
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.tensor import SparseTensor
from spconv_cy.types import Seed

MOST_POSITIONS = 2**24


class WindowAttention(Layer):
    """Apply multi-head attention among the active sites of each window.

    Windows are adjacent blocks of the lattice: site x belongs to window floor((x + shift) / size). Each sample has its
    own windows. The cost is linear in the number of pairs of sites in a window, whatever the window's volume.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        channels: of the input, and of the output.
        heads: number of heads, a divisor of the channels.
        size: of a window, an int or d ints.
        shift: offset of the windows, an int or d ints; half the size in every second layer connects neighbouring
            windows.
        positions: whether each head learns a bias for each relative position of two sites, which is added to their
            query-key product.
        bias: whether biases are added to queries, keys, values and output.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight, bias: Tensors (1, c, 3c) and (1, 3c) or None: queries, keys and values, c channels each, head by head.
        weight_out, bias_out: Tensors (1, c, c) and (1, c) or None.
        positions: Tensor (prod(2 * size - 1), heads), by x_i - x_j in lexicographic order; or None.

    Raises:
        ShapeError: at the call, an input with a ground state, another lattice, or other channels.

    Source: Vaswani et al. 2017, arXiv:1706.03762; shifted windows and positions: Liu et al. 2021, arXiv:2103.14030.

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 1], [0, 3], [0, 9]], np.eye(3, 4), ground=None)
    >>> WindowAttention(1, 4, 2, size=4, shift=2, rng=0)(x).features.shape
    (3, 4)
    """

    def __init__(self, lattice: LatticeLike, channels: int, heads: int, size: int | Sequence[int], *,
                 shift: int | Sequence[int] = 0, positions: bool = True, bias: bool = True, rng: Seed = None) -> None:
        channels, heads = checked_counts(self, channels=channels, heads=heads)
        if channels % heads:
            raise ShapeError(expected("WindowAttention", "heads to divide the channels",
                                      f"{channels} channels and {heads} heads"))
        self.lattice, self.channels, self.heads = as_lattice(lattice), channels, heads
        self.size = per_axis(size, self.lattice.d, "WindowAttention size", 1)
        self.shift = per_axis(shift, self.lattice.d, "WindowAttention shift", None)
        rng = generator("WindowAttention", rng)
        checked_flags("WindowAttention", bias=bias, positions=positions)
        self.weight = glorot_uniform((1, channels, 3 * channels), rng)
        self.weight_out = glorot_uniform((1, channels, channels), rng)
        self.bias = zeros((1, 3 * channels)) if bias else None
        self.bias_out = zeros((1, channels)) if bias else None
        self.positions = zeros((self._n_positions(), heads)) if positions else None

    def _n_positions(self) -> int:
        n = int(np.prod([2 * side - 1 for side in self.size], dtype=object))
        if n * self.heads > MOST_POSITIONS:
            raise ShapeError(expected("WindowAttention", f"a window with at most {MOST_POSITIONS // self.heads} "
                                      f"differences of sites for {self.heads} heads", f"{n} of size {self.size}",
                                      "use a smaller window, or positions=False"))
        return n

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Apply attention at the active sites."""
        checked_lattice(self, x, self.lattice)
        if x.ground is not None:
            raise ShapeError(expected(f"{self}", "an input with ground=None (inactive sites attend to nothing)",
                                      "one with a ground state", "make the input with ground=None"))
        checked_channels(self, x.channels, self.channels)
        identity = Rulebook.identity(x.grid.n)
        windows = x.grid.grouped(self.size, self.shift) if takes_grouped(x.features.data) else None
        places = None
        if windows is None:
            windows = x.grid.partition(self.size, self.shift)
            places = None if self.positions is None else [differences(x.sites, rows, self.size) for rows in windows]
        rows = conv(x.features, self.weight, identity, self.bias)
        mixed = attend(rows, self.positions, self.heads, windows, places)
        return x.with_features(conv(mixed, self.weight_out, identity, self.bias_out))

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: (by rows and volume, by pairs, dense or None)."""
        row, pair = 4 * self.channels**2, 2 * self.channels
        volume = int(np.prod(self.size, dtype=object))
        pairs = sum(rows.size * rows.shape[1] for rows in x.grid.partition(self.size, self.shift))
        dense = None if x.grid.n_dense is None else x.grid.n_dense * (row + volume * pair)
        return x.grid.n * (row + volume * pair), x.grid.n * row + pairs * pair, dense
