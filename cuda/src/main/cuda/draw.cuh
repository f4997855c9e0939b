/*
 * draw: token[r] = what Draw r picks from a row of logits, -1 if none of them is finite; NaN and infinities are never drawn.
 *
 * A token's weight is 2^(-scale * d), d = its logit's distance from the highest one. Kept are of all tokens the topK nearest, of
 * those the fewest nearest whose weights sum up to the share topP of their sum, of those the ones of weight minP or more, always
 * lower ids first among equals. The token drawn is the first, in the order of ids, up to which the kept weights sum up to more than
 * the share `uniform` of their sum: TokenDraw.java is the same in Java. scale 0 takes the nearest token instead.
 *
 * Sums must not depend on an order of additions, so weights are integers: multiples of 2^-40, whose sums are exact.
 *
 * Top-k and top-p keep the tokens up to a key: the distance's position, then the id. The border key is found digit by digit: a
 * histogram of the keys that begin like it, by number or by weight, tells the next digit, until the rest of the key does not matter.
 * The first two digits of 10 bits do in nearly all cases; all six do if thousands of logits are equal.
 *
 * grid = (8, rows), 1024 threads. The eight blocks of a row are a cluster, and have histograms and sums of their own which each of
 * them adds up. Before sm_90 there are no clusters and the first block takes the whole row. A warp takes consecutive ids. Logits are
 * read anew for each step, from the first or second level of cache.
 */
#pragma once

#include "launch.cuh"

#include <cstdint>

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define SKIM_DRAW_CLUSTER __cluster_dims__(8, 1, 1)
#else
#define SKIM_DRAW_CLUSTER
#endif

namespace skim::draw {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
constexpr int BLOCKS = 8;
#else
constexpr int BLOCKS = 1;
#endif

constexpr int WARP = 32;
constexpr int THREADS = 1024;
constexpr int WARPS = THREADS / WARP;
constexpr unsigned ALL_LANES = 0xFFFFFFFF;

/** Ids of a row that a warp loads at a time. */
constexpr int TILE = 4 * WARP;

constexpr int DIGIT_BITS = 10;
constexpr int BINS = 1 << DIGIT_BITS;
constexpr int ID_BITS = 30;
constexpr int KEY_BITS = 60;
constexpr uint64_t EVERY_KEY = ~uint64_t(0);

/** Weight 1. */
constexpr float ONE = float(uint64_t(1) << 40);

static_assert(BINS == THREADS, "a thread looks after one bin");
static_assert(8 * WARPS <= THREADS, "a thread looks after one warp of the row's blocks");

/** How to pick a row's token. */
struct Draw {
    float scale;       // log2(e) / temperature, or 0 for the highest logit
    int topK;          // 0 keeps all
    float topP;        // 1 keeps all
    float minP;        // 0 keeps all
    uint32_t uniform;  // times 2^-32 in [0, 1)
};

struct Histogram {
    uint32_t count[BINS];
    uint32_t weightLow[BINS];
    uint32_t weightHigh[BINS];
};

struct Shared {
    uint64_t warpBest[WARPS];
    uint64_t best;
    Histogram histograms[2];  // in turn, so that a block may still read one while others fill the next
    uint64_t warpSums[WARPS];
    uint64_t warpWeights[WARPS];
    int found;  // bin or warp that holds what was looked for
    uint64_t before;
    bool exact;
};

/** What a warp sees of a row: its ids are [from, end). */
struct Row {
    const float* logits;
    int from;
    int end;
    bool aligned;
    float max;
    float scale;
};

__device__ __forceinline__ void sync_blocks() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    __syncwarp();  // the barrier counts warps, so none may come in parts
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
    __syncthreads();
#endif
}

/** A variable of another block of the row. */
template <typename T>
__device__ __forceinline__ const T& of_block(const T& own, int block) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    return *static_cast<const T*>(__cluster_map_shared_rank(&own, block));
#else
    return own;
#endif
}

