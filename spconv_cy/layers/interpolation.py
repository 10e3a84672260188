"""Between sites and real points: features of sites read at points, and features of points laid onto sites."""

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_function, is_one_of
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.functional.dense import as_tensor
from spconv_cy.functional.interpolation import corners, weighted_gather, weighted_scatter
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.points import checked_range, in_cells
from spconv_cy.tensor import SparseTensor

KINDS = ("linear", "nearest")


def interpolate(x, points, *, cell=1.0, kind="linear", centre=0.5, missing="ground"):
    """Read the features of a SparseTensor at real points.

    Args:
        x: SparseTensor on a cubic lattice, of any dimension.
        points: (m, 1+d) real numbers, batch index first; anywhere, outside the field too.
        cell: side of a site, in the points' unit; a number or d numbers.
        kind: "linear": from the 2^d sites around a point, multilinear; "nearest": from the nearest one.
        centre: where in its cell a site has its features: 0.5, the middle, so that `from_points` and "nearest" agree;
            0.0 puts site i at the coordinate i * cell.
        missing: an inactive site counts as the "ground" state (None: as zero), so that the result is the interpolation
            of x.to_dense(); or is left out ("skip"): the weights of the active ones are scaled to a sum of 1. A point
            without an active site around it has the ground state in either case.

    Returns:
        Tensor (m, c), with gradients to the features and the ground state.

    Raises:
        ShapeError, GridError: arguments that do not fit.

    >>> x = SparseTensor.from_sites([[0, 0], [0, 1]], [[1.0], [3.0]], size=4)
    >>> interpolate(x, [[0, 0.5], [0, 1.0], [0, 2.0]]).data.ravel().tolist()
    [1.0, 2.0, 1.5]
    >>> interpolate(x, [[0, 0.5], [0, 1.0], [0, 2.0]], missing="skip").data.ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    if not isinstance(x, SparseTensor):
        raise TypeError(f"interpolate: a {type(x).__name__} came; a SparseTensor fits")
    if not is_one_of(missing, ("ground", "skip")):
        raise ShapeError(f"interpolate: missing {missing!r} came; 'ground' or 'skip' fit")
    _, low, ups, weights = _around("interpolate", points, cell, kind, centre)
    rows = _rows_in("interpolate", x.grid, low, ups)
    weights[rows < 0] = 0
    total = weights.sum(0)
    rest = 1 - total
    if missing == "skip":
        rest = (total <= 0).astype(float)
        weights /= np.where(total > 0, total, 1)
    return weighted_gather(x.features, x.ground, rows, weights, rest)


def splat(points, features, *, cell=1.0, kind="linear", centre=0.5, reduce="sum", size=None, samples=None, grid=None,
          ground="zero"):
    """Lay features of real points onto the sites around them: the adjoint of `interpolate`.

    Args:
        points: (n, 1+d) real numbers, batch index first.
        features: (n, c), an array or a Tensor.
        cell, kind, centre: as for interpolate.
        reduce: "sum" of a site's shares, or their weighted "mean".
        size, samples: of the field, as for SparseTensor.from_sites; what a point gives to sites outside is left out.
        grid: Grid whose sites are the result's, in place of size and samples; what falls on no site of it is left out,
            and a site that gets nothing has zeros.
        ground: "zero" or None, as for SparseTensor.from_sites.

    Returns:
        SparseTensor, with gradients to the features.

    Raises:
        ShapeError, GridError: arguments that do not fit; a point whose own cell is outside the size.

    >>> x = splat([[0, 1.0], [0, 2.5]], [[8.0], [1.0]])
    >>> x.sites.tolist(), x.features.data.ravel().tolist()
    ([[0, 0], [0, 1], [0, 2]], [4.0, 4.0, 1.0])
    """
    features = as_tensor(features)
    places, low, ups, weights = _around("splat", points, cell, kind, centre)
    if features.data.ndim != 2 or len(features) != len(places):
        raise ShapeError(f"splat: features {features.shape} came with {len(places)} points; ({len(places)}, channels) "
                         "fits, a row for each")
    if not is_one_of(reduce, ("sum", "mean")) or not (ground is None or isinstance(ground, str) and ground == "zero"):
        raise ShapeError(f"splat: reduce {reduce!r} and ground {ground!r} came; 'sum' or 'mean', and 'zero' or None, "
                         "fit")
    if grid is None:
        grid, rows = _made_of(places, low, ups, weights, size, samples)
    elif size is not None or samples is not None:
        raise ShapeError("splat: a grid came together with size or samples, which it has; give one of them")
    else:
        rows = _rows_in("splat", grid, low, ups)
    if reduce == "mean":
        there = rows >= 0
        total = np.bincount(rows[there], weights[there], minlength=grid.n)
        weights = weights / np.append(np.where(total > 0, total, 1), 1)[rows]
    ops = ops_of(features.data)
    ground = None if ground is None else Tensor.of(ops.xp.zeros((1, features.shape[1]), features.dtype))
    return SparseTensor(weighted_scatter(features, rows, weights, grid.n), grid, ground)


def apply_to_points(net, points, features, *, cell=1.0, size=None, samples=None, kind="linear", ground=None):
    """Run a network that keeps the sites on features of points: to the sites by mean, through it, and back.

    Args:
        net: Layer, SparseTensor -> SparseTensor on the same sites.
        points: (n, 1+d) real numbers, batch index first.
        features: (n, c), an array or a Tensor.
        cell: side of a site, in the points' unit.
        size, samples, ground: of the sites, as for SparseTensor.from_sites.
        kind: of the way back, "linear" over the active sites around a point, or "nearest".

    Returns:
        Tensor (n, o), with gradients to the features and the network.

    Raises:
        ShapeError: the network changed the sites; as for splat and interpolate.

    Source: Liu et al. 2019, "Point-voxel CNN", arXiv:1907.03739.
    """
    checked_function("apply_to_points", net, "net to be a Layer, or a function of a SparseTensor")
    x = splat(points, features, cell=cell, kind="nearest", reduce="mean", size=size, samples=samples, ground=ground)
    y = net(x)
    if not isinstance(y, SparseTensor) or y.grid is not x.grid:
        raise ShapeError(
            f"apply_to_points: the network gave {y} for {x}; one that keeps the sites fits, or call splat, the "
            "network and interpolate with the cell of its output"
        )
    return interpolate(y, points, cell=cell, kind=kind, missing="skip")


def _around(who, points, cell, kind, centre):
    """Return points (n, 1+d) in cells, and the sites low (n, 1+d) + up (k, 1+d) around them with weights (k, n)."""
    if not is_one_of(kind, KINDS):
        raise ShapeError(f"{who}: kind {kind!r} came; 'linear' or 'nearest' fit")
    if isinstance(centre, bool) or not isinstance(centre, (int, float)) or not 0 <= centre < 1:
        raise ShapeError(f"{who}: centre {centre!r} came; a number from 0 to below 1 fits")
    places = in_cells(points, cell, who)
    if places.shape[1] > 9:
        raise ShapeError(f"{who}: points {places.shape} came; 1 to 8 dimensions fit")
    checked_range(np.abs(places) + 2, who)
    low, ups, weights = corners(places[:, 1:] - centre, kind)
    low = np.column_stack([places[:, 0].astype(np.int64), low])
    return places, low, np.column_stack([np.zeros(len(ups), np.int64), ups]), weights


def _rows_in(who, grid, low, ups):
    """Return the row (k, n) of each site in a grid, -1 where there is none."""
    if not isinstance(grid, Grid):
        raise TypeError(f"{who}: a {type(grid).__name__} came as the grid; a Grid fits")
    if grid.lattice.kind != "cubic" or low.shape[1] != grid.d + 1:
        raise ShapeError(f"{who}: points {low.shape} came with sites of {grid.lattice}; points (n, "
                         f"{grid.d + 1}) and the cubic lattice fit")
    batch = low[:, 0]
    if len(batch) and not 0 <= batch.min() <= batch.max() < grid.samples:
        raise GridError(f"{who}: batch indices {batch.min()} to {batch.max()} came for {grid.samples} samples; 0 to "
                        f"{grid.samples - 1} fit")
    return np.stack([grid.rows_of(low + up) for up in ups])


def _made_of(places, low, ups, weights, size, samples):
    """Return (grid, rows (k, n)) of the sites that get something, inside a field if there is one."""
    own, _ = Grid.arrange(np.floor(places).astype(np.int64), size, samples)      # refuses what from_points refuses
    sites, got = low + ups[:, None], weights > 0
    if own.size is not None:
        got &= ((sites[..., 1:] >= 0) & (sites[..., 1:] < np.array(own.size))).all(-1)
    grid, found = Grid.arrange(sites[got], own.size, own.samples)
    rows = np.full(got.shape, -1, np.int32)
    rows[got] = found
    return grid, rows
