#include "blend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace vrt {
namespace {

// IEEE 754 half precision; C++17 has no type for it.
struct Half {
    uint16_t bits;
};

float from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float load(float value) { return value; }

float load(uint16_t value) { return value; }

float load(Half half) {
    const uint32_t sign = uint32_t(half.bits & 0x8000U) << 16, rest = half.bits & 0x7FFFU;
    // Shifted into place the exponent is 112 too small; subnormal numbers come out right by the same multiplication.
    const float value = from_bits(rest << 13) * from_bits(0x77800000U);
    const uint32_t special = rest >= 0x7C00U ? 0x7F800000U : 0;  // infinities and what is no number
    return from_bits(to_bits(value) | special | sign);
}

void store(float value, float &target) { target = value; }

void store(float value, uint16_t &target) {
    target = static_cast<uint16_t>(std::clamp(std::nearbyint(value), 0.0F, 65535.0F));
}

void store(float value, Half &target) {
    const uint32_t sign = to_bits(value) >> 16 & 0x8000U;
    const float magnitude = std::fabs(value);
    uint32_t bits = 0;
    if (!(magnitude < 65520.0F)) {
        bits = std::isnan(magnitude) ? 0x7E00U : 0x7C00U;
    } else if (magnitude < from_bits(0x38800000U)) {
        bits = static_cast<uint32_t>(std::nearbyint(magnitude * 16777216.0F));  // subnormal: units of 2^-24
    } else {
        const uint32_t exact = to_bits(magnitude) - (112U << 23);
        bits = (exact + 0xFFFU + (exact >> 13 & 1U)) >> 13;  // to the nearest, ties to even
    }
    target.bits = static_cast<uint16_t>(sign | bits);
}

template <class Sample>
void blend_plane(const std::vector<Weighted> &frames, int plane, VSFrame *target, const VSAPI *vsapi) {
    const int width = vsapi->getFrameWidth(target, plane), height = vsapi->getFrameHeight(target, plane);
    const ptrdiff_t stride = vsapi->getStride(target, plane);
    uint8_t *written = vsapi->getWritePtr(target, plane);
    std::vector<float> sums(static_cast<size_t>(width));
    for (int y = 0; y < height; ++y) {
        std::fill(sums.begin(), sums.end(), 0.0F);
        for (const Weighted &each : frames) {
            const Sample *row = reinterpret_cast<const Sample *>(vsapi->getReadPtr(each.frame, plane) +
                                                                 y * vsapi->getStride(each.frame, plane));
            for (int x = 0; x < width; ++x) sums[static_cast<size_t>(x)] += each.weight * load(row[x]);
        }
        Sample *row = reinterpret_cast<Sample *>(written + y * stride);
        for (int x = 0; x < width; ++x) store(sums[static_cast<size_t>(x)], row[x]);
    }
}

}  // namespace

VSFrame *blend(const std::vector<Weighted> &frames, VSCore *core, const VSAPI *vsapi) {
    const Weighted &heaviest = *std::max_element(
        frames.begin(), frames.end(), [](const Weighted &a, const Weighted &b) { return a.weight < b.weight; });
    const VSVideoFormat &format = *vsapi->getVideoFrameFormat(heaviest.frame);
    VSFrame *result = vsapi->newVideoFrame(&format, vsapi->getFrameWidth(heaviest.frame, 0),
                                           vsapi->getFrameHeight(heaviest.frame, 0), heaviest.frame, core);
    for (int plane = 0; plane < format.numPlanes; ++plane) {
        if (format.sampleType == stInteger)
            blend_plane<uint16_t>(frames, plane, result, vsapi);
        else if (format.bytesPerSample == 2)
            blend_plane<Half>(frames, plane, result, vsapi);
        else
            blend_plane<float>(frames, plane, result, vsapi);
    }
    return result;
}

}  // namespace vrt