/** Four logits, -infinity where there is none. */
__device__ __forceinline__ float4 load(const Row& row, int id) {
    if (row.aligned && id + 4 <= row.end) {
        return *reinterpret_cast<const float4*>(row.logits + id);
    }
    auto at = [&](int i) { return i < row.end ? row.logits[i] : -INFINITY; };
    return make_float4(at(id), at(id + 1), at(id + 2), at(id + 3));
}

/** Calls visit(logit, id) for this lane's share of the warp's ids and some that there are none of, in ascending order. */
template <typename Visit>
__device__ __forceinline__ void for_each(const Row& row, Visit visit) {
    constexpr int AHEAD = 4;
    for (int tile = row.from; tile < row.end; tile += AHEAD * TILE) {
        const int first = tile + 4 * (threadIdx.x % WARP);
        float4 values[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            values[i] = load(row, first + i * TILE);
        }
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const int id = first + i * TILE;
            visit(values[i].x, id);
            visit(values[i].y, id + 1);
            visit(values[i].z, id + 2);
            visit(values[i].w, id + 3);
        }
    }
}

__device__ __forceinline__ bool finite(float value) {
    return fabsf(value) < INFINITY;
}

/** The sum of the values of this and lower lanes. */
__device__ __forceinline__ uint64_t warp_scan(uint64_t value) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int distance = 1; distance < WARP; distance *= 2) {
        const uint64_t lower = __shfl_up_sync(ALL_LANES, value, distance);
        value += lane >= distance ? lower : 0;
    }
    return value;
}

/** The sum of the values of this and lower threads, and of all. Blocks must meet between two calls. */
__device__ __forceinline__ uint64_t block_scan(uint64_t value, Shared& shared, uint64_t& total) {
    const int lane = threadIdx.x % WARP;
    const int warp = threadIdx.x / WARP;
    const uint64_t inWarp = warp_scan(value);
    if (lane == WARP - 1) {
        shared.warpSums[warp] = inWarp;
    }
    __syncthreads();
    const uint64_t ofWarp = shared.warpSums[lane];
    const uint64_t ofWarps = warp_scan(ofWarp);
    total = __shfl_sync(ALL_LANES, ofWarps, WARPS - 1);
    return inWarp + __shfl_sync(ALL_LANES, ofWarps - ofWarp, warp);
}

/**
 * Orders (value, id) pairs: larger values are larger, then lower ids are larger. Only for finite values; the least key is above 0,
 * which is left for "none". The two zeros are equal.
 */
__device__ __forceinline__ uint64_t best_key(float value, int id) {
    const uint32_t bits = __float_as_uint(value + 0.0f);
    const uint32_t ordered = bits ^ (bits >> 31 != 0 ? 0xFFFFFFFF : 0x80000000);
    return uint64_t(ordered) << 32 | (0xFFFFFFFF - uint32_t(id));
}

__device__ __forceinline__ uint64_t warp_max(uint64_t value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        const uint64_t other = __shfl_xor_sync(ALL_LANES, value, distance);
        value = other > value ? other : value;
    }
    return value;
}

/** The id of the highest logit, the lowest one among equals, -1 if none is finite. */
__device__ __forceinline__ int best_id(const Row& row, Shared& shared) {
    float best = -INFINITY;  // ids come in ascending order, so that "larger than" keeps the lowest of equals
    int bestId = -1;
    for_each(row, [&](float value, int id) {
        if (value > best && value < INFINITY) {
            best = value;
            bestId = id;
        }
    });
    const int lane = threadIdx.x % WARP;
    const uint64_t ofWarp = warp_max(bestId < 0 ? 0 : best_key(best, bestId));
    if (lane == 0) {
        shared.warpBest[threadIdx.x / WARP] = ofWarp;
    }
    __syncthreads();
    if (threadIdx.x < WARP) {
        shared.best = warp_max(shared.warpBest[lane]);
    }
    sync_blocks();
    const uint64_t key = warp_max(of_block(shared.best, lane % BLOCKS));
    return key == 0 ? -1 : int(0xFFFFFFFF - uint32_t(key));
}

