"""The pairs (input row, output row) of a window, grouped by offset: all that the arithmetic needs to know of sites."""

from functools import lru_cache

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError
from spconv_cy.once import once
from spconv_cy.sites import rules
from spconv_cy.sites.lattice import INT32_MAX, is_whole
from spconv_cy.sites.pairs import Pairs

SMALL = 2**16                           # rows up to which making an identity takes longer than a layer's other errands


@known_arguments
class Rulebook:
    """Pairs (in_rows[i], out_rows[i]); those of offset k are `offset_ptr[k]` to `offset_ptr[k+1]`, out_rows ascending.

    Args:
        in_rows, out_rows: (p,) int32; within an offset no output row and no input row comes twice.
        offset_ptr: (k+1,) int64.
        n_in, n_out: number of input and output rows.
        volume: sites in a window, an int or (n_out,) ints; by default the number of offsets.

    Immutable: the arrays are read-only, and no attribute but `listener` can be assigned. `listener` is None, or an
    object whose `.T` becomes the listener of the transposed rulebook; a backend notes there what it reads.

    Raises:
        ShapeError: rows out of range, not ascending, pointers that do not fit, a volume that is no count.
    """

    __slots__ = ("_pairs", "_volume", "_kept", "listener", "__weakref__")

    def __init__(self, in_rows, out_rows, offset_ptr, n_in, n_out, volume=None):
        for name, n in (("n_in", n_in), ("n_out", n_out)):
            if not is_whole(n) or not 0 <= n <= INT32_MAX:
                raise ShapeError(f"Rulebook: {name} {n!r} came; a whole number from 0 to {INT32_MAX} fits")
        in_rows, out_rows = _whole_numbers("in_rows", in_rows, np.int32), _whole_numbers("out_rows", out_rows, np.int32)
        offset_ptr = _whole_numbers("offset_ptr", offset_ptr, np.int64)
        _check(in_rows, out_rows, offset_ptr, n_in, n_out)
        self._begin(in_rows, out_rows, offset_ptr, int(n_in), int(n_out), _checked_volume(volume, n_out), None)
        if not rules.ascend(self.T.out_rows, offset_ptr):
            raise ShapeError("Rulebook: in_rows must hold an input row at most once in each offset")

    @classmethod
    def trusted(cls, in_rows, out_rows, offset_ptr, n_in, n_out, volume=None, tile_ptr=None):
        """Make a rulebook from arrays that are right by construction (rules, identities), without checking them.

        The arrays become read-only and are held, not copied.
        """
        rulebook = cls.__new__(cls)
        rulebook._begin(in_rows, out_rows, offset_ptr, n_in, n_out, volume, tile_ptr)
        return rulebook

    @classmethod
    def identity(cls, n):
        """Return the rulebook of one offset that pairs each of n rows with itself; a small one is made once."""
        if not is_whole(n) or not 0 <= n <= INT32_MAX:
            raise ShapeError(f"Rulebook.identity: n {n!r} came; a whole number from 0 to {INT32_MAX} fits")
        return _small_identity(n) if n <= SMALL else _identity(n)

    @classmethod
    def one_row(cls, volume):
        """Return the rulebook of a window that sees the same single row at each of its `volume` offsets."""
        zeros = np.zeros(volume, np.int32)
        return cls.trusted(zeros, zeros, np.arange(volume + 1, dtype=np.int64), 1, 1)

    def _begin(self, in_rows, out_rows, offset_ptr, n_in, n_out, volume, tile_ptr):
        if tile_ptr is None:
            tile_ptr = rules.tile_pointers(out_rows, offset_ptr, n_out)
        if isinstance(volume, np.ndarray):
            volume.flags.writeable = False
        self._pairs, self._volume = Pairs(in_rows, out_rows, offset_ptr, n_in, n_out, tile_ptr), volume
        self._kept, self.listener = {}, None

    @property
    def pairs(self):
        """The object that owns the arrays; backend operations hold it while they read them."""
        return self._pairs

    @property
    def in_rows(self):
        """(p,) int32, read-only: the input row of each pair."""
        return self._pairs.in_rows

    @property
    def out_rows(self):
        """(p,) int32, read-only: the output row of each pair."""
        return self._pairs.out_rows

    @property
    def offset_ptr(self):
        """(k+1,) int64, read-only: where the pairs of each offset begin, and where the last end."""
        return self._pairs.offset_ptr

    @property
    def tile_ptr(self):
        """(k, t+1) int64: pairs of offset k whose output row lies in tile t are tile_ptr[k, t] to tile_ptr[k, t+1]."""
        return self._pairs.tile_ptr

    @property
    def n_in(self):
        """Number of input rows."""
        return self._pairs.n_in

    @property
    def n_out(self):
        """Number of output rows."""
        return self._pairs.n_out

    @property
    def volume(self):
        """Sites in a window, an int or (n_out,) ints; the number of offsets where none was given."""
        return self.n_offsets if self._volume is None else self._volume

    @property
    def n_offsets(self):
        """Number of offsets, k."""
        return len(self._pairs.offset_ptr) - 1

    @property
    def n_pairs(self):
        """Number of pairs, p."""
        return len(self._pairs.in_rows)

    @property
    def fan_in(self):
        """(n_out,) int32, read-only: active sites in the window of each output."""
        return once(self._kept, "fan_in", self._counted)

    def _counted(self):
        counts = rules.fan_in(self.out_rows, self.tile_ptr, self.n_out)
        counts.flags.writeable = False
        return counts

    @property
    def ground(self):
        """The rulebook of one window off all sites, which sees the ground state's row at every offset."""
        return once(self._kept, "ground", _one_row, self.n_offsets)

    @property
    def T(self):
        """The rulebook with its sides swapped: the backward pass is a forward pass under it."""
        return once(self._kept, "T", self._transposed)

    def _transposed(self):
        in_rows, out_rows, offset_ptr = self.out_rows, self.in_rows, self.offset_ptr
        if not rules.ascend(out_rows, offset_ptr):
            in_rows, out_rows = rules.transpose(self.in_rows, self.out_rows, offset_ptr, self.n_in)
        transposed = Rulebook.trusted(in_rows, out_rows, offset_ptr, self.n_out, self.n_in)
        transposed.listener = None if self.listener is None else self.listener.T
        return transposed

    @property
    def kept(self):
        """A dict of what is made from this rulebook at first use, by `once`; backends keep their own forms here."""
        return self._kept

    def __reduce__(self):
        # What is kept is made again at first use.
        return Rulebook.trusted, (self.in_rows, self.out_rows, self.offset_ptr, self.n_in, self.n_out, self._volume)

    def __eq__(self, other):
        if not isinstance(other, Rulebook):
            return NotImplemented
        return ((self.n_in, self.n_out) == (other.n_in, other.n_out)
                and all(np.array_equal(getattr(self, name), getattr(other, name))
                        for name in ("in_rows", "out_rows", "offset_ptr")))

    __hash__ = None

    def __repr__(self):
        return f"Rulebook({self.n_pairs} pairs, {self.n_offsets} offsets, {self.n_in} -> {self.n_out} rows)"


