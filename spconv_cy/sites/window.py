"""The shape that a layer looks through: which input sites an output site sees, and how large the output is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spconv_cy.errors import ShapeError
from spconv_cy.sites.lattice import INT32_MAX, Lattice, as_lattice, per_axis

MOST_OFFSETS = 2**24


@dataclass(frozen=True)
class Window:
    """Output site j sees the input sites `stride * j + dilation * tap - origin`, a tap for every offset.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size: taps an axis, an int or d ints.
        stride, dilation: an int or d ints, at least 1.
        origin: an int or d ints; the padding on both sides of a sized grid. What lies there is the ground state.
        kind: "valid" (outputs where the window holds an active site) or "submanifold" (at the input's own sites,
            stride 1, origin dilation * (size // 2), which is filled in).
        size_rule: "exact" refuses a size that the stride does not divide, "floor" drops the remainder.

    Raises:
        ShapeError: a value that does not fit, with what does.

    >>> Window(2, 3, stride=2).out_size((7, 9))
    (3, 4)
    """

    lattice: Lattice
    size: tuple
    stride: tuple = 1
    dilation: tuple = 1
    origin: tuple = 0
    kind: str = "valid"
    size_rule: str = "exact"

    def __post_init__(self):
        lattice = as_lattice(self.lattice)
        if self.kind not in ("valid", "submanifold"):
            raise ShapeError(f"Window: kind {self.kind!r} came; 'valid' or 'submanifold' fit")
        if self.size_rule not in ("exact", "floor"):
            raise ShapeError(f"Window: size_rule {self.size_rule!r} came; 'exact' or 'floor' fit")
        size = per_axis(self.size, lattice.d, "Window size", 1)
        stride = per_axis(self.stride, lattice.d, "Window stride", 1)
        dilation = per_axis(self.dilation, lattice.d, "Window dilation", 1)
        origin = per_axis(self.origin, lattice.d, "Window origin", None)
        if self.kind == "submanifold":
            if max(stride) > 1:
                raise ShapeError(f"Window: a submanifold window with stride {stride} came; it keeps its sites: 1 fits")
            origin = tuple(dil * (f // 2) for f, dil in zip(size, dilation, strict=True))
        for name, value in (("lattice", lattice), ("size", size), ("stride", stride), ("dilation", dilation),
                            ("origin", origin)):
            object.__setattr__(self, name, value)
        if self.volume > MOST_OFFSETS:
            raise ShapeError(f"Window: size {size} has {self.volume} offsets; at most {MOST_OFFSETS} fit")
        reach = [max(abs(low), span - 1 - low) for low, span in zip(origin, self.span, strict=True)]
        if max(reach) > INT32_MAX:
            raise ShapeError(f"Window: size {size}, dilation {dilation} and origin {origin} reach {max(reach)} sites "
                             f"far; at most {INT32_MAX} fit, as sites are int32")

    @property
    def volume(self):
        """Number of offsets."""
        return self.lattice.volume(self.size)

    @cached_property
    def offsets(self):
        """(k, d) int32: `input = stride * output + offset`, in the order of the first axis of a weight."""
        taps = self.lattice.taps(self.size)
        offsets = taps * np.array(self.dilation, np.int32) - np.array(self.origin, np.int32)
        offsets.flags.writeable = False
        return offsets

    @property
    def keeps_sites(self):
        """Whether the output's sites are the input's own."""
        return self.kind == "submanifold"

    @property
    def span(self):
        """Sites an axis from the first tap to the last, both counted."""
        return tuple(dil * (f - 1) + 1 for f, dil in zip(self.size, self.dilation, strict=True))

    def out_size(self, size):
        """Return the output's spatial size for an input of `size` (d ints, or None: unbounded).

        Raises:
            ShapeError: the window is larger than the field, or the stride does not divide (sizes that fit are named).
        """
        if size is None or self.keeps_sites:
            return size
        room = [n + 2 * pad - span for n, pad, span in zip(size, self.origin, self.span, strict=True)]
        if min(room) < 0:
            raise ShapeError(
                f"Window: a window of span {self.span} came to a field of size {tuple(size)} with padding "
                f"{self.origin}; it is larger than the field: use a smaller window or a field of at least "
                f"{self.in_size(1)}")
        wrong = [axis for axis, (r, s) in enumerate(zip(room, self.stride, strict=True)) if r % s]
        if wrong and self.size_rule == "exact":
            fits = tuple((n - r % s, n - r % s + s) for n, r, s in zip(size, room, self.stride, strict=True))
            axis = wrong[0]
            raise ShapeError(
                f"Window: size {self.size} with stride {self.stride} does not divide a field of size {tuple(size)} on "
                f"axis {axis}: {fits[axis][0]} or {fits[axis][1]} sites would fit there; change the field, or give "
                "size_rule='floor' to leave the rest out")
        return tuple(r // s + 1 for r, s in zip(room, self.stride, strict=True))

    def in_size(self, out_size):
        """Return the smallest field that gives `out_size` (an int or d ints)."""
        out_size = per_axis(out_size, self.lattice.d, "Window out_size", 1)
        if self.keeps_sites:
            return out_size
        return tuple((n - 1) * s + span - 2 * pad
                     for n, s, span, pad in zip(out_size, self.stride, self.span, self.origin, strict=True))
