// Convolution by tensor cores: float16 features (REAL Half), or float32 that is rounded to TF32 (REAL float); float32 sums.
// Tables, masks and order are those of conv.cu, and as there no sum depends on which thread comes first.
//
// What is read has been padded: the channels that are summed over are a multiple of 8, so that vectors of 16 bytes hold no
// others, and w is (K, groups, o, c), c innermost, for the input gradient as well.
//
// A word is a register of a fragment: two halves that follow each other in the sum, or one TF32 number. Then both kinds of
// mma have one layout: 16 rows and 8 columns, 8 words deep. sm_75 has half of that depth, and takes it in two.
constexpr int VECTOR = 16 / sizeof(Real);                  // numbers in 16 bytes
constexpr int STEP = 4 * VECTOR;                           // channels of a step: 16 words of a row
constexpr int LINE = 20;                                   // words from row to row: the 32 of a fragment lie in 32 banks
struct alignas(16) Vector { unsigned word[4]; };

// Which row, column and word of the tiles register i of a lane holds.
__device__ __forceinline__ int a_row(int lane, int i) { return lane / 4 + i % 2 * 8; }
__device__ __forceinline__ int a_word(int lane, int i) { return lane % 4 + i / 2 * 4; }
__device__ __forceinline__ int b_column(int lane) { return lane / 4; }
__device__ __forceinline__ int b_word(int lane, int i) { return lane % 4 + i * 4; }
__device__ __forceinline__ int d_row(int lane, int i) { return lane / 4 + i / 2 * 8; }
__device__ __forceinline__ int d_column(int lane, int i) { return lane % 4 * 2 + i % 2; }

// d += a b, by a whole warp.
__device__ __forceinline__ void multiply(float* d, const unsigned* a, const unsigned* b) {
  if constexpr (sizeof(Real) == 2) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
    for (int i = 0; i < 2; i++)
      asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                   "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                   : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
#endif
  } else {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __trap();                                              // the backend has refused
#endif
  }
}

// A word as mma takes it: halves as they are, float32 rounded to TF32.
__device__ __forceinline__ unsigned operand(unsigned word) {
#if __CUDA_ARCH__ >= 800
  if constexpr (sizeof(Real) == 4) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(__uint_as_float(word)));
#endif
  return word;
}

// Bring 16 bytes, or zeros, into shared memory; they are there after copies_done() and a barrier.
__device__ __forceinline__ void copy(unsigned* to, const Real* from, bool there) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               : : "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
#else
  const Vector none = {{0, 0, 0, 0}};
  *reinterpret_cast<Vector*>(to) = there ? *reinterpret_cast<const Vector*>(from) : none;
#endif
}
__device__ __forceinline__ void copies_done() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" : : : "memory");
#endif
}

