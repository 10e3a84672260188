"""Convolutions: a window and its weights."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from spconv_cy.checks import checked_flags, generator, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import as_tensor, leaky_relu, subtract_row
from spconv_cy.functional.initial import glorot_uniform, zeros
from spconv_cy.functional.sparse import conv, conv_grounded, takes_ground
from spconv_cy.layers.convolved import convolved
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_lattice, checked_rows, checked_sparse
from spconv_cy.layers.layer import Activated, Role
from spconv_cy.layers.rows import added, can_add
from spconv_cy.sites import Grid, LatticeLike, Rulebook, Window
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import ArrayLike, Seed

if TYPE_CHECKING:
    from spconv_cy.layers.normalization import BatchNormalization

MIXING = Role.ACTIVATES | Role.MIXES


class Convolution(Activated):
    """Convolve over every window that holds an active site.

    An inactive site inside a window counts as the ground state, so the result equals the dense convolution of
    x.to_dense() up to rounding, and the output's ground state is the dense value of a window without active sites.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels.
        size: of the window, an int or d ints; None where taps are given.
        stride: an int or d ints.
        dilation: an int or d ints.
        padding: sites of ground state around a sized field, an int or d ints.
        bias: whether a bias is added.
        groups: number of groups; channels of different groups do not mix.
        size_rule: "exact" raises an error if the stride does not divide the field, "floor" drops the remainder.
        shape: of the window: "full", "cross", "ball", "nearest"; as for Window.
        taps: a list of taps, d ints each, in place of size and shape; as for Window.
        sites: where outputs are computed: "valid" (every window with an active site), "cell" (floor(site / stride)) or
            "centre" (the window's middle is active). With the last two, outputs elsewhere have the ground state by
            definition; a dense network computes other values there.
        min_active: number of active sites that a window needs for an output; with fewer it has the ground state.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight: Tensor (k, c, o), or (k, g, c/g, o/g) with groups; offsets in lexicographic order, last axis fastest.
        bias: Tensor (1, o), or None.
        window: Window.

    Raises:
        ShapeError: arguments do not fit together; at the call, the channels or the field do not fit.

    Source: Graham 2014, arXiv:1409.6070, section 3.
    """

    fuses = True

    @property
    def role(self) -> Role:  # type: ignore[override]
        """Return what the plan of a network may assume."""
        return MIXING if self.weight.data.ndim == 3 else Role.ACTIVATES

    def __init__(self, lattice: LatticeLike, channels_in: int, channels_out: int,
                 size: int | Sequence[int] | None = None, stride: int | Sequence[int] = 1, *,
                 dilation: int | Sequence[int] = 1, padding: int | Sequence[int] = 0, bias: bool = True,
                 groups: int = 1, size_rule: str = "exact", shape: str = "full",
                 taps: Sequence[Sequence[int]] | None = None, sites: str = "valid", min_active: int = 1,
                 rng: Seed = None) -> None:
        sites = checked_site_rule(self, sites)
        window = Window(lattice, size, stride, dilation, padding, sites, size_rule, shape, taps, min_active)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def _begin(self, window: Window, channels_in: int, channels_out: int, bias: bool, groups: int, rng: Seed) -> None:
        channels_in, channels_out, groups = checked_counts(self, channels_in=channels_in, channels_out=channels_out,
                                                           groups=groups)
        checked_flags(type(self).__name__, bias=bias)
        if channels_in % groups or channels_out % groups:
            raise ShapeError(expected(type(self).__name__, "groups to divide both numbers of channels",
                                      f"{channels_in} channels in, {channels_out} out and {groups} groups"))
        self.window, self.channels_in, self.channels_out, self.groups = window, channels_in, channels_out, groups
        shape = (window.volume, channels_in // groups, channels_out // groups)
        rng = None if rng is None else generator(type(self).__name__, rng)      # loaded weights need none
        self.weight = glorot_uniform(shape if groups == 1 else (shape[0], groups, *shape[1:]), rng)
        self.bias: Tensor | None = zeros((1, channels_out)) if bias else None

    def __call__(self, x: SparseTensor, grid: Grid | None = None) -> SparseTensor:
        """Convolve; with a Grid, compute outputs at its sites only."""
        return self.activated(x) if grid is None else self.activated(x, grid=grid)

    def activated(self, x: SparseTensor, slope: float | None = None, grid: Grid | None = None) -> SparseTensor:
        """Convolve, and apply a leaky ReLU of that slope unless it is None."""
        if isinstance(x, SparseTensor) and x.ground is not None and x.channels == self.channels_in and takes_ground(
                x.features, x.ground, self.weight, self.bias):
            made, rulebook = self.rules(x, grid)
            y, state = conv_grounded(x.features, x.ground, self.weight, rulebook, self.bias, slope)
            return SparseTensor(y, made, state, x.point_rows if made is x.grid else None)
        features, rulebook, bias, ground, grid = self._begun(x, grid)
        y = conv(features, self.weight, rulebook, bias, slope=slope)
        if ground is not None and slope is not None:
            ground = leaky_relu(ground, slope)
        return SparseTensor(y, grid, ground, x.point_rows if grid is x.grid else None)

    def fused(self, x: SparseTensor, slope: float | None, norm: BatchNormalization | None,
              residual: SparseTensor | None) -> SparseTensor:
        """Convolve, normalise, add a residual, and apply a leaky ReLU; for the plan of a network.

        Args:
            x: SparseTensor.
            slope: of the leaky ReLU, or None.
            norm: BatchNormalization or None.
            residual: SparseTensor or None.
        """
        features, rulebook, bias, ground, grid = self._begun(x, None)
        if residual is not None and not can_add(residual, x, (rulebook.n_out, self.channels_out), grid):
            return added(self.fused(x, None, norm, None), residual, slope)
        y, ground = convolved(features, self.weight, rulebook, bias, ground, slope, norm, residual)
        return SparseTensor(y, grid, ground, x.point_rows if grid is x.grid else None)

    def _begun(self, x: SparseTensor, grid: Grid | None
               ) -> tuple[Tensor, Rulebook, Tensor | None, Tensor | None, Grid]:
        """Return (features minus their ground state, rulebook, bias, ground state and grid of the result)."""
        checked_sparse(self, x)
        checked_channels(self, x.channels, self.channels_in)
        grid, rulebook = self.rules(x, grid)
        if x.ground is None:
            return x.features, rulebook, self.bias, None, grid
        ground = conv(x.ground, self.weight, rulebook.ground, self.bias)
        features = x.features if x.ground_is_zero else subtract_row(x.features, x.ground)
        return features, rulebook, ground, ground, grid

    def rules(self, x: SparseTensor, grid: Grid | None = None) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook) of the window over a SparseTensor, at the sites of `grid` if it is given."""
        checked_lattice(self, x, self.window.lattice)
        return rules_of(x, self.window, grid)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the constructor's arguments, with `bias` as it is now."""
        return arguments_now(self, *super().arguments())

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size that gives `out_size`."""
        return self.window.in_size(out_size)

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: (by rows and volume, by pairs, dense or None)."""
        each = self.channels_in * self.channels_out // self.groups
        sites = y.grid.n_dense
        _, rulebook = x.grid.rules(self.window)
        return (y.grid.n * self.window.volume * each, rulebook.n_pairs * each,
                None if sites is None else sites * self.window.volume * each)

    def notation(self) -> str:
        """Return the notation, such as "32C3" or "32C3/2" with a stride; "" if it cannot express the layer."""
        size, stride = set(self.window.size), set(self.window.stride)
        plain = (self.window.is_plain and len(size) == len(stride) == 1 and set(self.window.dilation) == {1}
                 and self.groups == 1 and self.bias is not None and self.window.size_rule == "exact"
                 and (self.window.keeps_sites or set(self.window.origin) == {0}))
        if not plain:
            return ""
        step = stride.pop()
        letter = "SC" if self.window.keeps_sites else "C"
        return f"{self.channels_out}{letter}{size.pop()}" + (f"/{step}" if step > 1 else "")


class SubmanifoldConvolution(Convolution):
    """Convolve at the input's own active sites only.

    With `ground=None` inactive sites count as zero. With a ground state the same expression as in `Convolution` is
    computed at the active sites. Elsewhere the result is the new ground state by definition; a dense network computes
    other values there.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        channels_in, channels_out: number of channels.
        size: of the centred window, by default 3; an even size reaches one site further on the low side.
        dilation, bias, groups, shape, rng: as for Convolution. Shape "nearest" on the simplex lattice is the
            permutohedral convolution.
        taps: a list of taps, d ints each, relative to the site itself, in place of size and shape.

    Source: Graham and van der Maaten 2017, arXiv:1706.01307.
    """

    def __init__(self, lattice: LatticeLike, channels_in: int, channels_out: int,
                 size: int | Sequence[int] | None = None, *, dilation: int | Sequence[int] = 1, bias: bool = True,
                 groups: int = 1, shape: str = "full", taps: Sequence[Sequence[int]] | None = None,
                 rng: Seed = None) -> None:
        size = 3 if size is None and taps is None else size
        window = Window(lattice, size, 1, dilation, 0, "submanifold", shape=shape, taps=taps)
        self._begin(window, channels_in, channels_out, bias, groups, rng)


def checked_site_rule(layer: object, sites: str) -> str:
    """Return the rule of a layer's output sites; raise ShapeError if it is not "valid", "cell" or "centre"."""
    if not is_one_of(sites, ("valid", "cell", "centre")):
        raise ShapeError(expected(type(layer).__name__, "sites to be 'valid', 'cell' or 'centre'", f"{sites!r}"))
    return sites


def rules_of(x: SparseTensor, window: Window, grid: Grid | None = None) -> tuple[Grid, Rulebook]:
    """Return (output grid, rulebook) of a window over a SparseTensor, at the sites of `grid` if it is given."""
    return x.grid.rules(window) if grid is None else (grid, x.grid.rules_to(window, grid))


def arguments_now(layer: Convolution | NetworkInNetwork, arguments: tuple[Any, ...], options: dict[str, Any],
                  ) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a layer that got or lost a bias after it was made, as by folding, for repr and files."""
    bias = inspect.signature(type(layer).__init__).parameters.get("bias")
    has_bias = layer.bias is not None
    if bias is None or options.get("bias", bias.default) is has_bias:
        return arguments, options
    others = {name: value for name, value in options.items() if name != "bias"}
    return arguments, others if bias.default is has_bias else {**others, "bias": has_bias}


class NetworkInNetwork(Activated):
    """Multiply each row by one matrix: a convolution of size 1, or a linear layer.

    Args:
        channels_in, channels_out: number of channels.
        bias: whether a bias is added.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight: Tensor (1, c, o).
        bias: Tensor (1, o), or None.

    It takes a SparseTensor, or a Tensor or array (b, c).

    Source: Lin et al. 2013, arXiv:1312.4400.
    """

    role = MIXING
    fuses = True

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = True, rng: Seed = None) -> None:
        channels_in, channels_out = checked_counts(self, channels_in=channels_in, channels_out=channels_out)
        checked_flags("NetworkInNetwork", bias=bias)
        self.channels_in, self.channels_out = channels_in, channels_out
        self.weight = glorot_uniform((1, channels_in, channels_out),
                                     None if rng is None else generator("NetworkInNetwork", rng))
        self.bias = zeros((1, channels_out)) if bias else None

    @overload
    def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @overload
    def __call__(self, x: Tensor | ArrayLike) -> Tensor: ...

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Multiply the rows of a SparseTensor, or rows (b, c)."""
        return self.activated(x)

    def activated(self, x: SparseTensor | Tensor | ArrayLike, slope: float | None = None) -> SparseTensor | Tensor:
        """Multiply, and apply a leaky ReLU of that slope unless it is None."""
        if not isinstance(x, SparseTensor):
            return self._rows(as_tensor(x), slope)
        ground = None if x.ground is None else self._rows(x.ground, slope)
        return x.with_features(self._rows(x.features, slope), ground)

    def fused(self, x: SparseTensor | Tensor | ArrayLike, slope: float | None, norm: BatchNormalization | None,
              residual: SparseTensor | Tensor | None) -> SparseTensor | Tensor:
        """Multiply, normalise, add a residual, and apply a leaky ReLU; for the plan of a network."""
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        rows, ground = (x.features, x.ground) if isinstance(x, SparseTensor) else (x, None)
        checked_rows(self, rows, self.channels_in)
        if residual is not None and not can_add(residual, x, (len(rows), self.channels_out)):
            return added(self.fused(x, None, norm, None), residual, slope)
        ground = None if ground is None else self._rows(ground, None)
        y, ground = convolved(rows, self.weight, Rulebook.identity(len(rows)), self.bias, ground, slope, norm, residual)
        return x.with_features(y, ground) if isinstance(x, SparseTensor) else y

    def _rows(self, x: Tensor, slope: float | None) -> Tensor:
        checked_rows(self, x, self.channels_in)
        return conv(x, self.weight, Rulebook.identity(len(x)), self.bias, slope=slope)

    def multiply_adds(self, x: SparseTensor | Tensor, y: SparseTensor | Tensor) -> tuple[int, int, int | None]:
        """Return the multiply-adds that gave y for x: by rows twice, and dense over all sites of the field."""
        each = self.channels_in * self.channels_out
        if not isinstance(y, SparseTensor):
            return (len(y) * each,) * 3
        dense = None if y.grid.n_dense is None else y.grid.n_dense * each
        return y.grid.n * each, y.grid.n * each, dense

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the constructor's arguments, with `bias` as it is now."""
        return arguments_now(self, *super().arguments())

    def notation(self) -> str:
        """Return the notation, such as "32C1"; "" without a bias."""
        return f"{self.channels_out}C1" if self.bias is not None else ""
