"""What the weight of a convolution looks like to another library, and the tables that describe a library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Convolution, Deconvolution, NetworkInNetwork, TransposedConvolution
from spconv_cy.sites import Window
from spconv_cy.types import Array

try:
    from spconv_cy.compiled.transposed import copy_transposed
except ImportError:
    copy_transposed = None                                               # type: ignore[assignment]

# Our weight by the name of the reading: one entry for each way to read an array of that shape. A view of the array that
# `copied` copies, with the axes of the window side by side or, in the order of our taps, as one.
Readings = dict[str, Array]


@dataclass(eq=False, repr=False)
class Kernel:
    """The weight of one of our layers: (k, c, o), or (k, g, c/g, o/g) with groups, taps in lexicographic order.

    Attributes:
        channels_in, channels_out, groups: of the layer.
        window: Window of the layer; None: a NetworkInNetwork, which has one tap in any dimension.
        reused: True for a Deconvolution, which reuses the pairs of an earlier layer.
        transposed: True for a layer whose taps lead to the output sites.
    """

    channels_in: int
    channels_out: int
    groups: int = 1
    window: Window | None = None
    reused: bool = False
    transposed: bool = False

    @classmethod
    def of(cls, layer: Convolution | NetworkInNetwork) -> Kernel:
        """Return the Kernel of a layer."""
        if isinstance(layer, NetworkInNetwork):
            return cls(layer.channels_in, layer.channels_out)
        return cls(layer.channels_in, layer.channels_out, layer.groups, layer.window,
                   isinstance(layer, Deconvolution), isinstance(layer, (Deconvolution, TransposedConvolution)))

    @property
    def volume(self) -> int:
        """Return the number of taps."""
        return 1 if self.window is None else self.window.volume

    @property
    def size(self) -> tuple[int, ...]:
        """Return the taps along each axis; () of a NetworkInNetwork."""
        return () if self.window is None else self.window.size

    @property
    def is_box(self) -> bool:
        """Return True if the taps are all those of a box on the cubic lattice."""
        return self.window is None or (self.window.taps is None and self.window.shape == "full"
                                       and self.window.lattice.is_cubic)

    @property
    def is_strided(self) -> bool:
        """Return True if the layer has a stride of its own."""
        return self.window is not None and not self.reused and max(self.window.stride) > 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of our weight."""
        g = self.groups
        inner = (self.channels_in // g, self.channels_out // g)
        return (self.volume, *inner) if g == 1 else (self.volume, g, *inner)

    def is_size(self, size: tuple[int, ...]) -> bool:
        """Return True if a box of that size has this kernel's taps."""
        return set(size) == {1} if self.window is None else self.is_box and size == self.size


@dataclass(eq=False, repr=False)
class Peer:
    """A library of sparse convolutions: how its modules name and lay out their arrays.

    Attributes:
        name: the word for `source`.
        title: name of the library, for reports.
        read: function from (array, name of the array in its module, Kernel) to Readings.
        write: function from (our weight, Kernel, reading) to the library's array; the reading is "" where there is one.
        weight: name of the array in a convolution.
        inner: names of modules that wrap the arrays, such as ("bn",): "norm1.bn.weight" belongs to "norm1".
        wraps: the one of these around the arrays of a layer that is written, by kind: "norm", "kernel" or "linear".
        statistics: names of the running mean and variance.
        bias_axes: axes of a convolution's bias, 1 or 2.
        counts_steps: whether its batch normalisation has num_batches_tracked.
        skipped: names of arrays in its modules that are no weights.
    """

    name: str
    title: str
    read: Callable[[Array, str, Kernel], Readings]
    write: Callable[[Array, Kernel, str], Array]
    weight: str = "weight"
    inner: tuple[str, ...] = ()
    wraps: Mapping[str, str] = field(default_factory=dict)
    statistics: tuple[str, str] = ("running_mean", "running_var")
    bias_axes: int = 1
    counts_steps: bool = True
    skipped: tuple[str, ...] = ()


def copied(view: Array, into: Array) -> bool:
    """Copy the view of a weight into an array of as many numbers in the same order; return whether all are finite.

    The numbers are looked at while they are in the processor's caches.
    """
    into = into.reshape(view.shape)
    if copy_transposed is not None and view.ndim > 2 and view.strides[-2] == 4 and view.flags.aligned and (
            view.dtype == into.dtype == np.float32) and not view.flags.c_contiguous:
        return all([copy_transposed(view[tap], into[tap]) for tap in np.ndindex(view.shape[:-3])])
    finite = True
    for tap in np.ndindex(view.shape[:-2]):
        # It is done for 64 output channels at a time: where these are the first axis, this takes half as long.
        each = view.shape[-1] if view[tap].flags.c_contiguous else 64
        for i in range(0, view.shape[-1], each or 1):
            into[tap][..., i:i + each] = view[tap][..., i:i + each]
        finite = finite and all_finite(into[tap])
    return finite


def all_finite(array: Array) -> bool:
    """Return True if all numbers of an array are finite."""
    if array.flags.contiguous and array.dtype in (np.float32, np.float64):
        row = array.reshape(-1)
        with np.errstate(all="ignore"):
            if np.isfinite(np.dot(row, row)):                            # faster, and infinite if a square is too large
                return True
    return bool(np.isfinite(array).all())


def linear(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading of a torch.nn.Linear's weight (o, c); none if the array is no such weight."""
    fits = name == "weight" and kernel.volume == 1 and array.shape == (kernel.channels_out, kernel.channels_in)
    return {"linear": array.T[None]} if fits and kernel.groups == 1 else {}


def dense(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the readings of a dense convolution of torch: "kcrs" (o, c, *size), or "ckrs" (c, o, *size) if transposed.

    Detectors end in such layers; here they are convolutions on a full grid. A NetworkInNetwork can be either.
    """
    if name != "weight" or array.ndim < 3 or not kernel.is_size(array.shape[2:]) or kernel.groups > 1:
        return {}
    channels, axes = (kernel.channels_out, kernel.channels_in), range(2, array.ndim)
    readings: Readings = {}
    if array.shape[:2] == channels and not kernel.transposed:
        readings["kcrs"] = array.transpose(*axes, 1, 0)
    if array.shape[1::-1] == channels and (kernel.transposed or kernel.window is None):
        readings["ckrs"] = array.transpose(*axes, 0, 1)
    return readings


def reversed_axes(array: Array) -> Array:
    """Return a view of an array (*size, c, o) with its spatial axes in reverse order."""
    d = array.ndim - 2
    return array.transpose(*range(d)[::-1], d, d + 1)


def col_major(array: Array, kernel: Kernel) -> Array:
    """Return a view (*size, c, o) of an array (k, c, o) in which the first axis is fastest."""
    size = kernel.size or (1,)
    return reversed_axes(array.reshape(*size[::-1], *array.shape[1:]))


def to_col_major(array: Array, kernel: Kernel) -> Array:
    """Return taps with the first axis fastest from our weight (k, c, o)."""
    box = array.reshape(*(kernel.size or (1,)), *array.shape[1:])
    return np.ascontiguousarray(reversed_axes(box)).reshape(array.shape)


def only_boxes(kernel: Kernel, title: str) -> None:
    """Raise ShapeError if a kernel has other taps than a box, or groups, which a library does not have."""
    if not kernel.is_box or kernel.groups > 1:
        what = "groups=1" if kernel.groups > 1 else "a window of all taps of a box"
        got = f"{kernel.groups} groups" if kernel.groups > 1 else "other taps"
        raise ShapeError(expected(title, what, got, f"{title} has no such layer"))
