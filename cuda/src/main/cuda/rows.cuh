/*
 * Kernels that take one block for each row: grid = rows, any multiple of 32 threads up to 1024 (512 suit rms_norm).
 *
 * rms_norm: out[r] = half(x[row] * weight / sqrt(mean(x[row]^2) + eps)), row = rowIndex[r], or r without an index; columns from
 *   `width` to outStride become zero. A thread keeps its first 16 values in registers, so that rows of up to 16 * threads floats
 *   are read once.
 */
#pragma once

#include "launch.cuh"

#include <cstdint>
#include <cuda_fp16.h>

namespace skim::rows {

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xFFFFFFFF;

/**
 * Combines a value of each thread of the block; every thread gets the result. One call a kernel: the scratch memory is not
 * guarded for a second.
 */
template <typename T, typename Combine>
__device__ __forceinline__ T block_reduce(T value, T identity, Combine combine) {
    __shared__ T ofWarps[WARP];
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, distance));
    }
    const int lane = threadIdx.x % WARP;
    if (lane == 0) {
        ofWarps[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    value = lane < blockDim.x / WARP ? ofWarps[lane] : identity;
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, distance));
    }
    return value;
}

/** V values that are moved as one. */
template <int V>
struct alignas(V * 4) Floats {
    float at[V];
};

template <int V>
struct alignas(V * 2) Halves {
    half at[V];
};

template <int V>
__device__ __forceinline__ float square_sum(const Floats<V>& x) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < V; i++) {
        sum += x.at[i] * x.at[i];
    }
    return sum;
}

template <int V>
__device__ __forceinline__ void norm_row(const float* x, const float* weight, half* out, int outStride, int width, float eps) {
    constexpr int KEPT = 16 / V;
    const auto* vectors = reinterpret_cast<const Floats<V>*>(x);
    const auto* weights = reinterpret_cast<const Floats<V>*>(weight);
    auto* target = reinterpret_cast<Halves<V>*>(out);
    const int count = width / V;
    const int threads = blockDim.x;
    Floats<V> kept[KEPT], scales[KEPT];
    float sum = 0;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        const int at = threadIdx.x + i * threads;
        scales[i] = at < count ? weights[at] : Floats<V>{};
    }
    waitForPreviousKernel();
    letNextKernelStart();
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        const int at = threadIdx.x + i * threads;
        kept[i] = at < count ? vectors[at] : Floats<V>{};
    }
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        sum += square_sum(kept[i]);
    }
    for (int at = threadIdx.x + KEPT * threads; at < count; at += threads) {
        sum += square_sum(vectors[at]);
    }
    sum = block_reduce(sum, 0.0f, [](float a, float b) { return a + b; });
    const float factor = rsqrtf(sum / width + eps);
    auto store = [&](int at, const Floats<V>& values, const Floats<V>& scales) {
        Halves<V> normed;
#pragma unroll
        for (int i = 0; i < V; i++) {
            normed.at[i] = __float2half_rn(values.at[i] * factor * scales.at[i]);
        }
        target[at] = normed;
    };
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        const int at = threadIdx.x + i * threads;
        if (at < count) {
            store(at, kept[i], scales[i]);
        }
    }
    for (int at = threadIdx.x + KEPT * threads; at < count; at += threads) {
        store(at, vectors[at], weights[at]);
    }
    for (int at = width + threadIdx.x; at < outStride; at += threads) {
        out[at] = __float2half_rn(0);
    }
}

}  // namespace skim::rows

extern "C" __global__ void rms_norm(const float* x, int xStride, const int* rowIndex, const float* weight, half* out,
        int outStride, int width, float eps) {
    // An index of rows is the step's input: no kernel writes it.
    const int64_t from = rowIndex != nullptr ? rowIndex[blockIdx.x] : blockIdx.x;
    const float* row = x + from * xStride;
    half* target = out + int64_t(blockIdx.x) * outStride;
    if ((width | xStride | outStride) % 4 == 0) {
        skim::rows::norm_row<4>(row, weight, target, outStride, width, eps);
    } else {
        skim::rows::norm_row<1>(row, weight, target, outStride, width, eps);
    }
}
