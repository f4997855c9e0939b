/*
 * vAttention's sample: to a list of heavy pages it adds tokens of the rest, drawn at random, each with the log weight of those
 * that it stands for, as many as it takes for a relative error of at most epsilon with probability 1 - delta (arXiv
 * 2510.05688, section 4; the CPU's Sample). The rest is cut into strata of equal size; a pilot of one item each tells how much
 * the rest varies and hence how many of each stratum are needed, drawn without replacement. The draws are the CPU's: they
 * depend on seed, step, layer and KV head alone; the pilot is the first of each stratum's draws.
 *
 *   sample_pilot_<KV>_<D>   grid (pilotCtas + splits, kvHeads * tiles, batch), block SAMPLE_THREADS. CTAs below pilotCtas score
 *                           chunks of the pilot, the others sum the weights of parts of the list. The last CTA of a (list, tile
 *                           of 8 heads) merges what they found and plans the sample.
 *   sample_values_<KV>_<D>  the same for entries whose numerator is verified: it reads values, too. Then
 *   sample_spread_<D>       grid (spreadCtas, kvHeads * tiles, batch), block SAMPLE_THREADS: how much the weighted values differ
 *                           from their mean. A step without such entries may leave out both.
 *   sample_draw             grid (drawCtas, kvHeads, batch), block DRAW_THREADS: draws, SAMPLE_RANGE tokens of the rest in a CTA,
 *                           and appends entries to the list, at places that the CTAs of a list find by telling each other
 *                           their counts. Gives all lists masks and log weights.
 *
 * Items   An item is a token, as on the CPU, or a page (SAMPLE_PAGES in RowMethod::verify): the mean over a page's tokens varies
 *         much less than a token does, so that fewer entries, whose weights and places are found one by one, reach the same
 *         epsilon and delta. Pages are what is worth having on a GPU, tokens are there for equality with the CPU.
 * Weights Exponentials are powers of two of logits * log2(e), relative to a chunk's greatest, then to that of list and pilot.
 * Lists   A page may be listed twice: the sample has one entry for each of the two sizes of strata, in the order of the rest's
 *         pages, the smaller size first. Where that takes more than half of a stratum or does not fit the list, the list
 *         becomes all that is visible. A list with a sample is visible by its masks alone (first = 0, last = all slots); any
 *         other keeps first and last, and so the bits of its result.
 */
#pragma once

#include <type_traits>

#include "attend.cuh"
#include "selection.cuh"

namespace skim::sparse {

/** Bit of RowMethod::verify: items are pages, not tokens. */
constexpr int SAMPLE_PAGES = 4;

/** Whether the error of values matters, and not only of weights. */
__device__ inline bool verifiesValues(const RowMethod& method) {
    return method.epsilon > 0.f && (method.verify & 3) != VERIFY_DENOMINATOR;
}

constexpr int SAMPLE_WARPS = decode::ATTEND_WARPS, SAMPLE_THREADS = 32 * SAMPLE_WARPS, DRAW_THREADS = 256;
constexpr int SAMPLE_CHUNK = 64 * SAMPLE_WARPS;   // most items of a chunk of the pilot
constexpr int SAMPLE_STAGED = 2048;               // entries of a list that are kept in shared memory to look up the rest's pages
constexpr int SAMPLE_RANGE = 4096;                // tokens of the rest that a CTA of sample_draw looks after
constexpr int SAMPLE_PLAN_INTS = 8;               // a list's plan: entries of the list before, then items per stratum by tile
constexpr int MIN_PILOT = 64;                     // a pilot of fewer says too little about the variance
constexpr int MIN_REST = 4 * MIN_PILOT;           // a rest of fewer items is read whole
constexpr int MAX_STRATUM = 4096;                 // items: the draw keeps a stratum in shared memory
constexpr int SAMPLE_NONE = 0, SAMPLE_WHOLE = 0x7fffffff;   // of items per stratum: leave the list; list all that is visible

struct SampleArgs {
    SelectionArgs selection;
    const uint8_t* cache;  // of the layer
    int splits;            // most parts of a list
    int partTokens;        // least tokens of a part, as far as splits allows
    int pilotCtas;
    int maxStrata;         // room for them: >= 512 and >= pilot * (tokens of a sequence) + 16; a rest of more is read whole
    int fill;              // whether lists without a sample need masks and log weights, too
    int unused;
    // Scratch. (list, tile) = list * tiles + tile, tiles = ceil(group / 8).
    float* fixed;          // [list, tile][splits][attendPartialFloats(D)]
    float* chunks;         // [list, tile][sampleChunks(maxStrata)][sampleChunkFloats(D)]
    float* logits;         // [list, tile][maxStrata][8] of items, base 2
    half* values;          // [list, tile][maxStrata][D] of tokens; of pages [8][D]. Only for numerators, nullable without
    float* states;         // [list, tile][sampleStateFloats(D)]
    float2* spreads;       // [list, tile][spreadCtas][8]
    int* plans;            // [list][SAMPLE_PLAN_INTS]
    int* tickets;          // [list, tile] zero before and after
    int* progress;         // [list][drawCtas + 1] zero before and after
};

/** Room for chunks: one has 16 tokens or a page for each warp at least, and strata of pages count eightfold. */
__host__ __device__ constexpr int sampleChunks(int maxStrata) { return (maxStrata + 8 * SAMPLE_WARPS - 1) / (8 * SAMPLE_WARPS); }

/**
 * Of each head eight numbers: greatest logit, items, mean of the weights 2^(logit - greatest), sums of the second, third and
 * fourth powers of their differences from it. Then each head's sum of weighted values.
 */
__host__ __device__ constexpr int sampleChunkFloats(int dimensions) { return 8 * (8 + dimensions); }

/** Of each head greatest logit, the numerator's tolerance, items that the denominator needs; then its mean of weighted values. */
__host__ __device__ constexpr int sampleStateFloats(int dimensions) { return 8 * (4 + dimensions); }

// ---- what is drawn from ----

/** The rest of an entry's visible pages, cut into strata. */
struct Rest {
    int fixedCount;   // entries of the list
    int pages;
    int perPage;      // items of a page: its tokens or 1
    int shift;        // perPage = 1 << shift
    int items;
    int strata;

    __device__ Rest(const RowMethod& method, const VisiblePages& visible, int fixedCount, int pageSize) : fixedCount(fixedCount) {
        pages = visible.count - fixedCount;
        shift = method.verify & SAMPLE_PAGES ? 0 : pageSize == 64 ? 6 : pageSize == 32 ? 5 : 4;
        perPage = 1 << shift;
        items = pages << shift;
        // A float's 0.05 is above a double's: without the correction a product that should be whole would be rounded up.
        const int share = static_cast<int>(ceil(static_cast<double>(method.pilot) * items * (1 - 1.2e-7)));
        strata = min(items, max(max(MIN_PILOT, share), (items + MAX_STRATUM - 1) / MAX_STRATUM));
    }

