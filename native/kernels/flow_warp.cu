// Backward warping, several frames a launch: out[y, x] = in[y + dy, x + dx].
// The references are in vs_vrt/ops/flow_warp.py. -DVECTOR: channels that a thread makes, a divisor of c.

#include "device.h"

__device__ inline float inside(float position, int size) { return fminf(fmaxf(position, 0.f), (float)(size - 1)); }

// image (b h w c), flow (b 2 h w) as (dx, dy) in pixels, float -> (b h w c), bilinear. A block's y is the frame.
// Outside lies 0, or with `border` the nearest pixel of the edge. An axis of one pixel has no outside.
extern "C" __global__ void flow_warp(const Scalar *image, const float *flow, Scalar *out, int c, int h, int w,
                                     int border) {
    const int parts = c / VECTOR, index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= h * w * parts) return;
    const int pixel = index / parts, channel = index % parts * VECTOR;
    const long long plane = (long long)h * w, frame = blockIdx.y;
    const float *dx = flow + 2 * frame * plane + pixel;
    float x = pixel % w + dx[0], y = pixel / w + dx[plane];
    // What is no number must not be clamped into the picture.
    if ((border || w == 1) && x == x) x = inside(x, w);
    if ((border || h == 1) && y == y) y = inside(y, h);
    float sum[VECTOR];
    sample<VECTOR>(image + frame * plane * c, c, w, corners(y, x, h, w, 1), channel, sum);
    Vector<Scalar, VECTOR> made;
    UNROLL
    for (int i = 0; i < VECTOR; ++i) made.lane[i] = narrow(sum[i]);
    *(Vector<Scalar, VECTOR> *)(out + (frame * plane + pixel) * c + channel) = made;
}

// image (b c h w), flow (b 2 h w) -> (b (4 c) h w): the four pixels around, unblended, 0 outside, in the order
// (floor x, floor y), (floor x, ceil y), (ceil x, floor y), (ceil x, ceil y).
extern "C" __global__ void flow_warp_nearest4(const Scalar *image, const float *flow, Scalar *out, int c, int h,
                                              int w) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= h * w) return;
    const long long plane = (long long)h * w, frame = blockIdx.y;
    const float *dx = flow + 2 * frame * plane + pixel;
    const float x = pixel % w + dx[0], y = pixel / w + dx[plane];
    for (int corner = 0; corner < 4; ++corner) {
        const float column = corner & 2 ? ceilf(x) : floorf(x), row = corner & 1 ? ceilf(y) : floorf(y);
        const bool there = column >= 0 && row >= 0 && column < w && row < h;
        const long long at = there ? (long long)row * w + (long long)column : 0;
        for (int i = 0; i < c; ++i)
            out[((frame * 4 + corner) * c + i) * plane + pixel] =
                there ? image[(frame * c + i) * plane + at] : narrow(0);
    }
}
