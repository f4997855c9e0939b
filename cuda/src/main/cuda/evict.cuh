/*
 * Eviction: the tokens that a sequence keeps, by the attention that they got. Each KV head of each layer keeps tokens of its own,
 * in the sequence's first slots, so that slots and positions differ.
 *
 *   record_tokens            new tokens' records. grid = (rows, layers), block = 32
 *   observe_<KV>_<D>         adds the attention that queries of a layer gave to each token, after they were attended.
 *                            grid = (any, kvHeads, sequences), block = OBSERVE_THREADS
 *   hide_evicted             the tokens of a list that a sliding window lets through, by their positions, as masks.
 *                            grid = (kvHeads, entries), block = any
 *   evict_<KV>               ranks tokens and moves what is kept to the first slots, with its records.
 *                            grid = (layers * kvHeads, evictions), block = EVICT_THREADS
 *
 * Records: for each layer, page, KV head and slot the token's position and the attention that it was seen to get, summed over
 * queries and the query heads of the KV head; record (page, head, slot) of a layer is at (page * kvHeads + head) * pageSize + slot.
 * The choices are those of the CPU's AttentionObserver and KeptTokens.
 */
#pragma once

#include "cache.cuh"
#include "selection.cuh"

#include <climits>
#include <type_traits>

namespace skim::evict {

struct Records {
    int* positions;        // of the first layer, or of the kernel's
    float* attention;
    size_t layerTokens;    // from layer to layer

    __device__ Records ofLayer(int layer) const {
        return {positions + layer * layerTokens, attention + layer * layerTokens, layerTokens};
    }
};

__device__ inline size_t recordIndex(int page, int kvHeads, int kvHead, int pageSize, int token) {
    return (static_cast<size_t>(page) * kvHeads + kvHead) * pageSize + token;
}

// ---- new tokens ----

struct RecordArgs {
    Records records;
    const int* recorded;    // [row] 0: the token's sequence is not observed
    const int* positions;   // [row]
    const int* slots;       // [row]
    const int* sequences;   // [row] row of pageTables
    const int* pageTables;  // [sequence][tableStride]
    int tableStride;
    int pageSize;
    int kvHeads;
};

__device__ inline void recordToken(const RecordArgs& args) {
    waitForPreviousKernel();
    letNextKernelStart();
    const int row = blockIdx.x;
    if (args.recorded[row] == 0) {
        return;
    }
    const Records records = args.records.ofLayer(blockIdx.y);
    const int slot = args.slots[row];
    const int page = args.pageTables[static_cast<size_t>(args.sequences[row]) * args.tableStride + slot / args.pageSize];
    for (int head = threadIdx.x; head < args.kvHeads; head += blockDim.x) {
        const size_t at = recordIndex(page, args.kvHeads, head, args.pageSize, slot % args.pageSize);
        records.positions[at] = args.positions[row];
        records.attention[at] = 0.f;
    }
}

// ---- observation ----

/** Tokens of a step whose attention counts: `count` consecutive ones of a sequence, 0 if there are none. */
struct Observed {
    int firstRow;
    int count;
    int firstSlot;
    int firstPosition;
    int replaces;      // whether what was seen before is forgotten
};

struct ObserveArgs {
    const float* q;             // [row][qStride], head h at column h * D
    int qStride;
    const uint8_t* cache;       // of the layer
    int pageSize;
    int kvHeads;
    int group;
    const Observed* observed;   // [sequence]
    const int* pageTables;      // [sequence][tableStride]
    int tableStride;
    int window;                 // positions that a query sees, its own included; INT_MAX: all
    const float* logSums;       // [row][kvHeads * group] log2 of the sum of exp(logit), from attention
    float scale;
    Records records;            // of the layer
};

constexpr int OBSERVE_WARPS = 4, OBSERVE_THREADS = 32 * OBSERVE_WARPS;
constexpr int OBSERVE_KEYS = 32 * OBSERVE_WARPS;   // of a tile: two m16 tiles a warp
constexpr int OBSERVE_ROWS = 64;                   // rows (token, query head) of a tile

__device__ inline float exp2Fast(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

/** A tile of rows: queries as B operands (row g, dimensions 16 step + 4 t ... + 3), and what shares need. */
template <int D>
struct ObserveShared {
    uint2 queries[OBSERVE_ROWS / 8][D / 16][32];
    float logSums[OBSERVE_ROWS];
    int slots[OBSERVE_ROWS];
    int firstVisible[OBSERVE_ROWS];   // position
};

/** Lane = 4 g + t has rows g and g + 8 of each m16 tile of keys. */
template <class X, int D>
struct ObservedKeys {
    uint32_t keys[2][D / 16][4];
    float scales[2][2];
    int slots[2][2], positions[2][2];
    size_t records[2][2];
    float attention[2][2];

    __device__ ObservedKeys(const ObserveArgs& args, const int* pages, int kvHead, int firstKey, int end) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int slot = firstKey + threadIdx.x / 32 * 32 + 16 * m + 8 * half + g, known = min(slot, end - 1);
                const int page = pages[known / args.pageSize], token = known % args.pageSize;
                const uint8_t* block = kvBlock(args.cache, page, args.kvHeads, kvHead, kvBlockBytes<X>(D, args.pageSize));
                slots[m][half] = slot;
                records[m][half] = recordIndex(page, args.kvHeads, kvHead, args.pageSize, token);
                positions[m][half] = args.records.positions[records[m][half]];
                attention[m][half] = 0.f;
                scales[m][half] =
                        X::SCALED ? reinterpret_cast<const float*>(block + kvScaleOffset<X>(D, args.pageSize))[token] : 1.f;
                using Raw = typename std::conditional<X::BYTES == 2, uint2, uint32_t>::type;
#pragma unroll
                for (int step = 0; step < D / 16; step++) {
                    const uint8_t* key = block + kvRowOffset(D * X::BYTES, token, (16 * step + 4 * t) * X::BYTES);
                    const uint2 pairs = X::widen(*reinterpret_cast<const Raw*>(key));
                    keys[m][step][half] = pairs.x;
                    keys[m][step][2 + half] = pairs.y;
                }
            }
        }
    }

    /** Adds the shares that the rows of a subtile of eight give. */
    __device__ void add(const ObserveShared<D>& shared, int subtile) {
        const int lane = threadIdx.x % 32, t = lane % 4;
        float scores[2][4] = {};
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            const uint2 b = shared.queries[subtile][step][lane];
#pragma unroll
            for (int m = 0; m < 2; m++) {
                X::mma(scores[m], keys[m][step], b.x, b.y);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int row = 8 * subtile + 2 * t + i % 2, half = i / 2;
#pragma unroll
            for (int m = 0; m < 2; m++) {
                const bool seen = slots[m][half] <= shared.slots[row] && positions[m][half] >= shared.firstVisible[row];
                const float share = exp2Fast(scores[m][i] * scales[m][half] - shared.logSums[row]);
                attention[m][half] += seen ? share : 0.f;
            }
        }
    }

    __device__ void store(const ObserveArgs& args, int end, bool replaces) {
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float sum = attention[m][half];
                sum += __shfl_xor_sync(~0u, sum, 1);
                sum += __shfl_xor_sync(~0u, sum, 2);
                if (threadIdx.x % 4 == 0 && slots[m][half] < end) {
                    float* to = args.records.attention + records[m][half];
                    *to = replaces ? sum : *to + sum;
                }
            }
        }
    }
};

