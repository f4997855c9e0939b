/*
 * Top-p pruning (Twilight): of the tokens on a list, each query head keeps the fewest whose weights (exponentials of logits)
 * reach the share p of all weights, with all that are equal to the last of them; the group reads the union. Two kernels, both take
 * ToppArgs:
 *
 *   topp_logits_<KV>_<D>   logits of the list's tokens, from INT4 keys, or from the keys themselves: those of the page being
 *                          filled, and all of them for entries that want exact logits. Tokens that are not visible get -inf.
 *                          grid = (parts, kvHeads * ceil(group / 8), batch), block = TOPP_LOGIT_THREADS
 *   topp_tokens            the tokens that are kept, in the order of the sequence.
 *                          grid = (kvHeads * group, batch), block = TOPP_THREADS
 *
 * Lists of pages stay as they are. Those of entries whose topP is not below 1 have no tokens: their count is -1.
 *
 * topp_logits: a warp takes steps of 64 tokens of the list, four tiles of 16: tile * Q^T by mma.m16n8k16 in f16. A are the
 *   levels: a nibble masked out of a word is the f16 denormal level * 2^-24, or 16 times that. B are four query heads, each
 *   twice: rounded to f16, and what is left; their products together are nearly of float precision. The order of the dimensions
 *   is free: lane 4 g + t takes what is contiguous in the rows of tokens g and g + 8, see NibbleOrder. The loads of the
 *   next one or two steps are in flight meanwhile. The rare exact tiles are scalar float: two lanes a token.
 * topp_tokens: a CTA takes a query head. Its least logit that is kept: weights relative to the head's greatest logit go into a
 *   histogram by their logits, 16 bins a unit (TopP.java's), as integers, so that their order does not matter; one narrow bin
 *   remains, whose tokens are compared with each other, or if they are many, searched by their logits as ordered integers, 10 bits
 *   at a time, to the very value. A bit for each token says whether it is kept. Of a group the last CTA to arrive (a ticket) unites
 *   the bits; it makes the list: each warp that of consecutive words.
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
    float* logits;           // [list][group head][logitStride]: of the list's slots, and behind them a bit of each
    int logitStride;         // toppLogitStride(most slots of a list)
    float* maxima;           // [list][group head][logitParts]: the greatest logit of a part
    int logitParts;          // gridDim.x of topp_logits
    int* tokens;             // [list][tokenStride] kept tokens: page * pageSize + offset in the page; may be the rows of logits of
    int tokenStride;         // the lists' first heads, which are no longer needed then
    int* tokenCounts;        // [list] -1: nothing is pruned
    int* tickets;            // [list] zero before and after
};

constexpr int TOPP_LOGIT_THREADS = 128, TOPP_THREADS = 512;

/** Floats that logits of so many slots, a multiple of 16, and a bit of each take. */
__host__ __device__ constexpr int toppLogitStride(int slots) { return slots + (slots + 127) / 128 * 4; }

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
    float4 k[FOURS];
#pragma unroll
    for (int d = 0; d < FOURS; d++) {
        k[d] = loadFour<X>(block + kvRowOffset(D * X::BYTES, token, (half * (D / 2) + 4 * d) * X::BYTES));
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
    static constexpr int HELD = D == 64 ? 3 : 2;   // steps at a time; of short rows more, for as many bytes on their way
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
    int listed[Step::HELD][TILES];
    const auto loadPages = [&](int (&to)[TILES], int step) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            const int e = (step * Step::TOKENS + 16 * j) >> pageShift;
            to[j] = e < exactFrom ? pages[e] : -1;
        }
    };
#pragma unroll
    for (int k = 0; k < Step::HELD; k++) {
        loadPages(listed[k], warp + k * warps);
    }
    const int first = common.lists.first[list];
    float* logits = args.logits + (static_cast<size_t>(list) * common.group + firstHead) * args.logitStride;

    Step held[Step::HELD] = {};
