// Indirect matrix products on rows read in place. The including file defines what stays in registers for V vectors of
// columns: ROWS[V] rows of sums, with UNROLL[V] inputs a pass; or, in sets of 32 registers and for fewer inputs than
// STAY_BELOW[V], the weights of INPUTS[V] inputs beside PAIRS[V] rows of sums. The sums are the same bits either way.
#include <cassert>

#include "registers.inl"

namespace spconv_cy {
namespace NAME {

extern const int32_t lanes = LANES, vectors = VECTORS;
// For any number of inputs, and with one pair at a time; dispatch.cpp knows the processor.
extern bool weights_stay;
bool weights_stay = STAY_BELOW[VECTORS] == INT32_MAX;

namespace {

constexpr int64_t AHEAD = 8;    // pairs between prefetching a row of x and reading it
constexpr int64_t LINE = 16;    // floats in a line of a cache

// Where rows are: x + in_row * x_bytes, and sums + out_row * ROW_BYTES<V>. `sums` is an address and no pointer, since
// output row 0 may lie before the array.
struct Rows {
    const char* x;
    int64_t x_bytes;
    uintptr_t sums;
};

template <int V>
constexpr uintptr_t ROW_BYTES = V * LANES * sizeof(float);

template <int V>
ALWAYS_INLINE inline Rows rows_of_job(const Igemm& job) {
    return {reinterpret_cast<const char*>(job.x), job.x_stride * static_cast<int64_t>(sizeof(float)),
            reinterpret_cast<uintptr_t>(job.sums) - static_cast<uintptr_t>(job.first_row) * ROW_BYTES<V>};
}

template <int V>
ALWAYS_INLINE inline float* sums_at(const Rows& rows, int32_t out_row) {
    return reinterpret_cast<float*>(rows.sums + static_cast<uintptr_t>(out_row) * ROW_BYTES<V>);
}

// The empty instruction hides where a row's address comes from. Without it compilers multiply by memory at x plus an
// offset, which processors split into a load and a product: so they overlap half as many.
template <int V, int G, bool ONCE = false>
ALWAYS_INLINE inline void begin_rows(const float** x, vec (*sum)[V], const Rows& rows, const int32_t* in_rows,
                                     const int32_t* out_rows, const float* begin = nullptr) {
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) {
        x[g] = reinterpret_cast<const float*>(rows.x + in_rows[g] * rows.x_bytes);
        asm("" : "+r"(x[g]));
        read_row<V>(sum[g], ONCE && begin ? begin : sums_at<V>(rows, out_rows[g]));
    }
}

template <int V, int G>
ALWAYS_INLINE inline void end_rows(const vec (*sum)[V], const Rows& rows, const int32_t* out_rows) {
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) write_row<V>(sum[g], sums_at<V>(rows, out_rows[g]));
}

// G pairs and the weights of I inputs, V vectors of columns: each weight serves G sums.
template <int V, int I, int G>
ALWAYS_INLINE inline void weights_block(const vec (*w)[V], const Rows& rows, const int32_t* in_rows,
                                        const int32_t* out_rows) {
    const float* x[G];
    vec sum[G][V];
    begin_rows<V, G>(x, sum, rows, in_rows, out_rows);
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) {
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) {
            const vec b = splat(x[g] + i);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[g][v] = fma(b, w[i][v], sum[g][v]);
        }
    }
    end_rows<V, G>(sum, rows, out_rows);
}

// Fewer than 2 * G pairs, by halves.
template <int V, int I, int G>
ALWAYS_INLINE inline void weights_rest(const vec (*w)[V], const Rows& rows, const int32_t* in_rows,
                                       const int32_t* out_rows, int64_t pairs) {
    if constexpr (G > 0) {
        if (pairs & G) weights_block<V, I, G>(w, rows, in_rows, out_rows);
        weights_rest<V, I, G / 2>(w, rows, in_rows + (pairs & G), out_rows + (pairs & G), pairs);
    }
}

// V vectors of the weights of I inputs stay in registers for all pairs, of which G are multiplied together.
template <int V, int I, int G>
void weights_run(const Igemm& job, int64_t first, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    vec w[I][V];
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) read_row<V>(w[i], job.w + (first + i) * V * LANES);
    Rows rows = rows_of_job<V>(job);
    rows.x += first * static_cast<int64_t>(sizeof(float));
    int64_t j = 0;
    for (; G == 1 && j + AHEAD < pairs; ++j) {
        const char* next = rows.x + in_rows[j + AHEAD] * rows.x_bytes;
        __builtin_prefetch(next);
        __builtin_prefetch(next + (I - 1) * sizeof(float));
        weights_block<V, I, G>(w, rows, in_rows + j, out_rows + j);
    }
    for (; j + G <= pairs; j += G) weights_block<V, I, G>(w, rows, in_rows + j, out_rows + j);
    weights_rest<V, I, G / 2>(w, rows, in_rows + j, out_rows + j, pairs - j);
}

template <int V, int I>
inline void weights_of(int n, const Igemm& job, int64_t first, const int32_t* in_rows, const int32_t* out_rows,
                       int64_t pairs) {
    if constexpr (I > 1) {
        if (n < I) return weights_of<V, I - 1>(n, job, first, in_rows, out_rows, pairs);
    }
    if (PAIRS[V] > 1 && weights_stay) return weights_run<V, I, 1>(job, first, in_rows, out_rows, pairs);
    weights_run<V, I, PAIRS[V]>(job, first, in_rows, out_rows, pairs);
}

