// The weight gradient: outer products of rows of x and dy, added up in registers for many pairs. The including file
// defines INNER[V], of how many inputs' rows of dw V vectors of columns stay in registers, and POINTERS, PANELS and
// NEAR_FLOATS.
#include <cassert>
#include <type_traits>

#include "registers.inl"

namespace spconv_cy {
namespace NAME {

extern const int32_t panels = PANELS, near_floats = NEAR_FLOATS;

namespace {

constexpr int WIDEST = sizeof(INNER) / sizeof(INNER[0]) - 1;    // vectors of a block of columns
constexpr int64_t SLAB = 64;    // most inputs of a panel of x

// Where pair j's rows begin, for a block of inputs and columns.
struct Rows {
    const float* x;
    const float* dy;
    int64_t x_stride, dy_stride;
    const int32_t* in_rows;
    const int32_t* out_rows;
    const float* input(int64_t j) const { return x + in_rows[j] * x_stride; }
    const float* columns(int64_t j) const { return dy + out_rows[j] * dy_stride; }
};

struct Ends {
    const float* x;
    const float* dy;
};

struct Pointed {
    const Ends* ends;
    int64_t first, column;
    const float* input(int64_t j) const { return ends[j].x + first; }
    const float* columns(int64_t j) const { return ends[j].dy + column; }
};

template <int V>
struct Panel {
    const float* x;
    const float* dy;
    int64_t x_stride;
    const float* input(int64_t j) const { return x + j * x_stride; }
    const float* columns(int64_t j) const { return dy + j * V * LANES; }
};

template <int V, int I, class Pairs>
inline __attribute__((always_inline)) void add_pair(vec (*sum)[V], Pairs pairs, int64_t j, int tail) {
    const float* x = pairs.input(j);
    // The address in one register: a product with a number at base + index would be two instructions to the processor.
    asm("" : "+r"(x));
    multiply_add<V, I>(sum, [x](int i) { return splat(x + i); }, pairs.columns(j), tail);
}

// clang would inline every block into one function, and give the sums of each a place of their own on its stack.
#ifdef __clang__
#define BLOCK __attribute__((noinline))
#else
#define BLOCK inline
#endif

// I inputs by V vectors of outputs; WHOLE: the rows of dy have no tail.
template <int V, int I, bool WHOLE, class Pairs>
BLOCK void outer_block(Pairs pairs, int64_t n, float* dw, int64_t stride, int tail) {
    vec sum[I][V];
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) read_row<V>(sum[i], dw + i * stride, tail);
    for (int64_t j = 0; j < n; ++j) add_pair<V, I>(sum, pairs, j, WHOLE ? LANES : tail);
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) write_row<V>(sum[i], dw + i * stride, tail);
}

template <int V, int I, bool WHOLE, class Pairs>
inline void outer_of(int inputs, Pairs pairs, int64_t n, float* dw, int64_t stride, int tail) {
    if constexpr (I > 1) {
        if (inputs < I) return outer_of<V, I - 1, WHOLE>(inputs, pairs, n, dw, stride, tail);
    }
    outer_block<V, I, WHOLE>(pairs, n, dw, stride, tail);
}

// All inputs, in blocks of nearly equal size; at(first) are the pairs from input `first` on.
template <int V, bool WHOLE, class At>
inline void all_inputs(At at, int64_t c, int64_t n, float* dw, int64_t stride, int tail) {
    const int64_t blocks = (c + INNER[V] - 1) / INNER[V], size = c / blocks, longer = c % blocks;
    for (int64_t b = 0, first = 0; b < blocks; ++b) {
        const int inputs = static_cast<int>(size + (b < longer));
        outer_of<V, INNER[V], WHOLE>(inputs, at(first), n, dw + first * stride, stride, tail);
        first += inputs;
    }
}

template <int V, class Function>
inline void with_width(int v, Function function) {
    if constexpr (V > 1) {
        if (v < V) return with_width<V - 1>(v, function);
    }
    function(std::integral_constant<int, V>());
}

// Calls function(width in vectors, first column, columns of the last vector) for blocks of nearly equal width.
template <class Function>
inline void all_columns(int64_t cols, Function function) {
    const int64_t vectors = (cols + LANES - 1) / LANES, blocks = (vectors + WIDEST - 1) / WIDEST;
    const int64_t size = vectors / blocks, longer = vectors % blocks;
    for (int64_t b = 0, column = 0; b < blocks; ++b) {
        const int64_t width = size + (b < longer), left = cols - column - (width - 1) * LANES;
        with_width<WIDEST>(static_cast<int>(width), [&](auto v) {
            function(v, column, static_cast<int>(left < LANES ? left : LANES));
        });
        column += width * LANES;
    }
}

// Calls function(first input, inputs, rank) for slabs of nearly equal size.
template <class Function>
inline void all_slabs(int64_t c, Function function) {
    const int64_t slabs = (c + SLAB - 1) / SLAB, size = c / slabs, longer = c % slabs;
    for (int64_t s = 0, first = 0; s < slabs; ++s) {
        const int64_t inputs = size + (s < longer);
        function(first, inputs, s);
        first += inputs;
    }
}

template <int V, class At>
inline void by_tail(At at, int64_t c, int64_t n, float* dw, int64_t stride, int tail) {
    if (tail == LANES) all_inputs<V, true>(at, c, n, dw, stride, tail);
    else all_inputs<V, false>(at, c, n, dw, stride, tail);
}

// How many blocks of inputs and columns read the same rows.
inline int64_t blocks_of(const Outer& job) {
    const int64_t vectors = (job.cols + LANES - 1) / LANES, blocks = (vectors + WIDEST - 1) / WIDEST;
    const int inner = INNER[vectors / blocks];
    return blocks * ((job.c + inner - 1) / inner);
}

// Several blocks share pointers to the rows: an address from an index takes as many instructions as two vectors of
// products. Columns with a tail go by pointers too, which saves the code for them.
inline bool is_pointed(const Outer& job) {
    return blocks_of(job) >= POINTERS || job.cols % LANES != 0;
}

// Rows are read where they lie.
void in_place(const Outer& job, const int32_t* in_rows, const int32_t* out_rows, int64_t n) {
    Ends* ends = reinterpret_cast<Ends*>(job.room);
    const bool pointed = is_pointed(job);
    for (int64_t j = 0; pointed && j < n; ++j) {
        ends[j] = {job.x + in_rows[j] * job.x_stride, job.dy + out_rows[j] * job.dy_stride};
    }
    all_columns(job.cols, [&](auto v, int64_t column, int tail) {
        constexpr int V = decltype(v)::value;
        float* dw = job.dw + column;
        if (pointed) {
            const auto at = [&](int64_t first) { return Pointed{ends, first, column}; };
            return by_tail<V>(at, job.c, n, dw, job.dw_stride, tail);
        }
        const auto at = [&](int64_t first) {
            return Rows{job.x + first, job.dy + column, job.x_stride, job.dy_stride, in_rows, out_rows};
        };
        all_inputs<V, true>(at, job.c, n, dw, job.dw_stride, LANES);
    });
}

inline void copy(float* to, const float* from, int64_t n) {
    int64_t i = 0;
    for (; i <= n - LANES; i += LANES) store(to + i, load(from + i));
    if (i < n) store(to + i, load_part(from + i, static_cast<int>(n - i)));
}

// Rows are copied first: those of dy into panels as wide as a block of columns, those of x into panels of at most SLAB
// inputs. Rows of many channels lie a power of two apart, so that few sets of the first cache would serve all of them.
void in_panels(const Outer& job, const int32_t* in_rows, const int32_t* out_rows, int64_t n) {
    const int64_t slabs = (job.c + SLAB - 1) / SLAB;
    const int64_t stride = ((job.c + slabs - 1) / slabs + LANES - 1) / LANES * LANES;
    float* const x = job.room;
    float* const dy = x + slabs * stride * n;
    for (int64_t j = 0; j < n; ++j) {
        const float* from = job.x + in_rows[j] * job.x_stride;
        all_slabs(job.c, [&](int64_t first, int64_t c, int64_t s) { copy(x + (s * n + j) * stride, from + first, c); });
        from = job.dy + out_rows[j] * job.dy_stride;
        all_columns(job.cols, [&](auto v, int64_t column, int tail) {
            constexpr int W = decltype(v)::value * LANES;
            copy(dy + column * n + j * W, from + column, W - LANES + tail);
        });
    }
    all_slabs(job.c, [&](int64_t begin, int64_t c, int64_t s) {
        all_columns(job.cols, [&](auto v, int64_t column, int tail) {
            constexpr int V = decltype(v)::value;
            const auto at = [&](int64_t first) {
                return Panel<V>{x + s * n * stride + first, dy + column * n, stride};
            };
            all_inputs<V, true>(at, c, n, job.dw + begin * job.dw_stride + column, job.dw_stride, tail);
        });
    });
}

}  // namespace

void outer(const Outer* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->c > 0 && job->cols > 0 && job->near > 0);
    // Few pairs at a time, so that their rows stay in the first cache for all blocks: nearly equal numbers.
    const bool together = !job->panels && !is_pointed(*job) && blocks_of(*job) == 1;
    const int64_t near = together ? pairs : job->near;
    for (int64_t left = pairs; left > 0;) {
        const int64_t parts = (left + near - 1) / near;
        const int64_t n = (left + parts - 1) / parts;
        (job->panels ? in_panels : in_place)(*job, in_rows, out_rows, n);
        in_rows += n, out_rows += n, left -= n;
    }
}

}  // namespace NAME
}  // namespace spconv_cy
