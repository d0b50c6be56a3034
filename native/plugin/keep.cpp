// Passes frames on and keeps the last ones. VapourSynth has caches of its own, but empties even those of a fixed size
// when memory is short elsewhere; a window that is gone is computed again.

#include <list>
#include <mutex>
#include <utility>

#include "nodes.h"

namespace vrt {
namespace {

struct Keep {
    VSNode *source;
    size_t most;
    const VSAPI *vsapi;
    std::mutex mutex;
    std::list<std::pair<int, const VSFrame *>> frames;  // the one that was asked for last comes first

    // A reference of the caller's, or null.
    const VSFrame *find(int n) {
        std::lock_guard<std::mutex> lock(mutex);
        for (auto each = frames.begin(); each != frames.end(); ++each) {
            if (each->first != n) continue;
            frames.splice(frames.begin(), frames, each);
            return vsapi->addFrameRef(each->second);
        }
        return nullptr;
    }

    void add(int n, const VSFrame *frame) {
        std::lock_guard<std::mutex> lock(mutex);
        frames.emplace_front(n, vsapi->addFrameRef(frame));
        if (frames.size() <= most) return;
        vsapi->freeFrame(frames.back().second);
        frames.pop_back();
    }

    ~Keep() {
        for (const auto &each : frames) vsapi->freeFrame(each.second);
        vsapi->freeNode(source);
    }
};

const VSFrame *VS_CC get_kept(int n, int reason, void *instance, void **, VSFrameContext *context, VSCore *,
                              const VSAPI *vsapi) {
    Keep &keep = *static_cast<Keep *>(instance);
    if (reason == arInitial) {
        if (const VSFrame *frame = keep.find(n)) return frame;
        vsapi->requestFrameFilter(n, keep.source, context);
    }
    if (reason != arAllFramesReady) return nullptr;
    const VSFrame *frame = vsapi->getFrameFilter(n, keep.source, context);
    keep.add(n, frame);
    return frame;
}

void VS_CC free_keep(void *instance, VSCore *, const VSAPI *) { delete static_cast<Keep *>(instance); }

}  // namespace

VSNode *create_keep(VSNode *source, int frames, VSCore *core, const VSAPI *vsapi) {
    const VSVideoInfo vi = *vsapi->getVideoInfo(source);
    Keep *keep = new Keep{source, static_cast<size_t>(frames), vsapi, {}, {}};
    const VSFilterDependency reads{source, rpGeneral};
    VSNode *node = vsapi->createVideoFilter2("Keep", &vi, get_kept, free_keep, fmParallel, &reads, 1, keep, core);
    vsapi->setCacheMode(node, cmForceDisable);
    vsapi->setCacheMode(source, cmForceDisable);  // nobody else asks it
    return node;
}

}  // namespace vrt
