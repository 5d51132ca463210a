// The steps of the ascent, one kernel each. Elementwise kernels run one thread per element, reductions one block of THREADS
// threads per row. The arguments are those of `launch.rs`, in its order.

#define THREADS 128

typedef unsigned long long Size;

static __device__ float larger(float a, float b) { return a > b ? a : b; }
static __device__ float smaller(float a, float b) { return a < b ? a : b; }

// Where this thread's element is.
static __device__ Size here() { return (Size)blockIdx.x * blockDim.x + threadIdx.x; }

// A ReLU whose line above has slope 0 or 1 is fixed: the line below is the same.
static __device__ bool fixed(float above) { return above == 0.0f || above == 1.0f; }
static __device__ float slope(float alpha, float above) { return fixed(above) ? above : alpha; }

// The sum of what all threads of the block hold, for its first thread.
static __device__ float total(float mine, float *partial) {
    partial[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    return partial[0];
}

extern "C" __global__ void sparse(float *y, const float *x, const unsigned *starts, const unsigned *columns,
                                  const float *values, unsigned rows, unsigned m, unsigned n, unsigned add) {
    Size at = here();
    if (at >= (Size)rows * m) return;
    const float *row = x + at / m * n;
    unsigned j = at % m;
    float sum = add ? y[at] : 0.0f;
    for (unsigned e = starts[j]; e < starts[j + 1]; e++) sum += values[e] * row[columns[e]];
    y[at] = sum;
}

struct Geometry {
    unsigned groups, channels, height, width, filters, rows, cols, down, right, stride_y, stride_x, pad_y, pad_x, dilation_y,
        dilation_x;
};

extern "C" __global__ void convolve(float *y, const float *x, const float *weight, const unsigned *extents,
                                    unsigned batch, unsigned add) {
    const Geometry &g = *(const Geometry *)extents;
    Size m = (Size)g.filters * g.rows * g.cols, n = (Size)g.channels * g.height * g.width, at = here();
    if (at >= batch * m) return;
    unsigned j = at % m, filter = j / (g.rows * g.cols), oy = j / g.cols % g.rows, ox = j % g.cols;
    unsigned channels = g.channels / g.groups, group = filter / (g.filters / g.groups);
    const float *from = x + at / m * n + (Size)group * channels * g.height * g.width;
    const float *w = weight + (Size)filter * channels * g.down * g.right;
    float sum = add ? y[at] : 0.0f;
    for (unsigned c = 0; c < channels; c++)
        for (unsigned ky = 0; ky < g.down; ky++) {
            // Above the image, the difference wraps around to a large number.
            unsigned iy = oy * g.stride_y + ky * g.dilation_y - g.pad_y;
            if (iy >= g.height) continue;
            for (unsigned kx = 0; kx < g.right; kx++) {
                unsigned ix = ox * g.stride_x + kx * g.dilation_x - g.pad_x;
                if (ix < g.width) sum += w[(c * g.down + ky) * g.right + kx] * from[((Size)c * g.height + iy) * g.width + ix];
            }
        }
    y[at] = sum;
}

extern "C" __global__ void convolve_back(float *x, const float *y, const float *weight, const unsigned *extents,
                                         unsigned batch, unsigned add) {
    const Geometry &g = *(const Geometry *)extents;
    Size m = (Size)g.filters * g.rows * g.cols, n = (Size)g.channels * g.height * g.width, at = here();
    if (at >= batch * n) return;
    unsigned i = at % n, channel = i / (g.height * g.width), iy = i / g.width % g.height, ix = i % g.width;
    unsigned channels = g.channels / g.groups, filters = g.filters / g.groups, group = channel / channels;
    unsigned c = channel % channels, taps = g.down * g.right;
    const float *from = y + at / n * m + (Size)group * filters * g.rows * g.cols;
    const float *w = weight + ((Size)group * filters * channels + c) * taps;
    float sum = add ? x[at] : 0.0f;
    for (unsigned ky = 0; ky < g.down; ky++) {
        unsigned ty = iy + g.pad_y - ky * g.dilation_y, oy = ty / g.stride_y;
        if (iy + g.pad_y < ky * g.dilation_y || ty % g.stride_y || oy >= g.rows) continue;
        for (unsigned kx = 0; kx < g.right; kx++) {
            unsigned tx = ix + g.pad_x - kx * g.dilation_x, ox = tx / g.stride_x;
            if (ix + g.pad_x < kx * g.dilation_x || tx % g.stride_x || ox >= g.cols) continue;
            const float *tap = w + ky * g.right + kx, *out = from + (Size)oy * g.cols + ox;
            for (unsigned f = 0; f < filters; f++)
                sum += tap[(Size)f * channels * taps] * out[(Size)f * g.rows * g.cols];
        }
    }
    x[at] = sum;
}

extern "C" __global__ void add(float *y, const float *x, unsigned rows, unsigned size) {
    Size at = here();
    if (at < (Size)rows * size) y[at] += x[at];
}

extern "C" __global__ void spread(float *y, const float *vector, unsigned rows, unsigned size) {
    Size at = here();
    if (at < (Size)rows * size) y[at] = vector[at % size];
}

extern "C" __global__ void dot(float *constant, const float *a, const float *vector, unsigned size) {
    __shared__ float partial[THREADS];
    const float *row = a + (Size)blockIdx.x * size;
    float sum = 0.0f;
    for (unsigned j = threadIdx.x; j < size; j += blockDim.x) sum += row[j] * vector[j];
    sum = total(sum, partial);
    if (threadIdx.x == 0) constant[blockIdx.x] += sum;
}

extern "C" __global__ void relax_back(float *out, float *constant, const float *a, const float *alpha,
                                      const float *above, const float *intercept, const unsigned *domain,
                                      unsigned size, unsigned add) {
    __shared__ float partial[THREADS];
    Size at = (Size)blockIdx.x * size, line = (Size)domain[blockIdx.x] * size;
    float sum = 0.0f;
    for (unsigned j = threadIdx.x; j < size; j += blockDim.x) {
        float plus = larger(a[at + j], 0.0f), minus = smaller(a[at + j], 0.0f), up = above[line + j];
        sum += minus * intercept[line + j];
        float through = plus * slope(alpha[at + j], up) + minus * up;
        out[at + j] = add ? out[at + j] + through : through;
    }
    sum = total(sum, partial);
    if (threadIdx.x == 0) constant[blockIdx.x] += sum;
}

extern "C" __global__ void relax_forward(float *h, const float *z, const float *a, const float *alpha,
                                         const float *above, const float *intercept, const unsigned *domain,
                                         unsigned rows, unsigned size) {
    Size at = here();
    if (at >= (Size)rows * size) return;
    Size line = (Size)domain[at / size] * size + at % size;
    float up = above[line];
    h[at] = a[at] >= 0.0f ? slope(alpha[at], up) * z[at] : up * z[at] + intercept[line];
}

extern "C" __global__ void subtract(float *a, const float *beta, const unsigned *row, const unsigned *neuron,
                                    unsigned count, unsigned size) {
    Size e = here();
    if (e < count) a[(Size)row[e] * size + neuron[e]] -= beta[e];
}

extern "C" __global__ void minimum(float *out, const float *a, const float *constant, const float *lower,
                                   const float *upper, const unsigned *domain, unsigned size) {
    __shared__ float partial[THREADS];
    Size at = (Size)blockIdx.x * size, box = (Size)domain[blockIdx.x] * size;
    float sum = 0.0f;
    for (unsigned i = threadIdx.x; i < size; i += blockDim.x)
        sum += smaller(a[at + i] * lower[box + i], a[at + i] * upper[box + i]);
    sum = total(sum, partial);
    if (threadIdx.x == 0) out[blockIdx.x] = sum + constant[blockIdx.x];
}

extern "C" __global__ void minimiser(float *x, const float *a, const float *lower, const float *upper,
                                     const unsigned *domain, unsigned rows, unsigned size) {
    Size at = here();
    if (at >= (Size)rows * size) return;
    Size box = (Size)domain[at / size] * size + at % size;
    x[at] = a[at] >= 0.0f ? lower[box] : upper[box];
}

extern "C" __global__ void rise(float *best, float *better, const float *minimum, unsigned rows) {
    Size r = here();
    if (r >= rows) return;
    bool up = minimum[r] > best[r];
    better[r] = up ? 1.0f : 0.0f;
    if (up) best[r] = minimum[r];
}

extern "C" __global__ void keep_rows(float *best, const float *now, const float *better, unsigned rows, unsigned size) {
    Size at = here();
    if (at < (Size)rows * size && better[at / size] > 0.0f) best[at] = now[at];
}

extern "C" __global__ void keep_entries(float *best, const float *now, const float *better, const unsigned *row,
                                        unsigned count) {
    Size e = here();
    if (e < count && better[row[e]] > 0.0f) best[e] = now[e];
}

// Adam's direction; `correct_first` and `correct_second` undo the bias of young moments.
static __device__ float direction(float gradient, float *first, float *second, float correct_first, float correct_second) {
    *first = 0.9f * *first + (1.0f - 0.9f) * gradient;
    *second = 0.999f * *second + (1.0f - 0.999f) * gradient * gradient;
    return *first * correct_first / (sqrtf(*second * correct_second) + 1e-12f);
}

extern "C" __global__ void alpha_step(float *alpha, float *first, float *second, const float *a, const float *z,
                                      const float *above, const unsigned *domain, float rate, float correct_first,
                                      float correct_second, unsigned rows, unsigned size) {
    Size at = here();
    if (at >= (Size)rows * size || fixed(above[(Size)domain[at / size] * size + at % size])) return;
    float gradient = larger(a[at], 0.0f) * z[at];
    float moved = alpha[at] + rate * direction(gradient, first + at, second + at, correct_first, correct_second);
    // Adding this constant leaves 12 bits behind the point.
    const float shift = 3072.0f;
    alpha[at] = (smaller(larger(moved, 0.0f), 1.0f) + shift) - shift;
}

extern "C" __global__ void beta_step(float *beta, float *first, float *second, const float *z, const unsigned *row,
                                     const unsigned *neuron, const float *sign, float rate, float correct_first,
                                     float correct_second, unsigned count, unsigned size) {
    Size e = here();
    if (e >= count) return;
    float gradient = -sign[e] * z[(Size)row[e] * size + neuron[e]];
    float moved = beta[e] * sign[e] + rate * direction(gradient, first + e, second + e, correct_first, correct_second);
    beta[e] = sign[e] * __uint_as_float(__float_as_uint(larger(moved, 0.0f)) & ~0xffu);
}