/** The rows of a tile, in eights, of which those beyond the last give nothing; returns how many eights. */
template <class X, int D>
__device__ int stageRows(const ObserveArgs& args, const Observed& observed, int kvHead, int firstRow, ObserveShared<D>& shared) {
    const int rows = observed.count * args.group, subtiles = (min(rows - firstRow, OBSERVE_ROWS) + 7) / 8;
    for (int i = threadIdx.x; i < 8 * subtiles; i += OBSERVE_THREADS) {
        const int row = firstRow + i, token = row / args.group;
        const bool known = row < rows;
        const size_t at = static_cast<size_t>(observed.firstRow + token) * args.kvHeads * args.group
                + kvHead * args.group + row % args.group;
        shared.logSums[i] = known ? args.logSums[at] : 0.f;
        shared.slots[i] = known ? observed.firstSlot + token : -1;
        shared.firstVisible[i] = observed.firstPosition + token - args.window + 1;
    }
    const float factor = args.scale * 1.4426950408889634f;
    for (int i = threadIdx.x; i < 8 * subtiles * (D / 4); i += OBSERVE_THREADS) {
        const int d = i % (D / 4) * 4, row = firstRow + i / (D / 4);
        float4 x = make_float4(0.f, 0.f, 0.f, 0.f);
        if (row < rows) {
            const float* q = args.q + static_cast<size_t>(observed.firstRow + row / args.group) * args.qStride;
            x = *reinterpret_cast<const float4*>(q + (kvHead * args.group + row % args.group) * D + d);
        }
        const int inTile = i / (D / 4);
        shared.queries[inTile / 8][d / 16][inTile % 8 * 4 + d % 16 / 4] =
                make_uint2(X::pack(x.x * factor, x.y * factor), X::pack(x.z * factor, x.w * factor));
    }
    return subtiles;
}

