// The window node: it computes a whole window of frames at once and hands them out as properties of a 1x1 carrier
// frame, so that VapourSynth itself merges the requests for a window.

#include "nodes.h"

namespace vrt {
namespace {

struct WindowNode {
    VSNode *source, *sigma;  // sigma is null where there is no noise map
    Step step;
    VSVideoInfo out;
    int number;  // of the nodes that share the step's windows
    bool grows;  // whether the picture does, and alpha with it
};

const char *sample_type(const VSVideoFormat &format) {
    if (format.sampleType == stFloat) return format.bytesPerSample == 2 ? "f2" : "f4";
    return format.bytesPerSample == 1 ? "u1" : format.bytesPerSample == 2 ? "u2" : "u4";
}

void add_planes(std::vector<Plane> &planes, const VSFrame *frame, VSFrame *writable, const VSAPI *vsapi) {
    const VSVideoFormat &format = *vsapi->getVideoFrameFormat(frame);
    for (int p = 0; p < format.numPlanes; ++p) {
        uint8_t *data = writable ? vsapi->getWritePtr(writable, p) : const_cast<uint8_t *>(vsapi->getReadPtr(frame, p));
        planes.push_back({data, vsapi->getFrameWidth(frame, p), vsapi->getFrameHeight(frame, p),
                          vsapi->getStride(frame, p), sample_type(format), writable != nullptr});
    }
}

// The alpha plane travels as a frame in a property. Where the picture grows it has to grow as well, and is restored
// beside it.
const VSFrame *alpha_of(const VSFrame *frame, const VSAPI *vsapi) {
    int error = 0;
    const VSFrame *alpha = vsapi->mapGetFrame(vsapi->getFramePropertiesRO(frame), "_Alpha", 0, &error);
    return error ? nullptr : alpha;
}

int64_t property(const VSFrame *frame, const char *key, const VSAPI *vsapi) {
    int error = 0;
    int64_t value = vsapi->mapGetInt(vsapi->getFramePropertiesRO(frame), key, 0, &error);
    return error ? -1 : value;
}

// All frames of one window, in and out; frees what it holds.
struct Window {
    const WindowNode &node;
    VSCore *core;
    const VSAPI *vsapi;
    std::vector<const VSFrame *> frames, held;  // frames of the source, and what belongs to them
    std::vector<VSFrame *> made, made_alphas;
    WindowFrames video;

    ~Window() {
        for (const VSFrame *frame : frames) vsapi->freeFrame(frame);
        for (const VSFrame *frame : held) vsapi->freeFrame(frame);
        for (VSFrame *frame : made) vsapi->freeFrame(frame);
        for (VSFrame *frame : made_alphas) vsapi->freeFrame(frame);
    }

    void add_input(int n, VSFrameContext *context) {
        const VSFrame *frame = vsapi->getFrameFilter(n, node.source, context);
        frames.push_back(frame);
        video.inputs.push_back(
            {{}, {}, property(frame, "_SceneChangePrev", vsapi), property(frame, "_SceneChangeNext", vsapi)});
        InputFrame &input = video.inputs.back();
        add_planes(input.planes, frame, nullptr, vsapi);
        if (const VSFrame *alpha = node.grows ? alpha_of(frame, vsapi) : nullptr) {
            held.push_back(alpha);
            add_planes(input.planes, alpha, nullptr, vsapi);
        }
        if (node.sigma) {
            held.push_back(vsapi->getFrameFilter(n, node.sigma, context));
            add_planes(input.noise, held.back(), nullptr, vsapi);
        }
    }

    void add_output(const VSFrame *source) {
        const VSVideoInfo &vi = node.out;
        made.push_back(vsapi->newVideoFrame(&vi.format, vi.width, vi.height, source, core));
        if (vi.format.sampleType == stInteger)  // whatever range the float samples say that they came from
            vsapi->mapSetInt(vsapi->getFramePropertiesRW(made.back()), "_Range", 1, maReplace);
        made_alphas.push_back(nullptr);
        video.outputs.emplace_back();
        std::vector<Plane> &output = video.outputs.back();
        add_planes(output, made.back(), made.back(), vsapi);
        if (const VSFrame *alpha = node.grows ? alpha_of(source, vsapi) : nullptr) {
            made_alphas.back() =
                vsapi->newVideoFrame(vsapi->getVideoFrameFormat(alpha), vi.width, vi.height, alpha, core);
            add_planes(output, made_alphas.back(), made_alphas.back(), vsapi);
            vsapi->freeFrame(alpha);
        }
    }

