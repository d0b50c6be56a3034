// Attention inside shifted windows of a video in one pass: windows are read where they lie and written there, scores
// stay in registers, and biases are looked up by where two tokens lie to each other. The reference is `shifted_windows`
// of vs_vrt/ops/window_attention.py.
//
// A warp makes 16 queries of one head of one window, 64 keys at a time, with the softmax kept up to date as in
// FlashAttention (arXiv 2205.14135, algorithm 1).
//
// -DHEAD: channels of a head, even. -DVECTOR: of them that one access reads, a divisor. -DSIDE_T, _H, _W: of a window.
// -DTABLE_T, _H, _W: of the window that the table of biases is made for. -DROWS: of the table, 0 for none.

#include "device.h"

#define KEYS 64
#define DEPTH ((HEAD + 15) / 16 * 16)  // of products of tensor cores
#define TILES ((HEAD + 7) / 8)         // of 8 channels that are made
#define PADDING 8                      // rows of 4 words modulo 32: the lanes of a warp then read from different banks
#define TOKENS (SIDE_T * SIDE_H * SIDE_W)
#define LOG2E 1.44269504f                    // powers of 2 are what the device has
#define MASKED (-100 * LOG2E)                // is added to the score of two tokens that are no neighbours
#define LEAST same_bits<float>(0xff800000u)  // minus infinity

struct Windows {
    int t, h, w;                 // of the video
    int move_t, move_h, move_w;  // where the first window begins; the last one joins both ends
    int step_t, step_h, step_w;  // tokens of the last window along an axis that come from the other end
};

struct Shared {
    __align__(16) Scalar keys[KEYS * (DEPTH + PADDING)];
    __align__(16) Scalar values[DEPTH * (KEYS + PADDING)];  // transposed
    int at[TOKENS];                                         // in the video
    int place[TOKENS + KEYS];  // 8 times a code, of which differences are rows of the table, and a region
    float bias[ROWS + 1];
};

// The tokens of a window, in row-major order. Those of other regions are no neighbours.
__device__ inline void locate(Shared &shared, const Windows &s, int window) {
    const int across = s.w / SIDE_W, down = s.h / SIDE_H, deep = s.t / SIDE_T;
    const int j = window % across, i = window / across % down, d = window / across / down % deep;
    const int frames = window / across / down / deep * s.t;
    for (int n = threadIdx.x; n < TOKENS + KEYS; n += blockDim.x) {
        if (n >= TOKENS) {
            shared.place[n] = 0;  // is looked up, and does not count
            continue;
        }
        const int r = n % SIDE_W, q = n / SIDE_W % SIDE_H, p = n / SIDE_W / SIDE_H;
        const int x = j * SIDE_W + r + s.move_w, y = i * SIDE_H + q + s.move_h, z = d * SIDE_T + p + s.move_t;
        const int frame = frames + (z < s.t ? z : z - s.t), row = y < s.h ? y : y - s.h;
        // A window smaller than the table's takes the first rows, wherever its tokens really lie: so trained.
        const int code = (n / TABLE_W / TABLE_H * (2 * TABLE_H - 1) + n / TABLE_W % TABLE_H) * (2 * TABLE_W - 1);
        const int region = (d == deep - 1 && p >= SIDE_T - s.step_t ? 4 : 0) +
                           (i == down - 1 && q >= SIDE_H - s.step_h ? 2 : 0) +
                           (j == across - 1 && r >= SIDE_W - s.step_w ? 1 : 0);
        shared.at[n] = (frame * s.h + row) * s.w + (x < s.w ? x : x - s.w);
        shared.place[n] = (code + n % TABLE_W) * 8 + region;
    }
}