// A block owns BM outputs by BN channels of one group, a warp 32 by 32 of them; a step is STEP channels of one offset. The
// next step's numbers come into one buffer while those of the other are multiplied: one barrier a step.
template <int BM, int BN>
__device__ __forceinline__ void mma_tile(const Real* __restrict__ x, const Real* __restrict__ w,
    const float* __restrict__ bias, const int* __restrict__ table, const unsigned* __restrict__ masks,
    const int* __restrict__ order, Real* __restrict__ y, int n_out, int K, int c, int o, int groups, int has_bias,
    int has_slope, float slope, unsigned (*As)[BM * LINE], unsigned (*Bs)[BN * LINE], int* rows, unsigned* present) {
  constexpr int THREADS = BM * BN / 32;
  static_assert(BM * 4 % THREADS == 0 && BN * 4 % THREADS == 0, "a thread brings whole vectors");
  const int t = threadIdx.x, lane = t % 32, group = blockIdx.z, col0 = blockIdx.y * BN, words = (K + 31) / 32;
  const int tr = t / 32 / (BN / 32) * 32, tc = t / 32 % (BN / 32) * 32;
  const Real* xg = x + (u64)group * c;
  float acc[2][4][4];
#pragma unroll
  for (int i = 0; i < 32; i++) acc[i / 16][i / 4 % 4][i % 4] = 0.f;
  for (int r = t; r < BM; r += THREADS) {
    const i64 p = (i64)blockIdx.x * BM + r;
    rows[r] = p < n_out ? order[p] : -1;
  }
  if (t == 0) present[0] = 0;
  __syncthreads();
  int buffer = 0;
  for (int word = 0; word < words; word++) {
    for (int r = t; r < BM; r += THREADS)
      if (rows[r] >= 0) atomicOr(&present[word & 1], masks[(u64)rows[r] * words + word]);
    __syncthreads();
    unsigned left = present[word & 1];                     // the offsets that some row of the tile has
    if (t == 0) present[~word & 1] = 0;
    int c0 = 0, coming = 0;                                // channels of the step whose numbers are on their way
    while (left || coming) {
      copies_done();
      __syncthreads();                                     // all of them are there, and nobody reads the other buffer
      const int here = coming;
      coming = left ? min(c - c0, STEP) : 0;
      if (coming) {
        const int k = word * 32 + __ffs((int)left) - 1;
        const Real* wk = w + ((u64)k * groups + group) * o * c;
#pragma unroll
        for (int i = 0; i < BM * 4 / THREADS; i++) {
          const int e = t + i * THREADS, r = e / 4, v = e % 4, ch = c0 + v * VECTOR;
          if (v / 2 * 2 * VECTOR < coming) {
            const int from = rows[r] >= 0 ? table[(u64)rows[r] * K + k] : -1;
            const bool there = from >= 0 && ch < c;
            copy(&As[buffer ^ 1][r * LINE + v * 4], there ? xg + (i64)from * groups * c + ch : x, there);
          }
        }
#pragma unroll
        for (int i = 0; i < BN * 4 / THREADS; i++) {
          const int e = t + i * THREADS, n = e / 4, v = e % 4, ch = c0 + v * VECTOR;
          if (v / 2 * 2 * VECTOR < coming) {
            const bool there = col0 + n < o && ch < c;
            copy(&Bs[buffer ^ 1][n * LINE + v * 4], there ? wk + (i64)(col0 + n) * c + ch : w, there);
          }
        }
        c0 += STEP;
        if (c0 >= c) { c0 = 0; left &= left - 1; }
      }
#pragma unroll
      for (int s = 0; s < 2; s++) {
        if (s * 2 * VECTOR >= here) continue;
        unsigned a[2][4], b[4][2];
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
          for (int f = 0; f < 4; f++)
            a[i][f] = operand(As[buffer][(tr + i * 16 + a_row(lane, f)) * LINE + s * 8 + a_word(lane, f)]);
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int f = 0; f < 2; f++)
            b[j][f] = operand(Bs[buffer][(tc + j * 8 + b_column(lane)) * LINE + s * 8 + b_word(lane, f)]);
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) multiply(acc[i][j], a[i], b[j]);
      }
      buffer ^= 1;
    }
    __syncthreads();                                       // the next mask word is zero before anyone adds to it
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int f = 0; f < 4; f++) {
        const int r = rows[tr + i * 16 + d_row(lane, f)], n = col0 + tc + j * 8 + d_column(lane, f);
        if (r < 0 || n >= o) continue;
        float v = acc[i][j][f] + (has_bias ? bias[group * o + n] : 0.f);
        if (has_slope && v < 0.f) v *= slope;
        put(&y[((u64)r * groups + group) * o + n], v);
      }
}

#define MMA_KERNEL(name, BM, BN)                                                                                       \
  extern "C" __global__ void __launch_bounds__(BM * BN / 32, 4) name(const Real* x, const Real* w, const float* bias,  \
      const int* table, const unsigned* masks, const int* order, Real* y, int n_out, int K, int c, int o, int groups,  \
      int has_bias, int has_slope, float slope) {                                                                      \
    __shared__ __align__(16) unsigned As[2][BM * LINE];                                                                \
    __shared__ __align__(16) unsigned Bs[2][BN * LINE];                                                                \
    __shared__ int rows[BM];                                                                                           \
    __shared__ unsigned present[2];                                                                                    \
    mma_tile<BM, BN>(x, w, bias, table, masks, order, y, n_out, K, c, o, groups, has_bias, has_slope, slope, As, Bs,   \
                     rows, present);                                                                                   \
  }
MMA_KERNEL(mma_64x64, 64, 64)
MMA_KERNEL(mma_128x32, 128, 32)

// Weight gradient: block (offset, 64 of c by 64 of o of a group, chunk of the offset's pairs) -> part (splits, K, g, c, o).
// The sum goes over pairs, so a word of halves is the same channel of two pairs: vectors of both are read and interleaved on
// their way through registers, where cp.async cannot reach. wide_c, wide_o: c and o as they were padded.
constexpr int SIDE = 64, DEPTH = 16, EDGE = SIDE + 8;      // words of a step in depth; from line to line
constexpr int PACK = 4 / sizeof(Real), TASKS = DEPTH * SIDE / VECTOR / 128;
struct Piece { Vector part[TASKS * PACK]; };

