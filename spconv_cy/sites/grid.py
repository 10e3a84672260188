"""The active sites of a batch, in canonical order, with the rules that were made from them."""

from collections import namedtuple
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.once import once
from spconv_cy.sites import algebra, rules
from spconv_cy.sites.lattice import as_lattice, is_whole, per_axis
from spconv_cy.sites.partition import partition
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window

MANY_SAMPLES = 2**20
MOST_SAMPLES = 2**24
INT32 = np.iinfo(np.int32)
Source = namedtuple("Source", "parent window rulebook")


@known_arguments
class Grid:
    """Active sites of a batch; make one with `Grid.from_sites`. Immutable.

    Attributes:
        sites: (n, 1+d) int32, batch index first, unique, in lexicographic order.
        size: d ints, or None for an unbounded grid (then negative sites are welcome).
        samples: number of samples in the batch, empty ones included.
        batch_starts: (samples+1,) int64, the rows of sample i are batch_starts[i] to batch_starts[i+1].
        lattice: Lattice.
        source: (parent, window, rulebook) of a grid that a window made, else None.
        listener: None, or a function of (window, output grid, rulebook) that `rules` calls with what it returns.

    >>> grid = Grid.from_sites(np.array([[0, 5, 1], [0, 2, 7]]), size=8)
    >>> grid.sites.tolist(), grid.rows_of([[0, 5, 1], [0, 0, 0]]).tolist()
    ([[0, 2, 7], [0, 5, 1]], [1, -1])
    """

    def __init__(self, sites, size, samples, lattice, source=None):
        fits = isinstance(sites, np.ndarray) and sites.ndim == 2 and sites.shape[1] > 1 and sites.dtype.kind in "iu"
        if not fits or not is_whole(samples) or not 0 <= samples < 2**31:
            raise ShapeError(f"Grid: a {type(sites).__name__} of sites and samples {samples!r} came; an int32 array in "
                             "canonical order and a whole number fit: Grid.from_sites makes a Grid of any sites")
        starts = np.searchsorted(sites[:, 0], np.arange(samples + 1)).astype(np.int64)
        for array in (sites, starts):
            array.flags.writeable = False
        self._is = (sites.view(), starts.view(), size, samples, lattice, source)
        # A window that keeps the sites: its rulebook stays as long as the grid. A window that makes a child: the child
        # holds this grid, so this grid holds the child weakly, and no circle keeps a batch alive. All by `once`.
        self._kept = {}
        self._made = WeakValueDictionary()
        self._given = WeakKeyDictionary()                                # by the target, which need not be a child
        self.listener = None

    sites = property(lambda self: self._is[0])
    batch_starts = property(lambda self: self._is[1])
    size = property(lambda self: self._is[2])
    samples = property(lambda self: self._is[3])
    lattice = property(lambda self: self._is[4])
    source = property(lambda self: self._is[5])

    def __reduce__(self):
        # Rules do not travel, they are made again where they are asked for; the source does, for what restores sites.
        return Grid, (self.sites, self.size, self.samples, self.lattice, self.source)

    @classmethod
    @known_arguments
    def from_sites(cls, sites, size=None, samples=None, lattice=None):
        """Make a grid of distinct sites.

        Args:
            sites: (n, 1+d) of any integer dtype with int32 values, batch index first, in any order.
            size: an int or d ints (every coordinate in 0..size-1), or None: unbounded.
            samples: number of samples; by default one more than the largest batch index.
            lattice: Lattice; by default the cubic one of the sites' dimension.

        Raises:
            ShapeError: not whole numbers, or not (n, 1+d).
            GridError: duplicate sites, sites outside the size, a batch index that is negative or too large.
        """
        grid, rows = cls.arrange(sites, size, samples, lattice)
        if grid.n != len(rows):
            raise GridError(
                f"Grid: {len(rows) - grid.n} of {len(rows)} sites are duplicates; remove them, or let "
                "SparseTensor.from_sites merge their features: reduce='sum', 'mean', 'max', 'first' or 'last'")
        return grid

    @classmethod
    def arrange(cls, sites, size=None, samples=None, lattice=None):
        """Make a grid of sites that may repeat; return (grid, row of each given site (n,) int32)."""
        given = as_numpy(sites, "sites")
        sites = as_sites(given)
        lattice = as_lattice(sites.shape[1] - 1 if lattice is None else lattice)
        if lattice.d != sites.shape[1] - 1:
            raise ShapeError(f"Grid: sites {sites.shape} came for a lattice of dimension {lattice.d}; "
                             f"(n, {lattice.d + 1}) fit: the batch index, then {lattice.d} coordinates")
        if size is not None:
            size = lattice.per_axis(size, "Grid size", 1)
        bounds = rules.bounds(sites) if len(sites) else np.array([[0] * sites.shape[1], [-1] * sites.shape[1]])
        samples = _checked_samples(len(sites), int(bounds[0, 0]), int(bounds[1, 0]), samples)
        if size is not None and len(sites):
            _check_inside(sites, bounds[:, 1:], size, lattice)
        unique, rows = rules.arrange(sites)
        if np.may_share_memory(unique, given):
            unique = unique.copy()                                       # the grid freezes what it holds
        return cls(unique, size, samples, lattice), rows

    @property
    def n(self):
        """Number of active sites."""
        return len(self.sites)

    @property
    def d(self):
        """Dimension."""
        return self.lattice.d

    @property
    def field(self):
        """Number of sites, active or not, of one sample; None where the grid is unbounded."""
        return None if self.size is None else self.lattice.field(self.size)

    def rows_of(self, sites):
        """Return the row of each of sites (q, 1+d), int32 (q,); -1 where a site is not active.

        Raises:
            ShapeError: not whole numbers, or not (q, 1+d).
        """
        sites = as_sites(sites)
        if sites.shape[1] != self.d + 1:
            raise ShapeError(f"rows_of: sites {sites.shape} came to a grid of dimension {self.d}; "
                             f"(q, {self.d + 1}) fit")
        return rules.find(self.sites, sites)

    def rules(self, window):
        """Return (output grid, rulebook) of a window over this grid; the same objects for an equal window.

        Args:
            window: Window of this grid's lattice.

        Raises:
            ShapeError: another lattice, a window larger than the field, a stride that does not divide.
        """
        if not isinstance(window, Window):
            raise TypeError(f"rules: a {type(window).__name__} came; a Window fits")
        child, rulebook = self._rules(window)
        if self.listener is not None:
            self.listener(window, child, rulebook)
        return child, rulebook

    def _rules(self, window):
        # An equal window gives the same objects, also to threads that ask at the same time.
        if window.keeps_sites:
            return self, once(self._kept, window, self._own_pairs, window)
        child = once(self._made, window, self._child, window)
        return child, child.source.rulebook

    def _own_pairs(self, window):
        self._check_lattice(window)
        return Rulebook.trusted(*rules.given(self.sites, self.sites, window))

    def _child(self, window):
        self._check_lattice(window)
        out_size = window.out_size(self.size)
        out_sites, parts = rules.made(self.sites, window, out_size)
        return Grid(out_sites, out_size, self.samples, self.lattice, Source(self, window, Rulebook.trusted(*parts)))

    def _check_lattice(self, window):
        if window.lattice != self.lattice:
            raise ShapeError(f"rules: a window on {window.lattice} came to a grid on {self.lattice}; equal ones fit")

    def rules_to(self, window, target):
        """Return the rulebook of a window whose output sites are those of any grid; the same one for equal arguments.

        Args:
            window: Window; its kind says on which side of the equation the target stands: "transposed" or not.
            target: Grid of this lattice and number of samples, of any size.

        Raises:
            ShapeError: another lattice or number of samples.

        >>> fine, coarse = Grid.from_sites([[0, 3], [0, 4]]), Grid.from_sites([[0, 2], [0, 7]])
        >>> fine.rules_to(Window(1, 2, stride=2), coarse)
        Rulebook(1 pairs, 2 offsets, 2 -> 2 rows)
        """
        if not isinstance(window, Window) or not isinstance(target, Grid):
            raise TypeError(f"rules_to: a {type(window).__name__} and a {type(target).__name__} came; a Window and a "
                            "Grid fit")
        if not window.lattice == self.lattice == target.lattice or self.samples != target.samples:
            raise ShapeError(f"rules_to: a window on {window.lattice}, a target of {target.samples} samples on "
                             f"{target.lattice} came to a grid of {self.samples} on {self.lattice}; equal ones fit")
        if target is self and window.keeps_sites:
            return self.rules(window)[1]
        return once(self._given.setdefault(target, {}), window, self._pairs_to, window, target.sites)

    def _pairs_to(self, window, there):
        parts = (rules.swapped(rules.given(there, self.sites, window)) if window.kind == "transposed"
                 else rules.given(self.sites, there, window))
        return Rulebook.trusted(*parts)

    def partition(self, size, shift):
        """Return the rows of each window of a partition (see sites/partition.py); the same arrays for equal d ints."""
        size, shift = per_axis(size, self.d, "partition size", 1), per_axis(shift, self.d, "partition shift", None)
        return once(self._kept, (size, shift), partition, self.sites, size, shift)

    def collapse(self, axis):
        """Return (grid, rows): the grid without a coordinate, and the row in it of each site, (n,) int32; made once.

        >>> grid, rows = Grid.from_sites([[0, 1, 7], [0, 2, 3], [0, 2, 7]]).collapse(0)
        >>> grid.sites.tolist(), rows.tolist()
        ([[0, 3], [0, 7]], [1, 0, 1])
        """
        if not is_whole(axis) or not 0 <= axis < self.d or self.d < 2:
            raise ShapeError(f"collapse: axis {axis!r} came; 0 to {self.d - 1} fit, in dimension 2 or more")
        return once(self._kept, ("collapse", int(axis)), self._collapsed, int(axis))

    def _collapsed(self, axis):
        size = None if self.size is None else self.size[:axis] + self.size[axis + 1:]
        grid, rows = Grid.arrange(np.delete(self.sites, 1 + axis, axis=1), size, self.samples)
        rows.flags.writeable = False
        return grid, rows

    def union(self, other):
        """Return Join(grid, left, right): the sites of either grid; left and right are their rows here and there.

        A row of -1 says that the site is not in that grid. `a | b`, `a & b` and `a - b` give the grids alone.

        Raises:
            ShapeError: another lattice, size or number of samples.

        >>> a, b = Grid.from_sites([[0, 1], [0, 5]]), Grid.from_sites([[0, 3], [0, 5]])
        >>> a.union(b).left.tolist(), a.union(b).right.tolist()
        ([0, -1, 1], [-1, 0, 1])
        >>> (a | b).sites[:, 1].tolist(), (a & b).sites[:, 1].tolist(), (a - b).sites[:, 1].tolist()
        ([1, 3, 5], [5], [1])
        """
        return algebra.join(self, other, "outer")

    def intersection(self, other):
        """Return Join(grid, left, right): the sites of both grids, and their rows here and there; as for union."""
        return algebra.join(self, other, "inner")

    def difference(self, other):
        """Return Part(grid, rows): the sites that are here and not there, and their rows here; as for union."""
        return algebra.difference(self, other)

    def crop(self, low, high, *, moved=False):
        """Return Part(grid, rows): the sites with low <= x < high, and their rows.

        Args:
            low, high: an int or d ints each, high above low.
            moved: whether the box becomes a field of its own: low is its site 0, high - low its size.
        """
        return algebra.crop(self, low, high, moved=moved)

    def mask(self, keep):
        """Return Part(grid, rows): the sites where keep (n,) bool is true, and their rows."""
        return algebra.mask(self, keep)

    def __or__(self, other):
        return self.union(other).grid if isinstance(other, Grid) else NotImplemented

    def __and__(self, other):
        return self.intersection(other).grid if isinstance(other, Grid) else NotImplemented

    def __sub__(self, other):
        return self.difference(other).grid if isinstance(other, Grid) else NotImplemented

    def __repr__(self):
        return f"Grid({self.n} sites, size {self.size}, {self.samples} samples, d {self.d})"


