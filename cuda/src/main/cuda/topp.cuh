/*
 * Top-p pruning (Twilight): of the tokens on a list, each query head keeps the fewest whose weights (exponentials of logits)
 * reach the share p of all weights, with all that are equal to the last of them; the group reads the union. Three kernels, all
 * of them take ToppArgs:
 *
 *   topp_logits_<KV>_<D>   logits of the list's tokens, from INT4 keys, or from the keys themselves: those of the page being
 *                          filled, and all of them for entries that want exact logits. Tokens that are not visible get -inf.
 *                          grid = (parts, kvHeads * ceil(group / 8), batch), block = TOPP_LOGIT_THREADS
 *   topp_threshold         each head's least logit that is kept. grid = (kvHeads * group, batch), block = TOPP_THREADS
 *   topp_select            token masks, and the list without the pages that lost all tokens, in place.
 *                          grid = (any, kvHeads, batch), block = TOPP_SELECT_THREADS
 *
 * Entries whose topP is not below 1 keep their lists. The lists must have masks: those of select.cuh say nothing (all bits
 * set), after top-p they hold the tokens of an entry's page that are read.
 *
 * topp_logits: a warp takes steps of 64 tokens of the list, four tiles of 16: tile * Q^T by mma.m16n8k16 in f16. A are the
 *   levels: a nibble masked out of a word is the f16 denormal level * 2^-24, or 16 times that. B are four query heads, each
 *   twice: rounded to f16, and what is left; their products together are nearly of float precision. The order of the dimensions
 *   is free: lane 4 g + t takes what is contiguous in the rows of tokens g and g + 8, see NibbleOrder. The next step's loads are
 *   in flight meanwhile. The rare exact tiles are scalar float: two lanes a token.
 * topp_threshold: weights relative to the head's greatest logit go into a histogram by their logits, 16 bins a unit
 *   (TopP.java's), as integers, so that their order does not matter; one narrow bin remains, whose tokens are compared with each
 *   other, or if they are many, searched by their logits as ordered integers, 10 bits at a time, to the very value.
 * topp_select: a thread compares four tokens with the group's thresholds; the last CTA of a list to arrive (a ticket) compacts.
 */
#pragma once

#include "cache.cuh"
#include "select.cuh"
#include "selection.cuh"
#include <type_traits>

namespace skim::sparse {

struct ToppArgs {
    SelectionArgs common;
    const uint8_t* int4;     // the layer's INT4 page data
    const uint8_t* cache;    // of the layer
    float* logits;           // [list][group head][logitStride]: of the list's slots
    int logitStride;         // a multiple of 4
    float* maxima;           // [list][group head][logitParts]: the greatest logit of a part
    int logitParts;          // gridDim.x of topp_logits
    float* thresholds;       // [list][group head]
    int* tickets;            // [list] zero before and after
};

constexpr int TOPP_LOGIT_THREADS = 128, TOPP_THREADS = 512, TOPP_SELECT_THREADS = 256;

// ---- logits ----

/** Which dimensions lane t's nibbles are: the first 64 (of D = 128 all) are divided among four lanes, so are the others. */
template <int D>
struct NibbleOrder {
    static constexpr int LONG = D == 128 ? 4 : 2;                        // words of a lane's first load
    static constexpr int TAIL = D == 128 ? 0 : (D - 64) / 8;             // bytes of its second: 0, 2 or 4
    static constexpr int WORDS = LONG + (TAIL > 0 ? 1 : 0);
    static_assert(D == 64 || D == 80 || D == 96 || D == 128, "the loads are made for these");

    /** Loads a row of D / 2 bytes. */
    static __device__ void load(uint32_t (&words)[WORDS], const uint8_t* row, int t) {
        if constexpr (LONG == 4) {
            const uint4 x = __ldg(reinterpret_cast<const uint4*>(row) + t);
            words[0] = x.x;
            words[1] = x.y;
            words[2] = x.z;
            words[3] = x.w;
        } else {
            const uint2 x = __ldg(reinterpret_cast<const uint2*>(row) + t);
            words[0] = x.x;
            words[1] = x.y;
        }
        if constexpr (TAIL == 4) {
            words[2] = __ldg(reinterpret_cast<const uint32_t*>(row + 32) + t);
        } else if constexpr (TAIL == 2) {
            const uint32_t x = __ldg(reinterpret_cast<const uint16_t*>(row + 32) + t);
            words[2] = (x & 0xffu) | (x & 0xff00u) << 8;
        }
    }

