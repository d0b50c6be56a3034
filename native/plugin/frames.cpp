// The frame node: it maps frame n to the windows that restored it, and to its place in them.

#include <limits>

#include "blend.h"
#include "nodes.h"

namespace vrt {
namespace {

struct FrameNode {
    std::vector<VSNode *> windows;  // window k is computed by node k modulo their number
    Grid grid;
    int made;

    VSNode *owner(int window) const { return windows[static_cast<size_t>(window) % windows.size()]; }
};

// Windows that follow one another are asked for together, one of each node: all nodes then have work at the same time.
void request(int n, const FrameNode &node, VSFrameContext *context, const VSAPI *vsapi) {
    const int nodes = static_cast<int>(node.windows.size());
    const std::vector<Share> shares = node.grid.shares(n / node.made);
    const int group = shares.back().window / nodes * nodes;
    for (const Share &share : shares)
        if (share.window < group) vsapi->requestFrameFilter(share.window, node.owner(share.window), context);
    for (int k = group; k < group + nodes && k < node.grid.count(); ++k)
        vsapi->requestFrameFilter(k, node.owner(k), context);
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
    const FrameNode &node = *static_cast<FrameNode *>(instance);
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

void hold(VSNode *node, int frames, const VSAPI *vsapi) {
    vsapi->setCacheMode(node, cmForceEnable);
    vsapi->setCacheOptions(node, 1, frames, 0);
}

VSNode *create_made(VSNode *source, VSNode *sigma, const Step &step, VSCore *core, const VSAPI *vsapi) {
    // Neighbouring windows read the same frames at their borders: kept here, they are asked for once.
    hold(source, step.grid.shared() + kRequestsInFlight, vsapi);
    VSVideoInfo out = *vsapi->getVideoInfo(source);
    vsapi->getVideoFormatByID(&out.format, static_cast<uint32_t>(step.carrier), core);
    out.width = step.width;
    out.height = step.height;
    const int64_t most = std::numeric_limits<int>::max();
    out.numFrames = static_cast<int>(std::min(int64_t(out.numFrames) * step.made, most));

    FrameNode *node = new FrameNode{{}, step.grid, step.made};
    std::vector<VSFilterDependency> reads;
    for (int i = 0; i < step.nodes; ++i) {
        VSNode *levels = sigma ? vsapi->addNodeRef(sigma) : nullptr;
        node->windows.push_back(create_windows(vsapi->addNodeRef(source), levels, step, i, core, vsapi));
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
