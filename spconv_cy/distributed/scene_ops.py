"""Backend operations on the rows of a scene that is cut among ranks: halos are exchanged, sums are those of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spconv_cy.backend import exact
from spconv_cy.backend.switch import Ops, Part, part_of, plain
from spconv_cy.distributed.scene_halo import REMEDY, SceneRulebook
from spconv_cy.distributed.statistics import SharedStatistics
from spconv_cy.errors import BackendError, expected
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.distributed.ranks import Ranks
    from spconv_cy.sites import Rulebook

BY_ROW = ("leaky_relu", "leaky_relu_dx", "affine", "affine_dx", "add", "concatenate", "split", "cross_entropy_dx")
WHOLE = ("take", "scatter_add", "scatter_max", "segment_max")


class Group(exact.Alone):
    """The ranks of a scene, for sums and maxima over all its rows.

    Args:
        ranks: Ranks.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def largest(self, a: Array) -> Array:
        """Return the largest of each element over the ranks."""
        return np.asarray(self.ranks.stack(a).max(0))

    def total(self, a: Array) -> Array:
        """Return the sum over the ranks."""
        return self.ranks.sum(a)

    def count(self, n: int) -> int:
        """Return the sum of the ranks' numbers."""
        return sum(self.ranks.gather(int(n)))


