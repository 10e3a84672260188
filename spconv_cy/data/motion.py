"""Random motions of shapes in any dimension: a rotation, a stretch and a shift for each, drawn anew each epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_integers, checked_numbers, is_number, is_one_of
from spconv_cy.data.augment import stream
from spconv_cy.errors import expected

if TYPE_CHECKING:
    from typing import Any

    from spconv_cy.types import Array


@known_arguments
@dataclass(frozen=True)
class Motion:
    """Random motions: turn each shape about the origin, stretch it, shift it; p becomes p @ A + t.

    A is a rotation times I + U, with the entries of U uniform on ±linear; t is uniform on ±shift along each axis, in
    the points' unit. Every draw depends only on (seed, epoch, item). In testing, shapes are only turned, so that each
    pass of `evaluate(net, data, repeats=12)` sees another view of them.

    Args:
        turn: "any": a rotation drawn uniformly from all rotations; a number >= 0: a rotation by an angle uniform on
            ±turn radians, in a plane drawn uniformly (in space: about an axis drawn uniformly).
        mirror: whether to mirror half of the shapes.
        linear: 0 <= linear < 1.
        shift: >= 0.
        views: whether to turn (and mirror) shapes in testing too.

    Source: the SHREC2015 runs of Graham 2015, arXiv:1505.02890, which mirror, and turn in testing too.

    >>> matrices, shifts = Motion().draw(5, 3, seed=0, epoch=2)
    >>> matrices.shape, shifts.shape, bool(abs(shifts).max() <= 0.2)
    ((5, 3, 3), (5, 3), True)
    """

    turn: float | str = "any"
    mirror: bool = False
    linear: float = 0.2
    shift: float = 0.2
    views: bool = True

    def __post_init__(self) -> None:
        checked_flags("Motion", mirror=self.mirror, views=self.views)
        if not is_one_of(self.turn, ("any",)) and not is_number(self.turn, 0):
            raise ValueError(expected("Motion", "turn to be 'any' or a number from 0 up", f"{self.turn!r}"))
        checked_numbers("Motion", 0, 1, linear=self.linear)
        checked_numbers("Motion", 0, shift=self.shift)

    def draw(self, n: int, d: int, seed: int, epoch: int, *, training: bool = True) -> tuple[Array, Array]:
        """Return matrices (n, d, d) and shifts (n, d) for the items 0 to n - 1 of one epoch.

        Item i's draw is the same for every n > i.
        """
        checked_integers("Motion.draw", 0, n=n)
        checked_integers("Motion.draw", 1, 8, d=d)
        checked_flags("Motion.draw", training=training)
        if not (training or self.views):
            return np.broadcast_to(np.eye(d), (n, d, d)), np.zeros((n, d))
        uniform = stream(seed, epoch, "affine").uniform(-1, 1, (n, 2 + d + d * d))
        matrices = self._turns(uniform[:, 0], stream(seed, epoch, "turn").standard_normal((n, d, d)))
        if self.mirror:
            matrices[uniform[:, 1] < 0, 0] *= -1
        if not training:
            return matrices, np.zeros((n, d))
        stretched = np.eye(d) + self.linear * uniform[:, 2 + d:].reshape(n, d, d)
        return matrices @ stretched, self.shift * uniform[:, 2:2 + d]

    def describe(self) -> dict[str, Any]:
        """Return {"class", "arguments"} as JSON values: Motion(**arguments) is an equal distribution."""
        return {"class": "Motion", "arguments": asdict(self)}

    def _turns(self, share: Array, normal: Array) -> Array:
        """Return rotations (n, d, d) made of shares (n,), uniform on ±1, and standard normal matrices (n, d, d)."""
        d = normal.shape[1]
        if d == 1:
            return np.ones_like(normal)
        q, r = np.linalg.qr(normal)
        q = q * np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1, 1)[:, None]   # otherwise q is not uniform
        if isinstance(self.turn, str):
            q[np.linalg.det(q) < 0, 0] *= -1
            return q
        angle = self.turn * share[:, None, None]
        u, v = q[:, :, :1], q[:, :, 1:2]                                 # the plane
        ut, vt = u.swapaxes(1, 2), v.swapaxes(1, 2)
        turned: Array = np.eye(d) + np.sin(angle) * (v @ ut - u @ vt) + (np.cos(angle) - 1) * (u @ ut + v @ vt)
        return turned
