"""Rulebooks: the pairs (input row, output row) of a window by offset, which is all that operations read of sites."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, checked_integers
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.once import once
from spconv_cy.sites import rules
from spconv_cy.sites.lattice import INT32_MAX, is_whole
from spconv_cy.sites.pairs import Pairs

SMALL = 2**16                           # rows up to which an identity takes longer to make than a layer's other work


@known_arguments
class Rulebook:
    """Pairs (in_rows[i], out_rows[i]); those of offset k are `offset_ptr[k]` to `offset_ptr[k+1]`, out_rows ascending.

    Args:
        in_rows, out_rows: (p,) int32; in an offset, no output row and no input row comes twice.
        offset_ptr: (k+1,) int64.
        n_in, n_out: number of input and output rows.
        volume: number of sites in a window, an int or (n_out,) ints; by default the number of offsets.

    Immutable: the arrays are read-only, and no attribute but `listener` can be assigned. `listener` is None, or an
    object in which a backend records what it reads; its `.T` becomes the listener of the transposed rulebook.

    Raises:
        ShapeError: rows out of range or not ascending, pointers that do not fit, a volume that is not a count.
    """

    __slots__ = ("_pairs", "_volume", "_kept", "listener", "__weakref__")

    _pairs: Pairs
    _volume: int | NDArray[np.int64] | None
    _kept: dict[Hashable, Any]
    listener: Any

    def __init__(self, in_rows: ArrayLike, out_rows: ArrayLike, offset_ptr: ArrayLike, n_in: int, n_out: int,
                 volume: ArrayLike | None = None) -> None:
        checked_integers("Rulebook", 0, INT32_MAX, n_in=n_in, n_out=n_out)
        ins, outs = _whole_numbers("in_rows", in_rows, np.int32), _whole_numbers("out_rows", out_rows, np.int32)
        pointers = _whole_numbers("offset_ptr", offset_ptr, np.int64)
        _check(ins, outs, pointers, n_in, n_out)
        self._begin(ins, outs, pointers, int(n_in), int(n_out), _checked_volume(volume, n_out), None)
        if not rules.ascend(self.T.out_rows, pointers):
            raise ShapeError(expected("Rulebook", "in_rows with each input row at most once in each offset",
                                      "one that comes twice"))

    @classmethod
    def trusted(cls, in_rows: NDArray[np.int32], out_rows: NDArray[np.int32], offset_ptr: NDArray[np.int64], n_in: int,
                n_out: int, volume: int | NDArray[np.int64] | None = None,
                tile_ptr: NDArray[np.int64] | None = None, known: int = 0) -> Rulebook:
        """Return a rulebook of arrays that are right by construction (rules, identities), without checking them.

        The arrays become read-only and are not copied. For `known` see Pairs.
        """
        rulebook = cls.__new__(cls)
        rulebook._begin(in_rows, out_rows, offset_ptr, n_in, n_out, volume, tile_ptr, known)
        return rulebook

    @classmethod
    def of_pairs(cls, pairs: Pairs, volume: int | NDArray[np.int64] | None = None) -> Rulebook:
        """Return a rulebook of Pairs that are right by construction."""
        rulebook = cls.__new__(cls)
        rulebook._pairs, rulebook._volume, rulebook._kept, rulebook.listener = pairs, volume, {}, None
        return rulebook

    @classmethod
    def identity(cls, n: int) -> Rulebook:
        """Return the rulebook of one offset that pairs each of n rows with itself; small ones are kept."""
        checked_integers("Rulebook.identity", 0, INT32_MAX, n=n)
        return _small_identity(n) if n <= SMALL else _identity(n)

    @classmethod
    def one_row(cls, volume: int) -> Rulebook:
        """Return the rulebook of a window that has the same single row at each of its `volume` offsets."""
        checked_integers("Rulebook.one_row", 0, INT32_MAX, volume=volume)
        zeros = np.zeros(volume, np.int32)
        return cls.trusted(zeros, zeros, np.arange(volume + 1, dtype=np.int64), 1, 1)

    def _begin(self, in_rows: NDArray[np.int32], out_rows: NDArray[np.int32], offset_ptr: NDArray[np.int64], n_in: int,
               n_out: int, volume: int | NDArray[np.int64] | None, tile_ptr: NDArray[np.int64] | None,
               known: int = 0) -> None:
        if tile_ptr is None:
            tile_ptr = rules.tile_pointers(out_rows, offset_ptr, n_out)
        if isinstance(volume, np.ndarray):
            volume.flags.writeable = False
        self._pairs, self._volume = Pairs(in_rows, out_rows, offset_ptr, n_in, n_out, tile_ptr, known), volume
        self._kept, self.listener = {}, None

    @property
    def pairs(self) -> Pairs:
        """The object that owns the arrays; a backend operation holds it while it reads them."""
        return self._pairs

    @property
    def in_rows(self) -> NDArray[np.int32]:
        """(p,) int32, read-only: the input row of each pair."""
        return self._pairs.in_rows

    @property
    def out_rows(self) -> NDArray[np.int32]:
        """(p,) int32, read-only: the output row of each pair."""
        return self._pairs.out_rows

    @property
    def offset_ptr(self) -> NDArray[np.int64]:
        """(k+1,) int64, read-only: where the pairs of each offset begin, and where the last end."""
        return self._pairs.offset_ptr

    @property
    def tile_ptr(self) -> NDArray[np.int64]:
        """(k, t+1) int64: tile_ptr[k, t] to tile_ptr[k, t+1] are the pairs of offset k with output rows in tile t."""
        return self._pairs.tile_ptr

    @property
    def n_in(self) -> int:
        """Number of input rows."""
        return self._pairs.n_in

    @property
    def n_out(self) -> int:
        """Number of output rows."""
        return self._pairs.n_out

    @property
    def volume(self) -> int | NDArray[np.int64]:
        """Number of sites in a window, an int or (n_out,) ints; by default the number of offsets."""
        return self.n_offsets if self._volume is None else self._volume

    @property
    def n_offsets(self) -> int:
        """Number of offsets, k."""
        return self._pairs.n_offsets

    @property
    def n_pairs(self) -> int:
        """Number of pairs, p."""
        return len(self._pairs.in_rows)

    @property
    def fan_in(self) -> NDArray[np.int32]:
        """(n_out,) int32, read-only: number of active sites in the window of each output."""
        return once(self._kept, "fan_in", self._counted)

    def _counted(self) -> NDArray[np.int32]:
        counts = rules.fan_in(self.out_rows, self.tile_ptr, self.n_out)
        counts.flags.writeable = False
        return counts

    @property
    def ground(self) -> Rulebook:
        """The rulebook of one window away from all sites, which has the row of the ground state at every offset."""
        return once(self._kept, "ground", _one_row, self.n_offsets)

    @property
    def T(self) -> Rulebook:
        """The transposed rulebook, input and output swapped: the backward pass is a forward pass with it."""
        return once(self._kept, "T", self._transposed)

    def _transposed(self) -> Rulebook:
        pairs = rules.turned(self._pairs)
        if pairs is None:
            in_rows, out_rows = rules.transpose(self.in_rows, self.out_rows, self.offset_ptr, self.n_in)
            transposed = Rulebook.trusted(in_rows, out_rows, self.offset_ptr, self.n_out, self.n_in)
        else:
            transposed = Rulebook.of_pairs(pairs)
        transposed.listener = None if self.listener is None else self.listener.T
        return transposed

    @property
    def kept(self) -> dict[Hashable, Any]:
        """Objects made from this rulebook at first use, by `once`; backends keep their own forms of it here."""
        return self._kept

    def __reduce__(self) -> tuple[Any, ...]:
        # Kept objects are made again at first use.
        return Rulebook.trusted, (self.in_rows, self.out_rows, self.offset_ptr, self.n_in, self.n_out, self._volume)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rulebook):
            return NotImplemented
        return ((self.n_in, self.n_out) == (other.n_in, other.n_out)
                and all(np.array_equal(getattr(self, name), getattr(other, name))
                        for name in ("in_rows", "out_rows", "offset_ptr")))

    __hash__: ClassVar[None] = None                                      # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Rulebook({self.n_pairs} pairs, {self.n_offsets} offsets, {self.n_in} -> {self.n_out} rows)"


def _identity(n: int) -> Rulebook:
    rows = np.arange(n, dtype=np.int32)
    tile_ptr = np.minimum(np.arange(-(-n // rules.TILE_ROWS) + 1)[None] * rules.TILE_ROWS, n)
    return Rulebook.trusted(rows, rows, np.array([0, n], np.int64), n, n, tile_ptr=tile_ptr)


_small_identity = lru_cache(maxsize=16)(_identity)                       # 4 MB at most


@lru_cache(maxsize=64)
def _one_row(volume: int) -> Rulebook:
    # One object for all grids, so that a GPU has it after the first batch.
    return Rulebook.one_row(volume)


def _check(in_rows: NDArray[np.int32], out_rows: NDArray[np.int32], pointers: NDArray[np.int64], n_in: int,
           n_out: int) -> None:
    n_pairs = len(in_rows) if in_rows.ndim else 0
    if in_rows.ndim != 1 or in_rows.shape != out_rows.shape or pointers.ndim != 1:
        raise ShapeError(expected("Rulebook", "in_rows (p,), out_rows (p,) and offset_ptr (k+1,)",
                                  f"{in_rows.shape}, {out_rows.shape} and {pointers.shape}"))
    if len(pointers) < 1 or pointers[0] != 0 or pointers[-1] != n_pairs or (np.diff(pointers) < 0).any():
        raise ShapeError(expected("Rulebook", f"offset_ptr that ascends from 0 to the {n_pairs} pairs",
                                  f"{pointers.tolist()!r:.60}"))
    for name, rows, n in (("in_rows", in_rows, n_in), ("out_rows", out_rows, n_out)):
        if n_pairs and not 0 <= rows.min() <= rows.max() < n:
            raise ShapeError(expected("Rulebook", f"{name} from 0 to {n - 1}", f"{rows.min()} to {rows.max()}"))
    if not rules.ascend(out_rows, pointers):
        raise ShapeError(expected("Rulebook", "out_rows that ascend strictly in each offset", "others"))


def _checked_volume(volume: ArrayLike | None, n_out: int) -> int | NDArray[np.int64] | None:
    """Return None, an int, or (n_out,) int64; raise ShapeError for anything that is not a number of sites."""
    if volume is None:
        return None
    found = as_array("Rulebook: volume", volume)
    if is_whole(volume) and found >= 0:
        return int(found)
    if found.shape != (n_out,) or found.dtype.kind not in "iu" or (found < 0).any():
        raise ShapeError(expected("Rulebook", f"volume to be None, a whole number from 0 up, or {n_out} of them, one "
                                  "for each output row", f"{volume!r:.60}"))
    return found.astype(np.int64)


def _whole_numbers(name: str, numbers: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    without_mask(numbers, f"Rulebook: {name}")
    try:
        array = np.asarray(numbers)
    except ValueError:
        array = np.asarray(None)
    if array.size == 0:
        array = array.astype(dtype)
    limits = np.iinfo(np.dtype(dtype))
    if array.dtype.kind not in "iu" or not array.ndim:
        raise ShapeError(expected("Rulebook", f"{name} to be an array of integers",
                                  f"shape {array.shape} of {array.dtype}"))
    if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
        raise ShapeError(expected("Rulebook", f"{name} in the range of {np.dtype(dtype)}",
                                  f"{array.min()} to {array.max()}"))
    return np.array(array, dtype, order="C")                             # a copy, which becomes read-only
