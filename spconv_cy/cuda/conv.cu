// Convolution over a neighbour table: forward and input gradient (output-stationary), weight gradient (chunks of pairs).
// No #include: NVRTC, nvcc and, in tests, g++ compile this very text. No float atomics: every sum has one fixed order.
//
// table (n_out, K) int: the input row of each offset, or -1.  masks (n_out, words) unsigned: bit k says whether it is there.
// order (n_out): the rows sorted by mask, so that a tile's rows lack the same offsets and whole steps are skipped.
struct alignas(16) Four { float v[4]; };

// A block owns BM outputs by BN channels of one group; a step is BK channels of one offset. The next step's numbers travel
// into registers while this one's are multiplied, and go into the other half of shared memory: one barrier a step.
// TURNED: w comes with swapped channel axes, as in the input gradient, and is read along what is contiguous there.
template <int BM, int BN, int BK, int TM, int TN, bool TURNED>
__device__ __forceinline__ void conv_tile(const float* __restrict__ x, const float* __restrict__ w,
    const float* __restrict__ bias, const int* __restrict__ table, const unsigned* __restrict__ masks,
    const int* __restrict__ order, float* __restrict__ y, int n_out, int K, int c, int o, int groups, int wide,
    int has_bias, int has_slope, float slope, float (*As)[BK * (BM + 4)], float (*Bs)[BK * (BN + 4)], int* rows,
    unsigned* present) {
  constexpr int THREADS = (BM / TM) * (BN / TN), LA = BM + 4, LB = BN + 4;
  constexpr int A = BM * BK / 4 / THREADS, B = (BN * BK / 4 + THREADS - 1) / THREADS;
  static_assert(TM == 4 && TN == 4 && A * THREADS * 4 == BM * BK, "a thread loads whole vectors");
  const int t = threadIdx.x, group = blockIdx.z, col0 = blockIdx.y * BN, words = (K + 31) / 32;
  const int tr = t / (BN / TN) * TM, tc = t % (BN / TN) * TN, row_x = groups * c, row_y = groups * o;
  const float* xg = x + (u64)group * c;
  float acc[TM][TN];
#pragma unroll
  for (int i = 0; i < TM; i++)
#pragma unroll
    for (int j = 0; j < TN; j++) acc[i][j] = 0.f;
  for (int r = t; r < BM; r += THREADS) {
    const i64 p = (i64)blockIdx.x * BM + r;
    rows[r] = p < n_out ? order[p] : -1;
  }
  if (t == 0) present[0] = 0;
  __syncthreads();
  Four a[A], b[B];
  int half = 0;
  for (int word = 0; word < words; word++) {
    for (int r = t; r < BM; r += THREADS)
      if (rows[r] >= 0) atomicOr(&present[word & 1], masks[(u64)rows[r] * words + word]);
    __syncthreads();
    unsigned left = present[word & 1];                     // the offsets that some row of the tile has
    if (t == 0) present[~word & 1] = 0;
    bool loaded = false;
    int c0 = 0;
    while (left || loaded) {
      if (loaded) {                                        // what the registers hold goes where nobody reads
#pragma unroll
        for (int i = 0; i < A; i++) {
          const int e = t + i * THREADS, r = e / (BK / 4), ch = e % (BK / 4) * 4;
#pragma unroll
          for (int s = 0; s < 4; s++) As[half][(ch + s) * LA + r] = a[i].v[s];
        }
#pragma unroll
        for (int i = 0; i < B; i++) {
          const int e = t + i * THREADS;
          if (e < BN * BK / 4) {
            if (TURNED) {
              const int n = e / (BK / 4), ch = e % (BK / 4) * 4;
#pragma unroll
              for (int s = 0; s < 4; s++) Bs[half][(ch + s) * LB + n] = b[i].v[s];
            } else {
              *reinterpret_cast<Four*>(&Bs[half][e / (BN / 4) * LB + e % (BN / 4) * 4]) = b[i];
            }
          }
        }
      }
      const bool ready = loaded;
      loaded = left != 0;
      if (loaded) {
        const int k = word * 32 + __ffs((int)left) - 1;
        const float* wk = w + ((u64)k * groups + group) * c * o;
#pragma unroll
        for (int i = 0; i < A; i++) {
          const int e = t + i * THREADS, r = rows[e / (BK / 4)], ch = c0 + e % (BK / 4) * 4;
          const int from = r >= 0 ? table[(u64)r * K + k] : -1;
          const float* at = xg + (i64)from * row_x + ch;
          if (wide && from >= 0 && ch < c) a[i] = *reinterpret_cast<const Four*>(at);
          else
#pragma unroll
            for (int s = 0; s < 4; s++) a[i].v[s] = from >= 0 && ch + s < c ? at[s] : 0.f;
        }
#pragma unroll
        for (int i = 0; i < B; i++) {
          const int e = t + i * THREADS;
          const int n = col0 + (TURNED ? e / (BK / 4) : e % (BN / 4) * 4), ch = c0 + (TURNED ? e % (BK / 4) * 4 : e / (BN / 4));
          const bool in = e < BN * BK / 4 && n < o && ch < c;
          const float* at = TURNED ? wk + (i64)n * c + ch : wk + (i64)ch * o + n;
          const int most = TURNED ? c - ch : o - n;
          if (wide && in) b[i] = *reinterpret_cast<const Four*>(at);
          else
#pragma unroll
            for (int s = 0; s < 4; s++) b[i].v[s] = in && s < most ? at[s] : 0.f;
        }
        c0 += BK;
        if (c0 >= c) { c0 = 0; left &= left - 1; }
      }
      if (ready) {
        __syncthreads();
#pragma unroll
        for (int ch = 0; ch < BK; ch++) {
          const Four av = *reinterpret_cast<const Four*>(&As[half][ch * LA + tr]);
          const Four bv = *reinterpret_cast<const Four*>(&Bs[half][ch * LB + tc]);
#pragma unroll
          for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++) acc[i][j] = fmaf(av.v[i], bv.v[j], acc[i][j]);
        }
        half ^= 1;
      }
    }
    __syncthreads();                                       // the next mask word is zero before anyone adds to it
  }
