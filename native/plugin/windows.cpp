// The two nodes at the heart of the plugin. The window node computes a whole window of frames at once and hands them
// out as properties of a 1x1 carrier frame, so that VapourSynth itself merges the requests for a window and caches
// it. The frame node maps frame n to its window and its place in it.

#include <algorithm>
#include <limits>

#include "nodes.h"

namespace vrt {
namespace {

const char *const kFrames = "_vrt_frames";
constexpr int kCachedWindows = 2;

struct WindowNode {
    VSNode *source, *sigma;  // sigma is null where there is no noise map
    Step step;
    VSVideoInfo in, out;

    int begin(int window) const { return window * step.length; }
    // The differences keep these sums from overflowing near the end of a clip of 2^31 - 1 frames.
    int end(int window) const { return begin(window) + std::min(step.length, in.numFrames - begin(window)); }
    int first_input(int window) const { return std::max(begin(window) - step.overlap, 0); }
    int end_input(int window) const { return end(window) + std::min(step.overlap, in.numFrames - end(window)); }
    bool grows() const { return out.width != in.width; }
};

struct FrameNode {
    VSNode *windows;
    int frames;  // that a window makes
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
    std::vector<InputFrame> inputs;
    std::vector<std::vector<Plane>> outputs;

    ~Window() {
        for (const VSFrame *frame : frames) vsapi->freeFrame(frame);
        for (const VSFrame *frame : held) vsapi->freeFrame(frame);
        for (VSFrame *frame : made) vsapi->freeFrame(frame);
        for (VSFrame *frame : made_alphas) vsapi->freeFrame(frame);
    }

    void add_input(int n, VSFrameContext *context) {
        const VSFrame *frame = vsapi->getFrameFilter(n, node.source, context);
        frames.push_back(frame);
        inputs.push_back(
            {{}, {}, property(frame, "_SceneChangePrev", vsapi), property(frame, "_SceneChangeNext", vsapi)});
        add_planes(inputs.back().planes, frame, nullptr, vsapi);
        if (const VSFrame *alpha = node.grows() ? alpha_of(frame, vsapi) : nullptr) {
            held.push_back(alpha);
            add_planes(inputs.back().planes, alpha, nullptr, vsapi);
        }
        if (node.sigma) {
            held.push_back(vsapi->getFrameFilter(n, node.sigma, context));
            add_planes(inputs.back().noise, held.back(), nullptr, vsapi);
        }
    }

    void add_output(const VSFrame *source) {
        const VSVideoInfo &vi = node.out;
        made.push_back(vsapi->newVideoFrame(&vi.format, vi.width, vi.height, source, core));
        made_alphas.push_back(nullptr);
        outputs.emplace_back();
        add_planes(outputs.back(), made.back(), made.back(), vsapi);
        if (const VSFrame *alpha = node.grows() ? alpha_of(source, vsapi) : nullptr) {
            made_alphas.back() =
                vsapi->newVideoFrame(vsapi->getVideoFrameFormat(alpha), vi.width, vi.height, alpha, core);
            add_planes(outputs.back(), made_alphas.back(), made_alphas.back(), vsapi);
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
            set_entries(outcome.entries, properties, vsapi);
            if (i < outcome.repeats.size() && outcome.repeats[i]) vsapi->mapSetInt(properties, kRepeat, 1, maReplace);
            if (made_alphas[i]) vsapi->mapSetFrame(properties, "_Alpha", made_alphas[i], maReplace);
            vsapi->mapSetFrame(vsapi->getFramePropertiesRW(frame), kFrames, made[i], maAppend);
        }
        return frame;
    }
};

const VSFrame *compute_window(const WindowNode &node, int k, VSFrameContext *context, VSCore *core,
                              const VSAPI *vsapi) {
    Window window{node, core, vsapi, {}, {}, {}, {}, {}, {}};
    const int first = node.first_input(k);
    for (int n = first; n < node.end_input(k); ++n) window.add_input(n, context);
    for (int n = node.begin(k); n < node.end(k); ++n)
        for (int i = 0; i < node.step.made; ++i) window.add_output(window.frames[static_cast<size_t>(n - first)]);

    const Outcome outcome = restore_window(node.step, k, first, window.inputs, window.outputs);
    if (outcome.error.empty()) return window.carrier(outcome);
    log_place(outcome, core, vsapi);
    vsapi->setFilterError(outcome.error.c_str(), context);
    return nullptr;
}

const VSFrame *VS_CC get_window(int k, int reason, void *instance, void **, VSFrameContext *context, VSCore *core,
                                const VSAPI *vsapi) {
    const WindowNode &node = *static_cast<WindowNode *>(instance);
    if (reason == arInitial)
        for (int n = node.first_input(k); n < node.end_input(k); ++n) {
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

const VSFrame *VS_CC get_frame(int n, int reason, void *instance, void **, VSFrameContext *context, VSCore *,
                               const VSAPI *vsapi) {
    const FrameNode &node = *static_cast<FrameNode *>(instance);
    if (reason == arInitial) vsapi->requestFrameFilter(n / node.frames, node.windows, context);
    if (reason != arAllFramesReady) return nullptr;
    const VSFrame *carrier = vsapi->getFrameFilter(n / node.frames, node.windows, context);
    const VSFrame *frame = vsapi->mapGetFrame(vsapi->getFramePropertiesRO(carrier), kFrames, n % node.frames, nullptr);
    vsapi->freeFrame(carrier);
    return frame;
}

void VS_CC free_frame(void *instance, VSCore *, const VSAPI *vsapi) {
    FrameNode *node = static_cast<FrameNode *>(instance);
    vsapi->freeNode(node->windows);
    delete node;
}

}  // namespace

VSNode *create_made(VSNode *source, VSNode *sigma, const Step &step, VSCore *core, const VSAPI *vsapi) {
    const VSVideoInfo in = *vsapi->getVideoInfo(source);
    VSVideoInfo out = in;
    out.width = step.width;
    out.height = step.height;
    const int64_t most = std::numeric_limits<int>::max();
    out.numFrames = static_cast<int>(std::min(int64_t(in.numFrames) * step.made, most));

    VSVideoInfo carrier{};
    vsapi->getVideoFormatByID(&carrier.format, pfGray8, core);
    carrier.width = carrier.height = 1;
    carrier.numFrames = (in.numFrames - 1) / step.length + 1;

    const VSFilterDependency reads[] = {{source, rpGeneral}, {sigma, rpGeneral}};
    VSNode *windows = vsapi->createVideoFilter2("Windows", &carrier, get_window, free_window, fmParallelRequests, reads,
                                                sigma ? 2 : 1, new WindowNode{source, sigma, step, in, out}, core);
    vsapi->setCacheMode(windows, cmForceEnable);
    vsapi->setCacheOptions(windows, 1, kCachedWindows, 0);

    const VSFilterDependency maps{windows, rpGeneral};
    VSNode *frames = vsapi->createVideoFilter2("Frames", &out, get_frame, free_frame, fmParallel, &maps, 1,
                                               new FrameNode{windows, step.length * step.made}, core);
    vsapi->setCacheMode(frames, cmForceDisable);  // the carriers hold these frames already
    return frames;
}

}  // namespace vrt
