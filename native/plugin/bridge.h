// Calls into `vs_vrt.filters.bridge`, the Python side of the plugin. Takes the GIL; speaks VSMap and plain structs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grid.h"
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
    char type;  // 'i', 'f' or 's': which of these it has
    std::vector<int64_t> ints;
    std::vector<double> floats;
    std::vector<std::string> strings;
};

class Restoration;  // a Python object; see bridge.cpp

// What Python decided that one network is to do: it makes `made` frames of each that a window restores. Where `factor`
// is above 1 the frames themselves stay: each becomes `factor` frames, itself and those made.
struct Step {
    std::shared_ptr<Restoration> restoration;
    Grid grid;
    int width, height, factor, made;
    int format, carrier;  // what the network is given, and what it fills
    int nodes;            // windows in flight at most
    int matrix;
    std::string message;  // for the log
};

// A window as Python sees it.
struct WindowFrames {
    int node;          // which of the nodes computes it
    int begin, first;  // the first frame that it restores, and that it reads
    std::vector<InputFrame> inputs;
    std::vector<std::vector<Plane>> outputs;
};

// What came of a call into Python. Where `error` is not empty it is the text for the user, and `where` the
// Python file and line that raised it.
struct Outcome {
    std::string error, where;
    std::vector<Entry> entries;
    std::vector<std::vector<Entry>> properties;  // of a window: of each made frame
    std::vector<std::string> notes;              // of a window: for the log
};

Outcome query(const char *function, const char *plugin_version);

// What a call of the function comes to: networks that run one after the other, at least one.
Outcome plan(const char *function, const VSMap *in, const VSAPI *vsapi, std::vector<Step> &steps);

// What a call with these arguments would take.
Outcome describe(const VSMap *in, const VSAPI *vsapi);

Outcome restore_window(const Restoration &restoration, const WindowFrames &window);

// Logs what Python has to say, and where it raised the error, if it did.
void log_notes(const Outcome &outcome, VSCore *core, const VSAPI *vsapi);

void set_entries(const std::vector<Entry> &entries, VSMap *map, const VSAPI *vsapi);

}  // namespace vrt
