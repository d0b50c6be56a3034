// Registers `core.vrt.*`. Nothing here may write to stdout: under vspipe it is the video.

#include "nodes.h"

#ifndef VRT_VERSION
#error "setup.py passes the version"
#endif

namespace vrt {
namespace {

void fail(VSMap *out, const Outcome &outcome, VSCore *core, const VSAPI *vsapi) {
    log_notes(outcome, core, vsapi);
    vsapi->mapSetError(out, outcome.error.c_str());
}

// Version and Tasks: `data` is the name of the Python function that answers.
void VS_CC answer(const VSMap *, VSMap *out, void *data, VSCore *core, const VSAPI *vsapi) {
    const Outcome outcome = query(static_cast<const char *>(data), VRT_VERSION);
    if (!outcome.error.empty()) return fail(out, outcome, core, vsapi);
    set_entries(outcome.entries, out, vsapi);
}

// What a call is about to do, and the clip that it does it to.
struct Call {
    std::vector<Step> steps;
    VSNode *guarded = nullptr, *working = nullptr;  // the checked clip in its own format, and in that of the steps
    VSVideoFormat format{};                         // its own
    bool converts = false;                          // whether the two formats differ
};

// A frame leaves between those that are made, once their windows are: until then it is kept.
int kept_for_interleaving(const Step &step) {
    const int64_t windows = int64_t(step.grid.length) * step.nodes;
    return static_cast<int>(std::min<int64_t>(windows, step.grid.frames)) + kept_for(step);
}

// Plans a call of the function and says so in the log. The nodes are the caller's; there are none after an error.
Outcome prepare(const char *function, const VSMap *in, Call &call, VSCore *core, const VSAPI *vsapi) {
    Outcome outcome = plan(function, in, vsapi, call.steps);
    if (!outcome.error.empty()) return outcome;
    for (const Step &step : call.steps) vsapi->logMessage(mtInformation, step.message.c_str(), core);

    VSNode *clip = vsapi->mapGetNode(in, "clip", 0, nullptr);
    const VSVideoFormat format = vsapi->getVideoInfo(clip)->format;
    const uint32_t given = vsapi->queryVideoFormatID(format.colorFamily, format.sampleType, format.bitsPerSample,
                                                     format.subSamplingW, format.subSamplingH, core);
    const uint32_t wanted = static_cast<uint32_t>(call.steps.front().format);
    call.format = format;
    call.converts = given != wanted;
    const Step &step = call.steps.front();
    call.guarded = create_colour_guard(clip, step.matrix, call.converts, core, vsapi);
    if (step.factor > 1) call.guarded = create_keep(call.guarded, kept_for_interleaving(step), core, vsapi);
    call.working = vsapi->addNodeRef(call.guarded);
    if (call.converts) call.working = resize(call.working, wanted, -1, -1, -1, outcome.error, core, vsapi);
    if (!call.working) vsapi->freeNode(call.guarded);
    return outcome;
}

VSNode *in_own_format(const Call &call, VSNode *node, bool is_made, VSCore *core, const VSAPI *vsapi) {
    return call.converts ? create_colour_return(node, call.format, is_made, core, vsapi) : node;
}

// Plan answers what the call with these arguments would take.
void VS_CC describe_call(const VSMap *in, VSMap *out, void *, VSCore *core, const VSAPI *vsapi) {
    const Outcome outcome = describe(in, vsapi);
    if (!outcome.error.empty()) return fail(out, outcome, core, vsapi);
    set_entries(outcome.entries, out, vsapi);
}

void VS_CC restore(const VSMap *in, VSMap *out, void *, VSCore *core, const VSAPI *vsapi) {
    Call call;
    const Outcome outcome = prepare("restore", in, call, core, vsapi);
    if (!outcome.error.empty()) return fail(out, outcome, core, vsapi);
    vsapi->freeNode(call.guarded);
    int absent = 0;
    VSNode *sigma = vsapi->mapGetNode(in, "sigma_clip", 0, &absent);
    VSNode *working = create_keep(call.working, kept_for(call.steps[0]), core, vsapi);
    VSNode *node = create_made(working, sigma, call.steps[0], core, vsapi);
    if (call.steps.size() > 1) {  // the second one interpolates
        node = create_keep(node, kept_for_interleaving(call.steps[1]), core, vsapi);
        VSNode *made = create_made(vsapi->addNodeRef(node), nullptr, call.steps[1], core, vsapi);
        node = create_interleaved(node, made, call.steps[1].factor, core, vsapi);
    }
    vsapi->mapConsumeNode(out, "clip", in_own_format(call, node, true, core, vsapi), maReplace);
}

void VS_CC interpolate(const VSMap *in, VSMap *out, void *, VSCore *core, const VSAPI *vsapi) {
    Call call;
    const Outcome outcome = prepare("interpolate", in, call, core, vsapi);
    if (!outcome.error.empty()) return fail(out, outcome, core, vsapi);
    const Step &step = call.steps[0];
    VSNode *made = in_own_format(call, create_made(call.working, nullptr, step, core, vsapi), true, core, vsapi);
    VSNode *source = in_own_format(call, call.guarded, false, core, vsapi);
    vsapi->mapConsumeNode(out, "clip", create_interleaved(source, made, step.factor, core, vsapi), maReplace);
}

const std::string kNetworkArguments =
    "model:data:opt;weights:data[]:opt;device:data[]:opt;device_index:int[]:opt;num_streams:int:opt;"
    "precision:data:opt;length:int:opt;overlap:int:opt;tile:int[]:opt;tile_overlap:int[]:opt;blend:data:opt;"
    "vram_limit:float:opt;ram_limit:float:opt;preview:int:opt;sc_threshold:float:opt;matrix:data:opt;";
const std::string kNoiseArguments = "sigma:float:opt;sigma_clip:vnode:opt;";
const std::string kRestoreArguments = "clip:vnode;task:data:opt;" + kNetworkArguments + kNoiseArguments;
const std::string kInterpolateArguments = "clip:vnode;factor:int:opt;" + kNetworkArguments;
const std::string kPlanArguments = kRestoreArguments + "factor:int:opt;probe:int:opt;";

}  // namespace
}  // namespace vrt

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi) {
    using namespace vrt;
    vspapi->configPlugin("org.vs-vrt.restore", "vrt", "Video restoration with VRT and the BasicVSR family",
                         VS_MAKE_VERSION(VRT_VERSION_MAJOR, VRT_VERSION_MINOR), VAPOURSYNTH_API_VERSION, 0, plugin);
    vspapi->registerFunction("Restore", kRestoreArguments.c_str(), "clip:vnode;", restore, nullptr, plugin);
    vspapi->registerFunction("Interpolate", kInterpolateArguments.c_str(), "clip:vnode;", interpolate, nullptr, plugin);
    vspapi->registerFunction("Plan", kPlanArguments.c_str(), "any", describe_call, nullptr, plugin);
    vspapi->registerFunction("Tasks", "", "any", answer, const_cast<char *>("tasks"), plugin);
    vspapi->registerFunction("Version", "", "any", answer, const_cast<char *>("version"), plugin);
}