/**
 * Orders tokens by distance, then id. Distances count in steps of 2^-24, which is what logits of 1 or more have, as far as 32, where
 * the first digit's bins are 1/16 wide; beyond that by the bits of a float.
 */
__device__ __forceinline__ uint64_t key_of(const Row& row, float logit, int id) {
    constexpr float FAR = 32;
    const float distance = row.max - logit;
    const uint32_t position = distance < FAR
            ? uint32_t(distance * (1 << 24))
            : (32u << 24) + (__float_as_uint(distance) - __float_as_uint(FAR)) / 2;
    return uint64_t(position) << ID_BITS | uint32_t(id);
}

__device__ __forceinline__ uint64_t weight_of(const Row& row, float logit) {
    return finite(logit) ? __float2ull_rn(exp2f(-row.scale * (row.max - logit)) * ONE) : 0;
}

__device__ __forceinline__ void add_weight(Histogram& histogram, int bin, uint64_t weight) {
    const uint32_t low = uint32_t(weight);
    const uint32_t before = atomicAdd(&histogram.weightLow[bin], low);
    const uint32_t high = uint32_t(weight >> 32) + (before + low < before ? 1 : 0);
    if (high != 0) {
        atomicAdd(&histogram.weightHigh[bin], high);
    }
}

/**
 * The key of the last token that a filter keeps of those up to `limit`: with BY_WEIGHT the first one up to which the weights sum up
 * to the share `wanted` of all, else that of the wanted'th token.
 *
 * @param turn which histogram is free
 */
template <bool BY_WEIGHT>
__device__ __forceinline__ uint64_t last_key(const Row& row, Shared& shared, int& turn, double wanted, uint64_t limit) {
    constexpr int FIRST_SHIFT = KEY_BITS - DIGIT_BITS;
    uint64_t needed = 0;
    uint64_t before = 0;
    uint64_t prefix = 0;
    uint64_t last = 0;
    bool found = false;
    // Without a return in the loop: ptxas left such a way out with the warp's convergence barrier still open, and the blocks hung.
    for (int shift = FIRST_SHIFT; !found; shift -= DIGIT_BITS) {
        Histogram& histogram = shared.histograms[turn];
        turn ^= 1;
        histogram.count[threadIdx.x] = 0;
        if (BY_WEIGHT) {
            histogram.weightLow[threadIdx.x] = 0;
            histogram.weightHigh[threadIdx.x] = 0;
        }
        __syncthreads();
        for_each(row, [&](float logit, int id) {
            const uint64_t key = key_of(row, logit, id);
            const uint64_t weight = BY_WEIGHT ? weight_of(row, logit) : 1;
            if (finite(logit) && key >> (shift + DIGIT_BITS) == prefix && key <= limit && weight > 0) {
                const int bin = uint32_t(key >> shift) % BINS;
                atomicAdd(&histogram.count[bin], 1);
                if (BY_WEIGHT) {
                    add_weight(histogram, bin, weight);
                }
            }
        });
        sync_blocks();
        uint64_t count = 0;
        uint64_t weight = 0;
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            const Histogram& part = of_block(histogram, block);
            count += part.count[threadIdx.x];
            if (BY_WEIGHT) {
                weight += uint64_t(part.weightHigh[threadIdx.x]) << 32;
                weight += part.weightLow[threadIdx.x];
            }
        }
        const uint64_t own = BY_WEIGHT ? weight : count;
        uint64_t total;
        const uint64_t upTo = before + block_scan(own, shared, total);
        if (shift == FIRST_SHIFT) {
            needed = BY_WEIGHT ? uint64_t(ceil(wanted * double(total))) : uint64_t(wanted);
            needed = min(max(needed, uint64_t(1)), total);
        }
        if (upTo >= needed && upTo - own < needed) {
            shared.found = threadIdx.x;
            shared.before = upTo - own;
            shared.exact = count == 1 || upTo == needed;
        }
        __syncthreads();
        prefix = prefix << DIGIT_BITS | shared.found;
        before = shared.before;
        last = ((prefix + 1) << shift) - 1;
        found = shared.exact || shift == 0;
    }
    return min(last, limit);
}

