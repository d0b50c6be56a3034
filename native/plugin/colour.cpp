// Colour properties on the way in and out: what is missing is filled in, per frame; what is there is never overridden.

#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "nodes.h"
#include "vapoursynth/VSConstants4.h"
#include "vapoursynth/VSHelper4.h"

namespace vrt {
namespace {

// Where the guard keeps the properties that RGB has no use for.
const char *const kMatrix = "_vrt_matrix";
const char *const kRange = "_vrt_range";
const char *const kChromaLocation = "_vrt_chroma_location";
const char *const kGrayOfRgb = "_vrt_gray_of_rgb";
constexpr int kUnknown = -1;

// Properties that core.resize adds with the value "unspecified", and where the guard notes that a frame had none.
struct Added {
    const char *key, *absent;
};
constexpr Added kAdded[] = {{"_Primaries", "_vrt_no_primaries"}, {"_Transfer", "_vrt_no_transfer"}};
constexpr int kUnspecified = 2;

int read(const VSMap *map, const char *key, const VSAPI *vsapi) {
    int error = 0;
    const int value = vsapi->mapGetIntSaturated(map, key, 0, &error);
    return error ? kUnknown : value;
}

struct Guard {
    VSNode *source;
    VSVideoInfo vi;
    int matrix;  // of the `matrix` argument, or kUnknown
    bool converts;
    std::atomic<bool> said{false};

    // The argument's; else broadcast practice: standard definition is BT.601, anything larger BT.709.
    int assumed() const {
        if (matrix != kUnknown) return matrix;
        return vi.width > 1024 || vi.height > 576 ? VSC_MATRIX_BT709 : VSC_MATRIX_ST170_M;
    }
};

std::string frame_error(const Guard &guard, const VSMap *properties, int n, const VSAPI *vsapi) {
    const std::string frame = "vrt: frame " + std::to_string(n);
    const int field = read(properties, "_FieldBased", vsapi);
    if (field == VSC_FIELD_BOTTOM || field == VSC_FIELD_TOP)
        return frame + " is interlaced (_FieldBased=" + std::to_string(field) +
               "); deinterlace it first, or `clip.std.SetFieldBased(0)` if it is progressive after all";
    const int matrix = read(properties, "_Matrix", vsapi);
    const bool is_rgb = guard.vi.format.colorFamily == cfRGB;
    if (is_rgb && matrix > VSC_MATRIX_RGB && matrix != VSC_MATRIX_UNSPECIFIED)
        return frame + " is RGB but says _Matrix=" + std::to_string(matrix) +
               "; `clip.std.SetFrameProps(_Matrix=0)` if it really is RGB";
    if (guard.vi.format.colorFamily == cfYUV && matrix == VSC_MATRIX_RGB)
        return frame + " is YUV but says _Matrix=0 (RGB); `clip.std.SetFrameProps(_Matrix=1)` with the matrix it has";
    if (!guard.converts) return "";
    // What core.resize would refuse in words of its own: reserved matrices, and those that need the transfer too.
    if (matrix == 3 || matrix > VSC_MATRIX_BT2020_NCL)
        return frame + " says _Matrix=" + std::to_string(matrix) +
               ", which takes its transfer and primaries to convert; "
               "`clip.resize.Bicubic(format=vs.RGBS, transfer_in=14, primaries_in=9)` with those it has";
    const int range = read(properties, "_Range", vsapi);
    if (range > 1) return frame + " says _Range=" + std::to_string(range) + "; `clip.std.SetFrameProps(_Range=0)`";
    const int location = read(properties, "_ChromaLocation", vsapi);
    if (location > VSC_CHROMA_BOTTOM)
        return frame + " says _ChromaLocation=" + std::to_string(location) +
               "; `clip.std.SetFrameProps(_ChromaLocation=0)`";
    return "";
}

void fill(Guard &guard, VSMap *properties, VSCore *core, const VSAPI *vsapi) {
    const bool is_rgb = guard.vi.format.colorFamily == cfRGB;
    const int matrix = read(properties, "_Matrix", vsapi);
    // One plane of RGB, as std.ShufflePlanes cuts it out, is gray that says RGB. It passes as gray and leaves as it
    // came.
    if (guard.converts && guard.vi.format.colorFamily == cfGray && matrix == VSC_MATRIX_RGB) {
        vsapi->mapSetInt(properties, kGrayOfRgb, 1, maReplace);
        vsapi->mapSetInt(properties, "_Matrix", guard.assumed(), maReplace);
    }
    if (matrix == kUnknown || matrix == VSC_MATRIX_UNSPECIFIED) {
        const int chosen = is_rgb ? int(VSC_MATRIX_RGB) : guard.assumed();
        vsapi->mapSetInt(properties, "_Matrix", chosen, maReplace);
        if (!is_rgb && guard.matrix == kUnknown && !guard.said.exchange(true))
            vsapi->logMessage(mtInformation,
                              chosen == VSC_MATRIX_BT709
                                  ? "vrt: the clip does not say its matrix; taking BT.709, as its size suggests "
                                    "(`matrix=\"170m\"` to say otherwise)"
                                  : "vrt: the clip does not say its matrix; taking BT.601, as its size suggests "
                                    "(`matrix=\"709\"` to say otherwise)",
                              core);
    }
    if (read(properties, "_Range", vsapi) == kUnknown && read(properties, "_ColorRange", vsapi) == kUnknown)
        vsapi->mapSetInt(properties, "_Range", is_rgb ? 1 : 0, maReplace);
    const bool subsampled = guard.vi.format.subSamplingW > 0 || guard.vi.format.subSamplingH > 0;
    if (subsampled && read(properties, "_ChromaLocation", vsapi) == kUnknown)
        vsapi->mapSetInt(properties, "_ChromaLocation", VSC_CHROMA_LEFT, maReplace);
}

void keep_aside(VSMap *properties, const VSAPI *vsapi) {
    int range = read(properties, "_Range", vsapi);
    if (range == kUnknown) range = 1 - read(properties, "_ColorRange", vsapi);  // the older name counts the other way
    vsapi->mapSetInt(properties, kMatrix, read(properties, "_Matrix", vsapi), maReplace);
    vsapi->mapSetInt(properties, kRange, range, maReplace);
    vsapi->mapSetInt(properties, kChromaLocation, read(properties, "_ChromaLocation", vsapi), maReplace);
    for (const Added &added : kAdded)
        if (read(properties, added.key, vsapi) == kUnknown) vsapi->mapSetInt(properties, added.absent, 1, maReplace);
}

const VSFrame *VS_CC get_guarded(int n, int reason, void *instance, void **, VSFrameContext *context, VSCore *core,
                                 const VSAPI *vsapi) {
    Guard &guard = *static_cast<Guard *>(instance);
    if (reason == arInitial) vsapi->requestFrameFilter(n, guard.source, context);
    if (reason != arAllFramesReady) return nullptr;
    const VSFrame *source = vsapi->getFrameFilter(n, guard.source, context);
    const std::string error = frame_error(guard, vsapi->getFramePropertiesRO(source), n, vsapi);
    if (!error.empty()) {
        vsapi->freeFrame(source);
        vsapi->setFilterError(error.c_str(), context);
        return nullptr;
    }
    VSFrame *frame = vsapi->copyFrame(source, core);
    vsapi->freeFrame(source);
    VSMap *properties = vsapi->getFramePropertiesRW(frame);
    fill(guard, properties, core, vsapi);
    if (guard.converts) keep_aside(properties, vsapi);
    return frame;
}

void VS_CC free_guard(void *instance, VSCore *, const VSAPI *vsapi) {
    Guard *guard = static_cast<Guard *>(instance);
    vsapi->freeNode(guard->source);
    delete guard;
}

// Frames of one clip may differ in matrix, range or chroma location, so a converter is made for each that appears.
struct Return {
    VSNode *source;
    uint32_t format;
    bool converts, subsampled;
    std::mutex mutex;
    std::map<std::array<int, 3>, VSNode *> converters;
    VSNode *latest = nullptr;  // of them