    /** The first dimension of an mma step (of 16 dimensions) that lane t has; the others are `stride` further, 1, and both. */
    static __device__ int dimension(int step, int t) {
        if (step < 2 * LONG) {
            return t * 8 * LONG + step / 2 * 8 + step % 2 * 2;
        }
        return 64 + t * (TAIL == 2 ? 4 : 8) + step % 2 * 2 * (TAIL == 4);
    }

    static __device__ int stride(int step) { return TAIL == 2 && step == 4 ? 2 : 4; }

    /** A row's part of the A operand in an mma step, in f16: levels * 2^-24, and of the odd nibbles levels * 2^-20. */
    static __device__ uint2 levels(const uint32_t (&words)[WORDS], int step) {
        const uint32_t word = words[step / 2] >> (step % 2 * 8);
        return make_uint2(word & 0x000f000fu, word & 0x00f000f0u);
    }
};

/** Four stored values as floats. */
template <class X>
__device__ inline float4 loadFour(const uint8_t* from) {
    uint2 pairs;
    if constexpr (X::BYTES == 2) {
        pairs = X::widen(*reinterpret_cast<const uint2*>(from));
    } else {
        pairs = X::widen(*reinterpret_cast<const uint32_t*>(from));
    }
    float2 lower, upper;
    if constexpr (std::is_same_v<X, KvBf16>) {
        lower = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&pairs.x));
        upper = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&pairs.y));
    } else {
        lower = __half22float2(*reinterpret_cast<__half2*>(&pairs.x));
        upper = __half22float2(*reinterpret_cast<__half2*>(&pairs.y));
    }
    return make_float4(lower.x, lower.y, upper.x, upper.y);
}

template <int D>
struct LogitShared {
    alignas(16) float q[8][D];       // scaled; zero beyond the group
    uint2 operands[2][D / 16][32];   // B of heads 0 - 3 and 4 - 7: columns 0 - 3 upper parts, 4 - 7 what is left
    float sums[8];
    uint32_t maxima[8];              // ordered keys
    uint32_t magnitude;              // bits of the greatest |q|
};

/** Exact logits of 16 tokens: lanes 2 i and 2 i + 1 take half of token i's key each. */
template <class X, int D>
__device__ void exactTile(LogitShared<D>& shared, const uint8_t* block, int pageSize, int token, int heads, bool visible,
                          float* logits, int stride) {
    constexpr int FOURS = D / 8;
    const int half = threadIdx.x % 2;
    const uint8_t* key = block + (token * D + half * (D / 2)) * X::BYTES;
    float4 k[FOURS];
#pragma unroll
    for (int d = 0; d < FOURS; d++) {
        k[d] = loadFour<X>(key + 4 * d * X::BYTES);
    }
    float scale = 1.f;
    if constexpr (X::SCALED) {
        scale = reinterpret_cast<const float*>(block + kvScaleOffset<X>(D, pageSize))[token];
    }
    for (int h = 0; h < heads; h++) {
        float sum = 0.f;
#pragma unroll
        for (int d = 0; d < FOURS; d++) {
            const float4 q = *reinterpret_cast<const float4*>(&shared.q[h][half * (D / 2) + 4 * d]);
            sum += k[d].x * q.x + k[d].y * q.y + k[d].z * q.z + k[d].w * q.w;
        }
        sum = (sum + __shfl_xor_sync(0xffffffffu, sum, 1)) * scale;
        const float logit = visible ? sum : -INFINITY;
        if (half == 0) {
            logits[static_cast<size_t>(h) * stride] = logit;
        }
        const uint32_t greatest = __reduce_max_sync(0xffffffffu, orderedKey(logit));
        if (threadIdx.x % 32 == 0) {
            atomicMax(&shared.maxima[h], greatest);
        }
    }
}

