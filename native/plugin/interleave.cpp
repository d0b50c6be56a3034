// Frames of a clip with new ones in between: what the frames are, and what their properties say of time.

#include <algorithm>
#include <limits>
#include <numeric>

#include "nodes.h"

namespace vrt {
namespace {

struct Interleave {
    VSNode *source, *made;
    int factor;
    int64_t fps_num, fps_den;  // of the source

    // The place in `made` of what is frame n of the result, and no multiple of the factor.
    int made_index(int n) const { return n / factor * (factor - 1) + n % factor - 1; }
};

struct Rational {
    int64_t num, den;  // reduced; 0 / 0 where there is no such number
};

// The product with mul / div, for small numbers above 0.
Rational scaled(int64_t num, int64_t den, int64_t mul, int64_t div) {
    if (num <= 0 || den <= 0) return {0, 0};
    for (int64_t *over : {&num, &mul})
        for (int64_t *under : {&den, &div}) {
            const int64_t common = std::gcd(*over, *under);
            *over /= common;
            *under /= common;
        }
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    return num > kMost / mul || den > kMost / div ? Rational{0, 0} : Rational{num * mul, den * div};
}

int64_t read(const VSMap *map, const char *key, const VSAPI *vsapi) {
    int error = 0;
    const int64_t value = vsapi->mapGetInt(map, key, 0, &error);
    return error ? 0 : value;
}

// `phase` counts the frames that one frame of the source becomes.
void set_times(VSMap *properties, int phase, const Interleave &node, const VSAPI *vsapi) {
    int64_t num = read(properties, "_DurationNum", vsapi), den = read(properties, "_DurationDen", vsapi);
    if (num > 0 && den > 0) {
        const Rational part = scaled(num, den, 1, node.factor);
        vsapi->mapDeleteKey(properties, "_DurationNum");
        vsapi->mapDeleteKey(properties, "_DurationDen");
        if (part.den) {
            vsapi->mapSetInt(properties, "_DurationNum", part.num, maReplace);
            vsapi->mapSetInt(properties, "_DurationDen", part.den, maReplace);
        }
    } else {
        num = node.fps_den;
        den = node.fps_num;
    }
    int absent = 0;
    const double time = vsapi->mapGetFloat(properties, "_AbsoluteTime", 0, &absent);
    if (!absent && den > 0)
        vsapi->mapSetFloat(properties, "_AbsoluteTime", time + double(num) / double(den) * phase / node.factor,
                           maReplace);
}

// A scene begins with the first of the frames that its first frame becomes, and ends with the last of its last.
void set_scene_changes(VSMap *properties, int phase, int factor, const VSAPI *vsapi) {
    if (phase > 0 && vsapi->mapNumElements(properties, "_SceneChangePrev") > 0)
        vsapi->mapSetInt(properties, "_SceneChangePrev", 0, maReplace);
    if (phase < factor - 1 && vsapi->mapNumElements(properties, "_SceneChangeNext") > 0)
        vsapi->mapSetInt(properties, "_SceneChangeNext", 0, maReplace);
}

const VSFrame *VS_CC get_interleaved(int n, int reason, void *instance, void **frame_data, VSFrameContext *context,
                                     VSCore *core, const VSAPI *vsapi) {
    const Interleave &node = *static_cast<Interleave *>(instance);
    const int phase = n % node.factor;
    const bool is_made = phase && !*frame_data;
    VSNode *from = is_made ? node.made : node.source;
    const int index = is_made ? node.made_index(n) : n / node.factor;
    if (reason == arInitial) vsapi->requestFrameFilter(index, from, context);
    if (reason != arAllFramesReady) return nullptr;
    const VSFrame *found = vsapi->getFrameFilter(index, from, context);
    if (is_made && read(vsapi->getFramePropertiesRO(found), kRepeat, vsapi)) {
        // The source's own frame: a trip through RGB would change it.
        vsapi->freeFrame(found);
        *frame_data = const_cast<char *>(kRepeat);
        vsapi->requestFrameFilter(n / node.factor, node.source, context);
        return nullptr;
    }
    VSFrame *frame = vsapi->copyFrame(found, core);
    vsapi->freeFrame(found);
    VSMap *properties = vsapi->getFramePropertiesRW(frame);
    set_times(properties, phase, node, vsapi);
    set_scene_changes(properties, phase, node.factor, vsapi);
    return frame;
}

void VS_CC free_interleaved(void *instance, VSCore *, const VSAPI *vsapi) {
    Interleave *node = static_cast<Interleave *>(instance);
    vsapi->freeNode(node->source);
    vsapi->freeNode(node->made);
    delete node;
}

}  // namespace

VSNode *create_interleaved(VSNode *source, VSNode *made, int factor, VSCore *core, const VSAPI *vsapi) {
    const VSVideoInfo in = *vsapi->getVideoInfo(source);
    VSVideoInfo out = in;
    const int64_t most = std::numeric_limits<int>::max();
    out.numFrames = static_cast<int>(std::min(int64_t(in.numFrames) * factor, most));
    const Rational rate = scaled(in.fpsNum, in.fpsDen, factor, 1);
    out.fpsNum = rate.num;
    out.fpsDen = rate.den;
    const VSFilterDependency reads[] = {{source, rpGeneral}, {made, rpGeneral}};
    VSNode *node = vsapi->createVideoFilter2("Interleave", &out, get_interleaved, free_interleaved, fmParallel, reads,
                                             2, new Interleave{source, made, factor, in.fpsNum, in.fpsDen}, core);
    vsapi->setCacheMode(node, cmForceDisable);  // its frames are held where they come from
    return node;
}

}  // namespace vrt