    VSNode *converter(const VSMap *properties, std::string &error, VSCore *core, const VSAPI *vsapi) {
        const std::array<int, 3> key{read(properties, kMatrix, vsapi), read(properties, kRange, vsapi),
                                     subsampled ? read(properties, kChromaLocation, vsapi) : kUnknown};
        std::lock_guard<std::mutex> lock(mutex);
        auto found = converters.find(key);
        if (found != converters.end()) return latest = found->second;
        VSNode *node = resize(vsapi->addNodeRef(source), format, key[0], key[1], key[2], error, core, vsapi);
        if (node) converters.emplace(key, latest = node);
        return node;
    }

    VSNode *likely() {
        std::lock_guard<std::mutex> lock(mutex);
        return latest;
    }
};

const VSFrame *finish(int n, VSNode *node, VSFrameContext *context, VSCore *core, const VSAPI *vsapi) {
    const VSFrame *converted = vsapi->getFrameFilter(n, node, context);
    VSFrame *frame = vsapi->copyFrame(converted, core);
    vsapi->freeFrame(converted);
    VSMap *properties = vsapi->getFramePropertiesRW(frame);
    const int location = read(properties, kChromaLocation, vsapi);
    if (location != kUnknown) vsapi->mapSetInt(properties, "_ChromaLocation", location, maReplace);
    if (read(properties, kGrayOfRgb, vsapi) != kUnknown)
        vsapi->mapSetInt(properties, "_Matrix", VSC_MATRIX_RGB, maReplace);
    for (const Added &added : kAdded) {
        const bool was_absent = read(properties, added.absent, vsapi) != kUnknown;
        if (was_absent && read(properties, added.key, vsapi) == kUnspecified)
            vsapi->mapDeleteKey(properties, added.key);
        vsapi->mapDeleteKey(properties, added.absent);
    }
    for (const char *key : {kMatrix, kRange, kChromaLocation, kGrayOfRgb}) vsapi->mapDeleteKey(properties, key);
    return frame;
}

// A frame most likely takes the converter of the one before, which asks the source by itself. Where it does not, or
// there is none yet, the right one is asked afterwards.
const VSFrame *VS_CC get_returned(int n, int reason, void *instance, void **frame_data, VSFrameContext *context,
                                  VSCore *core, const VSAPI *vsapi) {
    Return &node = *static_cast<Return *>(instance);
    if (reason == arInitial) {
        *frame_data = node.converts ? node.likely() : nullptr;
        vsapi->requestFrameFilter(n, *frame_data ? static_cast<VSNode *>(*frame_data) : node.source, context);
    }
    if (reason != arAllFramesReady) return nullptr;
    if (!node.converts) return finish(n, node.source, context, core, vsapi);
    VSNode *asked = *frame_data ? static_cast<VSNode *>(*frame_data) : node.source;
    const VSFrame *found = vsapi->getFrameFilter(n, asked, context);
    std::string error;
    VSNode *converter = node.converter(vsapi->getFramePropertiesRO(found), error, core, vsapi);
    vsapi->freeFrame(found);
    if (converter == asked) return finish(n, converter, context, core, vsapi);
    if (!converter) {
        vsapi->setFilterError(error.c_str(), context);
        return nullptr;
    }
    *frame_data = converter;
    vsapi->requestFrameFilter(n, converter, context);
    return nullptr;
}

void VS_CC free_return(void *instance, VSCore *, const VSAPI *vsapi) {
    Return *node = static_cast<Return *>(instance);
    for (auto &entry : node->converters) vsapi->freeNode(entry.second);
    vsapi->freeNode(node->source);
    delete node;
}

}  // namespace

VSNode *create_colour_guard(VSNode *source, int matrix, bool converts, VSCore *core, const VSAPI *vsapi) {
    const VSVideoInfo vi = *vsapi->getVideoInfo(source);
    Guard *guard = new Guard{source, vi, matrix, converts};
    const VSFilterDependency reads{source, rpStrictSpatial};
    return vsapi->createVideoFilter2("ColourGuard", &vi, get_guarded, free_guard, fmParallel, &reads, 1, guard, core);
}

VSNode *create_colour_return(VSNode *source, const VSVideoFormat &format, bool converts, VSCore *core,
                             const VSAPI *vsapi) {
    VSVideoInfo vi = *vsapi->getVideoInfo(source);
    Return *node = new Return{};
    node->source = source;
    node->converts = converts;
    node->subsampled = format.subSamplingW > 0 || format.subSamplingH > 0;
    node->format = vsapi->queryVideoFormatID(format.colorFamily, format.sampleType, format.bitsPerSample,
                                             format.subSamplingW, format.subSamplingH, core);
    vi.format = format;
    const VSFilterDependency reads{source, rpGeneral};
    return vsapi->createVideoFilter2("ColourReturn", &vi, get_returned, free_return, fmParallel, &reads, 1, node, core);
}

VSNode *resize(VSNode *source, uint32_t format, int matrix, int range, int chroma_location, std::string &error,
               VSCore *core, const VSAPI *vsapi) {
    VSMap *arguments = vsapi->createMap();
    vsapi->mapConsumeNode(arguments, "clip", source, maReplace);
    vsapi->mapSetInt(arguments, "format", format, maReplace);
    if (matrix >= 0) vsapi->mapSetInt(arguments, "matrix", matrix, maReplace);
    if (range >= 0) vsapi->mapSetInt(arguments, "range", range, maReplace);
    if (chroma_location >= 0) vsapi->mapSetInt(arguments, "chromaloc", chroma_location, maReplace);
    VSMap *result = vsapi->invoke(vsapi->getPluginByID(VSH_RESIZE_PLUGIN_ID, core), "Bicubic", arguments);
    vsapi->freeMap(arguments);
    VSNode *node = nullptr;
    if (const char *reason = vsapi->mapGetError(result))
        error = std::string("vrt: the format cannot be converted (") + reason +
                "); `clip.resize.Bicubic(format=vs.RGBS)` first";
    else
        node = vsapi->mapGetNode(result, "clip", 0, nullptr);
    vsapi->freeMap(result);
    return node;
}

}  // namespace vrt
