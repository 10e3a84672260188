"""Calibration: what numbers the values of a frozen network take for some samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.deploy.program import Program
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from spconv_cy.deploy.steps import Run
    from spconv_cy.types import Array

LEAST = float(np.finfo(np.float32).tiny)                                 # float32 holds the inverse of such a step


class Ranges:
    """The least and the greatest number of each value of a program, 0 and its ground states among them."""

    def __init__(self, program: Program) -> None:
        self.rows = 0
        self._low, self._high = ([0.0] * len(program.values) for _ in range(2))

    def __call__(self, run: Run, value: int) -> None:
        """Take the rows of a value into account."""
        self.rows += len(run.values[value]) if value == 0 else 0
        for numbers in (run.values[value], run.grounds[value]):
            if numbers is not None:
                self._low[value] = np.minimum(self._low[value], numbers.min(initial=0))
                self._high[value] = np.maximum(self._high[value], numbers.max(initial=0))

    def steps(self) -> dict[int, Array]:
        """Return {value: (2,) float32}: the step and the zero of 8 bits that reach from the least to the greatest."""
        return {i: step_of(low, high) for i, (low, high) in enumerate(zip(self._low, self._high, strict=True))}


def step_of(low: float, high: float) -> Array:
    """Return (2,) float32: the step and the zero of 8 bits for numbers from low <= 0 to high >= 0."""
    step = (float(high) - float(low)) / 255
    if step < LEAST:
        step = 1 / 255                                                   # the numbers are as good as zeros
    return np.array([step, np.rint(-float(low) / step)], np.float32)


def ranges_of(frozen: Any, programs: Sequence[Program], samples: Sequence[Any]) -> list[Ranges]:
    """Return the Ranges of each program of a frozen network in float32 when it is called with samples.

    Raises:
        ValueError: no sample has a row, or numbers that are not finite appear.
        ShapeError, TypeError: a sample does not fit; which one is said.
    """
    found = [Ranges(program) for program in programs]
    for program, ranges in zip(programs, found, strict=True):
        program.watch = ranges
    try:
        for i, sample in enumerate(samples):
            _called(frozen, sample, i)
    finally:
        for program in programs:
            program.watch = None
    if programs and not found[0].rows:
        raise ValueError(expected("freeze", "calibrate= samples with sites", f"{len(samples)} without"))
    if not all(np.isfinite(step).all() for ranges in found for step in ranges.steps().values()):
        raise ValueError(expected("freeze", "calibrate= samples that give finite numbers", "NaN or infinity"))
    return found


def _called(frozen: Any, sample: Any, number: int) -> None:
    try:
        frozen(sample)
    except (TypeError, ValueError) as error:
        kind = next(kind for kind in (TypeError, ShapeError, ValueError) if isinstance(error, kind))
        raise kind(f"freeze: calibrate[{number}]: {error}") from error
