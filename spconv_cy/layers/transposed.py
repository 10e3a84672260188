"""Transposed convolution: it creates the sites that windows over the finer grid would cover."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.restoring import refuse_ground
from spconv_cy.sites import Grid, LatticeLike, Rulebook, Window
from spconv_cy.tensor import SparseTensor
from spconv_cy.types import Seed


class TransposedConvolution(Convolution):
    """Spread every active site j over the sites `stride * j + dilation * tap - padding`, all of which become active.

    Output p is the sum of x[j] @ weight[k] over the active sites j with p = stride * j + dilation * tap_k - padding:
    the adjoint of a Convolution with the same window, and the dense transposed convolution over a zero background. A
    field of n sites becomes one of (n - 1) * stride + dilation * (size - 1) + 1 - 2 * padding + output_padding.
    Generative networks prune the new sites (`Sparsify`, `KeepTop`). A call with a Grid, `layer(x, grid)`, computes at
    its sites only.

    With `sites="source"` the outputs are at the finer sites from which earlier layers made those of the input, as in
    MinkowskiEngine's U-Nets. The earlier windows may have any size, but the product of their strides must be the stride
    of this layer.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels.
        size, stride, dilation, shape, taps: of the window, as for Convolution.
        padding: sites cut off on every face of the new field.
        output_padding: sites added at the end of each axis of the new field, an int or d ints.
        size_rule: "exact", or "undilated" as in spconv, which leaves the dilation out of the new field's size: it is
            (n - 1) * stride + size - 2 * padding + output_padding.
        bias: whether a bias is added at every new site.
        sites: where outputs are: "reached" (every site that a window reaches) or "source" (the finer sites that the
            grid stores, see above).
        groups, rng: as for Convolution.

    Attributes: weight, bias and window as for Convolution.

    Raises:
        ShapeError: arguments do not fit together; at the call, the channels do not fit, the tensor has a ground state
            (different new sites would get it through different weights), or for sites="source" no earlier layers with
            this stride made the sites.

    Source: MinkowskiEngine (generative transposed convolution); SparseConvNet (full convolution).

    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 0, 1]], [[1.0]], size=3, ground=None)
    >>> y = TransposedConvolution(2, 1, 4, 2, 2, rng=0)(x)
    >>> y.grid.size, y.sites[:, 1:].tolist()
    ((6, 6), [[0, 2], [0, 3], [1, 2], [1, 3]])
    """

    role = Convolution.role

    def __init__(self, lattice: LatticeLike, channels_in: int, channels_out: int,
                 size: int | Sequence[int] | None = None, stride: int | Sequence[int] = 1, *,
                 dilation: int | Sequence[int] = 1, padding: int | Sequence[int] = 0, bias: bool = True,
                 groups: int = 1, shape: str = "full", taps: Sequence[Sequence[int]] | None = None,
                 output_padding: int | Sequence[int] = 0, size_rule: str = "exact", sites: str = "reached",
                 rng: Seed = None) -> None:
        if not is_one_of(sites, ("reached", "source")):
            raise ShapeError(expected("TransposedConvolution", "sites to be 'reached' or 'source'", f"{sites!r}"))
        if not is_one_of(size_rule, ("exact", "undilated")):
            raise ShapeError(expected("TransposedConvolution", "size_rule to be 'exact' or 'undilated'",
                                      f"{size_rule!r}"))
        self.sites = sites
        window = Window(lattice, size, stride, dilation, padding, "transposed", size_rule, shape, taps,
                        output_padding=output_padding)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def activated(self, x: SparseTensor, slope: float | None = None, grid: Grid | None = None) -> SparseTensor:
        """Compute the new sites, and apply a leaky ReLU of that slope unless it is None."""
        checked_sparse(self, x)
        refuse_ground(self, x, "new sites get the ground state through different weights")
        return super().activated(x, slope, grid)

    def rules(self, x: SparseTensor, grid: Grid | None = None) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook) of the window over a SparseTensor, at the sites of `grid` if it is given."""
        return super().rules(x, self._source(x) if grid is None and self.sites == "source" else grid)

    def _source(self, x: SparseTensor) -> Grid:
        """Return the finer grid from which earlier windows, with this layer's stride in all, made the sites of x."""
        grid, stride, passed = x.grid, self.window.stride, (1,) * x.grid.d
        while passed != stride:
            source, beyond = grid.source, max(passed) > max(stride)
            if source is None or beyond or not isinstance(source.window, Window) or source.window.kind == "transposed":
                raise ShapeError(expected("TransposedConvolution", "sites that convolutions or pools made with strides "
                                          f"whose product is {stride}", f"{x}, made with {passed}",
                                          "use sites='reached', or give the finer grid: layer(x, grid)"))
            grid, passed = source.parent, tuple(a * b for a, b in zip(passed, source.window.stride, strict=True))
        return grid

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size that gives `out_size`; for sites="source" the number of strides in it, rounded up."""
        if self.sites == "source":
            return tuple(-(-n // s) for n, s in zip(self.window.lattice.per_axis(out_size, "in_size", 1),
                                                    self.window.stride, strict=True))
        return super().in_size(out_size)

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: (by input rows and volume, by pairs, dense or None)."""
        each = self.channels_in * self.channels_out // self.groups
        sites = x.grid.n_dense
        rows = x.grid.n * self.window.volume
        pairs = rows if self.sites == "reached" else x.grid.rules_to(self.window, y.grid).n_pairs
        return rows * each, pairs * each, None if sites is None else sites * self.window.volume * each

    def notation(self) -> str:
        """Return "": the notation of the papers does not have it."""
        return ""
