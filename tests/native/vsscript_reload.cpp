// Evaluates a script again and again in one process, as an editor with a preview does: it scrubs through the output,
// shows each frame through a second node that converts it to RGB, and frees everything before it loads the script anew.
//
// vsscript_reload LIBVSSCRIPT GOOD_SCRIPT BAD_SCRIPT: exits with 0 where every reload gave the same frames.

#include <dlfcn.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "VSScript4.h"

namespace {

constexpr int kReloads = 5;
constexpr int kBadReload = 1;    // this one loads a script that fails
constexpr int kHastyReload = 3;  // this one frees the script while frames are in flight
constexpr int kInFlight = 4;

const VSSCRIPTAPI *script_api;
const VSAPI *vsapi;

[[noreturn]] void die(const char *what, const char *detail) {
    std::fprintf(stderr, "vsscript_reload: %s: %s\n", what, detail ? detail : "");
    std::exit(1);
}

// The frames of one evaluation.
struct Preview {
    VSNode *preview = nullptr;
    std::mutex mutex;
    std::condition_variable changed;
    int in_flight = 0;
    std::map<int, uint64_t> sums;

    void done(int n, uint64_t sum) {
        std::lock_guard<std::mutex> lock(mutex);
        sums[n] = sum;
        --in_flight;
        changed.notify_all();
    }

    void wait_until_at_most(int count) {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return in_flight <= count; });
    }
};

uint64_t checksum(const VSFrame *frame) {
    uint64_t sum = 1469598103934665603u;  // FNV-1a
    for (int plane = 0; plane < vsapi->getVideoFrameFormat(frame)->numPlanes; ++plane) {
        const uint8_t *row = vsapi->getReadPtr(frame, plane);
        const int width = vsapi->getFrameWidth(frame, plane) * vsapi->getVideoFrameFormat(frame)->bytesPerSample;
        for (int y = 0; y < vsapi->getFrameHeight(frame, plane); ++y, row += vsapi->getStride(frame, plane))
            for (int x = 0; x < width; ++x) sum = (sum ^ row[x]) * 1099511628211u;
    }
    return sum;
}

void VS_CC previewed(void *user, const VSFrame *frame, int n, VSNode *node, const char *error) {
    if (!frame) die("a preview frame failed", error);
    const uint64_t sum = checksum(frame);
    vsapi->freeFrame(frame);
    vsapi->freeNode(node);
    static_cast<Preview *>(user)->done(n, sum);
}

void VS_CC restored(void *user, const VSFrame *frame, int n, VSNode *node, const char *error) {
    if (!frame) die("a frame failed", error);
    Preview *preview = static_cast<Preview *>(user);
    const uint64_t sum = preview->preview ? 0 : checksum(frame);
    vsapi->freeFrame(frame);
    vsapi->freeNode(node);
    if (preview->preview)
        vsapi->getFrameAsync(n, vsapi->addNodeRef(preview->preview), previewed, preview);
    else
        preview->done(n, sum);
}

void VS_CC log_message(int type, const char *message, void *) {
    // The core counts the filters that are left when it is freed.
    if (type >= mtCritical || std::strstr(message, "still exist")) die("the core complains", message);
}

VSScript *evaluate(const char *path, int &failed) {
    VSCore *core = vsapi->createCore(0);
    vsapi->addLogHandler(log_message, nullptr, nullptr, core);
    VSScript *script = script_api->createScript(core);
    if (!script) die("no script", nullptr);
    failed = script_api->evaluateFile(script, path);
    return script;
}

VSNode *to_rgb(VSNode *node, VSCore *core) {
    VSMap *arguments = vsapi->createMap();
    vsapi->mapSetNode(arguments, "clip", node, maReplace);
    vsapi->mapSetInt(arguments, "format", pfRGB24, maReplace);
    VSMap *result = vsapi->invoke(vsapi->getPluginByNamespace("resize", core), "Bicubic", arguments);
    if (vsapi->mapGetError(result)) die("no preview", vsapi->mapGetError(result));
    VSNode *preview = vsapi->mapGetNode(result, "clip", 0, nullptr);
    vsapi->freeMap(result);
    vsapi->freeMap(arguments);
    return preview;
}

// Every frame once, in an order in which hardly two neighbours share a window.
std::vector<int> scrubbing_order(int frames) {
    std::vector<int> order;
    for (int start = 0; start < 5; ++start)
        for (int n = frames - 1 - start; n >= 0; n -= 5) order.push_back(n);
    return order;
}

std::map<int, uint64_t> show(const char *path) {
    int failed = 0;
    VSScript *script = evaluate(path, failed);
    if (failed) die("the script failed", script_api->getError(script));
    VSNode *output = script_api->getOutputNode(script, 0);
    Preview preview;
    preview.preview = to_rgb(output, script_api->getCore(script));
    for (int n : scrubbing_order(vsapi->getVideoInfo(output)->numFrames)) {
        preview.wait_until_at_most(kInFlight - 1);
        {
            std::lock_guard<std::mutex> lock(preview.mutex);
            ++preview.in_flight;
        }
        vsapi->getFrameAsync(n, vsapi->addNodeRef(output), restored, &preview);
    }
    preview.wait_until_at_most(0);
    vsapi->freeNode(preview.preview);
    vsapi->freeNode(output);
    script_api->freeScript(script);
    return preview.sums;
}

// Asks for all frames at once and frees the script: each of them must still arrive.
size_t show_and_leave(const char *path) {
    int failed = 0;
    VSScript *script = evaluate(path, failed);
    if (failed) die("the script failed", script_api->getError(script));
    VSNode *output = script_api->getOutputNode(script, 0);
    const int frames = vsapi->getVideoInfo(output)->numFrames;
    Preview preview;
    preview.in_flight = frames;
    for (int n : scrubbing_order(frames)) vsapi->getFrameAsync(n, vsapi->addNodeRef(output), restored, &preview);
    vsapi->freeNode(output);
    script_api->freeScript(script);
    preview.wait_until_at_most(0);
    return preview.sums.size();
}

void show_error(const char *path) {
    int failed = 0;
    VSScript *script = evaluate(path, failed);
    const char *error = script_api->getError(script);
    if (!failed || !error) die("the bad script did not fail", path);
    std::fprintf(stderr, "%s\n", error);
    script_api->freeScript(script);
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 4) die("usage", "vsscript_reload LIBVSSCRIPT GOOD_SCRIPT BAD_SCRIPT");
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) die("no VSScript", dlerror());
    using Getter = const VSSCRIPTAPI *(VS_CC *)(int);
    script_api = reinterpret_cast<Getter>(dlsym(library, "getVSScriptAPI"))(VSSCRIPT_API_VERSION);
    if (!script_api) die("no VSScript API", argv[1]);
    vsapi = script_api->getVSAPI(VAPOURSYNTH_API_VERSION);

    const std::map<int, uint64_t> first = show(argv[2]);
    for (int reload = 0; reload < kReloads; ++reload) {
        if (reload == kBadReload)
            show_error(argv[3]);
        else if (reload == kHastyReload && show_and_leave(argv[2]) != first.size())
            die("frames were lost", argv[2]);
        else if (reload != kHastyReload && show(argv[2]) != first)
            die("a reload gave other frames", argv[2]);
    }
    std::fprintf(stderr, "%zu frames, %d reloads\n", first.size(), kReloads);
    return 0;
}