#pragma unroll
    for (int k = 0; k + 1 < Step::HELD; k++) {
        held[k].load(args.int4, listed[k], common.kvHeads, kvHead, pageSize);
    }
    float maxima[2][2] = {{-INFINITY, -INFINITY}, {-INFINITY, -INFINITY}};
    const bool upperRow = t >= 2;   // of the two rows of a tile that this lane finishes
    const int column = 2 * (t % 2);
    const auto finish = [&](const Step& now, int step) {
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
                        if (4 * half + i >= heads) {
                            break;   // no lane has such a head
                        }
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
    };
    int (&pagesAhead)[TILES] = listed[Step::HELD - 1];
    for (int from = warp; from < steps; from += Step::HELD * warps) {
#pragma unroll
        for (int k = 0; k < Step::HELD; k++) {   // so that what is held needn't be moved, which would wait for it
            const int step = from + k * warps;
            if (step < steps) {
                held[(k + Step::HELD - 1) % Step::HELD].load(args.int4, pagesAhead, common.kvHeads, kvHead, pageSize);
                loadPages(pagesAhead, step + Step::HELD * warps);
                finish(held[k], step);
            }
        }
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

// ---- tokens ----

constexpr int TOPP_BINS = 1024, TOPP_BINS_PER_UNIT = 16, TOPP_MEMBERS = 2048, TOPP_COMPARED = 256;
constexpr int TOPP_WORDS = 4096;      // of bits of tokens at a time

/** Which of a list's slots are visible, [first, last), and which are read whatever their logits: below `sinks`, from `recent` on. */
struct ListSlots {
    int first, last, sinks, recent;

    /** The pages that sinks and recent tokens lie on are the list's first and its last, with none left out between them. */
    static __device__ ListSlots of(const VisiblePages& visible, const RowMethod& method, int first, int entries, int pageSize) {
        const int last = visible.lastListSlot(entries, pageSize);
        return {first, last, method.sinks - visible.firstPage * pageSize, min(last - method.recent, (entries - 1) * pageSize)};
    }

    /** Bits [from, end) of a word. */
    static __device__ uint32_t bits(int from, int end) {
        from = max(0, from);
        end = min(32, end);
        return from >= end ? 0 : ~0u >> (32 - (end - from)) << from;
    }

    /** What is read of slots [slot, slot + 32). */
    __device__ uint32_t read(uint32_t kept, int slot) const {
        return (kept | bits(0, sinks - slot) | bits(recent - slot, 32)) & bits(first - slot, last - slot);
    }
};

struct ToppShared {
    alignas(16) uint32_t bins[TOPP_BINS];
    uint2 members[TOPP_MEMBERS];      // of the narrow bin, as far as there is room: ordered key of the logit, weight
    BinSearch<unsigned long long> wide;
    BinSearch<uint32_t> narrow;
    int count;
    uint32_t found;                   // key
    uint32_t least, greatest;         // keys of members
    ListSlots slots;
    uint32_t words[TOPP_WORDS];
    int totals[32];
    int ticket;
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
            kept[i] = load(i * TOPP_THREADS + threadIdx.x);
        }
    }

    __device__ float4 load(int at) const {
        return at < fours ? __ldcg(logits + at) : make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
    }

    /** Calls body with where a four is and what it is, in all threads of a warp; beyond the list they are -inf. */
    template <class Body>
    __device__ void forEachFour(const Body& body) const {
        const int warpFirst = threadIdx.x / 32 * 32;
#pragma unroll
        for (int i = 0; i < KEPT; i++) {
            if (i * TOPP_THREADS + warpFirst < fours) {
                body(i * TOPP_THREADS + threadIdx.x, kept[i]);
            }
        }
#pragma unroll 2
        for (int from = KEPT * TOPP_THREADS + warpFirst; from < fours; from += TOPP_THREADS) {
            const int at = from + threadIdx.x % 32;
            body(at, load(at));
        }
    }

    template <class Body>
    __device__ void forEach(const Body& body) const {
        forEachFour([&](int, float4 x) { forFour(x, body); });
    }

    /** All from memory: what a loop around it would compute of the kept ones once for all takes too many registers. */
    template <class Body>
    __device__ void forEachLoaded(const Body& body) const {
#pragma unroll 2
        for (int at = threadIdx.x; at < fours; at += TOPP_THREADS) {
            forFour(load(at), body);
        }
    }

private:
    template <class Body>
    static __device__ void forFour(float4 x, const Body& body) {
        body(x.x);
        body(x.y);
        body(x.z);
        body(x.w);
    }
};