/** Stages the queries; returns the power of two that products of INT4 levels are to be multiplied with. */
template <int D>
__device__ float stageQueries(LogitShared<D>& shared, const float* q, int heads, float scale) {
    using Order = NibbleOrder<D>;
    constexpr int WARPS = TOPP_LOGIT_THREADS / 32;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    float x[8 * D / TOPP_LOGIT_THREADS], greatest = 0.f;
#pragma unroll
    for (int i = 0; i < 8 * D / TOPP_LOGIT_THREADS; i++) {
        const int at = i * TOPP_LOGIT_THREADS + threadIdx.x;
        x[i] = at < heads * D ? q[at] * scale : 0.f;
        greatest = fmaxf(greatest, fabsf(x[i]));
    }
    if (threadIdx.x < 8) {
        shared.maxima[threadIdx.x] = 0;
    }
    if (threadIdx.x == 0) {
        shared.magnitude = 0;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 8 * D / TOPP_LOGIT_THREADS; i++) {
        (&shared.q[0][0])[i * TOPP_LOGIT_THREADS + threadIdx.x] = x[i];
    }
    const uint32_t magnitude = __reduce_max_sync(0xffffffffu, __float_as_uint(greatest));
    if (lane == 0) {
        atomicMax(&shared.magnitude, magnitude);
    }
    __syncthreads();
    // The greatest |q| comes to lie between 2^9 and 2^10: what is left of values is not lost among the denormals then.
    const int exponent = max(-100, min(100, static_cast<int>(shared.magnitude >> 23) - 127));
    const float up = __uint_as_float(static_cast<uint32_t>(127 + 9 - exponent) << 23);
    for (int step = warp; step < D / 16; step += WARPS) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float* row = &shared.q[4 * half + g % 4][Order::dimension(step, t)];
            uint32_t pairs[2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const float factor = i == 0 ? up : up * (1.f / 16);
                const float a = row[i] * factor, b = row[i + Order::stride(step)] * factor;
                pairs[i] = packF16(a, b);
                const __half2 rounded = *reinterpret_cast<__half2*>(&pairs[i]);
                if (g >= 4) {
                    pairs[i] = packF16(a - __low2float(rounded), b - __high2float(rounded));
                }
            }
            shared.operands[half][step][lane] = make_uint2(pairs[0], pairs[1]);
        }
    }
    for (int h = warp; h < 8; h += WARPS) {
        float sum = 0.f;
        for (int d = lane; d < D; d += 32) {
            sum += shared.q[h][d];
        }
#pragma unroll
        for (int step = 16; step > 0; step /= 2) {
            sum += __shfl_xor_sync(0xffffffffu, sum, step);
        }
        shared.sums[h] = sum;
    }
    __syncthreads();
    return 16777216.f / up;
}

/** What a lane holds of a step's INT4 keys: rows g and g + 8 of each tile, the scale and minimum of row g + 8 * (t / 2). */
template <int D>
struct LogitStep {
    static constexpr int TILES = 4, TOKENS = 16 * TILES;
    uint32_t words[TILES][2][NibbleOrder<D>::WORDS];
    uint32_t pairs[TILES];

    /** Tiles of page -1 stay as they are. */
    __device__ void load(const uint8_t* int4, const int (&pages)[TILES], int kvHeads, int kvHead, int pageSize) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            if (pages[j] >= 0) {
                const int token = (16 * j + g) & (pageSize - 1);
                const uint8_t* block = kvBlock(int4, pages[j], kvHeads, kvHead, int4BlockBytes(D, pageSize));
                NibbleOrder<D>::load(words[j][0], block + token * (D / 2), t);
                NibbleOrder<D>::load(words[j][1], block + (token + 8) * (D / 2), t);
                const uint32_t* scales = reinterpret_cast<const uint32_t*>(block + int4PairOffset(D, pageSize));
                pairs[j] = __ldg(scales + token + t / 2 * 8);
            }
        }
    }
};

