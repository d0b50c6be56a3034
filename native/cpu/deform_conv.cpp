// Modulated deformable convolution: what each output pixel reads, ready to be multiplied with the weights.
//
// image (b h w c), offset (b (g k 2) h' w') as (dy, dx), mask (b (g k) h' w') or null
// -> columns (b r w' (k c)), for the r rows of the output from `start` on
//
// columns[.., k, c] = mask[g, k] * image[.., c] at (y + dy[g, k], x + dx[g, k]), bilinear, 0 outside; g is c's group.
// The reference is deform_conv_reference in vs_vrt/ops/deform_conv.py.

#include <vector>

#include "parallel.h"
#include "sampling.h"

namespace {

struct Shape {
    int64_t b, c, h, w;             // of the image
    int64_t groups, height, width;  // of offset and mask
    int64_t kernel_h, kernel_w, stride, padding, dilation;
    int64_t start, rows;
};

VRT_CLONES void sample_rows(const Shape &s, const float *image, const float *offset, const float *mask, float *columns,
                            int64_t from, int64_t to) {
    const int64_t taps = s.kernel_h * s.kernel_w, plane = s.height * s.width, share = s.c / s.groups;
    const std::vector<float> zeros(s.c, 0.0f);
    for (int64_t line = from; line < to; ++line) {
        const int64_t n = line / s.rows, row = s.start + line % s.rows;
        const float *picture = image + n * s.h * s.w * s.c;
        for (int64_t g = 0; g < s.groups; ++g)
            for (int64_t k = 0; k < taps; ++k) {
                const int64_t tap = (n * s.groups + g) * taps + k;
                const float *dy = offset + 2 * tap * plane + row * s.width;
                const float *weight = mask ? mask + tap * plane + row * s.width : nullptr;
                const float top = float(row * s.stride - s.padding + k / s.kernel_w * s.dilation);
                float *out = columns + (line * s.width * taps + k) * s.c + g * share;
                for (int64_t column = 0; column < s.width; ++column) {
                    const float left = float(column * s.stride - s.padding + k % s.kernel_w * s.dilation);
                    const auto at =
                        vrt::corners(picture, s.h, s.w, s.c, top + dy[column], left + dy[plane + column], zeros.data());
                    vrt::blend(at, g * share, (g + 1) * share, weight ? weight[column] : 1.0f,
                               out + column * taps * s.c);
                }
            }
    }
}

}  // namespace

VRT_EXPORT void vrt_deform_columns(const Shape *shape, const float *image, const float *offset, const float *mask,
                                   float *columns, int threads) {
    vrt::in_parallel(shape->b * shape->rows, threads,
                     [&](int64_t from, int64_t to) { sample_rows(*shape, image, offset, mask, columns, from, to); });
}