/**
 * The greatest key of the narrow bin such that the tokens from it on weigh at least `missing`, which all of them do. forMembers
 * calls its argument with the key and the weight of each of the bin's tokens; others' do no harm, as their keys lie outside.
 */
template <class ForMembers>
__device__ uint32_t toppSearch(ToppShared& shared, uint32_t missing, const ForMembers& forMembers) {
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
__device__ inline uint32_t toppCompare(ToppShared& shared, uint32_t missing, int members) {
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

/** The least logit that a head keeps; all threads get it. */
__device__ inline float toppThreshold(ToppShared& shared, const HeadLogits& logits, float maximum, int tokens, float topP) {
    // All weights of a bin together stay below 2^32.
    const BinWeights weights{maximum, exp2f(31 - (32 - __clz(tokens - 1)))};
    logits.forEach([&](float x) {
        const float distance = maximum - x;
        const int bin = BinWeights::bin(distance);
        if (bin < TOPP_BINS - 1) {   // what is in the last bin weighs nothing
            atomicAdd(&shared.bins[bin], weights.of(distance, bin));
        }
    });
    __syncthreads();
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
    if (narrow < 0) {
        return -INFINITY;
    }
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
    if (threadIdx.x % 32 == 0 && least <= greatest) {
        atomicMin(&shared.least, least);
        atomicMax(&shared.greatest, greatest);
    }
    __syncthreads();
    const int members = shared.count;
    if (members <= TOPP_COMPARED) {
        return orderedValue(toppCompare(shared, missing, members));
    }
    return orderedValue(toppSearch(shared, missing, [&](const auto& body) {
        if (members <= TOPP_MEMBERS) {
            for (int i = threadIdx.x; i < members; i += TOPP_THREADS) {
                body(shared.members[i].x, shared.members[i].y);
            }
        } else {
            logits.forEachLoaded([&](float x) { body(orderedKey(x), weights.of(maximum - x, narrow)); });
        }
    }));
}

/** Writes a list's tokens. */
struct TokenWriter {
    static constexpr int WARPS = TOPP_THREADS / 32, AHEAD = 16;   // words whose pages a warp loads at once: no more than 32
    const int* pages;
    int lastEntry, pageSize, pageShift;

    __device__ static int wordsOfWarp(int count) { return (count + WARPS - 1) / WARPS; }

    /** The page that a lane holds of those on which AHEAD words from `word` on lie. */
    __device__ int load(int word) const {
        return pages[min((word * 32 >> pageShift) + static_cast<int>(threadIdx.x % 32), lastEntry)];
    }

    /**
     * Writes the tokens whose bits are set in words [firstWord, firstWord + count), and returns how many there are.
     *
     * @param page load(the warp's first word)
     */
    __device__ int write(ToppShared& shared, int firstWord, int count, int page, int* to) const {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const int own = wordsOfWarp(count), begin = min(count, warp * own), end = min(count, begin + own);
        int sum = 0;
        for (int w = begin + lane; w < end; w += 32) {
            sum += __popc(shared.words[w]);
        }
        int place = sumOfWarpsBefore<TOPP_THREADS>(__reduce_add_sync(0xffffffffu, sum), shared.totals);
        const int all = __reduce_add_sync(0xffffffffu, lane < WARPS ? shared.totals[lane] : 0);
        for (int from = begin; from < end; from += AHEAD) {
            const int held = page, firstEntry = (firstWord + from) * 32 >> pageShift;
            if (from + AHEAD < end) {
                page = load(firstWord + from + AHEAD);
            }
#pragma unroll 4
            for (int w = from; w < min(end, from + AHEAD); w++) {
                const uint32_t word = shared.words[w];
                const int slot = (firstWord + w) * 32 + lane;
                const int block = __shfl_sync(0xffffffffu, held, (slot >> pageShift) - firstEntry);
                if (word >> lane & 1) {
                    to[place + __popc(word & ((1u << lane) - 1))] = block << pageShift | (slot & (pageSize - 1));
                }
                place += __popc(word);
            }
        }
        return all;
    }
};

extern "C" __global__ void __launch_bounds__(TOPP_THREADS, 2) topp_tokens(const __grid_constant__ ToppArgs args) {
    __shared__ ToppShared shared;
    const SelectionArgs& common = args.common;
    const int lane = threadIdx.x % 32, group = common.group, entry = blockIdx.y;
    const int list = entry * common.kvHeads + blockIdx.x / group, head = blockIdx.x % group;
    const int pageSize = common.pageSize, pageShift = pageSize == 64 ? 6 : pageSize == 32 ? 5 : 4;
    const RowMethod& method = common.methods[entry];
    const float topP = method.topP;
    const VisiblePages visible(common, entry);
    const int entries = visible.listedAgain(method, pageSize), tokens = entries * pageSize, words = (tokens + 31) / 32;
    if (topP >= 1.f || tokens == 0) {
        waitForPreviousKernel();
        if (threadIdx.x == 0 && head == 0) {
            args.tokenCounts[list] = topP >= 1.f ? -1 : 0;
        }
        return;
    }
    // The kernel before is topp_logits, and has not made the list.
    const TokenWriter writer{common.lists.pages + static_cast<size_t>(list) * common.lists.stride, entries - 1, pageSize, pageShift};
    const int page = writer.load(threadIdx.x / 32 * TokenWriter::wordsOfWarp(min(words, TOPP_WORDS)));
    for (int bin = threadIdx.x; bin < TOPP_BINS; bin += TOPP_THREADS) {
        shared.bins[bin] = 0;
    }
    if (threadIdx.x == 0) {
        shared.slots = ListSlots::of(visible, method, common.lists.first[list], entries, pageSize);
        shared.count = 0;
        shared.found = 0;
        shared.least = ~0u;
        shared.greatest = 0;
    }
    waitForPreviousKernel();
    float* const firstRow = args.logits + static_cast<size_t>(list) * group * args.logitStride;
    const HeadLogits logits(firstRow + static_cast<size_t>(head) * args.logitStride, tokens);
    float maximum = -INFINITY;
    const float* maxima = args.maxima + (static_cast<size_t>(list) * group + head) * args.logitParts;
    for (int part = lane; part < args.logitParts; part += 32) {
        maximum = fmaxf(maximum, __ldcg(maxima + part));
    }
    __syncthreads();
    const float threshold = toppThreshold(shared, logits, warpMaximum(maximum), tokens, topP);

    // Behind the logits if other CTAs need the bits, or they are many.
    uint32_t* const firstBits = reinterpret_cast<uint32_t*>(firstRow + tokens);
    const bool alone = group == 1 && words <= TOPP_WORDS;
    uint32_t* const bits = alone ? shared.words : firstBits + static_cast<size_t>(head) * args.logitStride;
    logits.forEachFour([&](int at, float4 x) {   // eight lanes make a word
        uint32_t word = (x.x >= threshold ? 1u : 0u) | (x.y >= threshold ? 2u : 0u) | (x.z >= threshold ? 4u : 0u)
                | (x.w >= threshold ? 8u : 0u);
        word <<= lane % 8 * 4;
        word |= __shfl_xor_sync(0xffffffffu, word, 1);
        word |= __shfl_xor_sync(0xffffffffu, word, 2);
        word |= __shfl_xor_sync(0xffffffffu, word, 4);
        if (lane % 8 == 0 && at < logits.fours) {
            bits[at / 8] = shared.slots.read(word, at * 4);
        }
    });
    letNextKernelStart();
    if (group == 1) {
        __syncthreads();
    } else if (!isLast(&args.tickets[list], group, shared.ticket)) {
        return;
    }
    int* const to = args.tokens + static_cast<size_t>(list) * args.tokenStride;   // nobody reads logits of the list any more
    int kept = 0;
    for (int from = 0; from < words; from += TOPP_WORDS) {
        const int count = min(TOPP_WORDS, words - from);
        if (!alone) {
            if (from > 0) {
                __syncthreads();   // words have been read
            }
            for (int w = threadIdx.x; w < count; w += TOPP_THREADS) {
                uint32_t word = 0;
#pragma unroll 4
                for (int h = 0; h < group; h++) {
                    word |= __ldcg(firstBits + static_cast<size_t>(h) * args.logitStride + from + w);
                }
                shared.words[w] = word;
            }
            __syncthreads();
        }
        const int first = from == 0 ? page : writer.load(from + threadIdx.x / 32 * TokenWriter::wordsOfWarp(count));
        kept += writer.write(shared, from, count, first, to + kept);
    }
    if (threadIdx.x == 0) {
        args.tokenCounts[list] = kept;
    }
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
