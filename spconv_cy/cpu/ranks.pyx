"""Sorting sites without comparing them: bits of a box are set, counted, and read again in their order.

A site's row is the number of bits before its own. This needs no passes over keys, and finds duplicates by the way.
"""

from cython.parallel cimport prange
from libc.string cimport memset

from spconv_cy.cpu.order cimport border, sums_before

cdef extern from *:
    """
    #include <cstdint>
    #include <cstring>
    namespace {
    // Calls one(Width<W>) with the width of a site that the compiler knows, where it is a usual one, else with 0.
    template <int W> struct Width { static constexpr int known = W; };
    template <class One> inline auto of_width(int width, const One& one) {
        switch (width) {
            case 3: return one(Width<3>());
            case 4: return one(Width<4>());
            case 5: return one(Width<5>());
            default: return one(Width<0>());
        }
    }

    void site_bounds(const int32_t* sites, int64_t n, int given, int32_t* found) {
        of_width(given, [=](auto known) {
            constexpr int W = decltype(known)::known;
            const int width = W ? W : given;
            int32_t low[W ? W : 16], high[W ? W : 16];
            for (int a = 0; a < width; ++a) low[a] = high[a] = sites[a];
            const int32_t* site = sites;
            for (int64_t i = 0; i < n; ++i, site += width)
                for (int a = 0; a < width; ++a) {
                    low[a] = site[a] < low[a] ? site[a] : low[a];
                    high[a] = site[a] > high[a] ? site[a] : high[a];
                }
            for (int a = 0; a < width; ++a) found[a] = low[a], found[width + a] = high[a];
        });
    }

    // Whether sites ascend strictly; left at the first that does not.
    bool sites_ascend(const int32_t* sites, int64_t n, int given) {
        return of_width(given, [=](auto known) {
            const int width = decltype(known)::known ? decltype(known)::known : given;
            for (int64_t i = 1; i < n; ++i) {
                const int32_t *a = sites + (i - 1) * width, *b = a + width;
                int axis = 0;
                while (axis < width && a[axis] == b[axis]) ++axis;
                if (axis == width || a[axis] > b[axis]) return false;
            }
            return true;
        });
    }

    // Calls one(i, key, width) for sites [start, stop). Unsigned, since sums on the way may wrap.
    template <class One>
    inline void each_key(const int32_t* sites, int64_t start, int64_t stop, int given, const int64_t* steps,
                         uint64_t corner, const One& one) {
        of_width(given, [&](auto known) {
            constexpr int W = decltype(known)::known;
            const int width = W ? W : given;
            uint64_t step[W ? W : 16];
            for (int a = 0; a < width; ++a) step[a] = static_cast<uint64_t>(steps[a]);
            for (int64_t i = start; i < stop; ++i) {
                uint64_t key = -corner;
                for (int a = 0; a < width; ++a)
                    key += static_cast<uint64_t>(static_cast<int64_t>(sites[i * width + a])) * step[a];
                one(i, key, width);
            }
        });
    }

    // Sets sites to floor(coordinate / side), the batch index in column 0. Returns false (some may be set) if
    // a number is not finite, a batch index not whole, or a site outside int32.
    template <class Real>
    bool floor_points(const Real* points, int64_t start, int64_t stop, int given, const double* sides, int32_t* sites) {
        return of_width(given, [=](auto known) {
            constexpr int W = decltype(known)::known;
            const int width = W ? W : given;
            bool fits = true;
            for (int64_t i = start * width; i < stop * width; i += width) {
                const double batch = points[i];
                fits &= batch > -2147483648.0 && batch < 2147483648.0;
                const int64_t sample = fits ? static_cast<int64_t>(batch) : 0;
                fits &= static_cast<double>(sample) == batch;
                sites[i] = static_cast<int32_t>(sample);
                for (int a = 1; a < width; ++a) {
                    const double place = static_cast<double>(points[i + a]) / sides[a - 1];
                    const bool held = place >= -2147483647.0 && place < 2147483648.0;
                    fits &= held;
                    const int64_t whole = held ? static_cast<int64_t>(place) : 0;       // towards 0
                    sites[i + a] = static_cast<int32_t>(whole - (static_cast<double>(whole) > place));
                }
                if (!fits) return false;
            }
            return true;
        });
    }

    struct RankWord { uint64_t bits; int64_t before; };

    // Without the instruction, which not every processor of the portable build has.
    inline int64_t ones(uint64_t bits) {
        bits -= (bits >> 1) & 0x5555555555555555u;
        bits = (bits & 0x3333333333333333u) + ((bits >> 2) & 0x3333333333333333u);
        bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu;
        return static_cast<int64_t>((bits * 0x0101010101010101u) >> 56);
    }

    void set_bits(const int32_t* sites, int64_t n, int width, const int64_t* steps, uint64_t corner, void* given) {
        RankWord* words = static_cast<RankWord*>(given);
        each_key(sites, 0, n, width, steps, corner,
                 [=](int64_t, uint64_t key, int) { words[key >> 6].bits |= uint64_t(1) << (key & 63); });
    }

    int64_t count_bits(const void* given, int64_t start, int64_t stop) {
        const RankWord* words = static_cast<const RankWord*>(given);
        int64_t count = 0;
        for (int64_t i = start; i < stop; ++i) count += ones(words[i].bits);
        return count;
    }

    void read_bits(void* given, int64_t start, int64_t stop, int64_t row, int64_t* keys) {
        RankWord* words = static_cast<RankWord*>(given);
        for (int64_t i = start; i < stop; ++i) {
            words[i].before = row;
            if (!keys) row += ones(words[i].bits);
            else for (uint64_t bits = words[i].bits; bits; bits &= bits - 1)
                keys[row++] = i * 64 + __builtin_ctzll(bits);
        }
    }

    void rank_keys(const int32_t* sites, int64_t start, int64_t stop, int width, const int64_t* steps, uint64_t corner,
                   const void* given, int32_t* rows, int32_t* unique) {
        const RankWord* words = static_cast<const RankWord*>(given);
        each_key(sites, start, stop, width, steps, corner, [=](int64_t i, uint64_t key, int columns) {
            const RankWord word = words[key >> 6];
            const int64_t row = word.before + ones(word.bits & ((uint64_t(1) << (key & 63)) - 1));
            rows[i] = static_cast<int32_t>(row);
            if (unique) std::memcpy(unique + row * columns, sites + i * columns, columns * sizeof(int32_t));
        });
    }
    }
    """
    void site_bounds(const int32_t* sites, int64_t n, int width, int32_t* found) noexcept nogil
    bint floor_points[Real](const Real* points, int64_t start, int64_t stop, int width, const double* sides,
                            int32_t* sites) noexcept nogil
    bint sites_ascend(const int32_t* sites, int64_t n, int width) noexcept nogil
    void set_bits(const int32_t* sites, int64_t n, int width, const int64_t* steps, uint64_t corner,
                  void* words) noexcept nogil
    int64_t count_bits(const void* words, int64_t start, int64_t stop) noexcept nogil
    void read_bits(void* words, int64_t start, int64_t stop, int64_t row, int64_t* keys) noexcept nogil
    void rank_keys(const int32_t* sites, int64_t start, int64_t stop, int width, const int64_t* steps, uint64_t corner,
                   const void* words, int32_t* rows, int32_t* unique) noexcept nogil


