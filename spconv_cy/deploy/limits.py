"""Limits of memory: what a call takes is told beforehand, and kept or refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.checks import described, is_integer
from spconv_cy.deploy.memory import OBJECTS, held
from spconv_cy.deploy.rules import rules_bytes
from spconv_cy.errors import expected
from spconv_cy.sites import Grid
from spconv_cy.tensor import SparseTensor, Tensor

if TYPE_CHECKING:
    from spconv_cy.deploy.program import Program
    from spconv_cy.types import Array

REMEDY = "give fewer sites or samples, or a higher limit"
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def checked_bytes(memory: int | str) -> int:
    """Return a number of bytes, given as a whole number or such as "1GB"; raise ValueError for others."""
    if is_integer(memory) and int(memory) > 0:
        return int(memory)
    parts = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*", memory) if isinstance(memory, str) else None
    size = 0.0 if parts is None else float(parts[1]) * UNITS.get(parts[2].upper(), 0)
    if not 1 <= size < 2**63:
        raise ValueError(expected("memory", "a number of bytes from 1 up, or such as '500MB' or '1GB'", repr(memory)))
    return int(size)


def shown(size: int) -> str:
    """Return a number of bytes as text."""
    unit = next((unit for unit in ("GB", "MB", "KB") if size >= UNITS[unit]), "B")
    return f"{size / UNITS[unit]:.3g} {unit}"


def grid_of(sites: Any, size: Any, samples: int | None) -> Grid:
    """Return the Grid of a SparseTensor, of a Grid, or of an array of sites."""
    found = getattr(sites, "grid", sites)
    return found if isinstance(found, Grid) else Grid.from_sites(found, size, samples)


def needed(program: Program, grid: Grid, ground: Array | None, limit: int | None = None) -> int:
    """Return the most bytes that a call of a program takes, with finding the rulebooks.

    Raises:
        MemoryError: finding the rulebooks might exceed the limit.
    """
    found = program.rules.find(grid, most=limit)
    return max(program.bytes(found, ground), program.rules.finding_bytes(found))


def at_points(program: Program, x: Any, needs: int) -> int:
    """Return the most bytes of a call whose result is looked up for the points of x, if the program takes `needs`.

    Raises:
        TypeError: x is no SparseTensor that was made of points.
    """
    if getattr(x, "point_rows", None) is None:
        raise TypeError(expected("Frozen", "a SparseTensor made of points, since the result has a row for each",
                                 described(x), "make it by SparseTensor.from_points or from_sites"))
    row, n = 4 * program.values[program.output].channels, len(x.point_rows)
    found = program.rules.find(x.grid)
    return max(needs, rules_bytes(found) + held(row * x.grid.n) + held(row * n) + n + 8 * OBJECTS)


def ground_of(x: SparseTensor) -> Array | None:
    """Return the ground state of a SparseTensor as an array, or None."""
    return None if x.ground is None else x.ground.data


def refuse(layers: Sequence[Any]) -> TypeError:
    """Return the error for a network whose memory is not known."""
    names = ", ".join(sorted({type(layer).__name__ for layer in layers})) or "no layers"
    return TypeError(expected("Frozen", "layers whose memory is known before they run", names,
                              "freeze the parts between them, and leave out memory="))


def fits(program: Program, x: SparseTensor, limit: int, points: bool = False) -> bool:
    """Return True if a call takes at most `limit` bytes; points: its result is looked up for the points of x.

    Raises:
        MemoryError: it takes more, and sample by sample is no way either.
    """
    try:
        needs = needed(program, x.grid, ground_of(x), limit)
        needs = at_points(program, x, needs) if points else needs
        error = MemoryError(expected("Frozen", f"a call that takes at most {shown(limit)}", shown(needs), REMEDY))
    except MemoryError as found:
        needs, error = limit + 1, found
    if needs <= limit:
        return True
    program.forget()
    if program.values[program.output].place > 0 or x.grid.samples < 2 or points:
        raise error
    return False


def by_samples(program: Program, x: SparseTensor, limit: int) -> Any:
    """Return the result of a program for one sample after the other, which takes less memory than all at once.

    Raises:
        MemoryError: one sample takes more than the limit.
    """
    starts, at_sites = x.grid.batch_starts, program.values[program.output].place == 0
    n, channels = x.grid.n if at_sites else x.grid.samples, program.values[program.output].channels
    room = limit - held(4 * n * channels)
    if room < 1:
        raise MemoryError(expected("Frozen", f"a limit above the {shown(limit - room)} of the result", shown(limit),
                                   REMEDY))
    for i in range(x.grid.samples):                                      # before anything is computed
        one = _sample(x, i)
        needs = needed(program, one.grid, ground_of(one), room) + one.sites.nbytes
        program.forget()
        if needs > room:
            raise MemoryError(expected("Frozen", f"samples that take at most {shown(limit)} with the result",
                                       f"{shown(needs + limit - room)} for sample {i}", REMEDY))
    y, ground = np.empty((n, channels), np.float32), None
    for i in range(x.grid.samples):
        part = program(_sample(x, i))
        low, high = (starts[i], starts[i + 1]) if at_sites else (i, i + 1)
        y[low:high] = getattr(part, "features", part).data
        ground = getattr(part, "ground", None)
        program.forget()
    return x.with_features(y, ground) if at_sites else Tensor.of(y)


def _sample(x: SparseTensor, i: int) -> SparseTensor:
    low, high = x.grid.batch_starts[i:i + 2]
    sites: Any = x.sites[low:high].copy()
    sites[:, 0] = 0
    grid = Grid(sites, x.grid.size, 1, x.grid.lattice)
    return SparseTensor(Tensor.of(x.features.data[low:high]), grid, x.ground)
