// What the kernels take from the device, without any of CUDA's headers: NVRTC then needs no toolkit on the machine.
//
// -DTYPE=0, 1 or 2 makes Scalar float, half or bfloat16; arithmetic is float's. Half formats are kept as their bits.
// Where no CUDA compiler reads this, who includes it defines what stands below `#ifdef __CUDACC__`.
#pragma once

#if TYPE == 0
typedef float Scalar;
#else
typedef unsigned short Scalar;
#endif

#ifdef __CUDACC__

#define UNROLL _Pragma("unroll")

__device__ inline float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ inline unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// What another lane of the warp has; all lanes must ask.
__device__ inline float from_lane_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

// 0 where the result would be less than a normal float.
__device__ inline float power_of_two(float exponent) {
    float value;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(exponent));
    return value;
}

// Older cards have no such instruction: what needs it does not compile for them, and its reference computes.
#if TYPE != 0 && __CUDA_ARCH__ >= 800
#if TYPE == 2
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#define NARROW_PAIR "cvt.rn.bf16x2.f32"
#else
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
#define NARROW_PAIR "cvt.rn.f16x2.f32"
#endif

// The tensor cores' d += a b for a (16 16), b (16 8), d (16 8), each spread over the 32 lanes of a warp as the PTX
// manual draws it (section "Matrix Fragments for mma.m16n8k16"), two halves a register.
__device__ inline void multiply_add(float *d, const unsigned *a, const unsigned *b) {
    asm volatile(MMA " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

#endif

template <typename To, typename From>
__device__ inline To same_bits(From value) {
    union {
        From from;
        To to;
    } bits = {value};
    return bits.to;
}

__device__ inline float widen(float value) { return value; }

__device__ inline float widen(unsigned short bits) {
    return TYPE == 2 ? same_bits<float>((unsigned)bits << 16) : half_to_float(bits);
}

// To the nearest, ties to even; what is no number stays none.
__device__ inline unsigned short narrow_bfloat16(float value) {
    const unsigned bits = same_bits<unsigned>(value);
    if (value != value) return 0x7fc0;
    return (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

__device__ inline Scalar narrow(float value) {
#if TYPE == 0
    return value;
#elif TYPE == 1
    return float_to_half(value);
#else
    return narrow_bfloat16(value);
#endif
}

#if TYPE != 0
// Two in a word, as tensor cores take them: the first in the lower half.
__device__ inline unsigned narrow_pair(float first, float second) {
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    unsigned bits;
    asm(NARROW_PAIR " %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
#else
    return narrow(first) | (unsigned)narrow(second) << 16;
#endif
}
#endif

// Neighbours that one access reads or writes.
template <typename T, int N>
struct __align__(sizeof(T) * N) Vector {
    T lane[N];
};

// The pixels around a position, and what each counts: `weight` of those outside is 0, and `at` names no pixel of them.
struct Corners {
    float weight[4];
    int at, steps;  // the first pixel's; 1: there is one to its right, 2: below
};

// Of an image of h x w pixels. A position that is no number, or out of reach, has none.
__device__ inline Corners corners(float y, float x, int h, int w, float factor) {
    Corners found = {{0, 0, 0, 0}, 0, 0};
    if (!(y > -1 && x > -1 && y < h && x < w)) return found;
    const float top = floorf(y), left = floorf(x);
    const float fy = y - top, fx = x - left;
    const int row = (int)top, column = (int)left;
    const bool above = row >= 0, before = column >= 0, below = row + 1 < h, behind = column + 1 < w;
    found.at = (above ? row : 0) * w + (before ? column : 0);
    found.steps = (before && behind ? 1 : 0) | (above && below ? 2 : 0);
    found.weight[0] = above && before ? factor * (1 - fy) * (1 - fx) : 0;
    found.weight[1] = above && behind ? factor * (1 - fy) * fx : 0;
    found.weight[2] = below && before ? factor * fy * (1 - fx) : 0;
    found.weight[3] = below && behind ? factor * fy * fx : 0;
    return found;
}

// Channels [channel, channel + N) of what lies there, in an image (h w stride). What counts nothing is not read.
template <int N>
__device__ inline void sample(const Scalar *image, long long stride, int w, const Corners &where, int channel,
                              float *sum) {
    UNROLL
    for (int i = 0; i < N; ++i) sum[i] = 0;
    UNROLL
    for (int corner = 0; corner < 4; ++corner) {
        const float weight = where.weight[corner];
        if (weight == 0) continue;
        const int step = (corner & 1 ? where.steps & 1 : 0) + (corner & 2 && where.steps & 2 ? w : 0);
        const Vector<Scalar, N> read = *(const Vector<Scalar, N> *)(image + (where.at + step) * stride + channel);
        UNROLL
        for (int i = 0; i < N; ++i) sum[i] += weight * widen(read.lane[i]);
    }
}
