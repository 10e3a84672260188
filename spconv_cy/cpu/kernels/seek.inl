// Partners of sites in a map of places. The including file defines NAME.
#include "seek.hpp"

#ifdef __AVX512F__
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"      // of vectors in the header, whose lanes are all written
#endif
#endif

namespace spconv_cy {
namespace NAME {
namespace {

constexpr int MOST_TAPS = 5;

// Step 0: one that the compiler does not know.
template <int Step>
inline int step_of(const Seek& job) { return Step ? Step : job.step; }

template <int Taps, int Step>
inline int64_t mask_of(const Seek& job) {
    int64_t mask = 0;
    for (int t = 0; t < Taps; ++t) mask |= int64_t(1) << t * step_of<Step>(job);
    return mask;
}

#ifdef __AVX512F__

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"          // of the mask, in GCC's macro
template <int Bytes = 4>
inline __m512i gathered(__mmask16 live, __m512i at, const void* from) {
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), live, at, from, Bytes);
}
#pragma GCC diagnostic pop

// 16 places from the keys on, at most 2^31.
inline __m512i places_of(const int64_t* keys, __mmask16 live, __m512i shift) {
    const __m512i low = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(live), keys);
    const __m512i high = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(live >> 8), keys + 8);
    const __m512i all = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(low)),
                                           _mm512_cvtepi64_epi32(high), 1);
    return _mm512_add_epi32(all, shift);
}

// The bits of the places from each on, at least 25: bytes are in ascending order, and a word may begin at any of them.
inline __m512i bits_at(const Seek& job, __mmask16 live, __m512i place) {
    const __m512i bytes = gathered<1>(live, _mm512_srli_epi32(place, 3), job.bits);
    return _mm512_srlv_epi32(bytes, _mm512_and_si512(place, _mm512_set1_epi32(7)));
}

inline __m512i ones(__m512i bits) {
    const __m512i twos = _mm512_set1_epi32(0x33333333);
    bits = _mm512_sub_epi32(bits, _mm512_and_si512(_mm512_srli_epi32(bits, 1), _mm512_set1_epi32(0x55555555)));
    bits = _mm512_add_epi32(_mm512_and_si512(bits, twos), _mm512_and_si512(_mm512_srli_epi32(bits, 2), twos));
    bits = _mm512_and_si512(_mm512_add_epi32(bits, _mm512_srli_epi32(bits, 4)), _mm512_set1_epi32(0x0f0f0f0f));
    return _mm512_srli_epi32(_mm512_mullo_epi32(bits, _mm512_set1_epi32(0x01010101)), 24);
}

inline __m512i rows_before(const Seek& job, __mmask16 live, __m512i place) {
    const __m512i word = _mm512_srli_epi32(place, 5), one = _mm512_set1_epi32(1);
    const __m512i bit = _mm512_sllv_epi32(one, _mm512_and_si512(place, _mm512_set1_epi32(31)));
    return _mm512_add_epi32(gathered(live, word, job.before),
                            ones(_mm512_and_si512(gathered(live, word, job.bits), _mm512_sub_epi32(bit, one))));
}

