"""Optimisers: what a step does to a parameter, written for flat pieces that stay in the cache."""

import math
from collections.abc import Mapping

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_array, as_list, checked_flags, checked_numbers, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.state import checked_like, checked_names

# Numbers of a parameter that go through all the arithmetic of a step together: 64 KiB of float32, so that weights,
# gradient, moments and scratch stay in a second-level cache, and the scratch is all that a step needs besides.
PIECE = 16384
MOST_STEPS = 2**62                                                       # more are counted by no run


class Optimizer:
    """What all optimisers share. A subclass sets `moments` and changes one flat piece of a parameter in `_change`.

    Parameters without a gradient, and frozen ones (`requires_grad` False), stay as they are.

    Attributes: parameters: list of Tensors; rate, weight_decay, clip: may be set at any time.
    """

    moments = ()

    def __init__(self, parameters, rate, *, weight_decay=0.0, clip=None):
        self.parameters = list({id(p): p for p in _checked_parameters(self, parameters)}.values())
        _check_range(self, "rate", rate, 0)
        _check_range(self, "weight_decay", weight_decay, 0)
        if clip is not None:
            _check_range(self, "clip", clip, 0)
        self.rate, self.weight_decay, self.clip = rate, weight_decay, clip
        self._moments = [None] * len(self.parameters)
        self._steps = [0] * len(self.parameters)
        self._scratch = {}

    def zero_grad(self):
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self):
        """Change every parameter, in place, by its gradient.

        Raises:
            FloatingPointError: with `clip`, where a gradient is NaN or infinite; nothing is changed.
        """
        factor = 1.0 if self.clip is None else _shrink(gradient_norm(self.parameters), self.clip)
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None and parameter.requires_grad:
                self._steps[i] += 1
                self._step(i, parameter, factor)

    def _step(self, i, parameter, factor):
        if parameter.grad.shape != parameter.shape:
            raise ShapeError(f"step: a gradient {parameter.grad.shape} came for a parameter {parameter.shape}")
        ops = ops_of(parameter.data, parameter.grad)
        xp = ops.xp
        if any(not isinstance(array, xp.ndarray) for array in self._scratch.values()):
            self._scratch = {}                                           # of a backend that the network has left
        if not parameter.data.flags.c_contiguous:
            parameter.data = xp.ascontiguousarray(parameter.data)
        w, gradient = parameter.data.reshape(-1), parameter.grad.reshape(-1)
        if self._moments[i] is None:
            self._moments[i] = [xp.zeros_like(parameter.data) for _ in self.moments]
        elif self._moments[i] and ops_of(self._moments[i][0]) is not ops:  # the network has moved to another backend
            self._moments[i] = [ops.asarray(ops_of(moment).to_numpy(moment), w.dtype) for moment in self._moments[i]]
        moments = [moment.reshape(-1) for moment in self._moments[i]]
        parameter.mark_changed()
        if w.dtype not in self._scratch:
            self._scratch[w.dtype] = xp.empty((2, PIECE), w.dtype)
        for low in range(0, w.size, PIECE):
            piece = slice(low, low + PIECE)
            wp, d = w[piece], gradient[piece]
            scratch, changed = self._scratch[w.dtype][:, :len(wp)]
            if factor != 1 or self.weight_decay:
                xp.multiply(d, factor, out=changed)
                if self.weight_decay:
                    xp.multiply(wp, self.weight_decay, out=scratch)
                    changed += scratch
                d = changed
            self._change(xp, wp, d, scratch, self._steps[i], *(moment[piece] for moment in moments))

    def _change(self, xp, w, d, scratch, t, *moments):
        raise NotImplementedError(f"{type(self).__name__} needs _change")

    def state(self):
        """Return a dict of arrays by name, such as "0.momentum": moments and steps of each parameter, copied."""
        state = {"steps": np.array(self._steps, np.int64)}
        for i, moments in enumerate(self._moments):
            for name, moment in zip(self.moments, moments or (), strict=False):
                state[f"{i}.{name}"] = np.array(ops_of(moment).to_numpy(moment))
        return state

    def load_state(self, state):
        """Go on from a state of an optimiser of the same class over parameters of the same shapes.

        Args:
            state: dict of arrays, as `state` gives it; where one is refused, nothing is changed.

        Raises:
            ShapeError: it does not fit.
            TypeError: state is no dict, or holds other things than arrays.
        """
        who = f"{type(self).__name__}.load_state"
        steps = _checked_steps(who, state, len(self.parameters))
        checked_names(f"{who}: the state of another optimiser came", state,
                      ["steps", *(f"{i}.{name}" for i, n in enumerate(steps) if n for name in self.moments)])
        self._moments = [[checked_like(who, f"{i}.{name}", state[f"{i}.{name}"], parameter.data).copy()
                          for name in self.moments] if n else None
                         for i, (n, parameter) in enumerate(zip(steps, self.parameters, strict=True))]
        self._steps = steps

    def __repr__(self):
        return f"{type(self).__name__}({len(self.parameters)} parameters, rate={self.rate:.6g})"


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum * v + d; w -= rate * v, or with nesterov rate * (d + momentum * v).

    Args:
        parameters: Tensors, as `net.parameters()` gives them.
        rate: at least 0.
        momentum: 0 up to but not 1.
        nesterov: look ahead by one step.
        weight_decay: this times w is added to each gradient.
        clip: longest gradient, all parameters taken together, or None.

    >>> w = Tensor([4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> SGD([w], rate=0.25).step()
    >>> w.data.tolist()
    [2.0]
    """

    def __init__(self, parameters, rate, momentum=0.0, *, nesterov=False, weight_decay=0.0, clip=None):
        super().__init__(parameters, rate, weight_decay=weight_decay, clip=clip)
        _check_range(self, "momentum", momentum, 0, 1)
        checked_flags("SGD", nesterov=nesterov)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov came without momentum, where it changes nothing; such as momentum=0.9 fits")
        self.momentum, self.nesterov = momentum, nesterov
        self.moments = ("momentum",) if momentum else ()

    def _change(self, xp, w, d, scratch, t, v=None):
        if v is None:
            xp.multiply(d, self.rate, out=scratch)
        else:
            v *= self.momentum
            v += d
            if self.nesterov:
                xp.multiply(v, self.momentum, out=scratch)
                scratch += d
                scratch *= self.rate
            else:
                xp.multiply(v, self.rate, out=scratch)
        w -= scratch


class Nesterov(Optimizer):
    """Graham's light momentum: w -= mu m; m = mu m - rate (1 - mu) d; w += (1 + mu) m, with mu = momentum.

    Args:
        parameters: Tensors.
        rate: at least 0; of mean losses, so a published rate of summed losses times the batch.
        momentum: 0 up to but not 1.
        weight_decay, clip: as for SGD.

    Source: Graham's networks of 2013 to 2015.
    """

    moments = ("momentum",)

    def __init__(self, parameters, rate, momentum=0.99, *, weight_decay=0.0, clip=None):
        super().__init__(parameters, rate, weight_decay=weight_decay, clip=clip)
        _check_range(self, "momentum", momentum, 0, 1)
        self.momentum = momentum

    def _change(self, xp, w, d, scratch, t, m):
        m *= self.momentum
        w -= m
        xp.multiply(d, self.rate * (1 - self.momentum), out=scratch)
        m -= scratch
        xp.multiply(m, 1 + self.momentum, out=scratch)
        w += scratch


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Args:
        parameters: Tensors.
        rate: at least 0.
        betas: of the two means, 0 up to but not 1.
        eps: added to the root, above 0.
        weight_decay, clip: as for SGD.

    Raises:
        FloatingPointError: at a step, of a gradient whose square no float holds; it would make the step zero.

    Source: Kingma and Ba 2015, arXiv:1412.6980.
    """

    moments = ("mean", "square")

    def __init__(self, parameters, rate=1e-3, betas=(0.9, 0.999), eps=1e-8, *, weight_decay=0.0, clip=None):
        super().__init__(parameters, rate, weight_decay=weight_decay, clip=clip)
        if as_array("Adam: betas", betas).shape != (2,):
            raise ValueError(f"Adam: betas {betas!r} came; two numbers from 0 up but below 1 fit")
        for beta in betas:
            _check_range(self, "betas", beta, 0, 1)
        _check_range(self, "eps", eps, 0)
        if not eps:
            raise ValueError("Adam: eps 0 came; a number above 0 fits: a gradient that is zero is divided by it")
        self.betas, self.eps = tuple(betas), eps

    def _change(self, xp, w, d, scratch, t, mean, square):
        first, second = self.betas
        with np.errstate(over="raise"):
            try:
                xp.multiply(d, d, out=scratch)
            except FloatingPointError:
                square[...] = _squares(d, square, second)
            else:
                scratch *= 1 - second
                square *= second
                square += scratch
            mean *= first
            xp.multiply(d, 1 - first, out=scratch)
            mean += scratch
            try:
                xp.multiply(square, 1 / (1 - second**t), out=scratch)
                xp.sqrt(scratch, out=scratch)
            except FloatingPointError:
                scratch[...] = np.sqrt(square.astype(np.longdouble) / (1 - second**t))
        scratch += self.eps
        xp.divide(mean, scratch, out=scratch)
        scratch *= self.rate / (1 - first**t)
        w -= scratch


def _squares(d, square, beta):
    """Return the running mean of squares where a float does not hold the square itself, but perhaps their mean."""
    mean = beta * square.astype(np.longdouble) + (1 - beta) * d.astype(np.longdouble) ** 2
    if (mean > np.finfo(square.dtype).max).any():
        raise FloatingPointError(f"Adam: expected gradients whose squares {square.dtype} holds, got "
                                 f"{np.abs(d).max()!s}; clip them, lower the rate, or scale the loss")
    return mean


def gradient_norm(parameters):
    """Return the length of all gradients taken together, a float; those that are not there count as zero."""
    total = 0.0
    for parameter in parameters:
        if parameter.grad is not None and parameter.requires_grad:
            xp, gradient = ops_of(parameter.grad).xp, parameter.grad.reshape(-1)
            for low in range(0, gradient.size, PIECE):
                total += float(xp.square(gradient[low:low + PIECE], dtype=np.float64).sum())
    return math.sqrt(total)


def clip_gradients(parameters, longest):
    """Shorten all gradients by one factor where together they are longer than `longest`; return what they were.

    The option `clip=` of an optimiser does the same without new arrays.

    Raises:
        FloatingPointError: a gradient is NaN or infinite; none is changed.
    """
    checked_numbers("clip_gradients", 0, longest=longest)
    parameters = _listed("clip_gradients", parameters)
    norm = gradient_norm(parameters)
    factor = _shrink(norm, longest)
    if factor != 1:
        scale_gradients(parameters, factor)
    return norm


def scale_gradients(parameters, factor):
    """Multiply all gradients by one number; return them, a list of arrays, without those that are not there."""
    moved = [parameter for parameter in parameters if parameter.grad is not None and parameter.requires_grad]
    for parameter in moved:
        # Not in place: two tensors may hold the same gradient.
        parameter.grad = parameter.grad * parameter.dtype.type(factor)
    return [parameter.grad for parameter in moved]


def _shrink(norm, longest):
    if not math.isfinite(norm):
        raise FloatingPointError(f"clip: the gradients together are {norm} long; lower the rate, or look for NaN and "
                                 "very large numbers in the features")
    return longest / norm if norm > longest else 1.0


def _checked_parameters(optimizer, parameters):
    who = type(optimizer).__name__
    parameters = _listed(who, parameters)
    if not parameters:
        raise ValueError(f"{who}: no parameters came; net.parameters() of a network with weights fits")
    return parameters


def _listed(who, parameters):
    if not isinstance(parameters, Tensor):
        parameters = as_list(who, parameters, "parameters, a list of Tensors as net.parameters() gives it")
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    for parameter in parameters:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{who}: a {type(parameter).__name__} came among the parameters; Tensors fit, as "
                            "net.parameters() gives them")
    return parameters


def _checked_steps(who, state, n):
    """Return the steps in a state of n parameters, a list of ints."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{who}: expected a dict of arrays by name, got a {type(state).__name__}")
    steps = state.get("steps", np.zeros(0, np.int64))
    if not hasattr(steps, "dtype") or not hasattr(steps, "shape"):
        raise TypeError(f"{who}: expected an array for steps, got a {type(steps).__name__}")
    if steps.shape != (n,):
        raise ShapeError(f"{who}: the state of another optimiser came, for {steps.shape} parameters; this one has {n}")
    if np.dtype(steps.dtype).kind not in "iu" or not all(0 <= number < MOST_STEPS for number in steps.tolist()):
        raise ShapeError(f"{who}: expected steps of whole numbers from 0 to {MOST_STEPS - 1}, got "
                         f"{steps.tolist()!s:.60} of {steps.dtype}")
    return steps.tolist()


def _check_range(optimizer, name, value, low, high=math.inf):
    if not is_real(value) or not low <= value < high:
        fits = f"a number from {low} up" + ("" if high == math.inf else f" but below {high}")
        raise ValueError(f"{type(optimizer).__name__}: {name} {value!r} came; {fits} fits")
