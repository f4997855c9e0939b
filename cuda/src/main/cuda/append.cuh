/*
 * What lies between the projection of a layer and its attention: append_<KV>, KV in {bf16, f16, fp8, int8}.
 *
 * A row of the projection is [heads * D | kvHeads * D | kvHeads * D] floats: q, k, v of one token. Each head of q and k is
 * normalised (RMSNorm over D, where weights are given) and rotated (RoPE); q goes to its own array, k and v go to the row's
 * slot of the cache. Sequences that lost tokens between sinks and window need their queries a second time, rotated as if these
 * had never been. int8: each head of a token has its own scale, the largest magnitude over 127.
 *
 * Work split: a warp takes one head of one row; grid = (rows, ceil((heads + 2 kvHeads) / 8)), block = 256. Lane l has the pairs
 * l and l + 32 of the D / 2 <= 64 pairs: elements (i, i + D / 2) of pair i, or (2i, 2i + 1) where `interleaved`.
 */
#pragma once

#include "cache.cuh"

namespace skim::append {

struct AppendArgs {
    const float* qkv;           // [row][qkvStride]
    int qkvStride;
    int heads;
    int kvHeads;
    int dimensions;             // D: even, at most 128
    const float* qNorm;         // [D] RMSNorm weights of the query heads; nullable
    const float* kNorm;         // [D] of the key heads; nullable
    float eps;
    int interleaved;
    const double* frequencies;  // [D / 2] radians a position
    int frequencyStride;        // from row to row; 0: all rows have the same
    float attentionFactor;      // on cosine and sine
    const int* positions;       // [row]
    const int* slots;           // [row] where in its sequence's pages the token goes; negative: the row is not stored
    const int* sequences;       // [row] row of pageTables
    const int* pageTables;      // [sequence][tableStride]
    int tableStride;
    uint8_t* cache;             // of the layer
    int pageSize;
    float* q;                   // [row][heads * D]
    const int* closedUpPositions;   // [row] the position without the tokens that its sequence lost
    float* closedUpQ;           // like q, of the rows whose two positions differ; nullable
};

constexpr int APPEND_HEADS = 8;   // of a block

__device__ inline float warpSum(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, distance);
    }
    return x;
}

__device__ inline float warpMax(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
    }
    return x;
}

/**
 * Cosine and sine, times factor, of position * frequency. The angle is taken in turns and reduced in double: exact enough for any
 * position.
 */
__device__ inline float2 turnOf(int position, double frequency, float factor) {
    const double turns = position * frequency * 0.15915494309189533577;
    float sine, cosine;
    sincospif(static_cast<float>(2. * (turns - rint(turns))), &sine, &cosine);
    return make_float2(cosine * factor, sine * factor);
}

__device__ inline float2 rotate(float2 pair, float2 turn) {
    return make_float2(pair.x * turn.x - pair.y * turn.y, pair.x * turn.y + pair.y * turn.x);
}

