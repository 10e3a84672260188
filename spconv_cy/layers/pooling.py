"""Pooling over windows, and over whole samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spconv_cy.backend.switch import Part, ops_of
from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional import average_pool, global_pool, leaky_relu, max_pool, sum_pool
from spconv_cy.layers.convolution import checked_site_rule, rules_of
from spconv_cy.layers.inputs import checked_lattice, checked_sparse
from spconv_cy.layers.layer import Layer, Role, WorkingMemory
from spconv_cy.sites import Grid, LatticeLike, Rulebook, Window
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array


class _Pooling(Layer):
    def __init__(self, lattice: LatticeLike, size: int | Sequence[int] | None, stride: int | Sequence[int] | None,
                 dilation: int | Sequence[int], padding: int | Sequence[int], sites: str, size_rule: str, shape: str,
                 taps: Sequence[Sequence[int]] | None, min_active: int) -> None:
        sites = checked_site_rule(self, sites)
        self.window = Window(lattice, size, stride, dilation, padding, sites, size_rule, shape, taps, min_active)

    def rules(self, x: SparseTensor, grid: Grid | None = None) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook) of the window over a SparseTensor, at the sites of `grid` if it is given."""
        checked_lattice(self, x, self.window.lattice)
        return rules_of(x, self.window, grid)

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size that gives `out_size`."""
        return self.window.in_size(out_size)

    def _notation(self, letters: str) -> str:
        size, stride = set(self.window.size), set(self.window.stride)
        plain = (self.window.is_plain and set(self.window.origin) == {0} and set(self.window.dilation) == {1}
                 and self.window.size_rule == "exact")
        if not plain or len(size) > 1 or len(stride) > 1:
            return ""
        side, step = size.pop(), stride.pop()
        return f"{letters}{side}" + (f"/{step}" if step != side else "")


class MaxPooling(_Pooling):
    """Take the maximum over every window that holds an active site.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size: of the window, an int or d ints; None where taps are given.
        stride: an int or d ints; by default the size.
        dilation: an int or d ints, distance of the sites of a window along each axis.
        padding: sites of ground state around a sized field.
        background: "ground": the ground state takes part where a site of the window is not active (with `ground=None`
            active sites only); "zero": max(0, active sites), as in SparseConvNet and spconv.
        size_rule: "exact" raises an error if the stride does not divide the field, "floor" drops the remainder.
        shape, taps: of the window, as for Window: "full", "cross", "ball", "nearest", or a list of taps.
        sites: where outputs are, as for Convolution: "valid", "cell" (floor(site / stride), as in MinkowskiEngine) or
            "centre".
        min_active: number of active sites that a window needs for an output; with fewer it has the ground state.

    A call with a Grid, `layer(x, grid)`, computes outputs at its sites only. On the simplex lattice use overlapping
    windows, size 3 and stride 2: windows of size 2 and stride 2 do not cover every site.

    Of equal maxima the first in offset order gets the gradient, an active site before an equal ground state.

    Source: Graham 2014, arXiv:1409.6070, section 3.
    """

    role = Role.CHANNELWISE | Role.PICKS
    fuses = True

    def __init__(self, lattice: LatticeLike, size: int | Sequence[int] | None = None,
                 stride: int | Sequence[int] | None = None, *, dilation: int | Sequence[int] = 1,
                 padding: int | Sequence[int] = 0, background: str = "ground", size_rule: str = "exact",
                 shape: str = "full", taps: Sequence[Sequence[int]] | None = None, sites: str = "valid",
                 min_active: int = 1) -> None:
        super().__init__(lattice, size, stride, dilation, padding, sites, size_rule, shape, taps, min_active)
        self.background = checked_background(self, background)

    def __call__(self, x: SparseTensor, grid: Grid | None = None) -> SparseTensor:
        """Pool; with a Grid, compute outputs at its sites only."""
        return max_pooled(x, *self.rules(x, grid), background=self.background)

    def activated(self, x: SparseTensor, slope: float) -> SparseTensor:
        """Pool, and apply a leaky ReLU of that slope."""
        return max_pooled(x, *self.rules(x), background=self.background, slope=slope)

    def notation(self) -> str:
        """Return the notation, such as "MP2", "MP3/2"."""
        return self._notation("MP") if self.background == "ground" else ""


class AveragePooling(_Pooling):
    """Average over every window that holds an active site.

    Args:
        over: "volume": all sites of the window, where inactive ones count as the ground state (None: as zero), which
            equals the dense average; "active": the active sites only. The ground state is unchanged.

    Other arguments as for MaxPooling, without `background`.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=1.4, ground=1.2, chained=True)

    def __init__(self, lattice: LatticeLike, size: int | Sequence[int] | None = None,
                 stride: int | Sequence[int] | None = None, *, over: str = "volume",
                 dilation: int | Sequence[int] = 1, padding: int | Sequence[int] = 0, size_rule: str = "exact",
                 shape: str = "full", taps: Sequence[Sequence[int]] | None = None, sites: str = "valid",
                 min_active: int = 1) -> None:
        super().__init__(lattice, size, stride, dilation, padding, sites, size_rule, shape, taps, min_active)
        if not is_one_of(over, ("volume", "active")):
            raise ShapeError(expected("AveragePooling", "over to be 'volume' or 'active'", f"{over!r}"))
        self.over = over

    def __call__(self, x: SparseTensor, grid: Grid | None = None) -> SparseTensor:
        """Pool; with a Grid, compute outputs at its sites only."""
        grid, rulebook = self.rules(x, grid)
        if self.over == "volume":
            return SparseTensor(average_pool(x.features, x.ground, rulebook), grid, x.ground)
        total, empty = sum_pool(x.features, rulebook), rulebook.fan_in == 0
        y = total * column(total, 1 / np.maximum(rulebook.fan_in, 1))
        if x.ground is not None and empty.any():                         # at a given grid's sites
            y = y + column(y, empty) * x.ground
        return SparseTensor(y, grid, x.ground)

    def notation(self) -> str:
        """Return the notation, such as "AP2"."""
        return self._notation("AP") if self.over == "volume" else ""