template <class X, int D>
__device__ void toppLogits(const ToppArgs& args) {
    using Step = LogitStep<D>;
    constexpr int WARPS = TOPP_LOGIT_THREADS / 32, TILES = Step::TILES;
    const SelectionArgs& common = args.common;
    const int headTiles = (common.group + 7) / 8, kvHead = blockIdx.y / headTiles, firstHead = blockIdx.y % headTiles * 8;
    const int heads = min(8, common.group - firstHead), entry = blockIdx.z;
    const int list = entry * common.kvHeads + kvHead;
    __shared__ LogitShared<D> shared;
    const int lane = threadIdx.x % 32, warp = blockIdx.x * WARPS + threadIdx.x / 32, warps = gridDim.x * WARPS;
    const int g = lane / 4, t = lane % 4;
    const int pageSize = common.pageSize, pageShift = pageSize == 64 ? 6 : pageSize == 32 ? 5 : 4;
    const RowMethod& method = common.methods[entry];
    const VisiblePages visible(common, entry);
    const int count = method.topP < 1.f ? visible.listedAgain(method, pageSize) : 0, last = visible.lastListSlot(count, pageSize);
    const int exactFrom = method.exactLogits ? 0 : max(0, count - 1);   // entries whose logits are exact
    const int steps = (exactFrom * pageSize + Step::TOKENS - 1) / Step::TOKENS;
    const float down = stageQueries<D>(shared, queries(common, entry, kvHead, D) + firstHead * D, heads, common.scale);
    waitForPreviousKernel();
    const int* pages = common.lists.pages + static_cast<size_t>(list) * common.lists.stride;
    int ahead[TILES];
#pragma unroll
    for (int j = 0; j < TILES; j++) {
        ahead[j] = pages[min((warp * Step::TOKENS + 16 * j) >> pageShift, common.lists.stride - 1)];
    }
    const int first = common.lists.first[list];
    float* logits = args.logits + (static_cast<size_t>(list) * common.group + firstHead) * args.logitStride;

    int listed[TILES];   // of the step whose loads come next
    const auto loadPages = [&](int step) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            const int e = (step * Step::TOKENS + 16 * j) >> pageShift;
            listed[j] = e < exactFrom ? pages[e] : -1;
        }
    };
    Step now = {}, next = {};
#pragma unroll
    for (int j = 0; j < TILES; j++) {
        listed[j] = (warp * Step::TOKENS + 16 * j) >> pageShift < exactFrom ? ahead[j] : -1;
    }
    now.load(args.int4, listed, common.kvHeads, kvHead, pageSize);
    loadPages(warp + warps);
    float maxima[2][2] = {{-INFINITY, -INFINITY}, {-INFINITY, -INFINITY}};
    const bool upperRow = t >= 2;   // of the two rows of a tile that this lane finishes
    const int column = 2 * (t % 2);
    for (int step = warp; step < steps; step += warps) {
        next.load(args.int4, listed, common.kvHeads, kvHead, pageSize);
        loadPages(step + 2 * warps);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (4 * half < heads) {
                float c[TILES][4] = {};
#pragma unroll
                for (int s = 0; s < D / 16; s++) {
                    const uint2 b = shared.operands[half][s][lane];
#pragma unroll
                    for (int j = 0; j < TILES; j++) {
                        const uint2 row = NibbleOrder<D>::levels(now.words[j][0], s);
                        const uint2 rowPlus8 = NibbleOrder<D>::levels(now.words[j][1], s);
                        const uint32_t a[4] = {row.x, rowPlus8.x, row.y, rowPlus8.y};
                        mmaF16(c[j], a, b.x, b.y);
                    }
                }
                const float sums[2] = {shared.sums[4 * half + column], shared.sums[4 * half + column + 1]};
#pragma unroll
                for (int j = 0; j < TILES; j++) {
                    const int slot = step * Step::TOKENS + 16 * j + g + (upperRow ? 8 : 0);
                    const float scale = __uint_as_float(now.pairs[j] << 16) * down;
                    const float minimum = __uint_as_float(now.pairs[j] & 0xffff0000u);
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        // Upper parts are in lanes t and what is left in lanes t + 2, of both rows: each finishes one row.
                        const float given = __shfl_xor_sync(0xffffffffu, upperRow ? c[j][i] : c[j][i + 2], 2);
                        const float product = (upperRow ? c[j][i + 2] : c[j][i]) + given;
                        const int head = 4 * half + column + i;
                        if (slot < exactFrom * pageSize && head < heads) {
                            const bool visible = slot >= first && slot < last;
                            const float logit = visible ? scale * product + minimum * sums[i] : -INFINITY;
                            maxima[half][i] = fmaxf(maxima[half][i], logit);
                            logits[static_cast<size_t>(head) * args.logitStride + slot] = logit;
                        }
                    }
                }
            }
        }
        now = next;
    }
    // Exact tiles from the last warp down: those have the fewest steps.
    for (int tile = exactFrom * pageSize / 16 + warps - 1 - warp; tile < count * pageSize / 16; tile += warps) {
        const int slot = 16 * tile + lane / 2;
        const uint8_t* block =
            kvBlock(args.cache, pages[slot >> pageShift], common.kvHeads, kvHead, kvBlockBytes<X>(D, pageSize));
        exactTile<X, D>(shared, block, pageSize, slot & (pageSize - 1), heads, slot >= first && slot < last, logits + slot,
                        args.logitStride);
    }
    letNextKernelStart();
    if (count == 0) {
        return;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (4 * half < heads) {   // the lanes of equal t % 2 have the same heads
                float maximum = maxima[half][i];
#pragma unroll
                for (int distance = 2; distance < 32; distance *= 2) {
                    maximum = fmaxf(maximum, __shfl_xor_sync(0xffffffffu, maximum, distance));
                }
                if (lane < 2) {
                    atomicMax(&shared.maxima[4 * half + column + i], orderedKey(maximum));
                }
            }
        }
    }
    __syncthreads();
    if (threadIdx.x < heads) {
        const size_t row = static_cast<size_t>(list) * common.group + firstHead + threadIdx.x;
        args.maxima[row * args.logitParts + blockIdx.x] = orderedValue(shared.maxima[threadIdx.x]);
    }
}

