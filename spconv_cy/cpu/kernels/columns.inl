// Vectors of columns in the compiler's own types, and loops over them. The including file defines NAME and LANES.
#pragma once
#include "kernels.hpp"

SPCONV_CY_DECLARE(NAME)

#pragma GCC diagnostic ignored "-Wpsabi"        // vectors are passed to inline functions of one file alone

namespace spconv_cy {
namespace NAME {
namespace {

template <int W>
struct Columns;     // W columns at once

// A vector anywhere in an array, with the alignment of its elements only. GCC alone keeps a lower alignment in a
// reference to a vector type; a packed member keeps it in every compiler.
template <class Vector, class Number>
struct [[gnu::packed, gnu::may_alias]] alignas(Number) Within {
    Vector vector;
};

template <class Vector, class Number>
inline Vector read(const Number* p) {
    return reinterpret_cast<const Within<Vector, Number>*>(p)->vector;
}

template <class Vector, class Number>
inline void write(Number* p, Vector a) {
    reinterpret_cast<Within<Vector, Number>*>(p)->vector = a;
}

// Not every compiler lets a type's attributes depend on W, so each width is written out.
#define COLUMNS(W)                                                                                           \
    template <>                                                                                              \
    struct Columns<W> {                                                                                      \
        typedef float Floats __attribute__((vector_size(4 * W)));                                            \
        typedef int32_t Ints __attribute__((vector_size(4 * W)));                                            \
        typedef double Doubles __attribute__((vector_size(8 * W)));                                          \
        static Floats at(const float* p) { return read<Floats>(p); }                                         \
        static Ints at(const int32_t* p) { return read<Ints>(p); }                                           \
        static Doubles at(const double* p) { return read<Doubles>(p); }                                      \
        static void put(float* p, Floats a) { write(p, a); }                                               \
        static void put(int32_t* p, Ints a) { write(p, a); }                                               \
        static void put(double* p, Doubles a) { write(p, a); }                                             \
        static Doubles wide(Floats a) { return __builtin_convertvector(a, Doubles); }                        \
        static Floats all(float a) { return Floats{} + a; }                                                  \
        static Ints all(int32_t a) { return Ints{} + a; }                                                    \
        static Floats through(Floats z, float slope) { return z >= 0.0f ? z : slope * z; }                   \
        static Ints bits(Floats a) { return (Ints)a; }                                                       \
        static Floats of_bits(Ints a) { return (Floats)a; }                                                  \
    };

COLUMNS(2)
COLUMNS(4)
COLUMNS(8)
COLUMNS(16)

template <>
struct Columns<1> {
    typedef float Floats;
    static float at(const float* p) { return *p; }
    static int32_t at(const int32_t* p) { return *p; }
    static double at(const double* p) { return *p; }
    static void put(float* p, float a) { *p = a; }
    static void put(int32_t* p, int32_t a) { *p = a; }
    static void put(double* p, double a) { *p = a; }
    static double wide(float a) { return a; }
    static float all(float a) { return a; }
    static int32_t all(int32_t a) { return a; }
    static float through(float z, float slope) { return z >= 0.0f ? z : slope * z; }
    static int32_t bits(float a) { return read<int32_t>(&a); }
    static float of_bits(int32_t a) { return read<float>(&a); }
};

// The rest of a row after whole registers is taken by halves: rows are short, and a loop would end in single steps.
template <int W, class One>
inline void halves(int64_t first, int64_t c, const One& one) {
    if constexpr (W > 0) {
        if (c & W) {
            one(Columns<W>(), first);
            first += W;
        }
        halves<W / 2>(first, c, one);
    }
}

// Calls one(Columns, first column) for all c columns, W of them at a time.
template <int W = LANES, class One>
inline void each(int64_t c, const One& one) {
    int64_t i = 0;
    for (; i + W <= c; i += W) one(Columns<W>(), i);
    halves<W / 2>(i, c, one);
}

}  // namespace
}  // namespace NAME
}  // namespace spconv_cy
