"""The pairs (input row, output row) of a window, grouped by offset: all that the arithmetic needs to know of sites."""

from functools import lru_cache

import numpy as np

from spconv_cy.errors import ShapeError
from spconv_cy.sites import rules
from spconv_cy.sites.lattice import INT32_MAX, is_whole


class Rulebook:
    """Pairs (in_rows[i], out_rows[i]); those of offset k are `offset_ptr[k]` to `offset_ptr[k+1]`, out_rows ascending.

    Args:
        in_rows, out_rows: (p,) int32; within an offset no output row and no input row comes twice.
        offset_ptr: (k+1,) int64.
        n_in, n_out: number of input and output rows.
        volume: sites in a window, an int or (n_out,) ints; by default the number of offsets.

    Raises:
        ShapeError: rows out of range, not ascending, or pointers that do not fit.
    """

    def __init__(self, in_rows, out_rows, offset_ptr, n_in, n_out, volume=None):
        for name, n in (("n_in", n_in), ("n_out", n_out)):
            if not is_whole(n) or not 0 <= n <= INT32_MAX:
                raise ShapeError(f"Rulebook: {name} {n!r} came; a whole number from 0 to {INT32_MAX} fits")
        self._fill(_whole_numbers("in_rows", in_rows, np.int32), _whole_numbers("out_rows", out_rows, np.int32),
                   _whole_numbers("offset_ptr", offset_ptr, np.int64), int(n_in), int(n_out), volume)
        self._check()

    @classmethod
    def trusted(cls, in_rows, out_rows, offset_ptr, n_in, n_out, volume=None, tile_ptr=None):
        """Make a rulebook from arrays that are right by construction (rules, identities), without checking them."""
        rulebook = cls.__new__(cls)
        rulebook._fill(in_rows, out_rows, offset_ptr, n_in, n_out, volume)
        rulebook._tile_ptr = tile_ptr
        return rulebook

    @classmethod
    def identity(cls, n):
        """Return the rulebook of one offset that pairs each of n rows with itself."""
        if not is_whole(n) or not 0 <= n <= INT32_MAX:
            raise ShapeError(f"Rulebook: n {n!r} came; a whole number from 0 to {INT32_MAX} fits")
        rows = np.arange(n, dtype=np.int32)
        return cls.trusted(rows, rows, np.array([0, n], np.int64), n, n)

    @classmethod
    def one_row(cls, volume):
        """Return the rulebook of a window that sees the same single row at each of its `volume` offsets."""
        zeros = np.zeros(volume, np.int32)
        return cls.trusted(zeros, zeros, np.arange(volume + 1, dtype=np.int64), 1, 1)

    def _fill(self, in_rows, out_rows, offset_ptr, n_in, n_out, volume):
        self.in_rows, self.out_rows, self.offset_ptr = in_rows, out_rows, offset_ptr
        self.n_in, self.n_out = n_in, n_out
        self.volume = len(offset_ptr) - 1 if volume is None else volume
        self._tile_ptr = self._fan_in = self._transposed = self._ground = None
        self._copies, self.uses = {}, [set(), set(), set()]              # of this one, its transpose, and that one's
        for array in (in_rows, out_rows, offset_ptr):
            array.flags.writeable = False

    def _check(self):
        pointers, n_pairs = self.offset_ptr, len(self.in_rows)
        if self.in_rows.ndim != 1 or self.in_rows.shape != self.out_rows.shape or pointers.ndim != 1:
            raise ShapeError(f"Rulebook: in_rows {self.in_rows.shape}, out_rows {self.out_rows.shape} and offset_ptr "
                             f"{pointers.shape} came; (p,), (p,) and (k+1,) fit")
        if len(pointers) < 1 or pointers[0] != 0 or pointers[-1] != n_pairs or (np.diff(pointers) < 0).any():
            raise ShapeError(f"Rulebook: offset_ptr must ascend from 0 to the {n_pairs} pairs")
        for name, rows, n in (("in_rows", self.in_rows, self.n_in), ("out_rows", self.out_rows, self.n_out)):
            if n_pairs and not 0 <= rows.min() <= rows.max() < n:
                raise ShapeError(f"Rulebook: {name} {rows.min()} to {rows.max()} came; rows 0 to {n - 1} fit")
        if not rules.ascend(self.out_rows, pointers):
            raise ShapeError("Rulebook: out_rows must ascend inside each offset, none twice")
        if not rules.ascend(self.T.out_rows, pointers):
            raise ShapeError("Rulebook: in_rows must hold an input row at most once in each offset")

    @property
    def n_offsets(self):
        """Number of offsets, k."""
        return len(self.offset_ptr) - 1

    @property
    def n_pairs(self):
        """Number of pairs, p."""
        return len(self.in_rows)

    @property
    def tile_ptr(self):
        """(k, t+1) int64: pairs of offset k whose output row lies in tile t are tile_ptr[k, t] to tile_ptr[k, t+1]."""
        if self._tile_ptr is None:
            self._tile_ptr = rules.tile_pointers(self.out_rows, self.offset_ptr, self.n_out)
        return self._tile_ptr

    @property
    def fan_in(self):
        """(n_out,) int32: active sites in the window of each output."""
        if self._fan_in is None:
            self._fan_in = rules.fan_in(self.out_rows, self.tile_ptr, self.n_out)
        return self._fan_in

    @property
    def ground(self):
        """The rulebook of one window off all sites, which sees the ground state's row at every offset."""
        if self._ground is None:
            self._ground = _one_row(self.n_offsets)
        return self._ground

    @property
    def T(self):
        """The rulebook with its sides swapped: the backward pass is a forward pass under it."""
        if self._transposed is None:
            in_rows, out_rows = self.out_rows, self.in_rows
            if not rules.ascend(out_rows, self.offset_ptr):
                in_rows, out_rows = rules.transpose(self.in_rows, self.out_rows, self.offset_ptr, self.n_in)
            self._transposed = Rulebook.trusted(in_rows, out_rows, self.offset_ptr, self.n_out, self.n_in)
            self._transposed.uses = self.uses[1:]
        return self._transposed

    def on(self, ops):
        """Return what `ops` needs to apply this rulebook: on the CPU itself, on a GPU a copy, made once."""
        if ops.rulebook_copy is None:
            return self
        if ops.name not in self._copies:
            self._copies[ops.name] = ops.rulebook_copy(self, ops)
        return self._copies[ops.name]

    def keep_uses(self, uses):
        """Note what is used of this rulebook and its transpose in these sets from now on."""
        self.uses = uses
        if self._transposed is not None:
            self._transposed.keep_uses(uses[1:])

    def place(self, ops, uses):
        """Give `ops` what another rulebook's `uses` name, of this one and of its transpose."""
        names = list(uses[0]) if uses else []
        for name in names:
            getattr(self.on(ops), name)
        if any(uses[1:]):
            self.T.place(ops, uses[1:])

    def __getstate__(self):
        return {**vars(self), "_copies": {}}                             # what is in a GPU's memory is made anew

    def __eq__(self, other):
        if not isinstance(other, Rulebook):
            return NotImplemented
        return ((self.n_in, self.n_out) == (other.n_in, other.n_out)
                and all(np.array_equal(getattr(self, name), getattr(other, name))
                        for name in ("in_rows", "out_rows", "offset_ptr")))

    __hash__ = None

    def __repr__(self):
        return f"Rulebook({self.n_pairs} pairs, {self.n_offsets} offsets, {self.n_in} -> {self.n_out} rows)"


@lru_cache(maxsize=64)
def _one_row(volume):
    # The same for all grids, so that a GPU has it after the first batch.
    return Rulebook.one_row(volume)


def _whole_numbers(name, numbers, dtype):
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
