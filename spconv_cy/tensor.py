"""Features over a grid, with the ground state of all other sites: where "where" and "how much" meet."""

import numpy as np

from spconv_cy.autograd import Tensor, add
from spconv_cy.backend.switch import current, ops_of
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.functional.dense import paint
from spconv_cy.functional.sparse import gather, scatter_add, segment_maximum
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import per_axis

REDUCTIONS = ("error", "sum", "mean", "max", "first", "last")


class SparseTensor:
    """Features of the active sites of a batch; every other site has the ground state's.

    Attributes:
        features: Tensor (n, c), row i belongs to site i.
        grid: Grid.
        ground: Tensor (1, c); or None: inactive sites are zero before every layer (submanifold networks).
        point_rows: (n_points,) int32, the row of each site or point that was given; None for a layer's output.

    `y.features.data[x.point_rows]` is an output in the order of the input, for layers that keep the sites.

    >>> x = SparseTensor.from_sites([[0, 3, 1], [0, 0, 2]], [[1.0], [2.0]], size=(4, 4))
    >>> x.point_rows.tolist(), x.to_dense().shape
    ([1, 0], (1, 1, 4, 4))
    """

    def __init__(self, features, grid, ground=None, point_rows=None):
        self.features, self.grid, self.ground, self.point_rows = features, grid, ground, point_rows

    @classmethod
    def from_sites(cls, sites, features, size=None, samples=None, *, ground="zero", reduce="error", lattice=None):
        """Make a tensor of sites and their features.

        Args:
            sites: (n, 1+d) integers, batch index first, in any order.
            features: (n, c), an array of numbers or a Tensor.
            size: an int or d ints, the field; None: unbounded, negative sites allowed.
            samples: number of samples; by default one more than the largest batch index.
            ground: "zero": an exact ground state, zero to begin with; None: inactive sites are zero before every layer.
            reduce: what to do with duplicate sites: "error", or merge by "sum", "mean", "max", "first" or "last".
            lattice: Lattice; by default the cubic one.

        Raises:
            ShapeError: shapes or dtypes that do not fit.
            GridError: duplicates, sites outside the size, batch indices out of range.
        """
        if reduce not in REDUCTIONS:
            raise ShapeError(f"from_sites: reduce {reduce!r} came; one of {', '.join(REDUCTIONS)} fits")
        if reduce == "error":
            grid, rows = _distinct(sites, size, samples, lattice)
        else:
            grid, rows = Grid.arrange(sites, size, samples, lattice)
        features = _as_features(features, len(rows))
        return cls(_merge(features, rows, grid.n, reduce), grid, _as_ground(ground, features), rows)

    @classmethod
    def from_points(cls, points, features, *, cell=1.0, size=None, samples=None, ground="zero", reduce="mean"):
        """Make a tensor of real points: site = floor(coordinate / cell), features of one site merged.

        Args:
            points: (n, 1+d) real numbers, batch index first.
            features: (n, c).
            cell: side of a site, in the points' unit; a number or d numbers.
            size, samples, ground: as for from_sites.
            reduce: "mean" (default), "sum", "max", "first", "last", or "error".

        Raises:
            ShapeError: points of a wrong shape or not finite, a cell that is not positive.
            GridError: as for from_sites, and sites beyond int32.
        """
        try:
            points = np.asarray(points)
        except ValueError:
            raise ShapeError("from_points: rows of unequal length came; real numbers (n, 1+d) fit") from None
        if points.ndim != 2 or points.shape[1] < 2 or points.dtype.kind not in "fiu":
            raise ShapeError(f"from_points: points {points.shape} of {points.dtype} came; real numbers (n, 1+d) fit")
        if not np.isfinite(points).all():
            raise ShapeError(f"from_points: {int((~np.isfinite(points)).any(1).sum())} of {len(points)} points are NaN "
                             "or infinite; remove them")
        cell = _checked_cell(cell, points.shape[1] - 1)
        if (points[:, 0] != np.floor(points[:, 0])).any():
            raise ShapeError("from_points: column 0 holds the batch index, which must be whole")
        scaled = points.astype(np.float64)
        with np.errstate(over="ignore"):                                 # infinity is beyond int32 too
            scaled[:, 1:] = np.floor(scaled[:, 1:] / cell)
        if len(scaled) and np.abs(scaled).max() >= 2**31:
            raise GridError("from_points: sites beyond the int32 range; use a larger cell or move the points")
        return cls.from_sites(scaled.astype(np.int64), features, size, samples, ground=ground, reduce=reduce)

    @classmethod
    def from_dense(cls, dense, threshold=0.0, *, ground="zero"):
        """Make a tensor of a dense array (b, c, *size): active where any channel is larger than `threshold` in size."""
        dense = current().asarray(dense)
        if not isinstance(threshold, (int, float, np.number)) or not threshold >= 0:
            raise ShapeError(f"from_dense: threshold {threshold!r} came; a number from 0 up fits")
        if dense.ndim < 3:
            raise ShapeError(f"from_dense: shape {dense.shape} came; (b, c, *size) with one axis of sites or more fits")
        turned = np.moveaxis(dense, 1, -1)
        active = ~(np.abs(turned) <= threshold).all(-1)                  # a NaN is active
        sites = np.argwhere(active).astype(np.int32)
        return cls.from_sites(sites, turned[active], dense.shape[2:], len(dense), ground=ground)

    def to_dense(self, origin=None, size=None):
        """Return an array (b, c, *size) with the ground state painted in.

        Args:
            origin: the site that becomes index 0, an int or d ints; default 0.
            size: of the result; default the grid's. Both must be given where the grid is unbounded.

        Raises:
            ShapeError: an unbounded grid without origin and size.
            GridError: an active site outside what was asked for.
        """
        return self.dense(origin, size).data

    def dense(self, origin=None, size=None):
        """Return to_dense() as a Tensor, with gradients to the features and the ground state."""
        if self.grid.size is None and (size is None or origin is None):
            raise ShapeError("to_dense: the grid is unbounded; give origin= and size=")
        size = self.grid.size if size is None else per_axis(size, self.grid.d, "to_dense size", 1)
        origin = per_axis(0 if origin is None else origin, self.grid.d, "to_dense origin", None)
        at = self.sites[:, 1:].astype(np.int64) - np.array(origin)
        outside = ((at < 0) | (at >= np.array(size))).any(1)
        if outside.any():
            raise GridError(f"to_dense: {int(outside.sum())} of {self.grid.n} sites lie outside origin {origin} and "
                            f"size {size}; give a larger box")
        return paint(self.features, self.ground, (self.sites[:, 0], *at.T), (self.grid.samples, *size))

    @property
    def sites(self):
        """(n, 1+d) int32 in canonical order."""
        return self.grid.sites

    @property
    def channels(self):
        """Number of columns of the features."""
        return self.features.shape[1]

    @property
    def ground_is_zero(self):
        """Whether the ground state is known to be zero and needs no gradient, so that it may be left out."""
        return self.ground is None or not (self.ground.requires_grad or self.ground.data.any())

    def with_features(self, features, ground=None):
        """Return a tensor on the same grid with other features and ground state."""
        return SparseTensor(features, self.grid, ground, self.point_rows)

    def to(self, name):
        """Return this tensor on the backend of that name."""
        return self.with_features(self.features.to(name), None if self.ground is None else self.ground.to(name))

    def __add__(self, other):
        if not isinstance(other, SparseTensor):
            return NotImplemented
        _check_joinable("add", self, other)
        ground = None if self.ground is None else add(self.ground, other.ground)
        return self.with_features(add(self.features, other.features), ground)

    def __repr__(self):
        return (f"SparseTensor({self.grid.n} sites, {self.channels} channels, size {self.grid.size}, "
                f"{self.grid.samples} samples{'' if self.ground is not None else ', no ground'})")


