// The table of micro-kernels: what each instruction set offers, one signature for each family.
// Every set's file includes it, so it holds types and declarations only: an inline function could be linked from the
// wrong set.
#pragma once
#include <cstdint>

namespace spconv_cy {

constexpr int FETCHED = 16;     // numbers behind Igemm::next

// Sums of a tile (rows of `vectors` vectors, at most KernelTable::vectors) += rows of x @ w, for a list of pairs.
struct Igemm {
    const float* x;
    const float* w;         // (c, vectors) packed: whole vectors, zeros behind the last column
    float* sums;            // packed likewise
    const float* begin;     // where each row of sums has one pair: what it begins with; or null
    const int32_t* next;    // where rows are read once: numbers of the FETCHED rows that are read next; or null
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
    float* room;            // 64-byte aligned: for each of the near pairs two pointers, or its rows in panels
    int64_t x_stride;
    int64_t dy_stride;
    int64_t dw_stride;
    int32_t c;
    int32_t cols;
    int32_t near;           // most pairs that are taken together
    int32_t panels;         // whether their rows are copied first
};

// One map for each column: (x - centre - rest) * scale + shift, and values below 0 times slope.
struct Affine {
    const float* centre;
    const float* rest;
    const float* scale;
    const float* shift;
    int64_t c;
    float slope;
};

// What happens to the sums of a convolution's tile when they are written: with `scale`, the map of Affine; with
// `residual`, rows that are added; then values below 0 times slope.
struct Finish {
    const float* centre;
    const float* rest;
    const float* scale;     // null: no map
    const float* shift;
    const float* residual;  // null: nothing is added
    int64_t residual_stride;
    float slope;
};

// Every micro-kernel, KERNEL(name, arguments): the one list on this side; isa.pxd has the other, for Cython.
#define SPCONV_CY_KERNELS(KERNEL)                                                                                      \
    /* sums of the tile += x @ w, by pairs */                                                                          \
    KERNEL(igemm, (const Igemm* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs))                  \
    /* dw += outer products of rows of x and dy, by pairs */                                                           \
    KERNEL(outer, (const Outer* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs))                  \
    /* y += x */                                                                                                       \
    KERNEL(add, (float* y, const float* x, int64_t c))                                                                 \
    /* y = a + b */                                                                                                    \
    KERNEL(sum, (float* y, const float* a, const float* b, int64_t n))                                                 \
    /* y (rows, c) = x (rows, c), each with the distance of its rows */                                                \
    KERNEL(copy, (float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t rows, int64_t c))              \
    /* sums += the rows of x */                                                                                        \
    KERNEL(add_rows, (double* sums, const float* x, int64_t rows, int64_t c))                                          \
    /* y[out] += x[in] */                                                                                              \
    KERNEL(add_pairs, (float* y, const float* x, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs,       \
                       int64_t c))                                                                                     \
    /* y, winner = x, row where x is greater, or is the first NaN */                                                   \
    KERNEL(max, (float* y, int32_t* winner, const float* x, int32_t row, int64_t c))                                   \
    /* the same with a row for each channel */                                                                         \
    KERNEL(merge, (float* y, int32_t* winner, const float* x, const int32_t* rows, int64_t c))                         \
    /* y, winner = the largest of n >= 1 rows of x and the first row that has it, or that is NaN */                    \
    KERNEL(max_rows, (float* y, int32_t* winner, const float* x, const int32_t* rows, int64_t n, int64_t c))           \
    /* dx = the sum of n rows of dy where `row` is the winner */                                                       \
    KERNEL(won_rows, (float* dx, const float* dy, const int32_t* winner, const int32_t* rows, int64_t n,               \
                      int32_t row, int64_t c))                                                                         \
    /* dx[in] += dy[out] where in is the winner */                                                                     \
    KERNEL(won_pairs, (float* dx, const float* dy, const int32_t* winner, const int32_t* in_rows,                      \
                       const int32_t* out_rows, int64_t pairs, int64_t c))                                             \
    /* total += the rows of dy where the winner is below 0 */                                                          \
    KERNEL(lost_rows, (float* total, const float* dy, const int32_t* winner, int64_t rows, int64_t c))                 \
    /* y (rows, cols) = sums (rows, width), through what `how` says */                                                 \
    KERNEL(finish, (float* y, int64_t y_stride, const float* sums, int64_t width, int64_t rows, int64_t cols,          \
                    const Finish* how))                                                                                \
    /* mean = that of each column of at least one row, spread = the sum of squares about it */                         \
    KERNEL(measure, (double* mean, double* spread, const float* x, int64_t stride, int64_t rows, int64_t c))           \
    /* y = x, those below 0 times slope */                                                                             \
    KERNEL(leaky, (float* y, const float* x, float slope, int64_t n))                                                  \
    /* dx = dy, where y is not above 0 times slope */                                                                  \
    KERNEL(leaky_dx, (float* dx, const float* y, const float* dy, float slope, int64_t n))                             \
    /* y = x through the map */                                                                                        \
    KERNEL(affine, (float* y, const float* x, const Affine* map, int64_t rows))                                        \
    /* with dz = dy through the slope: total += dz, dot += dz * (x - centre - rest) */                                 \
    KERNEL(affine_sums, (double* total, double* dot, const float* x, const float* dy, const Affine* map,               \
                         int64_t rows))                                                                                \
    /* dx = dz * scale + (x - centre - rest) * a + b */                                                                \
    KERNEL(affine_dx, (float* dx, const float* x, const float* dy, const Affine* map, const float* a, const float* b,  \
                       int64_t rows))                                                                                  \
    /* found (rows, 2) = the maximum of each row and the sum of exponentials of its distances from it;                 \
       total += losses at the labels, times counts if there are any; rows of labels below 0 do not count */            \
    KERNEL(entropy, (double* total, float* found, const float* x, const int64_t* labels, const float* counts,          \
                     int64_t rows, int64_t c))                                                                         \
    /* dx = (softmax of x - 1 at the label) * factor, times counts if there are any; 0 for labels below 0 */           \
    KERNEL(entropy_dx, (float* dx, const float* x, const float* found, const int64_t* labels,                          \
                        const float* counts, float factor, int64_t rows, int64_t c))

#define SPCONV_CY_POINTER(name, arguments) void (*name) arguments;
#define SPCONV_CY_FUNCTION(name, arguments) void name arguments;

struct KernelTable {
    const char* name;
    int32_t lanes;          // floats in a vector
    int32_t vectors;        // the widest block of columns, in vectors
    int32_t panels;         // channels in and out from which the weight gradient copies rows
    int32_t near_floats;    // of its rows that are read in place together; 0: no bound
    bool weights_stay;      // in registers, for all pairs of an offset; else rows of sums do, for all inputs
    SPCONV_CY_KERNELS(SPCONV_CY_POINTER)
};

const KernelTable* kernels();
const KernelTable* available(int index);        // best first; null past the last
bool select_isa(const char* name);              // null: the best; false: no such set here
const char* asked_isa();                        // the value of SPCONV_CY_ISA, or null

}  // namespace spconv_cy

#define SPCONV_CY_DECLARE(isa)                      \
    namespace spconv_cy { namespace isa {           \
    extern const int32_t lanes, vectors, panels;    \
    extern const int32_t near_floats;               \
    extern bool weights_stay;                       \
    SPCONV_CY_KERNELS(SPCONV_CY_FUNCTION)           \
    } }
