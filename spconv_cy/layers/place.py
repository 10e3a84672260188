"""Where in a network an error was raised, and which inputs its windows would take: told on the way out."""

import math
from dataclasses import dataclass, replace

from spconv_cy.errors import ShapeError
from spconv_cy.layers.collapse import Collapse
from spconv_cy.layers.convolution import NetworkInNetwork
from spconv_cy.layers.coordinates import AddCoordinates
from spconv_cy.layers.edge import SparseToDense
from spconv_cy.layers.fractional import FractionalMaxPooling
from spconv_cy.layers.pooling import GlobalPooling
from spconv_cy.layers.restoring import Deconvolution, UnPooling
from spconv_cy.layers.role import Role

SHOWN = 100
SEARCHED = 512                                                           # sites each way from the size that came


@dataclass(frozen=True)
class Field:
    """What a layer gives: sites an axis, () for rows alone; channels; and the Field that a strided window had."""

    size: tuple
    channels: int
    source: object = None


def locate(error, container, path, layer, x):
    """Add to an error's text which layer of a container raised it, and for a field of another size, which would fit.

    Each container around that one adds its own part of the way, so that the outermost tells all of it. The class and
    the rest of the error stay what they are, and so does an error whose text is not its only argument.

    Args:
        error: the exception.
        container: Layer that called the layer.
        path: the layer's name in the container, such as "layers[3]".
        layer: what raised it.
        x: what the container was called with.
    """
    if type(error).__str__ is not BaseException.__str__ or len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    try:
        inner, shown, text = getattr(error, "_place", None) or ("", _shown(layer), error.args[0])
        path = f"{path}.{inner}" if inner else path
        error._place = path, shown, text
        advice = _sizes_that_fit(container, x) if isinstance(error, ShapeError) else ""
        named = path if text.startswith(shown) else f"{path}, {shown}"
        error.args = (f"{type(container).__name__}: in {named}{advice}: {text}",)
    except Exception:                                                    # nothing may hide the error itself
        return


def _shown(layer):
    text = " ".join(repr(layer).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN - 4]} ..."


def _sizes_that_fit(container, x):
    """Return which sizes of the input fit where that of x does not; "" where it does, or it is not known."""
    size = getattr(getattr(x, "grid", None), "size", None)
    if size is None or _fits(container, x, size):
        return ""
    axes = [_near(lambda n: _fits(container, x, (n,) * len(size)), n) for n in size]
    if not all(axes):
        return ""
    words = [" or ".join(map(str, near)) for near in axes]
    fits = f"{words[0]} sites an axis" if len(set(words)) == 1 else f"({'; '.join(words)}) sites along the axes"
    return f" (an input of size {tuple(size)} came to the {type(container).__name__}; {fits} would fit)"


def _near(fits, n):
    if fits(n):
        return [n]
    below = (m for m in range(n - 1, max(0, n - SEARCHED), -1) if fits(m))
    above = (m for m in range(n + 1, n + SEARCHED) if fits(m))
    return [m for m in (next(below, None), next(above, None)) if m is not None]


def _fits(container, x, size):
    try:
        _walk(container, Field(tuple(size), x.channels))
    except ShapeError:
        return False
    return True


def _walk(layer, field):
    """Return the Field after a layer; None: it is not known, or there is none.

    Raises:
        ShapeError: a window that does not fit, or rows of a whole field that are not as long as what comes next takes.
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
    if isinstance(layer, Collapse):
        return Field(tuple(n for axis, n in enumerate(field.size) if axis != layer.axis), field.channels)
    if isinstance(layer, FractionalMaxPooling):
        return Field(layer.out_size(field.size), field.channels, field)
    if hasattr(layer, "layers"):
        for inner in layer.layers:
            field = _walk(inner, field)
        return field
    if hasattr(layer, "branches"):
        fields = [_walk(branch, field) for branch in layer.branches]
        return None if None in fields else replace(fields[0], channels=sum(each.channels for each in fields))
    if hasattr(layer, "levels"):
        scale = field
        for level in layer.levels:
            scale = _walk(level, scale)
        return field
    window, channels = getattr(layer, "window", None), getattr(layer, "channels_out", field.channels)
    if isinstance(layer, AddCoordinates):
        channels += len(field.size)
    if window is None or window.keeps_sites:
        return replace(field, channels=channels)
    return Field(window.out_size(field.size), channels, field)


def _after_rows(layer, field):
    if not isinstance(layer, NetworkInNetwork):
        return field if Role.CHANNELWISE in layer.role else None
    if layer.channels_in != field.channels:
        raise ShapeError(f"{layer}: rows of {field.channels} numbers came")
    return replace(field, channels=layer.channels_out)
