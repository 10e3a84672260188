"""Layers from coarse sites back to the finer sites that they were made from: inverse convolution and un-pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.sparse import conv, sum_pool
from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_channels, checked_sparse
from spconv_cy.layers.layer import Layer, Role, WorkingMemory
from spconv_cy.sites import Grid, LatticeLike, Rulebook, Window
from spconv_cy.sites.regions import Regions
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Seed

if TYPE_CHECKING:
    from spconv_cy.layers.normalization import BatchNormalization


class Deconvolution(Convolution):
    """Convolve from coarse sites back to the finer sites that a strided window made them from.

    This is the inverse convolution: it uses the rulebook of the earlier layer with inputs and outputs exchanged. Site p
    of the finer grid gets the sum of x[j] @ weight[k] over the pairs (p, j) of every offset k of the earlier window.
    The coarse grid knows the finer grid and the rulebook (`x.grid.source`), so no names or keys are needed. spconv's
    inverse convolution of size 1 stays on the coarse sites instead; a NetworkInNetwork computes that.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels, of the coarse and of the fine sites.
        size, stride, dilation, padding, shape, taps: those of the convolution or pooling that made the coarse sites.
        bias: whether a bias is added at every finer site.
        groups, rng: as for Convolution.

    Attributes: weight, bias and window as for Convolution.

    Raises:
        ShapeError: at the call, the sites were not made by a window, or by another window; the tensor has a ground
            state: a dense transposed convolution would change more sites than the finer ones.

    Source: Graham et al. 2018, arXiv:1711.10275, section 3.

    >>> x = SparseTensor.from_sites([[0, 3], [0, 4]], [[1.0], [2.0]], ground=None)
    >>> Deconvolution(1, 1, 5, 2, 2, rng=0)(Convolution(1, 1, 1, 2, 2, rng=0)(x)).sites.tolist()
    [[0, 3], [0, 4]]
    """

    role = Convolution.role

    def __init__(self, lattice: LatticeLike, channels_in: int, channels_out: int,
                 size: int | Sequence[int] | None = None, stride: int | Sequence[int] = 1, *,
                 dilation: int | Sequence[int] = 1, padding: int | Sequence[int] = 0, bias: bool = True,
                 groups: int = 1, shape: str = "full", taps: Sequence[Sequence[int]] | None = None,
                 rng: Seed = None) -> None:
        window = Window(lattice, size, stride, dilation, padding, shape=shape, taps=taps)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def __call__(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Convolve back to the finer sites."""
        return self.activated(x)

    def activated(self, x: SparseTensor, slope: float | None = None) -> SparseTensor:  # type: ignore[override]
        """Convolve back to the finer sites, and apply a leaky ReLU of that slope unless it is None."""
        features, rulebook, bias, _, grid = self._begun(x)
        return SparseTensor(conv(features, self.weight, rulebook, bias, slope=slope), grid)

    def fused(self, x: SparseTensor, slope: float | None, norm: BatchNormalization | None,
              residual: SparseTensor | None) -> SparseTensor:
        """Convolve back, normalise, add a residual, and apply a leaky ReLU; for the plan of a network."""
        return super().fused(x, slope, norm, residual)

    def _begun(self, x: SparseTensor, grid: Grid | None = None
               ) -> tuple[Tensor, Rulebook, Tensor | None, Tensor | None, Grid]:
        checked_sparse(self, x)
        checked_channels(self, x.channels, self.channels_in)
        fine, rulebook = source_of(self, x)
        return x.features, rulebook.T, self.bias, None, fine

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the coarse field size that belongs to the finer field size `out_size`."""
        return self.window.out_size(out_size)

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: (by coarse rows and volume, by pairs, dense or None)."""
        each = self.channels_in * self.channels_out // self.groups
        sites = x.grid.n_dense
        return (x.grid.n * self.window.volume * each, x.grid.source.rulebook.n_pairs * each,  # type: ignore[union-attr]
                None if sites is None else sites * self.window.volume * each)

    def notation(self) -> str:
        """Return "": the notation of the papers does not have it."""
        return ""


class UnPooling(Layer):
    """Copy the row of each coarse site to the finer sites that it was pooled from; sum them where windows overlap.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size, stride, dilation, padding, shape, taps: those of the pooling or convolution that made the coarse sites;
            the stride is by default the size. Without size and taps the layer accepts whatever made the coarse sites,
            such as the regions of a FractionalMaxPooling.

    Raises:
        ShapeError: as for Deconvolution.

    Source: SparseConvNet.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=0.1)

    def __init__(self, lattice: LatticeLike, size: int | Sequence[int] | None = None,
                 stride: int | Sequence[int] | None = None, *, dilation: int | Sequence[int] = 1,
                 padding: int | Sequence[int] = 0, shape: str = "full",
                 taps: Sequence[Sequence[int]] | None = None) -> None:
        self.window = None
        if size is not None or taps is not None:
            self.window = Window(lattice, size, stride, dilation, padding, shape=shape, taps=taps)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Copy the rows to the finer sites."""
        grid, rulebook = source_of(self, x)
        return SparseTensor(sum_pool(x.features, rulebook.T), grid)

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the coarse field size that belongs to the finer field size `out_size`."""
        if self.window is None:
            raise ShapeError(expected(f"{self}", "a layer with a window", "one that takes it from the coarse sites",
                                      "give the layer the size of the pooling that it undoes"))
        return self.window.out_size(out_size)


def source_of(layer: Deconvolution | UnPooling, x: SparseTensor) -> tuple[Grid, Rulebook]:
    """Return (finer grid, rulebook from it to x's grid) from which x's grid was made.

    Raises:
        ShapeError: no window made the grid, or another window than the layer's; x has a ground state.
    """
    checked_sparse(layer, x)
    refuse_ground(layer, x, "the finer sites have no common ground state")
    who, wanted, source = type(layer).__name__, layer.window, x.grid.source
    if source is None:
        raise ShapeError(expected(who, "sites that a strided convolution or a pooling made", f"{x}",
                                  "give it the output of such a layer, or of layers after it that keep the sites"))
    if wanted is not None and _shape(source.window) != _shape(wanted):
        raise ShapeError(expected(who, f"the window that made the sites, {_shown(source.window)}", _shown(wanted),
                                  f"give the {who} the same window"))
    return source.parent, source.rulebook


def refuse_ground(layer: object, x: SparseTensor, why: str) -> None:
    """Raise ShapeError if a tensor has a ground state that a layer cannot map exactly; `why` gives the reason."""
    if x.ground is not None:
        raise ShapeError(expected(type(layer).__name__, f"a tensor with ground=None ({why})",
                                  f"{x} with a ground state", "begin with ground=None (from_sites, from_points, "
                                  "from_dense), or drop it: x.with_features(x.features, ground=None)"))


def _shape(window):
    if isinstance(window, Regions):
        return window
    return (window.lattice, window.size, window.stride, window.dilation, window.origin, window.shape, window.taps,
            window.kind == "transposed")


def _shown(window):
    if isinstance(window, Regions):
        return repr(window)
    shape = {"full": ""}.get(window.shape, f" {window.shape}") if window.taps is None else f" {len(window.taps)}-tap"
    return (f"a{' transposed' if window.kind == 'transposed' else ''}{shape} window of size {window.size}, stride "
            f"{window.stride}, dilation {window.dilation} and padding {window.origin}")
