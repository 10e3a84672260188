// Small numbers on AMX: blocks of 16 pairs by 16 columns by 16 words in one instruction. Rows of x are copied together
// first. The bits of 8-bit products are those of the other sets; bfloat16 is summed in another order.
#include <immintrin.h>
#include <cassert>
#include <cstdint>

#include "dots.hpp"

SPCONV_CY_DOTS(amx, dots_int8)
SPCONV_CY_DOTS(amx, dots_bf16)

namespace spconv_cy {
namespace amx {
namespace {

constexpr int BLOCK = 16;
constexpr int64_t FOUND = 4 * BLOCK * 64;      // bytes of the products of a block

struct alignas(64) Shape {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
};

const Shape SHAPE;

struct Tiles {
    Tiles() { _tile_loadconfig(&SHAPE); }
    ~Tiles() { _tile_release(); }
};

template <bool INTEGER>
inline __m512i add(__m512i a, __m512i b) {
    if constexpr (INTEGER) return _mm512_add_epi32(a, b);
    else return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
}

#define MULTIPLY(tile)                                  \
    _tile_loadd(5, w + tile * BLOCK, V * 64);           \
    if constexpr (INTEGER) _tile_dpbusd(tile, 4, 5);    \
    else _tile_dpbf16ps(tile, 4, 5);

// The products of 16 rows with V vectors of columns, stored behind each other in room.
template <bool INTEGER, int V>
inline void products(const Dots& job, const uint32_t* x, char* room) {
    _tile_zero(0);
    if constexpr (V > 1) _tile_zero(1);
    if constexpr (V > 2) _tile_zero(2);
    if constexpr (V > 3) _tile_zero(3);
    const uint32_t* w = job.w;
    for (int64_t i = 0; i < job.words; i += BLOCK, x += BLOCK * BLOCK, w += BLOCK * V * BLOCK) {
        _tile_loadd(4, x, 64);
        MULTIPLY(0)
        if constexpr (V > 1) { MULTIPLY(1) }
        if constexpr (V > 2) { MULTIPLY(2) }
        if constexpr (V > 3) { MULTIPLY(3) }
    }
    _tile_stored(0, room, V * 64);
    if constexpr (V > 1) _tile_stored(1, room + 64, V * 64);
    if constexpr (V > 2) _tile_stored(2, room + 128, V * 64);
    if constexpr (V > 3) _tile_stored(3, room + 192, V * 64);
}

// Rows of x, a block of 16 words after the other; words behind the last are zeros.
inline void collect(uint32_t* to, const Dots& job, const int32_t* in_rows, int64_t n) {
    for (int64_t r = 0; r < n; ++r) {
        const uint32_t* x = job.x + in_rows[r] * job.x_stride;
        uint32_t* row = to + r * BLOCK;
        int64_t i = 0;
        for (; i + BLOCK <= job.words; i += BLOCK, row += BLOCK * BLOCK) {
            _mm512_store_si512(row, _mm512_loadu_si512(x + i));
        }
        if (i < job.words) {
            const __mmask16 there = static_cast<__mmask16>((1u << (job.words - i)) - 1);
            _mm512_store_si512(row, _mm512_maskz_loadu_epi32(there, x + i));
        }
    }
}

// Sums += the products of n pairs.
template <bool INTEGER, int V>
inline void spread(const Dots& job, const char* found, const __m512i* begin, const int32_t* out_rows, int64_t n) {
    for (int64_t r = 0; r < n; ++r) {
        char* sums = static_cast<char*>(job.sums) + (out_rows[r] - job.first_row) * V * 64;
        for (int v = 0; v < V; ++v) {
            const __m512i part = _mm512_load_si512(found + (r * V + v) * 64);
            const __m512i before = _mm512_loadu_si512(sums + v * 64);
            _mm512_storeu_si512(sums + v * 64, add<INTEGER>(before, add<INTEGER>(part, begin[v])));
        }
    }
}

// Tiles are loaded only from what has reached the cache. So the rows of the next block are collected before a block is
// multiplied, and the products of the block before are read after it.
template <bool INTEGER, int V>
void run(const Dots& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    char* const found = static_cast<char*>(job.room);
    uint32_t* const x = reinterpret_cast<uint32_t*>(found + 2 * FOUND);
    const int64_t size = (job.words + BLOCK - 1) / BLOCK * BLOCK * BLOCK;
    __m512i begin[V];
    for (int v = 0; v < V; ++v) {
        begin[v] = _mm512_setzero_si512();
        if (job.begin) begin[v] = _mm512_loadu_si512(static_cast<const char*>(job.begin) + v * 64);
    }
    const Tiles here;
    const auto count = [pairs](int64_t j) { return pairs - j < BLOCK ? pairs - j : BLOCK; };
    collect(x, job, in_rows, count(0));
    int64_t half = 0;
    for (int64_t j = 0; j < pairs; j += BLOCK, half = 1 - half) {
        if (j + BLOCK < pairs) collect(x + (1 - half) * size, job, in_rows + j + BLOCK, count(j + BLOCK));
        products<INTEGER, V>(job, x + half * size, found + half * FOUND);
        if (j) spread<INTEGER, V>(job, found + (1 - half) * FOUND, begin, out_rows + j - BLOCK, BLOCK);
    }
    const int64_t last = (pairs - 1) / BLOCK * BLOCK;
    spread<INTEGER, V>(job, found + (1 - half) * FOUND, begin, out_rows + last, count(last));
}

template <bool INTEGER>
inline void run_of(const Dots& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job.words > 0 && job.vectors > 0 && job.vectors <= 4);
    const auto of = job.vectors == 1 ? run<INTEGER, 1> : job.vectors == 2 ? run<INTEGER, 2>
                    : job.vectors == 3 ? run<INTEGER, 3> : run<INTEGER, 4>;
    of(job, in_rows, out_rows, pairs);
}

}  // namespace

void dots_int8(const Dots* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    run_of<true>(*job, in_rows, out_rows, pairs);
}

void dots_bf16(const Dots* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    run_of<false>(*job, in_rows, out_rows, pairs);
}

}  // namespace amx
}  // namespace spconv_cy
