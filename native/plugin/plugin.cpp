// Registers `core.vrt.*`. Nothing here may write to stdout: under vspipe it is the video.

#include "nodes.h"

#ifndef VRT_VERSION
#error "setup.py passes the version"
#endif

namespace vrt {
namespace {

void fail(VSMap *out, const Outcome &outcome, VSCore *core, const VSAPI *vsapi) {
    log_place(outcome, core, vsapi);
    vsapi->mapSetError(out, outcome.error.c_str());
}

// Version and Tasks: `data` is the name of the Python function that answers.
void VS_CC answer(const VSMap *, VSMap *out, void *data, VSCore *core, const VSAPI *vsapi) {
    const Outcome outcome = query(static_cast<const char *>(data), VRT_VERSION);
    if (!outcome.error.empty()) return fail(out, outcome, core, vsapi);
    set_entries(outcome.entries, out, vsapi);
}

void VS_CC restore(const VSMap *in, VSMap *out, void *, VSCore *core, const VSAPI *vsapi) {
    std::shared_ptr<Restoration> restoration;
    Plan plan{};
    Outcome outcome = plan_restore(in, vsapi, restoration, plan);
    if (!outcome.error.empty()) return fail(out, outcome, core, vsapi);
    if (!plan.message.empty()) vsapi->logMessage(mtInformation, plan.message.c_str(), core);

    VSNode *node = vsapi->mapGetNode(in, "clip", 0, nullptr);
    const VSVideoFormat format = vsapi->getVideoInfo(node)->format;
    const uint32_t given = vsapi->queryVideoFormatID(format.colorFamily, format.sampleType, format.bitsPerSample,
                                                     format.subSamplingW, format.subSamplingH, core);
    const bool converts = given != static_cast<uint32_t>(plan.format);
    node = create_colour_guard(node, plan.matrix, converts, core, vsapi);
    if (converts) node = resize(node, static_cast<uint32_t>(plan.format), -1, -1, -1, outcome.error, core, vsapi);
    if (!node) return fail(out, outcome, core, vsapi);
    node = create_restored(node, std::move(restoration), plan, core, vsapi);
    if (converts) node = create_colour_return(node, format, core, vsapi);
    vsapi->mapConsumeNode(out, "clip", node, maReplace);
}

const char *const kRestoreArguments =
    "clip:vnode;task:data:opt;model:data:opt;weights:data:opt;device:data[]:opt;precision:data:opt;"
    "length:int:opt;overlap:int:opt;tile:int[]:opt;tile_overlap:int[]:opt;sigma:float:opt;sigma_clip:vnode:opt;"
    "sc_threshold:float:opt;matrix:data:opt;";

}  // namespace
}  // namespace vrt

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi) {
    using namespace vrt;
    vspapi->configPlugin("org.vs-vrt.restore", "vrt", "Video restoration with VRT and the BasicVSR family",
                         VS_MAKE_VERSION(VRT_VERSION_MAJOR, VRT_VERSION_MINOR), VAPOURSYNTH_API_VERSION, 0, plugin);
    vspapi->registerFunction("Restore", kRestoreArguments, "clip:vnode;", restore, nullptr, plugin);
    vspapi->registerFunction("Tasks", "", "any", answer, const_cast<char *>("tasks"), plugin);
    vspapi->registerFunction("Version", "", "any", answer, const_cast<char *>("version"), plugin);
}
