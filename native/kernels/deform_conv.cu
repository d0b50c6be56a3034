// Modulated deformable convolution in one pass: what taps read goes through shared memory into the product with the
// weights, and nothing but the result is written. The references are in vs_vrt/ops/deform_conv.py.
//
// A block makes 64 pixels and NT * 8 outputs of one group of the convolution. For each tap, and for `chunk` channels at
// a time: where each deformable group reads, then what it reads there, then the product.
//
// -DVECTOR: channels that one access reads, a divisor of those of a deformable group. -DNT: even, 2 to 16.
// -DFUSED=1: offsets are residues that tanh bounds and flow is added to, and masks have no sigmoid yet.
// -DOFFSET=0 or 1: offsets and masks are float, or Scalar.

#include "device.h"

#define PIXELS 64
#define THREADS 128
#define GROUPS 16  // deformable groups that a chunk reaches into, at most
#if TYPE == 0
#define CHUNK 64
#define PADDING 1
#else
#define CHUNK 128
#define PADDING 8  // rows of 4 words modulo 32: the lanes of a warp then read from different banks
#endif

#if OFFSET == 0
typedef float Offset;
#else
typedef Scalar Offset;
#endif

struct Shape {
    int c, h, w;              // of the image
    int height, width;        // of the output
    int outputs, groups;      // of the convolution
    int deform_groups, taps;  // offsets there are of each pixel
    int kernel_w, stride, padding, dilation;
    int flows;
    float residue;
};

// Where a deformable group reads for a tap of a pixel of the output.
__device__ inline Corners reads(const Shape &s, const Offset *offset, const Offset *mask, const float *flow, int frame,
                                int pixel, int group, int tap) {
    const int row = pixel / s.width, column = pixel % s.width, plane = s.height * s.width;
    const int at = group * s.taps + tap, all = s.deform_groups * s.taps;
    const long long place = (long long)frame * plane + pixel;
    // Offsets and masks lie together where they come from one network.
    const Offset *pair = offset + place * (FUSED ? 3 : 2) * all + 2 * at;
    float dy = widen(pair[0]), dx = widen(pair[1]), factor = 1;
    if (mask) factor = widen(mask[place * (FUSED ? 3 : 1) * all + at]);
    if (FUSED) {
        const float *own = flow + ((long long)(at / (all / s.flows)) * gridDim.z + frame) * 2 * plane + pixel;
        dy = s.residue * tanhf(dy) + own[plane];
        dx = s.residue * tanhf(dx) + own[0];
        factor = 1 / (1 + expf(-factor));
    }
    const int top = row * s.stride - s.padding + tap / s.kernel_w * s.dilation;
    const int left = column * s.stride - s.padding + tap % s.kernel_w * s.dilation;
    return corners(top + dy, left + dx, s.h, s.w, factor);
}

#if TYPE == 0

// Each thread sums 8 pixels x NT / 2 outputs: pixels (thread / 16) * 8 + i, outputs thread % 16 + 16 j.
struct Sums {
    float of[8][NT / 2];

    // read (64 (chunk + 1)), weight (channels (NT 8))
    __device__ void add(const Scalar *read, const Scalar *weight, int channels) {
        const int column = threadIdx.x % 16, row = threadIdx.x / 16 * 8;
        for (int c = 0; c < channels; ++c) {
            float factor[NT / 2];
            UNROLL
            for (int j = 0; j < NT / 2; ++j) factor[j] = weight[c * NT * 8 + column + 16 * j];
            UNROLL
            for (int i = 0; i < 8; ++i) {
                const float value = read[(row + i) * (CHUNK + PADDING) + c];
                UNROLL
                for (int j = 0; j < NT / 2; ++j) of[i][j] += value * factor[j];
            }
        }
    }

    template <typename Store>
    __device__ void each(const Store &store) const {
        const int column = threadIdx.x % 16, row = threadIdx.x / 16 * 8;
        UNROLL
        for (int i = 0; i < 8 * (NT / 2); ++i) store(row + i % 8, column + 16 * (i / 8), of[i % 8][i / 8]);
    }
};

#else

// Four warps of 32 pixels x NT / 2 tiles of 8 outputs, on tensor cores.
struct Sums {
    float of[2][NT / 2][4];