    __device__ int firstOf(int stratum) const {
        const uint64_t product = static_cast<uint64_t>(stratum) * items;
        return product >> 32 == 0 ? static_cast<uint32_t>(product) / strata : static_cast<int>(product / strata);
    }

    __device__ int sizeOf(int stratum) const { return firstOf(stratum + 1) - firstOf(stratum); }

    __device__ int smallest() const { return items / strata; }

    __device__ int stratumOf(int item) const {
        return static_cast<int>((static_cast<uint64_t>(item + 1) * strata - 1) / items);
    }

    /** Items of a chunk of the pilot. */
    template <bool VALUES>
    __device__ int chunkItems(int pilotCtas) const {
        if (VALUES && perPage == 1) {
            return SAMPLE_WARPS;
        }
        const int least = perPage == 1 ? SAMPLE_WARPS : 16 * SAMPLE_WARPS;
        return min(SAMPLE_CHUNK, ((strata + pilotCtas - 1) / pilotCtas + least - 1) / least * least);
    }
};

/** Place in the page table of the rest's page r: what is missing in the list's ascending places. */
__device__ inline int restPage(const int* indices, int fixedCount, int firstPage, int r) {
    int low = 0, high = fixedCount;   // entries below low stand before page r
    while (low < high) {
        const int middle = (low + high) / 2;
        if (indices[middle] - firstPage - middle <= r) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return firstPage + r + low;
}

/** Copies a list's places, if they fit, to shared memory, where looking up is faster; a barrier must follow. */
__device__ inline const int* stageIndices(int (&staged)[SAMPLE_STAGED], const int* indices, int count, int threads) {
    if (count > SAMPLE_STAGED) {
        return indices;
    }
    for (int i = threadIdx.x; i < count; i += threads) {
        staged[i] = indices[i];
    }
    return staged;
}

// ---- numbers of a pilot ----

__device__ inline float warpSum(float x) {
#pragma unroll
    for (int i = 16; i > 0; i /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, i);
    }
    return x;
}

__device__ inline float warpMax(float x) {
#pragma unroll
    for (int i = 16; i > 0; i /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, i));
    }
    return x;
}

/** Variance and one standard error of it, from sums of `count` squared distances and of their squares: see the CPU's Spread. */
__device__ inline float cautiousVariance(float count, float sum, float squares) {
    return (sum + sqrtf(fmaxf(0.f, squares - sum / count * sum))) / (count - 1.f);
}

/** Least sample of n items with which their sum is off by more than the tolerance with probability delta at most. */
__device__ inline float sampleSize(float z, float n, float variance, float tolerance) {
    const float ratio = z * n / tolerance;
    const float size = ratio * ratio * variance;
    return size == INFINITY ? n : size / (1.f + size / n);   // without replacement: drawing all leaves no error
}

/** Items of each stratum; not a number, or nearly all of a stratum, is as good as all. */
__device__ inline int itemsPerStratum(const Rest& rest, float needed, int stride) {
    if (!(needed <= static_cast<float>(rest.items))) {
        return SAMPLE_WHOLE;
    }
    const int each = max(1, static_cast<int>(ceilf(needed / rest.strata)));
    const int64_t entries = min(static_cast<int64_t>(rest.strata) * each,
                                static_cast<int64_t>(rest.pages) * (rest.items % rest.strata == 0 ? 1 : 2));
    return each > rest.smallest() / 2 || rest.fixedCount + entries > stride ? SAMPLE_WHOLE : each;
}

// ---- reading the cache ----

template <class X>
__device__ inline float2 unpack(uint32_t pair);
template <>
__device__ inline float2 unpack<KvBf16>(uint32_t pair) {
    return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}
template <>
__device__ inline float2 unpack<KvF16>(uint32_t pair) { return __half22float2(*reinterpret_cast<__half2*>(&pair)); }
template <>
__device__ inline float2 unpack<KvFp8>(uint32_t pair) { return unpack<KvF16>(pair); }
template <>
__device__ inline float2 unpack<KvInt8>(uint32_t pair) { return unpack<KvF16>(pair); }

/** One stored value, without its scale. */
template <class X>
__device__ inline float stored(uint32_t raw) {
    if constexpr (X::BYTES == 2) {
        return unpack<X>(X::widen(make_uint2(raw, 0)).x).x;
    } else {
        return unpack<X>(X::widen(raw).x).x;
    }
}

/** Sixteen keys anywhere in the cache, the A operand of the scores: lane (g, t) has parts of keys g and g + 8, see AttendWalk. */
template <class X, int D>
struct KeyTile {
    using Walk = decode::PageWalk<X, D>;

    uint32_t keys[2][Walk::WORDS];
    float scales[2];

    __device__ void load(int h, const uint8_t* block, int pageSize, int token, int t) {
        const uint8_t* key = block + kvRowOffset(Walk::ROW_BYTES, token, 0);
#pragma unroll
        for (int c = 0; c < Walk::CHUNKS; c++) {
            decode::loadStreaming<16>(&keys[h][4 * c], key + 512 * c + 16 * t);
        }
        if constexpr (Walk::TAIL > 0) {
            const uint8_t* tail = block + kvRowOffset(Walk::ROW_BYTES, token, 64 * Walk::CHUNKS);
            decode::loadStreaming<Walk::TAIL>(&keys[h][4 * Walk::CHUNKS], tail + Walk::TAIL * t);
        }
        if constexpr (X::SCALED) {
            scales[h] = reinterpret_cast<const float*>(block + kvScaleOffset<X>(D, pageSize))[token];
        }
    }

    /** Of (key g, heads 2t, 2t + 1), (key g + 8, the same). */
    __device__ void score(float (&scores)[4], const uint2 (&query)[D / 16][32]) const {
        scores[0] = scores[1] = scores[2] = scores[3] = 0.f;
#pragma unroll
        for (int s = 0; s < D / 16; s++) {
            const uint2 b = decode::loadShared(&query[s][threadIdx.x % 32]);
            uint32_t a[4];
            Walk::operandA(a, &keys[0][s * X::BYTES], &keys[1][s * X::BYTES]);
            X::mma(scores, a, b.x, b.y);
        }
        if constexpr (X::SCALED) {
            scores[0] *= scales[0];
            scores[1] *= scales[0];
            scores[2] *= scales[1];
            scores[3] *= scales[1];
        }
    }
};

// ---- the pilot ----

template <int D, bool VALUES>
struct PilotShared {
    static constexpr int SLOTS = VALUES ? SAMPLE_THREADS / D : 1;   // threads d, D + d, ... share dimension d
    static constexpr int VALUE_WARPS = VALUES ? SAMPLE_WARPS : 1;

    uint2 query[D / 16][32];
    alignas(16) float weights[SAMPLE_CHUNK][8];                // of items: logits, then relative weights
    alignas(16) float shares[VALUE_WARPS][VALUES ? 64 : 1][8];   // of a page's tokens in the page's weight
    float sums[SLOTS][8][VALUES ? D : 1];
    uint64_t masks[SAMPLE_CHUNK];                              // of pages
    int pages[SAMPLE_CHUNK];
    int tokens[SAMPLE_CHUNK];                                  // -1: not visible
    int indices[SAMPLE_STAGED];                                // of the list
};