template <class X, int D>
__device__ void observe(const ObserveArgs& args) {
    waitForPreviousKernel();
    letNextKernelStart();
    __shared__ ObserveShared<D> shared;
    const int sequence = blockIdx.z, kvHead = blockIdx.y;
    const Observed observed = args.observed[sequence];
    const int end = observed.firstSlot + observed.count, rows = observed.count * args.group;
    if (rows == 0) {
        return;
    }
    const int* pages = args.pageTables + static_cast<size_t>(sequence) * args.tableStride;
    for (int firstKey = blockIdx.x * OBSERVE_KEYS; firstKey < end; firstKey += gridDim.x * OBSERVE_KEYS) {
        ObservedKeys<X, D> keys(args, pages, kvHead, firstKey, end);
        const int firstToken = max(0, firstKey - observed.firstSlot);   // earlier ones see none of these keys
        for (int row = firstToken * args.group; row < rows; row += OBSERVE_ROWS) {
            __syncthreads();
            const int subtiles = stageRows<X, D>(args, observed, kvHead, row, shared);
            __syncthreads();
            for (int subtile = 0; subtile < subtiles; subtile++) {
                keys.add(shared, subtile);
            }
        }
        keys.store(args, end, observed.replaces != 0);
    }
}

// ---- sliding windows ----

struct HideArgs {
    sparse::SelectionArgs common;
    const int* firstVisible;   // [entry] position of the first token that a packed sequence's token sees; 0: all that are listed
    Records records;           // of the layer
};

__device__ inline void hideEvicted(const HideArgs& args) {
    waitForPreviousKernel();
    letNextKernelStart();
    const int kvHead = blockIdx.x, entry = blockIdx.y, list = entry * args.common.kvHeads + kvHead;
    const int firstVisible = args.firstVisible[entry], pageSize = args.common.pageSize;
    if (firstVisible == 0) {
        return;
    }
    const sparse::PageLists& lists = args.common.lists;
    const size_t at = static_cast<size_t>(list) * lists.stride;
    for (int e = threadIdx.x; e < lists.counts[list]; e += blockDim.x) {
        const int* positions = args.records.positions + recordIndex(lists.pages[at + e], args.common.kvHeads, kvHead, pageSize, 0);
        uint64_t mask = 0;
        for (int i = 0; i < pageSize; i++) {
            mask |= static_cast<uint64_t>(positions[i] >= firstVisible) << i;
        }
        lists.masks[at + e] = mask;
    }
}

// ---- eviction ----

/** What is to be dropped of a sequence. */
struct Eviction {
    int count;       // slots in use
    int length;      // position of the next token
    int keep;        // slots that stay, fewer than count
    int recent;      // last positions that stay whatever they got
    int kernel;      // neighbours over which attention is averaged, odd; 0: it counts as it is
    int unpooled;    // last slots whose attention is not averaged, nor counted
    int joint;       // whether all KV heads of a layer keep the same tokens, by the sum of their attention
    int unused;
};

struct EvictArgs {
    const Eviction* evictions;   // [eviction]
    const int* pageTables;       // [eviction][tableStride]
    int tableStride;
    int pageSize;
    int kvHeads;
    int dimensions;              // D
    int window;                  // positions that a query sees in layers from windowFrom on, its own included; INT_MAX: all
    int windowFrom;
    uint8_t* cache;              // of the first layer
    size_t cacheLayerBytes;
    Records records;             // of the first layer
};

constexpr int EVICT_THREADS = 512, EVICT_WARPS = EVICT_THREADS / 32;

/** The ranks of a KV head's tokens, or of a layer's: the higher stay. */
struct Ranks {
    const EvictArgs& args;
    const Eviction& eviction;
    const int* pages;
    Records records;
    int window;
    int kvHead, heads;   // those whose attention is summed

    __device__ size_t record(int slot, int head) const {
        return recordIndex(pages[slot / args.pageSize], args.kvHeads, head, args.pageSize, slot % args.pageSize);
    }

    __device__ float attention(int slot) const {
        float sum = 0.f;
        for (int head = kvHead; head < kvHead + heads; head++) {
            sum += records.attention[record(slot, head)];
        }
        return sum;
    }