// ---- thresholds ----

constexpr int TOPP_BINS = 1024, TOPP_BINS_PER_UNIT = 16, TOPP_MEMBERS = 2048, TOPP_COMPARED = 256;

struct ThresholdShared {
    alignas(16) uint32_t bins[TOPP_BINS];
    uint2 members[TOPP_MEMBERS];      // of the narrow bin, as far as there is room: ordered key of the logit, weight
    BinSearch<unsigned long long> wide;
    BinSearch<uint32_t> narrow;
    int count;
    uint32_t found;                   // key
    uint32_t least, greatest;         // keys of members
};

/** Weights of a bin's tokens as integers: relative to the bin's greatest possible weight, times unit. */
struct BinWeights {
    float maximum;
    float unit;

    static __device__ int bin(float distance) { return static_cast<int>(fminf(TOPP_BINS - 1, distance * TOPP_BINS_PER_UNIT)); }

    __device__ uint32_t of(float distance, int bin) const {
        return static_cast<uint32_t>(exp2f((bin * (1.f / TOPP_BINS_PER_UNIT) - distance) * 1.4426950408889634f) * unit + 0.5f);
    }
};

/** The list's logits of a head. A thread takes four at a time, and keeps the first of them. */
struct HeadLogits {
    static constexpr int KEPT = 4;
    const float4* logits;
    int fours;
    float4 kept[KEPT];

    __device__ HeadLogits(const float* from, int tokens) : logits(reinterpret_cast<const float4*>(from)), fours(tokens / 4) {
#pragma unroll
        for (int i = 0; i < KEPT; i++) {
            const int at = i * TOPP_THREADS + threadIdx.x;
            kept[i] = at < fours ? __ldcg(logits + at) : make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
        }
    }

    template <class Body>
    __device__ void forEach(const Body& body) const {
        const auto each = [&](float4 x) {
            body(x.x);
            body(x.y);
            body(x.z);
            body(x.w);
        };
#pragma unroll
        for (int i = 0; i < KEPT; i++) {
            if (i * TOPP_THREADS + static_cast<int>(threadIdx.x) < fours) {
                each(kept[i]);
            }
        }
#pragma unroll 2
        for (int at = KEPT * TOPP_THREADS + threadIdx.x; at < fours; at += TOPP_THREADS) {
            each(__ldcg(logits + at));
        }
    }
};

/**
 * The greatest key of the narrow bin such that the tokens from it on weigh at least `missing`, which all of them do. forMembers
 * calls its argument with the key and the weight of each of the bin's tokens.
 */
template <class ForMembers>
__device__ uint32_t toppSearch(ThresholdShared& shared, uint32_t missing, const ForMembers& forMembers) {
    uint32_t low = shared.least, high = shared.greatest;
    while (low < high) {
        const int shift = max(0, 32 - __clz(high - low) - 10);
        for (int bin = threadIdx.x; bin < TOPP_BINS; bin += TOPP_THREADS) {
            shared.bins[bin] = 0;
        }
        __syncthreads();
        forMembers([&](uint32_t key, uint32_t weight) {
            if (key >= low && key <= high) {
                atomicAdd(&shared.bins[(high - key) >> shift], weight);
            }
        });
        __syncthreads();
        findCount<TOPP_THREADS, TOPP_BINS>(shared.narrow, shared.bins, missing);
        missing -= shared.narrow.before;
        high -= static_cast<uint32_t>(shared.narrow.bin) << shift;
        low = max(low, high - min(high, (1u << shift) - 1));
    }
    return high;
}