/** What the CTAs of a (list, tile) have in common. */
struct SampleTile {
    int entry, kvHead, tile, tiles, list, result, firstHead, heads;

    __device__ explicit SampleTile(const SelectionArgs& args) {
        tiles = (args.group + 7) / 8;
        entry = blockIdx.z;
        kvHead = blockIdx.y / tiles;
        tile = blockIdx.y % tiles;
        list = entry * args.kvHeads + kvHead;
        result = list * tiles + tile;
        firstHead = 8 * tile;
        heads = min(8, args.group - firstHead);
    }
};

/** As decode::AttendWalk::walk without the values: maxima and sums of weights only. */
template <class X, int D>
__device__ void walkKeys(decode::PageWalk<X, D>& warp, const uint2 (&query)[D / 16][32], int begin, int end, int stride, int first,
                         int last) {
    using Walk = decode::PageWalk<X, D>;
    for (int step = begin; step < end; step += stride) {
        const bool edge = step * Walk::TOKENS < first || (step + 1) * Walk::TOKENS > last;
        float scores[decode::ATTEND_TILES<X>][4];
        warp.score(scores, query, step, edge);
        if (step + stride < end) {
            warp.loadKeys(step + stride);
            warp.loadPlaces(step + 2 * stride);
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float top = warp.maximum[h];
#pragma unroll
            for (int j = 0; j < decode::ATTEND_TILES<X>; j++) {
                top = fmaxf(top, fmaxf(scores[j][h], scores[j][h + 2]));
            }
            top = decode::maxOverRows(top);
            warp.weight[h] *= decode::exp2Fast(warp.maximum[h] - top);
            warp.maximum[h] = top;
#pragma unroll
            for (int j = 0; j < decode::ATTEND_TILES<X>; j++) {
                warp.weight[h] += decode::exp2Fast(scores[j][h] - top) + decode::exp2Fast(scores[j][h + 2] - top);
            }
        }
    }
    warp.weight[0] = decode::sumOverRows(warp.weight[0]);
    warp.weight[1] = decode::sumOverRows(warp.weight[1]);
}

template <int D>
struct WeightsShared {
    float2 weights[SAMPLE_WARPS][8];
    uint2 query[D / 16][32];
};

template <int D, bool VALUES>
using FixedShared = std::conditional_t<VALUES, decode::AttendShared<D, SAMPLE_WARPS>, WeightsShared<D>>;

/** Steps begin ... end of the list, as attention would read them, to a partial result. */
template <class X, int D, bool VALUES>
__device__ void attendFixed(const SampleArgs& args, const SampleTile& at, FixedShared<D, VALUES>& shared, int first, int last,
                            int begin, int end, float* to) {
    const SelectionArgs& selection = args.selection;
    decode::AttendArgs attend{};
    attend.cache = args.cache;
    attend.pageSize = selection.pageSize;
    attend.kvHeads = selection.kvHeads;
    attend.pages = selection.lists.pages;
    attend.pageStride = selection.lists.stride;
    attend.counts = selection.lists.counts;
    attend.scale = selection.scale;
    const float* q = queries(selection, at.entry, at.kvHead, D) + at.firstHead * D;
    const int w = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
    if constexpr (VALUES) {
        decode::PageWalk<X, D>::stageQuery(shared.query, q, at.heads, selection.scale * 1.4426950408889634f, w, SAMPLE_WARPS);
        decode::attendWarp<X, D, decode::ATTEND_TILES<X>, SAMPLE_WARPS, decode::Listed::PAGES>(
            attend, shared, q, at.heads, at.list, at.kvHead, first, last, begin, end);
    } else {
        decode::PageWalk<X, D> warp(attend, at.list, at.kvHead, first, last);
        if (begin + w < end) {
            warp.loadPlaces(begin + w);
            warp.loadKeys(begin + w);
            warp.loadPlaces(begin + w + SAMPLE_WARPS);
        }
        warp.stageQuery(shared.query, q, at.heads, selection.scale * 1.4426950408889634f, w, SAMPLE_WARPS);
        __syncthreads();
        walkKeys<X, D>(warp, shared.query, begin + w, end, SAMPLE_WARPS, first, last);
        for (int h = 0; h < 2; h++) {
            if (2 * warp.t + h < at.heads && warp.g == 0) {
                shared.weights[w][2 * warp.t + h] = make_float2(warp.maximum[h], warp.weight[h]);
            }
        }
    }
    __syncthreads();
    constexpr int COLUMNS = VALUES ? D / 4 : 1;
    for (int item = threadIdx.x; item < at.heads * COLUMNS; item += SAMPLE_THREADS) {
        const int head = item / COLUMNS, d = item % COLUMNS * 4;
        decode::SoftmaxSum state;
#pragma unroll
        for (int i = 0; i < SAMPLE_WARPS; i++) {
            float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
            if constexpr (VALUES) {
                sum = shared.four(i, head, d);
            }
            state.add(shared.weights[i][head].x, shared.weights[i][head].y, sum);
        }
        if constexpr (VALUES) {
            *reinterpret_cast<float4*>(to + head * D + d) = state.sum;
        }
        if (d == 0) {
            reinterpret_cast<float2*>(to + 8 * D)[head] = make_float2(state.maximum, state.weight);
        }
    }
}

/** Tokens: a warp scores sixteen at a time, the keys of two times are in flight. */
template <class X, int D, bool VALUES>
__device__ void scoreTokens(const SampleArgs& args, const SampleTile& at, PilotShared<D, VALUES>& shared, int items) {
    const int pageSize = args.selection.pageSize, w = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int first = 16 * w; first < items; first += 32 * SAMPLE_WARPS) {
        KeyTile<X, D> tiles[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const int item = min(first + 16 * SAMPLE_WARPS * i + 8 * h + g, items - 1);
                const uint8_t* block = kvBlock(args.cache, shared.pages[item], args.selection.kvHeads, at.kvHead,
                                               kvBlockBytes<X>(D, pageSize));
                tiles[i].load(h, block, pageSize, max(0, shared.tokens[item]), t);
            }
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float scores[4];
            tiles[i].score(scores, shared.query);
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const int item = first + 16 * SAMPLE_WARPS * i + 8 * h + g;
                if (item < items) {
                    *reinterpret_cast<float2*>(&shared.weights[item][2 * t]) = shared.tokens[item] >= 0
                            ? make_float2(scores[2 * h], scores[2 * h + 1]) : make_float2(-INFINITY, -INFINITY);
                }
            }
        }
    }
}

