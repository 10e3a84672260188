"""SparseTensor: features of the active sites of a grid, and the ground state of all other sites."""

import math
from typing import Any, NamedTuple

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.arithmetic import SparseArithmetic
from spconv_cy.autograd import Tensor as Tensor
from spconv_cy.autograd import add, multiply
from spconv_cy.backend.switch import current, hosted, ops_of
from spconv_cy.checks import as_array, checked_flags, is_integer, kind_of
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.functional.dense import as_tensor as as_tensor
from spconv_cy.functional.dense import concatenate, scatter_to_dense
from spconv_cy.functional.selection import active_of, best_of_segments, kept_rows, look_up
from spconv_cy.merging import arranged, placed, read_only
from spconv_cy.sites import algebra
from spconv_cy.sites.grid import Grid, Part
from spconv_cy.sites.indexed import indexed, samples_of
from spconv_cy.sites.lattice import SITES, Lattice, per_axis
from spconv_cy.sites.points import moved
from spconv_cy.types import Array, ArrayLike, IntegerArray, PerAxis

MOST_DENSE = 2**45                                                       # numbers that an address space can hold


class Aligned(NamedTuple):
    """The result of SparseTensor.align."""

    features: Tensor
    rows: IntegerArray


@known_arguments
class SparseTensor(SparseArithmetic):
    """Features of the active sites of a batch; all other sites have the ground state's features.

    Args:
        features: Tensor or array (n, c), row i belongs to site i.
        grid: Grid of n sites.
        ground: Tensor or array (1, c); or None: inactive sites are zero before every layer (submanifold networks).
        point_rows: (n_points,) int32, the row of each point; None if no points are known.

    Attributes:
        features: Tensor (n, c).
        grid: Grid.
        ground: Tensor (1, c) or None.
        point_rows: (n_points,) int32, the row of each given site or point, -1 for points that `outside="drop"` left
            out; None for the output of a layer that changes the sites.

    For layers that keep the sites, `y.features.data[x.point_rows]` is the output in the order of the input.

    >>> x = SparseTensor.from_sites([[0, 3, 1], [0, 0, 2]], [[1.0], [2.0]], size=(4, 4))
    >>> x.point_rows.tolist(), x.to_dense().shape
    ([1, 0], (1, 1, 4, 4))
    """

    def __init__(self, features: Tensor | ArrayLike, grid: Grid, ground: Tensor | ArrayLike | None = None,
                 point_rows: Array | None = None) -> None:
        if not isinstance(grid, Grid):
            raise ShapeError(expected("SparseTensor", "a Tensor (n, channels) and a Grid of n sites",
                                      f"{_named(features)} as features and {_named(grid)} as grid",
                                      "SparseTensor.from_sites makes both"))
        self.features = features if isinstance(features, Tensor) else Tensor(features)
        shape = self.features.data.shape
        if len(shape) != 2 or shape[0] != grid.n:
            raise ShapeError(expected("SparseTensor", f"features ({grid.n}, channels), a row for each site",
                                      self.features))
        self.ground = ground if ground is None or isinstance(ground, Tensor) else Tensor(ground)
        if self.ground is not None and self.ground.data.shape != (1, shape[1]):
            raise ShapeError(expected("SparseTensor", f"a ground state (1, {shape[1]}) or None", self.ground))
        self.grid, self.point_rows = grid, read_only(point_rows)

    @classmethod
    @known_arguments
    def from_sites(cls, sites: ArrayLike, features: Tensor | ArrayLike, size: PerAxis | None = None,
                   samples: int | None = None, *, batch: ArrayLike | None = None, ground: str | None = "zero",
                   reduce: str = "error", lattice: Lattice | None = None) -> "SparseTensor":
        """Return a tensor of sites and their features, which are copied.

        Sites (n, 2) or (n, 3) whose column 0 is not zero give a warning: they may be points without a batch index. Give
        `batch` then, else `samples`, a lattice, or a size with an entry for each axis.

        Args:
            sites: (n, 1+d) integers, batch index first, in any order; (n, d) if `batch` is given.
            features: (n, c), an array of numbers, or a Tensor, to which gradients flow.
            size: an int or d ints, the field; None: unbounded, negative sites allowed.
            samples: number of samples; by default the largest batch index plus 1.
            batch: the batch index of all sites, 0 for one sample, or (n,) of them; None: it is in column 0.
            ground: "zero": inactive sites are zero in the input, and every layer computes their common value, the
                ground state, exactly; None: inactive sites count as zero in every layer, as in submanifold networks.
            reduce: "error": duplicate sites are an error; "sum", "mean", "max", "first" or "last": they are merged.
            lattice: Lattice; by default the cubic one.

        Raises:
            ShapeError: shapes or dtypes that do not fit.
            GridError: duplicates, sites outside the size, batch indices out of range.
        """
        given = indexed("from_sites", sites, batch, samples, lattice, None if is_integer(size) else size)
        return cls(*arranged(given, features, size, samples_of(samples, batch), ground, reduce, lattice))

    @classmethod
    @known_arguments
    def from_points(cls, points: ArrayLike, features: Tensor | ArrayLike, *, cell: float | ArrayLike = 1.0,
                    size: PerAxis | None = None, samples: int | None = None, batch: ArrayLike | None = None,
                    origin: ArrayLike | None = None, outside: str = "error", ground: str | None = "zero",
                    reduce: str = "mean", lattice: Lattice | None = None) -> "SparseTensor":
        """Return a tensor of points at the sites floor((coordinate - origin) / cell); points of one site are merged.

        On the simplex lattice the coordinates are those of `lattice.basis`. To place a cloud around zero in the middle
        of a field, add `lattice.middle(size)` to the points in cells.

        Args:
            points: (n, 1+d) real numbers, batch index first; (n, d) if `batch` is given.
            features: (n, c); copied.
            cell: side of a site in the unit of the points, a number or d numbers.
            size, samples, batch, ground: as for from_sites.
            origin: the point at which site 0 begins, in the unit of the points, a number or d numbers; None: zero.
            outside: what happens to points outside the size: "error", or "drop": they are left out, and their
                point_rows are -1, for which `to_points` returns zeros.
            reduce: "mean" (default), "sum", "max", "first", "last", or "error".
            lattice: Lattice; by default the cubic one.

        Raises:
            ShapeError: points of a wrong shape or not finite, a cell that is not positive.
            GridError: as for from_sites, and sites beyond int32.

        >>> cloud = [[0.2, -1.0], [0.7, -0.6], [9.0, 9.0]]
        >>> x = SparseTensor.from_points(cloud, np.ones((3, 1)), batch=0, origin=-1, size=4, outside="drop")
        >>> x.sites.tolist(), x.point_rows.tolist()
        ([[0, 1, 0]], [0, 0, -1])
        """
        given = indexed("from_points", points, batch, samples, lattice, None if is_integer(size) else size)
        return cls(*placed(given if origin is None else moved(given, origin), features, cell, size,
                           samples_of(samples, batch), ground, reduce, lattice, outside=outside))

    @classmethod
    @known_arguments
    def from_dense(cls, dense: ArrayLike, threshold: float = 0.0, *, ground: str | None = "zero",
                   lattice: Lattice | None = None) -> "SparseTensor":
        """Return a tensor of a dense array (b, c, *size), copied: a site is active if any |channel| > threshold."""
        array = current().on_host(dense)
        sites, features = active_of(array, threshold)
        return cls.from_sites(sites, features, array.shape[2:], len(array), ground=ground, lattice=lattice)

    def to_dense(self, origin: PerAxis | None = None, size: PerAxis | None = None) -> Array:
        """Return an array (b, c, *size), in which inactive sites have the ground state.

        On the simplex lattice the array is a cube around the field; its corners, which are no sites, are zero.

        Args:
            origin: the site at index 0, an int or d ints; default 0.
            size: of the result, an int or d ints; default the grid's. Give both for an unbounded grid.

        Raises:
            ShapeError: an unbounded grid without origin and size.
            GridError: an active site outside the result.
        """
        return self.dense(origin, size).data

    def dense(self, origin: PerAxis | None = None, size: PerAxis | None = None) -> Tensor:
        """Return to_dense() as a Tensor, with gradients to the features and the ground state."""
        field = self.grid.size
        if field is None and (size is None or origin is None):
            raise ShapeError(expected("to_dense", "origin= and size= for an unbounded grid", "none"))
        _check_rows("to_dense", self)
        shape: tuple[int, ...] = per_axis(field if size is None else size, self.grid.d, "to_dense size", 1)
        n = self.grid.samples * math.prod(shape) * self.channels
        if n > MOST_DENSE:
            raise ShapeError(expected("to_dense", "an array that fits in memory", f"{n} numbers of size {shape}",
                                      "give origin= and size= of a part"))
        low = per_axis(0 if origin is None else origin, self.grid.d, "to_dense origin", None, SITES)
        at = self.sites[:, 1:].astype(np.int64) - np.array(low)
        outside = ((at < 0) | (at >= np.array(shape))).any(1)
        if outside.any():
            raise GridError(expected("to_dense", f"sites inside origin {low} and size {shape}",
                                     f"{int(outside.sum())} of {self.grid.n} outside", "give a larger size"))
        dense = scatter_to_dense(self.features, self.ground, (self.sites[:, 0], *at.T), (self.grid.samples, *shape))
        if self.ground is None or self.grid.lattice.is_cubic or field is None:
            return dense
        places = np.indices(shape).reshape(self.grid.d, -1).T + low
        held = self.grid.lattice.inside(places, field).reshape(1, 1, *shape)
        return dense * Tensor.of(ops_of(dense.data).asarray(held, dense.dtype))

    @property
    def sites(self) -> IntegerArray:
        """The active sites, (n, 1+d) int32 in canonical order."""
        return self.grid.sites

    @property
    def ground_is_zero(self) -> bool:
        """True if the ground state is known to be zero and needs no gradient; it can be left out then."""
        if self.ground is None:
            return True
        # Data on a GPU are not read: this would wait for all its work.
        return not self.ground.requires_grad and isinstance(self.ground.data, np.ndarray) and not self.ground.data.any()

    def with_features(self, features: Tensor | ArrayLike, ground: Tensor | ArrayLike | None = None
                      ) -> "SparseTensor":
        """Return a tensor on the same grid with new features and a new ground state.

        Without `ground` the new tensor has no ground state.
        """
        return SparseTensor(features, self.grid, ground, self.point_rows)

    def to(self, name: str) -> "SparseTensor":
        """Return a copy of this tensor on another backend."""
        return self.with_features(self.features.to(name), None if self.ground is None else self.ground.to(name))

    def to_points(self, point_rows: ArrayLike | None = None, *, kept: str = "all") -> Tensor:
        """Return the features of each given point, in the order of the points, (n_points, c).

        Args:
            point_rows: (n_points,) ints, the row of each point, -1 for none; by default those of this tensor.
            kept: "all": every point has the row of its site, as after reduce="sum", "mean" or "max"; "first" or "last":
                only the point that reduce="first" or "last" has kept gets the row of its site; the other points get
                zeros.

        Returns:
            Tensor, with gradients to the features.

        Raises:
            ShapeError: the points are not known, or not those of this tensor; an invalid `kept`.
        """
        _check_rows("to_points", self)
        return look_up(self.features, None, _kept_rows(self, point_rows, kept))

    def align(self, other: "SparseTensor") -> Aligned:
        """Return Aligned(features, rows): the features of a second tensor at the sites of this one, in their order.

        Args:
            other: SparseTensor of the same lattice, size and number of samples.

        Returns:
            features: Tensor (n, channels of other); its ground state, or zero, at sites that are not active in other.
            rows: (n,) int32, the rows in other; -1 for sites that are not active there.

        Raises:
            ShapeError: the tensors do not fit each other.

        >>> a = SparseTensor.from_sites([[0, 1], [0, 4]], [[1.0], [2.0]])
        >>> b = SparseTensor.from_sites([[0, 4], [0, 7]], [[5.0], [6.0]])
        >>> features, rows = a.align(b)
        >>> features.data.tolist(), rows.tolist()
        ([[0.0], [5.0]], [-1, 0])
        """
        rows = algebra.join(self.grid, checked_tensor("align", other).grid, "left")[2]
        return Aligned(look_up(other.features, other.ground, rows), rows)

    def add(self, other: "SparseTensor", *, how: str = "outer") -> "SparseTensor":
        """Return the sum with a tensor whose sites may differ.

        Args:
            other: SparseTensor of the same lattice, size, number of samples and channels; both have a ground state, or
                neither.
            how: "outer": at the sites of either; "inner": of both; "left": of this one. At a site that is inactive in
                one tensor that tensor's ground state counts, or zero if there is none.

        Returns:
            SparseTensor whose ground state is the sum of both.

        Raises:
            ShapeError: the tensors do not fit each other; or they have a ground state, and `how` would leave out active
                sites, which would get the ground state then.

        >>> a = SparseTensor.from_sites([[0, 1], [0, 4]], [[1.0], [2.0]])
        >>> b = SparseTensor.from_sites([[0, 4], [0, 7]], [[5.0], [6.0]])
        >>> a.add(b).sites.tolist(), a.add(b).features.data.tolist()
        ([[0, 1], [0, 4], [0, 7]], [[1.0], [7.0], [6.0]])
        """
        return _joined("add", add, self, other, how)

    def multiply(self, other: "SparseTensor", *, how: str = "outer") -> "SparseTensor":
        """Return the product with a tensor whose sites may differ; arguments as for add.

        The other tensor has the same number of channels, or one channel.
        """
        return _joined("multiply", multiply, self, other, how)

    def concatenate(self, *others: "SparseTensor", how: str = "outer") -> "SparseTensor":
        """Return a tensor with the channels of this one and the others, whose sites may differ.

        They are joined two by two from the left. Arguments as for add; the numbers of channels may differ.
        """
        joined = self
        for other in others:
            joined = _joined("concatenate", concatenate, joined, other, how)
        return joined

    def prune(self, keep: ArrayLike) -> "SparseTensor":
        """Return the tensor of the sites at which a mask is true, with gradients to their features.

        Args:
            keep: (n,) booleans, one for each row.

        Raises:
            ShapeError: another mask; a tensor with a ground state, since pruned sites would get it.
        """
        _refuse_ground("prune", self)
        return self._part(Part(*algebra.mask(self.grid, hosted(keep), "prune")))

    def keep_top(self, scores: Tensor | ArrayLike, k: int | ArrayLike) -> "SparseTensor":
        """Return the tensor of the k sites of each sample with the highest scores; of equal ones the first, NaN last.

        Args:
            scores: (n,) or (n, 1), a Tensor or array of numbers; they get no gradient.
            k: a whole number, or one for each sample. A sample with fewer sites keeps them all.

        Raises:
            ShapeError: arguments that do not fit; a tensor with a ground state, as for prune.
        """
        _refuse_ground("keep_top", self)
        found = scores.numpy() if isinstance(scores, Tensor) else as_array("keep_top: scores", scores)
        return self._part(self.grid.mask(best_of_segments(found, self.grid.batch_starts, k)))

    def crop(self, low: PerAxis, high: PerAxis, *, moved: bool = False) -> "SparseTensor":
        """Return the tensor of the sites with low <= site < high on every axis, with gradients to their features.

        Args:
            low, high: an int or d ints each, high above low.
            moved: True: the box becomes the field, as in `x.to_dense()[:, :, low:high]`: low becomes site 0, and the
                size is high - low. False: sites and size stay the same, and a tensor with a ground state raises
                ShapeError, as for prune.

        Raises:
            ShapeError: arguments that do not fit.
        """
        checked_flags("crop", moved=moved)
        if not moved:
            _refuse_ground("crop", self, "give moved=True, ")
        return self._part(self.grid.crop(low, high, moved=moved), self.ground)

    def _part(self, part: Part, ground: Tensor | None = None) -> "SparseTensor":
        if part.grid is self.grid:
            return self
        return SparseTensor(look_up(self.features, None, part.rows), part.grid, ground)

    def __repr__(self) -> str:
        return (f"SparseTensor({self.grid.n} sites, {self.channels} channels, size {self.grid.size}, "
                f"{self.grid.samples} samples{'' if self.ground is not None else ', no ground'})")


