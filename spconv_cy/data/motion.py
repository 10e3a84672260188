"""Random motions of shapes in any dimension: a turn, a stretch and a shift for each, drawn anew each epoch."""

from dataclasses import asdict, dataclass

import numpy as np

from spconv_cy.checks import checked_flags, checked_integers, is_real
from spconv_cy.data.augment import stream


@dataclass(frozen=True)
class Motion:
    """Turn each shape about the origin, stretch it, shift it: p becomes p @ A + t.

    A is a rotation times I + U, the entries of U uniform on ±linear; t is uniform on ±shift along each axis, in the
    points' unit. Every draw depends on (seed, epoch, item) alone. In testing shapes are only turned: each pass of
    `evaluate(net, data, repeats=12)` has another view of them.

    Args:
        turn: "any": a rotation drawn uniformly from all; or a number from 0 up: one by at most so many radians, uniform
            on ±turn, in a plane drawn uniformly (in space: about an axis drawn uniformly).
        mirror: whether half of the shapes are mirrored.
        linear: from 0 up to but not 1.
        shift: from 0 up.
        views: whether shapes are turned (and mirrored) in testing too.

    Source: the SHREC2015 runs of Graham 2015, arXiv:1505.02890, whose turns mirror and are drawn in testing too.

    >>> matrices, shifts = Motion().draw(5, 3, seed=0, epoch=2)
    >>> matrices.shape, shifts.shape, bool(abs(shifts).max() <= 0.2)
    ((5, 3, 3), (5, 3), True)
    """

    turn: float | str = "any"
    mirror: bool = False
    linear: float = 0.2
    shift: float = 0.2
    views: bool = True

    def __post_init__(self):
        checked_flags("Motion", mirror=self.mirror, views=self.views)
        fits = {"turn": "'any' or a number from 0 up", "linear": "0 up to but not 1", "shift": "a number from 0 up"}
        for name, text in fits.items():
            value = getattr(self, name)
            number = is_real(value) and 0 <= value < (1 if name == "linear" else np.inf)
            if not number and not (name == "turn" and isinstance(value, str) and value == "any"):
                raise ValueError(f"Motion: {name} {value!r} came; {text} fits")

    def draw(self, n, d, seed, epoch, *, training=True):
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

    def describe(self):
        """Return {"class", "arguments"} of JSON values: Motion(**arguments) is this distribution again."""
        return {"class": "Motion", "arguments": asdict(self)}

    def _turns(self, share, normal):
        """Rotations (n, d, d) made of shares (n,), uniform on ±1, and standard normal matrices (n, d, d)."""
        d = normal.shape[1]
        if d == 1:
            return np.ones_like(normal)
        q, r = np.linalg.qr(normal)
        q = q * np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1, 1)[:, None]   # without it q is not uniform
        if self.turn == "any":
            q[np.linalg.det(q) < 0, 0] *= -1
            return q
        angle = self.turn * share[:, None, None]
        u, v = q[:, :, :1], q[:, :, 1:2]                                 # the plane
        ut, vt = u.swapaxes(1, 2), v.swapaxes(1, 2)
        return np.eye(d) + np.sin(angle) * (v @ ut - u @ vt) + (np.cos(angle) - 1) * (u @ ut + v @ vt)
