"""Features of sites interpolated at real points, and features of points distributed onto sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_function, is_integer, is_one_of, kind_of
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.functional.interpolation import corners, weighted_gather, weighted_scatter
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.indexed import indexed
from spconv_cy.sites.points import checked_range, in_cells
from spconv_cy.tensor import SparseTensor, Tensor, as_tensor
from spconv_cy.types import Array, ArrayLike

KINDS = ("linear", "nearest")
TOGETHER = 8                                                             # sites around each point in one look-up


@known_arguments
def interpolate(x: SparseTensor, points: ArrayLike, *, cell: float | Sequence[float] = 1.0, kind: str = "linear",
                centre: float = 0.5, missing: str = "ground", batch: ArrayLike | None = None) -> Tensor:
    """Return the features of a SparseTensor at real points.

    Args:
        x: SparseTensor on a cubic lattice, of any dimension.
        points: (m, 1+d) real numbers, batch index first, or (m, d) with `batch`; they may lie outside the field.
        cell: side of a site, in the points' unit; a number or d numbers.
        kind: "linear": from the 2^d sites around a point, multilinear; "nearest": from the nearest one.
        centre: position of a site inside its cell: 0.5 is the middle, so that `from_points` and "nearest" agree; 0.0
            puts site i at the coordinate i * cell.
        missing: "ground": an inactive site counts as the ground state (None: as zero), so that the result is the
            interpolation of x.to_dense(); "skip": inactive sites are left out and the weights of the active ones are
            scaled to a sum of 1. A point without an active site around it gets the ground state in both cases.
        batch: the batch index of all points, or (m,) of them; None: it is in column 0.

    Returns:
        Tensor (m, c), with gradients to the features and the ground state.

    Raises:
        ShapeError: arguments do not fit.
        GridError: batch indices outside the tensor's samples.

    >>> x = SparseTensor.from_sites([[0, 0], [0, 1]], [[1.0], [3.0]], size=4)
    >>> interpolate(x, [[0, 0.5], [0, 1.0], [0, 2.0]]).data.ravel().tolist()
    [1.0, 2.0, 1.5]
    >>> interpolate(x, [[0, 0.5], [0, 1.0], [0, 2.0]], missing="skip").data.ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    if not isinstance(x, SparseTensor):
        raise TypeError(expected("interpolate", "a SparseTensor", kind_of(x)))
    if not is_one_of(missing, ("ground", "skip")):
        raise ShapeError(expected("interpolate", "missing to be 'ground' or 'skip'", f"{missing!r}"))
    _, low, ups, weights = _around("interpolate", indexed("interpolate", points, batch, x), cell, kind, centre)
    rows = _rows_in("interpolate", x.grid, low, ups)
    weights[rows < 0] = 0
    total = weights.sum(0)
    rest = 1 - total
    if missing == "skip":
        rest = (total <= 0).astype(float)
        weights /= np.where(total > 0, total, 1)
    return weighted_gather(x.features, x.ground, rows, weights, rest)


@known_arguments
def splat(points: ArrayLike, features: Tensor | ArrayLike, *, cell: float | Sequence[float] = 1.0,
          kind: str = "linear", centre: float = 0.5, reduce: str = "sum", size: int | Sequence[int] | None = None,
          samples: int | None = None, batch: ArrayLike | None = None, grid: Grid | None = None,
          ground: str | None = "zero") -> SparseTensor:
    """Distribute features of real points onto the sites around them: the adjoint of `interpolate`.

    Args:
        points: (n, 1+d) real numbers, batch index first; (n, d) if `batch` is given.
        features: (n, c), an array or a Tensor.
        cell, kind, centre, batch: as for interpolate.
        reduce: "sum" of what a site gets, or the weighted "mean".
        size, samples: of the field, as for SparseTensor.from_sites; contributions to sites outside are dropped.
        grid: Grid whose sites are the result's, in place of size and samples; contributions to other sites are dropped,
            and a site without contributions has zeros.
        ground: "zero" or None, as for SparseTensor.from_sites.

    Returns:
        SparseTensor, with gradients to the features.

    Raises:
        ShapeError: arguments do not fit.
        GridError: a point whose own cell is outside the size; batch indices out of range.

    >>> x = splat([[0, 1.0], [0, 2.5]], [[8.0], [1.0]])
    >>> x.sites.tolist(), x.features.data.ravel().tolist()
    ([[0, 0], [0, 1], [0, 2]], [4.0, 4.0, 1.0])
    """
    features = as_tensor(features)
    given = indexed("splat", points, batch, samples, grid, None if is_integer(size) else size)
    places, low, ups, weights = _around("splat", given, cell, kind, centre)
    if features.data.ndim != 2 or len(features) != len(places):
        raise ShapeError(expected("splat", f"features ({len(places)}, channels), one row for each point",
                                  f"{features.shape}"))
    if not is_one_of(reduce, ("sum", "mean")) or not (ground is None or isinstance(ground, str) and ground == "zero"):
        raise ShapeError(expected("splat", "reduce 'sum' or 'mean' and ground 'zero' or None",
                                  f"{reduce!r} and {ground!r}"))
    if grid is None:
        grid, rows = _made_of(places, low, ups, weights, size, samples)
    elif size is not None or samples is not None:
        raise ShapeError(expected("splat", "a grid, or size and samples", "both", "leave one of them out"))
    else:
        rows = _rows_in("splat", grid, low, ups)
    if reduce == "mean":
        there = rows >= 0
        total = np.bincount(rows[there], weights[there], minlength=grid.n)
        weights = weights / np.append(np.where(total > 0, total, 1), 1)[rows]
    ops = ops_of(features.data)
    row = None if ground is None else Tensor.of(ops.xp.zeros((1, features.shape[1]), features.dtype))
    return SparseTensor(weighted_scatter(features, rows, weights, grid.n), grid, row)


