"""Maps of sites: a bit for each place of a box, and the number of sites before each word of them."""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memset

from spconv_cy.cpu.isa cimport kernels
from spconv_cy.cpu.order cimport FAR, MAX_WIDTH, border

cdef extern from *:
    """
    #include <cstring>
    #include "seek.hpp"
    // The integers are the same with all sets, so a set of another vector falls back to the portable one.
    static void seek_by(const char* set, const spconv_cy::Seek* job, const int64_t* keys, int64_t rows, int64_t shift,
                        int32_t first, int32_t* found, int32_t* asked, int32_t* hits) {
    #ifdef SPCONV_CY_AVX512F
        if (!std::strcmp(set, "avx512f"))
            return spconv_cy::avx512f::seek(job, keys, rows, shift, first, found, asked, hits);
    #endif
    #ifdef SPCONV_CY_AVX2
        if (!std::strcmp(set, "avx2"))
            return spconv_cy::avx2::seek(job, keys, rows, shift, first, found, asked, hits);
    #endif
        spconv_cy::portable::seek(job, keys, rows, shift, first, found, asked, hits);
    }
    """
    void seek_by(const char* name, const Seek* job, const int64_t* keys, int64_t rows, int64_t shift, int32_t first,
                 int32_t* found, int32_t* asked, int32_t* hits) noexcept nogil

cdef enum:
    MOST_PLACES = 128                   # of the box for each site, beyond which there is no map


cdef int64_t words_of_map(const Box* box, int64_t n) noexcept nogil:
    # Returns the number of words of a map of n sites in a box that is laid out; 0: it would be too large.
    cdef int64_t places = box.step[0] * box.side[0]
    return places // 32 + 2 if places // MOST_PLACES <= n and places < FAR >> 32 else 0


cdef void draw(const int64_t* keys, int64_t n, int64_t n_words, Map* map, int n_threads) noexcept nogil:
    # Fills a map for n >= 1 ascending keys.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        draw_part(keys, n, next_word(keys, n, border(n, part, n_threads)),
                  next_word(keys, n, border(n, part + 1, n_threads)), n_words, map)


cdef int64_t next_word(const int64_t* keys, int64_t n, int64_t row) noexcept nogil:
    # Returns the first row from this one on that has another word than the row before.
    while 0 < row < n and keys[row] >> 5 == keys[row - 1] >> 5:
        row += 1
    return row


cdef void draw_part(const int64_t* keys, int64_t n, int64_t row, int64_t stop, int64_t n_words,
                    Map* map) noexcept nogil:
    # The words after the last one before, up to the last one of these rows; with the last row, all that follow.
    cdef int64_t word = (keys[row - 1] >> 5) + 1 if row else 0, last
    if row == stop:
        return
    for row in range(row, stop):
        last = keys[row] >> 5
        while word <= last:
            map.bits[word], map.before[word] = 0, <int32_t>row
            word += 1
        map.bits[last] |= <uint32_t>1 << (keys[row] & 31)
    while stop == n and word < n_words:
        map.bits[word], map.before[word] = 0, <int32_t>n
        word += 1


cdef void seek(const Seek* job, const int64_t* keys, int64_t rows, int64_t shift, int32_t first, int32_t* found,
               int32_t* asked, int32_t* hits) noexcept nogil:
    seek_by(kernels().name, job, keys, rows, shift, first, found, asked, hits)


cdef void split(const int32_t* sites, int64_t n, const Box* box, const int64_t* stride, const int64_t* origin,
                int64_t* keys, int32_t* taps, int64_t* counts, int64_t n_taps, int n_threads) noexcept nogil:
    # Sets the key of each site's cell in the box of cells, the tap of the site in it, and counts[part, tap].
    # A cell j has the sites stride * j + tap - origin.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        split_part(sites, border(n, part, n_threads), border(n, part + 1, n_threads), box, stride, origin, keys, taps,
                   counts + part * n_taps, n_taps)


cdef void split_part(const int32_t* sites, int64_t start, int64_t stop, const Box* box, const int64_t* stride,
                     const int64_t* origin, int64_t* keys, int32_t* taps, int64_t* counts,
                     int64_t n_taps) noexcept nogil:
    cdef int64_t base[MAX_WIDTH]
    cdef int64_t i, key, tap, digit, whole
    cdef int32_t bits[MAX_WIDTH]
    cdef int axis, width = box.width
    memset(counts, 0, <size_t>n_taps * sizeof(int64_t))
    for axis in range(1, width):
        base[axis] = box.low[axis] * stride[axis - 1] - origin[axis - 1]
        bits[axis] = bits_of(stride[axis - 1])
    for i in range(start, stop):
        key, tap = (sites[i * width] - box.low[0]) * box.step[0], 0
        for axis in range(1, width):
            digit = sites[i * width + axis] - base[axis]                 # not negative
            whole = digit >> bits[axis] if bits[axis] >= 0 else digit // stride[axis - 1]
            key += whole * box.step[axis]
            tap = tap * stride[axis - 1] + digit - whole * stride[axis - 1]
        keys[i], taps[i] = key, <int32_t>tap
        counts[tap] += 1


cdef int32_t bits_of(int64_t stride) noexcept nogil:
    # Returns b of a stride of 2^b, else -1.
    cdef int32_t bits = 0
    while <int64_t>1 << bits < stride:
        bits += 1
    return bits if <int64_t>1 << bits == stride else -1


cdef int64_t scatter(const int64_t* keys, int64_t n, int64_t n_words, Map* map) noexcept nogil:
    # Fills a map for keys in any order, of which some may be equal; returns the number of different ones.
    cdef int64_t i, count = 0
    memset(map.bits, 0, <size_t>n_words * sizeof(uint32_t))
    for i in range(n):
        map.bits[keys[i] >> 5] |= <uint32_t>1 << (keys[i] & 31)
    for i in range(n_words):
        map.before[i] = <int32_t>count
        count += ones(map.bits[i])
    return count


cdef void keys_of_map(const Map* map, int64_t n_words, int64_t* keys) noexcept nogil:
    cdef int64_t word, count = 0
    cdef uint32_t bits
    for word in range(n_words):
        bits = map.bits[word]
        while bits:
            keys[count] = 32 * word + ones((bits & (0 - bits)) - 1)
            bits &= bits - 1
            count += 1


cdef void place(const int64_t* keys, const int32_t* taps, int64_t n, const Map* map, int64_t* starts, int64_t n_taps,
                int32_t* in_rows, int32_t* out_rows, int n_threads) noexcept nogil:
    # The pairs of each tap; starts[part, tap]: where those of a part of `split` begin, which is changed.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        place_part(keys, taps, border(n, part, n_threads), border(n, part + 1, n_threads), map,
                   starts + part * n_taps, in_rows, out_rows)


cdef void place_part(const int64_t* keys, const int32_t* taps, int64_t start, int64_t stop, const Map* map,
                     int64_t* starts, int32_t* in_rows, int32_t* out_rows) noexcept nogil:
    cdef int64_t i, at
    cdef int32_t word
    for i in range(start, stop):
        at = starts[taps[i]]
        starts[taps[i]] = at + 1
        word = <int32_t>(keys[i] >> 5)
        in_rows[at] = <int32_t>i
        out_rows[at] = map.before[word] + <int32_t>ones(
            map.bits[word] & ((<uint32_t>1 << (keys[i] & 31)) - 1))


cdef inline int ones(uint32_t bits) noexcept nogil:
    # Without the instruction, which not every processor of the portable build has.
    bits -= (bits >> 1) & 0x55555555
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f
    return <int>((bits * 0x01010101) >> 24)
