// The table of micro-kernels: what each instruction set offers, by one signature a family.
// Included by every set's file, so types and declarations only: an inline function here could be linked from the wrong set.
#pragma once
#include <cstdint>

namespace spconv_cy {

// Sums of a tile (rows of `vectors` vectors, at most KernelTable::vectors) += rows of x @ w, for a list of pairs.
struct Igemm {
    const float* x;
    const float* w;         // (c, vectors) packed: whole vectors, zeros behind the last column
    float* sums;            // packed likewise
    int64_t x_stride;       // floats from row to row
    int64_t first_row;      // the output row of the first row of sums
    int32_t c;
    int32_t vectors;
};

// dw (c, cols) += outer products of rows of x and rows of dy, for a list of pairs.
struct Outer {
    const float* x;
    const float* dy;
    float* dw;
    int64_t x_stride;
    int64_t dy_stride;
    int64_t dw_stride;
    int32_t c;
    int32_t cols;
};

typedef void (*IgemmFn)(const Igemm* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs);
typedef void (*OuterFn)(const Outer* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs);
typedef void (*AddFn)(float* y, const float* x, int64_t c);
typedef void (*AddWideFn)(double* y, const float* x, int64_t c);
typedef void (*AddPairsFn)(float* y, const float* x, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs,
                           int64_t c);
typedef void (*MaxFn)(float* y, int32_t* winner, const float* x, int32_t row, int64_t c);
typedef void (*MergeFn)(float* y, int32_t* winner, const float* x, const int32_t* rows, int64_t c);
typedef void (*FinishFn)(float* y, int64_t y_stride, const float* sums, int64_t width, int64_t rows, int64_t cols,
                         float slope);

struct KernelTable {
    const char* name;
    int32_t lanes;          // floats in a vector
    int32_t vectors;        // the widest block of columns, in vectors
    IgemmFn igemm;
    OuterFn outer;
    AddFn add;              // y += x
    AddWideFn add_wide;     // y += x, for long sums
    AddPairsFn add_pairs;   // y[out] += x[in]
    MaxFn max;              // y, winner = x, row where x is greater, or is the first NaN
    MergeFn merge;          // the same with a winner for each channel
    FinishFn finish;        // y (rows, cols) = sums (rows, width), those below 0 times slope
};

const KernelTable* kernels();
const KernelTable* available(int index);        // best first; null past the last
bool select_isa(const char* name);              // null: the best; false: no such set here
const char* asked_isa();                        // the value of SPCONV_CY_ISA, or null

}  // namespace spconv_cy

#define SPCONV_CY_DECLARE(isa)                                                                    \
    namespace spconv_cy { namespace isa {                                                         \
    extern const int32_t lanes, vectors;                                                          \
    void igemm(const Igemm*, const int32_t*, const int32_t*, int64_t);                            \
    void outer(const Outer*, const int32_t*, const int32_t*, int64_t);                            \
    void add(float*, const float*, int64_t);                                                      \
    void add_wide(double*, const float*, int64_t);                                                \
    void add_pairs(float*, const float*, const int32_t*, const int32_t*, int64_t, int64_t);       \
    void max(float*, int32_t*, const float*, int32_t, int64_t);                                   \
    void merge(float*, int32_t*, const float*, const int32_t*, int64_t);                          \
    void finish(float*, int64_t, const float*, int64_t, int64_t, int64_t, float);                 \
    } }