@known_arguments
def apply_to_points(net: Callable[[SparseTensor], Any], points: ArrayLike, features: Tensor | ArrayLike, *,
                    cell: float | Sequence[float] = 1.0, size: int | Sequence[int] | None = None,
                    samples: int | None = None, batch: ArrayLike | None = None, kind: str = "linear",
                    ground: str | None = None) -> Tensor:
    """Apply a network to the features of points: averaged onto sites, through the network, interpolated at the points.

    Args:
        net: Layer, SparseTensor -> SparseTensor on the same sites.
        points: (n, 1+d) real numbers, batch index first; (n, d) if `batch` is given.
        features: (n, c), an array or a Tensor.
        cell: side of a site, in the points' unit.
        size, samples, batch, ground: of the sites, as for SparseTensor.from_sites.
        kind: of the interpolation, "linear" over the active sites around a point, or "nearest".

    Returns:
        Tensor (n, o), with gradients to the features and the network.

    Raises:
        ShapeError: the network changed the sites; also as for splat and interpolate.

    Source: Liu et al. 2019, "Point-voxel CNN", arXiv:1907.03739.
    """
    checked_function("apply_to_points", net, "net to be a Layer, or a function of a SparseTensor")
    x = splat(points, features, cell=cell, kind="nearest", reduce="mean", size=size, samples=samples, batch=batch,
              ground=ground)
    y = net(x)
    if not isinstance(y, SparseTensor) or y.grid is not x.grid:
        raise ShapeError(expected("apply_to_points", "a network that keeps the sites", f"one that gave {y} for {x}",
                                  "call splat, the network and interpolate with the cell of its output"))
    return interpolate(y, points, cell=cell, kind=kind, missing="skip", batch=batch)


def _around(who: str, points: ArrayLike, cell: float | Sequence[float], kind: str,
            centre: float) -> tuple[Array, Array, Array, Array]:
    """Return points (n, 1+d) in cells, and the sites low (n, 1+d) + up (k, 1+d) around them with weights (k, n)."""
    if not is_one_of(kind, KINDS):
        raise ShapeError(expected(who, "kind to be 'linear' or 'nearest'", f"{kind!r}"))
    if isinstance(centre, bool) or not isinstance(centre, (int, float)) or not 0 <= centre < 1:
        raise ShapeError(expected(who, "centre to be a number from 0 to below 1", f"{centre!r}"))
    places = in_cells(points, cell, who)
    if places.shape[1] > 9:
        raise ShapeError(expected(who, "points of 1 to 8 dimensions", f"shape {places.shape}"))
    checked_range(np.abs(places) + 2, who)
    low, ups, weights = corners(places[:, 1:] - centre, kind)
    low = np.column_stack([places[:, 0].astype(np.int64), low])
    return places, low, np.column_stack([np.zeros(len(ups), np.int64), ups]), weights


def _rows_in(who: str, grid: Grid, low: Array, ups: Array) -> Array:
    """Return the row (k, n) of each site in a grid, -1 for sites that are not active."""
    if not isinstance(grid, Grid):
        raise TypeError(expected(who, "grid to be a Grid", kind_of(grid)))
    if grid.lattice.kind != "cubic" or low.shape[1] != grid.d + 1:
        raise ShapeError(expected(who, f"points (n, {grid.d + 1}) and sites of the cubic lattice",
                                  f"points {low.shape} and sites of {grid.lattice}"))
    batch = low[:, 0]
    if len(batch) and not 0 <= batch.min() <= batch.max() < grid.samples:
        raise GridError(expected(who, f"batch indices from 0 to {grid.samples - 1}", f"{batch.min()} to {batch.max()}"))
    near, width = low.astype(np.int32), low.shape[1]                     # the caller has checked their range
    rows = [grid.rows_of((near + some[:, None]).reshape(-1, width)).reshape(len(some), -1)
            for some in np.split(ups.astype(np.int32), range(TOGETHER, len(ups), TOGETHER))]
    return np.concatenate(rows)


def _made_of(places: Array, low: Array, ups: Array, weights: Array, size: int | Sequence[int] | None,
             samples: int | None) -> tuple[Grid, Array]:
    """Return (grid, rows (k, n)) of the sites with contributions, inside a field if there is one."""
    own, _ = Grid.arrange(np.floor(places).astype(np.int64), size, samples)      # same errors as from_points
    sites, got = low + ups[:, None], weights > 0
    if own.size is not None:
        got &= ((sites[..., 1:] >= 0) & (sites[..., 1:] < np.array(own.size))).all(-1)
    grid, found = Grid.arrange(sites[got], own.size, own.samples)
    rows = np.full(got.shape, -1, np.int32)
    rows[got] = found
    return grid, rows
