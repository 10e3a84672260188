"""Sums and moments of the parts that several processes have, in the order of the parts, in float64."""

cdef enum:
    PIECE = 512                                                          # numbers that are added together


cdef void add(const unsigned char* parts, int64_t apart, int64_t n, int64_t m, real* total,
              int64_t divisor) noexcept nogil:
    # total (m,) = the sum of n arrays (m,), `apart` bytes from one to the next, rounded once, then divided.
    cdef double wide[PIECE]
    cdef const real* part
    cdef real by = <real>divisor
    cdef int64_t low = 0, i, j, length
    while low < m:
        length = min(<int64_t>PIECE, m - low)
        part = <const real*>parts + low
        for j in range(length):
            wide[j] = part[j]
        for i in range(1, n):
            part = <const real*>(parts + i * apart) + low
            for j in range(length):
                wide[j] += part[j]
        if divisor == 1:
            for j in range(length):
                total[low + j] = <real>wide[j]
        else:
            for j in range(length):
                total[low + j] = <real>wide[j] / by
        low += length


cdef double join(const double* parts, int64_t n, int64_t c, real* found) noexcept nogil:
    # Returns the rows of n parts (1 + 2c,): rows, means, biased variances. If there are rows, sets found (3, c) to the
    # mean of all, the rest of it that its type does not hold, and the biased variance.
    cdef int64_t width = 1 + 2 * c, i, j
    cdef double rows = 0, mean, spread, apart
    for i in range(n):
        rows += parts[i * width]
    if rows == 0:
        return 0
    for j in range(c):
        mean = spread = 0
        for i in range(n):
            mean += parts[i * width] * parts[i * width + 1 + j]
        mean /= rows
        for i in range(n):
            apart = parts[i * width + 1 + j] - mean
            spread += parts[i * width] * (parts[i * width + 1 + c + j] + apart * apart)
        found[j] = <real>mean
        found[c + j] = <real>(mean - found[j])
        found[2 * c + j] = <real>(spread / rows)
    return rows
