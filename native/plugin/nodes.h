// The nodes that the functions of `core.vrt` are made of. Each takes ownership of the nodes it is given and returns a
// new one.
#pragma once

#include <memory>

#include "bridge.h"

namespace vrt {

// Properties between our own nodes. On a carrier, the frames of a window. On a made frame: that it only repeats the
// source's frame before it; that its window knows too little of its scene, and it counts only where no other has it.
inline const char *const kFrames = "_vrt_frames";
inline const char *const kRepeat = "_vrt_repeat";
inline const char *const kDropped = "_vrt_dropped";

// Frames of a linear run are made a little out of order.
constexpr int kRequestsInFlight = 8;

// The same frames, of which it keeps the last so many, however short memory is elsewhere.
VSNode *create_keep(VSNode *source, int frames, VSCore *core, const VSAPI *vsapi);

// Passes frames on after checking what only a frame shows (interlacing, a matrix that cannot be), and fills in the
// colour properties that are missing. Where `converts`, the properties that a trip through RGB loses are kept aside.
VSNode *create_colour_guard(VSNode *source, int matrix, bool converts, VSCore *core, const VSAPI *vsapi);

// Window k as frame k, for one of the step's nodes; `sigma` is its noise map or null, `out` what its frames are.
VSNode *create_windows(VSNode *source, VSNode *sigma, const Step &step, const VSVideoInfo &out, int number,
                       VSCore *core, const VSAPI *vsapi);

// How many frames a step's source should keep, so that windows which share some ask for each once.
int kept_for(const Step &step);

// The frames that the step makes, in the format of its carriers, from windows on a fixed grid.
VSNode *create_made(VSNode *source, VSNode *sigma, const Step &step, VSCore *core, const VSAPI *vsapi);

// Each frame of `source`, followed by the `factor - 1` of `made` that belong to it; the duration stays what it was.
VSNode *create_interleaved(VSNode *source, VSNode *made, int factor, VSCore *core, const VSAPI *vsapi);

// From RGB back to `format`, each frame with the colour properties that create_colour_guard kept aside. Unless it
// `converts`, the samples are in that format already, and only the properties come back.
VSNode *create_colour_return(VSNode *source, const VSVideoFormat &format, bool converts, VSCore *core,
                             const VSAPI *vsapi);

// resize.Bicubic to the given format; `matrix`, `range` and `chroma_location` are left out where negative.
VSNode *resize(VSNode *source, uint32_t format, int matrix, int range, int chroma_location, std::string &error,
               VSCore *core, const VSAPI *vsapi);

}  // namespace vrt