#pragma unroll
  for (int i = 0; i < TM; i++) {
    const int r = rows[tr + i];
    if (r < 0) continue;
#pragma unroll
    for (int j = 0; j < TN; j++) {
      const int n = col0 + tc + j;
      if (n < o) {
        float v = acc[i][j] + (has_bias ? bias[group * o + n] : 0.f);
        if (has_slope && v < 0.f) v *= slope;
        y[(u64)r * row_y + group * o + n] = v;
      }
    }
  }
}

#define CONV_KERNEL(name, BM, BN, TURNED)                                                                              \
  extern "C" __global__ void __launch_bounds__((BM / 4) * (BN / 4)) name(const float* x, const float* w,               \
      const float* bias, const int* table, const unsigned* masks, const int* order, float* y, int n_out, int K, int c, \
      int o, int groups, int wide, int has_bias, int has_slope, float slope) {                                        \
    __shared__ __align__(16) float As[2][16 * (BM + 4)];                                                               \
    __shared__ __align__(16) float Bs[2][16 * (BN + 4)];                                                               \
    __shared__ int rows[BM];                                                                                           \
    __shared__ unsigned present[2];                                                                                    \
    conv_tile<BM, BN, 16, 4, 4, TURNED>(x, w, bias, table, masks, order, y, n_out, K, c, o, groups, wide, has_bias,    \
                                        has_slope, slope, As, Bs, rows, present);                                      \
  }
CONV_KERNEL(conv_64x64, 64, 64, false)
CONV_KERNEL(conv_128x32, 128, 32, false)
CONV_KERNEL(conv_turned_64x64, 64, 64, true)
CONV_KERNEL(conv_turned_128x32, 128, 32, true)

// Weight gradient: block (offset, tile of c by tile of o of a group, chunk of the offset's pairs) -> part (splits, K, g, c, o).
extern "C" __global__ void __launch_bounds__(256, 4) conv_dw_part(const float* __restrict__ x,
    const float* __restrict__ dy, const int* __restrict__ in_rows, const int* __restrict__ out_rows,
    const i64* __restrict__ starts, float* __restrict__ part, int K, int c, int o, int groups, i64 chunk) {
  constexpr int SIDE = 32, STEP = 32;
  __shared__ float As[STEP][SIDE + 1];
  __shared__ float Ds[STEP][SIDE + 1];
  const int t = threadIdx.x, k = blockIdx.x, tiles_o = (o + SIDE - 1) / SIDE, tiles = (c + SIDE - 1) / SIDE * tiles_o;
  const int group = blockIdx.y / tiles, tile = blockIdx.y % tiles;
  const int i0 = tile / tiles_o * SIDE, j0 = tile % tiles_o * SIDE, ti = t / 16 * 2, tj = t % 16 * 2;
  const i64 low = starts[k] + blockIdx.z * chunk, high = min(starts[k + 1], low + chunk);
  float acc[2][2] = {{0.f, 0.f}, {0.f, 0.f}};
  for (i64 p0 = low; p0 < high; p0 += STEP) {
    for (int e = t; e < STEP * SIDE; e += 256) {
      const int r = e / SIDE, s = e % SIDE;
      const i64 p = p0 + r;
      As[r][s] = p < high && i0 + s < c ? x[(u64)in_rows[p] * groups * c + group * c + i0 + s] : 0.f;
      Ds[r][s] = p < high && j0 + s < o ? dy[(u64)out_rows[p] * groups * o + group * o + j0 + s] : 0.f;
    }
    __syncthreads();
#pragma unroll 8
    for (int r = 0; r < STEP; r++)
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 2; j++) acc[i][j] = fmaf(As[r][ti + i], Ds[r][tj + j], acc[i][j]);
    __syncthreads();
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++)
      if (i0 + ti + i < c && j0 + tj + j < o)
        part[((((u64)blockIdx.z * K + k) * groups + group) * c + i0 + ti + i) * o + j0 + tj + j] = acc[i][j];
}
