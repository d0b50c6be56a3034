// Weighted means of frames.
#pragma once

#include <vector>

#include "vapoursynth/VapourSynth4.h"

namespace vrt {

struct Weighted {
    const VSFrame *frame;
    float weight;
};

// A new frame with the properties of the one that weighs most; all have one format: RGB of float, half or 16 bits.
VSFrame *blend(const std::vector<Weighted> &frames, VSCore *core, const VSAPI *vsapi);

}  // namespace vrt
