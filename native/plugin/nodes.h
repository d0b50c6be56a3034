// The nodes that `core.vrt.Restore` is made of. Each function takes ownership of `source` and returns a new node.
#pragma once

#include <memory>

#include "bridge.h"

namespace vrt {

// Passes frames on after checking what only a frame shows (interlacing, a matrix that cannot be), and fills in the
// colour properties that are missing. Where `converts`, the properties that a trip through RGB loses are kept aside.
VSNode *create_colour_guard(VSNode *source, int matrix, bool converts, VSCore *core, const VSAPI *vsapi);

// Restored frames in the format of the restoration, from windows on a fixed grid.
VSNode *create_restored(VSNode *source, std::shared_ptr<Restoration> restoration, const Plan &plan, VSCore *core,
                        const VSAPI *vsapi);

// From RGB back to `format`, each frame with the colour properties that create_colour_guard kept aside.
VSNode *create_colour_return(VSNode *source, const VSVideoFormat &format, VSCore *core, const VSAPI *vsapi);

// resize.Bicubic to the given format; `matrix`, `range` and `chroma_location` are left out where negative.
VSNode *resize(VSNode *source, uint32_t format, int matrix, int range, int chroma_location, std::string &error,
               VSCore *core, const VSAPI *vsapi);

}  // namespace vrt