    const VSFrame *carrier(const Outcome &outcome) {
        VSVideoFormat gray;
        vsapi->getVideoFormatByID(&gray, pfGray8, core);
        VSFrame *frame = vsapi->newVideoFrame(&gray, 1, 1, nullptr, core);
        *vsapi->getWritePtr(frame, 0) = 0;
        for (size_t i = 0; i < made.size(); ++i) {
            VSMap *properties = vsapi->getFramePropertiesRW(made[i]);
            set_entries(outcome.properties.at(i), properties, vsapi);
            if (made_alphas[i]) vsapi->mapSetFrame(properties, "_Alpha", made_alphas[i], maReplace);
            vsapi->mapSetFrame(vsapi->getFramePropertiesRW(frame), kFrames, made[i], maAppend);
        }
        return frame;
    }
};

const VSFrame *compute_window(const WindowNode &node, int k, VSFrameContext *context, VSCore *core,
                              const VSAPI *vsapi) {
    const Grid &grid = node.step.grid;
    const int first = grid.first(k);
    Window window{node, core, vsapi, {}, {}, {}, {}, {node.number, grid.begin(k), first, {}, {}}};
    for (int n = first; n < grid.last(k); ++n) window.add_input(n, context);
    for (int n = grid.begin(k); n < grid.end(k); ++n)
        for (int i = 0; i < node.step.made; ++i) window.add_output(window.frames[static_cast<size_t>(n - first)]);

    const Outcome outcome = restore_window(*node.step.restoration, window.video);
    log_notes(outcome, core, vsapi);
    if (outcome.error.empty()) return window.carrier(outcome);
    vsapi->setFilterError(outcome.error.c_str(), context);
    return nullptr;
}

const VSFrame *VS_CC get_window(int k, int reason, void *instance, void **, VSFrameContext *context, VSCore *core,
                                const VSAPI *vsapi) {
    const WindowNode &node = *static_cast<WindowNode *>(instance);
    if (reason == arInitial)
        for (int n = node.step.grid.first(k); n < node.step.grid.last(k); ++n) {
            vsapi->requestFrameFilter(n, node.source, context);
            if (node.sigma) vsapi->requestFrameFilter(n, node.sigma, context);
        }
    return reason == arAllFramesReady ? compute_window(node, k, context, core, vsapi) : nullptr;
}

void VS_CC free_window(void *instance, VSCore *, const VSAPI *vsapi) {
    WindowNode *node = static_cast<WindowNode *>(instance);
    vsapi->freeNode(node->source);
    vsapi->freeNode(node->sigma);
    delete node;
}

}  // namespace

VSNode *create_windows(VSNode *source, VSNode *sigma, const Step &step, const VSVideoInfo &out, int number,
                       VSCore *core, const VSAPI *vsapi) {
    VSVideoInfo carrier{};
    vsapi->getVideoFormatByID(&carrier.format, pfGray8, core);
    carrier.width = carrier.height = 1;
    carrier.numFrames = step.grid.count();

    const VSFilterDependency reads[] = {{source, rpGeneral}, {sigma, rpGeneral}};
    VSNode *windows = vsapi->createVideoFilter2(
        "Windows", &carrier, get_window, free_window, fmParallelRequests, reads, sigma ? 2 : 1,
        new WindowNode{source, sigma, step, out, number, out.width != vsapi->getVideoInfo(source)->width}, core);
    VSCoreInfo info;
    vsapi->getCoreInfo(core, &info);
    return create_keep(windows, step.grid.kept(info.numThreads), core, vsapi);
}

}  // namespace vrt