def as_sites(sites):
    """Return sites as C-contiguous int32 (n, 1+d); refuse what is not whole numbers, and what int32 cannot hold."""
    sites = as_numpy(sites, "sites")
    try:
        array = np.asarray(sites)
    except ValueError:
        raise ShapeError("sites: rows of unequal length came; (n, 1+d) fits: the batch index, then d "
                         "coordinates") from None
    if array.size == 0 and array.ndim in (1, 2) and not isinstance(sites, np.ndarray):
        array = array.astype(np.int32)
    if array.dtype == object:
        odd = [v for v in array.flat if not is_whole(v) or not INT32.min <= v <= INT32.max] or [array]
        raise ShapeError(f"sites: an array of Python objects came, among them {odd[0]!r:.40}; an integer dtype with "
                         "int32 values fits")
    if array.dtype.kind not in "iu":
        raise ShapeError(f"sites: dtype {array.dtype} came; an integer dtype fits: floor real points with "
                         "SparseTensor.from_points(points, features, cell=...)")
    if array.ndim != 2 or array.shape[1] < 2:
        raise ShapeError(f"sites: shape {array.shape} came; (n, 1+d) fits: the batch index, then d coordinates")
    if array.dtype != np.int32 and array.size and (array.min() < INT32.min or array.max() > INT32.max):
        raise GridError(f"sites: values from {array.min()} to {array.max()} came; int32 holds {INT32.min} to "
                        f"{INT32.max}")
    return np.require(array, np.int32, "CA")


