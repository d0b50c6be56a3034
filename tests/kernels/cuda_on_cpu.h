// Enough of CUDA to run a kernel on a CPU: the threads of a block take turns, and change where they wait. A warp runs
// on to the next barrier of its block while the others stand still, which shows where one is missing.
//
// A warp's matrix product goes by the PTX manual, lane by lane. With VRT_BACKWARDS=1 in the environment
// threads take turns in the other order: a kernel without races gives the same bytes.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define UNROLL

struct Place {
    int x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

using std::min;

namespace emulator {

struct Barrier {
    int arrived = 0, generation = 0;
};

struct Warp {
    Barrier barrier;
    unsigned a[32][4], b[32][2];
    float lane[32];
};

static ucontext_t scheduler;
static std::vector<ucontext_t> contexts;
static std::vector<char> done, parked;  // parked: waits for its block
static Barrier block;
static std::vector<Warp> warps;
static std::function<void()> body;

inline void wait(Barrier &barrier, int count) {
    const int mine = threadIdx.x, generation = barrier.generation;
    if (++barrier.arrived == count) {
        barrier.arrived = 0;
        ++barrier.generation;
    }
    while (barrier.generation == generation) {
        swapcontext(&contexts[mine], &scheduler);
        threadIdx.x = mine;
    }
}

inline Warp &warp() { return warps[threadIdx.x / 32]; }

inline void wait_for_warp() { wait(warp().barrier, min(32, blockDim.x - threadIdx.x / 32 * 32)); }

inline void enter(int thread) {
    threadIdx = {thread, 0, 0};
    body();
    done[thread] = 1;
}

inline void run_block() {
    const int threads = blockDim.x;
    const bool backwards = std::getenv("VRT_BACKWARDS");
    static std::vector<std::vector<char>> stacks;
    stacks.resize(threads, std::vector<char>(128 << 10));
    contexts.assign(threads, {});
    done.assign(threads, 0);
    parked.assign(threads, 0);
    warps.assign((threads + 31) / 32, {});
    block = {};
    for (int i = 0; i < threads; ++i) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = stacks[i].data();
        contexts[i].uc_stack.ss_size = stacks[i].size();
        contexts[i].uc_link = &scheduler;
        makecontext(&contexts[i], reinterpret_cast<void (*)()>(enter), 1, i);
    }
    for (int left = threads; left > 0;)
        for (int turn = 0; turn < threads; turn += 32) {
            const int first = backwards ? (threads - 1 - turn) / 32 * 32 : turn, last = min(first + 32, threads);
            for (bool moves = true; moves;) {
                moves = false;
                for (int lane = 0; lane < last - first; ++lane) {
                    const int i = backwards ? last - 1 - lane : first + lane;
                    if (done[i] || parked[i]) continue;
                    swapcontext(&scheduler, &contexts[i]);
                    left -= done[i];
                    moves = true;
                }
            }
        }
}

template <typename... Types, size_t... I>
void launch(void (*kernel)(Types...), const int64_t *shape, void **arguments, std::index_sequence<I...>) {
    gridDim = {int(shape[0]), int(shape[1]), int(shape[2])};
    blockDim = {int(shape[3]), 1, 1};
    body = [=] { kernel(*static_cast<std::decay_t<Types> *>(arguments[I])...); };
    for (int z = 0; z < gridDim.z; ++z)
        for (int y = 0; y < gridDim.y; ++y)
            for (int x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                run_block();
            }
}

}  // namespace emulator

// arguments: where each one is, as the driver takes them
#define RUNS_ON_CPU(kernel)                                                                                \
    extern "C" void run_##kernel(const int64_t *shape, void **arguments) {                                 \
        auto unpack = []<typename... Types>(void (*entry)(Types...), const int64_t *sizes, void **given) { \
            emulator::launch(entry, sizes, given, std::index_sequence_for<Types...>());                    \
        };                                                                                                 \
        unpack(kernel, shape, arguments);                                                                  \
    }

inline void __syncthreads() {
    emulator::parked[threadIdx.x] = emulator::block.arrived + 1 < blockDim.x;
    if (!emulator::parked[threadIdx.x]) std::fill(emulator::parked.begin(), emulator::parked.end(), 0);
    emulator::wait(emulator::block, blockDim.x);
}

inline float half_to_float(unsigned short bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float sign = bits & 0x8000 ? -1.f : 1.f;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? std::ldexp(1024.f + fraction, exponent - 25) : std::ldexp(float(fraction), -24));
}

inline unsigned short float_to_half(float value) {
    const unsigned short sign = std::signbit(value) ? 0x8000 : 0;
    if (std::isnan(value)) return 0x7fff;
    const float size = std::fabs(value);
    if (size >= 65520.f) return sign | 0x7c00;
    int exponent;
    std::frexp(size, &exponent);
    exponent = std::max(exponent, -13);                                      // below, steps get no finer
    const int steps = int(std::nearbyint(std::ldexp(size, 11 - exponent)));  // ties to even
    return sign | (steps < 1024 ? steps : ((exponent + 13) << 10) + steps);
}

inline float from_lane_xor(float value, int mask) {
    emulator::Warp &warp = emulator::warp();
    warp.lane[threadIdx.x % 32] = value;
    emulator::wait_for_warp();
    const float found = warp.lane[threadIdx.x % 32 ^ mask];
    emulator::wait_for_warp();
    return found;
}

inline float power_of_two(float exponent) { return std::exp2(exponent); }

inline float widen(unsigned short bits);

inline void multiply_add(float *d, const unsigned *a, const unsigned *b) {
    emulator::Warp &warp = emulator::warp();
    const int lane = threadIdx.x % 32, group = lane / 4, inner = lane % 4;
    std::memcpy(warp.a[lane], a, sizeof(warp.a[lane]));
    std::memcpy(warp.b[lane], b, sizeof(warp.b[lane]));
    emulator::wait_for_warp();
    const auto half = [](unsigned word, int k) { return widen((unsigned short)(k % 2 ? word >> 16 : word & 0xffff)); };
    for (int i = 0; i < 4; ++i) {
        const int row = group + i / 2 * 8, column = inner * 2 + i % 2;
        for (int k = 0; k < 16; ++k) {
            const float left = half(warp.a[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2], k);
            d[i] += left * half(warp.b[column * 4 + k % 8 / 2][k / 8], k);
        }
    }
    emulator::wait_for_warp();
}