// Keys and values of `count` tokens, and zeros behind them. `qkv` is that of a head; a token has `channels` of each.
// Neighbouring threads have neighbouring keys: what they write to `values` lies together.
__device__ inline void load(Shared &shared, const Scalar *qkv, int first, int count, int channels) {
    typedef Vector<Scalar, VECTOR> Part;
    for (int i = threadIdx.x; i < KEYS * (DEPTH / VECTOR); i += blockDim.x) {
        const int key = i % KEYS, channel = i / KEYS * VECTOR;
        Part read[2] = {};
        if (key < count && channel < HEAD) {
            const Scalar *from = qkv + (long long)shared.at[first + key] * 3 * channels + channel;
            read[0] = *(const Part *)(from + channels), read[1] = *(const Part *)(from + 2 * channels);
        }
        *(Part *)(shared.keys + key * (DEPTH + PADDING) + channel) = read[0];
        UNROLL
        for (int n = 0; n < VECTOR; ++n) shared.values[(channel + n) * (KEYS + PADDING) + key] = read[1].lane[n];
    }
}

// Of a warp. A lane has scores of the rows lane / 4 and lane / 4 + 8 (PTX manual, fragment C of mma.m16n8k16).
struct Queries {
    unsigned of[DEPTH / 16][4];
    int place[2], to[2];
    float most[2], sum[2], made[TILES][4];

    // `first` of the `count` that begin at `own`; behind them nothing is stored, else `across` tokens further on.
    __device__ void load(const Shared &shared, const Scalar *qkv, int own, int first, int count, int across,
                         int channels) {
        UNROLL
        for (int half = 0; half < 2; ++half) {
            const int index = first + half * 8 + threadIdx.x % 32 / 4, channel = threadIdx.x % 4 * 2;
            const int token = own + min(index, count - 1);
            const Scalar *query = qkv + (long long)shared.at[token] * 3 * channels + channel;
            UNROLL
            for (int i = 0; i < DEPTH / 8; ++i)
                of[i / 2][i % 2 * 2 + half] = i * 8 + channel < HEAD ? *(const unsigned *)(query + i * 8) : 0;
            place[half] = shared.place[token];
            to[half] = index < count ? shared.at[token + across] : -1;
            most[half] = LEAST, sum[half] = 0;
        }
        UNROLL
        for (int i = 0; i < TILES * 4; ++i) made[i / 4][i % 4] = 0;
    }

    __device__ void attend(const Shared &shared, int first, int count, float scale) {
        const int row = threadIdx.x % 32 / 4, pair = threadIdx.x % 4 * 2;
        const int same = ((TABLE_T - 1) * (2 * TABLE_H - 1) + TABLE_H - 1) * (2 * TABLE_W - 1) + TABLE_W - 1;
        float score[KEYS / 8][4] = {};
        UNROLL
        for (int j = 0; j < KEYS / 8; ++j) {
            const Scalar *key = shared.keys + (j * 8 + row) * (DEPTH + PADDING) + pair;
            UNROLL
            for (int step = 0; step < DEPTH / 16; ++step) {
                const unsigned b[2] = {*(const unsigned *)(key + step * 16), *(const unsigned *)(key + step * 16 + 8)};
                multiply_add(score[j], of[step], b);
            }
            const int others[2] = {shared.place[first + j * 8 + pair], shared.place[first + j * 8 + pair + 1]};
            UNROLL
            for (int i = 0; i < 4; ++i) {
                const int mine = place[i / 2], other = others[i % 2];
                float more = (mine ^ other) & 7 ? MASKED : 0;
                if (ROWS) more += shared.bias[(mine >> 3) - (other >> 3) + same];
                score[j][i] = j * 8 + pair + i % 2 < count ? score[j][i] * scale + more : LEAST;
            }
        }
        rescale(score);
        UNROLL
        for (int step = 0; step < KEYS / 16; ++step) {
            unsigned share[4];
            UNROLL
            for (int i = 0; i < 4; ++i) {
                const float *two = score[step * 2 + i / 2] + i % 2 * 2;
                const float left = power_of_two(two[0] - most[i % 2]), right = power_of_two(two[1] - most[i % 2]);
                sum[i % 2] += left + right;
                share[i] = narrow_pair(left, right);
            }
            const Scalar *value = shared.values + row * (KEYS + PADDING) + step * 16 + pair;
            UNROLL
            for (int j = 0; j < TILES; ++j) {
                const Scalar *channel = value + j * 8 * (KEYS + PADDING);
                const unsigned b[2] = {*(const unsigned *)channel, *(const unsigned *)(channel + 8)};
                multiply_add(made[j], share, b);
            }
        }
    }