/** The same for a few members: each is compared with all. */
__device__ inline uint32_t toppCompare(ThresholdShared& shared, uint32_t missing, int members) {
    constexpr int LANES = TOPP_THREADS / TOPP_COMPARED;   // that share a member
    const int member = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    if (threadIdx.x / 32 * (32 / LANES) < members) {
        const uint32_t own = shared.members[min(member, members - 1)].x;
        uint32_t weight = 0;
#pragma unroll 4
        for (int i = lane; i < members; i += LANES) {
            const uint2 other = shared.members[i];
            weight += other.x >= own ? other.y : 0;
        }
#pragma unroll
        for (int step = 1; step < LANES; step *= 2) {
            weight += __shfl_xor_sync(0xffffffffu, weight, step);
        }
        const uint32_t greatest = __reduce_max_sync(0xffffffffu, weight >= missing ? own : 0);
        if (threadIdx.x % 32 == 0) {
            atomicMax(&shared.found, greatest);
        }
    }
    __syncthreads();
    return shared.found;
}

extern "C" __global__ void __launch_bounds__(TOPP_THREADS, 2) topp_threshold(const __grid_constant__ ToppArgs args) {
    __shared__ ThresholdShared shared;
    const SelectionArgs& common = args.common;
    const int lane = threadIdx.x % 32, entry = blockIdx.y;
    const size_t row = static_cast<size_t>(entry) * common.kvHeads * common.group + blockIdx.x;
    const RowMethod& method = common.methods[entry];
    const float topP = method.topP;
    const int tokens = VisiblePages(common, entry).listedAgain(method, common.pageSize) * common.pageSize;
    waitForPreviousKernel();
    if (topP >= 1.f || tokens == 0) {
        return;
    }
    const HeadLogits logits(args.logits + row * args.logitStride, tokens);
    float maximum = -INFINITY;
    for (int part = lane; part < args.logitParts; part += 32) {
        maximum = fmaxf(maximum, __ldcg(args.maxima + row * args.logitParts + part));
    }
    for (int bin = threadIdx.x; bin < TOPP_BINS; bin += TOPP_THREADS) {
        shared.bins[bin] = 0;
    }
    if (threadIdx.x == 0) {
        shared.count = 0;
        shared.found = 0;
        shared.least = ~0u;
        shared.greatest = 0;
    }
    maximum = orderedValue(__reduce_max_sync(0xffffffffu, orderedKey(maximum)));
    // All weights of a bin together stay below 2^32.
    const BinWeights weights{maximum, exp2f(31 - (32 - __clz(tokens - 1)))};
    __syncthreads();
    logits.forEach([&](float x) {
        const float distance = maximum - x;
        const int bin = BinWeights::bin(distance);
        if (bin < TOPP_BINS - 1) {   // what is in the last bin weighs nothing
            atomicAdd(&shared.bins[bin], weights.of(distance, bin));
        }
    });
    __syncthreads();
    letNextKernelStart();
    // Sums over bins in integers as well; all of them are below 2^62.
    const auto factor = [](int bin) { return exp2f(31.f - bin * (1.4426950408889634f / TOPP_BINS_PER_UNIT)); };
    unsigned long long wanted = 0;
    constexpr int OWN = TOPP_BINS / TOPP_THREADS;
    findBin<TOPP_THREADS, TOPP_BINS>(
        shared.wide,
        [&](unsigned long long (&own)[OWN]) {
#pragma unroll
            for (int i = 0; i < OWN; i++) {
                const int bin = threadIdx.x * OWN + i;
                own[i] = static_cast<unsigned long long>(static_cast<float>(shared.bins[bin]) * factor(bin));
            }
        },
        [&](unsigned long long all) {
            wanted = max(1ull, static_cast<unsigned long long>(static_cast<double>(topP) * static_cast<double>(all)));
            return wanted;
        });
    const int narrow = shared.wide.bin;
    float threshold = -INFINITY;
    if (narrow >= 0) {
        const float share = ceilf(static_cast<float>(wanted - shared.wide.before) / factor(narrow));
        const uint32_t missing = max(1u, min(shared.bins[narrow], static_cast<uint32_t>(share)));
        uint32_t least = ~0u, greatest = 0;
        logits.forEach([&](float x) {
            if (BinWeights::bin(maximum - x) == narrow) {
                const uint32_t key = orderedKey(x);
                least = min(least, key);
                greatest = max(greatest, key);
                const int place = atomicAdd(&shared.count, 1);
                if (place < TOPP_MEMBERS) {
                    shared.members[place] = make_uint2(key, weights.of(maximum - x, narrow));
                }
            }
        });
        least = __reduce_min_sync(0xffffffffu, least);
        greatest = __reduce_max_sync(0xffffffffu, greatest);
        if (lane == 0 && least <= greatest) {
            atomicMin(&shared.least, least);
            atomicMax(&shared.greatest, greatest);
        }
        __syncthreads();
        const int members = shared.count;
        uint32_t key;
        if (members <= TOPP_COMPARED) {
            key = toppCompare(shared, missing, members);
        } else if (members <= TOPP_MEMBERS) {
            key = toppSearch(shared, missing, [&](const auto& body) {
                for (int i = threadIdx.x; i < members; i += TOPP_THREADS) {
                    body(shared.members[i].x, shared.members[i].y);
                }
            });
        } else {
            key = toppSearch(shared, missing, [&](const auto& body) {
                logits.forEach([&](float x) {
                    if (BinWeights::bin(maximum - x) == narrow) {
                        body(orderedKey(x), weights.of(maximum - x, narrow));
                    }
                });
            });
        }
        threshold = orderedValue(key);
    }
    if (threadIdx.x == 0) {
        args.thresholds[row] = threshold;
    }
}