/** The token at the share `uniform` of the weights of the tokens up to `limit` that weigh `least` or more; one thread tells. */
__device__ __forceinline__ void pick(const Row& row, Shared& shared, uint64_t limit, uint64_t least, uint32_t uniform, int* token) {
    const int lane = threadIdx.x % WARP;
    const int warp = threadIdx.x / WARP;
    auto kept = [&](float logit, int id) {
        const uint64_t weight = weight_of(row, logit);
        return weight >= least && key_of(row, logit, id) <= limit ? weight : 0;
    };
    uint64_t sum = 0;
    for_each(row, [&](float logit, int id) { sum += kept(logit, id); });
    sum = warp_scan(sum);
    if (lane == WARP - 1) {
        shared.warpWeights[warp] = sum;
    }
    sync_blocks();
    const uint64_t ofWarp = warp < BLOCKS ? of_block(shared.warpWeights[lane], warp) : 0;
    uint64_t total;
    const uint64_t upTo = block_scan(ofWarp, shared, total);
    const uint64_t target = __umul64hi(total, uint64_t(uniform) << 32);
    if (upTo > target && upTo - ofWarp <= target) {
        shared.found = threadIdx.x;
        shared.before = upTo - ofWarp;
    }
    __syncthreads();
    const bool isHere = shared.found == int(blockIdx.x * WARPS) + warp;
    uint64_t before = shared.before;
    for (int tile = row.from; isHere && tile < row.end && before <= target; tile += TILE) {
        const int id = tile + 4 * lane;
        const float4 logits = load(row, id);
        const uint64_t x = kept(logits.x, id);
        const uint64_t y = x + kept(logits.y, id + 1);
        const uint64_t z = y + kept(logits.z, id + 2);
        const uint64_t w = z + kept(logits.w, id + 3);
        const uint64_t upToLane = before + warp_scan(w);
        if (upToLane > target && upToLane - w <= target) {
            const uint64_t rest = target - (upToLane - w);
            *token = id + (rest < x ? 0 : rest < y ? 1 : rest < z ? 2 : 3);
        }
        before = __shfl_sync(ALL_LANES, upToLane, WARP - 1);
    }
}

}  // namespace skim::draw

extern "C" __global__ void __launch_bounds__(skim::draw::THREADS) SKIM_DRAW_CLUSTER
draw(const float* logits, int vocab, int stride, const skim::draw::Draw* draws, int* token) {
    using namespace skim::draw;
    __shared__ Shared shared;
    skim::waitForPreviousKernel();
    if (blockIdx.x >= BLOCKS) {
        return;
    }
    const Draw how = draws[blockIdx.y];
    int* const target = token + blockIdx.y;
    const int share = ((vocab + BLOCKS * WARPS - 1) / (BLOCKS * WARPS) + 3) / 4 * 4;
    Row row;
    row.logits = logits + int64_t(blockIdx.y) * stride;
    row.from = min(int(blockIdx.x * WARPS + threadIdx.x / WARP) * share, vocab);
    row.end = min(row.from + share, vocab);
    row.aligned = stride % 4 == 0;
    const int best = best_id(row, shared);
    if (best < 0 || how.scale == 0) {
        if (blockIdx.x == 0 && threadIdx.x == 0) {
            *target = best;
        }
    } else {
        row.max = row.logits[best];
        row.scale = how.scale;
        uint64_t limit = EVERY_KEY;
        int turn = 0;
        if (how.topK > 0 && how.topK < vocab) {
            limit = last_key<false>(row, shared, turn, how.topK, limit);
        }
        if (how.topP < 1) {
            limit = last_key<true>(row, shared, turn, how.topP, limit);
        }
        const uint64_t least = max(uint64_t(how.minP * ONE), uint64_t(1));
        pick(row, shared, limit, least, how.uniform, target);
    }
    sync_blocks();  // a block's shared memory must stay until the others have read it
}
