// Sums and maxima of segments of rows, and maps of columns: a thread owns one number of the result.

// Segment i is order[starts[i]] to order[starts[i + 1]], or the rows themselves without an order.
extern "C" __global__ void segment_sum(const Real* __restrict__ x, const i64* __restrict__ order,
    const i64* __restrict__ starts, float* __restrict__ y, i64 segments, int c, int has_order) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < segments * c; e += (i64)gridDim.x * blockDim.x) {
    const i64 s = e / c;
    const int ch = (int)(e % c);
    float v = 0.f;
    for (i64 i = starts[s]; i < starts[s + 1]; i++) v += single(x[(has_order ? order[i] : i) * c + ch]);
    y[e] = v;
  }
}

// Segment i is `chunk` of the n rows, from row i * chunk on.
extern "C" __global__ void chunk_sum(const Real* __restrict__ x, float* __restrict__ y, i64 n, int c, i64 chunk,
    i64 chunks) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < chunks * c; e += (i64)gridDim.x * blockDim.x) {
    const i64 s = e / c, end = min(n, (s + 1) * chunk);
    float v = 0.f;
    for (i64 i = s * chunk; i < end; i++) v += single(x[i * c + e % c]);
    y[e] = v;
  }
}

extern "C" __global__ void segment_max(const Real* __restrict__ x, const i64* __restrict__ starts,
    Real* __restrict__ y, int* __restrict__ winner, i64 segments, int c) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < segments * c; e += (i64)gridDim.x * blockDim.x) {
    const i64 s = e / c;
    const int ch = (int)(e % c);
    float v = 0.f;
    i64 best = -1;
    for (i64 i = starts[s]; i < starts[s + 1]; i++) {
      const float here = single(x[i * c + ch]);
      if (best < 0 || here > v || here != here) { v = here; best = i; }
      if (v != v) break;
    }
    put(&y[e], v);
    winner[e] = (int)best;
  }
}

// y[rows[i]] += part[i]; no row comes twice.
extern "C" __global__ void add_rows(const float* __restrict__ part, const int* __restrict__ rows, float* __restrict__ y,
    i64 n, int c) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < n * c; e += (i64)gridDim.x * blockDim.x)
    y[(i64)rows[e / c] * c + e % c] += part[e];
}

extern "C" __global__ void leaky_relu(const Real* __restrict__ x, Real* __restrict__ y, i64 n, float slope) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < n; e += (i64)gridDim.x * blockDim.x) {
    const float v = single(x[e]);
    put(&y[e], v >= 0.f ? v : v * slope);
  }
}

extern "C" __global__ void leaky_relu_dx(const Real* __restrict__ y, const Real* __restrict__ dy,
    Real* __restrict__ dx, i64 n, float slope) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < n; e += (i64)gridDim.x * blockDim.x)
    put(&dx[e], single(y[e]) > 0.f ? single(dy[e]) : single(dy[e]) * slope);
}

// rows (4, c): centre, rest, scale, shift.
extern "C" __global__ void affine(const Real* __restrict__ x, const float* __restrict__ rows, Real* __restrict__ y,
    i64 n, int c, float slope) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < n * c; e += (i64)gridDim.x * blockDim.x) {
    const int ch = (int)(e % c);
    const float z = (single(x[e]) - rows[ch] - rows[c + ch]) * rows[2 * c + ch] + rows[3 * c + ch];
    put(&y[e], z >= 0.f ? z : z * slope);
  }
}

extern "C" __global__ void affine_dx(const Real* __restrict__ x, const Real* __restrict__ dy,
    const float* __restrict__ rows, const float* __restrict__ ab, Real* __restrict__ dx, i64 n, int c, float slope) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < n * c; e += (i64)gridDim.x * blockDim.x) {
    const int ch = (int)(e % c);
    const float d = single(x[e]) - rows[ch] - rows[c + ch], z = d * rows[2 * c + ch] + rows[3 * c + ch];
    const float dz = z > 0.f ? single(dy[e]) : single(dy[e]) * slope;
    put(&dx[e], dz * rows[2 * c + ch] + (d * ab[ch] + ab[c + ch]));
  }
}

// part (chunks, 2, c): the sums of dz and of dz * (x - centre - rest) over `chunk` rows each.
extern "C" __global__ void affine_sums_part(const Real* __restrict__ x, const Real* __restrict__ dy,
    const float* __restrict__ rows, float* __restrict__ part, i64 n, int c, i64 chunk, i64 chunks, float slope) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < chunks * c; e += (i64)gridDim.x * blockDim.x) {
    const i64 s = e / c;
    const int ch = (int)(e % c);
    float sum = 0.f, product = 0.f;
    for (i64 i = s * chunk; i < min(n, (s + 1) * chunk); i++) {
      const float d = single(x[i * c + ch]) - rows[ch] - rows[c + ch], z = d * rows[2 * c + ch] + rows[3 * c + ch];
      const float g = single(dy[i * c + ch]), dz = z > 0.f ? g : g * slope;
      sum += dz;
      product = fmaf(dz, d, product);
    }
    part[s * 2 * c + ch] = sum;
    part[s * 2 * c + c + ch] = product;
  }
}

// part (chunks, 2, c): the sums of x - centre and of its square over `chunk` rows each; centre (c).
extern "C" __global__ void moments_part(const Real* __restrict__ x, const float* __restrict__ centre,
    float* __restrict__ part, i64 n, int c, i64 chunk, i64 chunks) {
  for (i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x; e < chunks * c; e += (i64)gridDim.x * blockDim.x) {
    const i64 s = e / c;
    const int ch = (int)(e % c);
    float sum = 0.f, square = 0.f;
    for (i64 i = s * chunk; i < min(n, (s + 1) * chunk); i++) {
      const float d = single(x[i * c + ch]) - centre[ch];
      sum += d;
      square = fmaf(d, d, square);
    }
    part[s * 2 * c + ch] = sum;
    part[s * 2 * c + c + ch] = square;
  }
}
