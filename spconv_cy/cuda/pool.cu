// Pooling over a neighbour table (rows, K): a thread owns one number of the result, so that no sum needs an atomic.

// open (n_out): 1 where a site of the window is not active, so that the ground competes.
extern "C" __global__ void max_pool(const Real* __restrict__ x, const Real* __restrict__ ground,
    const int* __restrict__ table, const unsigned char* __restrict__ open, Real* __restrict__ y,
    int* __restrict__ winner, int n_out, int K, int c, int has_ground) {
  for (u64 e = (u64)blockIdx.x * blockDim.x + threadIdx.x; e < (u64)n_out * c; e += (u64)gridDim.x * blockDim.x) {
    const int r = (int)(e / c), ch = (int)(e % c);
    int best = -1;
    float v = 0.f;
    for (int k = 0; k < K; k++) {
      const int from = table[(u64)r * K + k];
      if (from < 0) continue;
      const float here = single(x[(u64)from * c + ch]);
      if (best < 0 || here > v || here != here) { v = here; best = from; }
      if (v != v) break;                                   // the first NaN wins
    }
    if (has_ground && open[r]) {
      const float g = single(ground[ch]);
      if (best < 0 || g > v || (g != g && v == v)) { v = g; best = -1; }
    }
    put(&y[e], v);
    winner[e] = best;
  }
}

// turned (n_in, K): the outputs that each input reaches.
extern "C" __global__ void max_pool_dx(const Real* __restrict__ dy, const int* __restrict__ winner,
    const int* __restrict__ turned, Real* __restrict__ dx, int n_in, int K, int c) {
  for (u64 e = (u64)blockIdx.x * blockDim.x + threadIdx.x; e < (u64)n_in * c; e += (u64)gridDim.x * blockDim.x) {
    const int r = (int)(e / c), ch = (int)(e % c);
    float v = 0.f;
    for (int k = 0; k < K; k++) {
      const int to = turned[(u64)r * K + k];
      if (to >= 0 && winner[(u64)to * c + ch] == r) v += single(dy[(u64)to * c + ch]);
    }
    put(&dx[e], v);
  }
}

extern "C" __global__ void sum_pool(const Real* __restrict__ x, const int* __restrict__ table, Real* __restrict__ y,
    int n_out, int K, int c) {
  for (u64 e = (u64)blockIdx.x * blockDim.x + threadIdx.x; e < (u64)n_out * c; e += (u64)gridDim.x * blockDim.x) {
    const int r = (int)(e / c), ch = (int)(e % c);
    float v = 0.f;
    for (int k = 0; k < K; k++) {
      const int from = table[(u64)r * K + k];
      if (from >= 0) v += single(x[(u64)from * c + ch]);
    }
    put(&y[e], v);
  }
}
