"""The windows that a network will ask for, read from its layers before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spconv_cy.layers import Convolution, Deconvolution, MaxPooling, Role, TransposedConvolution, UnPooling
from spconv_cy.sites.chains import Course

UNKNOWN = -2                                                             # the place after a layer that may do anything
PLAIN = (Convolution.rules, MaxPooling.rules)                            # which ask the grid for the layer's window


def expect(net: Any, x: Any) -> None:
    """Tell the grid of x which windows the layers of a Sequential will ask for, which it may then find together."""
    grid = getattr(x, "grid", None)
    if grid is not None:
        kept = net.__dict__.get("_course")
        if kept is None or kept[0] != net.layers:
            kept = net._course = [*net.layers], course_of(net.layers)
        if kept[1] is not None:
            grid.expect(kept[1])


def course_of(layers: Sequence[Any]) -> Course | None:
    """Return the Course of layers that run one after the other; None if they have no windows.

    It ends at layers that may do anything. Windows that are not asked for cost time and do no harm.
    """
    found: list[tuple[int, Any]] = []
    _after_all(layers, -1, found)
    return Course(found) if found else None


def _after_all(layers: Sequence[Any], place: int, found: list[tuple[int, Any]]) -> int:
    for layer in layers:
        place = _after(layer, place, found)
    return place


def _after(layer: Any, place: int, found: list[tuple[int, Any]]) -> int:
    """Add the windows of a layer at the sites of a place; return the place of its output's sites."""
    if place == UNKNOWN or not type(layer).__module__.startswith("spconv_cy."):
        return UNKNOWN
    if hasattr(layer, "branches"):
        return [_after(each, place, found) for each in layer.branches][0]
    if hasattr(layer, "layers"):
        if getattr(layer, "shortcut", None) is not None:
            _after(layer.shortcut, place, found)
        return _after_all(layer.layers, place, found)
    if isinstance(layer, (Deconvolution, UnPooling)):
        return found[place][0] if place >= 0 else UNKNOWN
    rules = getattr(type(layer), "rules", None)
    if rules in PLAIN or rules is TransposedConvolution.rules and layer.sites == "reached":
        found.append((place, layer.window))
        return place if layer.window.keeps_sites else len(found) - 1
    return UNKNOWN if hasattr(layer, "window") or layer.role == Role.NONE else place