cdef void bounds(const int32_t* sites, int64_t n, int width, int32_t* found, int n_threads) noexcept nogil:
    # found: n_threads rows of 2 * width numbers; sets the first to the smallest and largest value of every column.
    # n >= n_threads.
    cdef int part, axis
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        site_bounds(sites + border(n, part, n_threads) * width,
                    border(n, part + 1, n_threads) - border(n, part, n_threads), width, found + part * 2 * width)
    for part in range(1, n_threads):
        for axis in range(width):
            found[axis] = min(found[axis], found[part * 2 * width + axis])
            found[width + axis] = max(found[width + axis], found[part * 2 * width + width + axis])


cdef bint floored(const real* points, int64_t n, int width, const double* sides, int32_t* sites,
                  int n_threads) noexcept nogil:
    # Sets sites to the cells of points. Returns False if some have none in int32.
    cdef int part, unfit = 0
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        unfit += not floor_points(points, border(n, part, n_threads), border(n, part + 1, n_threads), width, sides,
                                  sites)
    return unfit == 0


cdef bint ascends(const int32_t* sites, int64_t n, int width) noexcept nogil:
    return sites_ascend(sites, n, width)


cdef int64_t words_for(const Box* box, int64_t n) noexcept nogil:
    # Returns the number of words for a box that is laid out; 0: it is too large for n sites.
    cdef int64_t places = box.step[0] * box.side[0]
    return (places + 63) // 64 if places // MOST_PLACES <= n else 0


cdef int64_t mark(const int32_t* sites, int64_t n, const Box* box, Word* words, int64_t n_words, int64_t* counts,
                  int n_threads) noexcept nogil:
    # Sets the bits of all sites, and counts[part] to the number of sites before a part of the words. Returns the number
    # of different sites.
    cdef int part
    memset(words, 0, <size_t>n_words * sizeof(Word))
    set_bits(sites, n, box.width, box.step, box.corner, words)
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        counts[part] = count_bits(words, border(n_words, part, n_threads), border(n_words, part + 1, n_threads))
    return sums_before(counts, n_threads)


cdef void complete(Word* words, int64_t n_words, const int64_t* counts, int64_t* keys, int n_threads) noexcept nogil:
    # Sets the numbers of sites before each word, and keys, if not NULL, to those of the different sites in order.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        read_bits(words, border(n_words, part, n_threads), border(n_words, part + 1, n_threads), counts[part], keys)


cdef void rank(const int32_t* sites, int64_t n, const Box* box, const Word* words, int32_t* rows, int32_t* unique,
               int n_threads) noexcept nogil:
    # Sets rows[i] to the row of site i among the different sites, and copies the site there if unique is not NULL:
    # then no site may come twice, since each row is written by one thread only.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        rank_keys(sites, border(n, part, n_threads), border(n, part + 1, n_threads), box.width, box.step, box.corner,
                  words, rows, unique)