class SceneOps(Ops):
    """The operations of a backend on Parts. Results that are not rows are those of the whole scene, on every rank.

    Plain arrays, such as weights and ground states, are equal on all ranks; operations on them alone are the backend's.
    In float64 sums are exact before they are rounded once, so that their bits do not depend on the cut: those of Ops
    itself, over the rows of the group.

    Args:
        base: Ops of the plain arrays.
        ranks: Ranks.
    """

    name = "part"

    def __init__(self, base: Ops, ranks: Ranks) -> None:
        self.base, self.ranks, self.group = base, ranks, Group(ranks)
        self.float_dtypes, self.exact = base.float_dtypes, base.float_dtypes[0] is np.float64
        for name in BY_ROW:
            setattr(self, name, _by_row(getattr(base, name)))
        for name in WHOLE:
            setattr(self, name, _refused(name, getattr(base, name)))

    def in_all(self, number: Any) -> Any:
        """Return the sum of the ranks' numbers."""
        return sum(self.ranks.gather(number))

    def part(self, array: Array, rows: int) -> Part:
        """Return this rank's rows (n, ...) of so many in all as a Part."""
        return Part.of(array, self, rows)

    def asarray(self, array: object, dtype: Any = None) -> Array:
        """See Ops.asarray; a Part of that dtype stays one."""
        if isinstance(array, Part) and array.dtype == np.dtype(self.float_dtypes[0] if dtype is None else dtype):
            return array
        return self.base.asarray(plain(array), dtype)

    def to_numpy(self, array: Array) -> Array:
        """Return this rank's rows as a plain array."""
        return plain(array)

    def conv(self, x: Array, w: Array, rulebook: Any, *, bias: Array | None = None, slope: float | None = None,
             precision: str = "float32") -> Array:
        """See Ops.conv."""
        at = self._placed("conv", x, rulebook)
        return at.made(self.base.conv(at.x, w, at.rulebook, bias=bias, slope=slope, precision=precision))

    def conv_after(self, x: Array, w: Array, rulebook: Any, *, bias: Array | None = None,
                   slope: float | None = None, rows: Array | None = None, residual: Array | None = None,
                   measure: bool = False, precision: str = "float32") -> tuple[Array, ...]:
        """See Ops.conv_after; the moments are those of all rows."""
        at = self._placed("conv", x, rulebook)
        y, *own = self.base.conv_after(at.x, w, at.rulebook, bias=bias, slope=slope, rows=rows,
                                       residual=plain(residual), measure=measure and not self.exact,
                                       precision=precision)
        found = at.made(y)
        return (found, self._moments(found, *own)) if measure else (found,)

    def conv_dw(self, x: Array, dy: Array, rulebook: Any, groups: int = 1, *,
                precision: str = "float32") -> Array:
        """See Ops.conv_dw; the sum over all ranks."""
        at = self._placed("conv_dw", x, rulebook)
        if not isinstance(x, Part):
            return self.base.conv_dw(x, plain(dy), rulebook, groups, precision=precision)
        if self.exact and precision == "float32":
            return super().conv_dw(at.x, plain(dy), at.rulebook, groups)
        return self.ranks.sum(self.base.conv_dw(at.x, plain(dy), at.rulebook, groups, precision=precision))

    def sum_pool(self, x: Array, rulebook: Any) -> Array:
        """See Ops.sum_pool."""
        at = self._placed("sum_pool", x, rulebook)
        return at.made(self.base.sum_pool(at.x, at.rulebook))

    def max_pool(self, x: Array, rulebook: Any, ground: Array | None = None) -> tuple[Array, Array]:
        """See Ops.max_pool; winners are rows of the halo's."""
        at = self._placed("max_pool", x, rulebook)
        y, winner = self.base.max_pool(at.x, at.rulebook, ground)
        return at.made(y), winner

    def max_pool_dx(self, dy: Array, winner: Array, n: int, rulebook: Any = None) -> tuple[Array, Array]:
        """See Ops.max_pool_dx."""
        if not isinstance(rulebook, SceneRulebook):
            raise BackendError(expected("max_pool", "windows of a scene", "others", REMEDY))
        side, back = rulebook.side, rulebook.T.side
        ground = self.segment_sum(self.part(np.where(winner < 0, plain(dy), 0), 0), np.array([0, len(dy)]))
        if not side.halo.exists:
            dx = self.base.max_pool_dx(plain(dy), winner, n, side.rulebook)[0]
            return self.part(dx, side.n_in), ground
        # Each rank adds up the gradients of its own rows, in the order of the scene's windows.
        names = np.append(side.halo.extended(side.halo.names()), np.int64(-1))[winner]
        dys, won = back.halo.extended(plain(dy)), back.halo.extended(names)
        first = side.halo.first
        mine = np.where((won >= first) & (won < first + n), won - first, n).astype(np.int32)
        dx = self.base.max_pool_dx(dys, mine, n + 1)[0]
        return self.part(np.ascontiguousarray(dx[:n]), side.n_in), ground

    def segment_sum(self, x: Array, starts: Array) -> Array:
        """See Ops.segment_sum; segments go on over all ranks."""
        if not isinstance(x, Part):
            return self.base.segment_sum(x, starts)
        if self.exact:
            return super().segment_sum(plain(x), starts)
        return self.ranks.sum(self.base.segment_sum(plain(x), starts))

    def moments(self, x: Array) -> Array:
        """See Ops.moments."""
        return self._moments(x)

    def affine_sums(self, x: Array, dy: Array, rows: Array, slope: float = 1.0) -> Array:
        """See Ops.affine_sums."""
        if not isinstance(x, Part):
            return self.base.affine_sums(x, dy, rows, slope)
        if self.exact:
            return super().affine_sums(plain(x), plain(dy), rows, slope)
        return self.ranks.sum(self.base.affine_sums(plain(x), plain(dy), rows, slope))

    def cross_entropy(self, x: Array, labels: Array, counts: Array | None = None) -> tuple[Array, Array]:
        """See Ops.cross_entropy."""
        if self.exact:
            return super().cross_entropy(plain(x), labels, counts)
        total, found = self.base.cross_entropy(plain(x), labels, counts)
        return self.ranks.sum(np.asarray(total).reshape(1))[0], found

    def _moments(self, x: Array, own: Array | None = None) -> Array:
        if not isinstance(x, Part):
            return self.base.moments(x)
        if self.exact:
            return super().moments(plain(x))
        own = self.base.moments(plain(x)) if own is None else own
        return SharedStatistics(self.ranks, True).moments(own, len(x))

    def _placed(self, who: str, x: Array, rulebook: Any) -> Placed:
        """Return what a backend needs to apply a rulebook to x: rows with their halo, and a rulebook of them."""
        if not isinstance(x, Part):
            return Placed(x, rulebook, None, 0)
        if isinstance(rulebook, SceneRulebook):
            side = rulebook.side
            return Placed(side.halo.of(x), side.rulebook, self, side.n_out)
        if rulebook.n_offsets != 1 or not len(x) == rulebook.n_in == rulebook.n_out == rulebook.n_pairs:
            raise BackendError(expected(who, "windows over the sites of the scene", "sites of this rank alone", REMEDY))
        return Placed(plain(x), rulebook, self, x.rows)


class Placed(NamedTuple):
    """Rows with their halo, a plain Rulebook of them, the Ops of the result (None: it is plain), and its rows in all.
    """

    x: Array
    rulebook: Rulebook
    ops: SceneOps | None
    rows: int

    def made(self, y: Array) -> Array:
        """Return the result, as a Part if x was one."""
        return y if self.ops is None else self.ops.part(y, self.rows)


def _by_row(function: Any) -> Any:
    def called(*arguments: Any, **options: Any) -> Any:
        part = part_of(*arguments, *options.values())
        found = function(*map(plain, arguments), **{name: plain(value) for name, value in options.items()})
        if part is None:
            return found
        return tuple(map(part.like, found)) if isinstance(found, tuple) else part.like(found)

    return called


def _refused(name: str, function: Any) -> Any:
    def called(x: Array, *arguments: Any, **options: Any) -> Any:
        if isinstance(x, Part):
            raise BackendError(expected(name, "rows of a whole batch", "a part of a scene that is cut among ranks",
                                        REMEDY))
        return function(x, *arguments, **options)

    return called
