"""Steps of optimisers over pieces of parameters, with the bits of separate operations in float32."""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector


cdef enum:
    STEP_PIECE = 16384          # numbers of a job; spconv_cy.train.gradients has the same number

cdef enum Kind:
    PLAIN, MOMENTUM, NESTEROV, LIGHT, ADAM

# What all parameters of a step share. `scaled`: the gradient is d * factor, + w * decay if `decays`.
cdef struct Rule:
    Kind kind
    bint scaled, decays
    float factor, decay, momentum, rest, second, second_rest, eps

# A parameter: the mean of squares, `correction` and `rate` by the number of its steps are those of Adam.
cdef struct Parameter:
    float* w
    const float* d
    float* moment
    float* square
    int64_t n
    float rate, correction

# A piece, from number `low` of a parameter; `left`: it must be done otherwise, since squares may overflow.
cdef struct Piece:
    int64_t parameter, low
    bint left

cdef void step(const Rule& rule, const vector[Parameter]& parameters, vector[Piece]& pieces,
               int n_threads) noexcept nogil
cdef double squares(const vector[Parameter]& parameters, const vector[Piece]& pieces, double* sums,
                    int n_threads) noexcept nogil
