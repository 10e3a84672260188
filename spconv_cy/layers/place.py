"""Adds to the error of a layer where the layer is in its network, and which input sizes would fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers.collapse import Collapse
from spconv_cy.layers.convolution import NetworkInNetwork
from spconv_cy.layers.coordinates import AddCoordinates
from spconv_cy.layers.edge import SparseToDense
from spconv_cy.layers.fractional import FractionalMaxPooling
from spconv_cy.layers.plan import one_line
from spconv_cy.layers.pooling import GlobalPooling
from spconv_cy.layers.restoring import Deconvolution, UnPooling
from spconv_cy.layers.role import Role

if TYPE_CHECKING:
    from spconv_cy.layers.layer import Layer

SEARCHED = 512                                                           # sites in both directions from the given size


@dataclass(eq=False, repr=False)
class Field:
    """The output of a layer: sites along each axis, () for plain rows; channels; the Field before a window, its stride.
    """

    size: tuple[int, ...]
    channels: int
    source: Field | None = None
    stride: tuple[int, ...] = ()


def locate(error: Exception, container: Layer, path: str, layer: Layer, x: Any) -> None:
    """Add to an error's text which layer of a container raised it, and which sizes fit if the field's size does not.

    Each outer container adds its own part of the path. The class and the rest of the error are unchanged, and so is an
    error whose text is not its only argument.

    Args:
        error: the exception.
        container: Layer that called the layer.
        path: the layer's name in the container, such as "layers[3]".
        layer: Layer that raised it.
        x: the input of the container.
    """
    if type(error).__str__ is not BaseException.__str__ or len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    try:
        inner, shown, text = getattr(error, "_place", None) or ("", one_line(layer), error.args[0])
        path = f"{path}.{inner}" if inner else path
        error._place = path, shown, text  # type: ignore[attr-defined]
        advice = _sizes_that_fit(container, x) if isinstance(error, ShapeError) else ""
        named = path if text.startswith(shown) else f"{path}, {shown}"
        error.args = (f"{type(container).__name__}: in {named}{advice}: {text}",)
    except Exception:                                                    # must not hide the error itself
        return


def _sizes_that_fit(container: Layer, x: Any) -> str:
    """Return a text on the input sizes that fit if that of x does not; "" if it does, or if that is unknown."""
    size = getattr(getattr(x, "grid", None), "size", None)
    if size is None or _fits(container, x, size):
        return ""
    axes = [_near(lambda n: _fits(container, x, (n,) * len(size)), n) for n in size]
    if not all(axes):
        return ""
    words = [" or ".join(map(str, near)) for near in axes]
    fits = f"{words[0]} sites per axis" if len(set(words)) == 1 else f"({'; '.join(words)}) sites along the axes"
    return f" (the {type(container).__name__} got an input of size {tuple(size)}; {fits} would fit)"


def _near(fits: Callable[[int], bool], n: int) -> list[int]:
    if fits(n):
        return [n]
    below = (m for m in range(n - 1, max(0, n - SEARCHED), -1) if fits(m))
    above = (m for m in range(n + 1, n + SEARCHED) if fits(m))
    return [m for m in (next(below, None), next(above, None)) if m is not None]


def _fits(container: Layer, x: Any, size: tuple[int, ...]) -> bool:
    try:
        _walk(container, Field(tuple(size), x.channels))
    except ShapeError:
        return False
    return True


def _walk(layer: Any, field: Field | None) -> Field | None:
    """Return the Field after a layer; None if it is unknown, or if there is none.

    Raises:
        ShapeError: a window does not fit, or flattened rows have another length than the next layer expects.
    """
    if field is None or not type(layer).__module__.startswith("spconv_cy.") or isinstance(layer, GlobalPooling):
        return None
    if field.size == ():
        return _after_rows(layer, field)
    if isinstance(layer, SparseToDense):
        return Field((), math.prod(field.size) * field.channels) if layer.flat else None
    if isinstance(layer, (Deconvolution, UnPooling)):
        channels = getattr(layer, "channels_out", field.channels)
        return field.source and replace(field.source, channels=channels)
    if getattr(layer, "sites", None) == "source":
        return _finer(field, layer.window.stride, layer.channels_out)
    if isinstance(layer, Collapse):
        channels = field.channels * (field.size[layer.axis] if layer.stacks else 1)
        return Field(tuple(n for axis, n in enumerate(field.size) if axis != layer.axis), channels)
    if isinstance(layer, FractionalMaxPooling):
        return Field(layer.out_size(field.size), field.channels, field)
    if hasattr(layer, "layers"):
        for inner in layer.layers:
            field = _walk(inner, field)
        return field
    if hasattr(layer, "branches"):
        found = [_walk(branch, field) for branch in layer.branches]
        fields = [each for each in found if each is not None]
        return None if len(fields) < len(found) else replace(fields[0], channels=sum(each.channels for each in fields))
    if hasattr(layer, "levels"):
        scale: Field | None = field
        for level in layer.levels:
            scale = _walk(level, scale)
        return field
    window, channels = getattr(layer, "window", None), getattr(layer, "channels_out", field.channels)
    if isinstance(layer, AddCoordinates):
        channels += len(field.size)
    if window is None or window.keeps_sites:
        return replace(field, channels=channels)
    return Field(window.out_size(field.size), channels, field, window.stride)


def _finer(field: Field, stride: tuple[int, ...], channels: int) -> Field | None:
    """Return the Field before the windows that have `stride` in all; None if it is unknown."""
    passed = (1,) * len(stride)
    while passed != stride:
        if field.source is None or not field.stride:
            return None
        passed = tuple(a * b for a, b in zip(passed, field.stride, strict=True))
        field = field.source
    return replace(field, channels=channels)


def _after_rows(layer: Any, field: Field) -> Field | None:
    if not isinstance(layer, NetworkInNetwork):
        return field if Role.CHANNELWISE in layer.role else None
    if layer.channels_in != field.channels:
        raise ShapeError(expected(f"{layer}", f"rows of {layer.channels_in} numbers", f"{field.channels}"))
    return replace(field, channels=layer.channels_out)