// ---- masks and lists ----

constexpr int TOPP_PART = 4096;   // tokens of a list that a CTA masks at a time

struct ToppSelectShared {
    uint32_t words[TOPP_PART / 32];   // a bit for each token
    float thresholds[SELECT_MAX_GROUP];
    int totals[32];
    int ticket;
};

/** Masks of the entries that hold the list's tokens [from, from + TOPP_PART). */
__device__ inline void toppMasks(const ToppArgs& args, ToppSelectShared& shared, const RowMethod& method,
                                 const VisiblePages& visible, int list, int from, int tokens) {
    const SelectionArgs& common = args.common;
    const int lane = threadIdx.x % 32, pageSize = common.pageSize;
    const size_t stride = args.logitStride;
    const float* logits = args.logits + list * common.group * stride + from;
    constexpr int OWN = TOPP_PART / 4 / TOPP_SELECT_THREADS;
    uint32_t bits[OWN] = {};
#pragma unroll 2
    for (int head = 0; head < common.group; head++) {
        const float threshold = shared.thresholds[head];
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const int token = (i * TOPP_SELECT_THREADS + threadIdx.x) * 4;
            if (from + token < tokens) {
                const float4 x = __ldcg(reinterpret_cast<const float4*>(logits + head * stride + token));
                bits[i] |= (x.x >= threshold ? 1u : 0u) | (x.y >= threshold ? 2u : 0u) | (x.z >= threshold ? 4u : 0u)
                        | (x.w >= threshold ? 8u : 0u);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {   // eight lanes make a word
        uint32_t word = bits[i] << (lane % 8 * 4);
        word |= __shfl_xor_sync(0xffffffffu, word, 1);
        word |= __shfl_xor_sync(0xffffffffu, word, 2);
        word |= __shfl_xor_sync(0xffffffffu, word, 4);
        if (lane % 8 == 0) {
            shared.words[(i * TOPP_SELECT_THREADS + threadIdx.x) / 8] = word;
        }
    }
    __syncthreads();
    const size_t at = static_cast<size_t>(list) * common.lists.stride + from / pageSize;
    const int entries = min(TOPP_PART, tokens - from) / pageSize;
    for (int e = threadIdx.x; e < entries; e += TOPP_SELECT_THREADS) {
        const int index = common.lists.indices[at + e], token = e * pageSize;
        uint64_t mask = shared.words[token / 32] >> token % 32;
        if (pageSize == 64) {
            mask |= static_cast<uint64_t>(shared.words[token / 32 + 1]) << 32;
        }
        mask = (mask | visible.forcedTokens(method, index, pageSize)) & visible.visibleTokens(index, pageSize);
        common.lists.masks[at + e] = mask & tokenRange(0, pageSize);
    }
    __syncthreads();
}

/** Drops the entries without tokens. */
__device__ inline void toppCompact(const SelectionArgs& args, ToppSelectShared& shared, const VisiblePages& visible, int list,
                                   int count) {
    constexpr int ITEMS = 4, ROUND = ITEMS * TOPP_SELECT_THREADS, WARPS = TOPP_SELECT_THREADS / 32;
    const PageLists& lists = args.lists;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const size_t at = static_cast<size_t>(list) * lists.stride;
    int kept = 0;
    for (int from = 0; from < count; from += ROUND) {
        uint64_t masks[ITEMS];
        int pages[ITEMS], indices[ITEMS], own = 0;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const int e = from + (warp * ITEMS + i) * 32 + lane;
            masks[i] = e < count ? __ldcg(reinterpret_cast<const unsigned long long*>(lists.masks + at + e)) : 0;
            pages[i] = e < count ? __ldcg(lists.pages + at + e) : 0;
            indices[i] = e < count ? __ldcg(lists.indices + at + e) : 0;
        }
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            own += __popc(__ballot_sync(0xffffffffu, masks[i] != 0));
        }
        int place = kept + sumOfWarpsBefore<TOPP_SELECT_THREADS>(own, shared.totals);   // its barrier: the round has been read
        kept += __reduce_add_sync(0xffffffffu, lane < WARPS ? shared.totals[lane] : 0);
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const uint32_t those = __ballot_sync(0xffffffffu, masks[i] != 0);
            if (masks[i] != 0) {
                const int to = place + __popc(those & ((1u << lane) - 1));
                lists.masks[at + to] = masks[i];
                lists.pages[at + to] = pages[i];
                lists.indices[at + to] = indices[i];
                if (to == 0) {
                    lists.first[list] = visible.firstListSlot(indices[i], args.pageSize);
                }
            }
            place += __popc(those);
        }
        __syncthreads();   // totals have been read
    }
    if (threadIdx.x == 0) {
        lists.counts[list] = kept;
        lists.last[list] = visible.lastListSlot(kept, args.pageSize);
    }
}