def collate(tensors):
    """Make one batch of several SparseTensors, their samples in turn.

    Args:
        tensors: SparseTensors of one lattice, size, number of channels and ground state.

    Raises:
        ShapeError: none came, or they do not fit.

    >>> x = SparseTensor.from_sites([[0, 1]], [[1.0]], size=4)
    >>> collate([x, x]).sites.tolist()
    [[0, 1], [1, 1]]
    """
    tensors = [tensors] if isinstance(tensors, SparseTensor) or not hasattr(tensors, "__iter__") else list(tensors)
    for x in tensors:
        if not isinstance(x, SparseTensor):
            raise TypeError(f"collate: a {type(x).__name__} came; a list of SparseTensors fits")
    if not tensors:
        raise ShapeError("collate: no tensors came; at least one fits")
    if any(t is not None and t.requires_grad for x in tensors for t in (x.features, x.ground)):
        raise ShapeError("collate: tensors on the tape came, whose gradients a batch does not carry; collate what goes "
                         "into the network, or what came out of it inside no_grad()")
    first = tensors[0]
    for x in tensors[1:]:
        same_ground = (x.ground is None) == (first.ground is None) and (
            first.ground is None or np.array_equal(x.ground.numpy(), first.ground.numpy()))
        if (x.grid.lattice, x.grid.size, x.channels) != (first.grid.lattice, first.grid.size, first.channels) \
                or not same_ground:
            raise ShapeError(f"collate: {x} and {first} came; equal lattice, size, channels and ground state fit")
    samples = np.cumsum([0] + [x.grid.samples for x in tensors])
    rows = np.cumsum([0] + [x.grid.n for x in tensors])
    sites = np.concatenate([x.sites for x in tensors])
    sites[:, 0] += np.repeat(samples[:-1], np.diff(rows)).astype(np.int32)
    grid = Grid(sites, first.grid.size, int(samples[-1]), first.grid.lattice)
    ops = ops_of(*(x.features.data for x in tensors))
    point_rows = None
    if all(x.point_rows is not None for x in tensors):
        point_rows = np.concatenate([x.point_rows + start for x, start in zip(tensors, rows[:-1], strict=True)])
    features = Tensor.of(ops.xp.concatenate([x.features.data for x in tensors]))
    return SparseTensor(features, grid, first.ground, point_rows)


