"""Scaling a loss, so that small gradients do not vanish in float16."""

import sys
from numbers import Integral, Real

from spconv_cy.backend.switch import ops_of
from spconv_cy.train.optim import scale_gradients

FIRST, LEAST, MOST = 2.0**16, 2.0**-16, 2.0**24
PATIENCE = 2000                                                          # good steps after which a scale is doubled


def _is_scale(value):
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


def checked_state(state):
    """Return (scale, steps) of a LossScale's state, a float and an int; errors as `LossScale.load_state` tells."""
    if not isinstance(state, dict) or set(state) != {"scale", "steps"}:
        raise TypeError(f'LossScale: expected a state {{"scale": ..., "steps": ...}}, got {state!r:.60}')
    scale, steps = state["scale"], state["steps"]
    if not _is_scale(scale):
        raise ValueError(f"LossScale: expected a finite scale above 0, got {scale!r:.60}")
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 0:
        raise ValueError(f"LossScale: expected steps, a whole number from 0 up, got {steps!r:.60}")
    return float(scale), int(steps)


class LossScale:
    """Multiply the loss before going back, and divide the gradients before the step.

    float16 holds nothing below 6e-8: with a loss times 2^16, gradients are times 2^16 on their way through the
    network. Those of parameters are float32 and are divided by it again, which powers of two do without rounding.

    Args:
        scale: "dynamic": begins with 2^16; a step with a gradient that is NaN or infinite is left out and halves it,
            2000 good steps in a row double it, up to 2^24. Or a number above 0, which stays; such a gradient is then
            an error.

    Attributes: scale: a float; steps: good ones since it was last changed.

    Raises:
        ValueError: another scale.

    >>> from spconv_cy.autograd import Tensor
    >>> from spconv_cy.train.optim import SGD
    >>> w, scale = Tensor([4.0], requires_grad=True), LossScale("dynamic")
    >>> scale.backward((w * w).sum())
    >>> scale.step(SGD([w], rate=0.25))
    True
    >>> w.data.tolist()
    [2.0]
    """

    def __init__(self, scale="dynamic"):
        number = _is_scale(scale)
        if scale != "dynamic" and not number:
            raise ValueError(f'loss_scale {scale!r} came; "dynamic", or a number above 0 such as 1024, fits')
        self.dynamic, self.scale, self.steps = not number, float(scale) if number else FIRST, 0

    def backward(self, loss):
        """Go back from a loss of shape (), times the scale."""
        (loss * self.scale).backward()

    def step(self, optimizer):
        """Divide the gradients, and take the optimiser's step; return whether it was taken.

        Raises:
            FloatingPointError: a gradient is NaN or infinite with a scale that stays, or with one that was halved down
                to 2^-16.
        """
        fine = True                                                      # it stays on the device: one wait a step
        for gradient in scale_gradients(optimizer.parameters, 1 / self.scale):
            xp = ops_of(gradient).xp
            fine = xp.logical_and(xp.isfinite(gradient).all(), fine)
        if fine:
            optimizer.step()
            self._count()
            return True
        self.steps, before = 0, self.scale
        if not self.dynamic or before <= LEAST:
            remedy = ('a smaller one, or loss_scale="dynamic", fits' if not self.dynamic else "lower the rate, or look "
                      "for NaN and very large numbers in the features")
            raise FloatingPointError(f"loss_scale: a gradient is NaN or infinite with the scale {before:g}; {remedy}")
        self.scale /= 2
        return False

    def state(self):
        """Return {"scale", "steps"}, two numbers, from which `load_state` goes on."""
        return {"scale": self.scale, "steps": self.steps}

    def load_state(self, state):
        """Go on from a state; a scale that stays is not changed.

        Raises:
            TypeError, ValueError: it is not {"scale": a finite number above 0, "steps": a whole number from 0 up}.
        """
        scale, steps = checked_state(state)
        if self.dynamic:
            self.scale, self.steps = scale, steps

    def _count(self):
        self.steps += 1
        if self.dynamic and self.steps >= PATIENCE:                      # a state of a scale that stayed has more
            self.scale, self.steps = min(self.scale * 2, MOST), 0

    def __repr__(self):
        return f"LossScale({'dynamic' if self.dynamic else 'fixed'}, {self.scale:g})"
