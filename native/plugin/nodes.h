// The nodes that the functions of `core.vrt` are made of. Each takes ownership of the nodes it is given and returns a
// new one.
#pragma once

#include <memory>

#include "bridge.h"

namespace vrt {

// On a made frame that only repeats the source's frame before it.
inline const char *const kRepeat = "_vrt_repeat";

// Passes frames on after checking what only a frame shows (interlacing, a matrix that cannot be), and fills in the
// colour properties that are missing. Where `converts`, the properties that a trip through RGB loses are kept aside.
VSNode *create_colour_guard(VSNode *source, int matrix, bool converts, VSCore *core, const VSAPI *vsapi);

// The frames that the step makes, in its format, from windows on a fixed grid; `sigma` is its noise map or null.
VSNode *create_made(VSNode *source, VSNode *sigma, const Step &step, VSCore *core, const VSAPI *vsapi);

// Each frame of `source`, followed by the `factor - 1` of `made` that belong to it; the duration stays what it was.
VSNode *create_interleaved(VSNode *source, VSNode *made, int factor, VSCore *core, const VSAPI *vsapi);

// From RGB back to `format`, each frame with the colour properties that create_colour_guard kept aside. What is in
// `format` already gets its properties back alone.
VSNode *create_colour_return(VSNode *source, const VSVideoFormat &format, VSCore *core, const VSAPI *vsapi);

// resize.Bicubic to the given format; `matrix`, `range` and `chroma_location` are left out where negative.
VSNode *resize(VSNode *source, uint32_t format, int matrix, int range, int chroma_location, std::string &error,
               VSCore *core, const VSAPI *vsapi);

}  // namespace vrt
