"""Steps of optimisers over all parameters in one call: lists of float32 arrays, changed in place."""

import numpy as np

from libcpp.vector cimport vector

from spconv_cy.cpu cimport steps

from spconv_cy.errors import ShapeError, expected

KINDS = {"plain": steps.PLAIN, "momentum": steps.MOMENTUM, "nesterov": steps.NESTEROV, "light": steps.LIGHT,
         "adam": steps.ADAM}
PIECE = steps.STEP_PIECE


def step(kind, weights, gradients, moments, rates, corrections, *, double factor=1.0, double decay=0.0,
         double momentum=0.0, double second=0.0, double eps=0.0, int n_threads=1):
    """Change all weights and moments by their gradients; return the pieces [(parameter, first number)] left unchanged.

    Args:
        kind: of KINDS.
        weights, gradients: flat arrays.
        moments: a list of flat arrays for each parameter.
        rates: a number for each parameter: with "light" rate * (1 - momentum), with "adam" rate / (1 - momentum^t).
        corrections: with "adam", 1 / (1 - second^t) for each parameter.
        factor, decay: the gradients are d * factor + w * decay.
        momentum: of "adam", the decay of the mean.
        second, eps: of "adam".
        n_threads: number of threads.

    Pieces of "adam" whose squares may overflow, or are not finite, are left.
    """
    cdef steps.Rule rule
    rule.kind = <steps.Kind>(<int>KINDS[kind])
    rule.scaled, rule.decays = factor != 1, decay != 0
    rule.factor, rule.decay, rule.momentum = <float>factor, <float>decay, <float>momentum
    rule.rest = <float>(1 + momentum if rule.kind == steps.LIGHT else 1 - momentum)
    rule.second, rule.second_rest, rule.eps = <float>second, <float>(1 - second), <float>eps
    cdef vector[steps.Parameter] parameters
    cdef vector[steps.Piece] pieces
    for w, d, own, rate, correction in zip(weights, gradients, moments, rates, corrections, strict=True):
        _add(parameters, pieces, w, d, own, rate, correction)
    with nogil:
        steps.step(rule, parameters, pieces, n_threads)
    return [(piece.parameter, piece.low) for piece in pieces if piece.left]


def sum_of_squares(gradients, *, int n_threads=1):
    """Return the sum of the squares of all numbers of flat arrays, a float."""
    cdef vector[steps.Parameter] parameters
    cdef vector[steps.Piece] pieces
    cdef double total
    for d in gradients:
        _add(parameters, pieces, None, d, (), 0, 0)
    cdef double[::1] sums = np.empty(pieces.size() + 1, np.float64)
    with nogil:
        total = steps.squares(parameters, pieces, &sums[0], n_threads)
    return total


cdef _add(vector[steps.Parameter]& parameters, vector[steps.Piece]& pieces, float[::1] w, const float[::1] d, moments,
          double rate, double correction):
    cdef steps.Parameter parameter
    cdef steps.Piece piece
    cdef Py_ssize_t n = d.shape[0], low
    if w is not None and w.shape[0] != n:
        raise ShapeError(expected("step", f"{n} numbers, as the gradient has", w.shape[0]))
    parameter.d = parameter.w = NULL
    if n:
        parameter.d = &d[0]
        parameter.w = &w[0] if w is not None else NULL
    parameter.moment = _moment(moments, 0, n)
    parameter.square = _moment(moments, 1, n)
    parameter.n, parameter.rate, parameter.correction = n, <float>rate, <float>correction
    piece.parameter, piece.left = <Py_ssize_t>parameters.size(), False
    parameters.push_back(parameter)
    for low in range(0, n, steps.STEP_PIECE):
        piece.low = low
        pieces.push_back(piece)


cdef float* _moment(moments, Py_ssize_t i, Py_ssize_t n) except? NULL:
    if i >= len(moments) or not n:
        return NULL
    cdef float[::1] numbers = moments[i]
    if numbers.shape[0] != n:
        raise ShapeError(expected("step", f"{n} numbers of a moment", numbers.shape[0]))
    return &numbers[0]
