// The two nodes at the heart of the plugin. The window node computes a whole window of frames at once and hands them
// out as properties of a 1x1 carrier frame, so that VapourSynth itself merges the requests for a window and caches
// it. The frame node maps frame n to its window and its place in it.

#include <algorithm>

#include "nodes.h"

namespace vrt {
namespace {

const char *const kFrames = "_vrt_frames";
constexpr int kCachedWindows = 2;

struct WindowNode {
    VSNode *source;
    std::shared_ptr<Restoration> restoration;
    Plan plan;
    VSVideoInfo in, out;

    int begin(int window) const { return window * plan.length; }
    // The differences keep these sums from overflowing near the end of a clip of 2^31 - 1 frames.
    int end(int window) const { return begin(window) + std::min(plan.length, in.numFrames - begin(window)); }
    int first_input(int window) const { return std::max(begin(window) - plan.overlap, 0); }
    int end_input(int window) const { return end(window) + std::min(plan.overlap, in.numFrames - end(window)); }
};

struct FrameNode {
    VSNode *windows;
    int length;
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

// The alpha plane travels as a frame in a property. It has to grow with the picture, so it is restored beside it.
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
    const VSAPI *vsapi;
    std::vector<const VSFrame *> inputs, input_alphas;
    std::vector<VSFrame *> outputs, output_alphas;

    explicit Window(const VSAPI *vsapi) : vsapi(vsapi) {}
    ~Window() {
        for (const VSFrame *frame : inputs) vsapi->freeFrame(frame);
        for (const VSFrame *frame : input_alphas) vsapi->freeFrame(frame);
        for (VSFrame *frame : outputs) vsapi->freeFrame(frame);
        for (VSFrame *frame : output_alphas) vsapi->freeFrame(frame);
    }