extern "C" __global__ void __launch_bounds__(TOPP_SELECT_THREADS) topp_select(const __grid_constant__ ToppArgs args) {
    __shared__ ToppSelectShared shared;
    const SelectionArgs& common = args.common;
    const int entry = blockIdx.z, list = entry * common.kvHeads + blockIdx.y;
    const RowMethod method = common.methods[entry];
    const VisiblePages visible(common, entry);
    const int count = visible.listedAgain(method, common.pageSize), tokens = count * common.pageSize;
    const int parts = (tokens + TOPP_PART - 1) / TOPP_PART, ctas = min(static_cast<int>(gridDim.x), parts);
    waitForPreviousKernel();
    if (method.topP >= 1.f || static_cast<int>(blockIdx.x) >= ctas) {
        return;
    }
    for (int head = threadIdx.x; head < common.group; head += TOPP_SELECT_THREADS) {
        shared.thresholds[head] = __ldcg(args.thresholds + static_cast<size_t>(list) * common.group + head);
    }
    __syncthreads();
    for (int part = blockIdx.x; part < parts; part += ctas) {
        toppMasks(args, shared, method, visible, list, part * TOPP_PART, tokens);
    }
    letNextKernelStart();
    if (ctas > 1 && !isLast(&args.tickets[list], ctas, shared.ticket)) {
        return;
    }
    __syncthreads();
    toppCompact(common, shared, visible, list, count);
}

// ---- kernels ----

#define SKIM_TOPP(name, X, D)                                                                                              \
    extern "C" __global__ void __launch_bounds__(TOPP_LOGIT_THREADS, 4) topp_logits_##name##_##D(                          \
        const __grid_constant__ ToppArgs args) {                                                                          \
        toppLogits<X, D>(args);                                                                                           \
    }
#define SKIM_TOPP_ALL(name, X) \
    SKIM_TOPP(name, X, 64)     \
    SKIM_TOPP(name, X, 80)     \
    SKIM_TOPP(name, X, 96)     \
    SKIM_TOPP(name, X, 128)

SKIM_TOPP_ALL(bf16, KvBf16)
SKIM_TOPP_ALL(f16, KvF16)
SKIM_TOPP_ALL(fp8, KvFp8)
SKIM_TOPP_ALL(int8, KvInt8)

#undef SKIM_TOPP_ALL
#undef SKIM_TOPP

}  // namespace skim::sparse
