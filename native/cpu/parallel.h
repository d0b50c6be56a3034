// Row blocks over plain threads: no second OpenMP runtime beside torch's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace vrt {

// Calls work(begin, end) for ranges that cover 0..count, on as many threads as the caller has; the last part on this
// one.
template <class Work>
void in_parallel(int64_t count, int threads, const Work &work) {
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, count));
    std::vector<std::thread> others;
    others.reserve(parts - 1);
    int64_t part = 1;
    try {
        for (; part < parts; ++part)
            others.emplace_back([&, part] { work(count * (part - 1) / parts, count * part / parts); });
    } catch (const std::system_error &) {  // no more threads: the rest is done here
    }
    work(count * (part - 1) / parts, count);
    for (auto &each : others) each.join();
}

}  // namespace vrt

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
// One body for each kind of CPU; the loader picks.
#define VRT_CLONES __attribute__((target_clones("default", "avx2,fma", "arch=x86-64-v4")))
#define VRT_INLINE inline __attribute__((always_inline))
#else
#define VRT_CLONES
#define VRT_INLINE inline
#endif

#if defined(_WIN32)
#define VRT_EXPORT extern "C" __declspec(dllexport)
#else
#define VRT_EXPORT extern "C" __attribute__((visibility("default")))
#endif
