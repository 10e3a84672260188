"""Activations: functions of single numbers, applied to rows and to the ground state alike."""



from spconv_cy.checks import is_number, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.functional.activation import elu, gelu, prelu, sigmoid, silu, tanh
from spconv_cy.functional.dense import as_tensor, leaky_relu, softmax
from spconv_cy.functional.initial import filled
from spconv_cy.layers.inputs import checked_counts, checked_rows
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.role import Role
from spconv_cy.tensor import SparseTensor


def on_rows(function, x):
    """Apply a function of tensors to features and ground state of a SparseTensor, or to a plain tensor."""
    if not isinstance(x, SparseTensor):
        return function(as_tensor(x))
    return x.with_features(function(x.features), None if x.ground is None else function(x.ground))


class LeakyReLU(Layer):
    """Keep what is positive, multiply the rest by `slope`, 0 to 1."""

    role = Role.CHANNELWISE | Role.LEAKY

    def __init__(self, slope=0.01):
        self.slope = checked_slope(self, slope)

    def __call__(self, x):
        return on_rows(lambda rows: leaky_relu(rows, self.slope), x)

    def notation(self):
        """Return such as "LReLU0.01"."""
        return f"LReLU{self.slope}"


class ReLU(LeakyReLU):
    """Keep what is positive, make the rest zero."""

    def __init__(self):
        super().__init__(0.0)

    def notation(self):
        """Return "ReLU"."""
        return "ReLU"


class VeryLeakyReLU(LeakyReLU):
    """Keep what is positive, divide the rest by 3.

    Source: Graham 2014, arXiv:1409.6070, section 4.
    """

    def __init__(self):
        super().__init__(1 / 3)

    def notation(self):
        """Return "VLReLU"."""
        return "VLReLU"


class PReLU(Layer):
    """Keep what is positive, multiply the rest by a slope that is learnt, one for each channel.

    Args:
        channels: number of channels.
        slope: that they begin with.

    Attributes: weight: Tensor (1, c), the slopes.

    Source: He et al. 2015, arXiv:1502.01852.
    """

    def __init__(self, channels, *, slope=0.25):
        channels, = checked_counts(self, channels=channels)
        self.channels = channels
        self.weight = filled((1, channels), _finite(self, slope=slope))

    def __call__(self, x):
        return on_rows(self._rows, x)

    def _rows(self, x):
        checked_rows(self, x, self.channels)
        return prelu(x, self.weight)


class ELU(Layer):
    """Keep what is positive, make alpha * (exp(x) - 1) of the rest.

    Args:
        alpha: a number from 0 up.

    Source: Clevert et al. 2016, arXiv:1511.07289.
    """

    role = Role.CHANNELWISE

    def __init__(self, alpha=1.0):
        if _finite(self, alpha=alpha) < 0:
            raise ShapeError(f"ELU: alpha {alpha!r} came; a number from 0 up fits")
        self.alpha = alpha

    def __call__(self, x):
        return on_rows(lambda rows: elu(rows, self.alpha, 1.0), x)


class SELU(Layer):
    """ELU with the alpha and the scale that keep mean 0 and variance 1 from layer to layer.

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """

    role = Role.CHANNELWISE

    def __call__(self, x):
        return on_rows(lambda rows: elu(rows, 1.6732632423543772, 1.0507009873554805), x)


class SiLU(Layer):
    """Multiply by the sigmoid: x / (1 + exp(-x)).

    Source: Elfwing et al. 2018, arXiv:1702.03118.
    """

    role = Role.CHANNELWISE

    def __call__(self, x):
        return on_rows(silu, x)


class GELU(Layer):
    """Multiply by the normal distribution's share below x, in the exact form.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """

    role = Role.CHANNELWISE

    def __call__(self, x):
        return on_rows(gelu, x)


class Tanh(Layer):
    """Take the hyperbolic tangent."""

    role = Role.CHANNELWISE

    def __call__(self, x):
        return on_rows(tanh, x)


class Sigmoid(Layer):
    """Take 1 / (1 + exp(-x)); where the ground state is None, inactive sites stay zero."""

    def __call__(self, x):
        return on_rows(sigmoid, x)


class Softmax(Layer):
    """Make shares of each row's channels that add up to 1: exp(x) over the sum of exp(x).

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    def __call__(self, x):
        return on_rows(self._rows, x)

    def _rows(self, x):
        if x.data.ndim != 2:
            raise ShapeError(f"{self}: shape {x.shape} came; rows (n, c) fit")
        return softmax(x)


def checked_slope(layer, slope):
    """Return the slope of a leaky ReLU; raise ShapeError where it is no number from 0 to 1."""
    if not is_real(slope) or not 0 <= slope <= 1:
        raise ShapeError(f"{type(layer).__name__}: slope {slope!r} came; 0 to 1 fit")
    return slope


def _finite(layer, **number):
    (name, value), = number.items()
    if not is_number(value):
        raise ShapeError(f"{type(layer).__name__}: {name} {value!r} came; a finite number fits")
    return value