    // read (64 (chunk + 8)), weight ((channels / 16) NT 32 4): what a lane multiplies lies together
    __device__ void add(const Scalar *read, const Scalar *weight, int channels) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const Scalar *row = read + (warp % 2 * 32 + lane / 4) * (CHUNK + PADDING) + lane % 4 * 2;
        for (int step = 0; step < channels; step += 16) {
            unsigned a[2][4];
            UNROLL
            for (int i = 0; i < 8; ++i) {
                const int below = i / 4 * 16 + i % 2 * 8, right = step + i % 4 / 2 * 8;
                a[i / 4][i % 4] = *(const unsigned *)(row + below * (CHUNK + PADDING) + right);
            }
            const Scalar *tiles = weight + ((step / 16 * NT + warp / 2 * (NT / 2)) * 32 + lane) * 4;
            UNROLL
            for (int j = 0; j < NT / 2; ++j) {
                const Vector<unsigned, 2> b = *(const Vector<unsigned, 2> *)(tiles + j * 32 * 4);
                UNROLL
                for (int i = 0; i < 2; ++i) multiply_add(of[i][j], a[i], b.lane);
            }
        }
    }

    template <typename Store>
    __device__ void each(const Store &store) const {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        UNROLL
        for (int i = 0; i < 4 * NT; ++i) {
            const int part = i % 4, j = i / 4 % (NT / 2), half = i / (2 * NT);
            store(warp % 2 * 32 + half * 16 + lane / 4 + part / 2 * 8,
                  (warp / 2 * (NT / 2) + j) * 8 + lane % 4 * 2 + part % 2, of[half][j][part]);
        }
    }
};

#endif

// image (b h w c), offset (b h' w' (g k 2)) as (dy, dx), mask (b h' w' (g k)) or null, or with FUSED found
// (b h' w' ((g k 2) (g k))), of which mask is the second part, and flow (f b 2 h' w') as (dx, dy), which the f parts of
// the deformable groups add; weight as `packed` in vs_vrt/cuda.py makes it, bias (o) float or null -> (b h' w' o).
// Blocks: x pixels, y parts of the outputs, z frames. A chunk is `chunk` channels, or fewer, a multiple of 16.
extern "C" __global__ void deform_conv(const Scalar *image, const Offset *offset, const Offset *mask, const float *flow,
                                       const Scalar *weight, const float *bias, Scalar *out, int chunk, int c, int h,
                                       int w, int height, int width, int outputs, int groups, int deform_groups,
                                       int kernel_h, int kernel_w, int stride, int padding, int dilation, int flows,
                                       float residue) {
    __shared__ Corners where[GROUPS * PIXELS];
    __shared__ __align__(16) Scalar read[PIXELS * (CHUNK + PADDING)];
    const Shape s = {c,        h,      w,       height,   width, outputs, groups, deform_groups, kernel_h * kernel_w,
                     kernel_w, stride, padding, dilation, flows, residue};
    const int frame = blockIdx.z, first = blockIdx.x * PIXELS, plane = height * width;
    const int inner = c / groups, share = c / deform_groups, own = outputs / groups;
    const int parts = (own + NT * 8 - 1) / (NT * 8), group = blockIdx.y / parts, part = blockIdx.y % parts;
    const int chunks = (inner + chunk - 1) / chunk;
    const Scalar *picture = image + (long long)frame * h * w * c;
    const Scalar *factors = weight + (long long)blockIdx.y * s.taps * chunks * chunk * NT * 8;
    Sums sums = {};
    for (int step = 0; step < s.taps * chunks; ++step, factors += chunk * NT * 8) {
        const int tap = step / chunks, start = step % chunks * chunk;
        const int channels = min(chunk, inner - start), from = group * inner + start;
        const int least = from / share, most = (from + channels - 1) / share, padded = (channels + 15) / 16 * 16;
        for (int i = threadIdx.x; i < (most - least + 1) * PIXELS; i += THREADS) {
            const int pixel = first + i % PIXELS;
            where[i] = pixel < plane ? reads(s, offset, mask, flow, frame, pixel, least + i / PIXELS, tap)
                                     : corners(-2, -2, h, w, 0);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < PIXELS * padded / VECTOR; i += THREADS) {
            const int channel = i % (padded / VECTOR) * VECTOR, pixel = i / (padded / VECTOR);
            float sum[VECTOR] = {};
            if (channel < channels)
                sample<VECTOR>(picture, c, w, where[((from + channel) / share - least) * PIXELS + pixel],
                               from + channel, sum);
            // Rows of an odd number of words: what lies in them is aligned to single values.
            typedef Vector<Scalar, TYPE == 0 ? 1 : VECTOR> Written;
            Written *written = (Written *)(read + pixel * (CHUNK + PADDING) + channel);
            UNROLL
            for (int n = 0; n < VECTOR; ++n) written[TYPE == 0 ? n : 0].lane[TYPE == 0 ? 0 : n] = narrow(sum[n]);
        }
        __syncthreads();
        sums.add(read, factors, padded);
    }
    sums.each([&](int pixel, int output, float sum) {
        if (first + pixel >= plane || part * NT * 8 + output >= own) return;
        const int o = group * own + part * NT * 8 + output;
        out[((long long)frame * plane + first + pixel) * outputs + o] = narrow(sum + (bias ? bias[o] : 0));
    });
}
