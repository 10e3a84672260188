// Products of rows of small numbers: pairs of bfloat16 with sums in float32, or quadruples of 8 bits with sums in int32.
// Types and declarations only, as in kernels.hpp.
#pragma once
#include <cstdint>

namespace spconv_cy {

// Sums of a tile += begin + rows of x @ w, for a list of pairs. A word has two inputs of 16 bits or four of 8.
struct Dots {
    const uint32_t* x;
    const uint32_t* w;              // (words, vectors) packed
    void* sums;                     // floats or int32
    const void* begin;              // (vectors) of the same, added for each pair; or null
    const uint32_t* extra_w;        // (extras, vectors): rests of weights whose products would not fit into 16 bits
    const int32_t* extra_words;     // their words
    void* room;                     // 64-byte aligned, of DotTable::room bytes for each word and DotTable::fixed_room
    int64_t x_stride;               // words from row to row
    int64_t first_row;              // the output row of the first row of sums
    int32_t words;
    int32_t vectors;
    int32_t extras;
};

enum Kind { NONE, FLOAT32, BFLOAT16, INT8 };

// y = sums * scale + shift + residual * residual_scale, those below 0 times slope; as 8 bits it is multiplied by
// inverse, held between low and high, rounded to even, and zero is added.
struct Close {
    const float* scale;             // whole vectors of columns, as shift and residual_scale
    const float* shift;
    const float* residual_scale;
    const void* residual;           // rows as far apart as residual_stride bytes
    int64_t residual_stride;
    float slope;
    float inverse;
    float low;
    float high;
    int32_t zero;
    int32_t from;                   // kind of the sums: FLOAT32 or INT8, whose sums are int32
    int32_t added;                  // kind of the residual, or NONE
    int32_t to;                     // kind of y
};

// Where the inputs of a word stand in packed weights of `lanes` columns.
// WORDS: (words, columns). UNPACKED: in four columns each the second inputs, then the first ones. NARROW: words, with
// extras. TILES: words up to a multiple of 16.
enum Layout { WORDS, UNPACKED, NARROW, TILES };

struct DotTable {
    const char* name;
    const char* emulates;           // the set whose bits this one computes without its instructions, or null
    int32_t lanes;
    int32_t vectors;
    int32_t layout;
    int32_t signed_x;           // 1: the kernel takes 128 less than x
    int32_t room;
    int32_t fixed_room;
    void (*dots)(const Dots* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs);
    void (*close)(void* y, int64_t y_stride, const void* sums, int64_t width, int64_t rows, int64_t cols,
                  const Close* how);
};

const DotTable* dot_table_at(int kind, int index);      // BFLOAT16 or INT8, best first; null past the last
const DotTable* dot_table(int kind);                    // in use
bool select_dots(const char* name);                     // null: by the set of kernels()

}  // namespace spconv_cy

#define SPCONV_CY_DOTS(isa, name)                                                                              \
    namespace spconv_cy { namespace isa {                                                                      \
    void name(const Dots* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs);                \
    } }
#define SPCONV_CY_CLOSE(isa)                                                                                   \
    namespace spconv_cy { namespace isa {                                                                      \
    void close(void* y, int64_t y_stride, const void* sums, int64_t width, int64_t rows, int64_t cols,         \
               const Close* how);                                                                              \
    } }