/** Pages: a page's logit is the logarithm of its tokens' sum. Two tiles of 16 tokens of the warp's pages are in flight. */
template <class X, int D, bool VALUES>
__device__ void scorePages(const SampleArgs& args, const SampleTile& at, PilotShared<D, VALUES>& shared, int items) {
    const int pageSize = args.selection.pageSize, w = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int perPage = pageSize / 16, steps = (items - w + SAMPLE_WARPS - 1) / SAMPLE_WARPS * perPage;
    float maximum[2], sum[2];
    for (int step = 0; step < steps; step += 2) {
        KeyTile<X, D> tiles[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int each = min(step + i, steps - 1), item = w + each / perPage * SAMPLE_WARPS, first = each % perPage * 16;
            const uint8_t* block = kvBlock(args.cache, shared.pages[item], args.selection.kvHeads, at.kvHead,
                                           kvBlockBytes<X>(D, pageSize));
            tiles[i].load(0, block, pageSize, first + g, t);
            tiles[i].load(1, block, pageSize, first + 8 + g, t);
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (step + i == steps) {
                break;
            }
            const int item = w + (step + i) / perPage * SAMPLE_WARPS, first = (step + i) % perPage * 16;
            const uint64_t mask = shared.masks[item] >> (first + g);
            float scores[4];
            tiles[i].score(scores, shared.query);
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const float before = first == 0 ? decode::ATTEND_NO_SCORE : maximum[h];
                const float lower = mask & 1 ? scores[h] : -INFINITY, upper = mask >> 8 & 1 ? scores[h + 2] : -INFINITY;
                maximum[h] = decode::maxOverRows(fmaxf(before, fmaxf(lower, upper)));
                sum[h] = (first == 0 ? 0.f : sum[h] * decode::exp2Fast(before - maximum[h]))
                        + decode::exp2Fast(lower - maximum[h]) + decode::exp2Fast(upper - maximum[h]);
                if (first + 16 == pageSize) {
                    const float total = decode::sumOverRows(sum[h]);
                    if (g == 0) {
                        shared.weights[item][2 * t + h] = maximum[h] + log2f(total);
                    }
                }
                if constexpr (VALUES) {   // a page for each warp: the logits become shares below
                    shared.shares[w][first + g][2 * t + h] = lower;
                    shared.shares[w][first + 8 + g][2 * t + h] = upper;
                }
            }
        }
    }
    if constexpr (VALUES) {
        __syncwarp();
        for (int i = threadIdx.x % 32; w < items && i < 8 * pageSize; i += 32) {
            shared.shares[w][i / 8][i % 8] = decode::exp2Fast(shared.shares[w][i / 8][i % 8] - shared.weights[w][i % 8]);
        }
    }
}

/** A head's items; their logits become weights. */
template <int D, bool VALUES>
__device__ void addMoments(PilotShared<D, VALUES>& shared, int items, int head, float* to) {
    constexpr int PER_LANE = SAMPLE_CHUNK / 32;
    const int lane = threadIdx.x % 32;
    float w[PER_LANE], maximum = decode::ATTEND_NO_SCORE, sum = 0.f;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        w[i] = lane + 32 * i < items ? shared.weights[lane + 32 * i][head] : -INFINITY;
        maximum = fmaxf(maximum, w[i]);
    }
    maximum = warpMax(maximum);
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        w[i] = decode::exp2Fast(w[i] - maximum);
        sum += w[i];
    }
    const float mean = warpSum(sum) / items;
    float second = 0.f, third = 0.f, fourth = 0.f;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        if (lane + 32 * i < items) {
            shared.weights[lane + 32 * i][head] = w[i];
            const float difference = w[i] - mean, square = difference * difference;
            second += square;
            third += square * difference;
            fourth += square * square;
        }
    }
    second = warpSum(second);
    third = warpSum(third);
    fourth = warpSum(fourth);
    if (lane == 0) {
        *reinterpret_cast<float4*>(to) = make_float4(maximum, items, mean, second);
        *reinterpret_cast<float2*>(to + 4) = make_float2(third, fourth);
    }
}

/** Weighted sums of the tokens' values, and the values themselves for sample_spread. */
template <class X, int D>
__device__ void addTokenValues(const SampleArgs& args, const SampleTile& at, const PilotShared<D, true>& shared, int items,
                               float (&sums)[8], half* values) {
    constexpr int AHEAD = 8, SLOTS = PilotShared<D, true>::SLOTS;
    const int pageSize = args.selection.pageSize, slot = threadIdx.x / D, d = threadIdx.x % D;
    for (int item = slot; item < items; item += AHEAD * SLOTS) {
        uint32_t raw[AHEAD];
        float scales[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const int each = item + i * SLOTS;
            raw[i] = 0;
            scales[i] = 1.f;
            if (each < items && shared.tokens[each] >= 0) {
                const uint8_t* block = kvBlock(args.cache, shared.pages[each], args.selection.kvHeads, at.kvHead,
                                               kvBlockBytes<X>(D, pageSize));
                const uint8_t* from = block + kvValueOffset<X>(D, pageSize)
                        + kvRowOffset(D * X::BYTES, shared.tokens[each], d * X::BYTES);
                raw[i] = X::BYTES == 2 ? *reinterpret_cast<const uint16_t*>(from) : *from;
                if constexpr (X::SCALED) {
                    const float* all = reinterpret_cast<const float*>(block + kvScaleOffset<X>(D, pageSize)) + pageSize;
                    scales[i] = all[shared.tokens[each]];
                }
            }
        }
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const int each = item + i * SLOTS;
            if (each < items) {
                const float value = stored<X>(raw[i]) * scales[i];
                values[static_cast<size_t>(each) * D + d] = __float2half_rn(value);
#pragma unroll
                for (int head = 0; head < 8; head++) {
                    sums[head] += shared.weights[each][head] * value;
                }
            }
        }
    }
}

template <class X, int D>
__device__ void addPageValues(const SampleArgs& args, const SampleTile& at, const PilotShared<D, true>& shared, int items,
                              float (&sums)[8], half* values) {
    constexpr int AHEAD = 16, SLOTS = PilotShared<D, true>::SLOTS;
    const int pageSize = args.selection.pageSize, slot = threadIdx.x / D, d = threadIdx.x % D;
    for (int item = slot; item < items; item += SLOTS) {
        const uint8_t* block = kvBlock(args.cache, shared.pages[item], args.selection.kvHeads, at.kvHead,
                                       kvBlockBytes<X>(D, pageSize));
        const uint8_t* from = block + kvValueOffset<X>(D, pageSize);
        const float* scales = reinterpret_cast<const float*>(block + kvScaleOffset<X>(D, pageSize)) + pageSize;
        float mean[8] = {};
        for (int token = 0; token < pageSize; token += AHEAD) {
            uint32_t raw[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                const uint8_t* one = from + kvRowOffset(D * X::BYTES, token + i, d * X::BYTES);
                raw[i] = X::BYTES == 2 ? *reinterpret_cast<const uint16_t*>(one) : *one;
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                float value = stored<X>(raw[i]);
                if constexpr (X::SCALED) {
                    value *= scales[token + i];
                }
                value = shared.masks[item] >> (token + i) & 1 ? value : 0.f;   // what no one sees may be NaN
#pragma unroll
                for (int head = 0; head < 8; head++) {
                    mean[head] += shared.shares[item][token + i][head] * value;
                }
            }
        }
#pragma unroll
        for (int head = 0; head < 8; head++) {
            sums[head] += shared.weights[item][head] * mean[head];
            values[(static_cast<size_t>(item) * 8 + head) * D + d] = __float2half_rn(mean[head]);
        }
    }
}

