"""Scaling of a loss, so that small gradients do not become zero in float16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import is_integer, is_number, is_one_of, kind_of
from spconv_cy.errors import expected
from spconv_cy.train.gradients import scale_gradients

if TYPE_CHECKING:
    from spconv_cy.train.optim import OptimizerLike

FIRST, LEAST, MOST = 2.0**16, 2.0**-16, 2.0**24
PATIENCE = 2000                                                          # good steps after which a scale is doubled


def _is_scale(scale):
    return is_number(scale) and scale > 0


def checked_state(state: object) -> tuple[float, int]:
    """Return (scale, steps) of a LossScale's state.

    Raises:
        TypeError, ValueError: as `LossScale.load_state`.
    """
    if not isinstance(state, dict) or set(state) != {"scale", "steps"}:
        raise TypeError(expected("LossScale", 'a state {"scale": ..., "steps": ...}', f"{state!r:.60}"))
    scale, steps = state["scale"], state["steps"]
    if not _is_scale(scale):
        raise ValueError(expected("LossScale", "scale to be a finite number above 0", f"{scale!r:.60}"))
    if not is_integer(steps) or steps < 0:
        raise ValueError(expected("LossScale", "steps to be a whole number from 0 up", f"{steps!r:.60}"))
    return float(scale), int(steps)


@known_arguments
class LossScale:
    """A scale for the loss: it multiplies the loss before the backward pass, and divides the gradients before the step.

    float16 has no numbers between 0 and 6e-8. If the loss is multiplied by 2^16, all gradients of the network are too.
    Gradients of parameters are float32 and are divided by the scale again; a power of two does this without rounding.

    Args:
        scale: "dynamic" starts at 2^16. A step with a gradient that is NaN or infinite is skipped and halves the scale;
            2000 good steps in a row double it, up to 2^24. A number above 0 is fixed, and such a gradient is an error.

    Attributes:
        dynamic: whether the scale changes.
        scale: the current scale, a float.
        steps: number of good steps since the scale last changed.

    Raises:
        ValueError: an invalid scale.

    >>> from spconv_cy.autograd import Tensor
    >>> from spconv_cy.train.optim import SGD
    >>> w, scale = Tensor([4.0], requires_grad=True), LossScale("dynamic")
    >>> scale.backward((w * w).sum())
    >>> scale.step(SGD([w], rate=0.25))
    True
    >>> w.data.tolist()
    [2.0]
    """

    def __init__(self, scale: float | Literal["dynamic"] = "dynamic") -> None:
        number = _is_scale(scale)
        if not number and not is_one_of(scale, ("dynamic",)):
            raise ValueError(expected("LossScale", 'scale to be "dynamic" or a number above 0, such as 1024',
                                      f"{scale!r}"))
        self.dynamic, self.scale, self.steps = not number, float(scale) if number else FIRST, 0

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss of shape () times the scale."""
        if not isinstance(loss, Tensor):
            raise TypeError(expected("LossScale.backward", "a Tensor of shape ()", kind_of(loss)))
        (loss * self.scale).backward()

    def step(self, optimizer: OptimizerLike) -> bool:
        """Divide the gradients by the scale and take the optimiser's step; return False if the step was skipped.

        Raises:
            FloatingPointError: a gradient is NaN or infinite, and the scale is fixed or was halved down to 2^-16.
        """
        if not all(hasattr(optimizer, name) for name in ("parameters", "step")):
            raise TypeError(expected("LossScale.step", "an optimiser, such as Adam(net.parameters())",
                                     kind_of(optimizer)))
        fine = True                                    # an array on the device, so that a step waits for it only once
        for gradient in scale_gradients(optimizer.parameters, 1 / self.scale):
            xp = ops_of(gradient).xp
            fine = xp.logical_and(xp.isfinite(gradient).all(), fine)
        if fine:
            optimizer.step()
            self._count()
            return True
        self.steps, before = 0, self.scale
        if not self.dynamic or before <= LEAST:
            remedy = ('give a smaller scale, or loss_scale="dynamic"' if not self.dynamic else
                      "lower the rate, or look for NaN and very large numbers in the features")
            raise FloatingPointError(expected("LossScale.step", f"finite gradients with the scale {before:g}",
                                              "NaN or infinity", remedy))
        self.scale /= 2
        return False

    def state(self) -> dict[str, float]:
        """Return {"scale": a float, "steps": an int} for `load_state`."""
        return {"scale": self.scale, "steps": self.steps}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Continue from a state; a fixed scale stays unchanged.

        Args:
            state: dict, as `state` returns it.

        Raises:
            TypeError: the state is not a dict with the keys "scale" and "steps".
            ValueError: scale is not a finite number above 0, or steps is not a whole number from 0 up.
        """
        scale, steps = checked_state(state)
        if self.dynamic:
            self.scale, self.steps = scale, steps

    def _count(self) -> None:
        self.steps += 1
        if self.dynamic and self.steps >= PATIENCE:                # ">" occurs after loading the state of a fixed scale
            self.scale, self.steps = min(self.scale * 2, MOST), 0

    def __repr__(self) -> str:
        return f"LossScale({'dynamic' if self.dynamic else 'fixed'}, {self.scale:g})"