def check_samples(who, samples):
    """Raise GridError where a batch has more samples than a grid takes."""
    if samples > MOST_SAMPLES:
        raise GridError(f"{who}: expected at most {MOST_SAMPLES} samples, got {samples}; use a smaller batch")


def _checked_samples(n, lowest, highest, samples):
    if lowest < 0:
        raise GridError(f"Grid: a negative batch index, {lowest}, came (column 0 of sites); samples count from 0")
    if samples is None:
        if highest >= MANY_SAMPLES + n:
            raise GridError(f"Grid: batch index {highest} came with {n} sites; is column 0 of sites the batch "
                            "index? If so, give samples=")
        return highest + 1
    if not is_whole(samples) or not 0 <= samples <= MOST_SAMPLES:
        raise GridError(f"Grid: samples {samples!r} came; a whole number from 0 to {MOST_SAMPLES} fits")
    if highest >= samples:
        raise GridError(f"Grid: batch index {highest} came with samples={samples}; indices 0 to {samples - 1} fit")
    return int(samples)


def _check_inside(sites, bounds, size, lattice):
    if lattice.is_cubic:
        if not ((bounds[0] < 0) | (bounds[1] >= np.array(size))).any():
            return
    elif bounds[0].min() >= 0 and lattice.inside(sites[:, 1:], size).all():
        return
    outside = ~lattice.inside(sites[:, 1:], size)
    row = int(np.flatnonzero(outside)[0])
    where = f"size {size}" if lattice.is_cubic else f"size {size[0]} of {lattice}, where x >= 0 and sum(x) < {size[0]}"
    raise GridError(
        f"Grid: {int(outside.sum())} of {len(sites)} sites lie outside {where}, the first at row {row}: "
        f"{sites[row, 1:].tolist()}; move them, give a larger size, or size=None for an unbounded grid")