/** A chunk of the pilot: one item of each of its strata. */
template <class X, int D, bool VALUES>
__device__ void pilotChunk(const SampleArgs& args, const SampleTile& at, const RowMethod& method, const VisiblePages& visible,
                           const Rest& rest, const int* indices, PilotShared<D, VALUES>& shared, int chunk) {
    const SelectionArgs& selection = args.selection;
    const int pageSize = selection.pageSize, perChunk = rest.chunkItems<VALUES>(args.pilotCtas), firstItem = chunk * perChunk;
    const int items = min(perChunk, rest.strata - firstItem);
    const bool tokens = rest.perPage > 1;
    const CounterRandom random(method.seed, method.step, selection.layer, at.kvHead);
#pragma unroll 1
    for (int i = threadIdx.x; i < items; i += SAMPLE_THREADS) {
        const int first = rest.firstOf(firstItem + i), size = rest.firstOf(firstItem + i + 1) - first;
        const int drawn = first + random.nextBelow(first, size);
        const int index = restPage(indices, rest.fixedCount, visible.firstPage, drawn >> rest.shift);
        const uint64_t mask = visible.visibleTokens(index, pageSize);
        const int token = drawn & (rest.perPage - 1);
        shared.pages[i] = pageTable(selection, at.entry)[index];
        shared.tokens[i] = mask >> token & 1 ? token : -1;
        shared.masks[i] = mask;
    }
    __syncthreads();
    if (tokens) {
        scoreTokens<X, D>(args, at, shared, items);
    } else {
        scorePages<X, D>(args, at, shared, items);
    }
    __syncthreads();
    float* logits = args.logits + (static_cast<size_t>(at.result) * args.maxStrata + firstItem) * 8;
    if constexpr (VALUES) {
        for (int i = threadIdx.x; i < items * 8; i += SAMPLE_THREADS) {
            logits[i] = (&shared.weights[0][0])[i];
        }
        __syncthreads();
    }
    float* to = args.chunks + (static_cast<size_t>(at.result) * sampleChunks(args.maxStrata) + chunk) * sampleChunkFloats(D);
#pragma unroll 1
    for (int head = threadIdx.x / 32; head < at.heads; head += SAMPLE_WARPS) {
        addMoments(shared, items, head, to + 8 * head);
    }
    __syncthreads();
    if constexpr (VALUES) {
        float sums[8] = {};
        if (threadIdx.x < shared.SLOTS * D) {
            const size_t before = static_cast<size_t>(at.result) * args.maxStrata + (tokens ? firstItem : 8 * firstItem);
            half* values = args.values + before * D;
            if (tokens) {
                addTokenValues<X, D>(args, at, shared, items, sums, values);
            } else {
                addPageValues<X, D>(args, at, shared, items, sums, values);
            }
#pragma unroll
            for (int head = 0; head < 8; head++) {
                shared.sums[threadIdx.x / D][head][threadIdx.x % D] = sums[head];
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < at.heads * D; i += SAMPLE_THREADS) {
            float sum = 0.f;
            for (int slot = 0; slot < shared.SLOTS; slot++) {
                sum += shared.sums[slot][i / D][i % D];
            }
            to[64 + i] = sum;
        }
        __syncthreads();
    }
}

/** What a warp makes of a head's parts and chunks. Returns the items that the denominator's error asks for. */
template <int D, bool VALUES>
__device__ float finishHead(const SampleArgs& args, const SampleTile& at, const RowMethod& method, const Rest& rest, int parts,
                            int chunks, int head) {
    const int lane = threadIdx.x % 32;
    const float* fixed = args.fixed + static_cast<size_t>(at.result) * args.splits * decode::attendPartialFloats(D);
    const float* chunk = args.chunks + static_cast<size_t>(at.result) * sampleChunks(args.maxStrata) * sampleChunkFloats(D);
    float maximum = decode::ATTEND_NO_SCORE;
#pragma unroll 1
    for (int p = lane; p < parts; p += 32) {
        maximum = fmaxf(maximum, __ldcg(fixed + p * decode::attendPartialFloats(D) + 8 * D + 2 * head));
    }
#pragma unroll 1
    for (int c = lane; c < chunks; c += 32) {
        maximum = fmaxf(maximum, __ldcg(chunk + static_cast<size_t>(c) * sampleChunkFloats(D) + 8 * head));
    }
    maximum = warpMax(maximum);
    float denominator = 0.f, mean = 0.f;
#pragma unroll 1
    for (int p = lane; p < parts; p += 32) {
        const float2 part = __ldcg(reinterpret_cast<const float2*>(fixed + p * decode::attendPartialFloats(D) + 8 * D) + head);
        denominator += part.y * decode::exp2Fast(part.x - maximum);
    }
#pragma unroll 1
    for (int c = lane; c < chunks; c += 32) {
        const float* from = chunk + static_cast<size_t>(c) * sampleChunkFloats(D) + 8 * head;
        const float4 moments = __ldcg(reinterpret_cast<const float4*>(from));
        mean += moments.y * moments.z * decode::exp2Fast(moments.x - maximum);
    }
    const float n = rest.items;
    mean = warpSum(mean) / rest.strata;
    denominator = warpSum(denominator) + n * mean;
    float sum = 0.f, squares = 0.f;
#pragma unroll 1
    for (int c = lane; c < chunks; c += 32) {
        const float* from = chunk + static_cast<size_t>(c) * sampleChunkFloats(D) + 8 * head;
        const float4 moments = __ldcg(reinterpret_cast<const float4*>(from));
        const float2 higher = __ldcg(reinterpret_cast<const float2*>(from + 4));
        const float factor = decode::exp2Fast(moments.x - maximum), square = factor * factor;
        const float second = moments.w * square, shift = moments.z * factor - mean, shift2 = shift * shift;
        sum += second + moments.y * shift2;
        squares += higher.y * square * square + 4.f * shift * higher.x * square * factor + 6.f * shift2 * second
                + moments.y * shift2 * shift2;
    }
    sum = warpSum(sum);
    squares = warpSum(squares);
    float needed = 0.f;
    if ((method.verify & 3) != VERIFY_NUMERATOR) {
        needed = sampleSize(method.z, n, cautiousVariance(rest.strata, sum, squares), method.epsilon * denominator);
    }
    if constexpr (!VALUES) {
        return needed;
    }
    float4 heavy = make_float4(0.f, 0.f, 0.f, 0.f), light = heavy;
    const bool used = 4 * lane < D;
#pragma unroll 4
    for (int p = 0; used && p < parts; p++) {
        const float* from = fixed + p * decode::attendPartialFloats(D);
        const float factor = decode::exp2Fast(__ldcg(from + 8 * D + 2 * head) - maximum);
        const float4 x = __ldcg(reinterpret_cast<const float4*>(from + head * D) + lane);
        heavy.x += factor * x.x;
        heavy.y += factor * x.y;
        heavy.z += factor * x.z;
        heavy.w += factor * x.w;
    }
#pragma unroll 8
    for (int c = 0; used && c < chunks; c++) {
        const float* from = chunk + static_cast<size_t>(c) * sampleChunkFloats(D);
        const float factor = decode::exp2Fast(__ldcg(from + 8 * head) - maximum);
        const float4 x = __ldcg(reinterpret_cast<const float4*>(from + 64 + head * D) + lane);
        light.x += factor * x.x;
        light.y += factor * x.y;
        light.z += factor * x.z;
        light.w += factor * x.w;
    }
    const float each = 1.f / rest.strata;
    light = make_float4(light.x * each, light.y * each, light.z * each, light.w * each);
    const float4 total = make_float4(heavy.x + n * light.x, heavy.y + n * light.y, heavy.z + n * light.z, heavy.w + n * light.w);
    const float norm = sqrtf(warpSum(total.x * total.x + total.y * total.y + total.z * total.z + total.w * total.w));
    float* state = args.states + static_cast<size_t>(at.result) * sampleStateFloats(D);
    if (used) {
        reinterpret_cast<float4*>(state + 32 + head * D)[lane] = light;
    }
    if (lane == 0) {
        reinterpret_cast<float4*>(state)[head] = make_float4(maximum, method.epsilon * norm, needed, 0.f);
    }
    return needed;
}

/** Greatest of the heads' needs, a NaN above all. */
__device__ inline float most(const float* needed, int heads) {
    float greatest = 0.f;
    for (int head = 0; head < heads; head++) {
        greatest = needed[head] <= greatest ? greatest : needed[head];
        if (greatest != greatest) {
            break;
        }
    }
    return greatest;
}

template <class X, int D, bool VALUES>
__device__ void samplePilot(const SampleArgs& args) {
    waitForPreviousKernel();
    __shared__ union {
        FixedShared<D, VALUES> fixed;
        PilotShared<D, VALUES> pilot;
    } shared;
    __shared__ float needed[8];
    __shared__ int ticket;
    const SelectionArgs& selection = args.selection;
    const SampleTile at(selection);
    const VisiblePages visible(selection, at.entry);
    const RowMethod& method = selection.methods[at.entry];
    if (visible.count == 0 || verifiesValues(method) != VALUES) {
        return;
    }
    const int* indices = selection.lists.indices + static_cast<size_t>(at.list) * selection.lists.stride;
    const int fixedCount = selection.lists.counts[at.list];
    const Rest rest(method, visible, fixedCount, selection.pageSize);
    const bool off = !(method.epsilon > 0.f) || rest.pages <= 0;
    if (off || rest.items < MIN_REST || rest.strata * (rest.perPage == 1 ? 8 : 1) > args.maxStrata) {
        if (blockIdx.x == 0 && threadIdx.x == 0) {
            int* plan = args.plans + at.list * SAMPLE_PLAN_INTS;
            plan[0] = fixedCount;
            plan[1 + at.tile] = off ? SAMPLE_NONE : SAMPLE_WHOLE;
        }
        return;
    }
    using Walk = decode::PageWalk<X, D>;
    const int pageSize = selection.pageSize;
    const int first = visible.firstListSlot(indices[0], pageSize);
    const int last = visible.lastListSlot(fixedCount, pageSize);
    const int firstStep = first / Walk::TOKENS, steps = (last + Walk::TOKENS - 1) / Walk::TOKENS - firstStep;
    const int parts = max(1, min(args.splits, (steps * Walk::TOKENS + args.partTokens - 1) / args.partTokens));
    const int perChunk = rest.chunkItems<VALUES>(args.pilotCtas), chunks = (rest.strata + perChunk - 1) / perChunk;
    const int pilotCtas = min(args.pilotCtas, chunks);
    const int pilotCta = blockIdx.x, part = pilotCta - args.pilotCtas;
    if (part < 0 ? pilotCta >= pilotCtas : part >= parts) {
        return;
    }
    if (part >= 0) {
        const int begin = firstStep + steps * part / parts;
        const int end = firstStep + steps * (part + 1) / parts;
        attendFixed<X, D, VALUES>(
                args, at, shared.fixed, first, last, begin, end,
                args.fixed + (static_cast<size_t>(at.result) * args.splits + part) * decode::attendPartialFloats(D));
    } else {
        indices = stageIndices(shared.pilot.indices, indices, fixedCount, SAMPLE_THREADS);
        decode::AttendArgs attend{};
        attend.counts = selection.lists.counts;
        Walk(attend, at.list, at.kvHead, first, last)
                .stageQuery(shared.pilot.query, queries(selection, at.entry, at.kvHead, D) + at.firstHead * D, at.heads,
                            selection.scale * 1.4426950408889634f, threadIdx.x / 32, SAMPLE_WARPS);
        __syncthreads();
#pragma unroll 1
        for (int chunk = pilotCta; chunk < chunks; chunk += pilotCtas) {
            pilotChunk<X, D>(args, at, method, visible, rest, indices, shared.pilot, chunk);
        }
    }
    letNextKernelStart();
    if (!isLast(args.tickets + at.result, parts + pilotCtas, ticket)) {
        return;
    }
#pragma unroll 1
    for (int head = threadIdx.x / 32; head < at.heads; head += SAMPLE_WARPS) {
        needed[head] = finishHead<D, VALUES>(args, at, method, rest, parts, chunks, head);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        int* plan = args.plans + at.list * SAMPLE_PLAN_INTS;
        plan[0] = rest.fixedCount;
        plan[1 + at.tile] = itemsPerStratum(rest, most(needed, at.heads), selection.lists.stride);
    }
}

// ---- the spread of weighted values ----

template <int D>
__device__ void sampleSpread(const SampleArgs& args) {
    waitForPreviousKernel();
    __shared__ float2 shared[SAMPLE_WARPS][8];
    __shared__ float needed[8];
    __shared__ int ticket;
    const SelectionArgs& selection = args.selection;
    const SampleTile at(selection);
    const RowMethod& method = selection.methods[at.entry];
    int* plan = args.plans + static_cast<size_t>(at.list) * SAMPLE_PLAN_INTS;
    // What the denominator needs may have made it whole already. It is this (list, tile)'s own: only the last CTA changes it.
    const int each = plan[1 + at.tile];
    const VisiblePages visible(selection, at.entry);
    if (visible.count == 0 || !verifiesValues(method) || each == SAMPLE_NONE || each == SAMPLE_WHOLE) {
        return;
    }
    const Rest rest(method, visible, plan[0], selection.pageSize);
    const int w = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int ctas = min(static_cast<int>(gridDim.x), (rest.strata + 4 * SAMPLE_WARPS - 1) / (4 * SAMPLE_WARPS));
    if (blockIdx.x >= ctas) {
        return;
    }
    const float* state = args.states + static_cast<size_t>(at.result) * sampleStateFloats(D);
    const float* logits = args.logits + static_cast<size_t>(at.result) * args.maxStrata * 8;
    const half* values = args.values + static_cast<size_t>(at.result) * args.maxStrata * D;
    const bool tokens = rest.perPage > 1, used = 4 * lane < D;
    float4 mean[8];
#pragma unroll
    for (int head = 0; head < 8; head++) {
        mean[head] = used && head < at.heads ? reinterpret_cast<const float4*>(state + 32 + head * D)[lane]
                                             : make_float4(0.f, 0.f, 0.f, 0.f);
    }
    const float maximum = lane < at.heads ? state[4 * lane] : 0.f;
    float sum = 0.f, squares = 0.f;   // lane h has head h's
    for (int item = blockIdx.x * SAMPLE_WARPS + w; item < rest.strata; item += ctas * SAMPLE_WARPS) {
        const float weight = lane < at.heads ? decode::exp2Fast(logits[item * 8 + lane] - maximum) : 0.f;
        uint2 raw = make_uint2(0, 0);
#pragma unroll
        for (int head = 0; head < 8; head++) {
            if (head < at.heads) {
                if (used && (head == 0 || !tokens)) {
                    raw = reinterpret_cast<const uint2*>(values + static_cast<size_t>(tokens ? item : item * 8 + head) * D)[lane];
                }
                const float factor = __shfl_sync(0xffffffffu, weight, head);
                const float2 lower = unpack<KvF16>(raw.x), upper = unpack<KvF16>(raw.y);
                const float x = factor * lower.x - mean[head].x, y = factor * lower.y - mean[head].y;
                const float z = factor * upper.x - mean[head].z, u = factor * upper.y - mean[head].w;
                const float distance = warpSum(x * x + y * y + z * z + u * u);
                sum += lane == head ? distance : 0.f;
                squares += lane == head ? distance * distance : 0.f;
            }
        }
    }
    if (lane < 8) {
        shared[w][lane] = make_float2(sum, squares);
    }
    __syncthreads();
    float2* spreads = args.spreads + static_cast<size_t>(at.result) * gridDim.x * 8;
    if (threadIdx.x < 8) {
        float2 total = make_float2(0.f, 0.f);
        for (int i = 0; i < SAMPLE_WARPS; i++) {
            total.x += shared[i][threadIdx.x].x;
            total.y += shared[i][threadIdx.x].y;
        }
        spreads[blockIdx.x * 8 + threadIdx.x] = total;
    }
    letNextKernelStart();
    if (!isLast(args.tickets + at.result, ctas, ticket)) {
        return;
    }
    if (threadIdx.x < at.heads) {
        float2 total = make_float2(0.f, 0.f);
        for (int i = 0; i < ctas; i++) {
            const float2 part = __ldcg(spreads + i * 8 + threadIdx.x);
            total.x += part.x;
            total.y += part.y;
        }
        const float variance = cautiousVariance(rest.strata, total.x, total.y);
        const float size = sampleSize(method.z, rest.items, variance, state[4 * threadIdx.x + 1]);
        needed[threadIdx.x] = size <= state[4 * threadIdx.x + 2] ? state[4 * threadIdx.x + 2] : size;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        plan[1 + at.tile] = itemsPerStratum(rest, most(needed, at.heads), selection.lists.stride);
    }
}

// ---- drawing ----

struct DrawShared {
    uint16_t shuffled[2 * MAX_STRATUM];               // a column for each thread's stratum
    alignas(16) uint32_t masks[DRAW_THREADS][2][2];   // [page][by size of stratum][lower, upper half]
    uint64_t key;                                     // of the random numbers
    int firstStratum, endStratum;                     // with items in this CTA's range
    float logWeights[2];                              // by size of stratum
    int warpCounts[DRAW_THREADS / 32];
    int before;
    int indices[SAMPLE_STAGED];
};

/** Draws from the strata that have items in [firstItem, endItem) and marks those that lie there. */
__device__ inline void drawItems(const Rest& rest, int each, int firstItem, int endItem, DrawShared& shared) {
    const int floor = rest.smallest(), greatest = floor + (rest.items % rest.strata == 0 ? 0 : 1);
    const int threads = min(DRAW_THREADS, 2 * MAX_STRATUM / greatest), t = threadIdx.x;
    if (t >= threads) {
        return;
    }
    CounterRandom random(0, 0, 0, 0);
    random.key = shared.key;
    for (int s = shared.firstStratum + t; s < shared.endStratum; s += threads) {
        const int first = rest.firstOf(s), size = rest.firstOf(s + 1) - first;
        for (int i = 0; i < size; i++) {
            shared.shuffled[i * threads + t] = static_cast<uint16_t>(i);
        }
        for (int i = 0; i < each; i++) {   // Fisher and Yates
            const int from = i + random.nextBelow(first + i, size - i);
            const int drawn = shared.shuffled[from * threads + t];
            shared.shuffled[from * threads + t] = shared.shuffled[i * threads + t];
            const int item = first + drawn;
            if (item >= firstItem && item < endItem) {
                const int page = (item - firstItem) >> rest.shift, token = item & (rest.perPage - 1);
                atomicOr(&shared.masks[page][size - floor][token / 32], 1u << token % 32);
            }
        }
    }
}

/** Gives a list that stays as it is what attention needs. */
__device__ inline void fillList(const SampleArgs& args, int list, int count) {
    const PageLists& lists = args.selection.lists;
    for (int e = blockIdx.x * DRAW_THREADS + threadIdx.x; e < count; e += gridDim.x * DRAW_THREADS) {
        const size_t to = static_cast<size_t>(list) * lists.stride + e;
        lists.masks[to] = ~uint64_t{0};
        lists.logWeights[to] = 0.f;
    }
}

/** Lists all that is visible. */
__device__ inline void listAll(const SampleArgs& args, int entry, int list, const VisiblePages& visible) {
    const PageLists& lists = args.selection.lists;
    const int* table = pageTable(args.selection, entry);
    for (int e = blockIdx.x * DRAW_THREADS + threadIdx.x; e < visible.count; e += gridDim.x * DRAW_THREADS) {
        const size_t to = static_cast<size_t>(list) * lists.stride + e;
        lists.pages[to] = table[visible.firstPage + e];
        lists.indices[to] = visible.firstPage + e;
        lists.masks[to] = ~uint64_t{0};
        lists.logWeights[to] = 0.f;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        lists.counts[list] = visible.count;
        lists.first[list] = visible.firstListSlot(visible.firstPage, args.selection.pageSize);
        lists.last[list] = visible.lastListSlot(visible.count, args.selection.pageSize);
    }
}

/** Tells the other CTAs of the list this one's count and sums those before it. */
__device__ inline int countBefore(int* progress, int count) {
    const int lane = threadIdx.x;   // of the first warp
    if (lane == 0) {
        atomicExch(progress + blockIdx.x, count + 1);
    }
    int before = 0;
    for (int c = lane; c < blockIdx.x; c += 32) {   // they were started before this one
        int told;
        do {
            asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];" : "=r"(told) : "l"(progress + c) : "memory");
        } while (told == 0);
        before += told - 1;
    }
    return __reduce_add_sync(0xffffffffu, before);
}

