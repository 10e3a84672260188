"""Packed keys of sites and their canonical order: parallel passes over chunks, one chunk a thread."""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset


cdef bint lay_out(Box* box) noexcept nogil:
    # Sets the steps of the sides, the last axis fastest, and the corner. Returns False if keys need over 62 bits.
    cdef int axis
    cdef int64_t step = 1
    box.corner = 0
    for axis in range(box.width - 1, -1, -1):
        box.step[axis] = step
        box.corner += <uint64_t>box.low[axis] * <uint64_t>step
        if box.side[axis] > FAR // step:
            return False
        step *= box.side[axis]
    return True


cdef void bounds(const int32_t* sites, int64_t n, int width, int32_t* found, int n_threads) noexcept nogil:
    # found: n_threads rows of 2 * width numbers; sets the first to the smallest and largest value of every column.
    cdef int part, axis
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        bounds_part(sites, border(n, part, n_threads), border(n, part + 1, n_threads), width, found + part * 2 * width)
    for part in range(1, n_threads):
        for axis in range(width):
            found[axis] = min(found[axis], found[part * 2 * width + axis])
            found[width + axis] = max(found[width + axis], found[part * 2 * width + width + axis])


cdef void bounds_part(const int32_t* sites, int64_t start, int64_t stop, int width, int32_t* found) noexcept nogil:
    cdef int axis
    cdef int64_t i
    cdef int32_t value, low, high
    for axis in range(width):
        low = high = sites[start * width + axis] if stop > start else sites[axis]
        for i in range(start, stop):
            value = sites[i * width + axis]
            low = min(low, value)
            high = max(high, value)
        found[axis], found[width + axis] = low, high


cdef void pack(const int32_t* sites, int64_t n, const Box* box, int64_t* keys, int n_threads) noexcept nogil:
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        pack_part(sites, border(n, part, n_threads), border(n, part + 1, n_threads), box, keys)


cdef void pack_part(const int32_t* sites, int64_t start, int64_t stop, const Box* box, int64_t* keys) noexcept nogil:
    # Unsigned, since intermediate sums may wrap although the key fits.
    cdef int axis, width = box.width
    cdef int64_t i
    cdef uint64_t key
    for i in range(start, stop):
        key = 0
        for axis in range(width):
            key += <uint64_t><int64_t>sites[i * width + axis] * <uint64_t>box.step[axis]
        keys[i] = <int64_t>(key - box.corner)


cdef void unpack(const int64_t* keys, int64_t n, const Box* box, int32_t* sites, int n_threads) noexcept nogil:
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        unpack_part(keys, border(n, part, n_threads), border(n, part + 1, n_threads), box, sites)


cdef void repack(int64_t* keys, int64_t n, const Box* box, const Box* other, int32_t* sites,
                 int n_threads) noexcept nogil:
    # Sets sites to those of the keys in one box, and replaces the keys by those in the other, in the same order.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        unpack_part(keys, border(n, part, n_threads), border(n, part + 1, n_threads), box, sites)
        pack_part(sites, border(n, part, n_threads), border(n, part + 1, n_threads), other, keys)


cdef void unpack_part(const int64_t* keys, int64_t start, int64_t stop, const Box* box, int32_t* sites) noexcept nogil:
    # Keys ascend, so all but the last coordinate change only where a key leaves its line.
    cdef int axis, last = box.width - 1, before = max(last - 1, 0)
    cdef int64_t i, rest, line = 0, line_end = 0, digit
    cdef int32_t site[MAX_WIDTH]
    cdef int32_t* row
    cdef double inverse[MAX_WIDTH]
    for axis in range(last + 1):
        inverse[axis] = 1.0 / <double>box.side[axis]
    for i in range(start, stop):
        if keys[i] >= line_end:
            digit = keys[i]
            rest = without_digit(&digit, box.side[last], inverse[last])
            line = keys[i] - digit
            line_end = line + box.side[last]
            for axis in range(last - 1, 0, -1):
                digit = rest
                rest = without_digit(&digit, box.side[axis], inverse[axis])
                site[axis] = <int32_t>(digit + box.low[axis])
            site[0] = <int32_t>(rest + box.low[0])
        row = sites + i * (last + 1)
        row[0], row[before] = site[0], site[before]                      # a loop over all would be a call of memcpy
        for axis in range(1, before):
            row[axis] = site[axis]
        row[last] = <int32_t>(keys[i] - line + box.low[last])