    void add_output(const VSFrame *source, const VSVideoInfo &vi, VSCore *core) {
        outputs.push_back(vsapi->newVideoFrame(&vi.format, vi.width, vi.height, source, core));
        const VSFrame *alpha = alpha_of(source, vsapi);
        output_alphas.push_back(
            alpha ? vsapi->newVideoFrame(vsapi->getVideoFrameFormat(alpha), vi.width, vi.height, alpha, core)
                  : nullptr);
        if (alpha) vsapi->freeFrame(alpha);
    }
};

const VSFrame *compute_window(const WindowNode &node, int k, VSFrameContext *context, VSCore *core,
                              const VSAPI *vsapi) {
    Window window(vsapi);
    std::vector<InputFrame> inputs;
    std::vector<std::vector<Plane>> outputs;
    const int first = node.first_input(k);
    for (int n = first; n < node.end_input(k); ++n) {
        const VSFrame *frame = vsapi->getFrameFilter(n, node.source, context);
        window.inputs.push_back(frame);
        window.input_alphas.push_back(alpha_of(frame, vsapi));
        inputs.push_back({{}, property(frame, "_SceneChangePrev", vsapi), property(frame, "_SceneChangeNext", vsapi)});
        add_planes(inputs.back().planes, frame, nullptr, vsapi);
        if (const VSFrame *alpha = window.input_alphas.back()) add_planes(inputs.back().planes, alpha, nullptr, vsapi);
    }
    for (int n = node.begin(k); n < node.end(k); ++n) {
        window.add_output(window.inputs[static_cast<size_t>(n - first)], node.out, core);
        outputs.emplace_back();
        add_planes(outputs.back(), window.outputs.back(), window.outputs.back(), vsapi);
        if (VSFrame *alpha = window.output_alphas.back()) add_planes(outputs.back(), alpha, alpha, vsapi);
    }

    const Outcome outcome = restore_window(*node.restoration, k, first, inputs, outputs);
    if (!outcome.error.empty()) {
        log_place(outcome, core, vsapi);
        vsapi->setFilterError(outcome.error.c_str(), context);
        return nullptr;
    }

    VSVideoFormat gray;
    vsapi->getVideoFormatByID(&gray, pfGray8, core);
    VSFrame *carrier = vsapi->newVideoFrame(&gray, 1, 1, nullptr, core);
    *vsapi->getWritePtr(carrier, 0) = 0;
    VSMap *frames = vsapi->getFramePropertiesRW(carrier);
    for (size_t i = 0; i < window.outputs.size(); ++i) {
        VSMap *properties = vsapi->getFramePropertiesRW(window.outputs[i]);
        set_entries(outcome.entries, properties, vsapi);
        if (window.output_alphas[i]) vsapi->mapSetFrame(properties, "_Alpha", window.output_alphas[i], maReplace);
        vsapi->mapSetFrame(frames, kFrames, window.outputs[i], maAppend);
    }
    return carrier;
}

const VSFrame *VS_CC get_window(int k, int reason, void *instance, void **, VSFrameContext *context, VSCore *core,
                                const VSAPI *vsapi) {
    const WindowNode &node = *static_cast<WindowNode *>(instance);
    if (reason == arInitial)
        for (int n = node.first_input(k); n < node.end_input(k); ++n)
            vsapi->requestFrameFilter(n, node.source, context);
    return reason == arAllFramesReady ? compute_window(node, k, context, core, vsapi) : nullptr;
}

void VS_CC free_window(void *instance, VSCore *, const VSAPI *vsapi) {
    WindowNode *node = static_cast<WindowNode *>(instance);
    vsapi->freeNode(node->source);
    delete node;
}

const VSFrame *VS_CC get_frame(int n, int reason, void *instance, void **, VSFrameContext *context, VSCore *,
                               const VSAPI *vsapi) {
    const FrameNode &node = *static_cast<FrameNode *>(instance);
    if (reason == arInitial) vsapi->requestFrameFilter(n / node.length, node.windows, context);
    if (reason != arAllFramesReady) return nullptr;
    const VSFrame *carrier = vsapi->getFrameFilter(n / node.length, node.windows, context);
    const VSFrame *frame = vsapi->mapGetFrame(vsapi->getFramePropertiesRO(carrier), kFrames, n % node.length, nullptr);
    vsapi->freeFrame(carrier);
    return frame;
}

void VS_CC free_frame(void *instance, VSCore *, const VSAPI *vsapi) {
    FrameNode *node = static_cast<FrameNode *>(instance);
    vsapi->freeNode(node->windows);
    delete node;
}

}  // namespace

VSNode *create_restored(VSNode *source, std::shared_ptr<Restoration> restoration, const Plan &plan, VSCore *core,
                        const VSAPI *vsapi) {
    const VSVideoInfo in = *vsapi->getVideoInfo(source);
    VSVideoInfo out = in;
    out.width = plan.width;
    out.height = plan.height;

    VSVideoInfo carrier{};
    vsapi->getVideoFormatByID(&carrier.format, pfGray8, core);
    carrier.width = carrier.height = 1;
    carrier.numFrames = (in.numFrames - 1) / plan.length + 1;

    const VSFilterDependency reads{source, rpGeneral};
    VSNode *windows =
        vsapi->createVideoFilter2("Windows", &carrier, get_window, free_window, fmParallelRequests, &reads, 1,
                                  new WindowNode{source, std::move(restoration), plan, in, out}, core);
    vsapi->setCacheMode(windows, cmForceEnable);
    vsapi->setCacheOptions(windows, 1, kCachedWindows, 0);

    const VSFilterDependency maps{windows, rpGeneral};
    VSNode *frames = vsapi->createVideoFilter2("Restore", &out, get_frame, free_frame, fmParallel, &maps, 1,
                                               new FrameNode{windows, plan.length}, core);
    vsapi->setCacheMode(frames, cmForceDisable);  // the carriers hold these frames already
    return frames;
}

}  // namespace vrt