__device__ inline void sampleDraw(const SampleArgs& args) {
    waitForPreviousKernel();
    letNextKernelStart();
    __shared__ DrawShared shared;
    const SelectionArgs& selection = args.selection;
    const PageLists& lists = selection.lists;
    const int entry = blockIdx.z, kvHead = blockIdx.y, list = entry * selection.kvHeads + kvHead, pageSize = selection.pageSize;
    const RowMethod& method = selection.methods[entry];
    const VisiblePages visible(selection, entry);
    if (visible.count == 0) {
        return;
    }
    const int* plan = args.plans + static_cast<size_t>(list) * SAMPLE_PLAN_INTS;
    const Rest rest(method, visible, plan[0], pageSize);
    int each = plan[1];
    for (int tile = 1; tile < (selection.group + 7) / 8; tile++) {
        each = max(each, plan[1 + tile]);
    }
    if (each == SAMPLE_NONE) {
        if (args.fill) {
            fillList(args, list, plan[0]);
        }
        return;
    }
    if (each == SAMPLE_WHOLE) {
        listAll(args, entry, list, visible);
        return;
    }
    const int perCta = SAMPLE_RANGE / pageSize;
    const int ctas = (rest.pages + perCta - 1) / perCta;
    if (blockIdx.x >= ctas) {
        return;
    }
    const int firstPage = blockIdx.x * perCta, endPage = min(rest.pages, firstPage + perCta);
    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    const size_t base = static_cast<size_t>(list) * lists.stride;
    const int* indices = stageIndices(shared.indices, lists.indices + base, rest.fixedCount, DRAW_THREADS);
    *reinterpret_cast<uint4*>(shared.masks[t]) = make_uint4(0, 0, 0, 0);
    const int firstItem = firstPage << rest.shift, endItem = endPage << rest.shift;
    // What takes many instructions and is the same for all threads: a warp for each.
    if (t < 2) {
        shared.logWeights[t] = static_cast<float>(log(static_cast<double>(rest.smallest() + t) / each));
    } else if (t == 32) {
        shared.key = CounterRandom(method.seed, method.step, selection.layer, kvHead).key;
    } else if (t == 64) {
        shared.firstStratum = rest.stratumOf(firstItem);
    } else if (t == 96) {
        shared.endStratum = rest.stratumOf(endItem - 1) + 1;
    }
    __syncthreads();
    drawItems(rest, each, firstItem, endItem, shared);
    int index = 0, page = 0;
    uint64_t seen = 0;
    if (firstPage + t < endPage) {
        index = restPage(indices, rest.fixedCount, visible.firstPage, firstPage + t);
        page = pageTable(selection, entry)[index];
        seen = visible.visibleTokens(index, pageSize);
    }
    __syncthreads();
    uint64_t masks[2] = {0, 0};
    if (firstPage + t < endPage) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint64_t drawn = shared.masks[t][i][0] | static_cast<uint64_t>(shared.masks[t][i][1]) << 32;
            masks[i] = rest.perPage == 1 ? (drawn != 0 ? seen : 0) : drawn & seen;
        }
    }
    const int count = (masks[0] != 0) + (masks[1] != 0);
    int place = count;
