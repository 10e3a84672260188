"""Layers whose strides vary at random by one site in training, and are regular in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.pooling import MaxPooling
from spconv_cy.sites import Grid, LatticeLike, Rulebook, fractional
from spconv_cy.tensor import SparseTensor
from spconv_cy.types import Seed


class RandomizedStrideConvolution(Convolution):
    """Convolve over windows at random strides in training; in evaluation this is an ordinary Convolution.

    A third of the steps from window to window is one site shorter than the stride, and a third one site longer, in an
    order that is drawn for each sample, axis and call. The last window ends where it does with regular steps. An axis
    of stride 1 stays regular.

    Args:
        lattice: Lattice (the cubic one), or its dimension.
        channels_in, channels_out, size, stride, bias, groups, size_rule: as for Convolution.
        rng: seed or numpy Generator for the weights and the steps; the state for the steps is part of a checkpoint.

    Attributes:
        weight, bias, window: as for Convolution. A Deconvolution or UnPooling of the same window returns to the input's
            sites.

    Raises:
        ShapeError: as for Convolution; at the call in training, a grid without a size.

    Source: SparseConvNet.
    """

    def __init__(self, lattice: LatticeLike, channels_in: int, channels_out: int, size: int | Sequence[int],
                 stride: int | Sequence[int] = 1, *, bias: bool = True, groups: int = 1, size_rule: str = "exact",
                 rng: Seed = None) -> None:
        source = generator(type(self).__name__, rng)
        super().__init__(lattice, channels_in, channels_out, size, stride, bias=bias, groups=groups,
                         size_rule=size_rule, rng=source)
        self.rng = _own(self, source)

    def rules(self, x: SparseTensor, grid: Grid | None = None) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook), drawn at each call in training."""
        return _walked(self, x, grid) if self.training else super().rules(x, grid)

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: (by rows and volume, by pairs, dense or None)."""
        by_rows, _, dense = super().multiply_adds(x, y)
        n_pairs = y.grid.source.rulebook.n_pairs                         # type: ignore[union-attr]
        return by_rows, n_pairs * self.channels_in * self.channels_out // self.groups, dense

    def notation(self) -> str:
        """Return "": the notation of the papers does not have it."""
        return ""


class RandomizedStrideMaxPooling(MaxPooling):
    """Take the maximum over windows at random strides in training; in evaluation this is an ordinary MaxPooling.

    Args:
        lattice: Lattice (the cubic one), or its dimension.
        size, stride, background, size_rule: as for MaxPooling.
        rng: seed or numpy Generator; its state is part of a checkpoint.

    Steps, errors and source are those of RandomizedStrideConvolution.
    """

    def __init__(self, lattice: LatticeLike, size: int | Sequence[int], stride: int | Sequence[int] | None = None, *,
                 background: str = "ground", size_rule: str = "exact", rng: Seed = None) -> None:
        super().__init__(lattice, size, stride, background=background, size_rule=size_rule)
        self.rng = _own(self, generator(type(self).__name__, rng))

    def rules(self, x: SparseTensor, grid: Grid | None = None) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook), drawn at each call in training."""
        return _walked(self, x, grid) if self.training else super().rules(x, grid)

    def notation(self) -> str:
        """Return "": the notation of the papers does not have it."""
        return ""


def _own(layer: Convolution | MaxPooling, rng: np.random.Generator) -> np.random.Generator:
    if layer.window.lattice.kind != "cubic":
        raise ShapeError(expected(type(layer).__name__, "the cubic lattice (steps go along its axes)",
                                  f"{layer.window.lattice}", f"give {layer.window.lattice.d}"))
    return np.random.default_rng(rng.integers(2**63))


def _walked(layer: RandomizedStrideConvolution | RandomizedStrideMaxPooling, x: SparseTensor,
            grid: Grid | None) -> tuple[Grid, Rulebook]:
    checked_sparse(layer, x)
    window = layer.window
    if grid is not None:
        raise ShapeError(expected(f"{layer}", "no grid for the outputs in training (the steps give them)", "a grid",
                                  "call the layer without it"))
    if x.grid.size is None:
        raise ShapeError(expected(f"{layer}", "a grid with a size", "an unbounded grid",
                                  "give the input a size: SparseTensor.from_sites(..., size=...)"))
    if x.grid.lattice != window.lattice:
        raise ShapeError(expected(f"{layer}", f"a grid on {window.lattice}", f"one on {x.grid.lattice}"))
    regions = fractional.draw_steps(layer.rng, window.lattice, x.grid.samples, x.grid.size,
                                    window.out_size(x.grid.size), window.size, window.stride)
    return regions.rules(x.grid, window)
