// The frame node: it maps frame n to the windows that restored it, and to its place in them.

#include <atomic>
#include <limits>

#include "blend.h"
#include "nodes.h"

namespace vrt {
namespace {

struct FrameNode {
    std::vector<VSNode *> windows;  // window k is computed by node k modulo their number
    Grid grid;
    int made;
    std::atomic<int> previous{-1};  // the frame that was asked for before; it decides what is made when, not what

    VSNode *owner(int window) const { return windows[static_cast<size_t>(window) % windows.size()]; }
};

// In a linear run, windows that follow one another are asked for together, one of each node, so that all nodes have
// work at the same time. A seek costs its own windows alone.
void request(int n, FrameNode &node, VSFrameContext *context, const VSAPI *vsapi) {
    const std::vector<Share> shares = node.grid.shares(n / node.made);
    for (const Share &share : shares) vsapi->requestFrameFilter(share.window, node.owner(share.window), context);
    const int64_t ahead = int64_t(n) - node.previous.exchange(n);
    if (ahead < 1 || ahead > kRequestsInFlight) return;
    const int64_t nodes = static_cast<int64_t>(node.windows.size()), last = shares.back().window;
    const int64_t end = std::min<int64_t>((last / nodes + 1) * nodes, node.grid.count());
    for (int k = static_cast<int>(last) + 1; k < end; ++k) vsapi->requestFrameFilter(k, node.owner(k), context);
}

const VSFrame *made_frame(int n, int window, const FrameNode &node, VSFrameContext *context, const VSAPI *vsapi) {
    const int place = (n / node.made - node.grid.begin(window)) * node.made + n % node.made;
    const VSFrame *carrier = vsapi->getFrameFilter(window, node.owner(window), context);
    const VSFrame *frame = vsapi->mapGetFrame(vsapi->getFramePropertiesRO(carrier), kFrames, place, nullptr);
    vsapi->freeFrame(carrier);
    return frame;
}

bool is_dropped(const VSFrame *frame, const VSAPI *vsapi) {
    return vsapi->mapNumElements(vsapi->getFramePropertiesRO(frame), kDropped) > 0;
}

// A frame that says nothing of what windows were for it.
const VSFrame *cleaned(const VSFrame *frame, VSCore *core, const VSAPI *vsapi) {
    if (!is_dropped(frame, vsapi)) return frame;
    VSFrame *copy = vsapi->copyFrame(frame, core);
    vsapi->freeFrame(frame);
    vsapi->mapDeleteKey(vsapi->getFramePropertiesRW(copy), kDropped);
    return copy;
}

// What a window knows too little of its scene for is left to the others; where that is all of them, to the last one.
const VSFrame *blended(int n, const std::vector<Share> &shares, const FrameNode &node, VSFrameContext *context,
                       VSCore *core, const VSAPI *vsapi) {
    std::vector<Weighted> all, kept;
    float sum = 0;
    for (const Share &share : shares) {
        all.push_back({made_frame(n, share.window, node, context, vsapi), share.weight});
        if (is_dropped(all.back().frame, vsapi)) continue;
        kept.push_back(all.back());
        sum += share.weight;
    }
    const VSFrame *result = nullptr;
    if (kept.size() < 2) {
        result = cleaned(vsapi->addFrameRef(kept.empty() ? all.back().frame : kept[0].frame), core, vsapi);
    } else {
        for (Weighted &each : kept) each.weight /= sum;
        result = blend(kept, core, vsapi);
    }
    for (const Weighted &each : all) vsapi->freeFrame(each.frame);
    return result;
}

const VSFrame *VS_CC get_frame(int n, int reason, void *instance, void **, VSFrameContext *context, VSCore *core,
                               const VSAPI *vsapi) {
    FrameNode &node = *static_cast<FrameNode *>(instance);
    if (reason == arInitial) request(n, node, context, vsapi);
    if (reason != arAllFramesReady) return nullptr;
    const std::vector<Share> shares = node.grid.shares(n / node.made);
    if (shares.size() > 1) return blended(n, shares, node, context, core, vsapi);
    return cleaned(made_frame(n, shares[0].window, node, context, vsapi), core, vsapi);
}

void VS_CC free_frame(void *instance, VSCore *, const VSAPI *vsapi) {
    FrameNode *node = static_cast<FrameNode *>(instance);
    for (VSNode *windows : node->windows) vsapi->freeNode(windows);
    delete node;
}

}  // namespace

int kept_for(const Step &step) {
    const int64_t shared = int64_t(step.nodes) * step.grid.shared();
    return static_cast<int>(std::min<int64_t>(shared, step.grid.frames)) + kRequestsInFlight;
}

VSNode *create_made(VSNode *source, VSNode *sigma, const Step &step, VSCore *core, const VSAPI *vsapi) {
    VSVideoInfo out = *vsapi->getVideoInfo(source);
    vsapi->getVideoFormatByID(&out.format, static_cast<uint32_t>(step.carrier), core);
    out.width = step.width;
    out.height = step.height;
    const int64_t most = std::numeric_limits<int>::max();
    out.numFrames = static_cast<int>(std::min(int64_t(out.numFrames) * step.made, most));

    FrameNode *node = new FrameNode{{}, step.grid, step.made, {-1}};
    std::vector<VSFilterDependency> reads;
    for (int i = 0; i < step.nodes; ++i) {
        VSNode *levels = sigma ? vsapi->addNodeRef(sigma) : nullptr;
        node->windows.push_back(create_windows(vsapi->addNodeRef(source), levels, step, out, i, core, vsapi));
        reads.push_back({node->windows.back(), rpGeneral});
    }
    vsapi->freeNode(source);
    vsapi->freeNode(sigma);
    VSNode *frames = vsapi->createVideoFilter2("Frames", &out, get_frame, free_frame, fmParallel, reads.data(),
                                               static_cast<int>(reads.size()), node, core);
    vsapi->setCacheMode(frames, cmForceDisable);  // the carriers hold these frames already
    return frames;
}

}  // namespace vrt
