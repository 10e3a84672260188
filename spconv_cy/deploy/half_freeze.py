"""From a frozen network in float32 to one in bfloat16 or 8 bits: what is checked, measured and kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from spconv_cy.checks import kind_of
from spconv_cy.deploy.frozen import Frozen
from spconv_cy.deploy.half import ROWS, check_installed
from spconv_cy.deploy.half_plan import can_be_small, halved
from spconv_cy.deploy.half_ranges import ranges_of
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.steps import Convolve
from spconv_cy.errors import expected
from spconv_cy.tensor import SparseTensor, Tensor

PRECISIONS = ("float32", *ROWS)


def checked_precision(precision: Any, calibrate: Any) -> list[Any]:
    """Return the samples of `freeze`'s arguments as a list, or raise an error in words for what does not fit."""
    if precision not in PRECISIONS:
        raise ValueError(expected("freeze", "precision 'float32', 'bfloat16' or 'int8'", repr(precision)))
    if precision != "float32":
        check_installed()
    if calibrate is None:
        if precision == "int8":
            raise ValueError(expected("freeze", "calibrate= a few inputs for int8, which show how large the numbers "
                                      "between the layers are", "none", "give some that were not used for tests"))
        return []
    samples = [calibrate] if isinstance(calibrate, (SparseTensor, Tensor, np.ndarray)) else calibrate
    if not isinstance(samples, Iterable) or isinstance(samples, (str, bytes)):
        raise TypeError(expected("freeze", "calibrate= a list of inputs", kind_of(calibrate)))
    samples = list(samples)
    if not samples and precision == "int8":
        raise ValueError(expected("freeze", "calibrate= at least one input", "none"))
    return samples


def in_precision(frozen: Frozen, precision: str, samples: list[Any], float_ends: bool) -> Frozen:
    """Return a frozen network that computes in a precision what one in float32 computes; see `freeze`."""
    parts = frozen.parts
    programs = [part for part in parts if isinstance(part, Program)]
    steps = [ranges.steps() for ranges in ranges_of(frozen, programs, samples)] if precision == "int8" else \
        [{} for _ in programs]
    found = [(p, i) for p, program in enumerate(programs) for i, step in enumerate(program.steps)
             if isinstance(step, Convolve)]
    ends = {found[0], found[-1]} if found and float_ends else set()
    if not any(can_be_small(programs[p].steps[i]) for p, i in found if (p, i) not in ends):
        warnings.warn(f"freeze: no layer of the network is computed in {precision}: all run in float32", UserWarning,
                      stacklevel=4)
    made = iter([halved(program, precision, steps[p], {i for q, i in ends if q == p})
                 for p, program in enumerate(programs)])
    return Frozen.of([next(made) if isinstance(part, Program) else part for part in parts], frozen.limit)