__device__ __forceinline__ Piece fetched(const Real* __restrict__ from, const int* __restrict__ rows, i64 low, i64 high,
    int first, int wide, int row) {
  const Vector none = {{0, 0, 0, 0}};
  Piece piece;
#pragma unroll
  for (int i = 0; i < TASKS; i++) {
    const int e = threadIdx.x + i * 128, ch = first + e % (SIDE / VECTOR) * VECTOR;
#pragma unroll
    for (int s = 0; s < PACK; s++) {
      const i64 p = low + e / (SIDE / VECTOR) * PACK + s;
      piece.part[i * PACK + s] = p < high && ch < wide
          ? *reinterpret_cast<const Vector*>(from + (i64)rows[p] * row + ch) : none;
    }
  }
  return piece;
}

__device__ __forceinline__ void stored(unsigned* to, const Piece& piece) {
#pragma unroll
  for (int i = 0; i < TASKS; i++) {
    const int e = threadIdx.x + i * 128;
    unsigned* at = to + e / (SIDE / VECTOR) * EDGE + e % (SIDE / VECTOR) * VECTOR;
    const Vector& one = piece.part[i * PACK];
    if constexpr (PACK == 2) {
      const Vector& two = piece.part[i * PACK + PACK - 1];
#pragma unroll
      for (int s = 0; s < 2; s++) {
        Vector both;
#pragma unroll
        for (int q = 0; q < 4; q++) {
          const unsigned u = one.word[2 * s + q / 2], v = two.word[2 * s + q / 2];
          both.word[q] = q % 2 ? u >> 16 | (v & 0xffff0000u) : (u & 0xffffu) | v << 16;
        }
        *reinterpret_cast<Vector*>(at + 4 * s) = both;
      }
    } else {
      *reinterpret_cast<Vector*>(at) = one;
    }
  }
}

extern "C" __global__ void __launch_bounds__(128, 4) mma_dw_part(const Real* __restrict__ x,
    const Real* __restrict__ dy, const int* __restrict__ in_rows, const int* __restrict__ out_rows,
    const i64* __restrict__ starts, float* __restrict__ part, int K, int c, int o, int groups, int wide_c, int wide_o,
    i64 chunk) {
  __shared__ __align__(16) unsigned As[2][DEPTH * EDGE];
  __shared__ __align__(16) unsigned Ds[2][DEPTH * EDGE];
  const int t = threadIdx.x, lane = t % 32, k = blockIdx.x;
  const int tiles_o = (o + SIDE - 1) / SIDE, tiles = (c + SIDE - 1) / SIDE * tiles_o;
  const int group = blockIdx.y / tiles, tile = blockIdx.y % tiles;
  const int i0 = tile / tiles_o * SIDE, j0 = tile % tiles_o * SIDE, ti = t / 64 * 32, tj = t / 32 % 2 * 32;
  const i64 low = starts[k] + blockIdx.z * chunk, high = min(starts[k + 1], low + chunk);
  const Real *xg = x + (u64)group * wide_c, *dyg = dy + (u64)group * wide_o;
  float acc[2][4][4];
#pragma unroll
  for (int i = 0; i < 32; i++) acc[i / 16][i / 4 % 4][i % 4] = 0.f;
  Piece next_x = fetched(xg, in_rows, low, high, i0, wide_c, groups * wide_c);
  Piece next_dy = fetched(dyg, out_rows, low, high, j0, wide_o, groups * wide_o);
  int buffer = 0;
  for (i64 p = low; p < high; p += DEPTH * PACK) {
    stored(As[buffer], next_x);
    stored(Ds[buffer], next_dy);
    __syncthreads();
    next_x = fetched(xg, in_rows, p + DEPTH * PACK, high, i0, wide_c, groups * wide_c);
    next_dy = fetched(dyg, out_rows, p + DEPTH * PACK, high, j0, wide_o, groups * wide_o);
#pragma unroll
    for (int s = 0; s < DEPTH; s += 8) {
      unsigned a[2][4], b[4][2];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int f = 0; f < 4; f++)
          a[i][f] = operand(As[buffer][(s + a_word(lane, f)) * EDGE + ti + i * 16 + a_row(lane, f)]);
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int f = 0; f < 2; f++)
          b[j][f] = operand(Ds[buffer][(s + b_word(lane, f)) * EDGE + tj + j * 8 + b_column(lane)]);
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) multiply(acc[i][j], a[i], b[j]);
    }
    buffer ^= 1;
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int f = 0; f < 4; f++) {
        const int in = i0 + ti + i * 16 + d_row(lane, f), out = j0 + tj + j * 8 + d_column(lane, f);
        if (in < c && out < o) part[((((u64)blockIdx.z * K + k) * groups + group) * c + in) * o + out] = acc[i][j][f];
      }
}
