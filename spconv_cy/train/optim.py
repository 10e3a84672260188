"""Optimisers: how a step changes a parameter, computed on flat pieces that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Protocol

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_array, checked_flags, checked_numbers, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.state import checked_like, checked_names
from spconv_cy.train.flat import PIECE, Flat, left_by_loops
from spconv_cy.train.gradients import checked_parameters, clipping_factor, gradient_norm
from spconv_cy.types import Array, FloatArray

MOST_STEPS = 2**62                                                       # more than any run can take


class OptimizerLike(Protocol):
    """Protocol of the optimisers that `fit` accepts: an Optimizer, a CombinedOptimizer or a class of your own."""

    rate: float

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that a step changes."""

    def zero_grad(self) -> None:
        """Remove all gradients."""

    def step(self) -> None:
        """Change the parameters by their gradients."""

    def state(self) -> dict[str, Array]:
        """Return what a checkpoint must contain, a dict of arrays."""

    def load_state(self, state: Mapping[str, Array], /) -> None:
        """Continue from a state."""


@known_arguments
class Optimizer:
    """Base of all optimisers. A subclass sets `moments` and overrides `_change`.

    Parameters without a gradient, and frozen ones (`requires_grad` False), stay unchanged.

    Args:
        parameters: Tensors, as `net.parameters()` returns them; each counts once.
        rate: at least 0.
        weight_decay: at least 0; this factor times the parameter is added to its gradient.
        max_norm: largest norm of all gradients together; longer gradients are scaled down to it. None: no limit.

    Attributes:
        moments: names of the arrays that the optimiser keeps for each parameter.
        parameters: list of Tensors.
        rate, weight_decay, max_norm: may be set at any time.
    """

    moments: tuple[str, ...] = ()

    def __init__(self, parameters: Tensor | Iterable[Tensor], rate: float, *, weight_decay: float = 0.0,
                 max_norm: float | None = None) -> None:
        who = type(self).__name__
        listed = checked_parameters(who, parameters)
        if not listed:
            raise ValueError(expected(who, "at least one parameter", "none", "give net.parameters() of a network with "
                                      "weights"))
        self.parameters = list({id(p): p for p in listed}.values())
        checked_numbers(who, 0, rate=rate, weight_decay=weight_decay)
        if max_norm is not None:
            checked_numbers(who, 0, max_norm=max_norm)
        self.rate, self.weight_decay, self.max_norm = rate, weight_decay, max_norm
        self._moments: list[list[Array] | None] = [None] * len(self.parameters)
        self._steps = [0] * len(self.parameters)
        self._scratch: dict[np.dtype[np.generic], Array] = {}

    def zero_grad(self) -> None:
        """Remove all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change all parameters by their gradients, in place.

        Raises:
            FloatingPointError: with `max_norm`, a gradient is NaN or infinite; all parameters are unchanged then.
            ValueError: parameters were added to the list or removed.
        """
        known = len(self._steps)
        if len(self.parameters) != known:                                # moments are kept by position
            raise ValueError(expected(f"{type(self).__name__}.step", f"as many parameters as at first, {known}",
                                      len(self.parameters), "to train others too, make an optimiser of them, and a "
                                      "CombinedOptimizer of both"))
        factor = 1.0
        if self.max_norm is not None:
            factor = clipping_factor(type(self).__name__, gradient_norm(self.parameters), self.max_norm)
        ready = [(i, p, p.grad) for i, p in enumerate(self.parameters) if p.grad is not None and p.requires_grad]
        for _, parameter, gradient in ready:
            if gradient.shape != parameter.shape:
                raise ShapeError(expected(f"{type(self).__name__}.step", f"a gradient of shape {parameter.shape}",
                                          gradient.shape))
        flat = [self._flat(i, parameter, gradient) for i, parameter, gradient in ready]
        kind, numbers = self._rule() if type(self)._change in _WRITTEN_OUT else ("", {})
        shares = {"factor": factor, "decay": self.weight_decay, **numbers}
        for one, lows in left_by_loops(kind, flat, [self._numbers(one.t) for one in flat], shares):
            self._by_pieces(one, factor, lows)

    def _flat(self, i: int, parameter: Tensor, gradient: Array) -> Flat:
        """Return one parameter, its gradient and its moments as flat arrays, and count its step."""
        ops = ops_of(parameter.data, gradient)
        if not parameter.data.flags.c_contiguous:
            parameter.data = ops.xp.ascontiguousarray(parameter.data)
        moments = [moment.reshape(-1) for moment in self._moments_on(ops, i, parameter)]
        self._steps[i] += 1
        parameter.mark_changed()
        return Flat(ops, parameter.data.reshape(-1), gradient.reshape(-1), moments, self._steps[i])

    def _by_pieces(self, one: Flat, factor: float, lows: list[int]) -> None:
        """Change pieces of a parameter that begin at given numbers; its gradient is multiplied by `factor`."""
        xp, w = one.ops.xp, one.w
        buffers = self._buffers(xp, w.dtype)
        for low in lows:
            piece = slice(low, low + PIECE)
            wp, d = w[piece], one.d[piece]
            scratch, changed = buffers[:, :len(wp)]
            if factor != 1 or self.weight_decay:
                xp.multiply(d, factor, out=changed)
                if self.weight_decay:
                    xp.multiply(wp, self.weight_decay, out=scratch)
                    changed += scratch
                d = changed
            self._change(xp, wp, d, scratch, one.t, *(moment[piece] for moment in one.moments))

    def _moments_on(self, ops, i, parameter):
        """Return the moments of parameter i on its backend; at its first step they are zero."""
        moments = self._moments[i]
        if moments is None:
            self._moments[i] = [ops.xp.zeros_like(parameter.data) for _ in self.moments]
        elif moments and ops_of(moments[0]) is not ops:                  # the network has moved to another backend
            self._moments[i] = [ops.asarray(ops_of(moment).to_numpy(moment), parameter.dtype) for moment in moments]
        return self._moments[i]

    def _buffers(self, xp, dtype):
        """Return two temporary arrays (2, PIECE)."""
        if any(not isinstance(array, xp.ndarray) for array in self._scratch.values()):
            self._scratch = {}                                           # of a backend that the network has left
        if dtype not in self._scratch:
            self._scratch[dtype] = xp.empty((2, PIECE), dtype)
        return self._scratch[dtype]

    def _change(self, xp: ModuleType, w: Array, d: Array, scratch: Array, t: int, *moments: Array) -> None:
        """Change a flat piece of a parameter, in place.

        Args:
            xp: numpy or CuPy.
            w: the piece.
            d: its gradient, which must stay unchanged.
            scratch: array of the same shape with arbitrary values, for intermediate results.
            t: number of this parameter's steps, from 1.
            moments: the piece's part of each moment, to change in place; zero at the first step.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method _change, got none")

    def _rule(self) -> tuple[str, dict[str, float]]:
        """Return the name and the numbers of `_change` for compiled.steps.step; "": there is none."""
        return "", {}

    def _numbers(self, t: int) -> tuple[float, float]:
        """Return the rate and the correction of a parameter's step t for compiled.steps.step."""
        return self.rate, 0.0

    def state(self) -> dict[str, Array]:
        """Return a dict of copied arrays by name: the moments of each parameter ("0.momentum") and all "steps"."""
        state: dict[str, Array] = {"steps": np.array(self._steps, np.int64)}
        for i, moments in enumerate(self._moments):
            for name, moment in zip(self.moments, moments or (), strict=False):
                state[f"{i}.{name}"] = np.array(ops_of(moment).to_numpy(moment))
        return state

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Continue from a state of an optimiser of the same class with parameters of the same shapes.

        Args:
            state: dict of arrays, as `state` returns it. If one array is refused, the optimiser stays unchanged.

        Raises:
            ShapeError: the state does not fit the optimiser.
            TypeError: the state is not a dict, or a value is not an array.
        """
        who = f"{type(self).__name__}.load_state"
        steps = _checked_steps(who, state, len(self.parameters))
        names = ["steps", *(f"{i}.{name}" for i, n in enumerate(steps) if n for name in self.moments)]
        checked_names(who, state, names)
        self._moments = [[checked_like(who, f"{i}.{name}", state[f"{i}.{name}"], parameter.data).copy()
                          for name in self.moments] if n else None
                         for i, (n, parameter) in enumerate(zip(steps, self.parameters, strict=True))]
        self._steps = steps

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters)} parameters, rate={self.rate:.6g})"


@known_arguments
class SGD(Optimizer):
    """Stochastic gradient descent, with or without momentum.

    A step is v = momentum * v + d; w -= rate * v. With `nesterov` it is w -= rate * (d + momentum * v).

    Args:
        parameters: Tensors, as `net.parameters()` returns them.
        rate: at least 0.
        momentum: at least 0, below 1.
        nesterov: use Nesterov's momentum, which looks one step ahead.
        weight_decay: at least 0; this factor times w is added to each gradient.
        max_norm: largest norm of all gradients together; longer gradients are scaled down to it. None: no limit.

    >>> w = Tensor([4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> SGD([w], rate=0.25).step()
    >>> w.data.tolist()
    [2.0]
    """

    def __init__(self, parameters: Tensor | Iterable[Tensor], rate: float, momentum: float = 0.0, *,
                 nesterov: bool = False, weight_decay: float = 0.0, max_norm: float | None = None) -> None:
        super().__init__(parameters, rate, weight_decay=weight_decay, max_norm=max_norm)
        checked_numbers(type(self).__name__, 0, 1, momentum=momentum)
        checked_flags("SGD", nesterov=nesterov)
        if nesterov and not momentum:
            raise ValueError(expected("SGD", "momentum above 0 with nesterov=True", f"{momentum!r}",
                                      "give momentum=0.9"))
        self.momentum, self.nesterov = momentum, nesterov
        self.moments = ("momentum",) if momentum else ()

    def _rule(self) -> tuple[str, dict[str, float]]:
        kind = "nesterov" if self.nesterov else "momentum" if self.moments else "plain"
        return kind, {"momentum": self.momentum}

    def _change(self, xp: ModuleType, w: Array, d: Array, scratch: Array, t: int, *moments: Array) -> None:
        if not moments:
            xp.multiply(d, self.rate, out=scratch)
        else:
            v = moments[0]
            v *= self.momentum
            v += d
            if self.nesterov:
                xp.multiply(v, self.momentum, out=scratch)
                scratch += d
                scratch *= self.rate
            else:
                xp.multiply(v, self.rate, out=scratch)
        w -= scratch


@known_arguments
class Nesterov(Optimizer):
    """Nesterov's momentum as in Graham's networks.

    A step is w -= mu m; m = mu m - rate (1 - mu) d; w += (1 + mu) m, with mu = momentum.

    Args:
        parameters: Tensors.
        rate: at least 0, for a mean loss: multiply a published rate for a summed loss by the batch size.
        momentum: at least 0, below 1.
        weight_decay, max_norm: as for SGD.

    Source: Graham's networks of 2013 to 2015.
    """

    moments = ("momentum",)

    def __init__(self, parameters: Tensor | Iterable[Tensor], rate: float, momentum: float = 0.99, *,
                 weight_decay: float = 0.0, max_norm: float | None = None) -> None:
        super().__init__(parameters, rate, weight_decay=weight_decay, max_norm=max_norm)
        checked_numbers(type(self).__name__, 0, 1, momentum=momentum)
        self.momentum = momentum

    def _rule(self) -> tuple[str, dict[str, float]]:
        return "light", {"momentum": self.momentum}

    def _numbers(self, t: int) -> tuple[float, float]:
        return self.rate * (1 - self.momentum), 0.0

    def _change(self, xp: ModuleType, w: Array, d: Array, scratch: Array, t: int, *moments: Array) -> None:
        m = moments[0]
        m *= self.momentum
        w -= m
        xp.multiply(d, self.rate * (1 - self.momentum), out=scratch)
        m -= scratch
        xp.multiply(m, 1 + self.momentum, out=scratch)
        w += scratch


@known_arguments
class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Args:
        parameters: Tensors.
        rate: at least 0.
        betas: decay of the two means, two numbers of at least 0 and below 1.
        eps: added to the square root, above 0.
        weight_decay, max_norm: as for SGD.

    Raises:
        FloatingPointError: in `step`, the square of a gradient is too large for its dtype; the step would be zero.

    Source: Kingma and Ba 2015, arXiv:1412.6980.
    """

    moments = ("mean", "square")

    def __init__(self, parameters: Tensor | Iterable[Tensor], rate: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, *, weight_decay: float = 0.0,
                 max_norm: float | None = None) -> None:
        super().__init__(parameters, rate, weight_decay=weight_decay, max_norm=max_norm)
        who = type(self).__name__
        if as_array(f"{who}: betas", betas).shape != (2,):
            raise ValueError(expected(who, "betas to be two numbers from 0 up but below 1", f"{betas!r}"))
        for beta in betas:
            checked_numbers(who, 0, 1, betas=beta)
        checked_numbers(who, 0, eps=eps)
        if not eps:
            raise ValueError(expected(who, "eps to be a number above 0", f"{eps!r}", "a gradient of zero is divided by "
                                      "it"))
        self.betas, self.eps = tuple(betas), eps

    def _rule(self) -> tuple[str, dict[str, float]]:
        return "adam", {"momentum": self.betas[0], "second": self.betas[1], "eps": self.eps}

    def _numbers(self, t: int) -> tuple[float, float]:
        return self.rate / (1 - self.betas[0]**t), 1 / (1 - self.betas[1]**t)

    def _change(self, xp: ModuleType, w: Array, d: Array, scratch: Array, t: int, *moments: Array) -> None:
        (mean, square), (first, second) = moments, self.betas
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


# What compiled loops compute too; a subclass that overrides `_change` goes by its own.
_WRITTEN_OUT = {SGD._change, Nesterov._change, Adam._change}


def _squares(d: FloatArray, square: FloatArray, beta: float) -> FloatArray:
    """Return the running mean of squares in extended precision: the mean may fit the dtype where a square does not."""
    mean = beta * square.astype(np.longdouble) + (1 - beta) * d.astype(np.longdouble) ** 2
    if (mean > np.finfo(square.dtype).max).any():
        raise FloatingPointError(expected("Adam", f"gradients whose squares fit {square.dtype}", f"{np.abs(d).max()!s}",
                                          "clip them, lower the rate, or scale the loss"))
    return mean


def _checked_steps(who: str, state: Mapping[str, Array], n: int) -> list[int]:
    """Return the steps in a state of n parameters."""
    if not isinstance(state, Mapping):
        raise TypeError(expected(who, "a dict of arrays by name", kind_of(state)))
    steps = state.get("steps", np.zeros(0, np.int64))
    if not hasattr(steps, "dtype") or not hasattr(steps, "shape"):
        raise TypeError(expected(who, "an array for steps", kind_of(steps)))
    if steps.shape != (n,):
        raise ShapeError(expected(who, f"steps of {n} parameters ({n},)", steps.shape))
    found: list[int] = steps.tolist()
    if np.dtype(steps.dtype).kind not in "iu" or not all(0 <= number < MOST_STEPS for number in found):
        raise ShapeError(expected(who, f"steps of whole numbers from 0 to {MOST_STEPS - 1}",
                                  f"{found!s:.60} of {steps.dtype}"))
    return found