class SumPooling(_Pooling):
    """Sum over every window that holds an active site, where inactive sites count as the ground state (None: as zero).

    The output's ground state is the ground state times the window's volume, so that the result equals the dense sum.
    Arguments as for MaxPooling, without `background`.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=0.35)

    def __init__(self, lattice: LatticeLike, size: int | Sequence[int] | None = None,
                 stride: int | Sequence[int] | None = None, *, dilation: int | Sequence[int] = 1,
                 padding: int | Sequence[int] = 0, size_rule: str = "exact", shape: str = "full",
                 taps: Sequence[Sequence[int]] | None = None, sites: str = "valid", min_active: int = 1) -> None:
        super().__init__(lattice, size, stride, dilation, padding, sites, size_rule, shape, taps, min_active)

    def __call__(self, x: SparseTensor, grid: Grid | None = None) -> SparseTensor:
        """Pool; with a Grid, compute outputs at its sites only."""
        grid, rulebook = self.rules(x, grid)
        y = sum_pool(x.features, rulebook)
        if x.ground is None:
            return SparseTensor(y, grid)
        if not x.ground_is_zero:
            y = y + column(y, rulebook.volume - rulebook.fan_in) * x.ground
        return SparseTensor(y, grid, x.ground * float(self.window.volume))

    def notation(self) -> str:
        """Return the notation, such as "SP2"."""
        return self._notation("SP")


class GlobalPooling(Layer):
    """Reduce each sample to one row: SparseTensor -> Tensor (b, c).

    Args:
        kind: "average", "sum" or "max".
        over: "active": the active sites only; "field": all sites, where inactive ones count as the ground state
            (None: as zero), which equals the dense result and needs a sized grid.

    A sample without active sites gives the ground state (zeros if there is none).
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(each=5)

    def __init__(self, kind: str = "average", *, over: str = "active") -> None:
        if not is_one_of(kind, ("average", "sum", "max")) or not is_one_of(over, ("active", "field")):
            raise ShapeError(expected("GlobalPooling", "kind 'average', 'sum' or 'max' and over 'active' or 'field'",
                                      f"{kind!r} and {over!r}"))
        self.kind, self.over = kind, over

    def __call__(self, x: SparseTensor) -> Tensor:
        """Return one row for each sample, a Tensor (b, c)."""
        checked_sparse(self, x)
        ground, field = x.ground, None
        if self.over == "field":
            if x.grid.size is None:
                raise ShapeError(expected("GlobalPooling", "a grid with a size, for over='field'", "an unbounded grid",
                                          "use over='active', or give the input a size"))
            field = x.grid.field
            ground = Tensor.of(x.features.data[:0].sum(0, keepdims=True)) if ground is None else ground
        return global_pool(x.features, ground, x.grid.batch_starts, kind=self.kind, field=field)

    def notation(self) -> str:
        """Return "GP" for the plain average."""
        return "GP" if (self.kind, self.over) == ("average", "active") else ""


def max_pooled(x: SparseTensor, grid: Grid, rulebook: Rulebook, *, background: str,
               slope: float | None = None) -> SparseTensor:
    """Return the maxima over windows of a SparseTensor, through a leaky ReLU of that slope unless it is None.

    The background is "ground" or "zero", as for MaxPooling.
    """
    ground = x.ground
    if background == "zero":                                             # maxima with 0 are the same through any slope
        features = max_pool(x.features, None, rulebook, slope=0.0)
        return SparseTensor(features, grid, None if ground is None else leaky_relu(ground, 0.0))
    features = max_pool(x.features, ground, rulebook, slope=slope)
    return SparseTensor(features, grid, ground if ground is None or slope is None else leaky_relu(ground, slope))


def checked_background(layer: object, background: str) -> str:
    """Return the background of a max-pooling; raise ShapeError if it is neither "ground" nor "zero"."""
    if not is_one_of(background, ("ground", "zero")):
        raise ShapeError(expected(type(layer).__name__, "background to be 'ground' or 'zero'", f"{background!r}"))
    return background


def column(rows: Tensor, values: Array) -> Tensor:
    """Return values (m,) as a Tensor (m, 1) of the backend and dtype of rows (m, c)."""
    made = ops_of(rows.data).asarray(np.asarray(values)[:, None], rows.dtype)
    return Tensor.of(rows.data.like(made) if isinstance(rows.data, Part) else made)