template <int Taps, int Step>
void look(const Seek& job, const int64_t* keys, int64_t rows, int64_t given, int32_t first, int32_t* found,
          int32_t* asked, int32_t* hits) {
    const int step = step_of<Step>(job);
    const __m512i shift = _mm512_set1_epi32(static_cast<int32_t>(given)), one = _mm512_set1_epi32(1);
    const __m512i mask = _mm512_set1_epi32(static_cast<int32_t>(mask_of<Taps, Step>(job)));
    __m512i out = _mm512_add_epi32(_mm512_set1_epi32(first),
                                   _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    int32_t count[MOST_TAPS];
    for (int t = 0; t < Taps; ++t) count[t] = hits[t];
    for (int64_t i = 0; i < rows; i += 16, out = _mm512_add_epi32(out, _mm512_set1_epi32(16))) {
        __mmask16 live = static_cast<__mmask16>(rows - i < 16 ? (1u << (rows - i)) - 1 : 0xffffu);
        const __m512i place = places_of(keys + i, live, shift), bits = bits_at(job, live, place);
        live = _mm512_mask_test_epi32_mask(live, bits, mask);
        if (!live) continue;
        __m512i row = found ? rows_before(job, live, place) : one;
        for (int t = 0; t < Taps; ++t) {
            const __mmask16 hit = _mm512_mask_test_epi32_mask(live, bits, _mm512_set1_epi32(1 << t * step));
            if (found) {
                _mm512_storeu_si512(found + t * job.room + count[t], _mm512_maskz_compress_epi32(hit, row));
                _mm512_storeu_si512(asked + t * job.room + count[t], _mm512_maskz_compress_epi32(hit, out));
                for (int e = 0; e < (t + 1 < Taps ? step : 0); ++e)
                    row = _mm512_mask_add_epi32(
                        row, _mm512_mask_test_epi32_mask(live, bits, _mm512_set1_epi32(1 << (t * step + e))), row, one);
            }
            count[t] += __builtin_popcount(hit);
        }
    }
    for (int t = 0; t < Taps; ++t) hits[t] = count[t];
}

#else

// Bits 0 to 6 become bytes, which are summed for at most 128 rows at a time.
template <int Taps, int Step>
void count_bits(const Seek& job, const int64_t* keys, int64_t rows, int64_t shift, int32_t* hits) {
    const uint64_t mask = static_cast<uint64_t>(mask_of<Taps, Step>(job));
    for (int64_t start = 0; start < rows; start += 128) {
        uint64_t sums = 0;
        for (int64_t i = start; i < rows && i < start + 128; ++i) {
            const int64_t place = keys[i] + shift, word = place >> 5;
            const uint64_t bits = job.bits[word] | static_cast<uint64_t>(job.bits[word + 1]) << 32;
            sums += ((bits >> (place & 31) & mask) * 0x2040810204081u) & 0x101010101010101u;
        }
        for (int t = 0; t < Taps; ++t) hits[t] += static_cast<int32_t>(sums >> 8 * t * step_of<Step>(job) & 255);
    }
}

// Each row is written where a pair would go, and counted if there is one: no unpredictable branch.
template <int Taps, int Step>
void look(const Seek& job, const int64_t* keys, int64_t rows, int64_t shift, int32_t first, int32_t* found,
          int32_t* asked, int32_t* hits) {
    if (!found) return count_bits<Taps, Step>(job, keys, rows, shift, hits);
    const int step = step_of<Step>(job);
    int32_t count[MOST_TAPS];
    for (int t = 0; t < Taps; ++t) count[t] = hits[t];
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t place = keys[i] + shift, word = place >> 5;
        const uint32_t near = job.bits[word];
        uint64_t bits = (near | static_cast<uint64_t>(job.bits[word + 1]) << 32) >> (place & 31);
        int32_t row = job.before[word] + __builtin_popcount(near & ((uint32_t(1) << (place & 31)) - 1));
        for (int t = 0; t < Taps; ++t) {
            found[t * job.room + count[t]] = row;
            asked[t * job.room + count[t]] = static_cast<int32_t>(first + i);
            count[t] += static_cast<int32_t>(bits & 1);
            for (int e = 0; e < step; ++e, bits >>= 1) row += static_cast<int32_t>(bits & 1);
        }
    }
    for (int t = 0; t < Taps; ++t) hits[t] = count[t];
}

#endif

}  // namespace

void seek(const Seek* job, const int64_t* keys, int64_t rows, int64_t shift, int32_t first, int32_t* found,
          int32_t* asked, int32_t* hits) {
    const bool near = job->step == 1;
    const auto one = job->taps == 5 ? look<5, 1>
                   : job->taps == 4 ? look<4, 1>
                   : job->taps == 3 ? (near ? look<3, 1> : look<3, 0>)
                   : job->taps == 2 ? (near ? look<2, 1> : look<2, 0>) : look<1, 1>;
    one(*job, keys, rows, shift, first, found, asked, hits);
}

}  // namespace NAME
}  // namespace spconv_cy