    /** The mean of a slot's attention and its neighbours', those beyond the ends counting as 0. */
    __device__ float pooled(int slot) const {
        const int end = eviction.count - eviction.unpooled, reach = eviction.kernel / 2;
        float sum = 0.f;
        if (slot < end) {
            for (int i = max(0, slot - reach); i <= min(end - 1, slot + reach); i++) {
                sum = __fadd_rn(sum, __fdiv_rn(attention(i), static_cast<float>(eviction.kernel)));
            }
        }
        return sum;
    }

    /** Unequal for all slots: of tokens of the same rank the later counts more. Tokens that no later query sees rank lowest. */
    __device__ uint64_t key(int slot) const {
        const int position = records.positions[record(slot, kvHead)];
        uint32_t rank;
        if (position <= eviction.length - window) {
            rank = 0;
        } else if (position >= eviction.length - eviction.recent) {
            rank = ~0u;
        } else {
            rank = __float_as_uint(eviction.kernel > 0 ? pooled(slot) : attention(slot)) + 1;   // never negative
        }
        return static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(position);
    }
};

struct EvictShared {
    unsigned bins[256];
    uint64_t least;                  // key that is kept
    unsigned wanted;
    int totals[EVICT_WARPS];
    int holes[2 * EVICT_THREADS];    // slots to fill, ascending
    int movers[EVICT_THREADS];       // slots that move there
};

/** The keep-th highest key, by its bytes from the highest on. */
__device__ inline uint64_t leastKept(const Ranks& ranks, EvictShared& shared) {
    uint64_t prefix = 0, known = 0;
    unsigned wanted = ranks.eviction.keep;
    for (int shift = 56; shift >= 0; shift -= 8) {
        for (int i = threadIdx.x; i < 256; i += EVICT_THREADS) {
            shared.bins[i] = 0;
        }
        __syncthreads();
        for (int slot = threadIdx.x; slot < ranks.eviction.count; slot += EVICT_THREADS) {
            const uint64_t key = ranks.key(slot);
            if ((key & known) == prefix) {
                atomicAdd(&shared.bins[key >> shift & 255], 1u);
            }
        }
        __syncthreads();
        if (threadIdx.x < 32) {   // lane l has bins 255 - 8 l and the seven below
            const int lane = threadIdx.x;
            unsigned own = 0;
            for (int i = 0; i < 8; i++) {
                own += shared.bins[255 - 8 * lane - i];
            }
            unsigned above = own;
            for (int distance = 1; distance < 32; distance *= 2) {
                const unsigned other = __shfl_up_sync(~0u, above, distance);
                above += lane >= distance ? other : 0;
            }
            above -= own;
            if (above < wanted && wanted <= above + own) {
                int bin = 255 - 8 * lane;
                while (above + shared.bins[bin] < wanted) {
                    above += shared.bins[bin--];
                }
                shared.least = prefix | static_cast<uint64_t>(bin) << shift;
                // All of a bin that is wanted as a whole have keys from the prefix on.
                shared.wanted = shared.bins[bin] == wanted - above ? 0 : wanted - above;
            }
        }
        __syncthreads();
        prefix = shared.least;
        wanted = shared.wanted;
        known |= uint64_t{255} << shift;
        if (wanted == 0) {
            break;
        }
    }
    return prefix;
}

/** Appends the slots of the threads that have one to a list, in their order; returns how many. Barriers. */
__device__ inline int compact(bool has, int slot, int* list, EvictShared& shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned those = __ballot_sync(~0u, has);
    __syncthreads();   // the totals before have been read
    if (lane == 0) {
        shared.totals[warp] = __popc(those);
    }
    __syncthreads();
    int before = 0, all = 0;
    for (int w = 0; w < EVICT_WARPS; w++) {
        before += w < warp ? shared.totals[w] : 0;
        all += shared.totals[w];
    }
    if (has) {
        list[before + __popc(those & ((1u << lane) - 1))] = slot;
    }
    __syncthreads();
    return all;
}

