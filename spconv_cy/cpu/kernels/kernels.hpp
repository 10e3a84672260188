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

// Columns by one map each: (x - centre - rest) * scale + shift, and what is below 0 times slope.
struct Affine {
    const float* centre;
    const float* rest;
    const float* scale;
    const float* shift;
    int64_t c;
    float slope;
};

typedef void (*IgemmFn)(const Igemm* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs);
typedef void (*OuterFn)(const Outer* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs);
typedef void (*AddFn)(float* y, const float* x, int64_t c);
typedef void (*AddRowsFn)(double* sums, const float* x, int64_t rows, int64_t c);
typedef void (*AddPairsFn)(float* y, const float* x, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs,
                           int64_t c);
typedef void (*MaxFn)(float* y, int32_t* winner, const float* x, int32_t row, int64_t c);
typedef void (*MergeFn)(float* y, int32_t* winner, const float* x, const int32_t* rows, int64_t c);
typedef void (*WonPairsFn)(float* dx, const float* dy, const int32_t* winner, const int32_t* in_rows,
                           const int32_t* out_rows, int64_t pairs, int64_t c);
typedef void (*LostRowsFn)(float* total, const float* dy, const int32_t* winner, int64_t rows, int64_t c);
typedef void (*FinishFn)(float* y, int64_t y_stride, const float* sums, int64_t width, int64_t rows, int64_t cols,
                         float slope);
typedef void (*LeakyFn)(float* y, const float* x, float slope, int64_t n);
typedef void (*LeakyDxFn)(float* dx, const float* y, const float* dy, float slope, int64_t n);
typedef void (*SquaresFn)(double* sums, const float* x, const double* mean, int64_t rows, int64_t c);
typedef void (*AffineFn)(float* y, const float* x, const Affine* map, int64_t rows);
typedef void (*AffineSumsFn)(double* total, double* dot, const float* x, const float* dy, const Affine* map, int64_t rows);
typedef void (*AffineDxFn)(float* dx, const float* x, const float* dy, const Affine* map, const float* a, const float* b,
                           int64_t rows);

struct KernelTable {
    const char* name;
    int32_t lanes;          // floats in a vector
    int32_t vectors;        // the widest block of columns, in vectors
    IgemmFn igemm;
    OuterFn outer;
    AddFn add;              // y += x
    AddRowsFn add_rows;     // sums += the rows of x
    AddPairsFn add_pairs;   // y[out] += x[in]
    MaxFn max;              // y, winner = x, row where x is greater, or is the first NaN
    MergeFn merge;          // the same with a winner for each channel
    WonPairsFn won_pairs;   // dx[in] += dy[out] where in is the winner
    LostRowsFn lost_rows;   // total += the rows of dy where the winner is below 0
    FinishFn finish;        // y (rows, cols) = sums (rows, width), those below 0 times slope
    LeakyFn leaky;          // y = x, those below 0 times slope
    LeakyDxFn leaky_dx;     // dx = dy, where y is not above 0 times slope
    SquaresFn squares;      // sums += (x - mean)^2
    AffineFn affine;
    AffineSumsFn affine_sums;   // with dz = dy through the slope: total += dz, dot += dz * (x - centre - rest)
    AffineDxFn affine_dx;       // dx = dz * scale + (x - centre - rest) * a + b
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
    void add_rows(double*, const float*, int64_t, int64_t);                                       \
    void add_pairs(float*, const float*, const int32_t*, const int32_t*, int64_t, int64_t);       \
    void max(float*, int32_t*, const float*, int32_t, int64_t);                                   \
    void merge(float*, int32_t*, const float*, const int32_t*, int64_t);                          \
    void won_pairs(float*, const float*, const int32_t*, const int32_t*, const int32_t*, int64_t, int64_t); \
    void lost_rows(float*, const float*, const int32_t*, int64_t, int64_t);                       \
    void finish(float*, int64_t, const float*, int64_t, int64_t, int64_t, float);                 \
    void leaky(float*, const float*, float, int64_t);                                             \
    void leaky_dx(float*, const float*, const float*, float, int64_t);                            \
    void squares(double*, const float*, const double*, int64_t, int64_t);                         \
    void affine(float*, const float*, const Affine*, int64_t);                                    \
    void affine_sums(double*, double*, const float*, const float*, const Affine*, int64_t);       \
    void affine_dx(float*, const float*, const float*, const Affine*, const float*, const float*, int64_t); \
    } }
