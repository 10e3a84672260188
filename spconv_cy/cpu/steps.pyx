"""Steps of optimisers: every number goes through all operations of a step at once, each rounded to float32."""

# Compiled without fused multiply-adds (setup.py): the bits are those of numpy's operations, one after the other.

from cython.parallel cimport prange
from libc.math cimport fabsf, sqrtf

from spconv_cy.cpu.threads cimport team

cdef enum:
    LANES = 16                  # sums of squares side by side

cdef float LARGEST = <float>1e15          # squares up to that of this number, and their sums, stay far from overflow


cdef void step(const Rule& rule, const vector[Parameter]& parameters, vector[Piece]& pieces,
               int n_threads) noexcept nogil:
    cdef int64_t i, n = <int64_t>pieces.size()
    n_threads = team(n_threads, n, work(parameters))
    for i in prange(n, schedule="static", num_threads=n_threads):
        step_piece(&rule, &parameters[<size_t>pieces[<size_t>i].parameter], &pieces[<size_t>i])


cdef double work(const vector[Parameter]& parameters) noexcept nogil:
    cdef size_t i
    cdef double total = 0
    for i in range(parameters.size()):
        total += 2 * <double>parameters[i].n
    return total


cdef void step_piece(const Rule* rule, const Parameter* p, Piece* piece) noexcept nogil:
    cdef int64_t low = piece.low, n = min(STEP_PIECE, p.n - piece.low)
    if rule.kind == PLAIN:
        plain(rule, p.w + low, p.d + low, p.rate, n)
    elif rule.kind == MOMENTUM:
        momentum(rule, p.w + low, p.d + low, p.moment + low, p.rate, n)
    elif rule.kind == NESTEROV:
        nesterov(rule, p.w + low, p.d + low, p.moment + low, p.rate, n)
    elif rule.kind == LIGHT:
        light(rule, p.w + low, p.d + low, p.moment + low, p.rate, n)
    elif not fits(rule, p.w + low, p.d + low, p.square + low, n) or not p.correction < 1e7:
        piece.left = True
    else:
        adam(rule, p.w + low, p.d + low, p.moment + low, p.square + low, p.rate, p.correction, n)


cdef inline float gradient(const Rule* rule, float w, float d) noexcept nogil:
    if rule.scaled:
        d = d * rule.factor
    if rule.decays:
        d = d + w * rule.decay
    return d


cdef void plain(const Rule* rule, float* w, const float* d, float rate, int64_t n) noexcept nogil:
    cdef Rule r = rule[0]
    cdef int64_t i
    for i in range(n):
        w[i] = w[i] - gradient(&r, w[i], d[i]) * rate


cdef void momentum(const Rule* rule, float* w, const float* d, float* v, float rate, int64_t n) noexcept nogil:
    cdef Rule r = rule[0]
    cdef float speed
    cdef int64_t i
    for i in range(n):
        speed = v[i] * r.momentum + gradient(&r, w[i], d[i])
        v[i] = speed
        w[i] = w[i] - speed * rate


cdef void nesterov(const Rule* rule, float* w, const float* d, float* v, float rate, int64_t n) noexcept nogil:
    cdef Rule r = rule[0]
    cdef float speed, slope
    cdef int64_t i
    for i in range(n):
        slope = gradient(&r, w[i], d[i])
        speed = v[i] * r.momentum + slope
        v[i] = speed
        w[i] = w[i] - (speed * r.momentum + slope) * rate


cdef void light(const Rule* rule, float* w, const float* d, float* m, float rate, int64_t n) noexcept nogil:
    # `rate` is rate * (1 - momentum), r.rest is 1 + momentum.
    cdef Rule r = rule[0]
    cdef float speed, slope
    cdef int64_t i
    for i in range(n):
        slope = gradient(&r, w[i], d[i])
        speed = m[i] * r.momentum
        w[i] = w[i] - speed
        speed = speed - slope * rate
        m[i] = speed
        w[i] = w[i] + speed * r.rest


cdef bint fits(const Rule* rule, const float* w, const float* d, const float* square, int64_t n) noexcept nogil:
    # Returns whether no square can overflow; NaN and infinity do not fit.
    cdef Rule r = rule[0]
    cdef int64_t i, beyond = 0
    for i in range(n):
        beyond += not (fabsf(gradient(&r, w[i], d[i])) < LARGEST and square[i] < LARGEST * LARGEST)
    return beyond == 0


cdef void adam(const Rule* rule, float* w, const float* d, float* mean, float* square, float rate, float correction,
               int64_t n) noexcept nogil:
    # r.rest and r.second_rest are 1 - r.momentum and 1 - r.second.
    cdef Rule r = rule[0]
    cdef float slope, m, s
    cdef int64_t i
    for i in range(n):
        slope = gradient(&r, w[i], d[i])
        s = square[i] * r.second + slope * slope * r.second_rest
        m = mean[i] * r.momentum + slope * r.rest
        square[i] = s
        mean[i] = m
        w[i] = w[i] - m / (sqrtf(s * correction) + r.eps) * rate


cdef double squares(const vector[Parameter]& parameters, const vector[Piece]& pieces, double* sums,
                    int n_threads) noexcept nogil:
    # Returns the sum of squares of all d; sums has a place for each piece.
    cdef int64_t i, n = <int64_t>pieces.size()
    cdef double total = 0
    n_threads = team(n_threads, n, work(parameters))
    for i in prange(n, schedule="static", num_threads=n_threads):
        sums[i] = squares_of(&parameters[<size_t>pieces[<size_t>i].parameter], &pieces[<size_t>i])
    for i in range(n):
        total += sums[i]
    return total


cdef double squares_of(const Parameter* p, const Piece* piece) noexcept nogil:
    cdef const float* d = p.d + piece.low
    cdef double[LANES] lanes
    cdef double total = 0
    cdef int64_t i, lane, n = min(STEP_PIECE, p.n - piece.low)
    for lane in range(LANES):
        lanes[lane] = 0
    for i in range(n // LANES):
        for lane in range(LANES):
            lanes[lane] += <double>d[i * LANES + lane] * <double>d[i * LANES + lane]
    for i in range(n // LANES * LANES, n):
        total += <double>d[i] * <double>d[i]
    for lane in range(LANES):
        total += lanes[lane]
    return total