/** Copies a token's key, value and record, by a warp. */
template <class X>
__device__ void moveToken(const Ranks& ranks, uint8_t* cache, int from, int to, int head) {
    const EvictArgs& args = ranks.args;
    const int lane = threadIdx.x % 32, D = args.dimensions, pageSize = args.pageSize;
    const int bytes = kvBlockBytes<X>(D, pageSize), fromToken = from % pageSize, toToken = to % pageSize;
    const uint8_t* source = kvBlock(cache, ranks.pages[from / pageSize], args.kvHeads, head, bytes);
    uint8_t* target = kvBlock(cache, ranks.pages[to / pageSize], args.kvHeads, head, bytes);
    const int row = D * X::BYTES;
    for (int i = 16 * lane; i < 2 * row; i += 16 * 32) {   // the key's, then the value's
        const int before = i < row ? 0 : kvValueOffset<X>(D, pageSize), byte = i % row;
        *reinterpret_cast<uint4*>(target + before + kvRowOffset(row, toToken, byte)) =
                *reinterpret_cast<const uint4*>(source + before + kvRowOffset(row, fromToken, byte));
    }
    if (X::SCALED && lane < 2) {
        const int offset = kvScaleOffset<X>(D, pageSize);
        reinterpret_cast<float*>(target + offset)[lane * pageSize + toToken] =
                reinterpret_cast<const float*>(source + offset)[lane * pageSize + fromToken];
    }
    if (lane == 0) {
        const size_t fromRecord = ranks.record(from, head), toRecord = ranks.record(to, head);
        ranks.records.positions[toRecord] = ranks.records.positions[fromRecord];
        // Neighbours are still to be averaged; who averages evicts once.
        if (ranks.eviction.kernel == 0) {
            ranks.records.attention[toRecord] = ranks.records.attention[fromRecord];
        }
    }
}

template <class X>
__device__ void evict(const EvictArgs& args) {
    waitForPreviousKernel();
    letNextKernelStart();
    __shared__ EvictShared shared;
    const int layer = blockIdx.x / args.kvHeads, kvHead = blockIdx.x % args.kvHeads;
    const Eviction eviction = args.evictions[blockIdx.y];
    if (eviction.keep == 0 || (eviction.joint && kvHead > 0)) {
        return;
    }
    const Ranks ranks{args, eviction, args.pageTables + static_cast<size_t>(blockIdx.y) * args.tableStride,
                      args.records.ofLayer(layer), layer < args.windowFrom ? INT_MAX : args.window, kvHead,
                      eviction.joint ? args.kvHeads : 1};
    uint8_t* cache = args.cache + layer * args.cacheLayerBytes;
    const uint64_t least = leastKept(ranks, shared);
    int nextHole = 0, held = 0;   // the next slot that may be one, and those that wait
    for (int next = eviction.keep; next < eviction.count; next += EVICT_THREADS) {
        const int slot = next + threadIdx.x;
        const int moving = compact(slot < eviction.count && ranks.key(slot) >= least, slot, shared.movers, shared);
        while (held < moving) {   // there are as many holes as there are movers
            const int hole = nextHole + threadIdx.x;
            held += compact(hole < eviction.keep && ranks.key(hole) < least, hole, shared.holes + held, shared);
            nextHole += EVICT_THREADS;
        }
        for (int i = threadIdx.x / 32; i < moving; i += EVICT_WARPS) {
            for (int head = kvHead; head < kvHead + ranks.heads; head++) {
                moveToken<X>(ranks, cache, shared.movers[i], shared.holes[i], head);
            }
        }
        held -= moving;
        const int waiting = threadIdx.x < held ? shared.holes[moving + threadIdx.x] : 0;
        __syncthreads();
        shared.holes[threadIdx.x] = waiting;
    }
}

// ---- kernels ----

extern "C" __global__ void __launch_bounds__(32) record_tokens(const __grid_constant__ RecordArgs args) { recordToken(args); }

extern "C" __global__ void __launch_bounds__(256) hide_evicted(const __grid_constant__ HideArgs args) { hideEvicted(args); }

#define SKIM_OBSERVE(name, X, D)                                                \
    extern "C" __global__ void __launch_bounds__(OBSERVE_THREADS)               \
    observe_##name##_##D(const __grid_constant__ ObserveArgs args) {            \
        observe<X, D>(args);                                                    \
    }
#define SKIM_EVICT(name, X)                                                     \
    SKIM_OBSERVE(name, X, 64)                                                   \
    SKIM_OBSERVE(name, X, 80)                                                   \
    SKIM_OBSERVE(name, X, 96)                                                   \
    SKIM_OBSERVE(name, X, 128)                                                  \
    extern "C" __global__ void __launch_bounds__(EVICT_THREADS)                 \
    evict_##name(const __grid_constant__ EvictArgs args) {                      \
        evict<X>(args);                                                         \
    }

SKIM_EVICT(bf16, KvBf16)
SKIM_EVICT(f16, KvF16)
SKIM_EVICT(fp8, KvFp8)
SKIM_EVICT(int8, KvInt8)

#undef SKIM_EVICT
#undef SKIM_OBSERVE

}  // namespace skim::evict