def _identity(n):
    rows = np.arange(n, dtype=np.int32)
    tile_ptr = np.minimum(np.arange(-(-n // rules.TILE_ROWS) + 1)[None] * rules.TILE_ROWS, n)
    return Rulebook.trusted(rows, rows, np.array([0, n], np.int64), n, n, tile_ptr=tile_ptr)


_small_identity = lru_cache(maxsize=16)(_identity)                       # 4 MB at most


@lru_cache(maxsize=64)
def _one_row(volume):
    # The same for all grids, so that a GPU has it after the first batch.
    return Rulebook.one_row(volume)


def _check(in_rows, out_rows, pointers, n_in, n_out):
    n_pairs = len(in_rows) if in_rows.ndim else 0
    if in_rows.ndim != 1 or in_rows.shape != out_rows.shape or pointers.ndim != 1:
        raise ShapeError(f"Rulebook: in_rows {in_rows.shape}, out_rows {out_rows.shape} and offset_ptr "
                         f"{pointers.shape} came; (p,), (p,) and (k+1,) fit")
    if len(pointers) < 1 or pointers[0] != 0 or pointers[-1] != n_pairs or (np.diff(pointers) < 0).any():
        raise ShapeError(f"Rulebook: offset_ptr must ascend from 0 to the {n_pairs} pairs")
    for name, rows, n in (("in_rows", in_rows, n_in), ("out_rows", out_rows, n_out)):
        if n_pairs and not 0 <= rows.min() <= rows.max() < n:
            raise ShapeError(f"Rulebook: {name} {rows.min()} to {rows.max()} came; rows 0 to {n - 1} fit")
    if not rules.ascend(out_rows, pointers):
        raise ShapeError("Rulebook: out_rows must ascend inside each offset, none twice")


def _checked_volume(volume, n_out):
    """Return None, an int, or (n_out,) int64; refuse what is no number of sites."""
    if volume is None or is_whole(volume) and volume >= 0:
        return volume if volume is None else int(volume)
    found = as_array("Rulebook: volume", volume)
    if found.shape != (n_out,) or found.dtype.kind not in "iu" or (found < 0).any():
        raise ShapeError(f"Rulebook: expected volume to be None, a whole number from 0 up, or {n_out} of them, one for "
                         f"each output row, got {volume!r:.60}")
    return found.astype(np.int64)


def _whole_numbers(name, numbers, dtype):
    without_mask(numbers, f"Rulebook: {name}")
    try:
        array = np.asarray(numbers)
    except ValueError:
        array = np.asarray(None)
    if array.size == 0:
        array = array.astype(dtype)
    if array.dtype.kind not in "iu":
        raise ShapeError(f"Rulebook: {name} of dtype {array.dtype} came; integers fit")
    if array.size and not np.iinfo(dtype).min <= array.min() <= array.max() <= np.iinfo(dtype).max:
        raise ShapeError(f"Rulebook: {name} {array.min()} to {array.max()} came; {np.dtype(dtype)} numbers fit")
    if not array.ndim:
        raise ShapeError(f"Rulebook: {name} {array} came; an array fits")
    return np.array(array, dtype, order="C")                             # its own: the rulebook freezes what it holds
