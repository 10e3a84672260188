// The end of a tile of products of small numbers. The including file defines NAME and LANES. Compiled without fused
// multiply-adds, so that every instruction set gives the same bits.
#include <cstring>

#include "dots.hpp"

#pragma GCC diagnostic ignored "-Wpsabi"        // vectors are passed to inline functions of one file alone

SPCONV_CY_CLOSE(NAME)

namespace spconv_cy {
namespace NAME {
namespace {

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t Shorts __attribute__((vector_size(2 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

template <class Vector>
inline Vector at(const void* p) {
    Vector a;
    std::memcpy(&a, p, sizeof a);
    return a;
}

constexpr int64_t size_of(int kind) { return kind == FLOAT32 ? 4 : kind == BFLOAT16 ? 2 : 1; }

// Numbers of a kind as floats; of the last ones of a row only n are there.
template <int KIND>
inline Floats read(const char* p, int64_t n) {
    alignas(64) char room[4 * LANES] = {};
    if (n < LANES) {
        std::memcpy(room, p, static_cast<size_t>(n * size_of(KIND)));
        p = room;
    }
    if constexpr (KIND == FLOAT32) return at<Floats>(p);
    if constexpr (KIND == BFLOAT16) {
        return (Floats)(__builtin_convertvector(at<Shorts>(p), Bits) << 16);
    } else {
        return __builtin_convertvector(__builtin_convertvector(at<Bytes>(p), Ints), Floats);
    }
}

// To the nearest bfloat16, ties to even; subnormal numbers become zeros.
inline Shorts rounded(Floats z) {
    const Bits u = (Bits)z, high = u >> 16;
    const Bits near = (u + 0x7fff + (high & 1)) >> 16;
    const Bits number = (u & 0x7f800000) == 0 ? high & 0x8000 : near;
    return __builtin_convertvector((u & 0x7fffffff) > 0x7f800000 ? (high | 0x40) : number, Shorts);
}

inline Bytes held(Floats z, const Close& how) {
    const Floats low = Floats{} + how.low, high = Floats{} + how.high, shift = Floats{} + 12582912.0f;    // 1.5 * 2^23
    Floats t = z * (Floats{} + how.inverse);
    t = t > low ? t : low;                      // NaN becomes low
    t = t < high ? t : high;
    const Ints q = (Ints)(t + shift) - 0x4b400000 + how.zero;
    return __builtin_convertvector(q, Bytes);
}

template <int KIND>
inline void write(char* p, Floats z, int64_t n, const Close& how) {
    const size_t size = static_cast<size_t>((n < LANES ? n : LANES) * size_of(KIND));
    if constexpr (KIND == FLOAT32) std::memcpy(p, &z, size);
    if constexpr (KIND == BFLOAT16) {
        const Shorts s = rounded(z);
        std::memcpy(p, &s, size);
    }
    if constexpr (KIND == INT8) {
        const Bytes b = held(z, how);
        std::memcpy(p, &b, size);
    }
}

template <int FROM, int ADDED, int TO>
void closed(char* y, int64_t y_stride, const char* sums, int64_t width, int64_t rows, int64_t cols, const Close& how) {
    const char* residual = static_cast<const char*>(how.residual);
    const auto part = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        Floats z;
        if constexpr (FROM == FLOAT32) z = at<Floats>(sums + i * 4);
        else z = __builtin_convertvector(at<Ints>(sums + i * 4), Floats);
        z = z * at<Floats>(how.scale + i) + at<Floats>(how.shift + i);
        if constexpr (ADDED != NONE) {
            z = z + read<ADDED>(residual + i * size_of(ADDED), n) * at<Floats>(how.residual_scale + i);
        }
        z = z >= 0.0f ? z : how.slope * z;
        write<TO>(y + i * size_of(TO), z, n, how);
    };
    for (int64_t row = 0; row < rows; ++row, y += y_stride, sums += width * 4) {
        int64_t i = 0;
        for (; i + LANES <= cols; i += LANES) part(i, LANES);
        if (i < cols) part(i, cols - i);
        if constexpr (ADDED != NONE) residual += how.residual_stride;
    }
}

template <int FROM, int ADDED>
void closed_to(char* y, int64_t y_stride, const char* sums, int64_t width, int64_t rows, int64_t cols,
               const Close& how) {
    const auto run = how.to == FLOAT32 ? closed<FROM, ADDED, FLOAT32>
                     : how.to == BFLOAT16 ? closed<FROM, ADDED, BFLOAT16> : closed<FROM, ADDED, INT8>;
    run(y, y_stride, sums, width, rows, cols, how);
}

template <int FROM>
void closed_from(char* y, int64_t y_stride, const char* sums, int64_t width, int64_t rows, int64_t cols,
                 const Close& how) {
    const auto run = how.added == NONE ? closed_to<FROM, NONE> : how.added == FLOAT32 ? closed_to<FROM, FLOAT32>
                     : how.added == BFLOAT16 ? closed_to<FROM, BFLOAT16> : closed_to<FROM, INT8>;
    run(y, y_stride, sums, width, rows, cols, how);
}

}  // namespace

void close(void* y, int64_t y_stride, const void* sums, int64_t width, int64_t rows, int64_t cols, const Close* how) {
    (how->from == FLOAT32 ? closed_from<FLOAT32> : closed_from<INT8>)(
        static_cast<char*>(y), y_stride, static_cast<const char*>(sums), width, rows, cols, *how);
}

}  // namespace NAME
}  // namespace spconv_cy
