"""Features over a grid, with the ground state of all other sites: where "where" and "how much" meet."""

import math
from collections import namedtuple

import numpy as np

from spconv_cy.arithmetic import SparseArithmetic
from spconv_cy.autograd import Tensor, add, multiply
from spconv_cy.backend.host import hosted
from spconv_cy.backend.ops import own
from spconv_cy.backend.switch import current, ops_of
from spconv_cy.checks import as_array, checked_flags, is_one_of
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.functional.dense import as_tensor, concatenate, copied, paint
from spconv_cy.functional.selection import REDUCTIONS, active_of, best_of_segments, kept_rows, look_up, merge
from spconv_cy.functional.sparse import gather
from spconv_cy.sites import algebra
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import SITES, per_axis
from spconv_cy.sites.points import floored

MOST_DENSE = 2**45                                                       # numbers that an address space can hold
Aligned = namedtuple("Aligned", "features rows")


class SparseTensor(SparseArithmetic):
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
        if not isinstance(grid, Grid):
            raise ShapeError(f"SparseTensor: {_named(features)} came as the features, and {_named(grid)} as the grid; "
                             "a Tensor (n, channels) and a Grid of n sites fit: from_sites makes both")
        self.features = features if isinstance(features, Tensor) else Tensor(features)
        shape = self.features.data.shape
        if len(shape) != 2 or shape[0] != grid.n:
            raise ShapeError(f"SparseTensor: expected features ({grid.n}, channels), a row a site, got {self.features}")
        self.ground = ground if ground is None or isinstance(ground, Tensor) else Tensor(ground)
        if ground is not None and self.ground.data.shape != (1, shape[1]):
            raise ShapeError(f"SparseTensor: expected a ground state (1, {shape[1]}) or None, got {self.ground}")
        self.grid, self.point_rows = grid, _read_only(point_rows)

    @classmethod
    def from_sites(cls, sites, features, size=None, samples=None, *, ground="zero", reduce="error", lattice=None):
        """Make a tensor of sites and their features; both are copied, so that it owns its memory.

        Args:
            sites: (n, 1+d) integers, batch index first, in any order.
            features: (n, c), an array of numbers or a Tensor, which gradients then flow to.
            size: an int or d ints, the field; None: unbounded, negative sites allowed.
            samples: number of samples; by default one more than the largest batch index.
            ground: "zero": an exact ground state, zero to begin with; None: inactive sites are zero before every layer.
            reduce: what to do with duplicate sites: "error", or merge by "sum", "mean", "max", "first" or "last".
            lattice: Lattice; by default the cubic one.

        Raises:
            ShapeError: shapes or dtypes that do not fit.
            GridError: duplicates, sites outside the size, batch indices out of range.
        """
        if not is_one_of(reduce, REDUCTIONS):
            raise ShapeError(f"from_sites: reduce {reduce!r} came; one of {', '.join(REDUCTIONS)} fits")
        if reduce == "error":
            grid, rows = _distinct(sites, size, samples, lattice)
        else:
            grid, rows = Grid.arrange(sites, size, samples, lattice)
        ops = ops_of(features.data) if isinstance(features, Tensor) else current()
        given, features = features, _as_features(features, len(rows))
        merged = merge(features, rows, grid.n, reduce)
        if merged is features:                                           # in order already: nothing has copied them
            merged = copied(features) if features is given else Tensor.of(own(features.data, given))
        return cls(merged, grid, _as_ground(ground, features, ops), rows)

    @classmethod
    def from_points(cls, points, features, *, cell=1.0, size=None, samples=None, ground="zero", reduce="mean",
                    lattice=None):
        """Make a tensor of real points: site = floor(coordinate / cell), features of one site merged.

        On the simplex lattice the coordinates are those of `lattice.basis`. A cloud around zero comes into the middle
        of a field by adding `lattice.middle(size)` to points in cells.

        Args:
            points: (n, 1+d) real numbers, batch index first.
            features: (n, c); copied, as from_sites copies them.
            cell: side of a site, in the points' unit; a number or d numbers.
            size, samples, ground: as for from_sites.
            reduce: "mean" (default), "sum", "max", "first", "last", or "error".
            lattice: Lattice; by default the cubic one.

        Raises:
            ShapeError: points of a wrong shape or not finite, a cell that is not positive.
            GridError: as for from_sites, and sites beyond int32.
        """
        return cls.from_sites(floored(points, cell, lattice), features, size, samples, ground=ground, reduce=reduce,
                              lattice=lattice)

    @classmethod
    def from_dense(cls, dense, threshold=0.0, *, ground="zero", lattice=None):
        """Make a tensor of a dense array (b, c, *size): active where any channel is larger than `threshold` in size.

        Features are copied.
        """
        dense = current().on_host(dense)
        sites, features = active_of(dense, threshold)
        return cls.from_sites(sites, features, dense.shape[2:], len(dense), ground=ground, lattice=lattice)

    def to_dense(self, origin=None, size=None):
        """Return an array (b, c, *size) with the ground state painted in.

        On the simplex lattice that is the cube around the field; its corners, which are no sites, hold zero.

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
        _check_rows("to_dense", self)
        size = self.grid.size if size is None else per_axis(size, self.grid.d, "to_dense size", 1)
        n = self.grid.samples * math.prod(size) * self.channels
        if n > MOST_DENSE:
            raise ShapeError(f"to_dense: expected an array that a memory holds, got {n} numbers of size {size}; "
                             "give origin= and size= of a part")
        origin = per_axis(0 if origin is None else origin, self.grid.d, "to_dense origin", None, SITES)
        at = self.sites[:, 1:].astype(np.int64) - np.array(origin)
        outside = ((at < 0) | (at >= np.array(size))).any(1)
        if outside.any():
            raise GridError(f"to_dense: {int(outside.sum())} of {self.grid.n} sites lie outside origin {origin} and "
                            f"size {size}; give a larger box")
        painted = paint(self.features, self.ground, (self.sites[:, 0], *at.T), (self.grid.samples, *size))
        if self.ground is None or self.grid.lattice.is_cubic or self.grid.size is None:
            return painted
        places = np.indices(size).reshape(self.grid.d, -1).T + origin
        held = self.grid.lattice.inside(places, self.grid.size).reshape(1, 1, *size)
        return painted * Tensor.of(ops_of(painted.data).asarray(held, painted.dtype))

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
        if self.ground is None:
            return True
        # A GPU is not asked: it would first do all that it has been told to.
        return not self.ground.requires_grad and isinstance(self.ground.data, np.ndarray) and not self.ground.data.any()

    def with_features(self, features, ground=None):
        """Return a tensor on the same grid with other features and ground state."""
        return SparseTensor(features, self.grid, ground, self.point_rows)

    def to(self, name):
        """Return this tensor on the backend of that name."""
        return self.with_features(self.features.to(name), None if self.ground is None else self.ground.to(name))

    def to_points(self, point_rows=None, *, kept="all"):
        """Return the features of each point that was given, in the order in which they were given, (n_points, c).

        Args:
            point_rows: (n_points,) ints, the row of each point; by default those of this tensor.
            kept: "all": every point has the row of its site, as after reduce="sum", "mean" or "max"; "first" or "last":
                only the first or last point of a site has it, as after that reduce, the others have zeros.

        Returns:
            Tensor, with gradients to the features.

        Raises:
            ShapeError: the points are not known, or are not this tensor's; another `kept`.
        """
        _check_rows("to_points", self)
        return look_up(self.features, None, _kept_rows(self, point_rows, kept))

    def align(self, other):
        """Return Aligned(features, rows): the features of another tensor at this one's sites, in their order.

        Args:
            other: SparseTensor of this lattice, size and number of samples.

        Returns:
            features: Tensor (n, channels of other); where a site is not active there, its ground state, or zero.
            rows: (n,) int32, the rows in other; -1 where a site is not active there.

        Raises:
            ShapeError: they do not fit.

        >>> a = SparseTensor.from_sites([[0, 1], [0, 4]], [[1.0], [2.0]])
        >>> b = SparseTensor.from_sites([[0, 4], [0, 7]], [[5.0], [6.0]])
        >>> features, rows = a.align(b)
        >>> features.data.tolist(), rows.tolist()
        ([[0.0], [5.0]], [-1, 0])
        """
        rows = algebra.join(self.grid, checked_tensor("align", other).grid, "left").right
        return Aligned(look_up(other.features, other.ground, rows), rows)

    def add(self, other, *, how="outer"):
        """Add a tensor whose sites may differ.

        Args:
            other: SparseTensor of this lattice, size, number of samples, channels and family (with a ground state, or
                none).
            how: "outer": at the sites of either; "inner": of both; "left": of this one. A site that one of them lacks
                reads as that one's ground state, or as zero where there is none.

        Returns:
            SparseTensor whose ground state is the sum of both.

        Raises:
            ShapeError: they do not fit; tensors with a ground state, and active sites that `how` would leave out: these
                would read as the ground state, which they are not.

        >>> a = SparseTensor.from_sites([[0, 1], [0, 4]], [[1.0], [2.0]])
        >>> b = SparseTensor.from_sites([[0, 4], [0, 7]], [[5.0], [6.0]])
        >>> a.add(b).sites.tolist(), a.add(b).features.data.tolist()
        ([[0, 1], [0, 4], [0, 7]], [[1.0], [7.0], [6.0]])
        """
        return _joined("add", add, self, other, how)

    def multiply(self, other, *, how="outer"):
        """Multiply by a tensor whose sites may differ, and which may have one channel for all; arguments as for add."""
        return _joined("multiply", multiply, self, other, how)

    def concatenate(self, *others, how="outer"):
        """Join the channels of tensors whose sites may differ, two by two from the left; arguments as for add.

        The number of channels may differ.
        """
        joined = self
        for other in others:
            joined = _joined("concatenate", concatenate, joined, other, how)
        return joined

    def prune(self, keep):
        """Keep the sites where a mask is true, with gradients to their features.

        Args:
            keep: (n,) booleans, one for each row.

        Raises:
            ShapeError: another mask; a tensor with a ground state, which is not what pruned sites had.
        """
        _refuse_ground("prune", self)
        return self._part(self.grid.mask(hosted(keep)))

    def keep_top(self, scores, k):
        """Keep the k sites of each sample that have the highest scores; of equal ones the first, a NaN last.

        Args:
            scores: (n,) or (n, 1), a Tensor or array of numbers; no gradient reaches them.
            k: a whole number, or one for each sample. A sample with fewer sites keeps them all.

        Raises:
            ShapeError: arguments that do not fit; a tensor with a ground state, as for prune.
        """
        _refuse_ground("keep_top", self)
        scores = scores.numpy() if isinstance(scores, Tensor) else as_array("keep_top: scores", scores)
        return self._part(self.grid.mask(best_of_segments(scores, self.grid.batch_starts, k)))

    def crop(self, low, high, *, moved=False):
        """Keep the sites with low <= x < high on every axis, with gradients to their features.

        Args:
            low, high: an int or d ints each, high above low.
            moved: whether the box becomes the field, as `dense[:, :, low:high]` of to_dense(): low is its site 0,
                high - low its size. Otherwise sites and size stay, and a ground state is refused as for prune.

        Raises:
            ShapeError: arguments that do not fit.
        """
        checked_flags("crop", moved=moved)
        if not moved:
            _refuse_ground("crop", self, "give moved=True, ")
        return self._part(self.grid.crop(low, high, moved=moved), self.ground)

    def _part(self, part, ground=None):
        if part.grid is self.grid:
            return self
        return SparseTensor(gather(self.features, part.rows), part.grid, ground)

    def __repr__(self):
        return (f"SparseTensor({self.grid.n} sites, {self.channels} channels, size {self.grid.size}, "
                f"{self.grid.samples} samples{'' if self.ground is not None else ', no ground'})")


def _check_rows(who, x):
    if len(x.features.data) != x.grid.n:
        raise ShapeError(f"{who}: {len(x.features.data)} rows of features came on {x.grid.n} sites; one for each fits")


def _named(thing):
    return repr(thing) if isinstance(thing, (Tensor, Grid)) else f"a {type(thing).__name__}"


def checked_tensor(who, x):
    """Return x; raise TypeError where it is no SparseTensor."""
    if not isinstance(x, SparseTensor):
        raise TypeError(f"{who}: a {type(x).__name__} came; a SparseTensor fits")
    return x


def _joined(who, function, a, b, how):
    checked_tensor(who, b)
    fits = {a.channels, 1} if who == "multiply" else {b.channels if who == "concatenate" else a.channels}
    if (a.ground is None) != (b.ground is None) or b.channels not in fits:
        raise ShapeError(f"{who}: {a} and {b} came; tensors of the same channels and family (ground or none) fit")
    grid, left, right = algebra.join(a.grid, b.grid, how)
    lost = a.grid.n + b.grid.n - (left >= 0).sum() - (right >= 0).sum()
    if a.ground is not None and lost:
        raise ShapeError(f"{who}: how={how!r} leaves out {lost} active sites, which would read as the ground state; "
                         "use how='outer', or begin with ground=None")
    ground = None if a.ground is None else function(a.ground, b.ground)
    mine, theirs = (x.features if grid is x.grid else look_up(x.features, x.ground, rows)
                    for x, rows in ((a, left), (b, right)))
    return SparseTensor(function(mine, theirs), grid, ground, a.point_rows if grid is a.grid else None)


def _refuse_ground(who, x, remedy=""):
    if x.ground is not None:
        raise ShapeError(f"{who}: {x} came with a ground state, which is not what sites that are left out had; {remedy}"
                         "begin with ground=None (from_sites, from_points, from_dense), or drop it: "
                         "x.with_features(x.features, ground=None)")


def _kept_rows(x, point_rows, kept):
    rows = x.point_rows if point_rows is None else as_array("to_points: point_rows", point_rows)
    if rows is None:
        raise ShapeError(f"to_points: {x} came, whose points are not known; give the point_rows of the tensor that was "
                         "made of them")
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and not 0 <= rows.min() <= rows.max() < x.grid.n):
        raise ShapeError(f"to_points: point_rows {rows.shape} of {rows.dtype} came; (n_points,) rows 0 to "
                         f"{x.grid.n - 1} fit")
    return kept_rows(rows, x.grid.n, kept)


def _distinct(sites, size, samples, lattice):
    grid, rows = Grid.arrange(sites, size, samples, lattice)
    if grid.n != len(rows):
        raise GridError(f"from_sites: {len(rows) - grid.n} of {len(rows)} sites are duplicates; remove them, or merge "
                        "their features with reduce='sum', 'mean', 'max', 'first' or 'last'")
    return grid, rows


def _as_features(features, n):
    features = as_tensor(features)
    if features.data.ndim != 2 or len(features) != n:
        raise ShapeError(f"features: shape {features.shape} came with {n} sites; ({n}, channels) fits, a row for each "
                         "site" + ("; use features[:, None] for one channel" if features.data.ndim == 1 else ""))
    return features


def _read_only(rows):
    # Layers that keep the sites hand the same rows on: who writes into those of one tensor would change all.
    if not isinstance(rows, np.ndarray) or not rows.flags.writeable:
        return rows
    rows = rows.view()
    rows.flags.writeable = False
    return rows


def _as_ground(ground, features, ops):
    if ground is None:
        return None
    if isinstance(ground, str) and ground == "zero":
        return Tensor.of(ops.xp.zeros((1, features.shape[1]), features.dtype))
    raise ShapeError(f"from_sites: ground {ground!r} came; 'zero' (an exact ground state) or None fits")
