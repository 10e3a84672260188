"""Activations: functions of single numbers, applied to rows and to the ground state alike."""

from __future__ import annotations

from spconv_cy.autograd import Tensor
from spconv_cy.checks import is_number, is_real
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional import (
    clip,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    prelu,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from spconv_cy.functional.initial import filled
from spconv_cy.layers.inputs import checked_counts, checked_rows
from spconv_cy.layers.role import Role, WorkingMemory
from spconv_cy.layers.rows import RowLayer


class LeakyReLU(RowLayer):
    """Leave positive numbers unchanged and multiply negative ones by a slope.

    Args:
        slope: a number from 0 to 1.
    """

    role = Role.CHANNELWISE | Role.LEAKY

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = checked_slope(self, slope)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return leaky_relu(x, self.slope)

    def notation(self) -> str:
        """Return the notation, such as "LReLU0.01"."""
        return f"LReLU{self.slope}"


class ReLU(LeakyReLU):
    """Leave positive numbers unchanged and set negative ones to zero."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def notation(self) -> str:
        """Return "ReLU"."""
        return "ReLU"


class VeryLeakyReLU(LeakyReLU):
    """Leave positive numbers unchanged and divide negative ones by 3.

    Source: Graham 2014, arXiv:1409.6070, section 4.
    """

    def __init__(self) -> None:
        super().__init__(1 / 3)

    def notation(self) -> str:
        """Return "VLReLU"."""
        return "VLReLU"


class ReLU6(RowLayer):
    """Set negative numbers to 0 and numbers above 6 to 6.

    Source: Howard et al. 2017, arXiv:1704.04861.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=0.1)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return clip(x, 0.0, 6.0)


class PReLU(RowLayer):
    """Leave positive numbers unchanged and multiply negative ones by a learnt slope, one for each channel.

    Args:
        channels: number of channels.
        slope: initial value of the slopes.

    Attributes:
        weight: Tensor (1, c), the slopes.

    Source: He et al. 2015, arXiv:1502.01852.
    """

    working_memory = WorkingMemory(out=2.35)

    def __init__(self, channels: int, *, slope: float = 0.25) -> None:
        self.channels, = checked_counts(self, channels=channels)
        self.weight = filled((1, self.channels), _finite(self, slope=slope))

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        checked_rows(self, x, self.channels)
        return prelu(x, self.weight)


class ELU(RowLayer):
    """Leave positive numbers unchanged and replace negative ones by alpha * (exp(x) - 1).

    Args:
        alpha: a number, at least 0.

    Source: Clevert et al. 2016, arXiv:1511.07289.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=1.35, chained=True)

    def __init__(self, alpha: float = 1.0) -> None:
        if _finite(self, alpha=alpha) < 0:
            raise ShapeError(expected("ELU", "alpha to be a number from 0 up", f"{alpha!r}"))
        self.alpha = alpha

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return elu(x, self.alpha, 1.0)


class SELU(RowLayer):
    """Apply ELU with the alpha and the scale that keep mean 0 and variance 1 from layer to layer.

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=1.35, chained=True)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return elu(x, 1.6732632423543772, 1.0507009873554805)


class SiLU(RowLayer):
    """Multiply by the sigmoid: x / (1 + exp(-x)).

    Source: Elfwing et al. 2018, arXiv:1702.03118.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=2.1, chained=True)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return silu(x)


class HardSwish(RowLayer):
    """Multiply by `HardSigmoid`: x * min(max(x + 3, 0), 6) / 6.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=1.1, chained=True)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return hard_swish(x)


class HardSigmoid(RowLayer):
    """Apply min(max(x + 3, 0), 6) / 6; if the ground state is None, inactive sites stay zero.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """

    working_memory = WorkingMemory(out=1.1, chained=True)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return hard_sigmoid(x)


class GELU(RowLayer):
    """Multiply by the cumulative normal distribution, in the exact form.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=1.1)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return gelu(x)


class Tanh(RowLayer):
    """Apply the hyperbolic tangent."""

    role = Role.CHANNELWISE
    working_memory = WorkingMemory(out=0.1)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return tanh(x)


class Sigmoid(RowLayer):
    """Apply 1 / (1 + exp(-x)); if the ground state is None, inactive sites stay zero."""

    working_memory = WorkingMemory(out=2.1, chained=True)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        return sigmoid(x)


class Softmax(RowLayer):
    """Normalise the channels of each row to a sum of 1: exp(x) over the sum of exp(x).

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    working_memory = WorkingMemory(out=1.3, chained=True)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        if x.data.ndim != 2:
            raise ShapeError(expected(f"{self}", "rows of shape (n, c)", f"shape {x.shape}"))
        return softmax(x)


def checked_slope(layer: object, slope: float) -> float:
    """Return the slope of a leaky ReLU.

    Raises:
        ShapeError: it is not a number from 0 to 1.
    """
    if not is_real(slope) or not 0 <= slope <= 1:
        raise ShapeError(expected(type(layer).__name__, "slope to be a number from 0 to 1", f"{slope!r}"))
    return slope


def _finite(layer: object, **number: float) -> float:
    (name, value), = number.items()
    if not is_number(value):
        raise ShapeError(expected(type(layer).__name__, f"{name} to be a finite number", f"{value!r}"))
    return value
