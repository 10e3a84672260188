"""From layers to the steps of a frozen network, without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy import layers as library
from spconv_cy.deploy.rules import ROOT, ROWS, Link
from spconv_cy.deploy.steps import Apply, Convolve, Join, Map, MaxPool, Step, Value

if TYPE_CHECKING:
    from spconv_cy.layers import Layer
    from spconv_cy.types import Array

# The methods that compute; a class from elsewhere that has one of its own may do anything.
METHODS = frozenset(("__call__", "activated", "fused", "rows", "rules", "normalised", "factors", "_begun", "_run",
                     "_rows", "_source", "_made", "_steps"))
# Layers that keep sites and channels, and those that give a row for each sample.
KEEPING: tuple[type[Layer], ...] = (
    library.PReLU, library.ELU, library.SELU, library.SiLU, library.GELU, library.Tanh, library.Sigmoid, library.ReLU6,
    library.HardSwish, library.HardSigmoid, library.Softmax, library.GroupNormalization, library.InstanceNormalization,
    library.SampleScale, library.EfficientChannelAttention)
REDUCING: tuple[type[Layer], ...] = (library.GlobalPooling, library.GeneralizedMeanPooling)


class CannotTraceError(Exception):
    """A layer whose sites or channels are not known before it runs."""


class Tracer:
    """Collects the steps of layers that run one after the other.

    Args:
        channels: of the input; None: not known.

    Attributes:
        values, steps, links: lists, as for Program.
    """

    def __init__(self, channels: int | None) -> None:
        self.values = [Value(ROOT, channels or 0)]
        self.steps: list[Step] = []
        self.links: list[Link] = []
        self._numbers: dict[Link, int] = {}
        self._made = [-1]               # the link that makes each place
        self._held: list[int] = [0]     # values that something else reads too
        self._known = channels is not None

    def layer(self, layer: Any, x: int) -> int:
        """Add the steps of a layer that reads value x; return the value of its result.

        Raises:
            CannotTraceError: the layer may do anything.
        """
        if not computes_as_the_library(layer):
            return self._own(layer, x)
        for kind, add in KINDS:
            if isinstance(layer, kind):
                return add(self, layer, x)                               # type: ignore[no-any-return]
        raise CannotTraceError

    def state(self) -> Any:
        """Return what `restore` needs after a layer that cannot be traced in the end."""
        return ([copy(value) for value in self.values], [copy(step) for step in self.steps], [*self.links],
                {**self._numbers}, [*self._made], [*self._held], self._known)

    def restore(self, state: Any) -> None:
        """Go back to a state."""
        self.values, self.steps, self.links, self._numbers, self._made, self._held, self._known = state

    def all(self, layers: Sequence[Any], x: int) -> int:
        """Add the steps of layers that run one after the other; return the value of the last."""
        for layer in layers:
            x = self.layer(layer, x)
        return x

    def _chain(self, layer: Any, x: int) -> int:
        if isinstance(layer, library.ToPoints):                          # whose rows are not those of sites
            raise CannotTraceError
        return self.all(layer.layers, x)

    def _residual(self, layer: Any, x: int) -> int:
        if layer.how is not None:
            raise CannotTraceError
        self._held.append(x)
        y = self.all(layer.layers, x)
        self._held.append(y)
        start = x if layer.shortcut is None else self.layer(layer.shortcut, x)
        self._held.pop()
        self._held.pop()
        if self._place(y) != self._place(start) or self._channels(y) != self._channels(start):
            raise CannotTraceError
        self._check(y, None)
        last = self._producer(y, Convolve, Map)
        if last is not None and y not in (x, start) and last.slope is None and last.residual is None:
            self.steps.remove(last)                                      # it runs after the other branch
            self.steps.append(last)
            last.residual = start
            return y
        return self._add(Map, y, self._value(self._place(y), self._channels(y)), residual=start)

    def _concatenate(self, layer: Any, x: int) -> int:
        if layer.how is not None:
            raise CannotTraceError
        parts = list[int]()
        self._held.append(x)
        for branch in layer.branches:
            parts.append(self.layer(branch, x))
            self._held.append(parts[-1])
        del self._held[-len(parts) - 1:]
        if len({self._place(part) for part in parts}) > 1:
            raise CannotTraceError
        for part in parts:
            self._check(part, None)
        y = self._value(self._place(parts[0]), sum(map(self._channels, parts)))
        return self._add(Join, parts[0], y, parts=tuple(parts))

    def _convolution(self, layer: Any, x: int) -> int:
        self._check(x, layer.channels_in, sites=True)
        if getattr(layer, "sites", None) == "source":
            link = self._link(Link(self._place(x), layer.window, self._finer(self._place(x), layer.window.stride)))
        else:
            link = self._link(Link(self._place(x), layer.window))
        return self._convolve(layer, x, link, self._place_of(link))

    def _deconvolution(self, layer: Any, x: int) -> int:
        self._check(x, layer.channels_in, sites=True)
        link = self._made[self._place(x)]
        if link < 0 or not _same(self.links[link].window, layer.window):
            raise CannotTraceError
        return self._convolve(layer, x, link, self.links[link].place, turned=True)

    def _linear(self, layer: Any, x: int) -> int:
        self._check(x, layer.channels_in)
        return self._convolve(layer, x, None, self._place(x))

    def _convolve(self, layer: Any, x: int, link: int | None, place: int, turned: bool = False) -> int:
        state = {"weight": float32(layer.weight.data)}
        if layer.bias is not None:
            state["bias"] = float32(layer.bias.data).copy()
        return self._add(Convolve, x, self._value(place, layer.channels_out), link=link, product=state, turned=turned)

    def _norm(self, layer: Any, x: int) -> int:
        self._check(x, layer.channels)
        last = self._producer(x, Convolve)
        rows = float32(layer.map_rows())
        if last is not None and last.slope is None and last.residual is None and "rows" not in last.product:
            last.product["rows"], last.slope = rows, layer.slope
            return x
        return self._add(Map, x, self._value(self._place(x), layer.channels), rows=rows, slope=layer.slope)

    def _leaky(self, layer: Any, x: int) -> int:
        last = self._producer(x, Convolve, Map, MaxPool)
        if last is not None:
            last.slope = layer.slope if last.slope is None else last.slope * layer.slope
            return x
        self._check(x, None)
        return self._add(Map, x, self._value(self._place(x), self._channels(x)), slope=layer.slope)

    def _dropout(self, layer: Any, x: int) -> int:
        if layer.inverted or layer.p == 0:
            return x
        self._check(x, None)
        c = self._channels(x)
        rows = np.zeros((4, c), np.float32)
        rows[2] = 1 - layer.p
        last = self._producer(x, Convolve)
        if last is not None and last.residual is None and "rows" not in last.product:
            last.product["rows"] = rows                                  # a factor above 0 passes through the slope
            return x
        return self._add(Map, x, self._value(self._place(x), c), rows=rows)

    def _max_pool(self, layer: Any, x: int) -> int:
        self._check(x, None, sites=True)
        link = self._link(Link(self._place(x), layer.window))
        return self._add(MaxPool, x, self._value(self._place_of(link), self._channels(x)), link=link,
                         background=layer.background)

    def _pool(self, layer: Any, x: int) -> int:
        self._check(x, None, sites=True)
        link = self._link(Link(self._place(x), layer.window))
        return self._add(Apply, x, self._value(self._place_of(link), self._channels(x)), layer=layer)

    def _unpool(self, layer: Any, x: int) -> int:
        self._check(x, None, sites=True)
        link = self._made[self._place(x)]
        if link < 0 or layer.window is not None and not _same(self.links[link].window, layer.window):
            raise CannotTraceError
        return self._add(Apply, x, self._value(self.links[link].place, self._channels(x)), layer=layer)

    def _own(self, layer: Any, x: int) -> int:
        if not tells_its_memory(layer):
            raise CannotTraceError
        self._check(x, getattr(layer, "channels_in", getattr(layer, "channels", None)))
        y = self._value(self._place(x), getattr(layer, "channels_out", self._channels(x)))
        return self._add(Apply, x, y, layer=layer)

    def _keeping(self, layer: Any, x: int) -> int:
        if layer.working_memory is None:
            raise CannotTraceError
        self._check(x, getattr(layer, "channels", None))
        return self._add(Apply, x, self._value(self._place(x), self._channels(x)), layer=layer)

    def _reducing(self, layer: Any, x: int) -> int:
        self._check(x, None, sites=True)
        return self._add(Apply, x, self._value(ROWS, self._channels(x)), layer=layer)

    def _add(self, kind: Any, x: int, y: int, **options: Any) -> int:
        self.steps.append(kind(x, y, **options))
        return y

    def _value(self, place: int, channels: int) -> int:
        self.values.append(Value(place, channels))
        return len(self.values) - 1

    def _check(self, x: int, channels: int | None, sites: bool = False) -> None:
        # A layer that does not fit says so itself when it is called.
        if channels is not None and not self._known and x == 0:
            self.values[0].channels, self._known = channels, True
        unknown = x == 0 and not self._known
        if unknown or channels not in (None, self._channels(x)) or sites and self._place(x) < 0:
            raise CannotTraceError

    def _place(self, x: int) -> int:
        return self.values[x].place

    def _channels(self, x: int) -> int:
        return self.values[x].channels

    def _producer(self, x: int, *kinds: type[Step]) -> Any:
        """Return the step that writes x, if it is of one of these kinds and only the next layer reads x; else None."""
        if x in self._held:
            return None
        last = next((step for step in reversed(self.steps) if step.y == x), None)
        return last if isinstance(last, kinds) else None

    def _link(self, link: Link) -> int:
        number = self._numbers.setdefault(link, len(self.links))
        if number == len(self.links):
            self.links.append(link)
            if link.makes:
                self._made.append(number)
        return number

    def _place_of(self, number: int) -> int:
        """Return the place of the outputs of a link."""
        link = self.links[number]
        return self._made.index(number) if link.makes else link.place if link.target is None else link.target

    def _finer(self, place: int, stride: tuple[int, ...]) -> int:
        """Return the place before the windows that have `stride` in all."""
        passed = (1,) * len(stride)
        while passed != stride:
            made = self._made[place]
            window = None if made < 0 else self.links[made].window
            if window is None or window.kind == "transposed" or max(passed) > max(stride):
                raise CannotTraceError
            passed, place = tuple(a * b for a, b in zip(passed, window.stride, strict=True)), self.links[made].place
        return place


KINDS: tuple[tuple[Any, Any], ...] = (
    (library.Residual, Tracer._residual),
    (library.Sequential, Tracer._chain),
    (library.Concatenate, Tracer._concatenate),
    (library.Deconvolution, Tracer._deconvolution),
    (library.Convolution, Tracer._convolution),
    (library.NetworkInNetwork, Tracer._linear),
    (library.BatchNormalization, Tracer._norm),
    (library.LeakyReLU, Tracer._leaky),
    (library.Dropout, Tracer._dropout),
    (library.MaxPooling, Tracer._max_pool),
    ((library.AveragePooling, library.SumPooling), Tracer._pool),
    (library.UnPooling, Tracer._unpool),
    (KEEPING, Tracer._keeping),
    (REDUCING, Tracer._reducing),
)


def float32(array: Array) -> Array:
    """Return an array as float32, without its axes' strides."""
    return np.require(array, np.float32, ["C", "A"])


def computes_as_the_library(layer: Any) -> bool:
    """Return True if no class outside the library has changed how a layer computes."""
    return all(cls.__module__.startswith("spconv_cy.") or not vars(cls).keys() & METHODS
               for cls in type(layer).__mro__ if cls is not object)


def tells_its_memory(layer: Any) -> bool:
    """Return True if a class outside the library that changes how a layer computes sets `working_memory` itself."""
    for cls in type(layer).__mro__:
        if "working_memory" in vars(cls):
            return isinstance(layer.working_memory, library.WorkingMemory)
        if not cls.__module__.startswith("spconv_cy.") and vars(cls).keys() & METHODS:
            return False
    return False


def _same(a: Any, b: Any) -> bool:
    return all(getattr(a, name) == getattr(b, name) for name in
               ("lattice", "size", "stride", "dilation", "origin", "shape", "taps")) and b.kind != "transposed" \
        and a.kind != "transposed"
