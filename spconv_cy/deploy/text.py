"""Programs as JSON values, and back; the arrays of their weights are kept beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np

from spconv_cy.deploy.checking import check
from spconv_cy.deploy.products import Float32, Room, packed
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.rules import Link
from spconv_cy.deploy.steps import Apply, Convolve, Join, Map, MaxPool, Step, Value
from spconv_cy.sites import Lattice, Window

KINDS: dict[str, type[Step]] = {kind.__name__: kind for kind in (Apply, Convolve, Join, Map, MaxPool)}
SMALL = ("Convert", "SmallConvolve", "SmallJoin", "SmallMaxPool")       # of a module that only these networks import
ARRAYS = ("rows", "before", "after")    # attributes of steps


class Unset:
    """The place of a Product whose arrays are not there yet; `state` has their shapes and dtypes.

    Args:
        precision: as of the Product.
        words: {name: (dtype, shape)}.
    """

    nbytes = 0

    def __init__(self, precision: str, words: dict[str, Any]) -> None:
        self.precision = precision
        self._arrays = {name: np.broadcast_to(np.zeros(1, dtype), shape) for name, (dtype, shape) in words.items()}

    def state(self) -> dict[str, Any]:
        """Return arrays of zeros that take no memory."""
        return dict(self._arrays)


def described(program: Program, layers: list[Any]) -> dict[str, Any]:
    """Return a Program as JSON values; layers: to which those of its steps are added."""
    return {"values": [[value.place, value.channels, value.dtype] for value in program.values],
            "links": [[link.place, _window(link.window), link.target] for link in program.rules.links],
            "steps": [_step(step, layers) for step in program.steps], "output": program.output}


def arrays(program: Program) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a Program's steps by number of the step and name."""
    found = {}
    for i, step in enumerate(program.steps):
        if isinstance(step, Convolve):
            found.update({f"{i}.{name}": array for name, array in step.product.state().items()})
        else:
            own = {name: getattr(step, name, None) for name in ARRAYS}
            found.update({f"{i}.{name}": array for name, array in own.items() if array is not None})
    return found


def in_float32(program: Program) -> list[str]:
    """Return the kinds and numbers of a Program's steps that read and write float32."""
    found: dict[str, list[str]] = {}
    for i, step in enumerate(program.steps):
        if type(step).__name__ not in SMALL:
            kind = type(step.layer).__name__ if isinstance(step, Apply) else type(step).__name__
            found.setdefault(kind, []).append(str(i))
    return [f"{kind} {' '.join(numbers)}" for kind, numbers in found.items()]


def built(text: dict[str, Any], layers: Sequence[Any]) -> Program:
    """Return the Program of what `described` returned, with zeros for its arrays.

    Raises:
        ShapeError: a step does not fit its values; see `check`.
    """
    values = [Value(place, channels, dtype=dtype) for place, channels, dtype in text["values"]]
    links = [Link(place, _window_of(window), target) for place, window, target in text["links"]]
    steps = [_step_of(step, layers) for step in text["steps"]]
    check(values, steps, links, text["output"])
    return Program(values, steps, links, text["output"])


def set_arrays(program: Program, found: dict[str, Any], done: Callable[[Any, int | None], None] | None = None) -> None:
    """Give a Program's steps copies of arrays, named as `arrays` names them.

    Args:
        done: called with each array when it is copied, and with its CRC-32 if that was taken meanwhile.
    """
    of_step: list[dict[str, Any]] = [{} for _ in program.steps]
    for name, array in found.items():
        number, _, name = name.partition(".")
        of_step[int(number)][name] = array
    room = Room(own["weight"].shape for own, step in zip(of_step, program.steps, strict=True)
                if isinstance(step, Convolve) and step.product.precision == "float32")
    for own, step in zip(of_step, program.steps, strict=True):
        if isinstance(step, Convolve):                                   # its weight is copied when it is packed
            rows = {name: np.array(array) for name, array in own.items() if name != "weight"}
            step.product = packed(step.product.precision, {**own, **rows}, room)
        for name in ARRAYS if not isinstance(step, Convolve) else ():
            if name in own:
                if name != "rows":
                    import_module("spconv_cy.deploy.half").check_steps(own[name])
                setattr(step, name, np.array(own[name]))
        product = step.product if isinstance(step, Convolve) else None
        crc = product.crc if isinstance(product, Float32) else None
        if done:
            for name, array in own.items():
                done(array, crc if name == "weight" else None)
    program.weights_changed()


def _window(window: Window) -> dict[str, Any]:
    words = {field.name: getattr(window, field.name) for field in fields(window)}
    return {**words, "lattice": [window.lattice.d, window.lattice.kind],
            "size": None if window.taps else window.size}


def _window_of(words: dict[str, Any]) -> Window:
    return Window(**{**words, "lattice": Lattice(*words["lattice"])})


def _step(step: Step, layers: list[Any]) -> dict[str, Any]:
    words = {field.name: getattr(step, field.name) for field in fields(step)}
    if isinstance(step, Convolve):
        state = {name: [str(array.dtype), array.shape] for name, array in step.product.state().items()}
        words["product"] = [step.product.precision, state]
    words.update({name: words[name].shape for name in ARRAYS if words.get(name) is not None})
    if isinstance(step, Apply):
        words["layer"] = len(layers)
        layers.append(step.layer)
    return {"kind": type(step).__name__, **words}


def _kind(name: Any) -> Any:
    return getattr(import_module("spconv_cy.deploy.half_steps"), name) if name in SMALL else KINDS[name]


def _step_of(words: dict[str, Any], layers: Sequence[Any]) -> Step:
    words = dict(words)
    kind = _kind(words.pop("kind"))
    if issubclass(kind, Convolve):
        precision, state = words["product"]
        words["product"] = Unset(precision, state)
    words.update({name: np.zeros(words[name], np.float32) for name in ARRAYS if words.get(name) is not None})
    if kind is Apply:
        words["layer"] = layers[words["layer"]]
    elif issubclass(kind, Join):
        words["parts"] = tuple(words["parts"])
    return kind(**words)
