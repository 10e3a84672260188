"""Parameters of a step as flat arrays, changed by compiled loops where there are some."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from spconv_cy.config import threads

if TYPE_CHECKING:
    from spconv_cy.backend.switch import Ops
    from spconv_cy.types import Array

# Numbers of a parameter that go through all the arithmetic of a step together: 64 KiB of float32, so that weights,
# gradient, moments and temporary arrays stay in the second-level cache, and a step needs little additional memory.
PIECE = 16384


class Flat(NamedTuple):
    """A parameter of a step, its gradient and its moments as flat arrays, its backend, and the number of its steps."""

    ops: Ops
    w: Array
    d: Array
    moments: list[Array]
    t: int

    def is_plain(self) -> bool:
        """Return whether all arrays are as compiled loops need them: C-contiguous, of the backend's first dtype."""
        wanted = self.ops.float_dtypes[0]
        arrays = (self.w, self.d, *self.moments)
        return all(a.dtype == wanted and a.flags.c_contiguous and a.flags.aligned for a in arrays)


def left_by_loops(kind: str, flat: list[Flat], numbers: list[tuple[float, float]],
                  shares: dict[str, float]) -> list[tuple[Flat, list[int]]]:
    """Change parameters by compiled loops, all in one call; return those that are left, with the pieces that are.

    Args:
        kind: of compiled.steps.KINDS; "": nothing is changed.
        flat: the parameters.
        numbers: rate and correction for each of them.
        shares: the other numbers of compiled.steps.step.
    """
    done = [j for j, one in enumerate(flat) if kind and one.ops.steps and one.is_plain()]
    left = {j: list(range(0, one.w.size, PIECE)) for j, one in enumerate(flat)}
    steps = flat[done[0]].ops.steps if done else None
    if steps:
        chosen = [flat[j] for j in done]
        rates, corrections = zip(*(numbers[j] for j in done), strict=True)
        for j in done:
            left[j] = []
        for place, low in steps.step(kind, [one.w for one in chosen], [one.d for one in chosen],
                                     [one.moments for one in chosen], rates, corrections, n_threads=threads(),
                                     **shares):
            left[done[place]].append(low)
    return [(flat[j], lows) for j, lows in left.items() if lows]


def sum_of_squares(ops: Ops, gradients: list[Array]) -> float:
    """Return the sum of the squares of flat arrays of one backend."""
    if ops.steps and all(d.dtype == ops.float_dtypes[0] and d.flags.aligned for d in gradients):
        return ops.steps.sum_of_squares(gradients, n_threads=threads())
    total, xp = 0.0, ops.xp
    for gradient in gradients:
        for low in range(0, gradient.size, PIECE):
            total += float(xp.square(gradient[low:low + PIECE], dtype="float64").sum())
    return total