def checked_tensor(who: str, x: object) -> SparseTensor:
    """Return x; raise TypeError if it is no SparseTensor."""
    if not isinstance(x, SparseTensor):
        raise TypeError(expected(who, "a SparseTensor", kind_of(x)))
    return x


def _check_rows(who: str, x: SparseTensor) -> None:
    if len(x.features.data) != x.grid.n:
        raise ShapeError(expected(who, f"features with {x.grid.n} rows, one for each site", len(x.features.data)))


def _named(thing: object) -> str:
    return repr(thing) if isinstance(thing, (Tensor, Grid)) else kind_of(thing)


def _joined(who: str, function: Any, a: SparseTensor, b: SparseTensor, how: str) -> SparseTensor:
    checked_tensor(who, b)
    fits = {a.channels, 1} if who == "multiply" else {b.channels if who == "concatenate" else a.channels}
    if (a.ground is None) != (b.ground is None) or b.channels not in fits:
        raise ShapeError(expected(who, "tensors with the same channels, both with or both without a ground state",
                                  f"{a} and {b}"))
    grid, left, right = algebra.join(a.grid, b.grid, how)
    lost = a.grid.n + b.grid.n - (left >= 0).sum() - (right >= 0).sum()
    if a.ground is not None and lost:
        raise ShapeError(expected(who, "how='outer' for tensors with a ground state", f"{how!r}, which leaves out "
                                  f"{lost} active sites", "use how='outer', or make the tensors with ground=None"))
    ground = None if a.ground is None else function(a.ground, b.ground)
    mine, theirs = (x.features if grid is x.grid else look_up(x.features, x.ground, rows)
                    for x, rows in ((a, left), (b, right)))
    return SparseTensor(function(mine, theirs), grid, ground, a.point_rows if grid is a.grid else None)


def _refuse_ground(who: str, x: SparseTensor, remedy: str = "") -> None:
    if x.ground is not None:
        raise ShapeError(expected(who, "a tensor without a ground state, since sites that are left out would get it", x,
                                  f"{remedy}make it with ground=None (from_sites, from_points, from_dense), or remove "
                                  "the ground state: x.with_features(x.features, ground=None)"))


def _kept_rows(x: SparseTensor, point_rows: ArrayLike | None, kept: str) -> IntegerArray:
    rows = x.point_rows if point_rows is None else as_array("to_points: point_rows", point_rows)
    if rows is None:
        raise ShapeError(expected("to_points", "a tensor whose points are known", x,
                                  "give the point_rows of the tensor that was made of the points"))
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and not -1 <= rows.min() <= rows.max() < x.grid.n):
        raise ShapeError(expected("to_points", f"point_rows to be (n_points,) rows from -1 to {x.grid.n - 1}",
                                  f"{rows.shape} of {rows.dtype}"))
    return kept_rows(rows, x.grid.n, kept)
