"""From the steps of a frozen network in float32 to steps in bfloat16 or 8 bits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.deploy.half import LARGEST, LARGEST_SUM, ROWS, Small, quantised, shortened
from spconv_cy.deploy.half_steps import Convert, SmallConvolve, SmallJoin, SmallMaxPool
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.steps import Convolve, Join, Map, MaxPool, Step, Value
from spconv_cy.errors import expected

if TYPE_CHECKING:
    from spconv_cy.types import Array

FLOAT32 = "float32"


def halved(program: Program, precision: str, steps: dict[int, Array], kept: Collection[int]) -> Program:
    """Return a program that computes in a precision what a program computes in float32.

    Args:
        program: Program in float32; it is not changed, and the result has its layers.
        precision: "bfloat16" or "int8".
        steps: for "int8", by number of the value, (2,): the step and the zero of its numbers.
        kept: numbers of the convolutions that stay in float32.

    Raises:
        ValueError: weights that are no finite numbers, for "int8".
    """
    return _Halving(program, precision, steps, kept).result()


def can_be_small(step: Step) -> bool:
    """Return True for a convolution that has a form in bfloat16 and 8 bits: of one group, with sums within 32 bits."""
    if not isinstance(step, Convolve):
        return False
    k, groups, c, o = step.product.state()["weight"].shape
    return bool(groups == 1 and 0 < k * c * LARGEST <= LARGEST_SUM and o > 0)


class _Halving:
    """The values and steps that are made; see `halved`."""

    def __init__(self, program: Program, precision: str, steps: dict[int, Array], kept: Collection[int]) -> None:
        self.old, self.precision, self.dtype, self.ranges = program, precision, ROWS[precision], steps
        self.convolutions = {i for i, step in enumerate(program.steps) if i not in kept and can_be_small(step)}
        self.small = self._wanted()
        self.values = [replace(program.values[0], inside=None)]
        self.steps: list[Step] = []
        self.forms = {(0, FLOAT32): 0}                                   # (value, dtype): number of the new value
        self.scales: dict[int, Array] = {}                               # (2, c) by number of the new value

    def result(self) -> Program:
        """Return the program."""
        for i, step in enumerate(self.old.steps):
            self._convert_step(i, step)
        return Program(self.values, self.steps, self.old.rules.links, self._as(self.old.output, FLOAT32))

    def _wanted(self) -> set[int]:
        """Return the values that steps read in the precision, if they can be written so."""
        wanted = set[int]()
        for i, step in reversed(list(enumerate(self.old.steps))):
            if i in self.convolutions or step.y in wanted and self._passes(step):
                wanted.update(step.reads())
        writers = {step.y for i, step in enumerate(self.old.steps) if i in self.convolutions or self._passes(step)}
        return (wanted & writers) - {self.old.output}

    def _passes(self, step: Step) -> bool:
        """Return True if a step can read and write rows in the precision."""
        if isinstance(step, Join):
            whole = 4 // np.dtype(self.dtype).itemsize
            return all(self.old.values[part].channels % whole == 0 for part in step.parts[:-1])
        if isinstance(step, MaxPool):
            return step.slope is None or step.background == "zero"
        return isinstance(step, Map) and step.residual is None

    def _convert_step(self, i: int, step: Step) -> None:
        if i in self.convolutions:
            self._convolution(step)
        elif isinstance(step, Map) and step.residual is None and (step.y in self.small or step.x in self.small):
            x = self._form(step.x)
            y = self._value(step.y, self._dtype(step.y))
            self.steps.append(Convert(x, y, step.rows, step.slope, None, self.scales.get(x), self._after(y)))
        elif step.y in self.small and isinstance(step, MaxPool) and step.x in self.small:
            x = self._as(step.x, self.dtype)
            y = self._value(step.y, self.dtype, self.scales.get(x))
            self.steps.append(SmallMaxPool(x, y, step.link, step.background, None, self.scales.get(x)))
        elif step.y in self.small and isinstance(step, Join):
            self._join(step)
        else:
            words: dict[str, Any] = {"x": self._as(step.x, FLOAT32)}
            if isinstance(step, (Convolve, Map)) and step.residual is not None:
                words["residual"] = self._as(step.residual, FLOAT32)
            if isinstance(step, Join):
                words["parts"] = tuple(self._as(part, FLOAT32) for part in step.parts)
            self.steps.append(replace(step, y=self._value(step.y, FLOAT32), **words))

    def _convolution(self, step: Any) -> None:
        x = self._as(step.x, self.dtype)
        residual = None if step.residual is None else self._form(step.residual)
        y = self._value(step.y, self._dtype(step.y))
        state = {**step.product.state()}
        weight = state["weight"][:, 0]
        if self.precision == "int8":
            if not np.isfinite(weight).all():
                raise ValueError(expected("freeze", "finite weights for int8", "NaN or infinity in a convolution",
                                          "train with a lower rate, or leave out precision="))
            state["x"] = self.scales[x]
            weight, state["scale"] = quantised(weight, state["x"])
            state.update({} if y not in self.scales else {"y": self._after(y)})
            state.update({} if residual not in self.scales else {"residual": self.scales[residual]})
        else:
            weight = shortened(weight)
        product = Small(self.precision, {**state, "weight": weight})
        self.steps.append(SmallConvolve(x, y, step.link, product, step.turned, step.slope, residual))

    def _join(self, step: Join) -> None:
        parts = tuple(self._as(part, self.dtype) for part in step.parts)
        scales = np.concatenate([self.scales[part] for part in parts], 1) if self.scales else None
        self.steps.append(SmallJoin(parts[0], self._value(step.y, self.dtype, scales), parts))

    def _dtype(self, old: int) -> str:
        return self.dtype if old in self.small else FLOAT32

    def _value(self, old: int, dtype: str, scales: Array | None = None) -> int:
        """Return the number of a new value for an old one; scales: (2, c), if not one step for all channels."""
        value, number = self.old.values[old], len(self.values)
        self.values.append(Value(value.place, value.channels, dtype=dtype))
        self.forms[old, dtype] = number
        if dtype == "uint8":
            same = self.ranges[old]
            self.scales[number] = np.repeat(same[:, None], value.channels, 1) if scales is None else scales
        return number

    def _after(self, number: int) -> Array | None:
        scales = self.scales.get(number)
        return None if scales is None else np.ascontiguousarray(scales[:, 0])

    def _form(self, old: int) -> int:
        """Return the new value that has been written for an old one, in the precision if there are two."""
        found = self.forms.get((old, self.dtype))
        return self.forms[old, FLOAT32] if found is None else found

    def _as(self, old: int, dtype: str) -> int:
        """Return the new value for an old one in a dtype; a step that converts it is added if there is none."""
        if (old, dtype) not in self.forms:
            x = self._form(old)
            y = self._value(old, dtype)
            self.steps.append(Convert(x, y, None, None, None, self.scales.get(x), self._after(y)))
        return self.forms[old, dtype]
