// Evaluates a script again and again in one process, as an editor with a preview does: it jumps about in the output and
// steps backwards, shows each frame through a second node that converts it to RGB, has as many frames in flight as the
// core has threads, and frees everything before it loads the script anew, now and then while frames are in flight.
//
// vsscript_reload LIBVSSCRIPT GOOD_SCRIPT BAD_SCRIPT: exits with 0 where every reload gave the same frames. Says on
// stderr how much memory the process holds after each reload.

#include <dlfcn.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <vector>

#include "VSScript4.h"

namespace {

constexpr int kReloads = 40;
constexpr int kBadReload = 7;    // every so many, a script that fails is loaded as well
constexpr int kHastyReload = 5;  // every so many, the script is freed while frames are in flight
constexpr int kSeeks = 8;
constexpr int kSteps = 10;  // backwards

const VSSCRIPTAPI *script_api;
const VSAPI *vsapi;

using Sums = std::map<int, uint64_t>;  // of the samples, by frame

[[noreturn]] void die(const char *what, const char *detail) {
    std::fprintf(stderr, "vsscript_reload: %s: %s\n", what, detail ? detail : "");
    std::exit(1);
}

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

bool in_haste = false;

void VS_CC log_message(int type, const char *message, void *) {
    // The core counts the filters that are left when it is freed: none but those of frames that are in flight.
    if (type >= mtCritical || (std::strstr(message, "still exist") && !in_haste)) die("the core complains", message);
}

VSScript *evaluate(const char *path, int &failed) {
    VSCore *core = vsapi->createCore(0);
    vsapi->addLogHandler(log_message, nullptr, nullptr, core);
    VSScript *script = script_api->createScript(core);
    if (!script) die("no script", nullptr);
    failed = script_api->evaluateFile(script, path);
    return script;
}

// One evaluation of the script, and the frames of it that were asked for.
class Preview {
  public:
    explicit Preview(const char *path) {
        int failed = 0;
        script_ = evaluate(path, failed);
        if (failed) die("the script failed", script_api->getError(script_));
        VSCore *core = script_api->getCore(script_);
        VSCoreInfo info{};
        vsapi->getCoreInfo(core, &info);
        most_ = info.numThreads;
        output_ = script_api->getOutputNode(script_, 0);
        preview_ = to_rgb(output_, core);
    }

    int frames() const { return vsapi->getVideoInfo(output_)->numFrames; }

    // Waits where too many are in flight.
    void ask(int n) {
        wait_until_at_most(most_ - 1);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ++in_flight_;
            ++asked_;
        }
        vsapi->getFrameAsync(n, vsapi->addNodeRef(output_), restored, this);
    }

    // Frees the script once all frames have arrived; or at once, and nobody looks at the frames that arrive later. Then
    // nodes are freed last: a core that is freed by the last frame itself would wait for the thread that it is on.
    void close(bool hasty) {
        if (!hasty) free_nodes();
        in_haste = hasty;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            discarded_ = true;
        }
        script_api->freeScript(script_);
        in_haste = false;
        if (hasty) free_nodes();
        if (arrived_ != asked_) die("frames were lost", nullptr);
    }

    const Sums &sums() const { return sums_; }

  private:
    static void VS_CC restored(void *user, const VSFrame *frame, int n, VSNode *node, const char *error) {
        if (!frame) die("a frame failed", error);
        vsapi->freeFrame(frame);
        vsapi->freeNode(node);
        static_cast<Preview *>(user)->show(n);
    }

    static void VS_CC previewed(void *user, const VSFrame *frame, int n, VSNode *node, const char *error) {
        if (!frame) die("a preview frame failed", error);
        const uint64_t sum = checksum(frame);
        vsapi->freeFrame(frame);
        vsapi->freeNode(node);
        static_cast<Preview *>(user)->done(n, &sum);
    }

    void show(int n) {
        VSNode *node = nullptr;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!discarded_) node = vsapi->addNodeRef(preview_);
        }
        if (node)
            vsapi->getFrameAsync(n, node, previewed, this);
        else
            done(n, nullptr);
    }

    void done(int n, const uint64_t *sum) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (sum && !sums_.emplace(n, *sum).second && sums_[n] != *sum) die("a frame changed", nullptr);
        --in_flight_;
        ++arrived_;
        changed_.notify_all();
    }

    void free_nodes() {
        wait_until_at_most(0);
        vsapi->freeNode(preview_);
        vsapi->freeNode(output_);
    }

    void wait_until_at_most(int count) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return in_flight_ <= count; });
    }

    VSScript *script_;
    VSNode *output_, *preview_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int most_, in_flight_ = 0, asked_ = 0, arrived_ = 0;
    bool discarded_ = false;
    Sums sums_;
};

Sums play(const char *path) {
    Preview preview(path);
    for (int n = 0; n < preview.frames(); ++n) preview.ask(n);
    preview.close(false);
    return preview.sums();
}

// Seeks, then steps back from the last of them.
size_t scrub(const char *path, unsigned seed, bool hasty, const Sums &expected) {
    Preview preview(path);
    std::mt19937 random(seed);
    const int frames = preview.frames();
    int n = 0;
    for (int i = 0; i < kSeeks; ++i) preview.ask(n = static_cast<int>(random() % static_cast<unsigned>(frames)));
    for (int i = 0; i < kSteps; ++i) preview.ask(n = (n + frames - 1) % frames);
    preview.close(hasty);
    for (const auto &[number, sum] : preview.sums())
        if (expected.at(number) != sum) die("a reload gave another frame", path);
    return preview.sums().size();
}

void show_error(const char *path) {
    int failed = 0;
    VSScript *script = evaluate(path, failed);
    const char *error = script_api->getError(script);
    if (!failed || !error) die("the bad script did not fail", path);
    std::fprintf(stderr, "%s\n", error);
    script_api->freeScript(script);
}

long resident_kib() {
    long total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
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

    const Sums expected = play(argv[2]);
    size_t shown = 0;
    for (int reload = 1; reload <= kReloads; ++reload) {
        if (reload % kBadReload == 0) show_error(argv[3]);
        shown += scrub(argv[2], static_cast<unsigned>(reload), reload % kHastyReload == 0, expected);
        std::fprintf(stderr, "reload %d: %ld KiB\n", reload, resident_kib());
    }
    std::fprintf(stderr, "%zu frames, %zu shown in %d reloads\n", expected.size(), shown, kReloads);
    return 0;
}
