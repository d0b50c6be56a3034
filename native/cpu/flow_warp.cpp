// Backward warping: out[y, x] = in[y + dy, x + dx], bilinear.
//
// image (b h w c), flow (b 2 h w) as (dx, dy), in pixels -> (b h w c), in float or bfloat16
//
// Outside the image lies 0, or with `border` the nearest pixel of its edge. An axis of one pixel has no outside.
// The reference is flow_warp_reference in vs_vrt/ops/flow_warp.py.

#include <algorithm>
#include <vector>

#include "parallel.h"
#include "sampling.h"

namespace {

struct Shape {
    int64_t b, c, h, w;
};

inline float inside(float position, int64_t size) { return std::min(std::max(position, 0.0f), float(size - 1)); }

template <class Scalar>
VRT_INLINE void warp_rows(const Shape &s, const Scalar *image, const float *flow, bool border, Scalar *out,
                          int64_t from, int64_t to) {
    const int64_t plane = s.h * s.w;
    const std::vector<Scalar> zeros(s.c, Scalar{});
    for (int64_t line = from; line < to; ++line) {
        const int64_t n = line / s.h, row = line % s.h;
        const Scalar *picture = image + n * plane * s.c;
        const float *dx = flow + n * 2 * plane + row * s.w;
        for (int64_t column = 0; column < s.w; ++column) {
            float x = float(column) + dx[column], y = float(row) + dx[plane + column];
            if (border || s.w == 1) x = inside(x, s.w);
            if (border || s.h == 1) y = inside(y, s.h);
            const auto at = vrt::corners(picture, s.h, s.w, s.c, y, x, zeros.data());
            vrt::blend(at, 0, s.c, 1.0f, out + (line * s.w + column) * s.c);
        }
    }
}

// Instruction sets are chosen for functions that are no templates.
VRT_CLONES void warp(const Shape &s, const float *image, const float *flow, bool border, float *out, int64_t from,
                     int64_t to) {
    warp_rows(s, image, flow, border, out, from, to);
}

VRT_CLONES void warp(const Shape &s, const vrt::BFloat16 *image, const float *flow, bool border, vrt::BFloat16 *out,
                     int64_t from, int64_t to) {
    warp_rows(s, image, flow, border, out, from, to);
}

template <class Scalar>
void in_parallel(const Shape &s, const Scalar *image, const float *flow, bool border, Scalar *out, int threads) {
    vrt::in_parallel(s.b * s.h, threads,
                     [&](int64_t from, int64_t to) { warp(s, image, flow, border, out, from, to); });
}

}  // namespace

VRT_EXPORT void vrt_flow_warp(const Shape *shape, const float *image, const float *flow, int border, float *out,
                              int threads) {
    in_parallel(*shape, image, flow, border != 0, out, threads);
}

VRT_EXPORT void vrt_flow_warp_bfloat16(const Shape *shape, const vrt::BFloat16 *image, const float *flow, int border,
                                       vrt::BFloat16 *out, int threads) {
    in_parallel(*shape, image, flow, border != 0, out, threads);
}