def _check_joinable(who, a, b):
    if a.grid is not b.grid or a.channels != b.channels or (a.ground is None) != (b.ground is None):
        raise ShapeError(f"{who}: {a} and {b} came; tensors of the same grid, channels and family (ground or none) fit")


def _checked_cell(cell, d):
    try:
        cell = np.asarray(cell)
        fits = cell.dtype.kind in "fiu" and cell.shape in ((), (d,)) and bool(((cell > 0) & np.isfinite(cell)).all())
    except ValueError:
        fits = False
    if not fits:
        shown = cell.tolist() if isinstance(cell, np.ndarray) else cell
        raise ShapeError(f"from_points: cell {shown!r} came; a positive number, or {d}, one an axis, fits")
    return cell.astype(np.float64)


def _distinct(sites, size, samples, lattice):
    grid, rows = Grid.arrange(sites, size, samples, lattice)
    if grid.n != len(rows):
        raise GridError(f"from_sites: {len(rows) - grid.n} of {len(rows)} sites are duplicates; remove them, or merge "
                        "their features with reduce='sum', 'mean', 'max', 'first' or 'last'")
    return grid, rows


def _as_features(features, n):
    if not isinstance(features, Tensor):
        features = Tensor(features)
    if features.data.ndim != 2 or len(features) != n:
        raise ShapeError(f"features: shape {features.shape} came with {n} sites; ({n}, channels) fits, a row for each "
                         "site" + ("; use features[:, None] for one channel" if features.data.ndim == 1 else ""))
    return features


def _as_ground(ground, features):
    if ground is None:
        return None
    if isinstance(ground, str) and ground == "zero":
        ops = ops_of(features.data)
        return Tensor.of(ops.xp.zeros((1, features.shape[1]), features.dtype))
    raise ShapeError(f"from_sites: ground {ground!r} came; 'zero' (an exact ground state) or None fits")


def _merge(features, rows, n, reduce):
    order = np.argsort(rows, kind="stable") if reduce in ("max", "first", "last", "error") else None
    if reduce == "error":
        return features if (order == np.arange(len(order))).all() else gather(features, order)
    counts = np.bincount(rows, minlength=n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    if reduce == "first":
        return gather(features, order[starts[:-1]])
    if reduce == "last":
        return gather(features, order[starts[1:] - 1])
    if reduce == "max":
        return segment_maximum(gather(features, order), None, starts, None)
    total = scatter_add(features, rows, n)
    if reduce == "sum":
        return total
    return total * Tensor.of(ops_of(total.data).asarray(1 / counts[:, None]))