#pragma unroll
    for (int i = 1; i < 32; i *= 2) {
        const int below = __shfl_up_sync(0xffffffffu, place, i);
        place += lane >= i ? below : 0;
    }
    if (lane == 31) {
        shared.warpCounts[warp] = place;
    }
    __syncthreads();
    int total = 0;
    place -= count;
    for (int i = 0; i < DRAW_THREADS / 32; i++) {
        place += i < warp ? shared.warpCounts[i] : 0;
        total += shared.warpCounts[i];
    }
    int* progress = args.progress + static_cast<size_t>(list) * (gridDim.x + 1);
    if (warp == 0) {
        const int before = countBefore(progress, total);
        if (lane == 0) {
            shared.before = before;
        }
    }
    // Meanwhile the entries that were there before.
    for (int e = blockIdx.x * DRAW_THREADS + t; e < rest.fixedCount; e += ctas * DRAW_THREADS) {
        lists.masks[base + e] = visible.visibleTokens(indices[e], pageSize);
        lists.logWeights[base + e] = 0.f;
    }
    __syncthreads();
    const size_t begin = base + rest.fixedCount + shared.before;
    size_t to = begin + place;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        if (masks[i] != 0) {
            lists.pages[to] = page;
            lists.indices[to] = index;
            lists.masks[to] = masks[i];
            lists.logWeights[to] = shared.logWeights[i];
            to++;
        }
    }
    if (t != 0) {
        return;
    }
    if (blockIdx.x == ctas - 1) {
        const int entries = rest.fixedCount + shared.before + total;
        lists.counts[list] = entries;
        lists.first[list] = 0;
        lists.last[list] = entries * pageSize;
    }
    if (atomicAdd(progress + gridDim.x, 1) == ctas - 1) {   // all have read what was told
        for (int c = 0; c < ctas; c++) {
            progress[c] = 0;
        }
        progress[gridDim.x] = 0;
    }
}

