// Bilinear sampling of images whose channels lie together.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace vrt {

// The upper half of a float's bits.
struct BFloat16 {
    uint16_t bits;
};

inline float widen(float value) { return value; }

inline float widen(BFloat16 value) {
    const uint32_t bits = uint32_t(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

inline void narrow(float value, float &out) { out = value; }

// To the nearest, ties to even; what is no number stays none.
inline void narrow(float value, BFloat16 &out) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    out.bits = uint16_t(value == value ? rounded : 0x7fc0);
}

// The four pixels around a position, and what each counts. Pixels outside read `zeros`.
template <class Scalar>
struct Corners {
    const Scalar *pixel[4];
    float weight[4];
};

// image (h w c); a position that is no number, or out of reach, reads nothing.
template <class Scalar>
inline Corners<Scalar> corners(const Scalar *image, int64_t h, int64_t w, int64_t c, float y, float x,
                               const Scalar *zeros) {
    Corners<Scalar> found{{zeros, zeros, zeros, zeros}, {0, 0, 0, 0}};
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
template <class Scalar>
inline void blend(const Corners<Scalar> &at, int64_t from, int64_t to, float factor, Scalar *__restrict out) {
    const Scalar *__restrict a = at.pixel[0];
    const Scalar *__restrict b = at.pixel[1];
    const Scalar *__restrict d = at.pixel[2];
    const Scalar *__restrict e = at.pixel[3];
    const float wa = at.weight[0] * factor, wb = at.weight[1] * factor;
    const float wd = at.weight[2] * factor, we = at.weight[3] * factor;
    for (int64_t i = from; i < to; ++i)
        narrow(wa * widen(a[i]) + wb * widen(b[i]) + wd * widen(d[i]) + we * widen(e[i]), out[i - from]);
}

}  // namespace vrt
