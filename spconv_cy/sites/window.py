"""Windows: which input sites an output covers, where outputs are, and the size of their field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.once import once
from spconv_cy.sites.lattice import INT32_MAX, Lattice, LatticeLike, Size, as_lattice, is_whole
from spconv_cy.sites.shapes import checked_shape, checked_taps, taps_of

KINDS = ("valid", "submanifold", "cell", "centre", "transposed")


class made_once:
    """An attribute that is made at first use and kept; threads that ask at the same time get the same object."""

    # With functools.cached_property, each thread may get its own object from Python 3.12 on.
    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make, self.__doc__ = make, make.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, _: type | None = None) -> Any:
        return self if owner is None else once(vars(owner), self._name, self._make, owner)


@known_arguments
@dataclass(frozen=True)
class Window:
    """A window: output site j covers the input sites `stride * j + dilation * tap - origin`, one tap for each offset.

    Args:
        lattice: Lattice, or the dimension of a cubic one.
        size: number of taps on each axis, an int or d ints; None with `taps`.
        stride, dilation: an int or d ints, at least 1. A stride of None is the size, so that windows are
            adjacent.
        origin: an int or d ints: the padding at every face of a sized grid, filled with the ground state.
        kind: where outputs are.

            - "valid": where the window covers an active site.
            - "submanifold": at the input's own sites; stride 1, and origin is set to dilation * (size // 2).
            - "cell": at floor(site / stride) of the active sites.
            - "centre": where the site under the tap size // 2 is active.
            - "transposed": at stride * j + dilation * tap - origin for all active sites j and taps: the equation above
              with its sides swapped.

        size_rule: "exact" raises an error for a size that the stride does not divide, "floor" drops the remainder. For
            a transposed window "undilated" computes the size of the output's field as if the dilation were 1.
        shape: which taps of the box of `size` the window has. "full": all; "cross": those on an axis through the
            middle, size // 2; "ball": those in the largest ball (ellipsoid) in the box; "nearest" (simplex lattice,
            size 3): the middle and its d^2 + d nearest neighbours.
        taps: a list of taps instead of size and shape, d ints each, counted from 0; for a submanifold window, counted
            from the site, so that they may be negative. They are sorted; weights have the lexicographic order.
        min_active: number of active sites that a valid window must cover to have an output of its own.
        output_padding: number of sites that a transposed window's field gets in addition at the end of each axis.

    Raises:
        ShapeError: an argument that does not fit; the message says what does.

    >>> Window(2, 3, stride=2).out_size((7, 9))
    (3, 4)
    >>> Window(2, 3, shape="cross").volume, Window(2, taps=[(0, 0), (5, 2)]).size
    (5, (6, 3))
    """

    lattice: Lattice
    size: tuple[int, ...] = None                                         # type: ignore[assignment]
    stride: tuple[int, ...] = 1                                          # type: ignore[assignment]
    dilation: tuple[int, ...] = 1                                        # type: ignore[assignment]
    origin: tuple[int, ...] = 0                                          # type: ignore[assignment]
    kind: str = "valid"
    size_rule: str = "exact"
    shape: str = "full"
    taps: tuple[tuple[int, ...], ...] | None = None
    min_active: int = 1
    output_padding: tuple[int, ...] = 0                                  # type: ignore[assignment]

    if TYPE_CHECKING:
        # What the constructor takes; __post_init__ turns it into the types above.
        def __init__(self, lattice: LatticeLike, size: Size | None = None, stride: Size | None = 1, dilation: Size = 1,
                     origin: Size = 0, kind: str = "valid", size_rule: str = "exact", shape: str = "full",
                     taps: Iterable[Iterable[int]] | None = None, min_active: int = 1,
                     output_padding: Size = 0) -> None: ...

    def __post_init__(self) -> None:
        lattice = as_lattice(self.lattice)
        self._check_words()
        size, taps = self._box(lattice)
        touching = size if lattice.is_cubic else max(size)
        stride = lattice.per_axis(touching if self.stride is None else self.stride, "Window stride", 1)
        dilation = lattice.per_axis(self.dilation, "Window dilation", 1)
        origin = lattice.per_axis(self.origin, "Window origin", None)
        output_padding = lattice.per_axis(self.output_padding, "Window output_padding", 0)
        if self.keeps_sites:
            if max(stride) > 1:
                raise ShapeError(expected("Window", "stride 1 for a submanifold window, which keeps its sites", stride))
            origin = (0,) * lattice.d if taps else tuple(dil * (f // 2) for f, dil in zip(size, dilation, strict=True))
        for name, value in (("lattice", lattice), ("size", size), ("stride", stride), ("dilation", dilation),
                            ("origin", origin), ("taps", taps), ("output_padding", output_padding)):
            object.__setattr__(self, name, value)
        self._check_rule()
        reach = max(max(abs(low), abs(high)) for low, high in self.reach)
        if reach > INT32_MAX:
            raise ShapeError(expected("Window", f"offsets of at most {INT32_MAX}, as sites are int32",
                                      f"{reach} for size {size}, dilation {dilation} and origin {origin}"))

    def __hash__(self) -> int:
        return self._hash

    @made_once
    def _hash(self) -> int:
        return hash(tuple(getattr(self, name) for name in NAMES))

    def __getstate__(self) -> dict[str, Any]:
        # The hash of a text differs from process to process, and what is made once is made again.
        return {name: getattr(self, name) for name in NAMES}

    def _check_words(self) -> None:
        if not is_one_of(self.kind, KINDS):
            raise ShapeError(expected("Window", f"kind to be one of {', '.join(map(repr, KINDS))}", repr(self.kind)))
        rules = ("exact", "floor", "undilated") if self.kind == "transposed" else ("exact", "floor")
        if not is_one_of(self.size_rule, rules):
            raise ShapeError(expected("Window", f"size_rule {' or '.join(map(repr, rules))}", repr(self.size_rule)))

    def _box(self, lattice: Lattice) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...] | None]:
        if self.taps is None:
            if self.size is None:
                raise ShapeError(expected("Window", "size or taps", "neither"))
            size = lattice.per_axis(self.size, "Window size", 1)
            checked_shape(lattice, size, self.shape)
            return size, None
        taps = checked_taps(lattice, self.taps, self.keeps_sites)
        size = tuple(max(axis) + 1 - min(0, *axis) for axis in zip(*taps, strict=True))
        if self.shape != "full" or self.size is not None and lattice.per_axis(self.size, "Window size", 1) != size:
            raise ShapeError(expected("Window", f"taps without size and shape, as their box is {size}",
                                      f"size {self.size}, shape {self.shape!r} and {len(taps)} taps"))
        return size, taps

    def _check_rule(self) -> None:
        if not is_whole(self.min_active) or not 1 <= self.min_active <= self.volume:
            raise ShapeError(expected("Window", f"min_active from 1 to {self.volume}, the number of offsets",
                                      repr(self.min_active)))
        if self.min_active > 1 and self.kind != "valid":
            raise ShapeError(expected("Window", f"min_active 1 for a {self.kind} window", self.min_active,
                                      "only the outputs of a valid window depend on it"))
        if self.kind != "transposed" and max(self.output_padding) > 0:
            raise ShapeError(expected("Window", f"output_padding 0 for a {self.kind} window", self.output_padding,
                                      "only the field of a transposed window depends on it"))
        if self.kind == "centre" and not self.is_cube and not (self.offsets == self.centre).all(1).any():
            raise ShapeError(expected("Window", f"the tap {tuple(f // 2 for f in self.size)} in a centre window",
                                      "taps without it", "add it, or use kind='valid'"))

    @property
    def volume(self) -> int:
        """Number of offsets."""
        if self.taps is None and self.shape == "full":
            return self.lattice.volume(self.size)
        return len(self.offsets)

    @made_once
    def offsets(self) -> NDArray[np.int32]:
        """(k, d) int32: `input = stride * output + offset`, in the order of a weight's first axis."""
        taps = taps_of(self.lattice, self.size, self.shape) if self.taps is None else np.array(self.taps, np.int32)
        offsets = taps * np.array(self.dilation, np.int32) - np.array(self.origin, np.int32)
        offsets.flags.writeable = False
        return offsets

    @made_once
    def stages(self) -> list[NDArray[np.int32]]:
        """Arrays (k, d) int32: each offset is a sum of one row of each; a cube has one array for each axis."""
        if not self.is_cube:
            return [self.offsets]
        stages = [np.zeros((f, self.lattice.d), np.int32) for f in self.size]
        for axis, stage in enumerate(stages):
            stage[:, axis] = np.arange(len(stage)) * self.dilation[axis] - self.origin[axis]
        return stages[::-1]

    @property
    def centre(self) -> NDArray[np.int64]:
        """(d,) int64: the offset of the middle tap, size // 2."""
        return np.array(self.dilation) * (np.array(self.size) // 2) - np.array(self.origin)

    @property
    def is_cube(self) -> bool:
        """True if the window has all taps of a box, so that axes can be handled one by one."""
        return self.taps is None and self.shape == "full" and self.lattice.is_cubic

    @property
    def is_plain(self) -> bool:
        """True if the notation of the papers can describe the window: full, valid or submanifold, min_active 1."""
        return (self.taps is None and self.shape == "full" and self.kind in ("valid", "submanifold")
                and self.min_active == 1)

    @made_once
    def is_tiling(self) -> bool:
        """True if windows of neighbouring outputs touch and do not overlap, so that each site is in one."""
        return (self.is_cube and self.size == self.stride and max(self.dilation) == 1
                and (self.kind == "valid" or self.kind == "cell" and not any(self.origin)))

    @property
    def keeps_sites(self) -> bool:
        """True if the output's sites are the input's own."""
        return self.kind == "submanifold"

    @property
    def span(self) -> tuple[int, ...]:
        """Number of sites from the first tap to the last on each axis; on the simplex lattice, on an edge."""
        if self.lattice.is_cubic:
            return tuple(dil * (f - 1) + 1 for f, dil in zip(self.size, self.dilation, strict=True))
        far = self.size[0] - 1
        if self.taps is not None or self.shape != "full":
            far = int((self.offsets.astype(np.int64) + self.origin).sum(1).max()) // self.dilation[0]
        return (self.dilation[0] * far + 1,) * self.lattice.d

    @property
    def reach(self) -> list[tuple[int, int]]:
        """The lowest and highest offset of each axis, d pairs of ints."""
        if self.taps is not None:
            ends = [(min(axis), max(axis)) for axis in zip(*self.taps, strict=True)]
        else:
            ends = [(0, f - 1) for f in self.size]
        return [(dil * low - pad, dil * high - pad)
                for (low, high), dil, pad in zip(ends, self.dilation, self.origin, strict=True)]

    @overload
    def out_size(self, size: Size) -> tuple[int, ...]: ...

    @overload
    def out_size(self, size: None) -> None: ...

    @overload
    def out_size(self, size: Size | None) -> tuple[int, ...] | None: ...

    def out_size(self, size: Size | None) -> tuple[int, ...] | None:
        """Return the size of the output's field for an input field of `size` (an int or d ints; None: unbounded).

        Raises:
            ShapeError: the window is larger than the field, or the stride does not divide it; sizes that fit are named.
        """
        if size is None or self.keeps_sites:
            return size                                                  # type: ignore[return-value]
        axes = self.lattice.per_axis(size, "Window size", 1)
        if self.kind == "transposed":
            return self._spread_size(axes)
        if self.kind == "cell":
            return tuple((n - 1) // s + 1 for n, s in zip(axes, self.stride, strict=True))
        return self._folded_size(axes)

    def in_size(self, out_size: Size) -> tuple[int, ...]:
        """Return the smallest field that gives `out_size` (an int or d ints)."""
        axes = self.lattice.per_axis(out_size, "Window out_size", 1)
        if self.keeps_sites:
            return axes
        if self.kind == "transposed":
            return self._folded_size(axes)
        if self.kind == "cell":
            return tuple((n - 1) * s + 1 for n, s in zip(axes, self.stride, strict=True))
        return self._spread_size(axes)

    def _spread_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        # Returns the field that windows at all sites of a field of `size` cover.
        faces = self.lattice.faces
        spread = tuple((n - 1) * s + extent - faces * pad
                       for n, s, extent, pad in zip(size, self.stride, self._extent(), self.origin, strict=True))
        if self.kind == "transposed" and not 1 <= min(spread) <= max(spread) <= INT32_MAX:
            raise ShapeError(expected("Window", f"an output field of 1 to {INT32_MAX} sites on each axis",
                                      f"{spread} for a transposed window of span {self.span}, stride {self.stride} and "
                                      f"padding {self.origin} over a field of {size}"))
        return spread

    def _extent(self) -> tuple[int, ...]:
        # Returns the size of the field that one window covers.
        undilated = self.size_rule == "undilated"
        return tuple(((span - 1) // dil if undilated else span - 1) + 1 + more
                     for span, dil, more in zip(self.span, self.dilation, self.output_padding, strict=True))

    def _folded_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        # Returns how many windows fit into a field of `size` on each axis.
        faces = self.lattice.faces
        room = [n + faces * pad - extent
                for n, pad, extent in zip(size, self.origin, self._extent(), strict=True)]
        if min(room) < 0:
            raise ShapeError(expected(
                "Window", f"a field of at least {self._spread_size((1,) * len(size))} for a window of span {self.span} "
                f"and padding {self.origin}", f"size {size}", "use a smaller window or a larger field"))
        wrong = [axis for axis, (r, s) in enumerate(zip(room, self.stride, strict=True)) if r % s]
        if wrong and self.size_rule == "exact":
            fits = tuple((n - r % s, n - r % s + s) for n, r, s in zip(size, room, self.stride, strict=True))
            axis = wrong[0]
            raise ShapeError(expected(
                "Window", f"a field of {fits[axis][0]} or {fits[axis][1]} sites on axis {axis} for size {self.size} "
                f"with stride {self.stride}", f"size {size}",
                "change the field, or give size_rule='floor' to leave the rest out"))
        return tuple(r // s + 1 for r, s in zip(room, self.stride, strict=True))


NAMES = tuple(field.name for field in fields(Window))


@lru_cache(maxsize=1024)
def field_after(window: Window, size: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return window.out_size(size) of a size as grids store it; the last ones are kept."""
    return window.out_size(size)