    // What was made so far counts by the highest score there is now. Four lanes have a row.
    __device__ void rescale(const float (*score)[4]) {
        UNROLL
        for (int half = 0; half < 2; ++half) {
            float highest = most[half];
            UNROLL
            for (int i = 0; i < KEYS / 4; ++i) highest = fmaxf(highest, score[i / 2][half * 2 + i % 2]);
            highest = fmaxf(highest, from_lane_xor(highest, 1));
            highest = fmaxf(highest, from_lane_xor(highest, 2));
            const float fades = power_of_two(most[half] - highest);
            most[half] = highest, sum[half] *= fades;
            UNROLL
            for (int i = 0; i < TILES * 2; ++i) made[i / 2][half * 2 + i % 2] *= fades;
        }
    }

    __device__ void store(Scalar *out, int stride) {
        UNROLL
        for (int half = 0; half < 2; ++half) {
            sum[half] += from_lane_xor(sum[half], 1);
            sum[half] += from_lane_xor(sum[half], 2);
            if (to[half] < 0) continue;
            Scalar *pair = out + (long long)to[half] * stride + threadIdx.x % 4 * 2;
            UNROLL
            for (int j = 0; j < TILES; ++j) {
                if (j * 8 + threadIdx.x % 4 * 2 >= HEAD) continue;
                *(unsigned *)(pair + j * 8) =
                    narrow_pair(made[j][half * 2] / sum[half], made[j][half * 2 + 1] / sum[half]);
            }
        }
    }
};

// qkv (b t h w (3 g d)), table (g ROWS) float -> out (b t h w stride), of which it writes the first (g d). Without a
// table, each half of a window attends to the other, and what its tokens find is written there: so trained.
// Blocks: (windows heads parts), a part being blockDim.x / 2 queries of a window or of its half.
extern "C" __global__ void window_attention(const Scalar *qkv, const float *table, Scalar *out, int stride, int heads,
                                            int t, int h, int w, int move_t, int move_h, int move_w, int step_t,
                                            int step_h, int step_w, float scale) {
    __shared__ Shared shared;
    const Windows s = {t, h, w, move_t, move_h, move_w, step_t, step_h, step_w};
    const int count = ROWS ? TOKENS : TOKENS / 2, queries = blockDim.x / 2;
    const int parts = (count + queries - 1) / queries, all = ROWS ? parts : 2 * parts;
    const int part = blockIdx.x % all, head = blockIdx.x / all % heads, window = blockIdx.x / all / heads;
    const int own = part / parts * count, across = ROWS ? 0 : count - 2 * own;
    const Scalar *of_head = qkv + head * HEAD;
    locate(shared, s, window);
    for (int i = threadIdx.x; i < ROWS; i += blockDim.x) shared.bias[i] = table[head * ROWS + i] * LOG2E;
    __syncthreads();
    Queries mine;
    mine.load(shared, of_head, own, part % parts * queries + threadIdx.x / 32 * 16, count, across, heads * HEAD);
    for (int start = 0; start < count; start += KEYS) {
        const int first = own + across + start, there = min(KEYS, count - start);
        load(shared, of_head, first, there, heads * HEAD);
        __syncthreads();
        mine.attend(shared, first, there, scale * LOG2E);
        __syncthreads();
    }
    mine.store(out + head * HEAD, stride);
}
