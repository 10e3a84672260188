"""The shape that a layer looks through: which sites an output sees, where outputs are, how large a field gets."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError
from spconv_cy.once import once
from spconv_cy.sites.lattice import INT32_MAX, Lattice, as_lattice, is_whole
from spconv_cy.sites.shapes import checked_shape, checked_taps, taps_of

KINDS = ("valid", "submanifold", "cell", "centre", "transposed")


class made_once:
    """An attribute that is made at first use and kept; of several threads that meet here all get the first one's."""

    # functools.cached_property gives each its own from Python 3.12 on.
    def __init__(self, make):
        self._make, self.__doc__ = make, make.__doc__

    def __set_name__(self, _, name):
        self._name = name

    def __get__(self, owner, _=None):
        return self if owner is None else once(vars(owner), self._name, self._make, owner)


@known_arguments
@dataclass(frozen=True)
class Window:
    """Output site j sees the input sites `stride * j + dilation * tap - origin`, a tap for every offset.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size: taps an axis, an int or d ints; with `taps` None.
        stride, dilation: an int or d ints, at least 1. A stride of None is the size: windows that touch.
        origin: an int or d ints; the padding on every face of a sized grid. What lies there is the ground state.
        kind: where outputs are.
            "valid": where the window holds an active site.
            "submanifold": at the input's own sites, stride 1, origin dilation * (size // 2), which is filled in.
            "cell": at floor(site / stride) of the active sites.
            "centre": where the site under the tap size // 2 is active.
            "transposed": the other way round, at every stride * site + dilation * tap - origin of the active sites j:
                the sides of the equation above are swapped.
        size_rule: "exact" refuses a size that the stride does not divide, "floor" drops the remainder.
        shape: the taps of the box of `size` that count. "full": all that the lattice has; "cross": those on a line
            through the middle, size // 2; "ball": those in the largest ball (ellipsoid) in the box; "nearest" (simplex
            lattice, size 3): the middle and its d^2 + d nearest neighbours.
        taps: a list of taps instead of size and shape, each d ints, counted from 0; of a submanifold window from the
            site itself, negative ones too. In any order; the weights' is the lexicographic one.
        min_active: active sites that a valid window must hold for an output; with fewer it gets the ground state.

    Raises:
        ShapeError: a value that does not fit, with what does.

    >>> Window(2, 3, stride=2).out_size((7, 9))
    (3, 4)
    >>> Window(2, 3, shape="cross").volume, Window(2, taps=[(0, 0), (5, 2)]).size
    (5, (6, 3))
    """

    lattice: Lattice
    size: tuple = None
    stride: tuple = 1
    dilation: tuple = 1
    origin: tuple = 0
    kind: str = "valid"
    size_rule: str = "exact"
    shape: str = "full"
    taps: tuple = None
    min_active: int = 1

    def __post_init__(self):
        lattice = as_lattice(self.lattice)
        if not is_one_of(self.kind, KINDS):
            raise ShapeError(f"Window: kind {self.kind!r} came; {', '.join(map(repr, KINDS))} fit")
        if not is_one_of(self.size_rule, ("exact", "floor")):
            raise ShapeError(f"Window: size_rule {self.size_rule!r} came; 'exact' or 'floor' fit")
        size, taps = self._box(lattice)
        touching = size if lattice.is_cubic else max(size)
        stride = lattice.per_axis(touching if self.stride is None else self.stride, "Window stride", 1)
        dilation = lattice.per_axis(self.dilation, "Window dilation", 1)
        origin = lattice.per_axis(self.origin, "Window origin", None)
        if self.keeps_sites:
            if max(stride) > 1:
                raise ShapeError(f"Window: a submanifold window with stride {stride} came; it keeps its sites: 1 fits")
            origin = (0,) * lattice.d if taps else tuple(dil * (f // 2) for f, dil in zip(size, dilation, strict=True))
        for name, value in (("lattice", lattice), ("size", size), ("stride", stride), ("dilation", dilation),
                            ("origin", origin), ("taps", taps)):
            object.__setattr__(self, name, value)
        self._check_rule()
        reach = max(max(abs(low), abs(high)) for low, high in self.reach)
        if reach > INT32_MAX:
            raise ShapeError(f"Window: size {size}, dilation {dilation} and origin {origin} reach {reach} sites "
                             f"far; at most {INT32_MAX} fit, as sites are int32")

    def _box(self, lattice):
        if self.taps is None:
            if self.size is None:
                raise ShapeError("Window: neither size nor taps came; give one of them")
            size = lattice.per_axis(self.size, "Window size", 1)
            checked_shape(lattice, size, self.shape)
            return size, None
        taps = checked_taps(lattice, self.taps, self.keeps_sites)
        size = tuple(max(axis) + 1 - min(0, *axis) for axis in zip(*taps, strict=True))
        if self.shape != "full" or self.size is not None and lattice.per_axis(self.size, "Window size", 1) != size:
            raise ShapeError(f"Window: size {self.size}, shape {self.shape!r} and {len(taps)} taps came; give the taps "
                             f"alone, whose box is {size}")
        return size, taps

    def _check_rule(self):
        if not is_whole(self.min_active) or not 1 <= self.min_active <= self.volume:
            raise ShapeError(f"Window: min_active {self.min_active!r} came; 1 to {self.volume} fit, as the window has "
                             "that many offsets")
        if self.min_active > 1 and self.kind != "valid":
            raise ShapeError(f"Window: min_active {self.min_active} came to a {self.kind} window, whose outputs do not "
                             "depend on how many sites it holds; 1, or a valid window, fits")
        if self.kind == "centre" and not self.is_cube and not (self.offsets == self.centre).all(1).any():
            raise ShapeError(f"Window: a centre window came without its middle, the tap "
                             f"{tuple(f // 2 for f in self.size)}; a window that has it fits, or kind='valid'")

    @property
    def volume(self):
        """Number of offsets."""
        if self.taps is None and self.shape == "full":
            return self.lattice.volume(self.size)
        return len(self.offsets)

    @made_once
    def offsets(self):
        """(k, d) int32: `input = stride * output + offset`, in the order of the first axis of a weight."""
        taps = taps_of(self.lattice, self.size, self.shape) if self.taps is None else np.array(self.taps, np.int32)
        offsets = taps * np.array(self.dilation, np.int32) - np.array(self.origin, np.int32)
        offsets.flags.writeable = False
        return offsets

    @made_once
    def stages(self):
        """Arrays (k, d) int32 of which an offset is a sum, one of each: axis by axis where the window is a cube."""
        if not self.is_cube:
            return [self.offsets]
        stages = [np.zeros((f, self.lattice.d), np.int32) for f in self.size]
        for axis, stage in enumerate(stages):
            stage[:, axis] = np.arange(len(stage)) * self.dilation[axis] - self.origin[axis]
        return stages[::-1]

    @property
    def centre(self):
        """(d,) int64: the offset of the tap in the middle, size // 2."""
        return np.array(self.dilation) * (np.array(self.size) // 2) - np.array(self.origin)

    @property
    def is_cube(self):
        """Whether the window has every tap of a box, so that each axis can be looked at alone."""
        return self.taps is None and self.shape == "full" and self.lattice.is_cubic

    @property
    def is_plain(self):
        """Whether the papers' notation can say it: all taps of the lattice's shape, and no rule of its own."""
        return (self.taps is None and self.shape == "full" and self.kind in ("valid", "submanifold")
                and self.min_active == 1)

    @property
    def keeps_sites(self):
        """Whether the output's sites are the input's own."""
        return self.kind == "submanifold"

    @property
    def span(self):
        """Sites an axis from the first tap to the last, both counted; on the simplex lattice, sites of an edge."""
        if self.lattice.is_cubic:
            return tuple(dil * (f - 1) + 1 for f, dil in zip(self.size, self.dilation, strict=True))
        far = self.size[0] - 1
        if self.taps is not None or self.shape != "full":
            far = int((self.offsets.astype(np.int64) + self.origin).sum(1).max()) // self.dilation[0]
        return (self.dilation[0] * far + 1,) * self.lattice.d

    @property
    def reach(self):
        """The lowest and the highest offset of each axis, d pairs of ints."""
        if self.taps is not None:
            ends = [(min(axis), max(axis)) for axis in zip(*self.taps, strict=True)]
        else:
            ends = [(0, f - 1) for f in self.size]
        return [(dil * low - pad, dil * high - pad)
                for (low, high), dil, pad in zip(ends, self.dilation, self.origin, strict=True)]

    def out_size(self, size):
        """Return the output's spatial size for an input of `size` (d ints, or None: unbounded).

        Raises:
            ShapeError: the window is larger than the field, or the stride does not divide (sizes that fit are named).
        """
        if size is None or self.keeps_sites:
            return size
        size = self.lattice.per_axis(size, "Window size", 1)
        if self.kind == "transposed":
            return self._spread_size(size)
        if self.kind == "cell":
            return tuple((n - 1) // s + 1 for n, s in zip(size, self.stride, strict=True))
        return self._folded_size(size)

    def in_size(self, out_size):
        """Return the smallest field that gives `out_size` (an int or d ints)."""
        out_size = self.lattice.per_axis(out_size, "Window out_size", 1)
        if self.keeps_sites:
            return out_size
        if self.kind == "transposed":
            return self._folded_size(out_size)
        if self.kind == "cell":
            return tuple((n - 1) * s + 1 for n, s in zip(out_size, self.stride, strict=True))
        return self._spread_size(out_size)

    def _spread_size(self, size):
        # The field that windows at each site of a field of `size` lie in.
        faces = self.lattice.faces
        spread = tuple((n - 1) * s + span - faces * pad
                       for n, s, span, pad in zip(size, self.stride, self.span, self.origin, strict=True))
        if self.kind == "transposed" and not 1 <= min(spread) <= max(spread) <= INT32_MAX:
            raise ShapeError(f"Window: a transposed window of span {self.span}, stride {self.stride} and padding "
                             f"{self.origin} makes a field of size {spread} of one of {tuple(size)}; 1 to {INT32_MAX} "
                             "sites an axis fit")
        return spread

    def _folded_size(self, size):
        # The windows that fit into a field of `size`, as many an axis.
        faces = self.lattice.faces
        room = [n + faces * pad - span for n, pad, span in zip(size, self.origin, self.span, strict=True)]
        if min(room) < 0:
            raise ShapeError(
                f"Window: a window of span {self.span} came to a field of size {tuple(size)} with padding "
                f"{self.origin}; it is larger than the field: use a smaller window or a field of at least "
                f"{self._spread_size((1,) * len(size))}")
        wrong = [axis for axis, (r, s) in enumerate(zip(room, self.stride, strict=True)) if r % s]
        if wrong and self.size_rule == "exact":
            fits = tuple((n - r % s, n - r % s + s) for n, r, s in zip(size, room, self.stride, strict=True))
            axis = wrong[0]
            raise ShapeError(
                f"Window: size {self.size} with stride {self.stride} does not divide a field of size {tuple(size)} on "
                f"axis {axis}: {fits[axis][0]} or {fits[axis][1]} sites would fit there; change the field, or give "
                "size_rule='floor' to leave the rest out")
        return tuple(r // s + 1 for r, s in zip(room, self.stride, strict=True))