cdef inline int64_t without_digit(int64_t* digit, int64_t side, double inverse) noexcept nogil:
    # Returns digit // side and sets digit to the remainder: by a product, which is faster than a division, corrected.
    cdef int64_t whole = <int64_t>(<double>digit[0] * inverse)
    digit[0] -= whole * side
    while digit[0] < 0:
        digit[0] += side
        whole -= 1
    while digit[0] >= side:
        digit[0] -= side
        whole += 1
    return whole


cdef bint ascends(const int64_t* keys, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(1, n):
        if keys[i] <= keys[i - 1]:
            return False
    return True


cdef bint sort(int64_t* keys, int32_t* rows, int64_t* other_keys, int32_t* other_rows, int64_t n,
               int64_t* counts, int n_threads) noexcept nogil:
    # Stable radix sort of (key, row) by key, lowest digit first; a digit that all keys share is skipped. Keys are not
    # negative; counts has n_threads * BUCKETS places. Returns True if the result lies in the other arrays.
    cdef int part, shift = 0
    cdef int64_t i, highest = 0
    cdef bint swapped = False
    for i in range(n):
        highest |= keys[i]
    while shift < 63 and highest >> shift:
        for part in prange(n_threads, schedule="static", num_threads=n_threads):
            count_digits(keys, border(n, part, n_threads), border(n, part + 1, n_threads), shift,
                         counts + part * BUCKETS)
        if starts_of(counts, n, n_threads):
            for part in prange(n_threads, schedule="static", num_threads=n_threads):
                scatter(keys, rows, border(n, part, n_threads), border(n, part + 1, n_threads), shift,
                        counts + part * BUCKETS, other_keys, other_rows)
            keys, other_keys = other_keys, keys
            rows, other_rows = other_rows, rows
            swapped = not swapped
        shift += DIGIT_BITS
    return swapped


cdef void count_digits(const int64_t* keys, int64_t start, int64_t stop, int shift, int64_t* counts) noexcept nogil:
    cdef int64_t i
    memset(counts, 0, BUCKETS * sizeof(int64_t))
    for i in range(start, stop):
        counts[(keys[i] >> shift) & (BUCKETS - 1)] += 1


cdef bint starts_of(int64_t* counts, int64_t n, int n_threads) noexcept nogil:
    # Replaces counts by the place of each part's first key of each digit. Returns False if all keys share the digit.
    cdef int part, digit
    cdef int64_t count, before, place = 0
    for digit in range(BUCKETS):
        before = place
        for part in range(n_threads):
            count = counts[part * BUCKETS + digit]
            counts[part * BUCKETS + digit] = place
            place += count
        if place - before == n:
            return False
    return True


cdef void scatter(const int64_t* keys, const int32_t* rows, int64_t start, int64_t stop, int shift, int64_t* places,
                  int64_t* to_keys, int32_t* to_rows) noexcept nogil:
    cdef int64_t i, place, digit
    for i in range(start, stop):
        digit = (keys[i] >> shift) & (BUCKETS - 1)
        place = places[digit]
        places[digit] = place + 1
        to_keys[place] = keys[i]
        to_rows[place] = rows[i]


cdef int64_t count_unique(const int64_t* keys, int64_t n, int64_t* counts, int n_threads) noexcept nogil:
    # The keys are sorted. Sets counts[part] to the number of different keys before the part.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        counts[part] = count_part(keys, border(n, part, n_threads), border(n, part + 1, n_threads))
    return sums_before(counts, n_threads)


cdef int64_t count_part(const int64_t* keys, int64_t start, int64_t stop) noexcept nogil:
    cdef int64_t i, count = 0
    for i in range(start, stop):
        count += i == 0 or keys[i] != keys[i - 1]
    return count


cdef void gather_unique(const int64_t* keys, const int32_t* order, int64_t n, const int32_t* sites, int width,
                        const int64_t* counts, int32_t* unique, int32_t* rows, int n_threads) noexcept nogil:
    # Sets unique to the different sites in the order of their keys, and rows[i] to the row of site i there.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        gather_part(keys, order, border(n, part, n_threads), border(n, part + 1, n_threads), sites, width, counts[part],
                    unique, rows)


cdef void gather_part(const int64_t* keys, const int32_t* order, int64_t start, int64_t stop, const int32_t* sites,
                      int width, int64_t row, int32_t* unique, int32_t* rows) noexcept nogil:
    cdef int64_t i
    for i in range(start, stop):
        if i == 0 or keys[i] != keys[i - 1]:
            memcpy(unique + row * width, sites + <int64_t>order[i] * width, <size_t>width * sizeof(int32_t))
            row += 1
        rows[order[i]] = <int32_t>(row - 1)