// ---- kernels ----

#define SKIM_SAMPLE(name, X, D)                                                       \
    extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS, 3)                   \
    sample_pilot_##name##_##D(const __grid_constant__ SampleArgs args) {              \
        samplePilot<X, D, false>(args);                                               \
    }                                                                                 \
    extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS, 2)                   \
    sample_values_##name##_##D(const __grid_constant__ SampleArgs args) {             \
        samplePilot<X, D, true>(args);                                                \
    }
#define SKIM_SAMPLE_ALL(D)                                                            \
    SKIM_SAMPLE(bf16, KvBf16, D)                                                      \
    SKIM_SAMPLE(f16, KvF16, D)                                                        \
    SKIM_SAMPLE(fp8, KvFp8, D)                                                        \
    SKIM_SAMPLE(int8, KvInt8, D)                                                      \
    extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS)                      \
    sample_spread_##D(const __grid_constant__ SampleArgs args) {                      \
        sampleSpread<D>(args);                                                        \
    }

SKIM_SAMPLE_ALL(64)
SKIM_SAMPLE_ALL(80)
SKIM_SAMPLE_ALL(96)
SKIM_SAMPLE_ALL(128)

#undef SKIM_SAMPLE_ALL
#undef SKIM_SAMPLE

extern "C" __global__ void __launch_bounds__(DRAW_THREADS) sample_draw(const __grid_constant__ SampleArgs args) {
    sampleDraw(args);
}

}  // namespace skim::sparse
