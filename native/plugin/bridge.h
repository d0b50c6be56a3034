// Calls into `vs_vrt.filters.bridge`, the Python side of the plugin. Takes the GIL; speaks VSMap and plain structs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "python_api.h"
#include "vapoursynth/VapourSynth4.h"

namespace vrt {

// One plane of a frame, as Python sees it.
struct Plane {
    uint8_t *data;
    int width, height;
    ptrdiff_t stride;
    const char *type;  // numpy's name of the sample type: "f4", "f2", "u1", "u2"
    bool writable;
};

struct InputFrame {
    std::vector<Plane> planes;       // R, G, B and, where it has to grow with them, alpha
    std::vector<Plane> noise;        // of the noise map, where there is one
    int64_t scene_prev, scene_next;  // _SceneChangePrev and _SceneChangeNext; -1 where the frame does not say
};

// A frame property, or one value of a function that answers with a map.
struct Entry {
    std::string key;
    std::vector<int64_t> ints;
    std::vector<std::string> strings;
    bool is_string;
};

class Restoration;  // a Python object; see bridge.cpp

// What Python decided that one network is to do. Frames k*length .. (k+1)*length - 1 are the business of window k,
// which reads `overlap` frames more on each side and makes `made` new frames for each. Where `factor` is above 1 the
// frames themselves stay: each becomes `factor` frames, itself and those made.
struct Step {
    std::shared_ptr<Restoration> restoration;
    int width, height, length, overlap, factor, made, format, matrix;
    std::string message;  // for the log
};

// What came of a call into Python. Where `error` is not empty it is the text for the user, and `where` the
// Python file and line that raised it.
struct Outcome {
    std::string error, where;
    std::vector<Entry> entries;
    std::vector<int64_t> repeats;  // of a window: for each made frame, whether it repeats the source's
};

Outcome query(const char *function, const char *plugin_version);

// What a call of the function comes to: networks that run one after the other, at least one.
Outcome plan(const char *function, const VSMap *in, const VSAPI *vsapi, std::vector<Step> &steps);

Outcome restore_window(const Step &step, int window, int first, const std::vector<InputFrame> &inputs,
                       const std::vector<std::vector<Plane>> &outputs);

// Logs where Python raised the error, if it did.
void log_place(const Outcome &outcome, VSCore *core, const VSAPI *vsapi);

void set_entries(const std::vector<Entry> &entries, VSMap *map, const VSAPI *vsapi);

}  // namespace vrt
