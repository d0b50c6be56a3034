// Bilinear sampling of images whose channels lie together.
#pragma once

#include <cmath>
#include <cstdint>

namespace vrt {

// The four pixels around a position, and what each counts. Pixels outside read `zeros`.
struct Corners {
    const float *pixel[4];
    float weight[4];
};

// image (h w c); a position that is no number, or out of reach, reads nothing.
inline Corners corners(const float *image, int64_t h, int64_t w, int64_t c, float y, float x, const float *zeros) {
    Corners found{{zeros, zeros, zeros, zeros}, {0, 0, 0, 0}};
    if (!(y > -1 && x > -1 && y < float(h) && x < float(w))) return found;
    const float top = std::floor(y), left = std::floor(x);
    const float fy = y - top, fx = x - left;
    const float share[4] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
    for (int n = 0; n < 4; ++n) {
        const int64_t row = int64_t(top) + n / 2, column = int64_t(left) + n % 2;
        if (row < 0 || row >= h || column < 0 || column >= w) continue;
        found.pixel[n] = image + (row * w + column) * c;
        found.weight[n] = share[n];
    }
    return found;
}

// Channels [from, to) of what lies there, times `factor`.
inline void blend(const Corners &at, int64_t from, int64_t to, float factor, float *__restrict out) {
    const float *__restrict a = at.pixel[0];
    const float *__restrict b = at.pixel[1];
    const float *__restrict d = at.pixel[2];
    const float *__restrict e = at.pixel[3];
    const float wa = at.weight[0] * factor, wb = at.weight[1] * factor;
    const float wd = at.weight[2] * factor, we = at.weight[3] * factor;
    for (int64_t i = from; i < to; ++i) out[i - from] = wa * a[i] + wb * b[i] + wd * d[i] + we * e[i];
}

}  // namespace vrt