template <class X>
__device__ void append(const AppendArgs& args) {
    letNextKernelStart();
    const int row = blockIdx.x, lane = threadIdx.x % 32, head = blockIdx.y * APPEND_HEADS + threadIdx.x / 32;
    const int D = args.dimensions, pairCount = D / 2;
    if (head >= args.heads + 2 * args.kvHeads) {
        waitForPreviousKernel();
        return;
    }
    const bool isQuery = head < args.heads, isKey = !isQuery && head < args.heads + args.kvHeads;
    const int kvHead = isKey ? head - args.heads : head - args.heads - args.kvHeads;
    // pair i: elements i * near and i * near + far
    const int near = args.interleaved ? 2 : 1, far = args.interleaved ? 1 : pairCount;

    // What does not depend on the kernel before.
    const int position = args.positions[row], slot = args.slots[row];
    const int page = slot < 0 ? 0
            : args.pageTables[static_cast<size_t>(args.sequences[row]) * args.tableStride + slot / args.pageSize];
    const auto turns = [&](int position, float2 (&to)[2]) {
        const double* frequencies = args.frequencies + static_cast<size_t>(row) * args.frequencyStride;
#pragma unroll
        for (int p = 0; p < 2; p++) {
            const int i = lane + 32 * p;
            if (i < pairCount) {
                to[p] = turnOf(position, frequencies[i], args.attentionFactor);
            }
        }
    };
    float2 turned[2];
    if (isQuery || isKey) {
        turns(position, turned);
    }
    waitForPreviousKernel();

    const float* from = args.qkv + static_cast<size_t>(row) * args.qkvStride + head * D;
    float2 pairs[2];
#pragma unroll
    for (int p = 0; p < 2; p++) {
        const int i = lane + 32 * p;
        pairs[p] = i < pairCount ? make_float2(from[i * near], from[i * near + far]) : make_float2(0.f, 0.f);
    }

    const float* norm = isQuery ? args.qNorm : isKey ? args.kNorm : nullptr;
    if (norm != nullptr) {
        const float2 a = pairs[0], b = pairs[1];
        const float squares = warpSum(a.x * a.x + a.y * a.y + b.x * b.x + b.y * b.y);
        const float inverse = 1.f / sqrtf(squares / D + args.eps);
#pragma unroll
        for (int p = 0; p < 2; p++) {
            const int i = lane + 32 * p;
            if (i < pairCount) {
                pairs[p].x *= inverse * norm[i * near];
                pairs[p].y *= inverse * norm[i * near + far];
            }
        }
    }
    const auto storeQuery = [&](float* q, const float2 (&turn)[2]) {
        float* to = q + (static_cast<size_t>(row) * args.heads + head) * D;
#pragma unroll
        for (int p = 0; p < 2; p++) {
            const int i = lane + 32 * p;
            if (i < pairCount) {
                const float2 query = rotate(pairs[p], turn[p]);
                to[i * near] = query.x;
                to[i * near + far] = query.y;
            }
        }
    };
    if (isQuery) {
        storeQuery(args.q, turned);
        if (args.closedUpQ != nullptr && args.closedUpPositions[row] != position) {
            turns(args.closedUpPositions[row], turned);
            storeQuery(args.closedUpQ, turned);
        }
        return;
    }
    if (isKey) {
#pragma unroll
        for (int p = 0; p < 2; p++) {
            pairs[p] = rotate(pairs[p], turned[p]);
        }
    }
    if (slot < 0) {
        return;
    }
    const int token = slot % args.pageSize;
    uint8_t* block = kvBlock(args.cache, page, args.kvHeads, kvHead, kvBlockBytes<X>(D, args.pageSize));
    float inverse = 1.f;
    if constexpr (X::SCALED) {
        const float2 a = pairs[0], b = pairs[1];
        const float largest = warpMax(fmaxf(fmaxf(fabsf(a.x), fabsf(a.y)), fmaxf(fabsf(b.x), fabsf(b.y))));
        inverse = largest > 0.f ? 127.f / largest : 0.f;
        if (lane == 0) {
            float* scales = reinterpret_cast<float*>(block + kvScaleOffset<X>(D, args.pageSize));
            scales[isKey ? token : args.pageSize + token] = largest / 127.f;
        }
    }
    uint8_t* rows = block + (isKey ? 0 : kvValueOffset<X>(D, args.pageSize));
    const auto store = [&](int dimension, float x) {
        X::store(rows + kvRowOffset(D * X::BYTES, token, dimension * X::BYTES), x);
    };
#pragma unroll
    for (int p = 0; p < 2; p++) {
        const int i = lane + 32 * p;
        if (i < pairCount) {
            store(i * near, pairs[p].x * inverse);
            store(i * near + far, pairs[p].y * inverse);
        }
    }
}

#define SKIM_APPEND(name, X)                                               \
    extern "C" __global__ void __launch_bounds__(32 * APPEND_HEADS)        \
    append_##name(const __grid_constant__ AppendArgs args) {               \
        append<X>(args);                                                   \
    }

SKIM_APPEND(bf16, KvBf16)
SKIM_APPEND(f16, KvF16)
SKIM_APPEND(fp8, KvFp8)
SKIM_APPEND(int8, KvInt8)

#undef SKIM_APPEND

}  // namespace skim::append