// What a block of rows that are read once does besides: its sums begin with one row, if there is one; and it fetches
// the rows of the next G pairs into the first cache, a line at a time between the products.
struct Once {
    const float* begin;
    const int32_t* next;
};

template <int G>
ALWAYS_INLINE inline void fetch_rows(const Rows& rows, const int32_t* next, int64_t input) {
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) {
        __builtin_prefetch(rows.x + next[g] * rows.x_bytes + input * static_cast<int64_t>(sizeof(float)));
    }
}

// G pairs, V vectors of columns: G * V sums stay in registers for all c inputs. Each input's weights serve all G rows,
// so there are fewer loads than products.
template <int V, int G, bool ONCE>
ALWAYS_INLINE inline void rows_block(const Rows& rows, const float* w, int64_t c, const int32_t* in_rows,
                                     const int32_t* out_rows, Once once) {
    const float* x[G];
    vec sum[G][V];
    begin_rows<V, G, ONCE>(x, sum, rows, in_rows, out_rows, once.begin);
    int64_t i = 0;
    const auto add_input = [&](int64_t n) ALWAYS_INLINE {
        multiply_add<V, G>(sum, [&](int g) ALWAYS_INLINE { return splat(x[g] + n); }, w, LANES);
        w += V * LANES;
    };
    for (; i + UNROLL[V] <= c; i += UNROLL[V]) {
        if (ONCE && i % LINE == 0 && once.next) fetch_rows<G>(rows, once.next, i);
#pragma GCC unroll 8
        for (int n = 0; n < UNROLL[V]; ++n) add_input(i + n);
    }
    for (; UNROLL[V] > 1 && i < c; ++i) add_input(i);
    end_rows<V, G>(sum, rows, out_rows);
}

template <int V, int G>
inline void rows_of(int g, const Rows& rows, const float* w, int64_t c, const int32_t* in_rows,
                    const int32_t* out_rows, Once once) {
    if constexpr (G > 1) {
        if (g < G) return rows_of<V, G - 1>(g, rows, w, c, in_rows, out_rows, once);
    }
    rows_block<V, G, true>(rows, w, c, in_rows, out_rows, once);
}

// Whole blocks as long as two are left; what remains is cut in halves: a block of one or two rows would leave most of
// the multipliers idle. What remains has one form, which asks whether rows are read once.
template <int V, bool ONCE>
void run_rows(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    constexpr int MOST = ROWS[V];
    static_assert(MOST <= FETCHED, "as many numbers are read behind job.next");
    const Rows rows = rows_of_job<V>(job);
    const float* w = job.w;
    const int64_t c = job.c;
    const auto once = [&](const int32_t* next) { return Once{job.begin, job.next ? next : nullptr}; };
    int64_t j = 0;
    for (; pairs - j >= 2 * MOST; j += MOST) {
        rows_block<V, MOST, ONCE>(rows, w, c, in_rows + j, out_rows + j, once(in_rows + j + MOST));
    }
    const int left = static_cast<int>(pairs - j), half = left > MOST ? (left + 1) / 2 : left;
    rows_of<V, MOST>(half, rows, w, c, in_rows + j, out_rows + j,
                           once(half < left ? in_rows + j + left - half : job.next));
    j += half;
    if (half < left) rows_of<V, MOST>(left - half, rows, w, c, in_rows + j, out_rows + j, once(job.next));
}

// Blocks of nearly equal size: 33 inputs are 4 blocks of 8 or 9, and not 4 blocks and a remainder.
template <int V>
void run_weights(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    constexpr int MOST = INPUTS[V];
    const int blocks = (job.c + MOST - 1) / MOST, size = job.c / blocks, longer = job.c % blocks;
    if (job.begin) {
        const Rows rows = rows_of_job<V>(job);
        vec begin[V];
        read_row<V>(begin, job.begin);
        for (int64_t j = 0; j < pairs; ++j) write_row<V>(begin, sums_at<V>(rows, out_rows[j]));
    }
    for (int b = 0, first = 0; b < blocks; ++b) {
        const int n = size + (b < longer);
        weights_of<V, MOST>(n, job, first, in_rows, out_rows, pairs);
        first += n;
    }
}

template <int V>
inline void igemm_of(int v, const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    if constexpr (V > 1) {
        if (v < V) return igemm_of<V - 1>(v, job, in_rows, out_rows, pairs);
    }
    if constexpr (STAY_BELOW[V] == INT32_MAX) {
        run_weights<V>(job, in_rows, out_rows, pairs);
    } else {
        if constexpr (STAY_BELOW[V] > 0) {
            if (job.c < STAY_BELOW[V] || weights_stay) return run_weights<V>(job, in_rows, out_rows, pairs);
        }
        if (job.begin || job.next) run_rows<V, true>(job, in_rows, out_rows, pairs);
        else run_rows<V, false>(job, in_rows, out_rows, pairs);
    }
}

}  // namespace

void igemm(const Igemm* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->c > 0 && job->vectors > 0 && job->vectors <= VECTORS);
    igemm_of<VECTORS>(job->vectors, *job, in_rows, out_rows, pairs);
}

}  // namespace NAME
}  // namespace spconv_cy
